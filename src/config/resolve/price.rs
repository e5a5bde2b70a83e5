//! Prices: the built-in table with the operator's overrides.

use sha2::{Digest as _, Sha256};

use crate::config::raw::{self, DatedPrice};
use crate::config::read::{At, Context, OneOrMore, Read as _, UsdPerMillion};
use crate::config::report::Report;
use crate::config::yaml;
use crate::usage::price::{Column, Price, PriceTable, Rates};

/// Problems of the file itself are added to `report`, under its own name.
pub(super) fn table(raw: &raw::PricesFile, cx: &mut Context<'_>, report: &mut Report) -> PriceTable {
    let mut table = PriceTable::builtin();
    let Some(path) = &raw.file else { return table };
    let shown = path.display().to_string();
    let text = match cx.env.read(path) {
        Ok(text) => text,
        Err(error) => {
            cx.say(path.place, format!("cannot read the file `{shown}`")).label(error.to_string());
            return table;
        }
    };
    let mut own = Context::new(cx.env);
    let read = yaml::parse(&text, &mut own).and_then(|node| raw::Prices::read(&node, &mut own));
    for (name, dated) in read.iter().flat_map(|r| &r.entries) {
        if !name.contains('/') {
            own.say(name.place, "not the name of a priced model").label("expected `vendor/model`");
        }
        let prices = prices(dated, &mut own);
        table.set(&name.value, prices);
    }
    own.finish(&shown, &text, report);
    let hash = hex::encode(Sha256::digest(&text));
    table.version = format!("{}+{}", table.version, hash.get(..8).unwrap_or_default());
    table
}

/// The prices of one model, newest first.
pub(super) fn prices(raw: &OneOrMore<DatedPrice>, cx: &mut Context<'_>) -> Vec<Price> {
    let mut prices: Vec<Price> = Vec::new();
    for dated in &raw.0 {
        let price = price(dated);
        if prices.iter().any(|p| p.from_day == price.from_day) {
            cx.say(dated.place, "two prices from the same day").label("expected another `from`");
        }
        if price.standard == Column::default() {
            cx.say(dated.place, "a price without a rate").label("expected at least `input` or `output`");
        }
        prices.push(price);
    }
    prices.sort_by_key(|p| std::cmp::Reverse(p.from_day));
    prices
}

macro_rules! rates {
    ($raw:expr) => {
        Rates {
            input: per_token(&$raw.input),
            cached: per_token(&$raw.cached),
            cache_write: per_token(&$raw.cache_write),
            cache_write_1h: per_token(&$raw.cache_write_1h),
            output: per_token(&$raw.output),
            reasoning: per_token(&$raw.reasoning),
            audio_input: per_token(&$raw.audio_input),
            audio_output: per_token(&$raw.audio_output),
            request: $raw.request.as_ref().map(|usd| usd.0),
            ..Rates::default()
        }
    };
}

fn per_token(rate: &Option<At<UsdPerMillion>>) -> Option<i64> {
    rate.as_ref().map(|r| r.0)
}

fn price(raw: &DatedPrice) -> Price {
    let tiers = raw.tiers.iter().flat_map(|t| &t.value);
    let mut tiers: Vec<_> = tiers.map(|t| (t.above.as_deref().copied().unwrap_or_default(), rates!(t))).collect();
    tiers.sort_by_key(|(above, _)| *above);
    let service = raw
        .service
        .iter()
        .flat_map(|s| &s.entries)
        .map(|(name, s)| (name.value.as_str().into(), column(rates!(s))))
        .collect();
    let standard = Column { rates: rates!(raw), tiers };
    Price { from_day: raw.from.as_ref().map_or(0, |day| day.number()), standard, service }
}

fn column(rates: Rates) -> Column {
    Column { rates, tiers: Vec::new() }
}
