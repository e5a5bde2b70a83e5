//! Rows of a ledger, made up: each number is one row, always the same.

use std::path::PathBuf;

use serde_json::value::RawValue;
use weir::config::runtime::State;
use weir::ledger::{Attempt, Classes, Row};
use weir::store::Batch;
use weir::usage::price::{PicoUsd, Usd};

/// 2026-04-01T00:00:00Z
pub(crate) const APRIL_S: u64 = 1_775_001_600;
pub(crate) const TENANTS: u64 = 20;

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap()
}

fn usd(pico: i128) -> Box<RawValue> {
    raw(Usd(PicoUsd(pico)).to_string())
}

/// Puts another cost in place of a row's.
pub(crate) fn cost(row: &mut Row, pico: i128) {
    (row.cost_pico_usd, row.cost_usd, row.due_pico_usd) = (Some(pico), Some(usd(pico)), None);
}

/// And other counts.
pub(crate) fn counts(row: &mut Row, input: u64, output: u64) {
    (row.input_tokens, row.output_tokens) = (Some(input), Some(output));
    (row.cached_tokens, row.cache_write_tokens, row.reasoning_tokens) = (Some(0), Some(0), Some(0));
    row.usage = Some(Classes { fresh_input: input, visible_output: output, ..Classes::default() });
    row.usage_source = Some("reported".into());
}

/// Number `n`, started that many milliseconds after the beginning of April.
pub(crate) fn row(n: u64, after_ms: u64) -> Row {
    let (seconds, ms) = (APRIL_S + after_ms / 1_000, after_ms % 1_000);
    let started_at = weir::limit::clock::Rfc3339(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
    let started_at = started_at.to_string().replace(".000Z", &format!(".{ms:03}Z"));
    let (tenant, key, model) = (n % TENANTS, n / 20 % 5, n / 100 % 4);
    let failed = n.is_multiple_of(17);
    let usage = (!failed).then(|| Classes {
        fresh_input: 100 + n % 900,
        cached: n % 7 * 10,
        visible_output: 20 + n % 300,
        reasoning: n % 3,
        ..Classes::default()
    });
    let cost = usage.filter(|_| n % 29 != 1).map(|u| i128::from(u.fresh_input * 150_000 + u.visible_output * 600_001));
    Row {
        request_id: format!("019d0000-0000-7000-8000-{n:012x}"),
        client_request_id: None,
        trace_id: None,
        traceparent: None,
        started_at,
        tenant: Some(format!("tenant-{tenant}")),
        key_id: Some(format!("tenant-{tenant}-key-{key}")),
        user: n.is_multiple_of(4).then(|| format!("user-{}", n / 4 % 10)),
        tags: if n.is_multiple_of(5) { vec!["team=search".into(), format!("env={}", n % 2)] } else { Vec::new() },
        format: "chat".into(),
        route_reason: None,
        route: n.is_multiple_of(2).then(|| "fast".into()),
        model: Some(format!("openai/model-{model}")),
        provider: Some("openai".into()),
        upstream_model: Some(format!("model-{model}")),
        response_model: None,
        stream: n.is_multiple_of(2),
        status: if failed { 502 } else { 200 },
        outcome: if failed { "failed" } else { "finished" }.into(),
        attempts: 1,
        fallback: false,
        input_tokens: usage.map(|u| u.fresh_input + u.cached),
        output_tokens: usage.map(|u| u.visible_output + u.reasoning),
        cached_tokens: usage.map(|u| u.cached),
        cache_write_tokens: usage.map(|_| 0),
        reasoning_tokens: usage.map(|u| u.reasoning),
        usage_source: usage.map(|_| "reported".into()),
        usage,
        service_tier: None,
        cost_pico_usd: cost,
        cost_usd: cost.map(usd),
        due_pico_usd: usage.filter(|_| cost.is_none()).map(|_| 7_000_000 + i128::from(n)),
        price_version: Some("2026-04-01".into()),
        duration_ms: raw(format!("{}.{:03}", 400 + n % 3_000, n % 1_000)),
        ttft_ms: n.is_multiple_of(2).then(|| raw(format!("{}.000", 90 + n % 50))),
        overhead_ms: raw("0.412".into()),
        dropped: Vec::new(),
        compression_saved_tokens: None,
        compression_strategies: None,
        tools_executed: None,
        guards: Vec::new(),
        cache: None,
        cache_similarity: None,
        purpose: None,
        error: failed.then(|| "upstream_error".into()),
        timeline: timeline(n, model),
    }
}

/// Now and then a first attempt elsewhere that used tokens of its own.
fn timeline(n: u64, model: u64) -> Vec<Attempt> {
    let attempt = |provider: &str, model: String, kind: &str| Attempt {
        provider: provider.into(),
        endpoint: provider.into(),
        model,
        kind: kind.into(),
        at_ms: raw("0.300".into()),
        duration_ms: raw("391.007".into()),
        outcome: "ok".into(),
        status: Some(200),
        error: None,
        input_tokens: None,
        output_tokens: None,
        usage_source: None,
        usage: None,
        service_tier: None,
        cost_pico_usd: None,
        due_pico_usd: None,
    };
    let mut all = vec![attempt("openai", format!("model-{model}"), "first")];
    if n % 50 == 3 {
        let usage = Classes { fresh_input: 80, visible_output: 3, ..Classes::default() };
        all.push(Attempt {
            outcome: "broken".into(),
            input_tokens: Some(80),
            output_tokens: Some(3),
            usage_source: Some("partial".into()),
            usage: Some(usage),
            cost_pico_usd: Some(12_345),
            ..attempt("other", "elsewhere".into(), "hedge")
        });
    }
    all
}

/// Numbers of a range, one a minute.
pub(crate) fn rows(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers.map(|n| row(n, n * 60_123)).collect()
}

pub(crate) fn batch(numbers: std::ops::Range<u64>) -> Batch {
    Batch { rows: rows(numbers), positions: Vec::new() }
}

/// An embedded database of one test's own.
pub(crate) fn embedded(name: &str) -> State {
    let dir: PathBuf = std::env::temp_dir().join(format!("weir-embedded-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    State { dir, ..State::default() }
}
