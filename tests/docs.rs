//! The documents: what they point to is there, what they say to type works, and the pages that are
//! written from the code are current (`WEIR_BLESS=1 cargo test --test docs` writes them again).
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "the schema is read as a tree")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[cfg(test)]
#[path = "docs/commands.rs"]
mod commands;
#[cfg(test)]
#[path = "support/mod.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole program, which use other parts of it")]
mod support;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};
use weir::error::{Face, Kind, Origin, Retry};
use weir::telemetry::names::{self, Metric};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A document: its path, its name for messages, its text.
struct Page {
    path: PathBuf,
    name: String,
    text: String,
}

fn pages() -> Vec<Page> {
    let mut paths = Vec::new();
    for directory in [root().to_owned(), root().join("docs"), root().join("benches")] {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    paths.sort();
    let page = |path: PathBuf| Page {
        name: path.strip_prefix(root()).unwrap().display().to_string(),
        text: fs::read_to_string(&path).unwrap(),
        path,
    };
    paths.into_iter().map(page).collect()
}

impl Page {
    /// The lines inside fenced blocks.
    fn fenced(&self) -> Vec<&str> {
        let mut inside = false;
        let mut lines = Vec::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if inside {
                lines.push(line.trim());
            }
        }
        lines
    }

    /// What stands between single backticks outside fenced blocks.
    fn spans(&self) -> Vec<&str> {
        let mut inside = false;
        let mut spans = Vec::new();
        for line in self.text.lines() {
            if line.trim_start().starts_with("```") {
                inside = !inside;
            } else if !inside {
                spans.extend(line.split('`').skip(1).step_by(2));
            }
        }
        spans
    }

    /// Everything that looks like something to type.
    fn commands(&self, first: &str) -> Vec<String> {
        let typed = self.fenced().into_iter().chain(self.spans());
        let parts = typed.flat_map(|line| line.split(" #").next().unwrap_or_default().split("&&"));
        parts.map(without_variables).filter(|command| command.starts_with(first)).collect()
    }
}

/// `KEY=value weir run` is `weir run`.
fn without_variables(command: &str) -> String {
    let is_variable =
        |word: &&str| word.split_once('=').is_some_and(|(name, _)| !name.is_empty() && !name.contains('-'));
    command.split_whitespace().skip_while(is_variable).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_documents_are_there() {
    let names: BTreeSet<String> = pages().into_iter().map(|page| page.name).collect();
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/alerts.md",
        "docs/cache.md",
        "docs/capture.md",
        "docs/cells.md",
        "docs/clients.md",
        "docs/compression.md",
        "docs/configuration.md",
        "docs/deployment.md",
        "docs/embeddings.md",
        "docs/errors.md",
        "docs/keys.md",
        "docs/ledger.md",
        "docs/limits.md",
        "docs/metrics.md",
        "docs/migration.md",
        "docs/operations.md",
        "docs/passing.md",
        "docs/prices.md",
        "docs/providers.md",
        "docs/quickstart.md",
        "docs/replicas.md",
        "docs/routing.md",
        "docs/security.md",
        "docs/telemetry.md",
        "docs/tools.md",
        "docs/translation.md",
        "docs/troubleshooting.md",
    ] {
        assert!(names.contains(name), "{name} is missing");
    }
    assert!(fs::read_to_string(root().join("LICENSE")).unwrap().contains("Apache License"));
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut dead = Vec::new();
    for page in pages() {
        for rest in page.text.split("](").skip(1) {
            let target = rest.split(')').next().unwrap_or_default();
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { page.path.clone() } else { page.path.parent().unwrap().join(file) };
            if !path.exists() {
                dead.push(format!("{}: {target} is not there", page.name));
                continue;
            }
            if !heading.is_empty() {
                let text = fs::read_to_string(&path).unwrap();
                let is_it = |line: &str| line.starts_with('#') && anchor(line) == heading;
                if !text.lines().any(is_it) {
                    dead.push(format!("{}: {target} has no such heading", page.name));
                }
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

/// Paths of this repository that a text names: they begin with one of its folders.
fn named_files(text: &str) -> impl Iterator<Item = &str> {
    const FOLDERS: [&str; 7] = ["conf/", "src/", "tests/", "scripts/", "fuzz/", "docs/", "benches/"];
    let ends = |c: char| !(c.is_alphanumeric() || "./_-".contains(c));
    let words = text.split(ends).map(|word| word.trim_end_matches(['.', '-']));
    words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)))
}

#[test]
fn files_that_are_named_are_there() {
    // Made by running something, not kept.
    const MADE: [&str; 2] = ["fuzz/corpus", "fuzz/artifacts"];
    let mut missing = Vec::new();
    for page in pages() {
        for name in named_files(&page.text) {
            if !MADE.contains(&name) && !root().join(name).exists() {
                missing.push(format!("{} names {name}", page.name));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn make_targets_are_there() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = 0;
    for page in pages() {
        for command in page.commands("make ") {
            let target = command.split_whitespace().nth(1).unwrap_or_default();
            let is_there = makefile.lines().any(|line| line.split(':').next() == Some(target));
            assert!(is_there, "{}: `{command}` is no target of the Makefile", page.name);
            seen += 1;
        }
    }
    assert!(seen > 0, "no document says how to build");
}

fn help_of(words: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).args(words).arg("--help").output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

/// Every `weir ...` in a document is a command there is, with flags it knows.
#[test]
fn commands_can_be_typed() {
    let mut seen = 0;
    for page in pages().iter().filter(|page| page.name != "CHANGELOG.md") {
        for command in page.commands("weir ") {
            let words: Vec<&str> = command.split_whitespace().skip(1).collect();
            let depth = if matches!(words.first(), Some(&"keys" | &"ledger")) { 2 } else { 1 };
            let subcommand: Vec<&str> = words.iter().take(depth).copied().filter(|w| !w.starts_with('-')).collect();
            let Some(help) = help_of(&subcommand) else {
                panic!("{}: `{command}` is no command", page.name);
            };
            for flag in words.iter().filter(|word| word.starts_with('-')) {
                let flag = flag.split('=').next().unwrap_or_default();
                let known = help.split(|c: char| c.is_whitespace() || c == ',').any(|word| word == flag);
                assert!(known, "{}: `{command}`: no flag {flag}", page.name);
            }
            seen += 1;
        }
    }
    assert!(seen > 5, "the documents name {seen} commands: the search for them is broken");
}

/// Configurations in the documents are good ones.
#[test]
fn configurations_shown_are_good() {
    let mut seen = 0;
    for page in pages() {
        for block in page.text.split("```yaml\n").skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            let file = std::env::temp_dir().join(format!("weir-docs-{}-{seen}.yaml", std::process::id()));
            fs::write(&file, text).unwrap();
            let variables = text.split("${").skip(1).filter_map(|rest| rest.split(['}', ':']).next());
            let mut check = Command::new(env!("CARGO_BIN_EXE_weir"));
            let value = |name| if name == "WEIR_CAPTURE_KEY" { "0".repeat(64) } else { "key-for-the-check".to_owned() };
            check.arg("check").arg("-c").arg(&file).envs(variables.map(|name| (name, value(name))));
            let output = check.output().unwrap();
            fs::remove_file(&file).unwrap();
            assert!(output.status.success(), "{}:\n{text}\n{}", page.name, String::from_utf8_lossy(&output.stderr));
            seen += 1;
        }
    }
    assert!(seen > 0, "no document shows a configuration");
}

/// Headers of ours that a document names are ones that the code knows.
#[test]
fn headers_that_are_named_exist() {
    let mut code = String::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => code.push_str(&fs::read_to_string(path).unwrap_or_default()),
            }
        }
    }
    for page in pages() {
        for span in page.spans() {
            let name = span.split([':', ' ']).next().unwrap_or_default();
            if name.starts_with("x-weir-") {
                assert!(code.contains(&format!("\"{name}\"")), "{}: {name} is no header of Weir", page.name);
            }
        }
    }
}

/// Compares a generated page with its file, or writes it.
fn current(name: &str, page: &str) {
    let path = root().join(name);
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, page).unwrap();
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "{name} is out of date: run `WEIR_BLESS=1 cargo test --test docs`");
}

const WRITTEN_BY: &str = "(`WEIR_BLESS=1 cargo test --test docs` writes it again)";

/// Every kind of error, in the order of its declaration. The test holds it against the source.
const KINDS: &[Kind] = &[
    Kind::MissingKey,
    Kind::InvalidKey,
    Kind::KeyInactive,
    Kind::KeyExpired,
    Kind::AddressNotAllowed,
    Kind::KeysUnavailable,
    Kind::ModelNotAllowed,
    Kind::InvalidJson,
    Kind::InvalidRequest,
    Kind::ContentBlocked,
    Kind::GuardUnavailable,
    Kind::NotExpressible,
    Kind::UnknownModel,
    Kind::NotFound,
    Kind::UnknownUrl,
    Kind::MethodNotAllowed,
    Kind::BodyTooLarge,
    Kind::UnknownEncoding,
    Kind::BodyTimeout,
    Kind::RateLimited,
    Kind::BudgetExhausted,
    Kind::LimitsLost,
    Kind::UpstreamFailed,
    Kind::UpstreamBroken,
    Kind::NoHealthyUpstream,
    Kind::UpstreamOverloaded,
    Kind::UpstreamTimeout,
    Kind::UpstreamRateLimited,
    Kind::UpstreamQuota,
    Kind::UpstreamRejected,
    Kind::UpstreamContextTooLong,
    Kind::UpstreamRefusedContent,
    Kind::UpstreamAuth,
    Kind::UpstreamNotFound,
    Kind::ClientGone,
    Kind::Unrecorded,
    Kind::ShuttingDown,
    Kind::Internal,
];

/// Name and documentation of each variant of `Kind`, from the source.
fn declared_kinds() -> Vec<(String, String)> {
    let source = fs::read_to_string(root().join("src/error.rs")).unwrap();
    let body = source.split("pub enum Kind {").nth(1).unwrap().split("\n}").next().unwrap();
    let mut kinds = Vec::new();
    let mut doc = String::new();
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("///") {
            Some(text) => doc.push_str(text),
            None => kinds.push((line.trim_end_matches(',').to_owned(), std::mem::take(&mut doc).trim().to_owned())),
        }
    }
    kinds
}

fn errors() -> String {
    let mut page = String::from("# Errors\n\n");
    writeln!(page, "Written by `tests/docs.rs` from `src/error.rs` {WRITTEN_BY}.\n").unwrap();
    page.push_str(ERRORS_INTRODUCTION);
    page.push_str(
        "| what happened | status | OpenAI `type` | OpenAI `code` | Anthropic `type` | fault of | retried here |\n",
    );
    page.push_str("|---|---|---|---|---|---|---|\n");
    for ((_, doc), kind) in declared_kinds().iter().zip(KINDS) {
        let Face { status, anthropic_status, openai_type, code, anthropic_type } = kind.face();
        let status = match status == anthropic_status {
            true => status.to_string(),
            false => format!("{status} (Anthropic: {anthropic_status})"),
        };
        let fault = match kind.origin() {
            Origin::Client => "client",
            Origin::Gateway => "gateway",
            Origin::Upstream => "provider",
        };
        let retried = match kind.retry() {
            Retry::No => "no",
            Retry::SameTarget => "same target",
            Retry::NextTarget => "next target",
        };
        let doc = doc.trim_end_matches('.');
        writeln!(page, "| {doc} | {status} | `{openai_type}` | `{code}` | `{anthropic_type}` | {fault} | {retried} |")
            .unwrap();
    }
    page
}

const ERRORS_INTRODUCTION: &str = "\
Errors have the format of the caller: OpenAI's on OpenAI's paths, Anthropic's on Anthropic's. Both carry the request id,
in the body (`request_id`) and in the header `x-request-id` (on Anthropic's paths also `request-id`).

```json
{\"error\":{\"message\":\"...\",\"type\":\"invalid_request_error\",\"param\":\"model\",\"code\":\"model_not_found\"},\"request_id\":\"...\"}
```

```json
{\"type\":\"error\",\"error\":{\"type\":\"not_found_error\",\"message\":\"...\"},\"request_id\":\"...\"}
```

- Before the first byte of an answer an error has its status. After it, it is the format's error event, and the stream
  ends cleanly: `data: {\"error\": ...}` for OpenAI's clients, `event: error` for Anthropic's.
- Limits answer with `retry-after` (seconds) and `retry-after-ms`, and name the limit. Where coming back within seconds
  cannot help (a key that is missing or unknown, a budget), `x-should-retry: false` says so to the SDKs.
- A provider's own refusal (4xx) keeps its status. Where client and provider speak the same format, the provider's body
  is passed on as it is, with the credential that the provider was sent, the gateway's or the client's own, taken out should it be
  repeated there; else its message is
  put into the caller's format. A refusal of the gateway's own credential is a 502: to the caller the provider failed.
- An `insufficient_quota` is a budget here where `x-should-retry: false` comes with it ([limits.md](limits.md)); else the
  provider's account.
- What is retried at the next target needs a route with another one, or a provider with another endpoint; the same target
  is asked again only where it surely did no work. [routing.md](routing.md) has the rules.
- The code is also the `error` of the access record. A provider's own is taken for it only of what the client can mend or wait for
  (a status below 500), and if it is a short word: at most 64 letters, digits, `_`, `.` and `-`. Attempts have words of their own, the same in the record's
  `timeline` and in `weir_attempts_total`.

";

#[test]
fn the_page_of_errors_is_current() {
    let declared: Vec<String> = declared_kinds().into_iter().map(|(name, _)| name).collect();
    let listed: Vec<String> = KINDS.iter().map(|kind| format!("{kind:?}")).collect();
    assert_eq!(listed, declared, "KINDS has to list every kind");
    current("docs/errors.md", &errors());
}

fn metrics() -> String {
    let mut page = String::from("# Metrics\n\n");
    writeln!(page, "Written by `tests/docs.rs` from `src/telemetry/names.rs` {WRITTEN_BY}.\n").unwrap();
    page.push_str(METRICS_INTRODUCTION);
    page.push_str("| metric | type | labels | what it says |\n|---|---|---|---|\n");
    for metric in Metric::ALL {
        let spec = metric.spec();
        let kind = match spec.kind {
            names::Kind::Counter | names::Kind::FloatCounter => "counter",
            names::Kind::Gauge => "gauge",
            names::Kind::Histogram(_) => "histogram",
        };
        let labels: Vec<String> = spec.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(page, "| `{}` | {kind} | {} | {} |", spec.name, labels.join(", "), spec.help).unwrap();
    }
    page
}

const METRICS_INTRODUCTION: &str = "\
In Prometheus' text format at `/metrics` of the admin listener (`admin.listen`, with `Authorization: Bearer` where
`admin.token` is set).

Values of labels come from the configuration only: tenants, routes, providers, models that are listed or known. What a
client invents is counted as `other`, so clients cannot make series.

Metrics of endpoints are set at each scrape and belong to the process; [routing.md](routing.md) says what they mean, and
which are worth an alert.

";

#[test]
fn the_page_of_metrics_is_current() {
    current("docs/metrics.md", &metrics());
}

const CONFIGURATION_INTRODUCTION: &str = "\
One YAML file, `weir run -c weir.yaml`. `weir init` writes a small one, [conf/reference.yaml](../conf/reference.yaml)
shows every option in its place, and `weir schema` prints the schema that this page is written from, for editors
([conf/schema.json](../conf/schema.json)).

- Unknown keys, duplicate keys, wrong types and names that lead nowhere are errors. `weir check -c weir.yaml` reports
  all of them at once, with file, line, column and a suggestion; exit code 0 is good, 1 bad, 2 used wrongly.
- Any value may be written as `${VARIABLE}`, `${VARIABLE:-default}` or `file:/path/to/secret` (the file's text without
  its line end); `$$` is a dollar sign. Inside `{...}` and `[...]` such values need quotes.
- Durations are texts like `250ms`, `30s`, `1h30m`, `7d`; sizes like `64KB`, `32MiB`, or a number of bytes.
- SIGHUP, `POST /admin/v1/reload` or a change of the file (or of one it refers to) reloads it. A file with errors
  changes nothing: the old configuration stays, the errors are logged and counted. Requests that run keep the
  configuration they began with; counters of limits go on. Options that say so need a restart.

";

fn configuration() -> String {
    let schema: Value = serde_json::from_str(&weir::config::schema::text()).unwrap();
    let mut page = String::from("# Configuration\n\n");
    writeln!(page, "Written by `tests/docs.rs` from the schema, `conf/schema.json` {WRITTEN_BY}.\n").unwrap();
    page.push_str(CONFIGURATION_INTRODUCTION);
    let definitions = schema.get("$defs").and_then(Value::as_object).unwrap();
    section(&mut page, "Top level", &schema, definitions);
    for (name, definition) in definitions.iter().filter(|(_, d)| d["properties"].is_object()) {
        section(&mut page, name, definition, definitions);
    }
    page
}

fn section(page: &mut String, title: &str, definition: &Value, definitions: &Map<String, Value>) {
    write!(page, "## {title}\n\n").unwrap();
    if let Some(text) = definition["description"].as_str().filter(|_| title != "Top level") {
        write!(page, "{text}\n\n").unwrap();
    }
    page.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
    for (key, value) in definition["properties"].as_object().unwrap() {
        let default = match &value["default"] {
            Value::Null => String::new(),
            Value::Object(empty) if empty.is_empty() => String::new(),
            Value::Array(empty) if empty.is_empty() => String::new(),
            Value::String(text) => format!("`{text}`"),
            other => format!("`{other}`"),
        };
        let kinds: BTreeSet<String> = kinds_of(value, definitions).into_iter().filter(|k| !k.is_empty()).collect();
        let kinds: Vec<String> = kinds.into_iter().collect();
        let meaning = value["description"].as_str().unwrap_or_default().replace('|', "\\|").replace('\n', " ");
        writeln!(page, "| `{key}` | {} | {default} | {meaning} |", kinds.join(" or ")).unwrap();
    }
    page.push('\n');
}

/// What may stand there, in words: links for what has a section of its own.
fn kinds_of(value: &Value, definitions: &Map<String, Value>) -> Vec<String> {
    if let Some(name) = value["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return match definitions.get(name) {
            Some(definition) if definition["properties"].is_object() => {
                vec![format!("[{name}](#{})", name.to_lowercase())]
            }
            Some(definition) => kinds_of(definition, definitions),
            None => vec![name.to_owned()],
        };
    }
    if let Some(any) = value["anyOf"].as_array() {
        return any.iter().flat_map(|one| kinds_of(one, definitions)).collect();
    }
    if let Some(words) = value["enum"].as_array() {
        return words.iter().map(|word| format!("`{}`", word.as_str().unwrap_or_default())).collect();
    }
    let inside = |member: &str| {
        let kinds: BTreeSet<String> =
            kinds_of(&value[member], definitions).into_iter().filter(|k| !k.is_empty()).collect();
        if kinds.is_empty() { "text".to_owned() } else { kinds.into_iter().collect::<Vec<_>>().join(" or ") }
    };
    let kind = |name: &str| match name {
        "object" if value["additionalProperties"].is_object() => {
            format!("names to {}", inside("additionalProperties"))
        }
        "array" => format!("list of {}", inside("items")),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "`true`, `false`".to_owned(),
        "string" => text_kind(value),
        "null" => String::new(),
        other => other.to_owned(),
    };
    match &value["type"] {
        Value::String(name) => vec![kind(name)],
        Value::Array(names) => names.iter().filter_map(Value::as_str).map(kind).collect(),
        _ => Vec::new(),
    }
}

/// A text, by the pattern it has to match. References to variables may stand anywhere and are not
/// repeated.
fn text_kind(value: &Value) -> String {
    let pattern = value["pattern"].as_str().unwrap_or_default();
    match () {
        () if pattern == r"^(\$\{|file:)" => String::new(),
        () if value["format"] == "date" => "date".to_owned(),
        () if pattern.contains("ms|s|m|h|d") => "duration".to_owned(),
        () if pattern.contains("iB") => "size".to_owned(),
        () if pattern.contains("localhost") => "address".to_owned(),
        () if pattern.contains("0-9a-fA-F]{64}") => "64 hexadecimal digits".to_owned(),
        () => "text".to_owned(),
    }
}

#[test]
fn the_page_of_the_configuration_is_current() {
    current("docs/configuration.md", &configuration());
}
