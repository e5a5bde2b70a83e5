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

/// Options that are made elsewhere at the same time: a build without them says that it does not know them.
const LATER: [&str; 2] = ["shared", "alerts"];

fn is_good(text: &str) {
    let is_later = |problem: &String| LATER.iter().any(|name| problem.contains(&format!("`{name}`")));
    let problems: Vec<_> = problems(text).into_iter().filter(|problem| !is_later(problem)).collect();
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
    let keys = r#"[{"token": "0f4b5a1f36e2b5a24b4e7c32b3a4c1d2e3f405162738495a6b7c8d9eafb0c1d2", "key_alias": "K", "MORE": 1}]"#;
    let with = |more: &str| {
        let config = imported(&[("c", SMALL), ("k", &keys.replace("\"MORE\": 1", more))]).configuration;
        is_good(&config);
        let (_, key) = config.split_once("- id: K").or_else(|| config.split_once("- {id: K")).unwrap();
        key.split("- ").next().unwrap().to_owned()
    };
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

#[test]
fn lengths_of_time_become_periods_of_the_calendar() {
    for (duration, per, is_near) in [
        (None, "total", false),
        (Some("1d"), "day", true),
        (Some("24h"), "day", true),
        (Some("1h"), "day", true),
        (Some("7d"), "week", true),
        (Some("1mo"), "month", true),
        (Some("90d"), "month", true),
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
}

#[test]
fn secrets_are_in_the_configuration_and_nowhere_else() {
    let imported = imported(&[("config.yaml", FULL), ("keys.json", KEYS)]);
    assert!(imported.configuration.contains("sk-lit$$eral"));
    assert!(!told(&imported).contains("sk-lit"));
}
