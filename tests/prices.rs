//! Costs, computed a second time by something that shares no code with the gateway.
#![expect(clippy::disallowed_types, reason = "an export is free-form here")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Command, Output};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use weir::ledger::Classes;
use weir::usage::price::PriceTable;
use weir::usage::price::amount::day;
use weir::usage::tokens::Usage;

const DAY: &str = "2026-10-31";

/// Runs the script over an export. It is Python's: without an interpreter there is nothing to compare with.
fn recompute(rows: &[Value], more: &[&str]) -> Output {
    let file = std::env::temp_dir().join(format!("weir-recompute-{}-{}.json", std::process::id(), rows.len()));
    std::fs::write(&file, serde_json::to_string(rows).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/recompute-costs.py");
    let output = Command::new("python3").arg(script).arg(&file).args(more).output().unwrap();
    std::fs::remove_file(file).unwrap();
    output
}

fn usage() -> impl Strategy<Value = Usage> {
    let count = || prop_oneof![2 => Just(0_u64), 1 => 1_u64..400_000];
    prop::array::uniform14(count()).prop_map(|[a, b, c, d, e, f, g, h, i, j, k, l, m, n]| Usage {
        fresh_input_tokens: a,
        cached_tokens: b,
        cache_write_tokens: c,
        cache_write_1h_tokens: d,
        audio_input_tokens: e,
        image_input_tokens: f,
        visible_output_tokens: g,
        reasoning_tokens: h,
        audio_output_tokens: i,
        image_output_tokens: j,
        images: k / 100_000,
        audio_seconds: l / 1_000,
        web_searches: m / 10_000,
        search_units: if n > 390_000 { 3 } else { 0 },
        ..Usage::default()
    })
}

/// A row of every model that is priced, with something used in some service tier and region.
fn rows() -> Vec<Value> {
    let table = PriceTable::builtin();
    let mut runner = TestRunner::deterministic();
    let mut rows = Vec::new();
    for catalogue in table.catalogues() {
        for (model, info) in table.models(catalogue).into_iter().filter(|(_, info)| !info.prices.is_empty()) {
            let usage = usage().new_tree(&mut runner).unwrap().current();
            let tiers = [None, Some("batch"), Some("Flex"), Some("priority"), Some("default"), Some("fast")];
            let tier = tiers.into_iter().cycle().nth(rows.len()).flatten();
            let region = (catalogue == "openai").then_some("eu");
            let cost = info.cost(&usage, tier, day(DAY).unwrap(), region).map(|cost| cost.0);
            rows.push(json!({
                "request_id": rows.len().to_string(), "started_at": format!("{DAY}T12:00:00.000Z"),
                "provider": catalogue, "upstream_model": model, "service_tier": tier,
                "usage": Classes::from(usage), "cost_pico_usd": cost.map(|cost| i64::try_from(cost).unwrap()),
            }));
        }
    }
    rows
}

#[test]
fn every_model_costs_the_same_when_computed_otherwise() {
    let rows = rows();
    assert!(rows.len() > 3_000);
    let known = rows.iter().filter(|row| row["cost_pico_usd"].is_i64()).count();
    assert!(known > 1_000 && known < rows.len(), "costs that are known, and some that are not: {known}");
    let output = recompute(&rows, &["--region", "openai=eu"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    assert!(said.starts_with(&format!("{} equal, 0 differ, 0 of models", rows.len())), "{said}");
}

#[test]
fn a_pico_usd_too_many_is_seen() {
    let mut rows: Vec<Value> = rows().into_iter().filter(|row| row["cost_pico_usd"].is_i64()).take(20).collect();
    let cost = rows[7]["cost_pico_usd"].as_i64().unwrap();
    rows[7]["cost_pico_usd"] = json!(cost + 1);
    // An attempt of its own, wrong too.
    rows[3]["timeline"] =
        json!([{"provider": "openai", "model": "gpt-4o-mini", "usage": {"fresh_input": 10}, "cost_pico_usd": 1}]);
    let output = recompute(&rows, &["--region", "openai=eu"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains(&format!("cost_pico_usd is {}, expected {cost}", cost + 1)), "{text}");
    assert!(text.contains("attempt 1 openai/gpt-4o-mini: cost_pico_usd is 1, expected 1500000"), "{text}");
    // Nothing to compare is no proof.
    assert_eq!(recompute(&[], &[]).status.code(), Some(1));
}
