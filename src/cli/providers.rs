//! `weir providers`

use std::process::ExitCode;

use serde::Serialize;

use super::print;
use crate::provider::{PROVIDERS, Provider};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    title: &'static str,
    format: &'static str,
    base_url: Option<&'static str>,
    env: &'static [&'static str],
    key_optional: bool,
    docs: &'static str,
}

impl From<&Provider> for Row {
    fn from(p: &Provider) -> Self {
        let Provider { kind, title, base_url, env, key_optional, docs_url, .. } = *p;
        Self { kind, title, format: p.dialect().as_str(), base_url, env, key_optional, docs: docs_url }
    }
}

pub(super) fn providers(args: &Args) -> ExitCode {
    let rows = PROVIDERS.iter().map(|p| Row::from(*p));
    if args.json {
        print::json(&rows.collect::<Vec<_>>());
        return ExitCode::SUCCESS;
    }
    let head = ["KIND", "VENDOR", "FORMAT", "KEY FROM", "BASE URL"].map(str::to_owned).to_vec();
    let line = |row: Row| {
        let key = row.env.first().copied().unwrap_or(if row.key_optional { "none needed" } else { "api_key" });
        let base_url = row.base_url.unwrap_or("base_url is needed");
        [row.kind, row.title, row.format, key, base_url].map(str::to_owned).to_vec()
    };
    print::table(&std::iter::once(head).chain(rows.map(line)).collect::<Vec<_>>());
    ExitCode::SUCCESS
}
