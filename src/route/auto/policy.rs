//! What the operator prefers and when, and the decision that follows.

use std::cmp::Reverse;

use super::candidate::exclusion;
use super::score::{Best, scored};
use super::{Candidate, Excluded, Need, Parts};
use crate::config::runtime::{Prefer, Rule, When};

/// How to choose, from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'p> {
    pub prefer: Prefer,
    /// The first that matches holds.
    pub rules: &'p [Rule],
}

impl When {
    /// All that is said has to hold; nothing said matches every request.
    pub fn matches(&self, need: &Need, tags: &[&str]) -> bool {
        self.tokens_over.is_none_or(|over| need.input_tokens > over)
            && self.tokens_under.is_none_or(|under| need.input_tokens < under)
            && self.tools.is_none_or(|tools| need.tools == tools)
            && self.images.is_none_or(|images| need.images == images)
            && self.tags.iter().all(|tag| tags.contains(&tag.as_str()))
    }
}

/// What was found about one candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Excluded(Excluded),
    Scored {
        /// In millionths.
        score: u32,
        parts: Parts,
        /// An ability that the request needs is unknown, or has to be made up for.
        doubtful: bool,
    },
}

/// See the module documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Places in the list of candidates, in the order to try them; empty if all are excluded.
    pub order: Vec<usize>,
    /// One for each candidate.
    pub verdicts: Vec<Verdict>,
    pub prefer: Prefer,
    /// The place of the rule that held.
    pub rule: Option<usize>,
}

impl Policy<'_> {
    /// `tags` are the request's own; `candidates` are the list that rules point into.
    pub fn choose(&self, need: &Need, tags: &[&str], candidates: &[Candidate<'_>]) -> Decision {
        let rule = self.rules.iter().position(|rule| rule.when.matches(need, tags));
        let held = rule.and_then(|place| self.rules.get(place));
        let prefer = held.and_then(|rule| rule.prefer).unwrap_or(self.prefer);
        let targets = held.map_or(&[][..], |rule| &rule.targets);
        let is_target = |place: usize| targets.is_empty() || targets.contains(&place);
        let excluded = candidates.iter().enumerate().map(|(place, candidate)| match is_target(place) {
            true => exclusion(need, candidate),
            false => Some(Excluded::Rule),
        });
        let excluded: Vec<Option<Excluded>> = excluded.collect();
        let running = candidates.iter().zip(&excluded).filter(|(_, excluded)| excluded.is_none());
        let best = Best::of(need, running.map(|(candidate, _)| candidate));
        let verdict = |(candidate, excluded): (&Candidate<'_>, &Option<Excluded>)| match excluded {
            Some(reason) => Verdict::Excluded(*reason),
            None => scored(need, prefer, candidate, best),
        };
        let verdicts: Vec<Verdict> = candidates.iter().zip(&excluded).map(verdict).collect();
        Decision { order: order(prefer, candidates, &verdicts), verdicts, prefer, rule }
    }
}

/// Best first; ties in the order of the list.
fn order(prefer: Prefer, candidates: &[Candidate<'_>], verdicts: &[Verdict]) -> Vec<usize> {
    let rank = |(place, (candidate, verdict)): (usize, (&Candidate<'_>, &Verdict))| match verdict {
        Verdict::Excluded(_) => None,
        Verdict::Scored { score, doubtful, .. } => {
            let dear_for_all_we_know = prefer == Prefer::Cost && candidate.price.is_none();
            Some((*doubtful, dear_for_all_we_know, Reverse(*score), place))
        }
    };
    let mut ranks: Vec<_> = candidates.iter().zip(verdicts).enumerate().filter_map(rank).collect();
    ranks.sort_unstable();
    ranks.into_iter().map(|(.., place)| place).collect()
}
