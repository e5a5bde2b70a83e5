//! `weir audit`: the ledger held against what providers say was used.

mod drift;
mod money;
mod ours;
mod show;
mod theirs;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::print;
use super::stored::{Stored, Wrong};
use drift::{Section, Tolerance};
use theirs::{Fact, Shape};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "The exports are the answers of the providers' own APIs, as they come; several pages may stand in one\n\
    file. Ask OpenAI for group_by=model and group_by=line_item, Anthropic for group_by[]=model and\n\
    group_by[]=description, and all of them for buckets of a day at most. Days are days in UTC.\n\
    Exit code: 0 within the tolerance, 1 beyond it or nothing to compare, 2 used wrongly."
)]
pub(super) struct Args {
    #[command(flatten)]
    stored: Stored,
    /// Rows from `weir ledger export --format json` in place of the database
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// GET /v1/organization/usage/completions of OpenAI
    #[arg(long, value_name = "FILE")]
    openai_usage: Vec<PathBuf>,
    /// GET /v1/organization/costs of OpenAI
    #[arg(long, value_name = "FILE")]
    openai_costs: Vec<PathBuf>,
    /// GET /v1/organizations/usage_report/messages of Anthropic
    #[arg(long, value_name = "FILE")]
    anthropic_usage: Vec<PathBuf>,
    /// GET /v1/organizations/cost_report of Anthropic
    #[arg(long, value_name = "FILE")]
    anthropic_costs: Vec<PathBuf>,
    /// Columns by their names: day, model, requests, input_tokens, cached_tokens, cache_write_tokens,
    /// output_tokens, cost_usd
    #[arg(long, value_name = "FILE")]
    csv: Vec<PathBuf>,
    /// Whose rows are compared, by the providers' names [default: those of the kind, for a CSV all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    providers: Vec<String>,
    /// From this day on [default: the first of the exports]
    #[arg(long, value_name = "DAY")]
    since: Option<String>,
    /// Up to before this day [default: the last of the exports is the last]
    #[arg(long, value_name = "DAY")]
    until: Option<String>,
    /// A difference of more than this is drift
    #[arg(long, default_value = "1%", value_name = "PERCENT")]
    tolerance: Tolerance,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// The exports that belong together, and whose rows they are about.
struct Source {
    name: &'static str,
    kind: Option<&'static str>,
    facts: Vec<Fact>,
}

pub(super) fn audit(args: &Args) -> ExitCode {
    match audited(args) {
        Ok(sections) if sections.iter().all(|section| section.lines.is_empty()) => {
            print::note("weir: no day of the exports is in the time that is asked for");
            ExitCode::FAILURE
        }
        Ok(sections) => {
            if args.json {
                print::json(&show::json(&sections, args.tolerance));
            } else {
                show::table(&sections, args.tolerance);
            }
            let beyond = sections.iter().flat_map(|section| &section.lines).any(|line| line.is_beyond(args.tolerance));
            if beyond { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(wrong) => wrong.exit(),
    }
}

fn audited(args: &Args) -> Result<Vec<Section>, Wrong> {
    let sources = sources(args)?;
    if sources.is_empty() {
        let text = "nothing to compare with: name an export (--openai-usage FILE, --csv FILE, ...)";
        return Err(Wrong::Usage(text.to_owned()));
    }
    let (since, until) = (day("since", args.since.as_deref())?, day("until", args.until.as_deref())?);
    let is_asked = |day: &str| since.is_none_or(|since| day >= since) && until.is_none_or(|until| day < until);
    let mut sections = Vec::with_capacity(sources.len());
    let days = |sources: &[Source]| {
        let all = sources.iter().flat_map(|source| &source.facts).map(|fact| fact.day.clone());
        all.filter(|day| is_asked(day)).collect::<std::collections::BTreeSet<_>>()
    };
    let asked_days = days(&sources);
    let rows = match (asked_days.first(), asked_days.last()) {
        (Some(first), Some(last)) => ours::read(args.ledger.as_deref(), &args.stored, first, last)?,
        _ => Vec::new(),
    };
    for mut source in sources {
        source.facts.retain(|fact| is_asked(&fact.day));
        let providers = match source.kind {
            _ if !args.providers.is_empty() => Some(args.providers.clone()),
            Some(kind) => Some(args.stored.providers_of(kind)),
            None => None,
        };
        sections.push(drift::section(source.name, providers, &source.facts, &rows));
    }
    Ok(sections)
}

fn sources(args: &Args) -> Result<Vec<Source>, Wrong> {
    let of = |shape: Shape, paths: &[PathBuf]| {
        let facts = paths.iter().map(|path| read(shape, path)).collect::<Result<Vec<_>, _>>();
        facts.map(|facts| facts.into_iter().flatten().collect::<Vec<Fact>>())
    };
    let mut sources = Vec::new();
    let openai = [of(Shape::OpenAiUsage, &args.openai_usage)?, of(Shape::OpenAiCosts, &args.openai_costs)?].concat();
    let anthropic =
        [of(Shape::AnthropicUsage, &args.anthropic_usage)?, of(Shape::AnthropicCosts, &args.anthropic_costs)?].concat();
    let csv = of(Shape::Csv, &args.csv)?;
    let given = |paths: [&[PathBuf]; 2]| paths.iter().any(|paths| !paths.is_empty());
    if given([&args.openai_usage, &args.openai_costs]) {
        sources.push(Source { name: "openai", kind: Some("openai"), facts: openai });
    }
    if given([&args.anthropic_usage, &args.anthropic_costs]) {
        sources.push(Source { name: "anthropic", kind: Some("anthropic"), facts: anthropic });
    }
    if given([&args.csv, &[]]) {
        sources.push(Source { name: "csv", kind: None, facts: csv });
    }
    Ok(sources)
}

fn read(shape: Shape, path: &Path) -> Result<Vec<Fact>, Wrong> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| Wrong::Usage(format!("{shown}: {error}")))?;
    let found = theirs::read(shape, &text).map_err(|why| Wrong::Usage(format!("{shown}: {why}")))?;
    if found.has_more {
        print::note(&format!("weir: {shown}: there are more pages than are in it; what they hold is missing here"));
    }
    Ok(found.facts)
}

fn day<'t>(option: &str, text: Option<&'t str>) -> Result<Option<&'t str>, Wrong> {
    match text {
        Some(text) if !theirs::is_day(text) => Err(Wrong::Usage(format!("--{option}: expected a day like 2026-11-28"))),
        text => Ok(text),
    }
}
