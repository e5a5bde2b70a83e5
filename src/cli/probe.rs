//! `weir probe`: asks a model what it can do and prints it as configuration.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use super::{USAGE, print, run};
use crate::config::env::System;
use crate::config::load;
use crate::config::runtime::Runtime;
use crate::proxy::examine::{self, Finding, Subject};
use crate::wire::json::Str;

#[derive(Debug, clap::Args)]
#[command(after_help = "Sends nine small requests to the provider; a vendor charges for them.\n\
    Exit code: 0 done, 1 the provider could not be asked.")]
pub(super) struct Args {
    /// The model, as clients name it: `provider/model`
    model: String,
    /// The configuration [default: what the environment gives]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Row {
    option: String,
    found: Option<bool>,
    why: Option<String>,
}

pub(super) fn probe(args: &Args) -> ExitCode {
    let runtime = match &args.config {
        Some(path) => load::from_file(path, &System),
        None => load::from_environment(&System).map(|unfiled| unfiled.runtime),
    };
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(report) => {
            run::refused(&report);
            return ExitCode::from(USAGE);
        }
    };
    match ask(args, &runtime) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => run::failed(&error),
    }
}

fn ask(args: &Args, runtime: &Runtime) -> Result<(), String> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let mut rows = Vec::new();
    let examined = examine::examine(runtime, &args.model, |subject, finding| {
        let row = row(subject, finding);
        if !args.json {
            print::note(&format!("{:<32} {finding}", row.option));
        }
        rows.push(row);
    });
    let (provider, model) = tokio.block_on(examined).map_err(|e| e.to_string())?;
    if args.json {
        print::json(&rows);
    } else {
        print::out(&yaml(&provider, &model, &rows));
    }
    Ok(())
}

fn row(subject: Subject, finding: &Finding) -> Row {
    let option = match subject {
        Subject::Capability(name) => format!("capabilities.{name}"),
        Subject::Quirk(name) => format!("quirks.{name}"),
    };
    let (found, why) = match finding {
        Finding::Yes => (Some(true), None),
        Finding::No(why) => (Some(false), Some(why.clone())),
        Finding::Unclear(why) => (None, Some(why.clone())),
    };
    Row { option, found, why }
}

/// What was found, as a part of the configuration. What is unclear is left out.
fn yaml(provider: &str, model: &str, rows: &[Row]) -> String {
    let of = |group: &str| {
        let said = rows.iter().filter_map(|row| Some((row.option.strip_prefix(group)?, row.found?)));
        said.map(|(name, can)| format!("{name}: {can}")).collect::<Vec<_>>()
    };
    let mut lines = vec!["providers:".to_owned(), format!("  {provider}:")];
    let (capabilities, quirks) = (of("capabilities."), of("quirks."));
    if !quirks.is_empty() {
        lines.push(format!("    quirks: {{{}}}", quirks.join(", ")));
    }
    if !capabilities.is_empty() {
        lines.push("    models:".to_owned());
        lines.push(format!("      {}:", Str::from_text(model).raw()));
        lines.push(format!("        capabilities: {{{}}}", capabilities.join(", ")));
    }
    lines.join("\n")
}
