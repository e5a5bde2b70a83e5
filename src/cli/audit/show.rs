//! How drift is shown.

use serde::Serialize;

use super::drift::{Line, Section, Tolerance, What};
use crate::cli::print;
use crate::config::budget::{Amount, Unit};

#[derive(Debug, Serialize)]
pub(super) struct Report {
    within: bool,
    tolerance_ppm: u128,
    sections: Vec<SectionShown>,
}

#[derive(Debug, Serialize)]
struct SectionShown {
    name: &'static str,
    providers: Option<Vec<String>>,
    lines: Vec<LineShown>,
}

#[derive(Debug, Serialize)]
struct LineShown {
    day: String,
    model: String,
    within: bool,
    unpriced: u64,
    counts: Vec<CountShown>,
}

/// Amounts are text: USD are exact.
#[derive(Debug, Serialize)]
struct CountShown {
    what: &'static str,
    ours: String,
    theirs: String,
    drift: String,
    /// Of ours, what the provider did not report itself.
    estimated: String,
    within: bool,
    /// What was estimated may be all of it.
    explained: bool,
}

fn amount(what: What, number: i128) -> String {
    let unit = if what == What::Cost { Unit::Usd } else { Unit::Tokens };
    Amount(unit, number).to_string()
}

pub(super) fn json(sections: &[Section], tolerance: Tolerance) -> Report {
    let line = |line: &Line| LineShown {
        day: line.day.clone(),
        model: line.model.clone(),
        within: !line.is_beyond(tolerance),
        unpriced: line.unpriced,
        counts: What::ALL.iter().filter_map(|what| count(line, *what, tolerance)).collect(),
    };
    let section = |section: &Section| SectionShown {
        name: section.name,
        providers: section.providers.clone(),
        lines: section.lines.iter().map(line).collect(),
    };
    let beyond = sections.iter().flat_map(|section| &section.lines).any(|line| line.is_beyond(tolerance));
    Report { within: !beyond, tolerance_ppm: tolerance.0, sections: sections.iter().map(section).collect() }
}

fn count(line: &Line, what: What, tolerance: Tolerance) -> Option<CountShown> {
    let drift = line.drift(what)?;
    let of = |sums: &super::drift::Sums| amount(what, sums.get(&what).copied().unwrap_or_default());
    Some(CountShown {
        what: what.as_str(),
        ours: of(&line.ours),
        theirs: of(&line.theirs),
        drift: amount(what, drift),
        estimated: of(&line.estimated),
        within: !line.is_off(what, tolerance),
        explained: line.is_explained(what),
    })
}

/// What differs, and how much does not.
pub(super) fn table(sections: &[Section], tolerance: Tolerance) {
    let head = ["day", "model", "what", "ours", "theirs", "drift", "", "of ours estimated", ""];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let (mut same, mut beyond) = (0_usize, 0_usize);
    for line in sections.iter().flat_map(|section| &section.lines) {
        for shown in What::ALL.iter().filter_map(|what| count(line, *what, tolerance).map(|shown| (*what, shown))) {
            let (what, shown) = shown;
            if line.drift(what) == Some(0) {
                same += 1;
                continue;
            }
            beyond += usize::from(!shown.within);
            let verdict = match (shown.within, shown.explained) {
                (true, _) => "within",
                (false, true) => "BEYOND (estimates)",
                (false, false) => "BEYOND",
            };
            let percent = percent(line, what);
            let cells = [
                line.day.as_str(),
                &line.model,
                shown.what,
                &shown.ours,
                &shown.theirs,
                &shown.drift,
                &percent,
                &shown.estimated,
                verdict,
            ];
            rows.push(cells.map(str::to_owned).to_vec());
        }
    }
    if rows.len() > 1 {
        print::table(&rows);
    }
    for section in sections {
        let whose = section.providers.as_ref().map_or_else(|| "all providers".to_owned(), |names| names.join(", "));
        let unpriced: u64 = section.lines.iter().map(|line| line.unpriced).sum();
        let rest = if unpriced > 0 { format!("; {unpriced} calls without a price") } else { String::new() };
        print::note(&format!("{}: rows of {whose}{rest}", section.name));
    }
    print::note(&format!("{same} counts are the same, {} differ, {beyond} beyond the tolerance", rows.len() - 1));
}

fn percent(line: &Line, what: What) -> String {
    let (Some(drift), Some(theirs)) = (line.drift(what), line.theirs.get(&what).filter(|theirs| **theirs != 0)) else {
        return "new".to_owned();
    };
    let hundredths = drift.saturating_mul(10_000) / theirs;
    let sign = if hundredths < 0 { "-" } else { "+" };
    let size = hundredths.unsigned_abs();
    format!("{sign}{}.{:02}%", size / 100, size % 100)
}
