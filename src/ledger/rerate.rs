//! What a request would have cost by other prices: nothing but its row and the prices is looked at.

use std::sync::Arc;

use super::Row;
use crate::usage::price::{Charge, ModelInfo, amount};
use crate::usage::tokens::Usage;

/// Whose price is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'r> {
    pub provider: &'r str,
    /// One of several of the provider's, where the row says which.
    pub endpoint: Option<&'r str>,
    /// As the provider was asked for it.
    pub upstream_model: &'r str,
    /// As the client wrote it.
    pub model: Option<&'r str>,
}

/// A model's prices, and where the endpoint stands.
#[derive(Debug, Clone)]
pub struct Priced {
    pub info: Arc<ModelInfo>,
    pub region: Option<String>,
}

/// The row with the costs, its own and those of its attempts, that it has by `prices`; they hold for the
/// day on which the request began. `version` is the price table's. Whatever nobody counted has no cost,
/// as before.
pub fn rerate(row: &Row, prices: &dyn Fn(Asked<'_>) -> Option<Priced>, version: &str) -> Row {
    let mut new = row.clone();
    let Some(day) = row.started_at.get(..10).and_then(|day| amount::day(day).ok()) else { return new };
    let model = row.model.as_deref();
    let charge = |asked: Asked<'_>, usage: Usage, tier: Option<&str>| {
        let priced = prices(asked);
        let charge = priced.map(|Priced { info, region }| info.charge(&usage, tier, day, region.as_deref()));
        charge.unwrap_or_else(|| Charge::default().or_said(&usage))
    };
    let own = || {
        let usage = Usage::from(row.usage?);
        let (provider, upstream_model) = (row.provider.as_deref()?, row.upstream_model.as_deref()?);
        // The attempt that answered is the one whose use is the row's.
        let answered =
            row.timeline.iter().rev().find(|attempt| attempt.usage.is_none() && attempt.provider == provider);
        let asked = Asked { provider, endpoint: answered.map(|a| a.endpoint.as_str()), upstream_model, model };
        Some(charge(asked, usage, row.service_tier.as_deref()))
    };
    // What an answer from the cache cost was its tenant's share then: no price says which.
    let is_shared = row.cache.as_deref() == Some("hit");
    if !is_shared {
        let own: Charge = own().unwrap_or_default();
        new.set_charge(own);
        new.price_version = own.cost().or_else(|| own.due()).map(|_| version.to_owned());
    }
    let attempts = row.timeline.iter().zip(&mut new.timeline);
    for (attempt, new) in attempts.filter(|(attempt, _)| attempt.usage.is_some()) {
        let asked = Asked {
            provider: &attempt.provider,
            endpoint: Some(&attempt.endpoint),
            upstream_model: &attempt.model,
            model,
        };
        let usage = attempt.usage.map(Usage::from).unwrap_or_default();
        let charge = charge(asked, usage, attempt.service_tier.as_deref());
        new.cost_pico_usd = charge.cost().map(|cost| cost.0);
        new.due_pico_usd = charge.due().map(|due| due.0);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::price::PriceTable;

    /// Two attempts: one of a dearer model that was cut, one that answered.
    const LINE: &str = r#"{"request_id":"r","client_request_id":null,"trace_id":null,"started_at":"2026-03-01T23:59:59.999Z","tenant":"acme",
        "key_id":"dev","user":null,"tags":[],"format":"chat","route":"fast","model":"fast","provider":"lab",
        "upstream_model":"m","stream":true,"status":200,"outcome":"finished","attempts":2,"fallback":true,
        "input_tokens":30,"output_tokens":7,"cached_tokens":20,"cache_write_tokens":0,"reasoning_tokens":2,
        "usage_source":"reported","usage":{"fresh_input":10,"cached":20,"visible_output":5,"reasoning":2},
        "service_tier":"flex","cost_pico_usd":1,"cost_usd":0.000000000001,"price_version":"old","duration_ms":1.000,
        "ttft_ms":null,"overhead_ms":0.100,"dropped":[],"error":null,"timeline":[
        {"provider":"dear","endpoint":"dear#2","model":"d","kind":"first","at_ms":0.000,"duration_ms":1.000,"outcome":"timeout",
        "status":null,"error":"upstream_timeout","input_tokens":30,"output_tokens":0,"usage_source":"estimated",
        "usage":{"fresh_input":30},"cost_pico_usd":5},
        {"provider":"lab","endpoint":"lab#eu","model":"m","kind":"fallback","at_ms":1.000,"duration_ms":1.000,"outcome":"ok",
        "status":200,"error":null}]}"#;

    fn row() -> Row {
        Row::read(LINE.as_bytes()).unwrap()
    }

    const PRICES: &str = "lab/m:\n- {input: 1, output: 2, regions: {eu: 2}}\n- {from: 2026-03-01, input: 10, cached: 1, output: 20, service: {flex: {output: 10}}, regions: {eu: 2}}\n- {from: 2026-03-02, input: 99, output: 99}\ndear/d: [{input: 100, output: 100}]\n";

    fn by(text: &str) -> impl Fn(Asked<'_>) -> Option<Priced> {
        let table = PriceTable::builtin().with_overrides(text).unwrap();
        move |asked| {
            let info = Arc::clone(table.exact(asked.provider, asked.upstream_model)?);
            Some(Priced { info, region: asked.endpoint?.split_once('#').map(|(_, region)| region.to_owned()) })
        }
    }

    #[test]
    fn a_row_costs_what_held_on_its_day_where_it_was_answered() {
        let new = rerate(&row(), &by(PRICES), "new");
        // (10 x 10 + 20 x 1 + 7 x 10) x 2 per million.
        assert_eq!(new.cost_pico_usd, Some(380_000_000));
        assert_eq!(new.cost_usd.as_ref().unwrap().get(), "0.00038");
        assert_eq!(new.price_version.as_deref(), Some("new"));
        let attempts: Vec<_> = new.timeline.iter().map(|attempt| attempt.cost_pico_usd).collect();
        assert_eq!(attempts, [Some(3_000_000_000), None], "the one that answered is the row itself");
    }

    #[test]
    fn the_same_prices_change_nothing() {
        let once = rerate(&row(), &by(PRICES), "new");
        let twice = rerate(&once, &by(PRICES), "new");
        assert_eq!(once.line().unwrap(), twice.line().unwrap());
        let back: Row = Row::read(&once.line().unwrap()).unwrap();
        assert_eq!(back.line().unwrap(), once.line().unwrap());
    }

    #[test]
    fn what_has_a_price_in_part_is_due_in_part() {
        let mut row = row();
        row.usage.as_mut().unwrap().web_searches = 2;
        row.timeline[0].usage.as_mut().unwrap().web_searches = 1;
        let new = rerate(&row, &by(PRICES), "new");
        assert_eq!((new.cost_pico_usd, new.due_pico_usd), (None, Some(380_000_000)));
        assert_eq!((new.cost_usd.is_none(), new.price_version.as_deref()), (true, Some("new")));
        assert_eq!((new.timeline[0].cost_pico_usd, new.timeline[0].due_pico_usd), (None, Some(3_000_000_000)));
        let whole = rerate(
            &new,
            &by(&PRICES
                .replace("output: 20,", "output: 20, web_search: 0.01,")
                .replace("output: 100", "output: 100, web_search: 0.01")),
            "whole",
        );
        // Twice two searches at a cent more, and one.
        assert_eq!((whole.cost_pico_usd, whole.due_pico_usd), (Some(40_380_000_000), None));
        assert_eq!((whole.timeline[0].cost_pico_usd, whole.timeline[0].due_pico_usd), (Some(13_000_000_000), None));
    }

    #[test]
    fn an_answer_from_the_cache_costs_what_it_cost() {
        let row = Row { cache: Some("hit".to_owned()), ..row() };
        let new = rerate(&row, &by(PRICES), "new");
        assert_eq!((new.cost_pico_usd, new.price_version.as_deref()), (Some(1), Some("old")));
        assert_eq!(new.timeline[0].cost_pico_usd, Some(3_000_000_000), "what was lost before it is another matter");
    }

    #[test]
    fn what_has_no_price_or_no_count_has_no_cost() {
        let none = rerate(&row(), &|_| None, "new");
        assert_eq!((none.cost_pico_usd, none.price_version.as_deref()), (None, None));
        assert!(none.cost_usd.is_none() && none.timeline[0].cost_pico_usd.is_none());
        let uncounted = Row { usage: None, ..row() };
        assert_eq!(rerate(&uncounted, &by(PRICES), "new").cost_pico_usd, None);
        let undated = Row { started_at: "yesterday".to_owned(), ..row() };
        assert_eq!(rerate(&undated, &by(PRICES), "new").cost_pico_usd, Some(1), "left as it was");
        let free = rerate(&row(), &by("lab/m: [{input: 0, output: 0}]"), "new");
        assert_eq!(free.cost_usd.as_ref().unwrap().get(), "0.0");
    }
}
