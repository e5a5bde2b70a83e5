//! What was recorded, what it was made with, and what is said of the figures of today.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::path::PathBuf;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::Failure;

/// A case may take so many per cent more before it fails, or less before it wants to be recorded anew.
const PERCENT: u64 = 3;

/// `benches/instructions.json`
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recorded {
    pub(crate) made_with: Tools,
    /// By the name of the case.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What the figures depend on beside the code.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    rustc: String,
    valgrind: String,
    libc: String,
    /// Of what valgrind shows to programs.
    cpu: String,
}

/// What became of all cases.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) table: String,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
}

impl Recorded {
    fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../instructions.json")
    }

    pub(crate) fn read() -> Result<Self, Failure> {
        let text =
            std::fs::read_to_string(Self::path()).map_err(|error| format!("benches/instructions.json: {error}"))?;
        Ok(serde_json::from_str(&text)?)
    }

    pub(crate) fn write(&self) -> Result<(), Failure> {
        Ok(std::fs::write(Self::path(), serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Every case has to be on both sides.
    pub(crate) fn judge(&self, now: &BTreeMap<String, u64>) -> Verdict {
        let mut verdict = Verdict { table: String::new(), passed: 0, failed: 0 };
        let names = self.instructions.keys().chain(now.keys().filter(|name| !self.instructions.contains_key(*name)));
        verdict.line("instructions", "recorded", "now", "", "");
        for name in names {
            let (recorded, now) = (self.instructions.get(name).copied(), now.get(name).copied());
            let (is_good, word) = word(recorded, now);
            *if is_good { &mut verdict.passed } else { &mut verdict.failed } += 1;
            let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
            let change = match (recorded, now) {
                (Some(recorded), Some(now)) => tenths_of_percent(recorded, now),
                _ => String::new(),
            };
            verdict.line(name, &number(recorded), &number(now), &change, word);
        }
        verdict
    }
}

impl Verdict {
    fn line(&mut self, name: &str, recorded: &str, now: &str, change: &str, word: &str) {
        let line = format!("{name:<56}{recorded:>12}{now:>12}{change:>10}  {word}");
        // Writing to a String cannot fail.
        let _ = writeln!(self.table, "{}", line.trim_end());
    }
}

/// Whether a case is good, and what there is to say.
fn word(recorded: Option<u64>, now: Option<u64>) -> (bool, &'static str) {
    match (recorded, now) {
        (Some(recorded), Some(now)) if now * 100 > recorded * (100 + PERCENT) => {
            (false, "FAILED: over the ceiling; if it has to be: make instructions-write")
        }
        (Some(recorded), Some(now)) if now * 100 < recorded * (100 - PERCENT) => {
            (true, "fewer: make instructions-write keeps it so")
        }
        (Some(_), Some(_)) => (true, ""),
        (None, _) => (false, "FAILED: not recorded: make instructions-write"),
        (_, None) => (false, "FAILED: recorded, but there is no such case: make instructions-write"),
    }
}

/// `+1.2 %`
fn tenths_of_percent(recorded: u64, now: u64) -> String {
    let tenths = now.abs_diff(recorded) * 1000 / recorded.max(1);
    format!("{}{}.{} %", if now < recorded { '-' } else { '+' }, tenths / 10, tenths % 10)
}

impl Tools {
    /// Those of this machine.
    pub(crate) fn here() -> Result<Self, Failure> {
        let first_line = |program: &str, arg: &str| -> Result<String, Failure> {
            let output = Command::new(program).arg(arg).output().map_err(|error| {
                format!("{program} {arg}: {error} (`scripts/setup test` installs what the system has)")
            })?;
            Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        };
        Ok(Self {
            rustc: first_line("rustc", "--version")?,
            valgrind: first_line("valgrind", "--version")?,
            libc: first_line("getconf", "GNU_LIBC_VERSION").or_else(|_| first_line("ldd", "--version"))?,
            cpu: cpu(),
        })
    }
}

/// Rust code asks for AVX2; the rest of what valgrind shows has been there for longer.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    let features = if std::arch::is_x86_feature_detected!("avx2") { " with AVX2" } else { " without AVX2" };
    #[cfg(not(target_arch = "x86_64"))]
    let features = "";
    format!("{}{features}", std::env::consts::ARCH)
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}, {}, {}", self.rustc, self.valgrind, self.libc, self.cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded(counts: &[(&str, u64)]) -> Recorded {
        let made_with =
            Tools { rustc: "1".to_owned(), valgrind: "2".to_owned(), libc: "3".to_owned(), cpu: "4".to_owned() };
        Recorded { made_with, instructions: map(counts) }
    }

    fn map(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
        counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn judged(now: &[(&str, u64)]) -> (usize, usize) {
        let verdict = recorded(&[("a", 1_000), ("b", 1_000)]).judge(&map(now));
        (verdict.passed, verdict.failed)
    }

    #[test]
    fn three_per_cent_more_is_the_ceiling() {
        assert_eq!(judged(&[("a", 1_030), ("b", 1_000)]), (2, 0));
        assert_eq!(judged(&[("a", 1_031), ("b", 1_000)]), (1, 1));
    }

    #[test]
    fn fewer_pass_and_are_told() {
        assert_eq!(judged(&[("a", 969), ("b", 970)]), (2, 0));
        let table = recorded(&[("a", 1_000), ("b", 1_000)]).judge(&map(&[("a", 969), ("b", 970)])).table;
        let told: Vec<&str> = table.lines().filter(|line| line.contains("fewer")).collect();
        assert!(told.len() == 1 && told.iter().all(|line| line.starts_with('a')), "{table}");
    }

    #[test]
    fn a_case_on_one_side_only_fails() {
        assert_eq!(judged(&[("a", 1_000)]), (1, 1));
        assert_eq!(judged(&[("a", 1_000), ("b", 1_000), ("c", 1)]), (2, 1));
    }

    #[test]
    fn changes_are_in_tenths_of_a_per_cent() {
        assert_eq!(tenths_of_percent(1_000, 1_012), "+1.2 %");
        assert_eq!(tenths_of_percent(1_000, 970), "-3.0 %");
    }
}
