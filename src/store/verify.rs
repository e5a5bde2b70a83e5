//! Whether the database agrees with itself: each row, and the sums with the rows they are of.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

use super::columns::{self, unpack, usd_text};
use super::fold::kept_from;
use super::rollup::{Key, RollUps, SUMS, Sums, TAGS, USAGE, Used, by_day};
use super::time::{self, DAY_S};
use super::{Arg, Cells, Database, Result, Session, owned};
use crate::ledger::{Classes, Row};
use crate::record::Record;
use crate::usage::tokens::Usage;

/// What is said in sum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Verified {
    pub rows: u64,
    /// Days whose sums were compared with their rows.
    pub days: u64,
    pub differences: Vec<String>,
    /// More than are listed.
    pub more: u64,
}

/// Differences that are listed.
const MOST: usize = 1_000;

impl Verified {
    fn say(&mut self, difference: String) {
        if self.differences.len() < MOST {
            self.differences.push(difference);
        } else {
            self.more += 1;
        }
    }
}

/// What of a row contradicts the rest of it.
pub fn faults_of(row: &Row) -> Vec<String> {
    let mut faults = Vec::new();
    if time::read_ms(&row.started_at).is_none() {
        faults.push(format!("started_at `{}` is no moment", row.started_at));
    }
    if !["finished", "failed", "client_cut", "upstream_cut", "recovered"].contains(&row.outcome.as_str()) {
        faults.push(format!("outcome `{}` is not known", row.outcome));
    }
    let source = row.usage_source.as_deref();
    if source.is_some_and(|source| !["reported", "partial", "estimated"].contains(&source)) {
        faults.push(format!("usage_source `{}` is not known", source.unwrap_or_default()));
    }
    let usd = row.cost_usd.as_deref().map(|raw| raw.get().to_owned());
    if usd != row.cost_pico_usd.map(usd_text) {
        faults.push(format!("cost_usd is {usd:?} and cost_pico_usd {:?}", row.cost_pico_usd));
    }
    sums_of(row, &mut faults);
    for (number, attempt) in (1..).zip(&row.timeline) {
        let Some(usage) = attempt.usage.map(Usage::from) else { continue };
        let sums = (Some(usage.input_tokens()), Some(usage.output_tokens()));
        if sums != (attempt.input_tokens, attempt.output_tokens) {
            faults.push(format!("attempt {number}: its tokens are not the sum of its classes"));
        }
    }
    faults
}

fn sums_of(row: &Row, faults: &mut Vec<String>) {
    let usage = row.usage.map(|classes: Classes| Usage::from(classes));
    let told = usage.filter(Usage::tells_tokens);
    let all = [
        ("input_tokens", row.input_tokens, told.map(|u| u.input_tokens())),
        ("output_tokens", row.output_tokens, told.map(|u| u.output_tokens())),
        ("cached_tokens", row.cached_tokens, told.map(|u| u.cached_tokens)),
        ("cache_write_tokens", row.cache_write_tokens, told.map(|u| u.cache_written_tokens())),
        ("reasoning_tokens", row.reasoning_tokens, told.map(|u| u.reasoning_tokens)),
    ];
    for (name, said, sum) in all {
        if usage.is_some() && said != sum {
            faults.push(format!("{name} is {said:?} and its classes say {sum:?}"));
        }
    }
    let (cached, written) = (row.cached_tokens.unwrap_or_default(), row.cache_write_tokens.unwrap_or_default());
    if row.input_tokens.is_some_and(|input| cached.saturating_add(written) > input) {
        faults.push("more input is cached than there is".to_owned());
    }
    if row.output_tokens.is_some_and(|output| row.reasoning_tokens.unwrap_or_default() > output) {
        faults.push("more output is reasoning than there is".to_owned());
    }
}

impl Database {
    /// Looks at every row, and adds up the rows of each day that are all there still. A gateway may go
    /// on folding meanwhile.
    pub fn verify(&self) -> Result<Verified> {
        let mut verified = Verified::default();
        for day in self.read(days)? {
            self.snapshot(|session| verify_day(session, day, &mut verified))?;
        }
        Ok(verified)
    }
}

/// The days from the first that anything is known of to the last: both are found by an index.
fn days(session: &mut dyn Session) -> Result<Vec<i64>> {
    let ends = |cells: &dyn Cells| Ok([cells.int(0)?, cells.int(1)?]);
    let sums = format!("SELECT MIN(bucket), MAX(bucket) FROM {}", USAGE.days);
    let rows = "SELECT MIN(started_ms), MAX(started_ms) FROM weir_requests";
    let sums = session.one(&sums, &[], ends)?.into_iter().flatten().flatten();
    let rows = session.one(rows, &[], ends)?.into_iter().flatten().flatten();
    let days = sums.chain(rows.map(|ms| ms.div_euclid(1_000))).map(|second| second.div_euclid(DAY_S));
    let days: Vec<i64> = days.collect();
    let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { return Ok(Vec::new()) };
    Ok((*first..=*last).map(|day| day * DAY_S).collect())
}

fn verify_day(session: &mut dyn Session, day: i64, verified: &mut Verified) -> Result<()> {
    // Rows outlive nothing here: what is summed is owned.
    let mut sums = Owned::default();
    let sql = format!(
        "SELECT {} FROM weir_requests WHERE started_ms >= $1 AND started_ms < $2 ORDER BY started_ms",
        columns::list()
    );
    let bounds = [Arg::Int(day * 1_000), Arg::Int((day + DAY_S) * 1_000)];
    session.each(&sql, &bounds, &mut |cells| {
        let row = unpack(cells)?;
        verified.rows += 1;
        for fault in faults_of(&row) {
            verified.say(format!("{}: {fault}", row.request_id));
        }
        sums.add(&row)
    })?;
    if day.saturating_mul(1_000) < kept_from(session)? {
        return Ok(());
    }
    verified.days += 1;
    let all = [
        (USAGE.days, USAGE.names, by_day(&sums.quarters)),
        (USAGE.quarters, USAGE.names, sums.quarters),
        (TAGS.days, TAGS.names, by_day(&sums.tags)),
        (TAGS.quarters, TAGS.names, sums.tags),
    ];
    all.into_iter().try_for_each(|(table, names, expected)| compare(session, table, names, day, expected, verified))
}

/// As [`RollUps`], of rows that are gone.
#[derive(Default)]
struct Owned {
    quarters: Sums<'static>,
    tags: Sums<'static>,
}

impl Owned {
    fn add(&mut self, row: &Row) -> Result<()> {
        let mut one = RollUps::default();
        let packed = owned::pack_nearly(row)?;
        if let Some(record) = Record::unpack(&packed) {
            one.add(&record);
        }
        for (all, more) in [(&mut self.quarters, one.quarters), (&mut self.tags, one.tag_quarters)] {
            for ((bucket, names), used) in more {
                let names = names.into_iter().map(|name| Cow::Owned(name.into_owned())).collect();
                all.entry((bucket, names)).or_default().add(&used);
            }
        }
        Ok(())
    }
}

fn compare(
    session: &mut dyn Session,
    table: &str,
    names: &[&str],
    day: i64,
    mut expected: Sums<'static>,
    verified: &mut Verified,
) -> Result<()> {
    let columns = format!("bucket, {}, {}", names.join(", "), SUMS.join(", "));
    let sql = format!("SELECT {columns} FROM {table} WHERE bucket >= $1 AND bucket < $2");
    session.each(&sql, &[day.into(), (day + DAY_S).into()], &mut |cells| {
        let key_names = (1..=names.len()).map(|at| cells.need_text(at).map(Cow::Owned)).collect::<Result<Vec<_>>>()?;
        let key = (cells.need_int(0)?, key_names);
        let found = Used::read(cells, names.len() + 1)?;
        let sum = expected.remove(&key).unwrap_or_default();
        if found != sum {
            verified.say(difference(table, names, &key, &found, &sum));
        }
        Ok(())
    })?;
    for (key, sum) in expected {
        verified.say(difference(table, names, &key, &Used::default(), &sum));
    }
    Ok(())
}

fn difference(table: &str, names: &[&str], key: &Key<'_>, found: &Used, sum: &Used) -> String {
    let mut text = format!("{table} {}", time::write_ms(key.0.saturating_mul(1_000)));
    for (column, name) in names.iter().zip(&key.1).filter(|(_, name)| !name.is_empty()) {
        let _ = write!(text, " {column}={name}");
    }
    let all = [
        ("requests", found.requests, sum.requests),
        ("failed", found.failed, sum.failed),
        ("unpriced", found.unpriced, sum.unpriced),
        ("input_tokens", found.input_tokens, sum.input_tokens),
        ("output_tokens", found.output_tokens, sum.output_tokens),
        ("cached_tokens", found.cached_tokens, sum.cached_tokens),
        ("cache_write_tokens", found.cache_write_tokens, sum.cache_write_tokens),
        ("reasoning_tokens", found.reasoning_tokens, sum.reasoning_tokens),
    ];
    for (name, found, sum) in all.into_iter().filter(|(_, found, sum)| found != sum) {
        let _ = write!(text, ": {name} {found}, rows say {sum}");
    }
    let money = [("cost", found.cost, sum.cost), ("due", found.due, sum.due)];
    for (name, found, sum) in money.into_iter().filter(|(_, found, sum)| found != sum) {
        let _ = write!(text, ": {name} {}, rows say {}", usd_text(found.0), usd_text(sum.0));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::usage::tokens::UsageSource;

    #[test]
    fn speech_has_characters_and_no_tokens_that_anybody_told() {
        let row = |usage: Usage| {
            let record = Record {
                usage: Some(usage),
                usage_source: Some(UsageSource::Estimated),
                ..Record::new(uuid::Uuid::nil(), SystemTime::UNIX_EPOCH, "speech")
            };
            let mut line = Vec::new();
            record.write_line(&mut line);
            Row::read(&line).unwrap()
        };
        let spoken = row(Usage { characters: 5, ..Usage::default() });
        assert_eq!((spoken.input_tokens, faults_of(&spoken)), (None, Vec::new()));
        let counted = row(Usage { characters: 5, audio_output_tokens: 9, ..Usage::default() });
        assert_eq!((counted.output_tokens, faults_of(&counted)), (Some(9), Vec::new()));
        let wrong = Row { output_tokens: Some(1), ..spoken };
        assert_eq!(faults_of(&wrong).len(), 1);
    }
}
