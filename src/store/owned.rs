//! Rows that somebody owns (read from a table, or from a line), as the records that tables are written
//! from.

use std::time::{Duration, SystemTime};

use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Result, StoreError, time};
use crate::ledger::{Attempt, Row};
use crate::record::trace::{Parent, TraceId};
use crate::record::{Outcome, Record, Step, Texts, Timeline, Why};
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::{Usage, UsageSource};

/// The row's record, packed. A row that no record says, so that another would come back, is refused.
pub(super) fn pack(row: &Row) -> Result<Vec<u8>> {
    let packed = pack_nearly(row)?;
    let again = Record::unpack(&packed).and_then(|record| Row::from(&record).line().ok());
    if again != row.line().ok() {
        return Err(StoreError::unreadable(format_args!("the row {} contradicts itself", row.request_id)));
    }
    Ok(packed)
}

/// The nearest record there is.
pub(super) fn pack_nearly(row: &Row) -> Result<Vec<u8>> {
    let steps = row.timeline.iter().map(step).collect::<Result<Vec<_>>>()?;
    let started_ms = time::read_ms(&row.started_at).and_then(|ms| u64::try_from(ms).ok());
    let started_ms = started_ms.ok_or_else(|| StoreError::unreadable("a row that began at no moment"))?;
    let request_id = Uuid::parse_str(&row.request_id).map_err(StoreError::unreadable)?;
    let record = Record {
        client_request_id: row.client_request_id.as_deref(),
        trace_id: row.trace_id.as_deref().and_then(TraceId::read),
        traceparent: row.traceparent.as_deref().and_then(|text| Parent::read(text.as_bytes())),
        tenant: row.tenant.as_deref(),
        key_id: row.key_id.as_deref(),
        user: row.user.as_deref(),
        tags: Texts::Plain(&row.tags),
        route: row.route.as_deref(),
        route_reason: row.route_reason.as_deref(),
        model: row.model.as_deref(),
        provider: row.provider.as_deref(),
        upstream_model: row.upstream_model.as_deref(),
        response_model: row.response_model.as_deref(),
        stream: row.stream,
        status: row.status,
        outcome: word(&Outcome::ALL, Outcome::as_str, &row.outcome)?,
        attempts: row.attempts,
        fallback: row.fallback,
        timeline: Timeline::Steps(&steps),
        usage: row.usage.map(Usage::from),
        usage_source: source(row.usage_source.as_deref())?,
        service_tier: row.service_tier.as_deref(),
        charge: charge(row.cost_pico_usd, row.due_pico_usd),
        price_version: row.price_version.as_deref(),
        duration: duration(&row.duration_ms)?,
        ttft: row.ttft_ms.as_deref().map(duration).transpose()?,
        overhead: duration(&row.overhead_ms)?,
        dropped: Texts::Plain(&row.dropped),
        compression_saved_tokens: row.compression_saved_tokens,
        compression_strategies: row.compression_strategies.as_deref(),
        tools_executed: row.tools_executed.as_deref(),
        guards: Texts::Plain(&row.guards),
        cache: row.cache.as_deref(),
        cache_similarity: row.cache_similarity.as_deref().map(thousandths).transpose()?,
        purpose: row.purpose.as_deref(),
        error: row.error.as_deref(),
        ..Record::new(request_id, SystemTime::UNIX_EPOCH + Duration::from_millis(started_ms), &row.format)
    };
    Ok(record.pack())
}

fn step(attempt: &Attempt) -> Result<Step<'_>> {
    let usage = attempt.usage.map(Usage::from);
    Ok(Step {
        provider: &attempt.provider,
        endpoint: &attempt.endpoint,
        model: &attempt.model,
        why: word(&Why::ALL, Why::as_str, &attempt.kind)?,
        at: duration(&attempt.at_ms)?,
        duration: duration(&attempt.duration_ms)?,
        outcome: &attempt.outcome,
        status: attempt.status,
        error: attempt.error.as_deref(),
        usage: usage.zip(source(attempt.usage_source.as_deref())?),
        service_tier: attempt.service_tier.as_deref(),
        charge: charge(attempt.cost_pico_usd, attempt.due_pico_usd),
    })
}

fn word<T: Copy>(all: &[T], text: fn(T) -> &'static str, wanted: &str) -> Result<T> {
    let found = all.iter().find(|one| text(**one) == wanted).copied();
    found.ok_or_else(|| StoreError::unreadable(format_args!("`{wanted}` is not known")))
}

fn source(text: Option<&str>) -> Result<Option<UsageSource>> {
    text.map(|text| word(&UsageSource::ALL, UsageSource::as_str, text)).transpose()
}

fn charge(cost: Option<i128>, due: Option<i128>) -> Charge {
    let at_least = Charge { floor: PicoUsd(due.unwrap_or_default()), is_whole: false };
    cost.map_or(at_least, |cost| Charge::whole(PicoUsd(cost)))
}

/// `12.345` milliseconds.
fn duration(ms: &RawValue) -> Result<Duration> {
    let (whole, part) = ms.get().split_once('.').unwrap_or_else(|| (ms.get(), "0"));
    let read = || {
        let us = format!("{part:0<3}").parse::<u64>().ok().filter(|us| *us < 1_000)?;
        Some(Duration::from_micros(whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(us)?))
    };
    read().ok_or_else(|| StoreError::unreadable(format_args!("`{}` are no milliseconds", ms.get())))
}

fn thousandths(part: &RawValue) -> Result<u16> {
    let digits = part.get().split_once('.').filter(|(whole, part)| whole.len() == 1 && part.len() == 3);
    let read = digits.and_then(|(whole, part)| format!("{whole}{part}").parse().ok());
    read.ok_or_else(|| StoreError::unreadable(format_args!("`{}` are no thousandths", part.get())))
}
