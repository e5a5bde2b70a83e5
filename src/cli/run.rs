//! `weir run`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use super::print;
use crate::config::env::{Env, System};
use crate::config::load::{self, Unfiled};
use crate::config::report::Report;
use crate::config::runtime::{Deployment, Runtime};
use crate::proxy::handover::Inherited;
use crate::proxy::serve::{self, Prepared};
use crate::secret::Secret;
use crate::telemetry::log;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it, providers come from the environment (OPENAI_API_KEY, ...)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Take the place of the process that serves with the same `state.dir`: wait until SIGQUIT makes it
    /// hand over its sockets
    #[arg(long)]
    pub(super) upgrade: bool,
}

/// The sockets of the process before this one.
fn inherited(upgrade: bool, runtime: &Runtime) -> Result<Inherited, String> {
    if !upgrade {
        return Ok(Inherited::nothing());
    }
    print::note("weir: waiting for the sockets: send SIGQUIT to the process that serves now");
    Inherited::wait(&runtime.state.dir)
}

pub(super) fn run(args: Args) -> ExitCode {
    if let Err(error) = log::init(System.var("WEIR_LOG").as_deref()) {
        return failed(&error);
    }
    match args.config {
        Some(file) => with_file(file, args.upgrade),
        None => without_file(args.upgrade),
    }
}

fn with_file(file: PathBuf, upgrade: bool) -> ExitCode {
    let runtime = match load::from_file(&file, &System) {
        Ok(runtime) => runtime,
        Err(report) => return refused(&report),
    };
    let prepared = inherited(upgrade, &runtime)
        .and_then(|inherited| serve::prepare(runtime, Some(file), Arc::new(System), None, inherited));
    match prepared {
        Ok(prepared) => {
            announce(&prepared);
            prepared.serve();
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn without_file(upgrade: bool) -> ExitCode {
    let Unfiled { mut runtime, key, generated, unusable } = match load::from_environment(&System) {
        Ok(unfiled) => unfiled,
        Err(report) => return refused(&report),
    };
    if let Err(error) = std::fs::create_dir_all(&runtime.state.dir) {
        let dir = runtime.state.dir.display();
        print::note(&format!("weir: nothing is recorded: `{dir}` cannot be made: {error}"));
        runtime.state.ledger.enabled = false;
    }
    let found: Vec<String> = runtime.deployments.iter().map(|d| found(d, &runtime)).collect();
    let model = first_model(&runtime.deployments);
    let prepared = inherited(upgrade, &runtime)
        .and_then(|inherited| serve::prepare(runtime, None, Arc::new(System), None, inherited));
    match prepared {
        Ok(prepared) => {
            announce(&prepared);
            print::note(&format!("weir: found in the environment: {}", found.join(", ")));
            unusable.iter().for_each(|why| print::note(&format!("weir: not used: {why}")));
            print::note(&welcome(&prepared.urls, &prepared.admin_url, &key, generated, &model));
            prepared.serve();
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

/// A provider and how many of its models are known.
fn found(deployment: &Deployment, runtime: &Runtime) -> String {
    match runtime.prices.askable(deployment.provider.catalogue).count() {
        0 => format!("{} (any model)", deployment.name),
        known => format!("{} ({known} models known, any accepted)", deployment.name),
    }
}

/// A cheap model of the vendor's that a first request can be sent to.
fn example(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "openai" | "azure" => "gpt-5-mini",
        "anthropic" => "claude-haiku-4-5",
        "gemini" => "gemini-flash-latest",
        "vertex" => "gemini-2.5-flash",
        "bedrock" => "openai.gpt-oss-20b-1:0",
        "mistral" => "mistral-small-latest",
        "groq" => "llama-3.3-70b-versatile",
        "deepseek" => "deepseek-chat",
        "xai" => "grok-latest",
        "cohere" => "command-a-03-2025",
        "openrouter" => "openai/gpt-5-mini",
        "together" | "deepinfra" | "huggingface" => "openai/gpt-oss-20b",
        "fireworks" => "accounts/fireworks/models/gpt-oss-20b",
        "cerebras" => "gpt-oss-120b",
        "moonshot" => "kimi-k2.5",
        "nvidia" => "meta/llama-3.3-70b-instruct",
        "github" => "openai/gpt-4.1-mini",
        _ => return None,
    })
}

/// What a first request can ask for: of the first provider that an example is known of.
fn first_model(deployments: &[Arc<Deployment>]) -> String {
    let known = deployments.iter().find_map(|d| Some(format!("{}/{}", d.name, example(d.provider.kind)?)));
    known.or_else(|| deployments.first().map(|d| format!("{}/MODEL", d.name))).unwrap_or_default()
}

/// The lines that scripts and tests wait for.
pub(super) fn announce(prepared: &Prepared) {
    for url in &prepared.urls {
        print::note(&format!("weir: listening on {url}"));
    }
    print::note(&format!("weir: admin on {}", prepared.admin_url));
}

/// How to get going, for a person.
pub(super) fn welcome(urls: &[String], admin_url: &str, key: &Secret, generated: bool, model: &str) -> String {
    let url = urls.first().map_or("http://127.0.0.1:8080", String::as_str);
    // The variable's name where the person already has the key.
    let key = if generated { key.expose() } else { "$WEIR_API_KEY" };
    let why = if generated { "  (made up for this run; set WEIR_API_KEY to keep one)" } else { "" };
    format!(
        "\n  key       {key}{why}\n  try       curl {url}/v1/chat/completions -H \"authorization: Bearer {key}\" \\\n              -d '{{\"model\": \"{model}\", \"messages\": [{{\"role\": \"user\", \"content\": \"hello\"}}]}}'\n  OpenAI SDK      export OPENAI_BASE_URL={url}/v1 OPENAI_API_KEY={key}\n  Anthropic SDK   export ANTHROPIC_BASE_URL={url} ANTHROPIC_API_KEY={key}\n  Claude Code     export ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={key}\n  Gemini CLI, SDK export GOOGLE_GEMINI_BASE_URL={url} GEMINI_API_KEY={key}\n  Codex           eval \"$(weir env codex --url {url} --key {key})\"\n  dashboard {admin_url}/\n  metrics   curl {admin_url}/metrics\n"
    )
}

pub(super) fn refused(report: &Report) -> ExitCode {
    print::note(&report.render(print::colour()));
    ExitCode::FAILURE
}

pub(super) fn failed(error: &str) -> ExitCode {
    print::note(&format!("weir: {error}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that the provider does not have would be the first thing that a new user sees fail.
    #[test]
    fn examples_are_models_that_there_are() {
        let table = crate::usage::price::PriceTable::builtin();
        // Those of which the table has nothing, or that have names of their owner's.
        let unlisted = ["azure", "github", "nvidia", "huggingface"];
        let kinds = crate::provider::PROVIDERS.iter().filter(|p| !unlisted.contains(&p.kind));
        for (provider, model) in kinds.filter_map(|p| Some((p, example(p.kind)?))) {
            assert!(table.find(provider.catalogue, model).is_some(), "{}/{model}", provider.kind);
        }
        let of = |vars: &[(&str, &str)]| {
            let env = crate::config::env::Table::of(vars);
            first_model(&load::from_environment(&env).unwrap().runtime.deployments)
        };
        assert_eq!(of(&[("GEMINI_API_KEY", "k")]), "gemini/gemini-flash-latest");
        assert_eq!(of(&[("JINA_API_KEY", "k"), ("XAI_API_KEY", "k")]), "xai/grok-latest");
        assert_eq!(of(&[("JINA_API_KEY", "k")]), "jina/MODEL");
    }

    /// In single quotes the variable's name would be sent.
    #[test]
    fn what_is_to_be_pasted_sends_the_key() {
        let urls = ["http://h:1".to_owned()];
        let shown = |generated| welcome(&urls, "http://h:2", &Secret::new("weir_k"), generated, "m");
        assert!(shown(false).contains(r#"-H "authorization: Bearer $WEIR_API_KEY""#), "{}", shown(false));
        assert!(shown(true).contains(r#"-H "authorization: Bearer weir_k""#), "{}", shown(true));
    }
}
