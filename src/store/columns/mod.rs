//! A row of the ledger as columns, and back to the same row. What is filtered and summed has a column;
//! the rest is one small JSON text, without what the columns say already: an attempt that went as most
//! do is two numbers. A row that columns cannot hold exactly (a text with a NUL, a count beyond 63 bits)
//! has its whole line in there, and the columns hold the nearest thing: no row may stop a batch.

use std::borrow::Cow;
use std::io::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::session::{Column, Kind};
use super::{Arg, Cells, Result, StoreError, time};
use crate::ledger::{Attempt, Classes, Row};
use crate::record::{Ms, OK, Record, Step, Thousandths, Why, write_classes, write_ms};
use crate::usage::price::{PicoUsd, Usd};
use crate::usage::tokens::Usage;
use crate::wire::json::{Arr, Obj};

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

/// Of `weir_requests`, in the order of [`Columns::args`] and [`unpack`].
pub(super) const COLUMNS: [Column; 30] = [
    text("request_id"),
    int("started_ms"),
    text("tenant"),
    text("key_id"),
    text("end_user"),
    text("tags"),
    text("format"),
    text("route"),
    text("model"),
    text("provider"),
    text("upstream_model"),
    int("stream"),
    int("status"),
    text("outcome"),
    int("attempts"),
    int("fallback"),
    int("input_tokens"),
    int("output_tokens"),
    int("cached_tokens"),
    int("cache_write_tokens"),
    int("reasoning_tokens"),
    text("usage_source"),
    int("cost_pico_usd"),
    int("due_pico_usd"),
    text("price_version"),
    int("duration_us"),
    int("ttft_us"),
    int("overhead_us"),
    text("error"),
    text("rest"),
];

/// For a `SELECT`.
pub(super) fn list() -> String {
    COLUMNS.map(|column| column.name).join(", ")
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Columns<'r>(Vec<Cell<'r>>);

#[derive(Debug)]
enum Cell<'r> {
    Int(Option<i64>),
    Text(Option<Cow<'r, str>>),
}

impl Cell<'_> {
    fn arg(&self) -> Arg<'_> {
        match self {
            Self::Int(number) => Arg::from(*number),
            Self::Text(Some(text)) => Arg::Text(text),
            Self::Text(None) => Arg::Null,
        }
    }
}

/// What has no column.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rest {
    /// The whole row, where columns cannot hold it.
    line: Option<Box<RawValue>>,
    client_request_id: Option<String>,
    trace_id: Option<String>,
    traceparent: Option<String>,
    response_model: Option<String>,
    route_reason: Option<String>,
    /// Where the counts do not say it.
    usage: Option<Classes>,
    service_tier: Option<String>,
    dropped: Vec<String>,
    compression_saved_tokens: Option<u64>,
    compression_strategies: Option<String>,
    tools_executed: Option<String>,
    guards: Vec<String>,
    cache: Option<String>,
    cache_similarity: Option<Box<RawValue>>,
    #[serde(rename = "for")]
    purpose: Option<String>,
    timeline: Vec<Attempted>,
}

/// An attempt, without what is as one expects.
#[derive(Debug, Deserialize)]
struct Attempted {
    /// `None`: the row's.
    provider: Option<String>,
    /// `None`: the provider.
    endpoint: Option<String>,
    /// `None`: the row's.
    model: Option<String>,
    /// `None`: [`FIRST`].
    kind: Option<String>,
    at_ms: Box<RawValue>,
    duration_ms: Box<RawValue>,
    /// `None`: [`OK`].
    outcome: Option<String>,
    /// `None`: the row's; [`NO_STATUS`]: none.
    status: Option<i32>,
    error: Option<String>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    usage_source: Option<String>,
    usage: Option<Classes>,
    service_tier: Option<String>,
    cost_pico_usd: Option<i128>,
    due_pico_usd: Option<i128>,
}

const NO_STATUS: i32 = -1;
/// Room for what a usual row has beside its columns.
const REST_BYTES: usize = 96;

impl<'r> Columns<'r> {
    pub(super) fn new(record: &Record<'r>) -> Self {
        let started_ms = i64::try_from(record.started_ms()).unwrap_or(i64::MAX);
        let (mut exact, mut rest) = (Exact(true), Vec::with_capacity(REST_BYTES));
        let mut cells = exact.cells(record, started_ms);
        if exact.0 {
            write_rest(record, &mut rest);
        } else {
            record.write_line(Obj::new(&mut rest).key("line"));
        }
        let rest = String::from_utf8(rest).ok().filter(|text| text != "{}");
        cells.push(Cell::Text(rest.map(Cow::Owned)));
        Self(cells)
    }

    /// In the order of [`COLUMNS`].
    pub(super) fn args(&self) -> Vec<Arg<'_>> {
        self.0.iter().map(Cell::arg).collect()
    }
}

/// Whether everything so far fits into its column.
struct Exact(bool);

impl Exact {
    /// All columns but the last.
    fn cells<'r>(&mut self, it: &Record<'r>, started_ms: i64) -> Vec<Cell<'r>> {
        let (told, charge) = (it.told(), it.charge);
        let mut cells = Vec::with_capacity(COLUMNS.len());
        cells.push(Cell::Text(Some(Cow::Owned(it.request_id.to_string()))));
        cells.push(Cell::Int(Some(started_ms)));
        cells.extend([it.tenant, it.key_id, it.user].map(|text| self.text(text)));
        cells.push(Cell::Text(tags(it)));
        cells.push(self.text(Some(it.format)));
        cells.extend([it.route, it.model, it.provider, it.upstream_model].map(|text| self.text(text)));
        cells.extend([Cell::Int(Some(it.stream.into())), Cell::Int(Some(it.status.into()))]);
        cells.push(Cell::Text(Some(Cow::Borrowed(it.outcome.as_str()))));
        cells.extend([Cell::Int(Some(it.attempts.into())), Cell::Int(Some(it.fallback.into()))]);
        cells.push(self.count(told.map(Usage::input_tokens)));
        cells.push(self.count(told.map(Usage::output_tokens)));
        cells.push(self.count(told.map(|usage| usage.cached_tokens)));
        cells.push(self.count(told.map(Usage::cache_written_tokens)));
        cells.push(self.count(told.map(|usage| usage.reasoning_tokens)));
        cells.push(Cell::Text(it.usage_source.map(|source| Cow::Borrowed(source.as_str()))));
        cells.extend([self.pico(charge.cost()), self.pico(charge.due())]);
        cells.push(self.text(it.price_version));
        let times = [Some(it.duration), it.ttft, Some(it.overhead)];
        cells
            .extend(times.map(|time| self.count(time.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))));
        cells.push(self.text(it.error));
        cells
    }

    /// Postgres knows no NUL in a text.
    fn text<'r>(&mut self, text: Option<&'r str>) -> Cell<'r> {
        let Some(text) = text else { return Cell::Text(None) };
        let clean = if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(text) };
        self.0 &= matches!(clean, Cow::Borrowed(_));
        Cell::Text(Some(clean))
    }

    fn count(&mut self, count: Option<u64>) -> Cell<'static> {
        let Some(count) = count else { return Cell::Int(None) };
        let fits = i64::try_from(count);
        self.0 &= fits.is_ok();
        Cell::Int(Some(fits.unwrap_or(i64::MAX)))
    }

    fn pico(&mut self, pico: Option<PicoUsd>) -> Cell<'static> {
        let Some(PicoUsd(pico)) = pico else { return Cell::Int(None) };
        let fits = i64::try_from(pico);
        self.0 &= fits.is_ok();
        Cell::Int(Some(fits.unwrap_or(if pico < 0 { i64::MIN } else { i64::MAX })))
    }
}

fn ms_text(us: i64) -> String {
    Ms(Duration::from_micros(u64::try_from(us).unwrap_or_default())).to_string()
}

/// As records write it.
pub(super) fn usd_text(pico: i128) -> String {
    Usd(PicoUsd(pico)).to_string()
}

fn tags(record: &Record<'_>) -> Option<Cow<'static, str>> {
    let mut tags = record.tags.iter().peekable();
    tags.peek()?;
    let mut text = Vec::new();
    let mut all = Arr::new(&mut text);
    tags.for_each(|tag| _ = all.text(tag));
    drop(all);
    String::from_utf8(text).ok().map(Cow::Owned)
}

/// Reads as [`Rest`].
fn write_rest(record: &Record<'_>, out: &mut Vec<u8>) {
    let mut rest = Obj::new(out);
    if let Some(id) = record.client_request_id {
        rest.text("client_request_id", id);
    }
    write_trace(record, &mut rest);
    if let Some(reason) = record.route_reason {
        rest.text("route_reason", reason);
    }
    let implied = record.told().and_then(|usage| {
        let (input, output) = (usage.input_tokens(), usage.output_tokens());
        implied(input, output, [usage.cached_tokens, usage.cache_written_tokens(), usage.reasoning_tokens])
    });
    if let Some(usage) = record.usage.as_ref().filter(|usage| implied != Some(Classes::from(**usage))) {
        write_classes(&mut rest, usage);
    }
    if let Some(tier) = record.service_tier {
        rest.text("service_tier", tier);
    }
    let mut dropped = record.dropped.iter().peekable();
    if dropped.peek().is_some() {
        let mut paths = rest.arr("dropped");
        dropped.for_each(|path| _ = paths.text(path));
    }
    if let Some(saved) = record.compression_saved_tokens {
        rest.num("compression_saved_tokens", saved);
    }
    if let Some(strategies) = record.compression_strategies {
        rest.text("compression_strategies", strategies);
    }
    if let Some(tools) = record.tools_executed {
        rest.text("tools_executed", tools);
    }
    let mut guards = record.guards.iter().peekable();
    if guards.peek().is_some() {
        let mut list = rest.arr("guards");
        guards.for_each(|decision| _ = list.text(decision));
    }
    if let Some(cache) = record.cache {
        rest.text("cache", cache);
    }
    if let Some(similarity) = record.cache_similarity {
        let _ = write!(rest.key("cache_similarity"), "{}", Thousandths(similarity));
    }
    if let Some(purpose) = record.purpose {
        rest.text("for", purpose);
    }
    let mut steps = record.timeline.iter().peekable();
    if steps.peek().is_some() {
        let mut timeline = rest.arr("timeline");
        steps.for_each(|step| write_step(record, &step, &mut timeline.obj()));
    }
}

fn write_trace(record: &Record<'_>, rest: &mut Obj<'_>) {
    if let Some(id) = record.trace_id {
        let _ = write!(rest.key("trace_id"), "\"{id}\"");
    }
    if let Some(parent) = record.traceparent {
        let _ = write!(rest.key("traceparent"), "\"{parent}\"");
    }
    if let Some(model) = record.response_model {
        rest.text("response_model", model);
    }
}

/// Reads as [`Attempted`].
fn write_step(record: &Record<'_>, step: &Step<'_>, out: &mut Obj<'_>) {
    let unless = |out: &mut Obj<'_>, name: &str, text: &str, usual: Option<&str>| {
        if Some(text) != usual {
            out.text(name, text);
        }
    };
    unless(out, "provider", step.provider, record.provider);
    unless(out, "endpoint", step.endpoint, Some(step.provider));
    unless(out, "model", step.model, record.upstream_model);
    unless(out, "kind", step.why.as_str(), Some(Why::First.as_str()));
    write_ms(out.key("at_ms"), step.at);
    write_ms(out.key("duration_ms"), step.duration);
    unless(out, "outcome", step.outcome, Some(OK));
    let status = step.status.map_or(NO_STATUS, i32::from);
    if status != i32::from(record.status) {
        let _ = write!(out.key("status"), "{status}");
    }
    if let Some(error) = step.error {
        out.text("error", error);
    }
    step.write_used(out);
}

/// The classes that stand behind most counts: no audio, nothing kept for an hour.
fn implied(input: u64, output: u64, [cached, written, reasoning]: [u64; 3]) -> Option<Classes> {
    Some(Classes {
        fresh_input: input.checked_sub(cached)?.checked_sub(written)?,
        cached,
        cache_write: written,
        visible_output: output.checked_sub(reasoning)?,
        reasoning,
        ..Classes::default()
    })
}

impl Attempted {
    fn unpack(self, row: &Row) -> Result<Attempt> {
        let missing = || StoreError::unreadable("an attempt that names nobody");
        let provider = self.provider.or_else(|| row.provider.clone()).ok_or_else(missing)?;
        Ok(Attempt {
            endpoint: self.endpoint.unwrap_or_else(|| provider.clone()),
            model: self.model.or_else(|| row.upstream_model.clone()).ok_or_else(missing)?,
            kind: self.kind.unwrap_or_else(|| Why::First.as_str().to_owned()),
            at_ms: self.at_ms,
            duration_ms: self.duration_ms,
            outcome: self.outcome.unwrap_or_else(|| OK.to_owned()),
            status: match self.status {
                None => Some(row.status),
                Some(NO_STATUS) => None,
                Some(status) => Some(u16::try_from(status).map_err(StoreError::unreadable)?),
            },
            error: self.error,
            input_tokens: self.input_tokens,
            output_tokens: self.output_tokens,
            usage_source: self.usage_source,
            usage: self.usage,
            service_tier: self.service_tier,
            cost_pico_usd: self.cost_pico_usd,
            due_pico_usd: self.due_pico_usd,
            provider,
        })
    }
}

/// The row that was written, from its columns in their order.
pub(super) fn unpack(cells: &dyn Cells) -> Result<Row> {
    let rest: Rest = match cells.text(29)? {
        Some(text) => serde_json::from_str(&text).map_err(StoreError::unreadable)?,
        None => Rest::default(),
    };
    if let Some(line) = rest.line {
        return Row::read(line.get().as_bytes()).map_err(StoreError::unreadable);
    }
    let mut row = columns(cells)?;
    row.client_request_id = rest.client_request_id;
    row.trace_id = rest.trace_id;
    row.traceparent = rest.traceparent;
    row.response_model = rest.response_model;
    row.service_tier = rest.service_tier;
    row.dropped = rest.dropped;
    row.guards = rest.guards;
    row.cache = rest.cache;
    (row.cache_similarity, row.purpose) = (rest.cache_similarity, rest.purpose);
    row.route_reason = rest.route_reason;
    row.compression_saved_tokens = rest.compression_saved_tokens;
    row.compression_strategies = rest.compression_strategies;
    row.tools_executed = rest.tools_executed;
    let implied = || {
        let details = [row.cached_tokens?, row.cache_write_tokens?, row.reasoning_tokens?];
        implied(row.input_tokens?, row.output_tokens?, details)
    };
    row.usage = rest.usage.or_else(implied);
    row.timeline = rest.timeline.into_iter().map(|step| step.unpack(&row)).collect::<Result<_>>()?;
    Ok(row)
}

/// What the columns say of a row.
fn columns(cells: &dyn Cells) -> Result<Row> {
    let small = |at| cells.need_int(at).and_then(|n| u32::try_from(n).map_err(StoreError::unreadable));
    let raw = |text: String| RawValue::from_string(text).map_err(StoreError::unreadable);
    let ms = |at| cells.int(at)?.map(|us| raw(ms_text(us))).transpose();
    let need_ms = |at| ms(at)?.ok_or_else(|| StoreError::unreadable("a row without a time"));
    let cost = cells.int(22)?.map(i128::from);
    let tags = cells.text(5)?.map(|text| serde_json::from_str(&text).map_err(StoreError::unreadable));
    Ok(Row {
        request_id: cells.need_text(0)?,
        client_request_id: None,
        trace_id: None,
        traceparent: None,
        started_at: time::write_ms(cells.need_int(1)?),
        tenant: cells.text(2)?,
        key_id: cells.text(3)?,
        user: cells.text(4)?,
        tags: tags.transpose()?.unwrap_or_default(),
        format: cells.need_text(6)?,
        route: cells.text(7)?,
        route_reason: None,
        model: cells.text(8)?,
        provider: cells.text(9)?,
        upstream_model: cells.text(10)?,
        response_model: None,
        stream: cells.truth(11)?,
        status: u16::try_from(cells.need_int(12)?).map_err(StoreError::unreadable)?,
        outcome: cells.need_text(13)?,
        attempts: small(14)?,
        fallback: cells.truth(15)?,
        input_tokens: cells.count(16)?,
        output_tokens: cells.count(17)?,
        cached_tokens: cells.count(18)?,
        cache_write_tokens: cells.count(19)?,
        reasoning_tokens: cells.count(20)?,
        usage_source: cells.text(21)?,
        usage: None,
        service_tier: None,
        cost_pico_usd: cost,
        cost_usd: cost.map(|pico| raw(usd_text(pico))).transpose()?,
        due_pico_usd: cells.int(23)?.map(i128::from),
        price_version: cells.text(24)?,
        duration_ms: need_ms(25)?,
        ttft_ms: ms(26)?,
        overhead_ms: need_ms(27)?,
        dropped: Vec::new(),
        compression_saved_tokens: None,
        compression_strategies: None,
        tools_executed: None,
        guards: Vec::new(),
        cache: None,
        cache_similarity: None,
        purpose: None,
        error: cells.text(28)?,
        timeline: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
