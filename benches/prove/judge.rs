//! Holds the ledger's rows against what providers and clients saw.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::clients::{End, Seen};
use super::plan::{Case, PROVIDERS, Provider, Usage, usage};
use super::provider::Call;

/// Complaints that are told.
const TOLD: usize = 8;

/// Figures and complaints.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) rows: usize,
    pub(crate) reached: usize,
    pub(crate) missing: usize,
    pub(crate) duplicates: usize,
    /// Of whom nobody sent anything.
    pub(crate) strangers: usize,
    /// Rows whose token classes were held against the provider's count.
    pub(crate) counted: usize,
    /// Rows and attempts whose cost was computed again.
    pub(crate) priced: usize,
    pub(crate) by_case: BTreeMap<Case, BTreeMap<String, usize>>,
    /// Of requests that ended early: words that clients saw, and tokens of output that rows have.
    pub(crate) words_of_cut: u64,
    pub(crate) tokens_of_cut: u64,
    pub(crate) words_of_recovered: u64,
    pub(crate) tokens_of_recovered: u64,
    wrong: Vec<String>,
}

/// Rows as they were exported, seen by clients, known to providers.
pub(crate) fn judge(rows: &[Value], seen: &[Seen], truth: &HashMap<u32, Vec<Call>>) -> Verdict {
    let mut verdict = Verdict { rows: rows.len(), reached: truth.len(), ..Verdict::default() };
    let mut by_number: HashMap<u32, Vec<&Value>> = HashMap::new();
    for row in rows {
        match number_of(row) {
            Some(number) => by_number.entry(number).or_default().push(row),
            None => verdict.strangers += 1,
        }
    }
    let by_seen: HashMap<u32, &Seen> = seen.iter().map(|seen| (seen.plan.number, seen)).collect();
    for (number, rows) in &by_number {
        if rows.len() > 1 {
            verdict.duplicates += rows.len() - 1;
            verdict.wrong.push(format!("request {number} has {} rows", rows.len()));
        }
        match by_seen.get(number) {
            Some(seen) => verdict.row(seen, rows[0], truth.get(number).map_or(&[][..], Vec::as_slice)),
            None => verdict.strangers += 1,
        }
    }
    let answered = |seen: &&Seen| seen.end == End::Whole;
    let must_have = truth.keys().chain(seen.iter().filter(answered).map(|seen| &seen.plan.number));
    let missing: std::collections::BTreeSet<&u32> =
        must_have.filter(|number| !by_number.contains_key(number)).collect();
    verdict.missing = missing.len();
    verdict.wrong.extend(missing.iter().map(|number| format!("request {number} has no row")));
    if verdict.strangers > 0 {
        verdict.wrong.push(format!("{} rows of nobody's", verdict.strangers));
    }
    verdict
}

/// From the tag `n=17`.
fn number_of(row: &Value) -> Option<u32> {
    row["tags"].as_array()?.iter().find_map(|tag| tag.as_str()?.strip_prefix("n=")?.parse().ok())
}

fn provider(name: &Value) -> Option<&'static Provider> {
    PROVIDERS.iter().find(|provider| name == provider.name)
}

fn classes(usage: &Value) -> Usage {
    let of = |name: &str| usage[name].as_u64().unwrap_or_default();
    Usage {
        fresh: of("fresh_input"),
        cached: of("cached"),
        written: of("cache_write"),
        written_1h: of("cache_write_1h"),
        visible: of("visible_output"),
        reasoning: of("reasoning"),
    }
}

impl Verdict {
    /// What is wrong, the first of it.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let more = self.wrong.len().saturating_sub(TOLD);
        let rest = (more > 0).then(|| format!("and {more} more"));
        self.wrong.iter().take(TOLD).cloned().chain(rest).collect()
    }

    fn row(&mut self, seen: &Seen, row: &Value, calls: &[Call]) {
        let outcome = row["outcome"].as_str().unwrap_or("none").to_owned();
        *self.by_case.entry(seen.plan.case).or_default().entry(outcome.clone()).or_default() += 1;
        if let Err(why) = self.check(seen, row, calls, &outcome) {
            let (number, case, end) = (seen.plan.number, seen.plan.case, seen.end);
            self.wrong.push(format!("request {number} ({case:?}, {end:?}, killed: {}): {why}: {row}", seen.killed));
        }
    }

    fn check(&mut self, seen: &Seen, row: &Value, calls: &[Call], outcome: &str) -> Result<(), String> {
        let expected: &[&str] = match (seen.end, seen.plan.case) {
            // It was told, so it is known.
            (End::Whole, _) => &["finished"],
            (End::Left, _) => &["client_cut", "finished", "failed"],
            (End::Refused(_), Case::Broken) => &["failed", "upstream_cut"],
            // Nobody to ask: a breaker is open.
            (End::Refused(_), _) => &["failed"],
            (End::Died, Case::Broken) => &["upstream_cut", "failed"],
            (End::Died, _) => &[],
        };
        // What a kill interrupts may have ended already, or is found open.
        let after_kill = seen.killed && matches!(outcome, "recovered" | "finished" | "failed" | "upstream_cut");
        // A client that leaves sees nothing of a kill that comes a moment later.
        let may_be_left = seen.end == End::Left && outcome == "recovered";
        if !(expected.contains(&outcome) || may_be_left || after_kill && seen.end != End::Whole) {
            return Err(format!("the outcome is {outcome}"));
        }
        self.costs(row)?;
        if calls.len() > row["timeline"].as_array().map_or(0, Vec::len) && outcome != "recovered" {
            return Err(format!("{} calls reached providers", calls.len()));
        }
        match outcome {
            "finished" => self.counts(seen, row, calls),
            _ => self.early(seen, row, outcome),
        }
    }

    /// The classes of a request that finished are the provider's own.
    fn counts(&mut self, seen: &Seen, row: &Value, calls: &[Call]) -> Result<(), String> {
        let Some(provider) = provider(&row["provider"]) else { return Err("nobody answered".to_owned()) };
        let told = calls.iter().any(|call| call.provider == provider.name && call.told_usage);
        let reported = row["usage_source"] == "reported";
        if !reported && seen.end == End::Left && !told {
            return Ok(());
        }
        let expected = usage(seen.plan.number, provider.name);
        let found = classes(&row["usage"]);
        if !reported || found != expected {
            return Err(format!("the provider counted {expected:?}"));
        }
        let sums = [
            ("input_tokens", expected.fresh + expected.cached + expected.written + expected.written_1h),
            ("output_tokens", expected.visible + expected.reasoning),
            ("cached_tokens", expected.cached),
            ("cache_write_tokens", expected.written + expected.written_1h),
            ("reasoning_tokens", expected.reasoning),
        ];
        if let Some((name, sum)) = sums.iter().find(|(name, sum)| row[*name] != *sum) {
            return Err(format!("{name} is not {sum}"));
        }
        self.counted += 1;
        Ok(())
    }

    /// Of a request that ended early something is known, and marked as not all.
    fn early(&mut self, seen: &Seen, row: &Value, outcome: &str) -> Result<(), String> {
        let words = u64::try_from(seen.words).unwrap_or_default();
        let tokens = row["output_tokens"].as_u64().unwrap_or_default();
        let provider = provider(&row["provider"]);
        let whole = provider.is_some_and(|p| classes(&row["usage"]) == usage(seen.plan.number, p.name));
        if outcome == "recovered" {
            self.words_of_recovered += words;
            self.tokens_of_recovered += tokens;
            // Its input is known since before the provider was asked.
            let is_known = row["input_tokens"].as_u64().is_some_and(|tokens| tokens > 0);
            return match row["usage_source"].as_str() {
                Some("estimated" | "partial") if is_known => Ok(()),
                // The provider had said what it counts before the end of its answer.
                Some("reported") if whole => Ok(()),
                source => Err(format!("found open, and its usage is {source:?}")),
            };
        }
        self.words_of_cut += words;
        self.tokens_of_cut += tokens;
        if words > 0 && tokens < words {
            return Err(format!("the client saw {words} words"));
        }
        match row["usage_source"].as_str() {
            Some("reported") if !whole => Err("half an answer counts as reported".to_owned()),
            None if words > 0 => Err("nothing is said of its usage".to_owned()),
            _ => Ok(()),
        }
    }

    /// The cost of every usage, to the pico-USD.
    fn costs(&mut self, row: &Value) -> Result<(), String> {
        let lost = row["timeline"].as_array().into_iter().flatten();
        for used in std::iter::once(row).chain(lost).filter(|used| used["usage"].is_object()) {
            let Some(provider) = provider(&used["provider"]) else { return Err("usage of nobody's".to_owned()) };
            let expected = provider.cost(&classes(&used["usage"]));
            let found = used["cost_pico_usd"].as_u64().map(u128::from);
            if found != Some(expected) {
                return Err(format!("it costs {expected} pico-USD, not {found:?}"));
            }
            self.priced += 1;
        }
        Ok(())
    }
}
