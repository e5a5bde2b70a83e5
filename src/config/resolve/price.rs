//! `prices`: the built-in table with the operator's file over it.

use std::fmt::Write as _;

use crate::config::raw;
use crate::config::read::{Context, Either};
use crate::config::report::Report;
use crate::config::yaml::Place;
use crate::usage::price::PriceTable;

/// Problems of the file itself are added to `report`, under its own name.
pub(super) fn table(raw: &raw::Config, cx: &mut Context<'_>, report: &mut Report) -> PriceTable {
    let mut table = from_file(&raw.prices, cx, report);
    let own = inline(raw);
    if !own.is_empty() {
        table.stamp(&own);
    }
    table
}

/// The prices that stand with the models of providers, as text that is the same for the same prices.
fn inline(raw: &raw::Config) -> String {
    let mut text = String::new();
    for (provider, settings) in &raw.providers.entries {
        for (model, entry) in settings.models.iter().flat_map(|models| &models.entries) {
            if let Either::Full(full) = entry
                && let Some(price) = &full.price
            {
                let _ = writeln!(text, "{}/{}: {:?}", provider.value, model.value, price.0);
            }
        }
    }
    text
}

fn from_file(raw: &raw::PricesFile, cx: &mut Context<'_>, report: &mut Report) -> PriceTable {
    let Some(path) = &raw.file else { return PriceTable::builtin() };
    let shown = path.display().to_string();
    let text = match cx.env.read(path) {
        Ok(text) => text,
        Err(error) => {
            cx.say(path.place, format!("cannot read the file `{shown}`")).label(error.to_string());
            return PriceTable::builtin();
        }
    };
    match PriceTable::builtin().with_overrides(&text) {
        Ok(table) => table,
        Err(error) => {
            let mut own = Context::new(cx.env);
            // The place is told apart from the message.
            let message = error.message.split(" at line ").next().unwrap_or_default();
            own.say(place(&text, error.line, error.column), message);
            own.finish(&shown, &text, report);
            PriceTable::builtin()
        }
    }
}

/// The character at a line and a column, both from 1.
fn place(text: &str, line: u64, column: u64) -> Place {
    let before = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(before).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or_default();
    let start = start + rest.char_indices().nth(column).map_or(0, |(at, _)| at);
    Place { start, end: start + 1 }
}
