//! What is in `conf/`.

use weir::config::raw::Config;
use weir::config::read::{Context, Settings};
use weir::config::telemetry::{AccessLog, Otlp};
use weir::config::{load, schema, yaml};

use crate::world::{bless, good, root, world, yaml_files};

#[test]
fn every_file_loads() {
    let mut files = yaml_files(&root().join("conf"));
    files.extend(yaml_files(&root().join("conf/examples")));
    assert!(files.len() >= 7, "files are missing");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let loaded = load::from_text(&text, &path.display().to_string(), &world());
        if let Err(report) = loaded {
            panic!("{report}");
        }
    }
}

/// Who copies an example with the hash of a word has a gateway that opens to that word.
#[test]
fn hashes_that_are_shown_are_of_nothing_that_anybody_knows() {
    let words = "foo bar baz qux test secret password passw0rd admin root token key changeme default example hello \
                 hello world 123 1234 12345 123456 12345678 weir acme acme-dev acme-prod demo dev prod \
                 prometheus viewer sk-1234 sk-test weir-secret my-secret my-key";
    let known: Vec<String> = words.split_whitespace().chain(["", "hello world"]).map(load::hash_of).collect();
    let folders =
        ["docs", "conf", "conf/examples", "deploy", "deploy/kubernetes", "."].map(|folder| root().join(folder));
    let paths = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let mut seen = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|e| e == "md" || e == "yaml")) {
        let text = std::fs::read_to_string(&path).unwrap();
        let found = known.iter().find(|hash| text.contains(*hash));
        assert_eq!(found, None, "{} has the hash of a word", path.display());
        seen += 1;
    }
    assert!(seen > 30, "{seen} files: the search for them is broken");
}

#[test]
fn the_schema_is_current() {
    let path = root().join("conf/schema.json");
    let current = schema::text();
    if bless() {
        std::fs::write(&path, &current).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == current, "conf/schema.json is not current: WEIR_BLESS=1 cargo test --test conf");
}

/// Paths of all options, `providers.*.api_key` and the like, from the schema.
#[expect(clippy::disallowed_types, reason = "a schema is free-form JSON")]
fn options() -> Vec<Vec<String>> {
    use serde_json::Value;
    fn walk(node: &Value, root: &Value, path: &[String], found: &mut Vec<Vec<String>>) {
        if let Some(target) = node.get("$ref").and_then(Value::as_str) {
            // What a price may say is documented where prices are.
            if !target.ends_with("RawPrice") {
                walk(root.pointer(target.trim_start_matches('#')).unwrap(), root, path, found);
            }
        }
        for branch in node.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            walk(branch, root, path, found);
        }
        if let Some(items) = node.get("items") {
            walk(items, root, path, found);
        }
        if let Some(any) = node.get("additionalProperties").filter(|any| any.is_object()) {
            walk(any, root, &[path, &["*".to_owned()]].concat(), found);
        }
        for (name, property) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = [path, std::slice::from_ref(name)].concat();
            assert!(property["description"].as_str().is_some_and(|d| d.len() > 10), "{path:?} is undocumented");
            found.push(path.clone());
            // Groups of targets hold targets.
            if path.iter().filter(|part| *part == name).count() > 1 {
                continue;
            }
            walk(property, root, &path, found);
        }
    }
    let schema: Value = serde_json::from_str(&schema::text()).unwrap();
    let mut found = Vec::new();
    walk(&schema, &schema, &[], &mut found);
    found
}

/// Whether the tree has something at the path; `*` is any name.
fn has(node: &yaml::Node, path: &[String]) -> bool {
    match (&node.kind, path) {
        (_, []) => true,
        (yaml::Kind::List(items), _) => items.iter().any(|item| has(item, path)),
        (yaml::Kind::Map(entries), [name, rest @ ..]) => {
            entries.iter().any(|e| (name == "*" || *name == e.name) && has(&e.value, rest))
        }
        _ => false,
    }
}

#[test]
fn the_reference_has_every_option() {
    let text = std::fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let world = world();
    let tree = yaml::parse(&text, &mut Context::new(&world)).unwrap();
    let options = options();
    assert!(options.len() > 70, "the schema is poor: {}", options.len());
    let missing: Vec<_> = options.iter().filter(|path| !has(&tree, path)).map(|path| path.join(".")).collect();
    assert!(missing.is_empty(), "missing in conf/reference.yaml: {missing:?}");
}

#[test]
fn the_reference_tells_the_defaults() {
    let text = std::fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let reference = good(&text);
    let nothing = good(&crate::world::with(""));
    assert_eq!((&nothing.telemetry.access_log, &nothing.telemetry.otlp), (&AccessLog::Stdout, &None));
    assert_eq!(reference.telemetry.records, nothing.telemetry.records);
    // What a file and a collector have where nothing else is said: neither is a default.
    let said = good(&crate::world::with(
        "telemetry: {access_log: {path: a.log, rotate: {}}, otlp: {endpoint: \"http://otel:4318\"}}",
    ));
    let AccessLog::File(_, rotation) = &reference.telemetry.access_log else { panic!() };
    assert_eq!(said.telemetry.access_log, AccessLog::File("a.log".into(), *rotation));
    let otlp = reference.telemetry.otlp.clone().map(|otlp| Otlp { headers: Vec::new(), resource: Vec::new(), ..otlp });
    assert_eq!(said.telemetry.otlp, otlp);
    // Neither a key is a default, nor what is left out.
    let kept = |r: &weir::config::runtime::Runtime| (r.telemetry.capture.most_bytes, r.telemetry.capture.keep);
    assert_eq!(kept(&reference), kept(&nothing));
    assert_eq!(reference.server.listen[0].address, nothing.server.listen[0].address);
    assert_eq!(reference.server.max_body_bytes, nothing.server.max_body_bytes);
    assert_eq!(reference.server.max_answer_bytes, nothing.server.max_answer_bytes);
    let waits = |r: &weir::config::runtime::Runtime| {
        (r.server.body_timeout, r.server.keepalive, r.server.write_timeout, r.server.grace_period)
    };
    assert_eq!(waits(&reference), waits(&nothing));
    // Neither a fleet's database is a default, nor its store.
    let mut state = reference.state.clone();
    assert!(state.database.take().is_some() && state.shared.take().is_some());
    assert_eq!((reference.attempts, &state), (nothing.attempts, &nothing.state));
    let without_webhooks =
        weir::config::alerts::Alerts { webhooks: Vec::new(), ..weir::config::alerts::Alerts::clone(&reference.alerts) };
    assert_eq!(without_webhooks, *nothing.alerts);
    assert_eq!(without_webhooks, weir::config::alerts::Alerts::default());
    let openai = reference.deployments.iter().find(|d| d.name == "openai").unwrap();
    assert_eq!(openai.timeouts, nothing.deployments[0].timeouts);
}

#[test]
fn the_sections_are_documented_in_the_order_of_the_reference() {
    let text = std::fs::read_to_string(root().join("conf/reference.yaml")).unwrap();
    let at = |name: &str| text.find(&format!("\n{name}:")).unwrap_or_else(|| panic!("{name} is missing"));
    let places: Vec<_> = Config::FIELDS.iter().map(|f| at(f.name)).collect();
    assert!(places.is_sorted(), "{places:?}");
}
