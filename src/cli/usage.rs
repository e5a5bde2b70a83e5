//! `weir usage`

use std::process::ExitCode;

use super::stored::{Stored, Wrong, moment};
use super::{cell, print};
use crate::store::{By, UsageQuery, UsageRow, Used};
use crate::wire::json::Arr;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Times are in UTC and sums are of quarter-hours. A request stands in the lines of all its tags,\n\
    so those do not add up. Exit code: 0 done, 1 no database or it failed, 2 used wrongly."
)]
pub(super) struct Args {
    #[command(flatten)]
    stored: Stored,
    /// What sums are apart by: tenant, key, user, tag, route, model, provider, upstream_model, and one of
    /// month, day, hour
    #[arg(long, value_name = "NAMES", default_value = "tenant,model")]
    by: String,
    /// From then on: 7d, 2026-11-28, 2026-11-28T22:54:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Up to before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Only of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only with the key of this id
    #[arg(long)]
    key: Option<String>,
    /// Only of this user of a tenant's
    #[arg(long)]
    user: Option<String>,
    /// Only with this tag
    #[arg(long)]
    tag: Option<String>,
    /// Only by this route
    #[arg(long)]
    route: Option<String>,
    /// Only of this model, as clients write it
    #[arg(long)]
    model: Option<String>,
    /// Only of this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only of this model, as its provider calls it
    #[arg(long)]
    upstream_model: Option<String>,
    /// The dearest lines only
    #[arg(long, value_name = "LINES")]
    limit: Option<u32>,
    /// As JSON
    #[arg(long)]
    json: bool,
    /// As CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub(super) fn usage(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => wrong.exit(),
    }
}

fn answer(args: &Args) -> Result<(), Wrong> {
    let query = query(args)?;
    let rows = args.stored.open()?.usage(&query)?;
    if args.json {
        json(&query.by, &rows);
    } else if args.csv {
        csv(&query.by, &rows)?;
    } else {
        table(&query.by, &rows);
    }
    Ok(())
}

fn query(args: &Args) -> Result<UsageQuery, Wrong> {
    let second =
        |option, text: &Option<String>| Ok::<_, Wrong>(moment(option, text.as_deref())?.map(|ms| ms.div_euclid(1_000)));
    let filters = [
        (By::Tenant, &args.tenant),
        (By::Key, &args.key),
        (By::User, &args.user),
        (By::Tag, &args.tag),
        (By::Route, &args.route),
        (By::Model, &args.model),
        (By::Provider, &args.provider),
        (By::UpstreamModel, &args.upstream_model),
    ];
    let query = UsageQuery {
        by: By::list(&args.by).map_err(|why| Wrong::Usage(format!("--by: {why}")))?,
        filters: filters.into_iter().filter_map(|(by, name)| Some((by, name.clone()?))).collect(),
        since_s: second("since", &args.since)?,
        until_s: second("until", &args.until)?,
        limit: args.limit.unwrap_or(0),
        offset: 0,
    };
    if let (Some(since), Some(until)) = (query.since_s, query.until_s)
        && since > until
    {
        return Err(Wrong::Usage("--since is after --until".to_owned()));
    }
    match query.wrong() {
        Some(wrong) => Err(Wrong::Usage(wrong)),
        None => Ok(query),
    }
}

fn json(by: &[By], rows: &[UsageRow]) {
    let mut out = Vec::new();
    let mut list = Arr::new(&mut out);
    for row in rows {
        row.write(by, &mut list.obj());
    }
    drop(list);
    print::out(&String::from_utf8_lossy(&out));
}

const SUMS: [&str; 9] = [
    "requests",
    "failed",
    "unpriced",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_usd",
];

fn cells(row: &UsageRow) -> Vec<String> {
    let used = &row.used;
    let counts = [
        used.requests,
        used.failed,
        used.unpriced,
        used.input_tokens,
        used.output_tokens,
        used.cached_tokens,
        used.cache_write_tokens,
        used.reasoning_tokens,
    ];
    counts.iter().map(u64::to_string).chain([row.cost_usd().unwrap_or_default()]).collect()
}

fn csv(by: &[By], rows: &[UsageRow]) -> Result<(), Wrong> {
    let mut out = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Wrong::Failed(error.to_string());
    out.write_record(by.iter().map(|by| by.as_str()).chain(SUMS)).map_err(failed)?;
    for row in rows {
        let names = row.names.iter().map(|name| cell::plain(name.as_deref().unwrap_or_default()).into_owned());
        out.write_record(names.chain(cells(row))).map_err(failed)?;
    }
    let text = out.into_inner().map_err(|error| Wrong::Failed(error.to_string()))?;
    print::out(String::from_utf8_lossy(&text).trim_end_matches('\n'));
    Ok(())
}

fn table(by: &[By], rows: &[UsageRow]) {
    if rows.is_empty() {
        print::note("nothing was used, or nothing of it has come to the database yet");
        return;
    }
    let head = by.iter().map(|by| by.as_str()).chain(SUMS).map(|name| name.replace('_', " ").to_uppercase());
    let mut lines = vec![head.collect::<Vec<_>>()];
    let line = |row: &UsageRow| {
        let names = row.names.iter().map(|name| name.clone().unwrap_or_else(|| "-".to_owned()));
        names.chain(cells(row)).collect::<Vec<_>>()
    };
    lines.extend(rows.iter().map(line));
    // With tags, a request may be in several lines.
    if rows.len() > 1 && !by.contains(&By::Tag) {
        let mut used = Used::default();
        rows.iter().for_each(|row| used.add(&row.used));
        let mut names = vec![None; by.len()];
        names.iter_mut().take(1).for_each(|name| *name = Some("all of these".to_owned()));
        lines.push(line(&UsageRow { names, used }));
    }
    print::table(&lines);
}
