//! A row of the ledger as columns, and back to the same row. What is filtered and summed has a column;
//! the rest is one small JSON text, without what the columns say already: an attempt that went as most
//! do is two numbers. A row that columns cannot hold exactly (a text with a NUL, a count beyond 63 bits)
//! has its whole line in there, and the columns hold the nearest thing: no row may stop a batch.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::session::{Column, Kind};
use super::{Arg, Cells, Result, StoreError, time};
use crate::ledger::{Attempt, Classes, Row};
use crate::usage::price::{PicoUsd, Usd};

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

/// Of `weir_requests`, in the order of [`Packed::args`] and [`unpack`].
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
pub(super) struct Packed<'r> {
    pub(super) row: &'r Row,
    pub(super) started_ms: i64,
    cells: Vec<Cell<'r>>,
}

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
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Rest {
    /// The whole row, where columns cannot hold it.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route_reason: Option<String>,
    /// Where the counts do not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Classes>,
    /// There are counts, and no classes behind them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    no_usage: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    timeline: Vec<Step>,
}

/// An attempt, without what is as one expects.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    /// `None`: the row's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// `None`: the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    /// `None`: the row's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// `None`: [`FIRST`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    at_ms: Box<RawValue>,
    duration_ms: Box<RawValue>,
    /// `None`: [`OK`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<String>,
    /// `None`: the row's; [`NO_STATUS`]: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage_source: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage: Option<Classes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cost_pico_usd: Option<i128>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due_pico_usd: Option<i128>,
}

const FIRST: &str = "first";
const OK: &str = "ok";
const NO_STATUS: i32 = -1;

impl<'r> Packed<'r> {
    pub(super) fn new(row: &'r Row) -> Result<Self> {
        let mut exact = Exact(true);
        let started_ms = exact.moment(&row.started_at);
        let mut cells = exact.cells(row, started_ms);
        let rest = if exact.0 { rest(row) } else { Rest { line: Some(line(row)?), ..Rest::default() } };
        let rest = serde_json::to_string(&rest).map_err(StoreError::unreadable)?;
        cells.push(Cell::Text(Some(rest).filter(|text| text != "{}").map(Cow::Owned)));
        Ok(Self { row, started_ms, cells })
    }

    /// In the order of [`COLUMNS`].
    pub(super) fn args(&self) -> Vec<Arg<'_>> {
        self.cells.iter().map(Cell::arg).collect()
    }
}

/// Whether everything so far fits into its column.
struct Exact(bool);

impl Exact {
    /// All columns but the last.
    fn cells<'r>(&mut self, row: &'r Row, started_ms: i64) -> Vec<Cell<'r>> {
        let mut cells = Vec::with_capacity(COLUMNS.len());
        cells.extend([self.text(Some(&row.request_id)), Cell::Int(Some(started_ms))]);
        cells.extend([&row.tenant, &row.key_id, &row.user].map(|text| self.text(text.as_deref())));
        cells.push(Cell::Text(tags(row)));
        cells.push(self.text(Some(&row.format)));
        let names = [&row.route, &row.model, &row.provider, &row.upstream_model];
        cells.extend(names.map(|text| self.text(text.as_deref())));
        cells.extend([Cell::Int(Some(row.stream.into())), Cell::Int(Some(row.status.into()))]);
        cells.push(self.text(Some(&row.outcome)));
        cells.extend([Cell::Int(Some(row.attempts.into())), Cell::Int(Some(row.fallback.into()))]);
        let counts = [row.input_tokens, row.output_tokens, row.cached_tokens, row.cache_write_tokens];
        cells.extend(counts.map(|count| self.count(count)));
        cells.push(self.count(row.reasoning_tokens));
        cells.push(self.text(row.usage_source.as_deref()));
        cells.extend([self.cost(row), self.pico(row.due_pico_usd)]);
        cells.push(self.text(row.price_version.as_deref()));
        let times = [Some(&row.duration_ms), row.ttft_ms.as_ref(), Some(&row.overhead_ms)];
        cells.extend(times.map(|time| self.us(time.map(AsRef::as_ref))));
        cells.push(self.text(row.error.as_deref()));
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

    fn cost(&mut self, row: &Row) -> Cell<'static> {
        let usd = row.cost_usd.as_deref().map(RawValue::get);
        let expected = row.cost_pico_usd.map(usd_text);
        self.0 &= usd == expected.as_deref();
        self.pico(row.cost_pico_usd)
    }

    fn pico(&mut self, pico: Option<i128>) -> Cell<'static> {
        let Some(pico) = pico else { return Cell::Int(None) };
        let fits = i64::try_from(pico);
        self.0 &= fits.is_ok();
        Cell::Int(Some(fits.unwrap_or(if pico < 0 { i64::MIN } else { i64::MAX })))
    }

    /// `12.345` milliseconds in microseconds.
    fn us(&mut self, ms: Option<&RawValue>) -> Cell<'static> {
        let Some(ms) = ms.map(RawValue::get) else { return Cell::Int(None) };
        let read = || {
            let (whole, part) = ms.split_once('.')?;
            let us = whole.parse::<i64>().ok()?.checked_mul(1_000)?.checked_add(part.parse().ok()?)?;
            (ms_text(us) == ms).then_some(us)
        };
        let us = read();
        self.0 &= us.is_some();
        Cell::Int(us)
    }

    fn moment(&mut self, text: &str) -> i64 {
        let ms = time::read_ms(text).unwrap_or(0);
        self.0 &= time::write_ms(ms) == text;
        ms
    }
}

/// As records write it: three digits behind the point.
fn ms_text(us: i64) -> String {
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

/// As records write it.
pub(super) fn usd_text(pico: i128) -> String {
    Usd(PicoUsd(pico)).to_string()
}

fn tags(row: &Row) -> Option<Cow<'static, str>> {
    let some = Some(&row.tags).filter(|tags| !tags.is_empty());
    some.and_then(|tags| serde_json::to_string(tags).ok()).map(Cow::Owned)
}

fn line(row: &Row) -> Result<Box<RawValue>> {
    serde_json::value::to_raw_value(row).map_err(StoreError::unreadable)
}

fn rest(row: &Row) -> Rest {
    let implied = implied(row.input_tokens, row.output_tokens, row);
    Rest {
        line: None,
        client_request_id: row.client_request_id.clone(),
        usage: row.usage.filter(|usage| Some(*usage) != implied),
        no_usage: row.usage.is_none() && implied.is_some(),
        service_tier: row.service_tier.clone(),
        dropped: row.dropped.clone(),
        route_reason: row.route_reason.clone(),
        timeline: row.timeline.iter().map(|attempt| Step::new(attempt, row)).collect(),
    }
}

/// The classes that stand behind most counts: no audio, nothing kept for an hour.
fn implied(input: Option<u64>, output: Option<u64>, row: &Row) -> Option<Classes> {
    let (cached, written) = (row.cached_tokens?, row.cache_write_tokens?);
    let reasoning = row.reasoning_tokens?;
    Some(Classes {
        fresh_input: input?.checked_sub(cached)?.checked_sub(written)?,
        cached,
        cache_write: written,
        visible_output: output?.checked_sub(reasoning)?,
        reasoning,
        ..Classes::default()
    })
}

impl Step {
    fn new(attempt: &Attempt, row: &Row) -> Self {
        let unless =
            |text: &String, usual: Option<&str>| Some(text.clone()).filter(|text| Some(text.as_str()) != usual);
        let status = attempt.status.map_or(NO_STATUS, i32::from);
        Self {
            provider: unless(&attempt.provider, row.provider.as_deref()),
            endpoint: unless(&attempt.endpoint, Some(&attempt.provider)),
            model: unless(&attempt.model, row.upstream_model.as_deref()),
            kind: unless(&attempt.kind, Some(FIRST)),
            at_ms: attempt.at_ms.clone(),
            duration_ms: attempt.duration_ms.clone(),
            outcome: unless(&attempt.outcome, Some(OK)),
            status: Some(status).filter(|status| *status != i32::from(row.status)),
            error: attempt.error.clone(),
            input_tokens: attempt.input_tokens,
            output_tokens: attempt.output_tokens,
            usage_source: attempt.usage_source.clone(),
            usage: attempt.usage,
            service_tier: attempt.service_tier.clone(),
            cost_pico_usd: attempt.cost_pico_usd,
            due_pico_usd: attempt.due_pico_usd,
        }
    }

    fn unpack(self, row: &Row) -> Result<Attempt> {
        let missing = || StoreError::unreadable("an attempt that names nobody");
        let provider = self.provider.or_else(|| row.provider.clone()).ok_or_else(missing)?;
        Ok(Attempt {
            endpoint: self.endpoint.unwrap_or_else(|| provider.clone()),
            model: self.model.or_else(|| row.upstream_model.clone()).ok_or_else(missing)?,
            kind: self.kind.unwrap_or_else(|| FIRST.to_owned()),
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

/// The row that was packed, from its columns in their order.
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
    row.service_tier = rest.service_tier;
    row.dropped = rest.dropped;
    row.route_reason = rest.route_reason;
    let implied = || implied(row.input_tokens, row.output_tokens, &row).filter(|_| !rest.no_usage);
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
        error: cells.text(28)?,
        timeline: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
