//! `weir models`

use std::process::ExitCode;
use std::time::SystemTime;

use serde::Serialize;

use super::print;
use crate::usage::price::amount::{UsdPerMillion, day_of};
use crate::usage::price::{ModelInfo, PriceTable, Rates};

#[derive(Debug, clap::Args)]
#[command(after_help = "The list is what is known, not what may be used: a provider takes any name after its prefix.")]
pub(super) struct Args {
    /// Only names that contain this text
    filter: Option<String>,
    /// With today's prices, in USD per million tokens
    #[arg(long)]
    prices: bool,
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
}

impl From<Rates> for Prices {
    fn from(rates: Rates) -> Self {
        let usd = |rate: Option<i64>| rate.map(|rate| UsdPerMillion(rate).to_string());
        Self {
            input: usd(rates.input),
            cached: usd(rates.cached),
            cache_write: usd(rates.cache_write),
            output: usd(rates.output),
            reasoning: usd(rates.reasoning),
        }
    }
}

pub(super) fn models(args: &Args) -> ExitCode {
    let table = PriceTable::builtin();
    let mut rows = Vec::new();
    for catalogue in table.catalogues() {
        for (name, info) in table.models(catalogue) {
            let model = format!("{catalogue}/{name}");
            if args.filter.as_ref().is_none_or(|text| model.contains(text.as_str())) {
                rows.push(row(model, info, args.prices));
            }
        }
    }
    if args.json {
        print::json(&rows);
    } else {
        show(&rows, args.prices);
    }
    ExitCode::SUCCESS
}

fn row(model: String, info: &ModelInfo, prices: bool) -> Row {
    let today = || info.price_on(day_of(SystemTime::now())).map(|price| Prices::from(price.standard.rates));
    let prices = if prices { today() } else { None };
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
