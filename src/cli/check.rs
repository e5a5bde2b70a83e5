//! `weir check`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::{USAGE, print};
use crate::config::env::System;
use crate::config::load;
use crate::config::report::Report;
use crate::config::runtime::Runtime;
use crate::tenant::jwt::Issuers;
use crate::usage::price::litellm::Found;

/// Where a configuration is looked for if nobody says.
pub(super) const USUAL: [&str; 2] = ["weir.yaml", "conf/weir.yaml"];

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code: 0 good, 1 something is wrong, 2 no such file.\n\
    Variables and files that the configuration refers to have to be there, as for `weir run`.")]
pub(super) struct Args {
    /// The configuration [default: weir.yaml, else conf/weir.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    file: String,
    ok: bool,
    #[serde(flatten)]
    report: &'a Report,
    /// What a price file of LiteLLM's held.
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<&'a Found>,
}

pub(super) fn check(args: &Args) -> ExitCode {
    let Some(path) = file(args.config.as_ref()) else { return ExitCode::from(USAGE) };
    if let Err(error) = std::fs::File::open(&path) {
        print::note(&format!("weir: cannot open {}: {error}", path.display()));
        return ExitCode::from(USAGE);
    }
    let loaded = load::from_file(&path, &System).and_then(|runtime| {
        // As `weir run` would.
        let issuers = Issuers::new(&runtime.auth, None);
        issuers.map(|_| runtime).map_err(|why| Report::plain(&path.display().to_string(), why, None))
    });
    match (&loaded, args.json) {
        (Ok(runtime), true) => answer(&path, &Report::default(), runtime.prices.found()),
        (Ok(runtime), false) => print::out(&good(&path, runtime)),
        (Err(report), true) => answer(&path, report, None),
        (Err(report), false) => bad(&path, report),
    }
    ExitCode::from(u8::from(loaded.is_err()))
}

/// The file that is meant; where there is none, that is said.
pub(super) fn file(named: Option<&PathBuf>) -> Option<PathBuf> {
    let usual = || USUAL.iter().map(PathBuf::from).find(|path| path.exists());
    let found = named.cloned().or_else(usual);
    if found.is_none() {
        print::note("weir: no weir.yaml here: name one with -c, or write one with `weir init`");
    }
    found
}

fn answer(path: &Path, report: &Report, prices: Option<&Found>) {
    print::json(&Answer { file: path.display().to_string(), ok: report.is_empty(), report, prices });
}

fn good(path: &Path, runtime: &Runtime) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let head = format!(
        "{}: good ({}, {}, {}, {})",
        path.display(),
        count(runtime.deployments.len(), "provider"),
        count(runtime.routes.len(), "route"),
        count(runtime.tenants.len(), "tenant"),
        count(runtime.keys.len(), "key"),
    );
    let prices = runtime.prices.found().map(|found| {
        let hint = if found.unknown.is_empty() { "" } else { " (`weir models --prices --check` lists them)" };
        format!("{}{hint}", found.summary())
    });
    std::iter::once(head).chain(prices).collect::<Vec<_>>().join("\n")
}

fn bad(path: &Path, report: &Report) {
    let plural = if report.len() == 1 { "" } else { "s" };
    let text = report.render(print::colour());
    print::note(&format!("{text}weir: {} error{plural} in {}", report.len(), path.display()));
}
