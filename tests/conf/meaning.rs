//! What a configuration means.

use std::time::{Duration, SystemTime};

use serde_json::json;
use weir::config::attempts::{AttemptRules, RetryShare};
use weir::config::budget::{Per, Period, Unit};
use weir::config::env::Table;
use weir::config::limits::Limited;
use weir::config::raw;
use weir::config::read::Settings as _;
use weir::config::runtime::{OnStoreLoss, Strategy, Tenant};
use weir::config::telemetry::{AccessLog, Fraction, Rotation};
use weir::config::{dump, load};
use weir::secret::minted;
use weir::wire::Thinking;

use crate::world::{KEY, good, load as try_load, root, with};

#[test]
fn a_secret_may_hold_what_yaml_means_something_by() {
    let ugly = "a: \"b\" #c {d} [e] & * $";
    let env = Table::of(&[("UGLY", ugly)]).with_file("/secret", "x: y\n");
    let text = "providers: {simulator: {base_url: 'http://127.0.0.1:9', api_key: '${UGLY}'}}\n\
                tenants: {t: {keys: [{id: a, secret: 'file:/secret'}, {id: b, secret: 'cost$$5 ${NO:-de:fault}'}]}}";
    let runtime = load::from_text(text, "x", &env).unwrap();
    assert_eq!(runtime.deployments[0].api_key.as_ref().unwrap().expose(), ugly);
    for (secret, id) in [("x: y", "a"), ("cost$5 de:fault", "b")] {
        let hash: [u8; 32] = hex::decode(load::hash_of(secret)).unwrap().try_into().unwrap();
        assert_eq!(runtime.keys[&hash].id, id);
    }
}

#[test]
fn an_unchanged_file_has_an_unchanged_hash() {
    let one = good(&with(""));
    assert_eq!(one.hash, good(&with("")).hash);
    assert_ne!(one.hash, good(&with("# a word")).hash);
    assert_eq!(one.hash.len(), 12);
}

#[test]
fn what_is_not_said_is_as_the_code_has_it() {
    let runtime = good(&with(""));
    assert_eq!((runtime.attempts, runtime.retry_budget), (AttemptRules::default(), RetryShare::default()));
    assert_eq!(runtime.tenants[0].weight, Tenant::default().weight);
}

#[test]
fn timeouts_and_retries_come_from_the_nearest() {
    let runtime = good(
        "defaults: {timeouts: {connect: 1s, idle: 5s}, retries: 4, strict: true}\n\
         providers:\n  a: {kind: simulator, base_url: 'http://h', timeouts: {idle: 250ms}}\n  b: {kind: simulator, base_url: 'http://h'}\n\
         routes: {r: {targets: [{model: a/x}], retries: 0}, s: {strategy: weighted, targets: [{model: b/y, weight: 3}, {model: a/x}]}}\n\
         tenants: {t: {keys: [{id: k, secret: kkkk}]}, u: {strict: false, keys: [{id: l, secret: llll}]}}\n",
    );
    let [a, b] = [&runtime.deployments[0], &runtime.deployments[1]];
    assert_eq!((a.timeouts.idle, b.timeouts.idle), (Duration::from_millis(250), Duration::from_secs(5)));
    assert_eq!((a.timeouts.connect, b.timeouts.first_token), (Duration::from_secs(1), Duration::from_secs(60)));
    let (r, s) = (&runtime.routes["r"], &runtime.routes["s"]);
    assert_eq!((r.attempts.retries, s.attempts.retries, runtime.attempts.retries), (0, 4, 4));
    assert_eq!((r.group.strategy, s.group.strategy), (Strategy::Fallback, Strategy::Weighted));
    let weights: Vec<_> =
        s.targets().into_iter().map(|t| (t.deployment.name.as_str(), t.model.as_str(), t.weight)).collect();
    assert_eq!(weights, [("b", "y", 3), ("a", "x", 1)]);
    assert_eq!(runtime.tenants.iter().map(|t| t.strict).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn keys_carry_what_was_written() {
    let runtime = good(
        "providers: {simulator: {base_url: 'http://h'}}\n\
         routes: {fast: {targets: [{model: simulator/a}]}}\n\
         tenants:\n  t:\n    models: ['simulator/*', fast]\n    limits: {concurrency: 9}\n    model_limits: {'simulator/big*': {tokens_per_minute: 7}}\n    keys:\n\
         \x20     - {id: k, secret: kkkk, expires: 2027-06-30, active: false, models: [fast], limits: {requests_per_minute: 5}}\n",
    );
    let key = runtime.keys.values().next().unwrap();
    assert!(!key.active);
    assert_eq!(key.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_814_313_600)));
    assert_eq!(key.limits.requests_per_minute, Some(5));
    assert_eq!(key.tenant.limits.concurrency, Some(9));
    assert_eq!(key.tenant.model_limits[0].1.tokens_per_minute, Some(7));
    assert!(key.models[0].matches("fast") && key.tenant.models[0].matches("simulator/x"));
}

#[test]
fn budgets_are_exact() {
    let text =
        "budgets: [{usd: 0.30, per: month, reset: 15}, {usd: '${MOST:-1000000.000000000001}', per: total, soft: true}]";
    let keys = "keys: [{id: k, secret: kkkk, budgets: [{tokens: 18446744073709551615, per: week, reset: 7}]}]";
    let runtime =
        good(&format!("providers: {{simulator: {{base_url: 'http://h'}}}}\ntenants: {{t: {{{keys}, {text}}}}}"));
    let budgets: Vec<_> =
        runtime.tenants[0].budgets.iter().map(|b| (b.unit, b.most, b.period.clone(), b.soft)).collect();
    let period = |per, reset_day| Period { reset_day, ..Period::plain(per) };
    let expected = [
        (Unit::Usd, 300_000_000_000, period(Per::Month, 15), false),
        (Unit::Usd, 1_000_000_000_000_000_001, period(Per::Total, 1), true),
    ];
    assert_eq!(budgets, expected);
    let key = runtime.keys.values().next().unwrap();
    assert_eq!((key.budgets[0].most, key.budgets[0].period.clone()), (i128::from(u64::MAX), period(Per::Week, 7)));
    let dump = dump::json(&runtime);
    let shown = &dump["tenants"]["t"]["budgets"][1];
    assert_eq!(
        (&shown["usd"], &shown["per"], &shown["soft"]),
        (&json!("1000000.000000000001"), &json!("total"), &json!(true))
    );
}

/// A tenant with this beside its key, and its key with that.
fn tenant_with(tenant: &str, key: &str) -> String {
    let providers = "providers: {simulator: {base_url: 'http://h', models: {m: m}}}";
    format!("{providers}\ntenants:\n  t:\n    keys: [{{id: k, secret: kkkk{key}}}]\n    {tenant}\n")
}

#[test]
fn what_holds_without_the_store_is_said_once_or_for_each() {
    let text = tenant_with(
        "limits: {requests_per_day: 9, on_store_loss: open}\n    budgets: [{usd: 1, per: day, on_store_loss: closed}]",
        ", limits: {concurrency: 2}",
    );
    let store = "state: {shared: 'redis://weir:canary-4f7e@h:6380/2', on_store_loss: closed}\n";
    let runtime = good(&format!("{store}{text}"));
    assert_eq!(runtime.state.on_store_loss, OnStoreLoss::Closed);
    let tenant = &runtime.tenants[0];
    assert_eq!(tenant.limits.on_store_loss, Some(OnStoreLoss::Open));
    assert_eq!(tenant.budgets[0].on_store_loss, Some(OnStoreLoss::Closed));
    assert_eq!(runtime.keys.values().next().unwrap().limits.on_store_loss, None);
    let shown = dump::json(&runtime);
    assert_eq!(shown["state"]["shared"], "[secret]");
    assert_eq!(shown["tenants"]["t"]["limits"]["on_store_loss"], "open");
    assert!(!format!("{shown} {runtime:?}").contains("canary-4f7e"));
}

/// Row 40: whatever the settings list of limits has is taken, on all that limits stand on.
#[test]
fn row_40_every_limit_that_may_be_written_is_kept_wherever_it_is() {
    let mut names: Vec<&str> = raw::Limits::FIELDS.iter().map(|field| field.name).collect();
    assert_eq!(names.pop(), Some("on_store_loss"), "what is no limit");
    assert_eq!(names, Limited::all().map(Limited::as_str).collect::<Vec<_>>());
    for (limited, name) in Limited::all().zip(names) {
        let tenant = format!(
            "limits: {{{name}: 9}}\n    model_limits: {{simulator/m: {{{name}: 8}}}}\n    users: {{limits: {{{name}: 7}}}}\n    \
             tags: {{'a=*': {{limits: {{{name}: 6}}}}}}"
        );
        let runtime = good(&tenant_with(&tenant, &format!(", limits: {{{name}: 5}}")));
        let (tenant, key) = (&runtime.tenants[0], runtime.keys.values().next().unwrap());
        let all = [tenant.limits, tenant.model_limits[0].1, tenant.users.limits, tenant.tags[0].1.limits, key.limits];
        assert_eq!(all.map(|limits| limits.get(limited)), [9, 8, 7, 6, 5].map(Some), "{name}");
        assert!(all.iter().all(|limits| limits.iter().count() == 1));
        let dump = dump::json(&runtime);
        assert_eq!(dump["tenants"]["t"]["tags"]["a=*"]["limits"][name], 6);
    }
}

#[test]
fn budgets_know_their_zone_their_marks_and_whether_they_stop() {
    let budget = "[{usd: 1, per: day, time_zone: europe/berlin, warn_at: [100, 5], stop: true}]";
    let tenant = format!(
        "users: {{budgets: {budget}}}\n    model_budgets: {{'*': {budget}}}\n    tags: {{a: {{budgets: {budget}}}}}"
    );
    let runtime = good(&tenant_with(&tenant, ""));
    let tenant = &runtime.tenants[0];
    for budgets in [&tenant.users.budgets, &tenant.model_budgets[0].1, &tenant.tags[0].1.budgets] {
        assert_eq!((budgets[0].period.zone_name(), budgets[0].stop), ("Europe/Berlin", true));
        assert_eq!(budgets[0].warn_at.iter().collect::<Vec<_>>(), [5, 100]);
    }
    let plain = good(&tenant_with("budgets: [{usd: 1, per: day}]", "")).tenants[0].budgets[0].clone();
    assert_eq!((plain.period.zone_name(), plain.stop), ("UTC", false));
    assert_eq!(plain.warn_at.iter().collect::<Vec<_>>(), [80, 100]);
}

/// Row 45: a rule that can never hold is refused, for whoever wrote it believes in it.
#[test]
fn row_45_limits_and_budgets_that_do_nothing_are_refused() {
    let dead = [
        ("limits: {requests_per_minute: 5}", ", limits: {requests_per_minute: 6}", "a limit that is never reached"),
        (
            "limits: {requests_per_minute: 5}\n    users: {limits: {requests_per_minute: 6}}",
            "",
            "a limit that is never reached",
        ),
        ("limits: {requests_per_minute: 5, requests_per_second: 6}", "", "a limit that is never reached"),
        ("limits: {output_tokens_per_hour: 5, tokens_per_day: 4}", "", "a limit that is never reached"),
        ("budgets: [{usd: 5, per: day}]", ", budgets: [{usd: 6, per: day}]", "a budget that is never used up"),
        ("budgets: [{usd: 5, per: day}, {usd: 6, per: day, soft: true}]", "", "a soft budget that is never used up"),
        ("budgets: [{usd: 5, per: day, soft: true, stop: true}]", "", "a soft budget ends no streams"),
        ("budgets: [{usd: 5, per: day, soft: true, warn_at: []}]", "", "a soft budget that never warns"),
        ("budgets: [{usd: 5, per: day, warn_at: [101]}]", "", "not a share of a budget"),
        ("budgets: [{usd: 5, per: total, time_zone: UTC}]", "", "a total never begins anew"),
        ("budgets: [{usd: 5, per: fortnight}]", "", "invalid value `fortnight`"),
        ("limits: {requests_per_week: 5}", "", "unknown key `requests_per_week`"),
        ("model_limits: {other/m: {concurrency: 1}}", "", "`other/m` matches no model"),
        ("model_budgets: {other/m: [{usd: 5, per: day}]}", "", "`other/m` matches no model"),
        ("tags: {a: {limits: {concurrency: 1}}, a: {limits: {concurrency: 2}}}", "", "`a` is there twice"),
        ("tags: {a: {}}", "", "the tag `a` has nothing"),
        ("users: {}", "", "`users` says nothing"),
    ];
    for (tenant, key, expected) in dead {
        let report = try_load(&tenant_with(tenant, key)).unwrap_err().to_string();
        assert!(report.contains(expected), "{tenant}{key}:\n{report}");
    }
    // Equal is not larger, and a shorter stretch may have the smaller limit.
    good(&tenant_with(
        "limits: {requests_per_minute: 5, requests_per_second: 5}",
        ", limits: {requests_per_minute: 5}",
    ));
    good(&tenant_with(
        "budgets: [{usd: 5, per: day}, {usd: 5, per: day, soft: true}]",
        ", budgets: [{usd: 6, per: week}]",
    ));
}

#[test]
fn models_carry_names_limits_and_prices() {
    let text = std::fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let runtime = good(&text);
    let lab = runtime.deployments.iter().find(|d| d.name == "lab").unwrap();
    assert!(lab.models_only && lab.ca_file.is_some() && !lab.quirks.image_urls && lab.quirks.stream_options);
    let large = &lab.models["large"];
    assert_eq!(large.upstream, "Qwen/Qwen3-235B-A22B");
    assert_eq!((large.info.context_tokens, large.info.max_output_tokens), (Some(131_072), Some(16_384)));
    assert_eq!(large.info.thinking, Thinking::None);
    let rates = large.info.price_on(20_000).unwrap().rates(10, None);
    assert_eq!((rates.input, rates.cached, rates.output), (Some(200_000), Some(50_000), Some(600_000)));
    assert_eq!(lab.models["small"].upstream, "Qwen/Qwen3-8B");
    assert!(runtime.prices.version.contains('+'));
    let headers: Vec<_> = lab.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
    assert_eq!(headers, [("x-team", "team-4711")]);
}

#[test]
fn the_access_log_goes_where_it_is_told() {
    let log = |word: &str| good(&with(&format!("telemetry: {{access_log: {word}}}"))).telemetry.access_log;
    assert_eq!(log("off"), AccessLog::Off);
    assert_eq!(log("stdout"), AccessLog::Stdout);
    assert_eq!(log("./access.jsonl"), AccessLog::File("./access.jsonl".into(), None));
    let full = good(&with("telemetry: {access_log: {path: ./a.jsonl, sample: 0.1, rotate: {size: 2MiB}}}")).telemetry;
    let rotation = Rotation { most_bytes: 2 << 20, keep: 5 };
    assert_eq!(full.access_log, AccessLog::File("./a.jsonl".into(), Some(rotation)));
    assert_eq!((full.records, full.otlp), (Fraction(100_000), None));
}

#[test]
#[cfg(feature = "otlp")]
fn a_collector_is_where_it_is_told_and_gets_everything() {
    let otlp = |text: &str| good(&with(&format!("telemetry: {{otlp: {text}}}"))).telemetry.otlp.unwrap();
    let usual = otlp("{endpoint: \"http://otel:4318\"}");
    assert_eq!((usual.endpoint.host.as_str(), usual.endpoint.port, usual.endpoint.path.as_str()), ("otel", 4318, ""));
    assert!(usual.traces && usual.metrics && usual.logs && usual.sample == Fraction::ALL);
    assert_eq!((usual.interval.as_secs(), usual.service_name.as_str()), (60, "weir"));
    let said = otlp(
        "{endpoint: \"https://o.example/otlp/\", headers: {Authorization: Basic x}, logs: false, sample: 0.25, interval: 10s, service_name: gw, resource: {deployment.environment.name: test}}",
    );
    assert_eq!((said.endpoint.tls, said.endpoint.port, said.endpoint.path.as_str()), (true, 443, "/otlp"));
    assert_eq!((said.headers[0].0.as_str(), said.headers[0].1.expose()), ("authorization", "Basic x"));
    assert_eq!((said.logs, said.sample), (false, Fraction(250_000)));
    assert_eq!(said.resource, [("deployment.environment.name".to_owned(), "test".to_owned())]);
}

#[test]
fn a_dump_has_everything_and_no_secret() {
    let text = std::fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let dump = dump::json(&good(&text));
    assert_eq!(dump["providers"]["lab"]["base_url"], "http://10.0.0.7:8000/v1");
    assert_eq!(dump["providers"]["openai"]["api_key"], "[secret]");
    assert_eq!(dump["tenants"]["acme"]["keys"][1]["id"], "acme-prod");
    assert_eq!(dump["tenants"]["acme"]["limits"]["requests_per_minute"], 600);
    let shown = dump.to_string();
    for secret in [
        "sk-openai",
        "lab-secret",
        "admin-token",
        "state-secret",
        "acme-dev-key",
        "3d5950a7b",
        "team-4711",
        "url-secret",
        "signing-secret",
    ] {
        assert!(!shown.contains(secret), "{secret}");
        assert!(!format!("{:?}", good(&text)).contains(secret), "{secret} in the debug form");
    }
}

#[test]
fn without_a_file_the_environment_says_it_all() {
    let env = Table::of(&[("OPENAI_API_KEY", "sk-o"), ("ANTHROPIC_API_KEY", ""), ("WEIR_API_KEY", KEY)]);
    let made = load::from_environment(&env).unwrap();
    assert!(!made.generated && made.key.expose() == KEY);
    let names: Vec<_> = made.runtime.deployments.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["openai"]);
    assert_eq!(made.runtime.deployments[0].api_key.as_ref().unwrap().expose(), "sk-o");
    assert_eq!(made.runtime.server.listen[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(made.runtime.admin.listen.to_string(), "127.0.0.1:8081");
    assert_eq!((made.runtime.tenants[0].id.as_str(), made.runtime.keys.len()), ("default", 1));
}

#[test]
fn without_a_key_one_is_made_up_and_without_a_provider_nothing_runs() {
    let env = Table::of(&[("OPENAI_API_KEY", "sk-o")]);
    let (one, two) = (load::from_environment(&env).unwrap(), load::from_environment(&env).unwrap());
    assert!(one.generated && one.key.expose() != two.key.expose());
    assert_eq!(minted::shape(one.key.expose().as_bytes()), minted::Shape::Whole);
    let report = load::from_environment(&Table::default()).unwrap_err();
    assert!(report.to_string().contains("OPENAI_API_KEY"), "{report}");
}

#[test]
fn the_demo_speaks_to_the_simulator_in_every_format() {
    let at = |port: u16| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let made = load::for_demo(at(9), at(0), at(0), "/tmp/demo".as_ref(), &Table::default()).unwrap();
    let spoken: Vec<_> =
        made.runtime.deployments.iter().map(|d| (d.provider.dialect().as_str(), d.name.as_str())).collect();
    for one in [
        ("chat", "simulator"),
        ("messages", "simulator-anthropic"),
        ("gemini", "simulator-gemini"),
        ("cohere", "simulator-cohere"),
    ] {
        assert!(spoken.contains(&one), "{spoken:?}");
    }
    assert!(made.runtime.deployments.iter().all(|d| d.base.authority == "127.0.0.1:9" && !d.base.tls));
}

#[test]
fn prices_of_a_file_that_is_not_there_are_an_error() {
    let report = try_load(&with("prices: {file: nowhere.yaml}")).unwrap_err();
    assert!(report.to_string().contains("cannot read the file `nowhere.yaml`"), "{report}");
}

#[test]
fn amazon_is_found_where_its_own_programs_look() {
    let host = |pairs: &[(&str, &str)]| {
        let mut all = vec![("WEIR_API_KEY", KEY)];
        all.extend_from_slice(pairs);
        let made = load::from_environment(&Table::of(&all)).ok()?;
        let found = made.runtime.deployments.iter().find(|d| d.name == "bedrock");
        found.map(|d| (d.base.host.clone(), d.api_key.is_some()))
    };
    let eu = |bearer| Some(("bedrock-runtime.eu-west-1.amazonaws.com".to_owned(), bearer));
    let (region, keys) = (("AWS_REGION", "eu-west-1"), [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "s")]);
    assert_eq!(host(&[region, ("AWS_BEARER_TOKEN_BEDROCK", "b")]), eu(true));
    assert_eq!(host(&[region, keys[0], keys[1]]), eu(false));
    assert_eq!(host(&[("AWS_DEFAULT_REGION", "eu-west-1"), keys[0], keys[1], ("AWS_SESSION_TOKEN", "t")]), eu(false));
    assert_eq!(host(&[("OPENAI_API_KEY", "k"), ("AWS_BEARER_TOKEN_BEDROCK", "b")]), None, "no region");
    assert_eq!(host(&[("OPENAI_API_KEY", "k"), region, keys[0]]), None, "half of the keys");
}

#[test]
fn a_region_stands_in_the_address_and_nowhere_else() {
    let runtime = good(
        "providers:\n  eu: {kind: bedrock, region: eu-central-1, access_key_id: A, secret_access_key: s}\n\
         \x20 proxied: {kind: bedrock, base_url: 'http://127.0.0.1:9/aws', api_key: k}\n\
         \x20 theirs: {kind: bedrock, region: us-gov-west-1, api_key: ''}\n\
         tenants: {t: {keys: [{id: k, secret: kkkk}]}}\n",
    );
    let hosts: Vec<_> = runtime.deployments.iter().map(|d| (d.base.host.as_str(), d.base.path.as_str())).collect();
    let amazon = ["bedrock-runtime.eu-central-1.amazonaws.com", "bedrock-runtime.us-gov-west-1.amazonaws.com"];
    assert_eq!(hosts, [(amazon[0], ""), ("127.0.0.1", "/aws"), (amazon[1], "")]);
    let shown = dump::json(&runtime)["providers"]["eu"].clone();
    assert_eq!(shown["region"], "eu-central-1", "{shown}");
}

#[test]
fn clouds_are_found_in_the_environment() {
    let azure = [("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_ENDPOINT", "https://r.openai.azure.com/")];
    let vertex =
        [("GOOGLE_CLOUD_PROJECT", "p"), ("GOOGLE_GENAI_USE_VERTEXAI", "True"), ("OPENAI_API_VERSION", "2024-10-21")];
    let made = load::from_environment(&Table::of(&[azure.as_slice(), &vertex].concat())).unwrap().runtime;
    let place = |d: &weir::config::runtime::Deployment| format!("{}{}", d.base.authority, d.base.path);
    let all: Vec<_> = made.deployments.iter().map(|d| (d.name.as_str(), place(d))).collect();
    assert_eq!(
        all,
        [("azure", "r.openai.azure.com/openai".to_owned()), ("vertex", "aiplatform.googleapis.com".to_owned()),]
    );
    assert_eq!(made.deployments[0].vars, [("api_version", "2024-10-21".to_owned())]);
    assert_eq!(made.deployments[1].vars, [("location", "global".to_owned()), ("project", "p".to_owned())]);
    let made = load::from_environment(&Table::of(&azure)).unwrap().runtime;
    assert_eq!(place(&made.deployments[0]), "r.openai.azure.com/openai/v1");
    assert!(load::from_environment(&Table::of(&vertex[..1])).is_err(), "a project alone asks for nothing");
}

#[test]
fn the_address_of_vertex_is_that_of_its_location() {
    for (location, host) in [
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("us", "aiplatform.us.rep.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ] {
        let runtime = good(&format!(
            "providers: {{vertex: {{project: p, location: {location}, access_token: t}}}}\n\
             tenants: {{t: {{keys: [{{id: k, secret: kkkk}}]}}}}\n"
        ));
        assert_eq!(runtime.deployments[0].base.host, host);
    }
}
