//! The command line, as a user meets it: the real binary, its output and its exit codes.
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "answers with --json are free-form here")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// Runs `weir` in a directory of its own, with a clean environment.
struct Shell {
    directory: PathBuf,
}

impl Shell {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("weir-cli-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        Self { directory }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.directory.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.join(name)).unwrap()
    }

    fn run(&self, arguments: &[&str], vars: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).current_dir(&self.directory).env_clear().envs(vars.iter().copied());
        command.output().unwrap()
    }

    /// Exit code, stdout, stderr.
    fn weir(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.run(arguments, &[]);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

const GOOD: &str = "providers: {simulator: {base_url: 'http://127.0.0.1:9'}}\n\
                    tenants: {t: {keys: [{id: k, secret: kkkk}]}}\n";

#[test]
fn help_and_version_are_there_and_a_wrong_word_is_a_usage_error() {
    let shell = Shell::new();
    let (code, help, _) = shell.weir(&["--help"]);
    assert_eq!(code, 0);
    for command in [
        "run",
        "demo",
        "check",
        "explain",
        "schema",
        "init",
        "models",
        "providers",
        "env",
        "import",
        "keys",
        "completions",
        "man",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is missing in\n{help}");
        assert_eq!(shell.weir(&[command, "--help"]).0, 0, "{command}");
    }
    assert_eq!(shell.weir(&["--version"]).1, format!("weir {}\n", env!("CARGO_PKG_VERSION")));
    let (code, _, error) = shell.weir(&["chekc"]);
    assert!(code == 2 && error.contains("check"), "{error}");
    assert_eq!(shell.weir(&[]).0, 2);
    assert_eq!(shell.weir(&["keys"]).0, 2);
}

/// All commands, with the options that their help has, are on one page.
#[test]
fn the_manual_page_has_every_command() {
    let shell = Shell::new();
    let (code, page, error) = shell.weir(&["man"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert_eq!(page.lines().filter(|line| line.starts_with(".TH weir 1 ")).count(), 1, "{page}");
    for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "ENVIRONMENT", "SIGNALS", "\"EXIT STATUS\"", "FILES"]
    {
        assert_eq!(page.lines().filter(|line| *line == format!(".SH {section}")).count(), 1, "{section}");
    }
    let (_, help, _) = shell.weir(&["--help"]);
    let listed = help.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let commands = listed.lines().filter_map(|line| line.split_whitespace().next());
    let below = ["keys create", "keys rotate", "ledger export", "import litellm"];
    for command in commands.chain(below) {
        let section = page.split(&format!(".SS \"weir {command}\"\n")).nth(1).unwrap_or_else(|| panic!("{command}"));
        let section = section.split(".SS ").next().unwrap();
        let words: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let (_, help, _) = shell.weir(&words);
        for option in help.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
            let option = option.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap();
            let escaped = format!("\\-\\-{}", option.replace('-', "\\-"));
            assert!(section.contains(&escaped), "{command}: {escaped} in\n{section}");
        }
    }
}

#[test]
fn check_says_good_bad_or_used_wrongly() {
    let shell = Shell::new();
    assert_eq!(shell.weir(&["check"]).0, 2);
    assert_eq!(shell.weir(&["check", "-c", "nowhere.yaml"]).0, 2);
    // A set of keys without one that could be used: `weir run` would not start either.
    let issuer = "{issuer: 'https://a.test', audience: w, jwks_file: none.json, tenant: t}";
    shell.write("none.json", r#"{"keys": []}"#);
    shell.write("issuer.yaml", &format!("{GOOD}auth: {{jwt: [{issuer}]}}\n"));
    let (code, _, report) = shell.weir(&["check", "-c", "issuer.yaml"]);
    assert!(code == 1 && report.contains("auth.jwt a.test: there is no public key that could be used"), "{report}");
    shell.write("weir.yaml", GOOD);
    let (code, good, _) = shell.weir(&["check"]);
    assert_eq!((code, good.as_str()), (0, "weir.yaml: good (1 provider, 0 routes, 1 tenant, 1 key)\n"));
    shell.write("bad.yaml", &format!("{GOOD}sever: {{}}\ntelemetry: {{access_log: stdot}}\n"));
    let (code, out, report) = shell.weir(&["check", "-c", "bad.yaml"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(report.contains("bad.yaml:3:1") && report.contains("did you mean `server`?"), "{report}");
    assert!(report.contains("bad.yaml:4:25") && report.ends_with("weir: 2 errors in bad.yaml\n"), "{report}");
    assert!(!report.contains('\u{1b}'), "colours without a terminal");
    let (code, json, _) = shell.weir(&["check", "-c", "bad.yaml", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["ok"], json["problems"].as_array().unwrap().len()), (1, &Value::Bool(false), 2));
    assert_eq!((&json["problems"][0]["line"], &json["problems"][0]["column"]), (&3.into(), &1.into()));
}

#[test]
fn run_with_a_bad_file_says_what_is_wrong_and_ends() {
    let shell = Shell::new();
    shell.write("weir.yaml", "providers: {openai: {api_kye: x}}\n");
    let (code, _, error) = shell.weir(&["run", "-c", "weir.yaml"]);
    assert!(code == 1 && error.contains("weir.yaml:1:22") && error.contains("no tenants"), "{error}");
    let (code, _, error) = shell.weir(&["run"]);
    assert!(code == 1 && error.contains("OPENAI_API_KEY") && error.contains("weir demo"), "{error}");
}

#[test]
fn init_writes_a_file_that_checks_and_refuses_to_overwrite() {
    let shell = Shell::new();
    assert_eq!(shell.weir(&["init"]).0, 0);
    let vars = [("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b"), ("WEIR_API_KEY", "c")];
    assert_eq!(shell.run(&["check"], &vars).status.code(), Some(0));
    let (code, _, report) = shell.weir(&["check"]);
    assert!(code == 1 && report.contains("`OPENAI_API_KEY` is not set"), "{report}");
    shell.write("weir.yaml", "mine");
    let (code, _, error) = shell.weir(&["init"]);
    assert!(code == 1 && error.contains("is there already"), "{error}");
    assert_eq!(shell.read("weir.yaml"), "mine");
    assert_eq!(shell.weir(&["init", "other.yaml"]).0, 0);
    assert_eq!(shell.weir(&["init", "no/such/place.yaml"]).0, 2);
}

#[test]
fn a_key_is_shown_once_and_its_line_opens_the_door() {
    let shell = Shell::new();
    let (code, json, note) =
        shell.weir(&["keys", "create", "--tenant", "acme", "--id", "dev", "--expires", "2027-06-30", "--json"]);
    let made: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, note.as_str(), &made["id"], &made["expires"]), (0, "", &"dev".into(), &"2027-06-30".into()));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(made["sha256"], weir::config::load::hash_of(secret));
    let (code, out, _) = shell.weir(&["keys", "create", "--tenant", "acme"]);
    assert_eq!(code, 0);
    let (secret, lines) = out.split_once('\n').unwrap();
    assert!(secret.starts_with("weir_") && !lines.contains(secret));
    shell.write("weir.yaml", &format!("providers: {{simulator: {{base_url: 'http://h'}}}}\n{lines}"));
    assert_eq!(shell.weir(&["check"]).0, 0, "{lines}");
    assert_eq!(shell.weir(&["keys", "create", "--expires", "soon"]).0, 2);
    assert_eq!(shell.weir(&["keys", "create", "--id", "a b"]).0, 2);
}

#[test]
fn keys_are_kept_in_the_database_beside_a_configuration() {
    let shell = Shell::new();
    shell.write(
        "weir.yaml",
        "state: {dir: data}\nproviders: {simulator: {base_url: 'http://h'}}\ntenants: {acme: {keys: [{id: own, secret: kkkkkkkk}]}}\n",
    );
    let keys = |args: &[&str]| {
        let args: Vec<&str> = ["keys"].iter().chain(args).chain(&["-c", "weir.yaml", "--json"]).copied().collect();
        let (code, out, note) = shell.weir(&args);
        (code, serde_json::from_str::<Value>(&out).unwrap_or_default(), note)
    };
    assert_eq!(keys(&["list"]).1["data"], serde_json::json!([]));
    assert!(!shell.directory.join("data").exists(), "to look makes nothing");
    let settings = r#"{"limits": {"concurrency": 2}}"#;
    let (code, made, note) =
        keys(&["create", "--tenant", "acme", "--id", "ci", "--note", "for CI", "--settings", settings]);
    assert_eq!((code, &made["id"], &made["limits"]["concurrency"]), (0, &"ci".into(), &2.into()), "{note}");
    let secret = made["secret"].as_str().unwrap();
    assert!(secret.starts_with("weir_"));
    for (args, exit, said) in [
        (&["create", "--tenant", "acme", "--id", "ci"][..], 1, "already"),
        (&["create", "--tenant", "acme", "--id", "own"], 2, "already"),
        (&["create", "--tenant", "nobody"], 2, "no tenant `nobody`"),
        (&["create", "--tenant", "acme", "--settings", "{\"limit\": 1}"], 1, "did you mean `limits`?"),
        (&["rotate", "none"], 1, "no key"),
        (&["rotate", "ci", "--grace", "soon"], 2, "grace"),
    ] {
        let (code, _, note) = keys(args);
        assert!(code == exit && note.contains(said), "{args:?}: {code} {note}");
    }
    let (_, rotated, _) = keys(&["rotate", "ci", "--grace", "1h"]);
    assert!(rotated["previous_until"].is_string() && rotated["secret"] != made["secret"]);
    assert_eq!(keys(&["revoke", "ci"]).1["state"], "revoked");
    assert_eq!(keys(&["revoke", "ci"]).0, 1, "it is for good");
    let (code, _, said) = shell.weir(&["ledger", "verify", "--state", "./nope"]);
    assert!(code == 1 && said.contains("./nope is no directory"), "{said}");
    let (code, table, _) = shell.weir(&["keys", "list", "--state", "data"]);
    assert!(code == 0 && table.starts_with("ID ") && table.contains("revoked") && table.contains("for CI"), "{table}");
    assert!(!table.contains(secret));
    assert_eq!(shell.weir(&["keys", "list"]).0, 2, "where?");
    assert_eq!(shell.weir(&["keys", "list", "--url", "http://127.0.0.1:1"]).0, 1, "nobody is there");
}

#[test]
fn a_directory_without_a_database_has_no_keys_and_one_that_is_made_is_told_of() {
    let shell = Shell::new();
    for args in [&["list"][..], &["rotate", "ci"], &["revoke", "ci"]] {
        let (code, out, said) = shell.weir(&[&["keys"], args, &["--state", "nope"]].concat());
        assert!(code == 1 && out.is_empty() && said.contains("there is no database at"), "{args:?}: {code} {said}");
    }
    assert!(!shell.directory.join("nope").exists(), "to look makes nothing");
    let create = |id| shell.weir(&["keys", "create", "--id", id, "--state", "new"]);
    let (code, _, said) = create("a");
    assert!(code == 0 && said.contains("there is no database at") && said.contains("it is made now"), "{code} {said}");
    let (code, _, said) = create("b");
    assert!(code == 0 && !said.contains("it is made now"), "{code} {said}");
}

#[test]
fn settings_for_clients_are_lines_of_a_shell() {
    let shell = Shell::new();
    let (code, out, _) = shell.weir(&["env", "openai", "--url", "https://gate.test/v1/", "--key", "it's"]);
    assert_eq!(code, 0);
    assert_eq!(out, "export OPENAI_BASE_URL=https://gate.test/v1\nexport OPENAI_API_KEY='it'\\''s'\n");
    let out = shell.run(&["env", "claude-code"], &[("WEIR_API_KEY", "weir-k")]).stdout;
    let out = String::from_utf8(out).unwrap();
    assert_eq!(out, "export ANTHROPIC_BASE_URL=http://127.0.0.1:8080\nexport ANTHROPIC_AUTH_TOKEN=weir-k\n");
    let (_, out, _) = shell.weir(&["env", "gemini", "--key", "weir-k"]);
    assert_eq!(out, "export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:8080\nexport GEMINI_API_KEY=weir-k\n");
    let (_, json, _) = shell.weir(&["env", "anthropic", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["ANTHROPIC_API_KEY"], "YOUR-WEIR-KEY");
    let (code, out, _) = shell.weir(&["env", "codex", "--key", "weir-k"]);
    let function = r#"codex() { command codex -c 'model_provider="weir"' -c 'model_providers.weir={name="Weir",base_url="http://127.0.0.1:8080/v1",env_key="WEIR_API_KEY",wire_api="responses"}' "$@"; }"#;
    assert!(code == 0 && out.starts_with("export WEIR_API_KEY=weir-k\n") && out.contains(function), "{out}");
    assert_eq!(shell.weir(&["env", "openai", "--url", "gate.test"]).0, 2);
}

#[test]
fn the_admin_address_comes_from_the_environment_too_and_has_to_be_one() {
    let shell = Shell::new();
    // Port 1 is nobody's.
    let output = shell.run(&["doctor", "--json"], &[("WEIR_ADMIN_URL", "http://127.0.0.1:1")]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &said["url"]), (Some(1), &Value::from("http://127.0.0.1:1")));
    for command in [&["doctor"][..], &["tail"], &["keys", "list"]] {
        let (code, _, errors) = shell.weir(&[command, &["--url", "foo"]].concat());
        assert_eq!(code, 2, "{command:?}: {errors}");
        assert!(errors.contains("begins with `http://`"), "{errors}");
    }
}

/// What stands in no variable is in the answer for scripts as well.
#[test]
fn codex_is_told_its_provider_as_data() {
    let (code, text, _) = Shell::new().weir(&["env", "codex", "--url", "http://h:1", "--key", "k", "--json"]);
    let said: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &said["WEIR_API_KEY"], &said["model_provider"]), (0, &Value::from("k"), &Value::from("weir")));
    assert_eq!(said["model_providers"]["weir"]["base_url"], "http://h:1/v1");
}

#[test]
fn a_key_without_what_it_needs_is_told_of() {
    let shell = Shell::new();
    for (key, wanted) in [("AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION"), ("AZURE_OPENAI_API_KEY", "AZURE_OPENAI_ENDPOINT")]
    {
        let output = shell.run(&["run"], &[(key, "k")]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&format!("{key} is set, but {wanted} is not")), "{errors}");
        assert!(!errors.contains("no provider key is set"), "{errors}");
    }
}

#[test]
fn what_is_built_in_is_listed() {
    let shell = Shell::new();
    let (_, json, _) = shell.weir(&["providers", "--json"]);
    let providers: Value = serde_json::from_str(&json).unwrap();
    let kinds: Vec<_> = providers.as_array().unwrap().iter().map(|p| p["kind"].as_str().unwrap()).collect();
    assert!(kinds.len() == weir::provider::PROVIDERS.len() && kinds.contains(&"simulator"));
    let (_, table, _) = shell.weir(&["providers"]);
    assert!(table.starts_with("KIND ") && table.lines().count() == kinds.len() + 1, "{table}");
    let (_, json, _) = shell.weir(&["models", "gpt-4o-mini", "--prices", "--json"]);
    let models: Value = serde_json::from_str(&json).unwrap();
    let mini = models.as_array().unwrap().iter().find(|m| m["model"] == "openai/gpt-4o-mini").unwrap();
    assert_eq!((&mini["prices"]["input"], &mini["prices"]["output"]), (&"0.15".into(), &"0.6".into()));
    let (_, table, _) = shell.weir(&["models", "--prices"]);
    assert!(table.starts_with("MODEL ") && table.contains("anthropic/claude-sonnet-4-5"));
}

#[test]
fn the_schema_and_completions_are_printed() {
    let shell = Shell::new();
    let (code, schema, _) = shell.weir(&["schema"]);
    assert!(code == 0 && schema == include_str!("../conf/schema.json"), "the schema is not that of conf/schema.json");
    for name in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = shell.weir(&["completions", name]);
        assert!(code == 0 && script.contains("weir"), "{name}");
    }
    assert_eq!(shell.weir(&["completions", "cmd"]).0, 2);
}

/// A key's secret is shown once: whoever could not keep it must not believe that it is kept.
#[cfg(target_os = "linux")]
#[test]
fn output_that_a_full_disk_takes_is_a_failure() {
    let shell = Shell::new();
    for arguments in [&["schema"][..], &["models", "--json"], &["keys", "create", "--state", ".", "--json"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        let output = command.args(arguments).current_dir(&shell.directory).env_clear().stdout(full).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("the output cannot be written"), "{arguments:?}: {said}");
    }
}

const FLEET: &str = "
providers:
  openai: {api_key: a, region: us}
  anthropic: {api_key: b, region: eu}
  lab: {kind: vllm, base_url: 'http://10.0.0.1:8000', region: eu, endpoints: [{id: a}, {id: b, region: us}]}
routes:
  fast: {strategy: fallback, targets: [{model: openai/gpt-5-mini}, {model: anthropic/claude-haiku-4-5}, {model: lab/m}]}
  mixed: {strategy: weighted, affinity: false, targets: [{model: openai/gpt-5-mini}, {model: anthropic/claude-haiku-4-5}]}
  smart:
    strategy: auto
    prefer: cost
    rules: [{when: {tags: [nightly]}, to: [anthropic/claude-haiku-4-5]}]
    targets: [{model: openai/gpt-5-mini, quality: 40}, {model: anthropic/claude-haiku-4-5, quality: 60}]
tenants:
  house: {keys: [{id: house, secret: kkkk}]}
  europe: {keys: [{id: europe, secret: llll}], regions: [eu], models: [fast, smart, 'lab/*']}
";

fn fleet(body: &str) -> Shell {
    let shell = Shell::new();
    shell.write("weir.yaml", FLEET);
    shell.write("request.json", body);
    shell
}

fn explained(shell: &Shell, arguments: &[&str]) -> Value {
    let (code, json, note) = shell.weir(&[&["explain", "request.json", "--json"], arguments].concat());
    assert!(code < 2, "{note}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(code == 0, json.get("first").is_some_and(|first| !first.is_null()));
    json
}

#[test]
fn a_request_is_explained_by_what_its_tenant_may() {
    let shell = fleet(
        r#"{"model":"fast","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
    );
    let free = explained(&shell, &["--key", "house"]);
    assert_eq!((&free["first"]["provider"], &free["first"]["model"]), (&"openai".into(), &"gpt-5-mini".into()));
    assert_eq!(
        (&free["format"], &free["needs"][0], &free["by_chance"]),
        (&"chat".into(), &"tools".into(), &false.into())
    );
    assert_eq!((&free["most_attempts"], &free["affinity"]), (&3.into(), &"how the conversation began".into()));
    assert!(free["targets"][0]["cost_usd"].as_str().unwrap().starts_with("0.00"), "{free}");
    let bound = explained(&shell, &["--tenant", "europe"]);
    assert_eq!(bound["first"]["provider"], "anthropic");
    assert_eq!(bound["targets"][0]["left_out"], "it does not stand in a region of the tenant's");
    assert_eq!(bound["targets"][2]["endpoints"][1]["left_out"], "it does not stand in a region of the tenant's");
    let order: Vec<&str> =
        bound["order"].as_array().unwrap().iter().map(|ask| ask["endpoint"].as_str().unwrap()).collect();
    assert_eq!(order, ["anthropic", "lab#a"]);
    let (code, text, _) = shell.weir(&["explain", "request.json", "--tenant", "europe"]);
    assert_eq!(code, 0);
    for line in
        ["route       fallback, at most 3 attempts", "needs       tools", "first       anthropic for claude-haiku-4-5"]
    {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(text.contains("left out: it does not stand in a region"), "{text}");
}

#[test]
fn a_key_that_the_gateway_refuses_is_refused() {
    let shell = fleet(r#"{"model":"fast","messages":[]}"#);
    let keys =
        "  old: {keys: [{id: idle, secret: mmmm, active: false}, {id: late, secret: nnnn, expires: 2020-01-01}]}\n";
    shell.write("weir.yaml", &format!("{FLEET}{keys}"));
    for (id, why) in [("idle", "inactive"), ("late", "expired"), ("nobody", "no key has the id")] {
        let (code, _, note) = shell.weir(&["explain", "request.json", "--key", id]);
        assert!(code == 2 && note.contains(why), "{id}: {note}");
    }
}

#[test]
fn what_auto_decides_and_what_chance_does_is_told() {
    let shell = fleet(r#"{"model":"smart","system":"s","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}"#);
    let usual = explained(&shell, &["--tenant", "house"]);
    assert_eq!((&usual["format"], &usual["prefer"]), (&"messages".into(), &"cost".into()));
    assert!(usual["reason"].as_str().unwrap().starts_with("auto: prefer=cost; openai/gpt-5-mini scored"), "{usual}");
    assert!(usual["targets"][1]["score"]["total"].as_u64().unwrap() < 1_000);
    let nightly =
        explained(&shell, &["--tenant", "house", "--header", "x-weir-tags: nightly", "--header", "session-id: s"]);
    assert_eq!((&nightly["rule"], &nightly["first"]["provider"]), (&1.into(), &"anthropic".into()));
    assert_eq!(
        (&nightly["tags"][0], &nightly["targets"][0]["left_out"]),
        (&"nightly".into(), &"not in the rule".into())
    );
    shell.write("request.json", r#"{"model":"mixed","input":"hi"}"#);
    let mixed = explained(&shell, &["--tenant", "house"]);
    assert_eq!((&mixed["format"], &mixed["by_chance"]), (&"responses".into(), &true.into()));
}

#[test]
fn nobody_to_ask_is_told_and_used_wrongly_is_used_wrongly() {
    let shell = fleet(r#"{"model":"openai/gpt-5-mini","messages":[]}"#);
    let refused = explained(&shell, &["--tenant", "europe"]);
    assert_eq!(refused["error"], "this key may not use the model `openai/gpt-5-mini`");
    let (code, text, _) = shell.weir(&["explain", "request.json", "--tenant", "europe"]);
    assert!(code == 1 && text.contains("nobody      this key may not use"), "{text}");
    let wrong = |arguments: &[&str], word: &str| {
        let (code, _, error) = shell.weir(&[&["explain"], arguments].concat());
        assert!(code == 2 && error.contains(word), "{arguments:?}: {code} {error}");
    };
    wrong(&["request.json"], "several tenants");
    wrong(&["request.json", "--tenant", "nobody"], "no tenant");
    wrong(&["request.json", "--key", "nobody"], "no key");
    wrong(&["nowhere.json", "--key", "house"], "nowhere.json");
    wrong(&["request.json", "--key", "house", "--header", "odd"], "no header");
    wrong(&["request.json", "--key", "house", "--format", "gemini"], "--model");
    shell.write("request.json", r#"{"contents":[{"parts":[{"text":"hi"}]}]}"#);
    let gemini = explained(&shell, &["--key", "house", "--model", "lab/m"]);
    assert_eq!((&gemini["format"], &gemini["first"]["provider"]), (&"gemini".into(), &"lab".into()));
    assert!(gemini["by_chance"].is_boolean(), "{gemini}");
}

/// The whole way: a proxy's file and keys to a configuration that is good, and told what is not in it.
#[test]
fn a_litellm_proxy_becomes_a_configuration_that_is_good() {
    let shell = Shell::new();
    shell.write("config.yaml", include_str!("fixtures/import/small.yaml"));
    shell.write("keys.json", include_str!("fixtures/import/keys.json"));
    let import = ["import", "litellm", "config.yaml", "--keys", "keys.json", "-o", "weir.yaml"];
    let (code, out, told) = shell.weir(&import);
    assert_eq!((code, out.as_str()), (0, ""), "{told}");
    assert!(told.contains("weir.yaml") && told.contains("keys.json:") && told.contains("Not carried over:"), "{told}");
    let vars = [("OPENAI_API_KEY", "sk-1")];
    let checked = shell.run(&["check", "-c", "weir.yaml"], &vars);
    assert!(checked.status.success(), "{}\n{}", String::from_utf8_lossy(&checked.stderr), shell.read("weir.yaml"));
    // What is there is not written over.
    assert_eq!(shell.weir(&import).0, 1);
    let (code, out, _) = shell.weir(&["import", "litellm", "config.yaml", "--json"]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && answer["configuration"].as_str().unwrap().contains("tenants:"), "{answer}");
    assert_eq!(answer["lost"], serde_json::json!([]));
    assert_eq!(shell.weir(&["import", "litellm", "nowhere.yaml"]).0, 2);
    shell.write("bad.yaml", "model_list: [");
    let (code, _, error) = shell.weir(&["import", "litellm", "bad.yaml"]);
    assert!(code == 2 && error.contains("bad.yaml:1"), "{error}");
}

#[test]
fn prices_are_shown_for_a_day_and_checked_for_a_configuration() {
    let shell = Shell::new();
    let (code, prices, _) = shell.weir(&["models", "claude-opus-4-6", "--prices", "--on", "2026-03-12", "--json"]);
    assert_eq!(code, 0);
    assert!(prices.contains("anthropic/claude-opus-4-6"), "{prices}");
    assert_eq!(shell.weir(&["models", "--prices", "--on", "yesterday"]).0, 2);
    assert_eq!(shell.weir(&["models", "--check"]).0, 2, "of prices");
    assert_eq!(shell.weir(&["models", "--prices", "--check"]).0, 2, "of a configuration");
    let lab = "lab: {kind: vllm, base_url: 'http://127.0.0.1:9', models: {m: m}}";
    shell.write("weir.yaml", &GOOD.replace("simulator: {", &format!("{lab}, simulator: {{")));
    let (code, text, _) = shell.weir(&["models", "--prices", "--check"]);
    assert!(code == 1 && text.contains("no price: lab/m"), "{text}");
    let (_, json, _) = shell.weir(&["models", "--prices", "--check", "--json"]);
    let answer: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(answer["unknown"], serde_json::json!(["lab/m"]));
    shell.write(
        "weir.yaml",
        &GOOD.replace("simulator: {", &format!("{lab}, simulator: {{").replace("m: m", "m: {price: {input: 1}}")),
    );
    let (code, text, _) = shell.weir(&["models", "--prices", "--check"]);
    assert!(code == 0 && text.contains("days old"), "{text}");
}
