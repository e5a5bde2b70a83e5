//! What was found.

use serde::Serialize;

use crate::cli::print;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    Ok,
    Warn,
    Fail,
    /// It could not be found out.
    Skip,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skip => "-",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) outcome: Outcome,
    pub(super) found: String,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) help: Option<String>,
}

#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Checks(pub(super) Vec<Check>);

impl Checks {
    fn add(&mut self, name: &str, outcome: Outcome, found: impl Into<String>, help: Option<String>) {
        self.0.push(Check { name: name.to_owned(), outcome, found: found.into(), help });
    }

    pub(super) fn good(&mut self, name: &str, found: impl Into<String>) {
        self.add(name, Outcome::Ok, found, None);
    }

    pub(super) fn odd(&mut self, name: &str, found: impl Into<String>, help: impl Into<String>) {
        self.add(name, Outcome::Warn, found, Some(help.into()));
    }

    pub(super) fn bad(&mut self, name: &str, found: impl Into<String>, help: impl Into<String>) {
        self.add(name, Outcome::Fail, found, Some(help.into()));
    }

    pub(super) fn unknown(&mut self, name: &str, why: impl Into<String>) {
        self.add(name, Outcome::Skip, why, None);
    }

    pub(super) fn print(&self) {
        let mut rows = Vec::with_capacity(self.0.len() * 2);
        for check in &self.0 {
            rows.push(vec![check.outcome.word().to_owned(), check.name.clone(), check.found.clone()]);
            if let Some(help) = &check.help {
                rows.push(vec![String::new(), String::new(), format!("-> {help}")]);
            }
        }
        print::table(&rows);
        let count = |outcome| self.0.iter().filter(|check| check.outcome == outcome).count();
        print::note(&format!("\n{} broken, {} to look at", count(Outcome::Fail), count(Outcome::Warn)));
    }
}
