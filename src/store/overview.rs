//! What an operator looks at first: what was asked for and used over a stretch of time, and how long it
//! took.

use std::collections::BTreeMap;

use super::requests::Conditions;
use super::rollup::{SUMS, USAGE, Used, of_a_row};
use super::time::{DAY_S, QUARTER_S};
use super::{Cells, Database, Result};

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

/// What a request took, in microseconds.
struct Times {
    ttft: Option<u64>,
    overhead: Option<u64>,
    duration: Option<u64>,
}

impl Database {
    /// Short steps are added up from rows, without what attempts used that were lost; those of quarter-hours
    /// and more come from the sums.
    pub fn overview(&self, stretch: &Stretch) -> Result<Overview> {
        let times = self.times(stretch)?;
        let spread = |of: fn(&Times) -> Option<u64>| Spread::of(times.iter().filter_map(of).collect());
        let steps = self.steps(stretch)?;
        let mut total = Used::default();
        steps.values().for_each(|used| total.add(used));
        Ok(Overview {
            total,
            steps,
            ttft_us: spread(|it| it.ttft),
            overhead_us: spread(|it| it.overhead),
            duration_us: spread(|it| it.duration),
            is_sampled: times.len() >= MOST_ROWS,
        })
    }

    fn times(&self, stretch: &Stretch) -> Result<Vec<Times>> {
        let conditions = stretch.conditions("started_ms", 1_000);
        let sql = format!(
            "SELECT ttft_us, overhead_us, duration_us FROM weir_requests{} ORDER BY started_ms DESC LIMIT {MOST_ROWS}",
            conditions.text()
        );
        let read = |cells: &dyn Cells| {
            Ok(Times { ttft: cells.count(0)?, overhead: cells.count(1)?, duration: cells.count(2)? })
        };
        self.read(|session| session.all(&sql, &conditions.args, read))
    }

    fn steps(&self, stretch: &Stretch) -> Result<BTreeMap<i64, Used>> {
        let step_s = stretch.step_s;
        let (of, at, table, columns) = match step_s {
            step if step % DAY_S == 0 => {
                (stretch.conditions("bucket", 1), "bucket", USAGE.days, SUMS.map(str::to_owned))
            }
            step if step % QUARTER_S == 0 => {
                (stretch.conditions("bucket", 1), "bucket", USAGE.quarters, SUMS.map(str::to_owned))
            }
            _ => (stretch.conditions("started_ms", 1_000), "started_ms / 1000", "weir_requests", of_a_row()),
        };
        let sums = columns.map(|column| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)")).join(", ");
        let step = format!("CAST({at} - ({at}) % {step_s} AS BIGINT)");
        let sql = format!("SELECT {step} AS step, {sums} FROM {table}{} GROUP BY 1", of.text());
        let read = |cells: &dyn Cells| Ok((cells.need_int(0)?, Used::read(cells, 1)?));
        Ok(self.read(|session| session.all(&sql, &of.args, read))?.into_iter().collect())
    }
}

impl Stretch {
    /// On a column of moments, of which so many are a second.
    fn conditions(&self, column: &str, a_second: i64) -> Conditions<'_> {
        let mut conditions = Conditions::default();
        conditions.and(&format!("{column} >= ?"), self.from_s.saturating_mul(a_second));
        conditions.and(&format!("{column} < ?"), self.until_s.saturating_mul(a_second));
        if let Some(tenant) = &self.tenant {
            conditions.and("tenant = ?", tenant);
        }
        conditions
    }
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
