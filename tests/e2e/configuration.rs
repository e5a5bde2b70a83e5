//! What a configuration may not say, and that what it says holds.

use std::process::Command;

use crate::support::gateway::{Gateway, config, full_config, new_dir};
use crate::support::upstream::Upstream;

/// Runs `weir check`; its exit code and all it said.
fn check(config: &str) -> (i32, String) {
    let dir = new_dir();
    let file = dir.join("weir.yaml");
    std::fs::write(&file, config.replace("@DIR@", &dir.display().to_string())).unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_weir")).args(["check", "-c"]).arg(&file).env_clear().output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    std::fs::remove_dir_all(dir).unwrap();
    (out.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn base(tenant: &str, more: &str) -> String {
    full_config("", Upstream::nobody(), Upstream::nobody(), tenant, more)
}

#[test]
fn a_good_file_passes_the_check() {
    let (code, said) = check(&base("", ""));
    assert_eq!(code, 0, "{said}");
}

/// Row 40: unknown members are refused, so none is accepted and ignored.
#[test]
fn unknown_members_are_refused_with_place_and_suggestion() {
    for (tenant, wrong, meant) in [
        ("    limits: {requests_per_minutes: 5}", "requests_per_minutes", "requests_per_minute"),
        ("    limit: {concurrency: 5}", "limit", "limits"),
    ] {
        let (code, said) = check(&base(tenant, ""));
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(wrong) && said.contains(meant), "{said}");
        assert!(said.contains("weir.yaml:"), "file:line:column in {said}");
    }
}

/// Row 45: rules that can never apply are refused at load.
#[test]
fn dead_rules_are_refused_all_at_once() {
    let more = "routes:\n  fast: {strategy: fallback, targets: [{model: opnai/gpt-4o-mini}]}\n";
    let (code, said) = check(&base("    models: [\"nobody/*\"]", more));
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("opnai") && said.contains("openai"), "a route to a provider that is not there: {said}");
    assert!(said.contains("nobody/*"), "an allow-list entry that matches nothing: {said}");
}

#[test]
fn an_empty_file_and_a_duplicate_key_are_refused() {
    assert_eq!(check("").0, 1);
    assert_eq!(check("[]").0, 1);
    let (code, said) = check(&base("", "admin: {listen: \"127.0.0.1:0\"}\n"));
    assert_eq!(code, 1, "{said}");
}

#[test]
fn a_gateway_does_not_start_on_a_bad_file() {
    let dir = new_dir();
    let file = dir.join("weir.yaml");
    std::fs::write(&file, "providers: {openai: {api_kye: x}}\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_weir")).args(["run", "-c"]).arg(&file).env_clear().output().unwrap();
    assert!(!out.status.success());
    assert!(String::from_utf8(out.stderr).unwrap().contains("api_key"));
    std::fs::remove_dir_all(dir).unwrap();
}

/// Row 40: what is configured is echoed, and what is secret is not.
#[test]
fn the_admin_api_echoes_every_limit_and_no_secret() {
    let tenant = "    limits: {requests_per_minute: 601, tokens_per_minute: 200003, concurrency: 67}";
    let gateway = Gateway::start(&base(tenant, ""));
    let answer = gateway.admin("GET", "/admin/v1/config");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let text = answer.text();
    for value in ["601", "200003", "67", "acme", "acme-dev"] {
        assert!(text.contains(value), "{value} in {text}");
    }
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn secrets_come_from_the_environment_and_from_files() {
    let upstream = Upstream::json(200, crate::ask::chat_answer("ok"));
    let dir = new_dir();
    std::fs::write(dir.join("provider-key"), "sk-from-a-file\n").unwrap();
    let text = config(upstream.address, upstream.address, "")
        .replacen(&format!("\"{}\"", crate::support::gateway::PROVIDER_KEY), "\"file:@DIR@/provider-key\"", 1)
        .replace(crate::support::gateway::KEY, "${CLIENT_KEY}");
    let gateway = Gateway::start_in(dir, &text, &[("CLIENT_KEY", crate::support::gateway::KEY)]);
    let answer = gateway.post(crate::ask::CHAT, &crate::ask::chat("openai/gpt-4o-mini", "hi"));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(upstream.request().header("authorization"), Some("Bearer sk-from-a-file"));
}
