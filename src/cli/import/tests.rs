//! Whole files, in and out: what is written, what is said of the rest, and that it is a configuration.

use crate::config::env::Table;
use crate::config::load;

use super::*;

const FULL: &str = include_str!("../../../tests/fixtures/import/full.yaml");
const KEYS: &str = include_str!("../../../tests/fixtures/import/keys.json");
const SMALL: &str = include_str!("../../../tests/fixtures/import/small.yaml");

fn imported(files: &[(&str, &str)]) -> Imported {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    litellm(&files).unwrap()
}

fn told(imported: &Imported) -> String {
    let line = |note: &Note| format!("{}:{}: {}: {}\n", note.file, note.line, note.what, note.why);
    let of = |notes: &[Note]| notes.iter().map(line).collect::<String>();
    format!("changed\n{}\nlost\n{}", of(&imported.notes.changed), of(&imported.notes.lost))
}

/// What is wrong with it where every variable that it names is set.
fn problems(text: &str) -> Vec<String> {
    let mut env = Table::default().with_file("/etc/weir/google.json", SERVICE_ACCOUNT);
    for name in text.split("${").skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name) {
        let value = match name {
            _ if name.contains("DATABASE") => "postgres://weir@db.internal/weir",
            _ if name.contains("BASE") || name.contains("URL") => "https://example.com",
            _ if name.contains("PORT") => "6379",
            _ if name.contains("HOST") => "redis.internal",
            _ if name.contains("REGION") => "eu-west-1",
            _ => name,
        };
        env.vars.insert(name.to_owned(), value.to_owned());
    }
    match load::from_text(text, "weir.yaml", &env) {
        Ok(_) => Vec::new(),
        Err(report) => {
            report.to_string().lines().filter_map(|l| l.strip_prefix("error: ")).map(str::to_owned).collect()
        }
    }
}

const SERVICE_ACCOUNT: &str = r#"{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"t"}"#;

fn is_good(text: &str) {
    let problems = problems(text);
    assert!(problems.is_empty(), "{problems:#?}\n{text}");
}

#[test]
fn a_whole_proxy_is_carried_over_and_what_is_not_is_listed() {
    let imported = imported(&[("config.yaml", FULL), ("keys.json", KEYS)]);
    insta::assert_snapshot!("full", imported.configuration);
    insta::assert_snapshot!("full_told", told(&imported));
    is_good(&imported.configuration);
}

#[test]
fn a_small_one_needs_nothing_else() {
    let imported = imported(&[("config.yaml", SMALL)]);
    insta::assert_snapshot!("small", imported.configuration);
    assert!(imported.notes.lost.is_empty() && imported.notes.changed.is_empty(), "{}", told(&imported));
    assert_eq!(problems(&imported.configuration), Vec::<String>::new());
}

/// The point of carrying hashes: `sk-1234567890` opens the gateway as it opened the proxy.
#[test]
fn a_client_keeps_its_key() {
    let imported = imported(&[("config.yaml", SMALL), ("keys.json", KEYS)]);
    let hash = load::hash_of("sk-1234567890");
    assert!(KEYS.contains(&hash) && imported.configuration.contains(&hash));
}

/// A key that could use some models must never come out as one that may use all.
#[test]
fn nothing_is_opened_that_was_closed() {
    let with = |more: &str| key_of(more, None, &[]).0;
    assert!(!with("\"models\": []").contains("active"));
    for closed in [
        "\"models\": [\"gone\"]",
        "\"blocked\": true",
        "\"max_budget\": 0",
        "\"rpm_limit\": 0",
        "\"expires\": \"soon\"",
    ] {
        assert!(with(closed).contains("active: false"), "{closed}: {}", with(closed));
    }
    assert!(with("\"models\": [\"gone\", \"local\"]").contains("models: [local]"));
}

const TOKEN: &str = "0f4b5a1f36e2b5a24b4e7c32b3a4c1d2e3f405162738495a6b7c8d9eafb0c1d2";

/// The key `K` with these members, of that team if any, as it comes out; `files` have more.
fn key_of(members: &str, team: Option<&str>, files: &[(&str, &str)]) -> (String, Imported) {
    let team = team.map_or_else(|| "null".to_owned(), |team| format!("\"{team}\""));
    let keys = format!("[{{\"token\": \"{TOKEN}\", \"key_alias\": \"K\", \"team_id\": {team}, {members}}}]");
    let imported = imported(&[&[("c", SMALL), ("k", keys.as_str())], files].concat());
    is_good(&imported.configuration);
    let config = &imported.configuration;
    let key = ["- id: K", "- {id: K", "[{id: K"].iter().find_map(|begin| config.split_once(begin));
    let (_, key) = key.unwrap_or_else(|| panic!("{config}"));
    (key.split("- ").next().unwrap().to_owned(), imported)
}

/// Whichever file comes first: a key is what its team lets it be.
#[test]
fn a_key_of_a_blocked_team_is_off_wherever_its_team_stands() {
    let (blocked, open) = (r#"[{"team_id": "t", "blocked": true}]"#, r#"[{"team_id": "t", "blocked": false}]"#);
    assert!(key_of("\"models\": []", Some("t"), &[("teams", blocked)]).0.contains("active: false"));
    assert!(!key_of("\"models\": []", Some("t"), &[("teams", open)]).0.contains("active"));
    // What a team that nobody names would let it do is not known.
    let (key, imported) = key_of("\"models\": []", Some("gone"), &[("teams", open)]);
    assert!(key.contains("active: false") && told(&imported).contains("key K: team_id: its team is in no list"));
}

#[test]
fn limits_that_a_tenant_never_reaches_are_its_own() {
    let team = r#"[{"team_id": "t", "rpm_limit": 60, "max_budget": 10, "budget_duration": "30d",
        "metadata": {"model_rpm_limit": {"local": 61}, "model_tpm_limit": {"local": 1000}}}]"#;
    let more = "\"rpm_limit\": 100, \"tpm_limit\": 5, \"max_budget\": 20, \"budget_duration\": \"30d\"";
    let (key, imported) = key_of(more, Some("t"), &[("teams", team)]);
    assert!(key.contains("tokens_per_minute: 5"), "{key}");
    assert!(!key.split("\n    limits").next().unwrap().contains("requests_per_minute: 100"), "{key}");
    assert!(!key.contains("usd: 20") && key.contains("usd: 10"), "the team's: {key}");
    let told = told(&imported);
    assert_eq!(told.matches("more than all of its tenant may have").count(), 3, "{told}");
    assert!(imported.configuration.contains("{tokens_per_minute: 1000}"), "{}", imported.configuration);
}

/// A shared budget holds where a key says nothing of its own; one that is not in the list is missed.
#[test]
fn a_shared_budget_is_a_keys_budget() {
    let tier = "\"budget_id\": \"gold\", \"tpm_limit\": null, \"rpm_limit\": 5, \
        \"litellm_budget_table\": {\"budget_id\": \"gold\", \"max_budget\": 7, \"budget_duration\": \"7d\", \"tpm_limit\": 900, \"rpm_limit\": 50, \"created_by\": \"x\"}";
    let (key, imported) = key_of(tier, None, &[]);
    assert!(
        key.contains("requests_per_minute: 5, tokens_per_minute: 900") && key.contains("{usd: 7, per: week}"),
        "{key}"
    );
    assert!(!told(&imported).contains("budget_id"));
    let (_, imported) = key_of("\"budget_id\": \"gold\", \"litellm_budget_table\": null", None, &[]);
    assert!(told(&imported).contains("key K: budget_id: what it allows is not in the list"));
}

#[test]
fn a_deployment_that_names_a_credential_keeps_what_it_says_itself() {
    let config = r#"
credential_list: [{credential_name: shared, credential_values: {api_key: os.environ/SHARED_KEY, api_base: "http://shared:1/v1"}}]
model_list: [{model_name: m, litellm_params: {model: hosted_vllm/m, litellm_credential_name: shared, api_base: "http://own:1/v1", timeout: 5}}]
"#;
    let imported = imported(&[("c", config)]);
    is_good(&imported.configuration);
    let text = &imported.configuration;
    assert!(text.contains("http://own:1/v1") && text.contains("${SHARED_KEY}") && text.contains("total: 5s"), "{text}");
    assert!(imported.notes.lost.is_empty(), "{}", told(&imported));
}

/// As in a price file: tiers, service tiers, other units; what has no class is listed.
#[test]
fn the_price_of_a_deployment_is_read_as_that_of_a_price_file() {
    let config = r#"
model_list:
- model_name: m
  litellm_params: {model: hosted_vllm/m, api_base: "http://own:1/v1", input_cost_per_token: 1e-06, output_cost_per_token: 2e-06}
  model_info:
    input_cost_per_token: 9e-06
- model_name: n
  litellm_params: {model: hosted_vllm/n, api_base: "http://own:1/v1"}
  model_info:
    input_cost_per_token: 1.25e-06
    input_cost_per_token_above_200k_tokens: 2.5e-06
    output_cost_per_token: 1e-05
    output_cost_per_token_batches: 5e-06
    input_cost_per_character: 0.000015
    search_context_cost_per_query: {search_context_size_low: 0.03, search_context_size_medium: 0.035}
    output_cost_per_video_per_second: 0.1
"#;
    let imported = imported(&[("c", config)]);
    is_good(&imported.configuration);
    let text = imported.configuration.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("m: {price: {input: 1, output: 2}}"), "{text}");
    for part in
        ["input: 1.25", "character: 15", "web_search: 0.035", "{above: 200000, input: 2.5}", "batch: {output: 5}"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(told(&imported).matches("output_cost_per_video_per_second").count(), 1, "{}", told(&imported));
}

/// What narrowed or guarded something is never dropped in silence.
#[test]
fn what_holds_no_more_is_listed() {
    let config = "model_list:\n- {model_name: m, litellm_params: {model: openai/m, api_key: k, max_retries: 5}, model_info: {id: x, team_id: t}}\n";
    let teams = r#"[{"team_id": "t", "team_alias": "T", "models": [], "metadata": {"guardrails": ["pii"]}}]"#;
    let key = format!("[{{\"token\": \"{TOKEN}\", \"team_id\": \"t\", \"models\": []}}]");
    let imported = imported(&[("c", config), ("teams", teams), ("keys", &key)]);
    is_good(&imported.configuration);
    assert!(!imported.configuration.contains("[]"), "{}", imported.configuration);
    let told = told(&imported);
    for lost in ["model_list: m: max_retries: ", "model_list: m: team_id: a model of one team", "team T: guardrails: "]
    {
        assert_eq!(told.split_once("\nlost\n").unwrap().1.matches(lost).count(), 1, "{lost}: {told}");
    }
}

/// LiteLLM asks the lowest order that is said, and whoever says none only after all of these.
#[test]
fn what_has_an_order_comes_before_what_has_none() {
    let config = r#"
model_list:
- {model_name: big, litellm_params: {model: openai/gpt-4o, api_key: k}}
- {model_name: big, litellm_params: {model: mistral/large, api_key: k}, model_info: {order: 2}}
- {model_name: big, litellm_params: {model: anthropic/claude, api_key: k, order: 1, num_retries: 7}}
"#;
    let imported = imported(&[("c", config)]);
    is_good(&imported.configuration);
    let at = |model: &str| imported.configuration.find(&format!("model: {model}")).unwrap();
    assert!(at("anthropic/claude") < at("mistral/large"), "{}", imported.configuration);
    assert!(at("mistral/large") < at("openai/gpt-4o"), "{}", imported.configuration);
    assert!(told(&imported).contains("big: num_retries: how often is tried again"), "{}", told(&imported));
}

const FALLBACKS: &str = r#"
model_list:
- {model_name: big, litellm_params: {model: anthropic/claude, api_key: k}}
- {model_name: small, litellm_params: {model: openai/gpt-4o-mini, api_key: k}}
- {model_name: tiny, litellm_params: {model: mistral/tiny, api_key: k}}
- {model_name: spare, litellm_params: {model: gemini/gemini-2.5-flash, api_key: k}}
- {model_name: "openai/*", litellm_params: {model: "openai/*", api_key: k}}
router_settings:
  fallbacks:
  - "*": [spare]
  - "openai/gpt-4.1": [spare]
  - small: ["openai/gpt-4.1"]
  - alias1: [tiny]
  - big: [{model: tiny, temperature: 1}, {messages: []}]
  - typo: [spare]
  model_group_alias: {alias1: big, alias2: tiny}
general_settings: {store_model_in_db: true}
"#;

#[test]
fn every_fallback_is_carried_or_listed() {
    let imported = imported(&[("c", FALLBACKS)]);
    is_good(&imported.configuration);
    let text = imported.configuration.split_whitespace().collect::<Vec<_>>().join(" ");
    for carried in [
        "small: strategy: fallback targets: [{model: openai/gpt-4o-mini}, {model: openai/gpt-4.1}]",
        "big: strategy: fallback targets: [{model: anthropic/claude}, {model: mistral/tiny}]",
        "tiny: strategy: fallback targets: [{model: mistral/tiny}, {model: gemini/gemini-2.5-flash}]",
        "alias2: strategy: fallback targets: [{model: mistral/tiny}, {model: gemini/gemini-2.5-flash}]",
    ] {
        assert!(text.contains(carried), "{carried}: {}", imported.configuration);
    }
    let told = told(&imported);
    for lost in [
        "fallbacks: openai/gpt-4.1: a name behind a provider's prefix has no fallback",
        "fallbacks: openai/*: a name behind a provider's prefix has no fallback",
        "fallbacks: big: tiny: requests are not changed",
        "fallbacks: big: an entry names no model",
        "fallbacks: typo: there is no such model",
        "store_model_in_db: models that are kept in its database",
    ] {
        assert_eq!(told.split_once("\nlost\n").unwrap().1.matches(lost).count(), 1, "{lost}: {told}");
    }
}

/// A password that went through TLS never goes out in the clear, or as somebody else's.
#[test]
fn a_store_keeps_its_user_its_database_and_its_encryption() {
    let of = |settings: &str| imported(&[("c", settings)]);
    let own = of(
        "general_settings: {coordination_redis: {host: h, port: 6380, password: pw, ssl: true, username: u, db: 3, startup_nodes: [{host: a}]}}\n",
    );
    assert!(own.configuration.contains("rediss://u:pw@h:6380/3"), "{}", own.configuration);
    assert!(told(&own).contains("coordination_redis: startup_nodes: "), "{}", told(&own));
    let variable = of("router_settings: {redis_host: h, redis_db: 1, redis_ssl: os.environ/TLS}\n");
    assert!(variable.configuration.contains("rediss://h:6379/1"), "{}", variable.configuration);
    assert!(told(&variable).contains("redis_ssl: taken as true"), "{}", told(&variable));
    let url = of("router_settings: {redis_url: os.environ/REDIS_URL, redis_ssl: true}\n");
    assert!(url.configuration.contains("${REDIS_URL}"), "{}", url.configuration);
    assert!(told(&url).contains("redis_ssl: of a store that is given as a URL"), "{}", told(&url));
    let both = of("router_settings: {redis_host: r}\ngeneral_settings: {coordination_redis: {host: c}}\n");
    assert!(both.configuration.contains("redis://c:6379"), "{}", both.configuration);
    assert!(told(&both).contains("that of `router_settings` is used no more"), "{}", told(&both));
}

#[test]
fn what_stands_before_a_models_name_is_no_part_of_it() {
    let config = r#"
model_list:
- {model_name: o1, litellm_params: {model: azure/responses/o_series/my-o1, api_base: "https://a.example", api_key: k}}
- {model_name: g5, litellm_params: {model: azure/gpt5_series/my-5, api_base: "https://a.example", api_key: k}}
- {model_name: b, litellm_params: {model: bedrock/converse/us-west-2/anthropic.claude-v2}}
- {model_name: arn, litellm_params: {model: "bedrock/arn:aws:bedrock:eu-west-3:1:application-inference-profile/abc"}}
- {model_name: "*", litellm_params: {model: "*"}}
"#;
    let imported = imported(&[("c", config)]);
    is_good(&imported.configuration);
    let text = &imported.configuration;
    for part in ["azure/my-o1", "azure/my-5", "region: us-west-2", "/anthropic.claude-v2", "region: eu-west-3"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("us-west-2/") && !text.contains("AWS_REGION_NAME"), "{text}");
    assert!(told(&imported).contains("model_list: *: there it is any vendor's model"), "{}", told(&imported));
}

/// There are credentials in it.
#[test]
fn the_new_file_is_its_owners_to_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let path = std::env::temp_dir().join(format!("weir-import-{}.yaml", std::process::id()));
    let _ = std::fs::remove_file(&path);
    write_new(&path, "a: b\n").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(write_new(&path, "").is_err(), "never written over");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn lengths_of_time_become_periods_of_the_calendar() {
    for (duration, per, is_near) in [
        (None, "total", false),
        (Some("1d"), "day", true),
        (Some("24h"), "day", true),
        (Some("1h"), "day", true),
        (Some("7d"), "week", true),
        (Some("1mo"), "month", true),
        (Some("31d"), "month", true),
        (Some("32d"), "total", true),
        (Some("90d"), "total", true),
        (Some("1y"), "total", true),
    ] {
        let (map, why) = keys::budget("12.50", duration).unwrap();
        assert_eq!(map.get("per"), Some(&Yaml::from(per)), "{duration:?}");
        assert_eq!(map.get("usd"), Some(&Yaml::from("12.5")));
        assert_eq!(why.is_some(), is_near, "{duration:?}");
    }
    assert!(keys::budget("0", None).is_none() && keys::budget("free", None).is_none());
}

#[test]
fn what_is_no_configuration_is_refused_with_its_line() {
    let files = |text: &str| litellm(&[("c.yaml".to_owned(), text.to_owned())]);
    let report = files("model_list:\n  - model_name: [\n").unwrap_err().to_string();
    assert!(report.contains("c.yaml:"), "{report}");
    assert!(files("").is_err());
    for odd in ["- a\n", "x\n", "7"] {
        let report = files(odd).unwrap_err().to_string();
        assert!(report.contains("expected the settings"), "{odd}: {report}");
    }
    for odd in ["model_list: x\n", "\nmodel_list: {model_name: m}\n"] {
        let report = files(odd).unwrap_err().to_string();
        assert!(report.contains("no list of models"), "{report}");
    }
}

#[test]
fn a_model_without_a_name_is_no_route() {
    let config = "model_list:\n- litellm_params: {model: openai/m, api_key: k}\n- {model_name: n, litellm_params: {model: openai/m, api_key: k}}\n";
    let imported = imported(&[("c", config)]);
    is_good(&imported.configuration);
    assert!(!imported.configuration.contains("\"\":"), "{}", imported.configuration);
    assert!(told(&imported).contains("no `model_name`"), "{}", told(&imported));
}

/// A password ends at `@` and `/` in a URL, and a configuration with that would be refused.
#[test]
fn a_password_in_a_url_is_percent_encoded() {
    let config = "router_settings: {redis_host: h, redis_port: 6379, redis_password: 'p@ss:/w$'}\n";
    let imported = imported(&[("c", config)]);
    assert!(imported.configuration.contains("redis://:p%40ss%3A%2Fw%24@h:6379"), "{}", imported.configuration);
    let problems = problems(&imported.configuration);
    assert!(!problems.iter().any(|problem| problem.contains("store")), "{problems:?}");
}

#[test]
fn what_is_no_list_of_keys_is_refused_and_a_part_of_one_is_said_to_be() {
    let files =
        |keys: &str| litellm(&[("c.yaml".to_owned(), SMALL.to_owned()), ("keys.json".to_owned(), keys.to_owned())]);
    for odd in ["<html>no</html>", "not json", r#"{"keys": 5}"#, r#"{"error": {"message": "no", "code": "401"}}"#] {
        let report = files(odd).unwrap_err().to_string();
        assert!(report.contains("keys.json") && report.contains("no list of keys"), "{odd}: {report}");
    }
    let key = r#"{"token": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b"}"#;
    let page = |rest: &str| told(&files(&format!(r#"{{"keys": [{key}], {rest}}}"#)).unwrap()).contains("more pages");
    assert!(page(r#""total_count": 150, "current_page": 1, "total_pages": 2"#));
    assert!(page(r#""total_count": 2"#));
    assert!(!page(r#""total_count": 1, "current_page": 1, "total_pages": 1"#));
    assert!(!page(r#""total_count": 101, "current_page": 2, "total_pages": 2"#));
    assert!(!told(&files(&format!("[{key}]")).unwrap()).contains("more pages"));
}

#[test]
fn secrets_are_in_the_configuration_and_nowhere_else() {
    let imported = imported(&[("config.yaml", FULL), ("keys.json", KEYS)]);
    assert!(imported.configuration.contains("sk-lit$$eral"));
    assert!(!told(&imported).contains("sk-lit"));
}
