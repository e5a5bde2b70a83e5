//! `weir models`

mod check;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::{USAGE, print};
use crate::config::env::System;
use crate::config::load;
use crate::usage::price::amount::{UsdPerMillion, day, day_of};
use crate::usage::price::{ModelInfo, PriceTable, Rates};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The list is what is known, not what may be used: a provider takes any name after its prefix.\n\
    --check exits with 1 where a model that the configuration names has no price."
)]
pub(super) struct Args {
    /// Only names that contain this text
    filter: Option<String>,
    /// With prices, in USD per million tokens
    #[arg(long)]
    prices: bool,
    /// Say how old the prices are, and what of a configuration has none
    #[arg(long, requires = "prices", conflicts_with = "filter")]
    check: bool,
    /// The day the prices are of [default: today]
    #[arg(long, requires = "prices", value_name = "YYYY-MM-DD")]
    on: Option<String>,
    /// With the prices of this configuration [default: those built in; with --check: weir.yaml, else
    /// conf/weir.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    model: String,
    context: Option<u64>,
    max_output: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prices: Option<Prices>,
}

/// Decimals as text: they are exact.
#[derive(Serialize)]
struct Prices {
    input: Option<String>,
    cached: Option<String>,
    cache_write: Option<String>,
    output: Option<String>,
    reasoning: Option<String>,
    /// The classes that have no column in the table for people, USD per million or each.
    #[serde(flatten)]
    others: std::collections::BTreeMap<&'static str, String>,
}

/// What a person sees of a price.
const SHOWN: [&str; 5] = ["input", "cached", "cache_write", "output", "reasoning"];

impl From<Rates> for Prices {
    fn from(rates: Rates) -> Self {
        let usd = |rate: Option<i64>| rate.map(|rate| UsdPerMillion(rate).to_string());
        Self {
            input: usd(rates.input),
            cached: usd(rates.cached),
            cache_write: usd(rates.cache_write),
            output: usd(rates.output),
            reasoning: usd(rates.reasoning),
            others: (Rates::CLASSES.iter())
                .filter(|class| !SHOWN.contains(class))
                .filter_map(|class| Some((*class, check::shown(class, rates.get(class)?))))
                .collect(),
        }
    }
}

pub(super) fn models(args: &Args) -> ExitCode {
    let on = match args.on.as_deref().map(day) {
        None => day_of(SystemTime::now()),
        Some(Ok(on)) => on,
        Some(Err(error)) => {
            print::note(&format!("weir: --on: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    if args.check {
        return check::run(args.config.as_ref(), on, args.json);
    }
    let table = match args.config.as_ref().map(|path| load::from_file(path, &System)) {
        None => Arc::new(PriceTable::builtin()),
        Some(Ok(runtime)) => runtime.prices,
        Some(Err(report)) => {
            print::note(&report.render(print::colour()));
            return ExitCode::FAILURE;
        }
    };
    list(args, &table, on);
    ExitCode::SUCCESS
}

fn list(args: &Args, table: &PriceTable, on: i64) {
    let mut rows = Vec::new();
    for catalogue in table.catalogues() {
        for (name, info) in table.models(catalogue) {
            let model = format!("{catalogue}/{name}");
            if args.filter.as_ref().is_none_or(|text| model.contains(text.as_str())) {
                rows.push(row(model, info, args.prices.then_some(on)));
            }
        }
    }
    if args.json {
        print::json(&rows);
    } else {
        show(&rows, args.prices);
    }
}

fn row(model: String, info: &ModelInfo, on: Option<i64>) -> Row {
    let prices = on.and_then(|on| info.price_on(on)).map(|price| Prices::from(price.standard.rates));
    Row { model, context: info.context_tokens, max_output: info.max_output_tokens, prices }
}

fn show(rows: &[Row], prices: bool) {
    let mut head = vec!["MODEL", "CONTEXT", "MAX OUTPUT"];
    if prices {
        head.extend(["INPUT", "CACHED", "CACHE WRITE", "OUTPUT"]);
    }
    let unknown = |known: Option<String>| known.unwrap_or_else(|| "-".to_owned());
    let line = |row: &Row| {
        let number = |known: Option<u64>| unknown(known.map(|n| n.to_string()));
        let mut line = vec![row.model.clone(), number(row.context), number(row.max_output)];
        if prices {
            let of = |rate: fn(&Prices) -> &Option<String>| unknown(row.prices.as_ref().and_then(|p| rate(p).clone()));
            line.extend([of(|p| &p.input), of(|p| &p.cached), of(|p| &p.cache_write), of(|p| &p.output)]);
        }
        line
    };
    let head = head.into_iter().map(str::to_owned).collect();
    print::table(&std::iter::once(head).chain(rows.iter().map(line)).collect::<Vec<_>>());
}
