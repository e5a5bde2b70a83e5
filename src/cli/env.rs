//! `weir env`: the settings that point a client here.
//!
//! Base URLs are what each client takes: the OpenAI SDKs append paths to one that ends in `/v1`, the
//! Anthropic SDKs and Claude Code append `/v1/messages` themselves.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use super::{USAGE, print};
use crate::config::env::{Env as _, System};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The client
    client: Client,
    /// Where the gateway is, without a path
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// The key [default: $WEIR_API_KEY, else a placeholder]
    #[arg(long)]
    key: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Client {
    /// OpenAI SDKs, and whatever reads their variables
    Openai,
    /// Anthropic SDKs
    Anthropic,
    /// Claude Code
    ClaudeCode,
    /// Codex (speaks Responses)
    Codex,
    /// Gemini CLI and Google's SDKs
    Gemini,
}

/// One variable of a shell.
#[derive(Debug, Serialize)]
struct Variable {
    name: &'static str,
    value: String,
}

pub(super) fn env(args: &Args) -> ExitCode {
    let root = args.url.trim_end_matches('/');
    let root = root.strip_suffix("/v1").unwrap_or(root);
    if !(root.starts_with("http://") || root.starts_with("https://")) {
        print::note("weir: --url: expected a URL that begins with `http://` or `https://`");
        return ExitCode::from(USAGE);
    }
    let given = args.key.clone().or_else(|| System.var("WEIR_API_KEY")).filter(|key| !key.is_empty());
    let key = given.unwrap_or_else(|| "YOUR-WEIR-KEY".to_owned());
    let variables = variables(args.client, root, &key);
    if args.json {
        let object: BTreeMap<_, _> = variables.iter().map(|v| (v.name, &v.value)).collect();
        match args.client {
            Client::Codex => print::json(&CodexSettings::of(root, object)),
            _ => print::json(&object),
        }
    } else {
        let lines: Vec<_> = variables.iter().map(|v| format!("export {}={}", v.name, quoted(&v.value))).collect();
        print::out(&lines.join("\n"));
        if matches!(args.client, Client::Codex) {
            print::out(&codex(root));
        }
    }
    ExitCode::SUCCESS
}

fn variables(client: Client, root: &str, key: &str) -> Vec<Variable> {
    let two = |url: &'static str, value: String, name: &'static str| {
        vec![Variable { name: url, value }, Variable { name, value: key.to_owned() }]
    };
    match client {
        Client::Openai => two("OPENAI_BASE_URL", format!("{root}/v1"), "OPENAI_API_KEY"),
        Client::Anthropic => two("ANTHROPIC_BASE_URL", root.to_owned(), "ANTHROPIC_API_KEY"),
        // A bearer token: an ANTHROPIC_API_KEY would have to be approved in a dialog first.
        Client::ClaudeCode => two("ANTHROPIC_BASE_URL", root.to_owned(), "ANTHROPIC_AUTH_TOKEN"),
        Client::Gemini => two("GOOGLE_GEMINI_BASE_URL", root.to_owned(), "GEMINI_API_KEY"),
        // Its base URL is no variable: see `codex`.
        Client::Codex => vec![Variable { name: CODEX_KEY, value: key.to_owned() }],
    }
}

/// The variable that Codex is told to read its key from.
const CODEX_KEY: &str = "WEIR_API_KEY";

/// Codex takes its providers from a file, or from options: a function of the shell needs no file. What stands in
/// braces is one argument only in quotes, which an alias has none left for.
fn codex(root: &str) -> String {
    let provider = format!(r#"{{name="Weir",base_url="{root}/v1",env_key="{CODEX_KEY}",wire_api="responses"}}"#);
    let value = quoted(&format!("model_providers.weir={provider}"));
    format!(
        "codex() {{ command codex -c 'model_provider=\"weir\"' -c {value} \"$@\"; }}\n\
         # The same in ~/.codex/config.toml:\n\
         # model_provider = \"weir\"\n\
         # [model_providers]\n\
         # weir = {provider}"
    )
}

/// The variable, and what belongs into Codex's `config.toml`.
#[derive(Serialize)]
struct CodexSettings<'v> {
    #[serde(flatten)]
    variables: BTreeMap<&'static str, &'v String>,
    model_provider: &'static str,
    model_providers: BTreeMap<&'static str, CodexProvider>,
}

#[derive(Serialize)]
struct CodexProvider {
    name: &'static str,
    base_url: String,
    env_key: &'static str,
    wire_api: &'static str,
}

impl<'v> CodexSettings<'v> {
    fn of(root: &str, variables: BTreeMap<&'static str, &'v String>) -> Self {
        let base_url = format!("{root}/v1");
        let provider = CodexProvider { name: "Weir", base_url, env_key: CODEX_KEY, wire_api: "responses" };
        Self { variables, model_provider: "weir", model_providers: BTreeMap::from([("weir", provider)]) }
    }
}

/// For a POSIX shell.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:/@".contains(c);
    match !value.is_empty() && value.chars().all(plain) {
        true => value.to_owned(),
        false => format!("'{}'", value.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell, with a Codex that says what it is given.
    #[test]
    fn codex_gets_its_options_whole() {
        let directory = std::env::temp_dir().join(format!("weir-codex-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        // The shell writes it: what this process has open for writing may not be run.
        let script = r##"printf '#!/bin/sh\nprintf "%%s\\n" "$@"\n' >"$0/codex"; chmod +x "$0/codex""##;
        let lines = format!("{script}\nPATH=\"$0:$PATH\"\n{}\ncodex exec 'two words'\n", codex("http://h:1"));
        for shell in ["sh", "bash"] {
            let output = std::process::Command::new(shell).arg("-c").arg(&lines).arg(&directory).output();
            // Not everybody has both.
            let Ok(output) = output else { continue };
            let provider = r#"{name="Weir",base_url="http://h:1/v1",env_key="WEIR_API_KEY",wire_api="responses"}"#;
            let expected =
                format!("-c\nmodel_provider=\"weir\"\n-c\nmodel_providers.weir={provider}\nexec\ntwo words\n");
            assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{shell}: {output:?}");
        }
        std::fs::remove_dir_all(directory).unwrap();
    }
}
