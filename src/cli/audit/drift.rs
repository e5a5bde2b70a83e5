//! Ours against theirs, by day and model.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use super::ours::Used;
use super::theirs::{Counts, Fact, plain};

/// Stands for all models of a day, where an export does not tell them apart.
pub(super) const ALL: &str = "*";

/// In millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tolerance(pub(super) u128);

impl FromStr for Tolerance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a percentage like 1% or 0.25%".to_owned();
        let number = text.trim().trim_end_matches('%');
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if decimals.len() > 4 || whole.is_empty() {
            return Err(expected());
        }
        format!("{whole}{decimals:0<4}").parse().map(Self).map_err(|_| expected())
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Requests,
    Input,
    Cached,
    Written,
    Output,
    /// In pico-USD.
    Cost,
}

impl What {
    pub(super) const ALL: [Self; 6] =
        [Self::Requests, Self::Input, Self::Cached, Self::Written, Self::Output, Self::Cost];

    /// As rows of the ledger call it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Input => "input_tokens",
            Self::Cached => "cached_tokens",
            Self::Written => "cache_write_tokens",
            Self::Output => "output_tokens",
            Self::Cost => "cost_usd",
        }
    }

    fn of(self, counts: &Counts) -> Option<i128> {
        let count = match self {
            Self::Requests => counts.requests,
            Self::Input => counts.input,
            Self::Cached => counts.cached,
            Self::Written => counts.written,
            Self::Output => counts.output,
            Self::Cost => return counts.cost,
        };
        count.map(i128::from)
    }
}

/// Sums, by what they are of.
pub(super) type Sums = BTreeMap<What, i128>;

/// One model on one day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) day: String,
    pub(super) model: String,
    /// Only what they say.
    pub(super) theirs: Sums,
    pub(super) ours: Sums,
    /// Of ours, what the provider did not report itself: it may differ.
    pub(super) estimated: Sums,
    /// Calls whose cost nobody knows here.
    pub(super) unpriced: u64,
}

/// The exports of one provider.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    /// Whose rows were compared; none: everybody's.
    pub(super) providers: Option<Vec<String>>,
    pub(super) lines: Vec<Line>,
}

impl Line {
    /// Ours less theirs.
    pub(super) fn drift(&self, what: What) -> Option<i128> {
        let theirs = self.theirs.get(&what)?;
        Some(self.ours.get(&what).copied().unwrap_or_default() - theirs)
    }

    pub(super) fn is_off(&self, what: What, tolerance: Tolerance) -> bool {
        let (Some(drift), Some(theirs)) = (self.drift(what), self.theirs.get(&what)) else { return false };
        drift.unsigned_abs().saturating_mul(1_000_000) > theirs.unsigned_abs().saturating_mul(tolerance.0)
    }

    pub(super) fn is_beyond(&self, tolerance: Tolerance) -> bool {
        What::ALL.iter().any(|what| self.is_off(*what, tolerance))
    }

    /// Whether what was estimated may be all of a difference.
    pub(super) fn is_explained(&self, what: What) -> bool {
        let estimated = self.estimated.get(&what).copied().unwrap_or_default();
        self.drift(what).is_some_and(|drift| drift != 0 && drift.unsigned_abs() <= estimated.unsigned_abs())
    }
}

fn add(sums: &mut Sums, what: What, more: i128) {
    let sum = sums.entry(what).or_default();
    *sum = sum.saturating_add(more);
}

/// The name under which a model is compared on that day.
fn name_of(model: Option<&str>, is_whole: bool) -> String {
    match model {
        Some(model) if !is_whole => plain(model).into_owned(),
        _ => ALL.to_owned(),
    }
}

pub(super) fn section(name: &'static str, providers: Option<Vec<String>>, facts: &[Fact], rows: &[Used]) -> Section {
    // Where a day has anything that names no model, its sums are compared as a whole: those of usage
    // and those of cost apart, for they come from different exports.
    let is_cost = |fact: &Fact| fact.counts.cost.is_some() && fact.counts.input.is_none();
    let names_none = |fact: &&Fact| fact.model.is_none() && !is_nothing(fact);
    let whole: BTreeSet<(&str, bool)> = facts.iter().filter(names_none).map(|f| (f.day.as_str(), is_cost(f))).collect();
    let mut lines: BTreeMap<(String, String), Line> = BTreeMap::new();
    let line = |day: &str, model: String| Line { day: day.to_owned(), model, ..Line::default() };
    // What each day is told of, and so is 0 for models that are not in it.
    let mut told: BTreeMap<(&str, bool), BTreeSet<What>> = BTreeMap::new();
    for fact in facts {
        let is_whole = whole.contains(&(fact.day.as_str(), is_cost(fact)));
        if is_nothing(fact) {
            let whats = What::ALL.into_iter().filter(|what| what.of(&fact.counts).is_some());
            told.entry((fact.day.as_str(), is_whole)).or_default().extend(whats);
            continue;
        }
        let model = name_of(fact.model.as_deref(), is_whole);
        let entry = lines.entry((fact.day.clone(), model.clone())).or_insert_with(|| line(&fact.day, model));
        for what in What::ALL {
            if let Some(count) = what.of(&fact.counts) {
                add(&mut entry.theirs, what, count);
                told.entry((fact.day.as_str(), is_whole)).or_default().insert(what);
            }
        }
    }
    let is_asked = |used: &&Used| providers.as_ref().is_none_or(|names| names.contains(&used.provider));
    for used in rows.iter().filter(is_asked) {
        for is_whole in [false, true] {
            let Some(whats) = told.get(&(used.day.as_str(), is_whole)) else { continue };
            let model = name_of(Some(&used.model), is_whole);
            let entry = lines.entry((used.day.clone(), model.clone())).or_insert_with(|| line(&used.day, model));
            for what in whats {
                entry.theirs.entry(*what).or_default();
            }
            count(entry, used);
        }
    }
    // Where both have nothing, that is the same.
    for ((day, _), whats) in &told {
        if !lines.keys().any(|(of, _)| of == day) {
            let theirs = whats.iter().map(|what| (*what, 0)).collect();
            lines.insert(((*day).to_owned(), ALL.to_owned()), Line { theirs, ..line(day, ALL.to_owned()) });
        }
    }
    Section { name, providers, lines: lines.into_values().collect() }
}

/// A day of which they have nothing: it says so of every model.
fn is_nothing(fact: &Fact) -> bool {
    fact.model.is_none() && What::ALL.iter().all(|what| what.of(&fact.counts).is_none_or(|count| count == 0))
}

fn count(line: &mut Line, used: &Used) {
    let usage = &used.usage;
    let tokens = |count: u64| i128::from(count);
    let all = [
        (What::Requests, 1),
        (What::Input, tokens(usage.input_tokens())),
        (What::Cached, tokens(usage.cached_tokens)),
        (What::Written, tokens(usage.cache_written_tokens())),
        (What::Output, tokens(usage.output_tokens())),
        (What::Cost, used.cost.unwrap_or_default()),
    ];
    for (what, more) in all {
        add(&mut line.ours, what, more);
        if used.is_estimated {
            add(&mut line.estimated, what, more);
        }
    }
    line.unpriced += u64::from(used.cost.is_none());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::tokens::Usage;

    fn used(day: &str, model: &str, input: u64, output: u64, is_estimated: bool) -> Used {
        let usage = Usage { fresh_input_tokens: input, visible_output_tokens: output, ..Usage::default() };
        let (day, provider, model) = (day.to_owned(), "openai".to_owned(), model.to_owned());
        Used { day, provider, model, usage, cost: Some(i128::from(input)), is_estimated }
    }

    fn fact(day: &str, model: Option<&str>, counts: Counts) -> Fact {
        Fact { day: day.to_owned(), model: model.map(str::to_owned), counts }
    }

    fn tokens(input: u64, output: u64) -> Counts {
        Counts { input: Some(input), output: Some(output), ..Counts::default() }
    }

    const ONE: Tolerance = Tolerance(10_000);

    #[test]
    fn tolerances_are_percentages() {
        let of = |text: &str| text.parse::<Tolerance>().map(|tolerance| tolerance.0);
        assert_eq!([of("1%"), of("0.25"), of("0"), of("12.5%")], [Ok(10_000), Ok(2_500), Ok(0), Ok(125_000)]);
        assert!(of("a").is_err() && of("").is_err() && of("0.00001%").is_err() && of("-1%").is_err());
    }

    #[test]
    fn versions_of_a_model_are_compared_as_one_and_days_apart() {
        let facts = [
            fact("2026-11-29", Some("gpt-5-mini-2025-08-07"), tokens(100, 10)),
            fact("2026-11-29", Some("gpt-5-mini"), tokens(50, 5)),
            fact("2026-11-30", Some("gpt-5-mini"), tokens(7, 7)),
        ];
        let rows = [
            used("2026-11-29", "gpt-5-mini", 151, 15, false),
            used("2026-11-30", "gpt-5-mini", 7, 7, false),
            used("2026-12-01", "gpt-5-mini", 1, 1, false),
        ];
        let section = section("openai", None, &facts, &rows);
        let shown: Vec<_> = section.lines.iter().map(|l| (l.day.as_str(), l.drift(What::Input).unwrap())).collect();
        assert_eq!(shown, [("2026-11-29", 1), ("2026-11-30", 0)]);
        assert!(!section.lines[0].is_beyond(ONE) && section.lines[0].is_beyond(Tolerance(0)));
        assert_eq!(section.lines[0].drift(What::Cost), None, "nobody said it");
    }

    #[test]
    fn a_model_that_only_one_side_has_is_drift() {
        let facts = [fact("2026-11-29", Some("theirs"), tokens(5, 5))];
        let rows = [used("2026-11-29", "ours", 3, 3, true)];
        let lines = section("openai", None, &facts, &rows).lines;
        let shown: Vec<_> = lines.iter().map(|l| (l.model.as_str(), l.drift(What::Input))).collect();
        assert_eq!(shown, [("ours", Some(3)), ("theirs", Some(-5))]);
        assert!(lines.iter().all(|line| line.is_beyond(ONE)));
        assert!(lines[0].is_explained(What::Input) && !lines[1].is_explained(What::Input));
        let nobody = section("openai", Some(vec!["azure".into()]), &facts, &rows).lines;
        assert_eq!(nobody.len(), 1, "rows of others are left out");
    }

    #[test]
    fn a_day_of_which_they_have_nothing_is_held_against_ours() {
        let facts = [
            fact("2026-11-28", None, tokens(0, 0)),
            fact("2026-11-29", None, tokens(0, 0)),
            fact("2026-11-30", None, tokens(0, 0)),
            fact("2026-11-30", Some("a"), tokens(1, 1)),
        ];
        let rows = [used("2026-11-29", "a", 3, 3, false), used("2026-11-30", "a", 1, 1, false)];
        let lines = section("openai", None, &facts, &rows).lines;
        let shown: Vec<_> = lines.iter().map(|l| (l.day.as_str(), l.model.as_str(), l.drift(What::Input))).collect();
        let expected = [("2026-11-28", "*", Some(0)), ("2026-11-29", "a", Some(3)), ("2026-11-30", "a", Some(0))];
        assert_eq!(shown, expected);
    }

    #[test]
    fn costs_without_a_model_are_compared_as_a_whole_beside_usage_by_model() {
        let cost = |pico| Counts { cost: Some(pico), ..Counts::default() };
        let facts = [
            fact("2026-11-29", Some("a"), tokens(10, 1)),
            fact("2026-11-29", Some("a"), cost(4)),
            fact("2026-11-29", None, cost(16)),
        ];
        let rows = [used("2026-11-29", "a", 10, 1, false), used("2026-11-29", "b", 10, 1, false)];
        let lines = section("openai", None, &facts, &rows).lines;
        let shown: Vec<_> =
            lines.iter().map(|l| (l.model.as_str(), l.drift(What::Input), l.drift(What::Cost))).collect();
        assert_eq!(shown, [("*", None, Some(0)), ("a", Some(0), None), ("b", Some(10), None)]);
    }
}
