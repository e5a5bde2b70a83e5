//! How a decision came about, in one line for a header and the log.

use std::fmt::{self, Write as _};

use super::{Ability, Candidate, Decision, Excluded, Verdict};

/// The longest line.
const MOST_BYTES: usize = 200;
/// At the end of one that was too long.
const MORE: &str = "...";

impl Decision {
    /// Printable ASCII of at most 200 bytes. `candidates` are those that were chosen from.
    pub fn reason(&self, candidates: &[Candidate<'_>]) -> String {
        let mut line = String::from("auto: ");
        // Writing to a string does not fail.
        let _ = self.write(candidates, &mut line);
        header_safe(&line)
    }

    fn write(&self, candidates: &[Candidate<'_>], line: &mut String) -> fmt::Result {
        if let Some(rule) = self.rule {
            write!(line, "rule {}; ", rule + 1)?;
        }
        write!(line, "prefer={}; ", self.prefer.as_str())?;
        let name = |place: usize| candidates.get(place).map_or("?", |candidate| candidate.name);
        match self.order.first().map(|place| (*place, self.verdicts.get(*place))) {
            Some((first, Some(Verdict::Scored { score, .. }))) => {
                let score = score / 1_000;
                write!(line, "{} scored {score}, first of {}", name(first), self.order.len())?;
            }
            _ => line.push_str("no model fits"),
        }
        let excluded = self.verdicts.iter().enumerate().filter_map(|(place, verdict)| match verdict {
            Verdict::Excluded(reason) => Some((place, reason)),
            Verdict::Scored { .. } => None,
        });
        for (number, (place, reason)) in excluded.enumerate() {
            let before = if number == 0 { "; excluded: " } else { ", " };
            write!(line, "{before}{} ({reason})", name(place))?;
        }
        Ok(())
    }
}

/// Names come from the configuration and may hold anything.
fn header_safe(line: &str) -> String {
    let safe = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let mut out: String = line.chars().map(safe).collect();
    if out.len() > MOST_BYTES {
        out.truncate(MOST_BYTES - MORE.len());
        out.push_str(MORE);
    }
    out
}

impl fmt::Display for Excluded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule => f.write_str("not in the rule"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::Lacks(ability) => write!(f, "no {}", ability.as_str()),
            Self::Context { most_tokens } => write!(f, "context of {most_tokens} tokens"),
            Self::Output { most_tokens } => write!(f, "output of {most_tokens} tokens"),
        }
    }
}

impl Ability {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Images => "images",
            Self::Audio => "audio",
            Self::Documents => "documents",
            Self::Tools => "tools",
            Self::JsonSchema => "json schema",
            Self::Reasoning => "reasoning",
            Self::ParallelTools => "parallel tools",
            Self::System => "system prompt",
        }
    }
}
