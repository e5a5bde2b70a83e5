//! What an operator looks at first: what was asked for and used over a stretch of time, and how long it
//! took.

use std::collections::BTreeMap;

use super::requests::Conditions;
use super::rollup::{SUMS, USAGE, Used};
use super::time::{DAY_S, QUARTER_S};
use super::{Cells, Database, Result};
use crate::usage::price::PicoUsd;

/// Rows that are looked at one by one: the newest.
const MOST_ROWS: usize = 100_000;

/// A stretch of time in steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// In seconds since 1970; a multiple of the step.
    pub from_s: i64,
    pub until_s: i64,
    pub step_s: i64,
    pub tenant: Option<String>,
}

/// See the module documentation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overview {
    pub total: Used,
    /// By the beginning of each step with anything in it.
    pub steps: BTreeMap<i64, Used>,
    /// To the first token, of those that have one.
    pub ttft_us: Option<Spread>,
    pub overhead_us: Option<Spread>,
    pub duration_us: Option<Spread>,
    /// There are more requests than were looked at for the times.
    pub is_sampled: bool,
}

/// Half of them took no longer than `p50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
}

impl Spread {
    fn of(mut all: Vec<u64>) -> Option<Self> {
        all.sort_unstable();
        let at = |percent: usize| all.get((all.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: at(50)?, p95: at(95)?, p99: at(99)? })
    }
}

/// What is looked at of a row.
struct Seen {
    started_s: i64,
    used: Used,
    ttft_us: Option<u64>,
    overhead_us: Option<u64>,
    duration_us: Option<u64>,
}

impl Database {
    /// Short steps are added up from rows; those of quarter-hours and more come from the sums.
    pub fn overview(&self, stretch: &Stretch) -> Result<Overview> {
        let rows = self.seen(stretch)?;
        let spread = |of: fn(&Seen) -> Option<u64>| Spread::of(rows.iter().filter_map(of).collect());
        let mut found = Overview {
            ttft_us: spread(|row| row.ttft_us),
            overhead_us: spread(|row| row.overhead_us),
            duration_us: spread(|row| row.duration_us),
            is_sampled: rows.len() >= MOST_ROWS,
            ..Overview::default()
        };
        if stretch.step_s % QUARTER_S == 0 {
            found.steps = self.sums(stretch)?;
        } else {
            for row in &rows {
                let step = row.started_s - row.started_s.rem_euclid(stretch.step_s);
                found.steps.entry(step).or_default().add(&row.used);
            }
        }
        found.steps.values().for_each(|used| found.total.add(used));
        Ok(found)
    }

    fn seen(&self, stretch: &Stretch) -> Result<Vec<Seen>> {
        let mut conditions = Conditions::default();
        conditions.and("started_ms >= ?", stretch.from_s.saturating_mul(1_000));
        conditions.and("started_ms < ?", stretch.until_s.saturating_mul(1_000));
        if let Some(tenant) = &stretch.tenant {
            conditions.and("tenant = ?", tenant);
        }
        let sql = format!(
            "SELECT started_ms, outcome, input_tokens, output_tokens, cached_tokens, cost_pico_usd, ttft_us, overhead_us, duration_us \
             FROM weir_requests{} ORDER BY started_ms DESC LIMIT {MOST_ROWS}",
            conditions.text()
        );
        self.read(|session| session.all(&sql, &conditions.args, seen))
    }

    fn sums(&self, stretch: &Stretch) -> Result<BTreeMap<i64, Used>> {
        let table = if stretch.step_s % DAY_S == 0 { USAGE.days } else { USAGE.quarters };
        let mut conditions = Conditions::default();
        conditions.and("bucket >= ?", stretch.from_s);
        conditions.and("bucket < ?", stretch.until_s);
        if let Some(tenant) = &stretch.tenant {
            conditions.and("tenant = ?", tenant);
        }
        let sums = SUMS.map(|sum| format!("CAST(SUM({sum}) AS BIGINT)")).join(", ");
        let step = format!("CAST(bucket - bucket % {} AS BIGINT)", stretch.step_s);
        let sql = format!("SELECT {step} AS step, {sums} FROM {table}{} GROUP BY 1", conditions.text());
        let read = |cells: &dyn Cells| Ok((cells.need_int(0)?, Used::read(cells, 1)?));
        Ok(self.read(|session| session.all(&sql, &conditions.args, read))?.into_iter().collect())
    }
}

fn seen(cells: &dyn Cells) -> Result<Seen> {
    let (tokens, cost) = ((cells.count(2)?, cells.count(3)?, cells.count(4)?), cells.int(5)?);
    let used = Used {
        requests: 1,
        failed: u64::from(cells.text(1)?.as_deref() != Some("finished")),
        unpriced: u64::from(tokens.0.is_some() && cost.is_none()),
        input_tokens: tokens.0.unwrap_or_default(),
        output_tokens: tokens.1.unwrap_or_default(),
        cached_tokens: tokens.2.unwrap_or_default(),
        cost: PicoUsd(cost.unwrap_or_default().into()),
        ..Used::default()
    };
    Ok(Seen {
        started_s: cells.need_int(0)?.div_euclid(1_000),
        used,
        ttft_us: cells.count(6)?,
        overhead_us: cells.count(7)?,
        duration_us: cells.count(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_and_nearly_all_are_told() {
        assert_eq!(Spread::of(Vec::new()), None);
        assert_eq!(Spread::of(vec![7]), Some(Spread { p50: 7, p95: 7, p99: 7 }));
        assert_eq!(Spread::of((1..=200).rev().collect()), Some(Spread { p50: 100, p95: 190, p99: 198 }));
    }
}
