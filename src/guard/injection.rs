//! Attempts to talk a model out of its instructions, by how they are usually worded. A heuristic, and no more:
//! each wording has a score, the scores of those that a text holds are added, and from [`ENOUGH`] on the text
//! is hit. One strong wording is enough; weak ones have to come together. Only whole texts can be looked at.
//!
//! The list is in docs/guards.md too.

use regex_automata::meta::Regex;
use regex_automata::{Input, MatchKind, PatternSet};

use super::Kind;
use super::detect::Hit;
use super::patterns::Unfit;

const ENOUGH: u32 = 100;

/// Wordings and their scores.
pub(super) const WORDINGS: &[(u32, &str)] = &[
    (
        100,
        r"(?:ignore|disregard|forget|override|bypass)\s+(?:\S+\s+){0,3}?(?:previous|prior|above|earlier|preceding|existing|system|original)\s+(?:\S+\s+){0,2}?(?:instructions?|prompts?|rules?|directions?|guidelines?|messages?)",
    ),
    (
        100,
        r"(?:ignore|disregard|forget)\s+(?:everything|anything|all)\s+(?:\S+\s+){0,3}?(?:above|before|told|said|instructed)",
    ),
    (
        100,
        r"(?:reveal|print|show|output|repeat|leak|display|tell\s+me)\s+(?:\S+\s+){0,3}?(?:system|hidden|initial|secret|original)\s+(?:prompt|instructions?|message)",
    ),
    (60, r"you\s+are\s+now\s+(?:\S+\s+){0,3}?(?:dan|jailbroken|unrestricted|unfiltered|developer\s+mode|evil|free)\b"),
    (100, r"\bdo\s+anything\s+now\b"),
    (60, r"\b(?:developer|debug|god|sudo|admin|jailbreak)\s+mode\s+(?:enabled|on|activated|engaged)"),
    (
        60,
        r"(?:without|no)\s+(?:any\s+)?(?:ethical|moral|safety|content)\s+(?:restrictions?|guidelines?|filters?|limits?)",
    ),
    (
        60,
        r"pretend\s+(?:that\s+)?(?:you\s+)?(?:are|have|to\s+be)\s+(?:\S+\s+){0,4}?(?:no\s+(?:rules|restrictions|filters)|unrestricted|unfiltered)",
    ),
    (60, r"(?:new|updated|real|actual)\s+(?:system\s+)?instructions?\s*:"),
    (100, r"<\|(?:im_start|im_end|system|endoftext|start_header_id|eot_id)\|>"),
    (60, r"\[/?(?:INST|SYS)\]|<</?SYS>>"),
    (60, r"(?m)^\s*#{2,}\s*(?:system|instruction|new\s+instructions?)\s*:?\s*$"),
    (40, r"(?m)^\s*(?:system|assistant)\s*:\s"),
    (60, r"(?:do\s+not|don'?t|never)\s+(?:tell|inform|mention|reveal|let)\s+(?:\S+\s+){0,2}?user"),
    (
        60,
        r"(?:send|forward|post|exfiltrate|upload|email)\s+(?:\S+\s+){0,5}?(?:credentials?|passwords?|api\s+keys?|secrets?|tokens?|conversation|chat\s+history)\s+to\s",
    ),
    (60, r"(?:your|the)\s+(?:previous|prior|original)\s+(?:instructions?|rules?)\s+(?:are|were|is|no\s+longer)"),
    (60, r"(?:ignoriere|vergiss|missachte)\s+(?:\S+\s+){0,4}?(?:anweisungen|regeln|vorgaben)"),
    (60, r"(?:ignore[zr]?|oublie[zr]?)\s+(?:\S+\s+){0,4}?(?:instructions|consignes|règles)"),
    (60, r"(?:ignora|olvida|descarta)\s+(?:\S+\s+){0,4}?(?:instrucciones|reglas|istruzioni|regole)"),
    (40, r"(?:decode|decipher)\s+(?:\S+\s+){0,4}?(?:base64|rot13|hex)\s+(?:\S+\s+){0,4}?(?:follow|execute|obey|run)"),
    (
        40,
        r"(?:follow|obey|execute)\s+(?:\S+\s+){0,3}?(?:instructions?|commands?)\s+(?:below|in\s+this\s+(?:document|page|email|file))",
    ),
];

#[derive(Debug, Clone)]
pub(super) struct Injection {
    wordings: Regex,
}

impl Injection {
    pub(super) fn new() -> Result<Self, Unfit> {
        let patterns: Vec<String> = WORDINGS.iter().map(|(_, wording)| format!("(?i){wording}")).collect();
        // All that match are asked for, not the first alone.
        let config = Regex::config().match_kind(MatchKind::All);
        let wordings = Regex::builder().configure(config).build_many(&patterns).map_err(|_| Unfit::TooBig)?;
        Ok(Self { wordings })
    }

    pub(super) fn score(&self, text: &str) -> u32 {
        let mut which = PatternSet::new(self.wordings.pattern_len());
        self.wordings.which_overlapping_matches(&Input::new(text), &mut which);
        which.iter().filter_map(|id| WORDINGS.get(id.as_usize())).map(|(score, _)| score).sum()
    }

    pub(super) fn find(&self, text: &str, hits: &mut Vec<Hit>) {
        if self.score(text) >= ENOUGH
            && let Some(first) = self.wordings.find(text)
        {
            hits.push(Hit { kind: Kind::Injection, start: first.start(), end: first.end() });
        }
    }
}
