//! What the ledger has: its rows, from the database or from an export.

use std::path::Path;

use crate::cli::stored::{Stored, Wrong};
use crate::ledger::{Attempt, Row};
use crate::store::{Span, moment_ms};
use crate::usage::tokens::Usage;

/// Rows in memory at a time.
const PAGE: u32 = 2_000;

/// What one call of a provider used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) day: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) usage: Usage,
    pub(super) cost: Option<i128>,
    /// The provider did not say it, or not all of it.
    pub(super) is_estimated: bool,
}

/// All calls of requests that began on these days.
pub(super) fn read(file: Option<&Path>, stored: &Stored, first: &str, last: &str) -> Result<Vec<Used>, Wrong> {
    let mut all = Vec::new();
    let mut take = |row: &Row| {
        let day = row.started_at.get(..10).unwrap_or_default();
        if (first..=last).contains(&day) {
            calls(row, day, &mut all);
        }
    };
    match file {
        Some(path) => exported(path, &mut take)?,
        None => of_database(stored, first, last, &mut take)?,
    }
    Ok(all)
}

fn exported(path: &Path, take: &mut dyn FnMut(&Row)) -> Result<(), Wrong> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Wrong::Usage(format!("{shown}: {error}")))?;
    let wrong = |error: serde_json::Error| {
        Wrong::Usage(format!("{shown}: not what `weir ledger export --format json` writes: {error}"))
    };
    if text.trim_start().starts_with('[') {
        let rows: Vec<Row> = serde_json::from_str(&text).map_err(wrong)?;
        rows.iter().for_each(take);
        return Ok(());
    }
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        take(&Row::read(line.as_bytes()).map_err(wrong)?);
    }
    Ok(())
}

fn of_database(stored: &Stored, first: &str, last: &str, take: &mut dyn FnMut(&Row)) -> Result<(), Wrong> {
    const DAY_MS: i64 = 86_400_000;
    let begins = |day: &str| moment_ms(day, 0);
    let span = Span { since_ms: begins(first), until_ms: begins(last).map(|at| at + DAY_MS), tenant: None };
    let database = stored.open()?;
    let mut after = None;
    loop {
        let page = database.rows_after(&span, after.as_ref(), PAGE)?;
        page.iter().for_each(|(_, row)| take(row));
        match page.into_iter().last() {
            Some((cursor, _)) => after = Some(cursor),
            None => return Ok(()),
        }
    }
}

/// The attempt that answered, and those that used something too.
fn calls(row: &Row, day: &str, all: &mut Vec<Used>) {
    let recovered = row.outcome == "recovered";
    let is_estimated = |source: Option<&str>| recovered || source != Some("reported");
    if let (Some(usage), Some(provider), Some(model)) = (row.usage, &row.provider, &row.upstream_model) {
        all.push(Used {
            day: day.to_owned(),
            provider: provider.clone(),
            model: model.clone(),
            usage: usage.into(),
            cost: row.cost_pico_usd,
            is_estimated: is_estimated(row.usage_source.as_deref()),
        });
    }
    let lost = |attempt: &Attempt| {
        Some(Used {
            day: day.to_owned(),
            provider: attempt.provider.clone(),
            model: attempt.model.clone(),
            usage: attempt.usage?.into(),
            cost: attempt.cost_pico_usd,
            is_estimated: is_estimated(attempt.usage_source.as_deref()),
        })
    };
    all.extend(row.timeline.iter().filter_map(lost));
}
