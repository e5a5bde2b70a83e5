//! The variables and files that the tests' configurations refer to.

use std::path::{Path, PathBuf};

use weir::config::env::Table;
use weir::config::load::from_text;
use weir::config::report::Report;
use weir::config::runtime::Runtime;

pub(crate) const KEY: &str = "weir-test-key-0123456789";
pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// What everything finds around it.
pub(crate) fn world() -> Table {
    let vars = [
        ("KEY", KEY),
        ("WEIR_API_KEY", KEY),
        ("WEIR_ADMIN_TOKEN", "admin-token"),
        ("WEIR_STATE_SECRET", "state-secret"),
        ("ALERTS_URL", "https://hooks.example.test/services/T0/B0/url-secret"),
        ("ALERTS_SECRET", "signing-secret"),
        ("WEIR_CAPTURE_KEY", "c2l4dGVlbiBieXRlcyArIHNpeHRlZW4gYnl0ZXMgICA="),
        ("WEIR_DATABASE_PASSWORD", "database-password"),
        ("WEIR_STORE_PASSWORD", "store-secret"),
        ("OPENAI_API_KEY", "sk-openai"),
        ("OPENAI_API_KEY_2", "sk-openai-2"),
        ("ANTHROPIC_API_KEY", "sk-anthropic"),
        ("ACME_DEV_KEY", "acme-dev-key"),
        ("ACME_DEV_KEY_BEFORE", "acme-dev-key-before"),
        ("WEIR_VIEWER_TOKEN", "viewer-token"),
        ("WEB_KEY", "web-key"),
        ("BATCH_KEY", "batch-key"),
        ("AWS_SESSION_TOKEN", "aws-session-token"),
        ("AZURE_CLIENT_SECRET", "entra-secret"),
        ("ENTRA_TOKEN", "entra-token"),
        ("EMPTY", ""),
        ("BAD_URL", "not a url"),
        ("TWO_LINES", "one\ntwo"),
    ];
    let key = "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n";
    let mut table = Table::of(&vars);
    for (path, text) in [
        ("tls.crt", PEM),
        ("good.crt", PEM),
        ("tls.key", key),
        ("ca.pem", PEM),
        ("jwks.json", r#"{"keys": []}"#),
        ("/run/secrets/ci.pem", "-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n"),
        ("private.pem", "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----\n"),
        ("/etc/weir/tls.crt", PEM),
        ("/etc/weir/tls.key", key),
        ("/etc/weir/inside-ca.pem", PEM),
        ("/run/secrets/lab", "lab-secret\n"),
        ("/run/secrets/aws", "aws-secret-key\n"),
        ("/run/secrets/openai", "sk-openai\n"),
        ("/run/secrets/anthropic", "sk-anthropic\n"),
        ("/run/secrets/weir-admin", "admin-token\n"),
        ("/run/secrets/inside", "inside-secret\n"),
        (
            "google.json",
            r#"{"type":"authorized_user","client_id":"id","client_secret":"google-secret","refresh_token":"google-refresh"}"#,
        ),
        ("broken-google.json", r#"{"type":"service_account","client_email":"a@b.test","private_key":"abcdefgh-"}"#),
        (
            "aws-google.json",
            r#"{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://sts.test","credential_source":{"environment_id":"aws1"}}"#,
        ),
        ("prices.yaml", "openai/gpt-4o-mini: [{from: 2024-07-18, input: 0.15, cached: 0.075, output: 0.60}]\n"),
        ("refund.json", r#"{"type": "object", "properties": {"number": {"type": "string"}}}"#),
        (
            "pets.yaml",
            "openapi: 3.1.0\npaths: {/pets: {get: {operationId: findPet, summary: Finds a pet, parameters: [{name: q, in: query, schema: {type: string}}]}}}\n",
        ),
        ("bad-prices.yaml", "openai/gpt-4o-mini:\n  - {from: 2024-07-18, inptu: 0.15}\n"),
    ] {
        table = table.with_file(path, text);
    }
    table
}

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn bless() -> bool {
    std::env::var_os("WEIR_BLESS").is_some_and(|set| set == "1")
}

/// The YAML files of a directory, sorted.
pub(crate) fn yaml_files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

pub(crate) fn load(text: &str) -> Result<Runtime, Report> {
    from_text(text, "weir.yaml", &world())
}

/// Loads what is expected to be good.
pub(crate) fn good(text: &str) -> Runtime {
    load(text).unwrap_or_else(|report| panic!("{report}"))
}

/// A good configuration with `extra` lines.
pub(crate) fn with(extra: &str) -> String {
    format!(
        "providers: {{simulator: {{base_url: \"http://127.0.0.1:9\"}}}}\n\
         tenants: {{t: {{keys: [{{id: k, secret: \"${{KEY}}\"}}]}}}}\n{extra}\n"
    )
}
