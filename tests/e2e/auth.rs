//! Who may: credentials in every form, and what a refusal says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, both, chat, chat_answer, message, with};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config, full_config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;

#[test]
fn a_key_is_taken_from_every_header_that_clients_use() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
    let bearer = format!("Bearer {KEY}");
    let lower = format!("bearer {KEY}");
    let forms = [
        ("authorization", bearer.as_str()),
        ("authorization", lower.as_str()),
        ("authorization", basic.as_str()),
        ("x-api-key", KEY),
        ("x-goog-api-key", KEY),
        ("api-key", KEY),
    ];
    for (path, body) in both("openai/sim-1", "hi") {
        for form in forms {
            let answer = gateway.client().request("POST", path, &[form], body.to_string().as_bytes()).answer();
            assert_eq!(answer.status(), 200, "{form:?} on {path}: {}", answer.text());
        }
    }
}

#[test]
fn no_key_and_a_wrong_key_get_the_same_401_that_says_not_to_retry() {
    let gateway = Gateway::with(Upstream::nobody());
    for (path, body) in both("openai/sim-1", "hi") {
        let refuse = |headers: &[(&str, &str)]| {
            let answer = gateway.client().request("POST", path, headers, body.to_string().as_bytes()).answer();
            assert_eq!(answer.status(), 401);
            assert_eq!(answer.header("x-should-retry"), "false");
            let error = answer.json()["error"].clone();
            assert_eq!(error["type"], "authentication_error", "{error}");
            if path == CHAT {
                assert_eq!(error["code"], "invalid_api_key");
            }
            error["message"].as_str().unwrap().to_owned()
        };
        refuse(&[]);
        let wrong = refuse(&[("authorization", "Bearer wk-nobody-issued-this")]);
        let other = refuse(&[("x-api-key", "something-else")]);
        assert_eq!(wrong, other, "a refusal depends on nothing but the refusal");
        assert!(!wrong.contains("nobody-issued"), "{wrong}");
    }
}

#[test]
fn expired_and_inactive_keys_and_models_out_of_reach_are_403() {
    let sim = Simulated::start();
    let more = "      - {id: old, secret: \"wk-old-key-000\", expires: 2020-01-01}\n      - {id: off, secret: \"wk-off-key-000\", active: false}\n    models: [\"openai/*\"]";
    let gateway = Gateway::start(&full_config("", sim.address, sim.address, more, ""));
    let ask = |path: &str, key: &str, body: &Value| {
        gateway.client().request("POST", path, &[("x-api-key", key)], body.to_string().as_bytes()).answer()
    };
    for (key, code, model) in [
        ("wk-old-key-000", "key_expired", "openai/sim-1"),
        ("wk-off-key-000", "key_inactive", "openai/sim-1"),
        (KEY, "model_not_allowed", "anthropic/sim-1"),
    ] {
        for (path, body) in both(model, "hi") {
            let answer = ask(path, key, &body);
            let error = answer.json()["error"].clone();
            assert_eq!((answer.status(), &error["type"]), (403, &json!("permission_error")), "{code}: {error}");
            if path == CHAT {
                assert_eq!(error["code"], code);
            }
        }
    }
    assert_eq!(ask(CHAT, KEY, &chat("openai/sim-1", "hi")).status(), 200);
}

#[test]
fn x_weir_api_key_leaves_the_clients_own_credential_to_the_provider() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let headers = [("x-weir-api-key", KEY), ("authorization", "Bearer the-clients-subscription")];
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    let answer = gateway.client().request("POST", CHAT, &headers, body.as_bytes()).answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let seen = upstream.request();
    assert_eq!(seen.header("authorization"), Some("Bearer the-clients-subscription"));
    let head = String::from_utf8(seen.raw_head).unwrap();
    assert!(!head.contains(KEY) && !head.contains(PROVIDER_KEY), "{head}");
}

/// Whose only key is one of ours has nothing of its own: the provider is shown what is configured for it.
#[test]
fn a_key_of_this_gateway_never_leaves_it() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let gateway = Gateway::with(upstream.address);
    let bearer = format!("Bearer {KEY}");
    let basic = format!("Basic {}", STANDARD.encode(format!("{KEY}:")));
    let beside =
        [None, Some(("authorization", bearer.as_str())), Some(("authorization", &basic)), Some(("x-api-key", KEY))];
    for more in beside {
        let headers: Vec<_> = [("x-weir-api-key", KEY)].into_iter().chain(more).collect();
        let body = chat("openai/gpt-4o-mini", "hi").to_string();
        let answer = gateway.client().request("POST", CHAT, &headers, body.as_bytes()).answer();
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let head = String::from_utf8(upstream.requests().pop().unwrap().raw_head).unwrap();
        assert!(head.contains(PROVIDER_KEY) && !head.contains(KEY) && !head.contains(&basic), "{head}");
    }
}

#[test]
fn the_clients_own_credential_is_for_one_provider_only() {
    let refuses = Upstream::json(500, r#"{"error":{"message":"broken"}}"#.to_owned());
    let other = Upstream::json(200, chat_answer("never"));
    let routes = "routes: {two: {targets: [{model: openai/gpt-4o-mini}, {model: anthropic/claude-sonnet-4-5}]}}\n";
    let gateway = Gateway::start(&config(refuses.address, other.address, routes));
    let headers = [("x-weir-api-key", KEY), ("authorization", "Bearer the-clients-subscription")];
    let answer = gateway.client().request("POST", CHAT, &headers, chat("two", "hi").to_string().as_bytes()).answer();
    assert_eq!((answer.status(), answer.header("x-weir-provider")), (502, "openai"), "{}", answer.text());
    assert!(other.requests().is_empty(), "it would have been told the credential");
}

#[test]
fn the_keyless_paths_answer_without_a_key() {
    let gateway = Gateway::with(Upstream::nobody());
    let mut client = gateway.client();
    assert_eq!(client.request("HEAD", "/", &[], b"").answer_without_body().status, 200);
    assert_eq!(gateway.client().request("GET", "/status", &[], b"").answer().status(), 200);
    assert_eq!(gateway.client().request("GET", "/v1/models", &[], b"").answer().status(), 401);
}

#[test]
fn a_key_in_the_query_is_refused_and_never_repeated() {
    let gateway = Gateway::start(&config(Upstream::nobody(), Upstream::nobody(), ""));
    let bearer = format!("Bearer {KEY}");
    for name in ["key", "x-weir-api-key", "X-Goog-Api-Key"] {
        let path = format!("{MESSAGES}?{name}={KEY}");
        let answer = gateway.client().request("POST", &path, &[("authorization", &bearer)], b"{}").answer();
        assert_eq!(answer.status(), 401, "{name}");
        assert!(!answer.text().contains(KEY));
    }
    gateway.call("GET", "/status", &Value::Null);
    assert!(!gateway.stderr().contains(KEY) && !gateway.stdout().contains(KEY));
}

/// The constant 401: whatever was shown, the same words, and nothing of what was shown or of the inside.
#[test]
fn row_42_a_refusal_is_constant_and_shows_nothing_of_the_key() {
    let gateway = Gateway::with(Upstream::nobody());
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    let mut texts = std::collections::BTreeSet::new();
    for shown in [
        "wk-canary-1",
        "weir_abcdefgh_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345AAAAAA",
        "' OR '1'='1",
        "x'; DROP TABLE weir_keys; --",
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjYW5hcnkifQ.AA",
        "\u{1f511}\u{202e}",
        "%27%20OR%201=1",
    ] {
        let answer = gateway.client().request("POST", CHAT, &[("x-api-key", shown)], body.as_bytes()).answer();
        assert_eq!(answer.status(), 401, "{shown}");
        let mut error = answer.json()["error"].clone();
        error.as_object_mut().unwrap().remove("request_id");
        let text = error.to_string().replace(answer.header("x-request-id"), "");
        assert!(!text.contains(shown), "{text}");
        texts.insert(text);
        let said = gateway.stderr() + &gateway.stdout();
        assert!(!said.contains(shown), "{shown} is in the log");
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[test]
fn a_key_is_good_only_from_where_it_may_be_used() {
    let sim = Simulated::start();
    let more = "      - {id: far, secret: wk-far-key, allowed_addresses: [10.0.0.0/8]}\n      - {id: here, secret: wk-here-key, allowed_addresses: [127.0.0.1]}";
    let ask = |gateway: &Gateway, key: &str, forwarded: &str| {
        let body = chat("openai/sim-1", "hi").to_string();
        let headers = [("x-api-key", key), ("x-forwarded-for", forwarded)];
        let answer = gateway.client().request("POST", CHAT, &headers, body.as_bytes()).answer();
        (answer.status(), answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
    };
    let (good, refused) = ((200, String::new()), (403, "address_not_allowed".to_owned()));
    let gateway = Gateway::start(&full_config("", sim.address, sim.address, more, ""));
    assert_eq!(ask(&gateway, "wk-here-key", "10.0.0.1"), good);
    assert_eq!(ask(&gateway, "wk-far-key", "10.0.0.1"), refused, "a client's word counts for nothing");
    let trusting = full_config("  trusted_proxies: [127.0.0.1]", sim.address, sim.address, more, "");
    let gateway = Gateway::start(&trusting);
    assert_eq!(ask(&gateway, "wk-far-key", "192.0.2.1, 10.0.0.1"), good);
    assert_eq!(ask(&gateway, "wk-here-key", "192.0.2.1, 10.0.0.1"), refused);
    assert_eq!(ask(&gateway, "wk-far-key", "10.0.0.1, unknown"), refused, "nobody knows");
    assert_eq!(ask(&gateway, KEY, "unknown"), good, "a key for everywhere");
}

/// Whom a provider may ask in place of the model, or beside it, the key has to be allowed too.
#[test]
fn models_named_beside_the_model_are_held_to_the_list() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let limited = "    models: [openai/cheap, openai/other, anthropic/cheap]";
    let gateway = Gateway::start(&full_config("", upstream.address, upstream.address, limited, ""));
    for (path, body, member) in [
        (CHAT, with(chat("openai/cheap", "hi"), json!({"models": ["cheap", "dear"]})), "models"),
        (CHAT, with(chat("openai/cheap", "hi"), json!({"fallbacks": ["dear"]})), "fallbacks"),
        (MESSAGES, with(message("anthropic/cheap", "hi"), json!({"fallbacks": [{"model": "dear"}]})), "fallbacks"),
        (
            MESSAGES,
            with(message("anthropic/cheap", "hi"), json!({"tools": [{"type": "advisor_20260301", "model": "dear"}]})),
            "tools",
        ),
    ] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 403, "{body}: {}", answer.text());
        assert!(answer.text().contains(member), "{}", answer.text());
    }
    assert!(upstream.requests().is_empty());
    let allowed = with(chat("openai/cheap", "hi"), json!({"models": ["cheap", "other"]}));
    assert_eq!(gateway.post(CHAT, &allowed).status(), 200);
}
