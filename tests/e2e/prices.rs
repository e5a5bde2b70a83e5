//! What things cost, from the answer's counts to the record: other units than tokens, price files, and
//! prices that change afterwards.

use std::process::Command;

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, message, streamed, with};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config, full_config, new_dir};
use crate::support::upstream::Upstream;
use crate::support::wait::until;

/// Providers at one address, beside the usual ones, and prices of the operator's in `prices.json`.
fn priced(upstream: &Upstream, prices: &str) -> Gateway {
    let dir = new_dir();
    std::fs::write(dir.join("prices.json"), prices).unwrap();
    let config = config(upstream.address, upstream.address, "prices: {file: \"@DIR@/prices.json\"}\n");
    let lab = format!("  lab: {{kind: vllm, base_url: \"http://{}/v1\"}}\ntenants:", upstream.address);
    Gateway::start_in(dir, &config.replacen("tenants:", &lab, 1), &[])
}

fn counts(record: &Value) -> (&Value, &Value, &Value) {
    (&record["usage"], &record["cost_pico_usd"], &record["usage_source"])
}

#[test]
fn images_speech_and_transcriptions_are_billed_by_their_own_units() {
    let upstream = Upstream::start(|request, conn| match request.path.as_str() {
        "/v1/images/generations" => conn.json(200, r#"{"created":1,"data":[{"b64_json":"AA"},{"b64_json":"BB"}]}"#),
        "/v1/audio/speech" => {
            _ = conn.raw("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: 4\r\n\r\n\u{1}\u{2}\u{3}\u{4}")
        }
        _ => conn.json(200, r#"{"text":"hi","usage":{"type":"duration","seconds":90}}"#),
    });
    let prices = "openai/draw: [{image: 0.04}]\nopenai/say: [{character: 15}]\nopenai/hear: [{second: 0.0001}]\n";
    let gateway = priced(&upstream, prices);
    let draw = gateway.call("POST", "/v1/images/generations", &json!({"model": "openai/draw", "prompt": "a cat"}));
    assert_eq!((draw.status(), draw.header("x-weir-cost-usd")), (200, "0.08"));
    let record = gateway.record(1);
    assert_eq!(counts(&record), (&json!({"images": 2}), &json!(80_000_000_000_u64), &json!("reported")));

    let say = json!({"model": "openai/say", "input": "h\u{e9}llo", "voice": "x"});
    assert_eq!(gateway.call("POST", "/v1/audio/speech", &say).status(), 200);
    let record = gateway.record(2);
    assert_eq!(counts(&record), (&json!({"characters": 5}), &json!(75_000_000), &json!("estimated")));
    // By tokens, which nobody counted: what it cost is not known, and what it was is.
    let unknown = json!({"model": "openai/gpt-4o-mini-tts", "input": "hello", "voice": "x"});
    assert_eq!(gateway.call("POST", "/v1/audio/speech", &unknown).status(), 200);
    let record = gateway.record(3);
    assert_eq!(counts(&record), (&json!({"characters": 5}), &Value::Null, &json!("estimated")));
    assert!(record["input_tokens"].is_null());

    let body = "--XX\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nopenai/hear\r\n--XX\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nabc\r\n--XX--\r\n";
    let bearer = format!("Bearer {KEY}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    let hear = gateway.client().request("POST", "/v1/audio/transcriptions", &headers, body.as_bytes()).answer();
    assert_eq!(hear.status(), 200);
    let record = gateway.record(4);
    assert_eq!(counts(&record), (&json!({"audio_seconds": 90}), &json!(9_000_000_000_u64), &json!("reported")));
}

/// Searches cost something each, fast answers more, and what a provider says it charges is kept.
#[test]
fn searches_speed_and_a_providers_own_cost_are_on_record() {
    let upstream = Upstream::start(|request, conn| {
        match request.path.as_str() {
        "/v1/messages" => conn.json(
            200,
            r#"{"id":"m","type":"message","role":"assistant","model":"claude-opus-4-8","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":2,"service_tier":"standard","speed":"fast","server_tool_use":{"web_search_requests":3,"web_fetch_requests":1}}}"#,
        ),
        _ => conn.json(
            200,
            r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12,"cost":3.6e-06}}"#,
        ),
    }
    });
    let gateway = priced(&upstream, "openai/m: [{input: 1, output: 1}]\n");
    for (nth, (path, body)) in
        [(MESSAGES, message("anthropic/claude-opus-4-8", "hi")), (CHAT, chat("anthropic/claude-opus-4-8", "hi"))]
            .into_iter()
            .enumerate()
    {
        assert_eq!(gateway.post(path, &body).status(), 200);
        let record = gateway.record(nth + 1);
        assert_eq!(record["service_tier"], "fast", "{path}");
        assert_eq!(record["usage"]["web_searches"], 3, "{path}");
        // 10 x 10 + 2 x 50 per million, and three searches at a cent.
        assert_eq!(record["cost_pico_usd"], 30_200_000_000_u64, "{path}");
    }
    assert_eq!(gateway.post(CHAT, &chat("openai/m", "hi")).status(), 200);
    let record = gateway.record(3);
    assert_eq!(
        (&record["cost_pico_usd"], &record["usage"]["upstream_cost_pico_usd"]),
        (&json!(12_000_000), &json!(3_600_000))
    );
}

/// Row 43: a price list never breaks routing or authentication, and nothing of it goes upstream.
#[test]
fn row_43_a_price_list_breaks_neither_routing_nor_authentication() {
    let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#;
    let upstream = Upstream::json(200, answer);
    let odd = r#"{"gpt-4o-mini": {"litellm_provider": "openai", "input_cost_per_token": null, "output_cost_per_token": null, "mode": null},
        "gpt-unheard-of": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "max_tokens": null},
        "azure/gpt-4o-mini": {"litellm_provider": "azure", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06},
        "lab/mine": {"litellm_provider": "lab", "output_cost_per_token": 1e-06}, "nothing": {}, "list": [], "null": null}"#;
    let gateway = priced(&upstream, odd);
    let served = |model: &str| {
        let got = gateway.post(CHAT, &chat(model, "hi"));
        assert_eq!(got.status(), 200, "{model}: {}", got.text());
        let id = got.header("x-request-id").to_owned();
        until("its record", || gateway.records().into_iter().find(|record| record["request_id"] == id.as_str()))
    };
    // A price without a number is none at all: what is built in holds.
    assert!(served("openai/gpt-4o-mini")["cost_pico_usd"].is_u64());
    // Half a price is not enough, and is not zero.
    for (unknown, number) in [("openai/gpt-unheard-of", 1.0), ("lab/mine", 2.0), ("lab/other", 3.0)] {
        let record = served(unknown);
        assert_eq!((&record["cost_pico_usd"], &record["input_tokens"]), (&Value::Null, &json!(10)), "{unknown}");
        until("the count", || (gateway.metric("weir_unpriced_requests_total", &[]) >= number).then_some(()));
    }
    // What has a price is not thereby a model: a bare name leads where it led.
    assert_eq!(served("gpt-4o-mini")["provider"], "openai");
    assert_eq!(gateway.post(CHAT, &chat("gpt-unheard-of", "hi")).status(), 404);
    let list = gateway.call("GET", "/v1/models", &json!({})).text();
    assert!(list.contains("openai/gpt-4o-mini") && !list.contains("unheard-of"), "prices make no models");
    // Nobody is sent a member that the client did not write.
    let sent = upstream.requests();
    for request in &sent {
        let body = request.json();
        let names: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(names, ["messages", "model"], "{body}");
    }
    assert_eq!(sent.last().unwrap().header("authorization"), Some(format!("Bearer {PROVIDER_KEY}").as_str()));
    // A file that cannot be read leaves the last good one in force, and everybody served.
    let failures = || gateway.metric("weir_config_reload_failures_total", &[]);
    std::fs::write(gateway.dir.join("prices.json"), "{\"a\": {\"litellm_provider\": oops}}").unwrap();
    until("the failure", || (failures() >= 1.0).then_some(()));
    assert!(served("openai/gpt-4o-mini")["cost_pico_usd"].is_u64());
    // A model that is gone from the list is served as before.
    std::fs::write(gateway.dir.join("prices.json"), "lab/other: [{input: 1, output: 1}]\n").unwrap();
    until("the new prices", || (served("lab/other")["cost_pico_usd"] == 12_000_000).then_some(()));
    assert!(served("lab/mine")["cost_pico_usd"].is_null());
    let wrong = [("authorization", "Bearer nobody")];
    assert_eq!(gateway.client().request("POST", CHAT, &wrong, b"{}").answer().status(), 401);
}

/// Prices that were wrong are put right in what is on record: the rows, and the sums they are in.
#[test]
fn history_is_priced_again() {
    let answer = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#;
    let upstream = Upstream::json(200, answer);
    let gateway = priced(&upstream, "openai/m: [{input: 1, output: 1}]\n");
    for model in ["openai/m", "openai/m", "lab/own"] {
        assert_eq!(gateway.post(CHAT, &chat(model, "hi")).status(), 200);
    }
    let old = gateway.wait_records(3)[0]["price_version"].as_str().unwrap().to_owned();
    let weir = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(&gateway.dir).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let total = || {
        let rows: Value =
            serde_json::from_str(&weir(&["usage", "-c", "weir.yaml", "--by", "tenant", "--json"])).unwrap();
        rows.as_array().into_iter().flatten().map(|row| row["cost_usd"].to_string()).collect::<Vec<_>>().join(" ")
    };
    let sum: fn(&Value) -> u64 =
        |answer| answer["models"].as_array().unwrap().iter().map(|m| m["rows"].as_u64().unwrap()).sum();
    let rerate = |more: &[&str]| -> Value {
        let arguments = [&["ledger", "rerate", "-c", "weir.yaml", "--json"][..], more].concat();
        serde_json::from_str(&weir(&arguments)).unwrap()
    };
    until("the rows in the database", || (sum(&rerate(&["--dry-run"])) == 3).then_some(()));
    std::fs::write(
        gateway.dir.join("prices.json"),
        "openai/m: [{input: 2, output: 3}]\nlab/own: [{input: 5, output: 0}]\n",
    )
    .unwrap();
    let before = total();
    let dry = rerate(&["--dry-run"]);
    assert_eq!((&dry["written"], total()), (&json!(0), before), "nothing was changed");
    let done = rerate(&[]);
    assert_eq!(done["written"], 3, "{done}");
    let line =
        |model: &str| done["models"].as_array().unwrap().iter().find(|line| line["model"] == model).unwrap().clone();
    // Twice 12 at 1, then twice 10 x 2 + 2 x 3.
    assert_eq!(line("openai/m")["before_usd"], "0.000024");
    assert_eq!(line("openai/m")["after_usd"], "0.000052");
    assert_eq!(line("lab/own")["difference_usd"], "0.00005");
    assert_eq!(total(), "0.000102");
    assert_eq!(rerate(&[])["written"], 0, "once is enough");
    weir(&["ledger", "verify", "-c", "weir.yaml"]);
    let exported = weir(&["ledger", "export", "--format", "json", "-c", "weir.yaml"]);
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(rows.len() == 3 && old.contains('+'));
    for row in rows {
        let cost = if row["provider"] == "lab" { (50_000_000, 0.000_05) } else { (26_000_000, 0.000_026) };
        assert_eq!((&row["cost_pico_usd"], &row["cost_usd"]), (&json!(cost.0), &json!(cost.1)), "{row}");
        assert_eq!(row["price_version"], done["price_version"], "{row}");
        assert_ne!(row["price_version"], old, "{row}");
    }
}

/// Whoever answers in place of the model that was asked is priced, where the request lets the provider choose or
/// the provider does so unasked; what other answers call themselves changes nothing.
#[test]
fn who_answered_in_place_of_the_model_is_priced() {
    let answer = |model: &str| {
        json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000},
        })
        .to_string()
    };
    let cost = |kind: &str, asked: &str, answered: &str, more: Value| {
        let upstream = Upstream::json(200, answer(answered));
        let provider =
            format!("  {kind}: {{base_url: \"http://{}/v1\", api_key: \"k\", api: chat}}\ntenants:", upstream.address);
        let text = config(upstream.address, upstream.address, "").replacen("tenants:", &provider, 1);
        let gateway = Gateway::start(&text);
        let got = gateway.post(CHAT, &with(chat(&format!("{kind}/{asked}"), "hi"), more));
        assert_eq!(got.status(), 200, "{}", got.text());
        got.header("x-weir-cost-usd").to_owned()
    };
    let plain = || json!({});
    assert_eq!(cost("xai", "grok-3-mini", "grok-4.3", plain()), cost("xai", "grok-4.3", "grok-4.3", plain()));
    assert_ne!(cost("xai", "grok-3-mini", "grok-3-mini", plain()), cost("xai", "grok-3-mini", "grok-4.3", plain()));
    let (cheap, dear) = ("openai/gpt-4o-mini", "openai/gpt-4o");
    let either = json!({"models": [cheap, dear]});
    assert_eq!(cost("openrouter", cheap, dear, either), cost("openrouter", dear, dear, plain()));
    assert_eq!(cost("openrouter", cheap, dear, plain()), cost("openrouter", cheap, cheap, plain()));
    assert_ne!(cost("openrouter", cheap, cheap, plain()), cost("openrouter", dear, dear, plain()));
}

/// The operator's own prices hold for them too, and an empty list names nobody.
#[test]
fn who_answered_has_the_price_that_the_configuration_gives_it() {
    let answer = json!({
        "id": "c", "object": "chat.completion", "created": 1, "model": "a/dear-2026-01-02",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000},
    });
    let upstream = Upstream::json(200, answer.to_string());
    let models = r#"{"a/cheap": {price: {input: 1, output: 1}}, "a/dear": {price: {input: 100, output: 100}}}"#;
    let provider = format!(
        "  or: {{kind: openrouter, base_url: \"http://{}/v1\", api_key: k, models: {models}}}\ntenants:",
        upstream.address
    );
    let text = config(upstream.address, upstream.address, "").replacen("tenants:", &provider, 1);
    let gateway = Gateway::start(&text);
    for (others, cost) in [(json!(["a/dear"]), "100"), (json!([]), "1"), (json!(["a/other"]), "1"), (json!(5), "1")] {
        let body = with(chat("or/a/cheap", "hi"), json!({"models": others}));
        assert_eq!(gateway.post(CHAT, &body).header("x-weir-cost-usd"), cost, "{others}");
    }
}

/// Anthropic's advisor is another model than the one that answers, and its tokens are in no total of the answer's.
#[test]
fn whom_a_model_asks_by_itself_is_on_record_at_its_own_price() {
    let iterations = json!([
        {"type": "message", "input_tokens": 10, "output_tokens": 20},
        {"type": "advisor_message", "model": "dear-2026-01-02", "input_tokens": 1000, "cache_read_input_tokens": 500,
            "output_tokens": 300},
        {"type": "advisor_message", "model": "dear-2026-01-02", "input_tokens": 1000, "output_tokens": 200},
        {"type": "message", "input_tokens": 90, "output_tokens": 30},
    ]);
    let usage = json!({"input_tokens": 100, "output_tokens": 50, "iterations": iterations});
    let content = json!([{"type": "text", "text": "hi"}]);
    let whole = json!({"id": "m", "type": "message", "role": "assistant", "model": "cheap", "content": content,
        "stop_reason": "end_turn", "stop_sequence": null, "usage": usage});
    let events = [
        json!({"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "cheap",
            "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 10, "output_tokens": 1}}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hi"}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null}, "usage": usage}),
        json!({"type": "message_stop"}),
    ];
    let stream = events.map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())).concat();
    let upstream = Upstream::start(move |request, conn| match request.json()["stream"].as_bool() {
        Some(true) => {
            conn.sse_head();
            _ = conn.chunk(&stream);
            conn.end();
        }
        _ => conn.json(200, &whole.to_string()),
    });
    let prices = "anthropic/cheap: [{input: 1, output: 1}]\nanthropic/dear: [{input: 100, cached: 10, output: 500}]\n";
    let more = "prices: {file: \"@DIR@/prices.json\"}\nguards:\n  hide: {kinds: [email], on: [output], action: mask}\n";
    let advised = with(
        message("anthropic/cheap", "hi"),
        json!({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "dear"}]}),
    );
    // As the bytes are, and read and written anew.
    for guards in ["[]", "[hide]"] {
        let dir = new_dir();
        std::fs::write(dir.join("prices.json"), prices).unwrap();
        let tenant = format!("    guards: {guards}\n    budgets: [{{tokens: 100000, per: day}}]");
        let text = full_config("", upstream.address, upstream.address, &tenant, more);
        let gateway = Gateway::start_in(dir, &text, &[]);
        for (nth, body) in [advised.clone(), streamed(advised.clone())].iter().enumerate() {
            assert_eq!(gateway.post(MESSAGES, body).status(), 200);
            has_asked(&gateway.record(nth + 1));
        }
        let dear = until("the sums", || {
            let sums = gateway.admin("GET", "/admin/v1/usage?by=upstream_model").json()["data"].clone();
            let dear = sums.as_array()?.iter().find(|sum| sum["upstream_model"] == json!("dear-2026-01-02"))?.clone();
            (dear["output_tokens"] == json!(1000)).then_some(dear)
        });
        assert_eq!((&dear["input_tokens"], &dear["requests"]), (&json!(5000), &json!(0)));
        // Twice 150 of the model's own and 3000 of its advisor's.
        let left = gateway.metric("weir_budget_remaining_ratio", &[]);
        assert!((left - (1.0 - 6_300.0 / 100_000.0)).abs() < 1e-9, "{left}");
        until("the last to be counted", || (gateway.metric("weir_attempts_total", &[]) == 2.0).then_some(()));
    }
}

fn has_asked(record: &Value) {
    assert_eq!((&record["attempts"], &record["fallback"]), (&json!(1), &json!(false)));
    assert_eq!(
        (&record["input_tokens"], &record["output_tokens"], &record["cost_pico_usd"]),
        (&json!(100), &json!(50), &json!(150_000_000))
    );
    let [advice, own] = record["timeline"].as_array().unwrap().as_slice() else { panic!("{record}") };
    assert_eq!((&own["kind"], &own["outcome"], &own["model"]), (&json!("first"), &json!("ok"), &json!("cheap")));
    assert_eq!((&advice["kind"], &advice["model"]), (&json!("advice"), &json!("dear-2026-01-02")));
    assert_eq!(advice["usage"], json!({"fresh_input": 2000, "cached": 500, "visible_output": 500}));
    // 2000 at 100, 500 at 10 and 500 at 500 USD a million.
    assert_eq!(advice["cost_pico_usd"], json!(455_000_000_000_u64));
    assert!(advice["at_ms"].as_f64() > own["at_ms"].as_f64(), "{record}");
}
