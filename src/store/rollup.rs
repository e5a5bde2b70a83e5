//! Sums of rows: what is added to the tables of usage for a batch. Counts that nobody can have meant
//! (a provider may say anything) are cut, so that no sum leaves 63 bits and no row stops a batch.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::session::{Column, Kind, Many};
use super::time::{DAY_S, QUARTER_S};
use super::{Arg, Result, Session, StoreError};
use crate::record::{Outcome, Record};
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::{MOST_TOKENS, Usage};

const PICO_IN_MICRO: i128 = 1_000_000;
/// Of a name, in the key of a sum: Postgres takes 2,700 for all together.
const LONGEST: usize = 200;

/// What requests used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Used {
    pub requests: u64,
    /// Of those, the ones that did not finish.
    pub failed: u64,
    /// Requests, and attempts with tokens of their own, whose cost is not known: it is not in `cost`.
    pub unpriced: u64,
    /// All input, cached and cache-written included.
    pub input_tokens: u64,
    /// All output, reasoning included.
    pub output_tokens: u64,
    pub cached_tokens: u64,
    pub cache_write_tokens: u64,
    pub reasoning_tokens: u64,
    pub cost: PicoUsd,
    /// What budgets were charged with for those whose cost is not known.
    pub due: PicoUsd,
}

impl Used {
    pub const fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// What budgets were charged with.
    pub const fn charged(&self) -> PicoUsd {
        self.cost.saturating_add(self.due)
    }

    pub(crate) fn add(&mut self, more: &Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.failed = self.failed.saturating_add(more.failed);
        self.unpriced = self.unpriced.saturating_add(more.unpriced);
        self.input_tokens = self.input_tokens.saturating_add(more.input_tokens);
        self.output_tokens = self.output_tokens.saturating_add(more.output_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(more.cached_tokens);
        self.cache_write_tokens = self.cache_write_tokens.saturating_add(more.cache_write_tokens);
        self.reasoning_tokens = self.reasoning_tokens.saturating_add(more.reasoning_tokens);
        self.cost = self.cost.saturating_add(more.cost);
        self.due = self.due.saturating_add(more.due);
    }

    fn cut(mut self) -> Self {
        let counts = [&mut self.input_tokens, &mut self.output_tokens, &mut self.cached_tokens];
        counts.into_iter().for_each(|count| *count = MOST_TOKENS.min(*count));
        let counts = [&mut self.cache_write_tokens, &mut self.reasoning_tokens];
        counts.into_iter().for_each(|count| *count = MOST_TOKENS.min(*count));
        for money in [&mut self.cost, &mut self.due] {
            *money = money.within_reason();
        }
        self
    }

    /// In the order of [`SUMS`].
    fn numbers(&self) -> [i64; 12] {
        let [(micro, rest), (due_micro, due_rest)] = [self.cost, self.due].map(split);
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        [
            count(self.requests),
            count(self.failed),
            count(self.unpriced),
            count(self.input_tokens),
            count(self.output_tokens),
            count(self.cached_tokens),
            count(self.cache_write_tokens),
            count(self.reasoning_tokens),
            micro,
            rest,
            due_micro,
            due_rest,
        ]
    }

    /// From cells in the order of [`SUMS`], the first of them at a place.
    pub(super) fn read(cells: &dyn super::Cells, first: usize) -> Result<Self> {
        let count = |at: usize| Ok::<_, StoreError>(cells.count(first + at)?.unwrap_or_default());
        let number = |at: usize| Ok::<_, StoreError>(i128::from(cells.int(first + at)?.unwrap_or_default()));
        let money = |at: usize| Ok::<_, StoreError>(PicoUsd(number(at)? * PICO_IN_MICRO + number(at + 1)?));
        Ok(Self {
            requests: count(0)?,
            failed: count(1)?,
            unpriced: count(2)?,
            input_tokens: count(3)?,
            output_tokens: count(4)?,
            cached_tokens: count(5)?,
            cache_write_tokens: count(6)?,
            reasoning_tokens: count(7)?,
            cost: money(8)?,
            due: money(10)?,
        })
    }
}

/// The columns of sums.
pub(super) const SUMS: [&str; 12] = [
    "requests",
    "failed",
    "unpriced",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_micro_usd",
    "cost_rest_pico_usd",
    "due_micro_usd",
    "due_rest_pico_usd",
];

/// The same of a row, to be summed up: counts that nobody can have meant are cut as in the sums, and no row
/// stops this.
pub(super) fn of_a_row() -> [String; 12] {
    let cut = |column: &str, most: i128| format!("CASE WHEN {column} > {most} THEN {most} ELSE {column} END");
    let count = |column: &str| cut(column, MOST_TOKENS.into());
    let micro = |column: &str| format!("({}) / {PICO_IN_MICRO}", cut(column, PicoUsd::MOST.0));
    let rest = |column: &str| format!("({}) % {PICO_IN_MICRO}", cut(column, PicoUsd::MOST.0));
    [
        "1".to_owned(),
        "CASE WHEN outcome <> 'finished' THEN 1 ELSE 0 END".to_owned(),
        "CASE WHEN (input_tokens IS NOT NULL OR usage_source IS NOT NULL) AND cost_pico_usd IS NULL THEN 1 ELSE 0 END"
            .to_owned(),
        count("input_tokens"),
        count("output_tokens"),
        count("cached_tokens"),
        count("cache_write_tokens"),
        count("reasoning_tokens"),
        micro("cost_pico_usd"),
        rest("cost_pico_usd"),
        micro("due_pico_usd"),
        rest("due_pico_usd"),
    ]
}

/// Millionths of a USD, and what is left of one.
pub(super) fn split(money: PicoUsd) -> (i64, i64) {
    let number = |number: i128| i64::try_from(number).unwrap_or(i64::MAX);
    (number(money.0.div_euclid(PICO_IN_MICRO)), number(money.0.rem_euclid(PICO_IN_MICRO)))
}

/// The tables of one kind: over quarter-hours and over days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tables {
    pub(super) quarters: &'static str,
    pub(super) days: &'static str,
    /// What sums are apart by, but for the bucket.
    pub(super) names: &'static [&'static str],
}

pub(super) const USAGE: Tables = Tables {
    quarters: "weir_usage",
    days: "weir_usage_days",
    names: &["tenant", "key_id", "end_user", "route", "model", "provider", "upstream_model"],
};
pub(super) const TAGS: Tables = Tables {
    quarters: "weir_usage_tags",
    days: "weir_usage_tag_days",
    names: &["tenant", "tag", "key_id", "model", "provider"],
};

/// What a sum is of: the beginning of its bucket, and its names in the tables' order.
pub(super) type Key<'r> = (i64, Vec<Cow<'r, str>>);

/// See the module documentation. In order, so that two who add at once wait for each other in the same
/// order.
#[derive(Debug, Default)]
pub(super) struct RollUps<'r> {
    pub(super) quarters: Sums<'r>,
    pub(super) tag_quarters: Sums<'r>,
}

pub(super) type Sums<'r> = BTreeMap<Key<'r>, Used>;

/// The sums over days of sums over quarter-hours.
pub(super) fn by_day<'r>(quarters: &Sums<'r>) -> Sums<'r> {
    let mut days = Sums::new();
    for ((quarter, names), used) in quarters {
        days.entry((quarter - quarter.rem_euclid(DAY_S), names.clone())).or_default().add(used);
    }
    days
}

impl<'r> RollUps<'r> {
    pub(super) fn add(&mut self, record: &Record<'r>) {
        let failed = u64::from(record.outcome != Outcome::Finished);
        let own = Used { requests: 1, failed, ..used(record.usage.as_ref(), record.charge) };
        self.book(record, (record.provider, record.upstream_model), &own.cut());
        for step in record.timeline.iter() {
            if let Some((lost, _)) = &step.usage {
                self.book(record, (Some(step.provider), Some(step.model)), &used(Some(lost), step.charge).cut());
            }
        }
    }

    fn book(&mut self, record: &Record<'r>, upstream: (Option<&'r str>, Option<&'r str>), used: &Used) {
        let seconds = i64::try_from(record.started_ms() / 1_000).unwrap_or(i64::MAX);
        let quarter = seconds - seconds.rem_euclid(QUARTER_S);
        let [tenant, key, user] = [record.tenant, record.key_id, record.user].map(name);
        let [route, model, provider, upstream_model] = [record.route, record.model, upstream.0, upstream.1].map(name);
        let tag_names =
            |tag: &'r str| vec![tenant.clone(), name(Some(tag)), key.clone(), model.clone(), provider.clone()];
        let mut tags: Vec<_> = record.tags.iter().map(tag_names).collect();
        tags.sort_unstable();
        tags.dedup();
        for tag in tags {
            self.tag_quarters.entry((quarter, tag)).or_default().add(used);
        }
        let names = vec![tenant, key, user, route, model, provider, upstream_model];
        self.quarters.entry((quarter, names)).or_default().add(used);
    }

    /// Adds them to the tables.
    pub(super) fn write(&self, session: &mut dyn Session) -> Result<()> {
        let all = [
            (USAGE.quarters, USAGE.names, &self.quarters),
            (USAGE.days, USAGE.names, &by_day(&self.quarters)),
            (TAGS.quarters, TAGS.names, &self.tag_quarters),
            (TAGS.days, TAGS.names, &by_day(&self.tag_quarters)),
        ];
        all.into_iter().try_for_each(|(table, names, sums)| write(session, table, names, sums))
    }
}

fn used(usage: Option<&Usage>, charge: Charge) -> Used {
    let told = usage.filter(|usage| usage.tells_tokens()).copied().unwrap_or_default();
    Used {
        unpriced: u64::from(usage.is_some() && charge.cost().is_none()),
        input_tokens: told.input_tokens(),
        output_tokens: told.output_tokens(),
        cached_tokens: told.cached_tokens,
        cache_write_tokens: told.cache_written_tokens(),
        reasoning_tokens: told.reasoning_tokens,
        cost: charge.cost().unwrap_or_default(),
        due: charge.due().unwrap_or_default(),
        ..Used::default()
    }
}

/// A name in the key of a sum: none is the empty one.
fn name(text: Option<&str>) -> Cow<'_, str> {
    let text = text.unwrap_or_default();
    let mut end = LONGEST.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let short = text.get(..end).unwrap_or_default();
    if short.contains('\0') { Cow::Owned(short.replace('\0', "\u{fffd}")) } else { Cow::Borrowed(short) }
}

fn write(session: &mut dyn Session, table: &str, names: &'static [&'static str], sums: &Sums<'_>) -> Result<()> {
    if sums.is_empty() {
        return Ok(());
    }
    let int = |name| Column { name, kind: Kind::Int };
    let texts = names.iter().map(|name| Column { name, kind: Kind::Text });
    let columns: Vec<Column> = std::iter::once(int("bucket")).chain(texts).chain(SUMS.map(int)).collect();
    let set: Vec<String> = SUMS.iter().map(|sum| format!("{sum} = {table}.{sum} + excluded.{sum}")).collect();
    let conflict = format!("ON CONFLICT (bucket, {}) DO UPDATE SET {}", names.join(", "), set.join(", "));
    let rows: Vec<Vec<Arg<'_>>> = sums
        .iter()
        .map(|((bucket, names), used)| {
            let names = names.iter().map(|name| Arg::Text(name));
            std::iter::once(Arg::Int(*bucket)).chain(names).chain(used.numbers().map(Arg::Int)).collect()
        })
        .collect();
    session.insert(&Many { table, columns: &columns, conflict: &conflict, rows: &rows })?;
    Ok(())
}
