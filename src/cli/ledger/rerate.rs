//! `weir ledger rerate`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use serde::Serialize;

use crate::cli::stored::{Wrong, moment};
use crate::cli::{check, print};
use crate::config::env::System;
use crate::config::load;
use crate::config::runtime::{Deployment, Runtime};
use crate::ledger::{Asked, Priced, Row, rerate};
use crate::store::{Database, Span};
use crate::usage::price::PicoUsd;

/// Rows that are read, and changed, at once.
const BATCH: u32 = 500;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Costs are those of the configuration's prices on the day of each request. A row whose price is\n\
    not known keeps the cost it has. Budgets that have been spent are not changed.\n\
    Exit code: 0 done, 1 no database or it failed, 2 used wrongly."
)]
pub(super) struct Args {
    /// The configuration with the prices [default: weir.yaml, else conf/weir.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// From then on: 7d, 2026-11-28, 2026-11-28T22:54:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Up to before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// What became of a model's rows.
#[derive(Debug, Default)]
struct Sum {
    rows: u64,
    changed: u64,
    /// Nobody knows a price now: as they were.
    kept: u64,
    before: PicoUsd,
    after: PicoUsd,
}

#[derive(Serialize)]
struct Line {
    model: String,
    rows: u64,
    changed: u64,
    kept: u64,
    before_usd: String,
    after_usd: String,
    difference_usd: String,
}

#[derive(Serialize)]
struct Answer {
    price_version: String,
    dry_run: bool,
    /// Rows that were written; more or fewer than changed where others wrote too.
    written: u64,
    models: Vec<Line>,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(answer) => {
            show(&answer, args.json);
            ExitCode::SUCCESS
        }
        Err(wrong) => wrong.exit(),
    }
}

fn answer(args: &Args) -> Result<Answer, Wrong> {
    let span = Span {
        since_ms: moment("since", args.since.as_deref())?,
        until_ms: moment("until", args.until.as_deref())?,
        tenant: args.tenant.clone(),
    };
    let Some(path) = check::file(args.config.as_ref()) else { return Err(Wrong::Usage("no configuration".to_owned())) };
    let runtime = load::from_file(&path, &System)
        .map_err(|report| Wrong::Usage(format!("{} is not right:\n{report}", path.display())))?;
    let state = &runtime.state;
    let database = if args.dry_run { Database::open_to_read(state)? } else { Database::open(state)? };
    let mut sums = BTreeMap::new();
    let mut written = 0;
    let mut after = None;
    loop {
        let rows = database.rows_after(&span, after.as_ref(), BATCH)?;
        let Some((last, _)) = rows.last() else { break };
        after = Some(last.clone());
        let changed: Vec<(Row, Row)> =
            rows.into_iter().filter_map(|(_, row)| changed(row, &runtime, &mut sums)).collect();
        if !args.dry_run && !changed.is_empty() {
            written += database.rerate(&changed)?;
        }
    }
    let models = sums.into_iter().map(|(model, sum)| line(model, &sum)).collect();
    Ok(Answer { price_version: runtime.prices.version.clone(), dry_run: args.dry_run, written, models })
}

/// The row with its new costs, if they differ or come from other prices.
fn changed(row: Row, runtime: &Runtime, sums: &mut BTreeMap<String, Sum>) -> Option<(Row, Row)> {
    let mut new = rerate(&row, &|asked| priced(runtime, asked), &runtime.prices.version);
    let name = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
    let sum = sums.entry(format!("{}/{}", name(&row.provider), name(&row.upstream_model))).or_default();
    sum.rows += 1;
    let known = |cost: Option<i128>, due: Option<i128>| (cost.is_some(), due.is_some());
    // A part of a cost is less than a cost, and nothing less than a part.
    let (was, is) = (known(row.cost_pico_usd, row.due_pico_usd), known(new.cost_pico_usd, new.due_pico_usd));
    if was > is {
        sum.kept += 1;
        new = Row { cost_usd: row.cost_usd.clone(), price_version: row.price_version.clone(), ..new };
        (new.cost_pico_usd, new.due_pico_usd) = (row.cost_pico_usd, row.due_pico_usd);
    }
    for (attempt, new) in row.timeline.iter().zip(&mut new.timeline) {
        if known(attempt.cost_pico_usd, attempt.due_pico_usd) > known(new.cost_pico_usd, new.due_pico_usd) {
            (new.cost_pico_usd, new.due_pico_usd) = (attempt.cost_pico_usd, attempt.due_pico_usd);
        }
    }
    sum.before = sum.before.saturating_add(whole(&row));
    sum.after = sum.after.saturating_add(whole(&new));
    let costs = |row: &Row| -> Vec<_> {
        let attempts = row.timeline.iter().map(|attempt| (attempt.cost_pico_usd, attempt.due_pico_usd));
        std::iter::once((row.cost_pico_usd, row.due_pico_usd)).chain(attempts).collect()
    };
    let is_other = costs(&row) != costs(&new);
    sum.changed += u64::from(is_other);
    (is_other || row.price_version != new.price_version).then_some((row, new))
}

/// What a request cost with all its attempts.
fn whole(row: &Row) -> PicoUsd {
    let attempts = row.timeline.iter().filter_map(|attempt| attempt.cost_pico_usd).map(PicoUsd);
    attempts.fold(row.cost().unwrap_or_default(), PicoUsd::saturating_add)
}

/// The prices of the configuration for what a row names.
fn priced(runtime: &Runtime, asked: Asked<'_>) -> Option<Priced> {
    let head = runtime.deployments.iter().find(|deployment| deployment.name == asked.provider)?;
    let endpoint = asked.endpoint.and_then(|id| head.endpoints().find(|endpoint| endpoint.id == id)).unwrap_or(head);
    let own = || {
        // A model may stand there under several names: the client's own, else any.
        let mut entries: Vec<_> =
            endpoint.models.iter().filter(|(_, entry)| entry.upstream == asked.upstream_model).collect();
        entries
            .sort_unstable_by_key(|(name, _)| (asked.model != Some(&format!("{}/{name}", head.name)), name.as_str()));
        entries.first().map(|(_, entry)| Arc::clone(&entry.info))
    };
    let info = own().or_else(|| listed(runtime, endpoint, asked.upstream_model))?;
    Some(Priced { info, region: endpoint.region.clone() })
}

fn listed(runtime: &Runtime, endpoint: &Deployment, model: &str) -> Option<Arc<crate::usage::price::ModelInfo>> {
    runtime.prices.find_in(&endpoint.name, endpoint.provider.catalogue, endpoint.var("region"), model).cloned()
}

fn line(model: String, sum: &Sum) -> Line {
    let difference = PicoUsd(sum.after.0.saturating_sub(sum.before.0));
    Line {
        model,
        rows: sum.rows,
        changed: sum.changed,
        kept: sum.kept,
        before_usd: sum.before.to_string(),
        after_usd: sum.after.to_string(),
        difference_usd: difference.to_string(),
    }
}

fn show(answer: &Answer, json: bool) {
    if json {
        return print::json(answer);
    }
    let head = ["MODEL", "ROWS", "CHANGED", "NO PRICE NOW", "BEFORE USD", "AFTER USD", "DIFFERENCE"].map(str::to_owned);
    let lines = answer.models.iter().map(|line| {
        let Line { model, rows, changed, kept, before_usd, after_usd, difference_usd } = line;
        let counts = [rows, changed, kept].map(ToString::to_string);
        let [rows, changed, kept] = counts;
        vec![model.clone(), rows, changed, kept, before_usd.clone(), after_usd.clone(), difference_usd.clone()]
    });
    print::table(&std::iter::once(head.to_vec()).chain(lines).collect::<Vec<_>>());
    let what = if answer.dry_run { "nothing was changed" } else { "written" };
    print::note(&format!("prices {}: {} rows {what}", answer.price_version, answer.written));
}
