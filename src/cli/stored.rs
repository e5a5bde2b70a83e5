//! Which database a command looks into.

use std::path::{Path, PathBuf};

use super::print;
use crate::config::env::System;
use crate::config::load;
use crate::config::runtime::State;
use crate::limit::clock::unix_ms;
use crate::store::{Database, StoreError, moment_ms};

/// Where `weir run` without a file keeps its state.
const USUAL: &str = "data";

#[derive(Debug, clap::Args)]
pub(super) struct Stored {
    /// The configuration, for `state` in it [default: weir.yaml, else conf/weir.yaml, else the directory ./data]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory with the database, without a configuration
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    state: Option<PathBuf>,
}

/// Why there is no answer: used wrongly, or something does not work.
#[derive(Debug)]
pub(super) enum Wrong {
    Usage(String),
    Failed(String),
}

impl From<StoreError> for Wrong {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<std::io::Error> for Wrong {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Wrong {
    pub(super) fn exit(&self) -> std::process::ExitCode {
        let (Self::Usage(text) | Self::Failed(text)) = self;
        print::note(&format!("weir: {text}"));
        match self {
            Self::Usage(_) => super::USAGE.into(),
            Self::Failed(_) => std::process::ExitCode::FAILURE,
        }
    }
}

impl Stored {
    pub(super) fn state(&self) -> Result<State, Wrong> {
        if let Some(dir) = &self.state {
            return Ok(State { dir: dir.clone(), ..State::default() });
        }
        let usual = || super::check::USUAL.iter().map(PathBuf::from).find(|path| path.exists());
        match self.config.clone().or_else(usual) {
            Some(file) => state_of(&file),
            None => Ok(State { dir: USUAL.into(), ..State::default() }),
        }
    }

    /// The names of the providers of a kind: those of the configuration, or the kind's own.
    pub(super) fn providers_of(&self, kind: &str) -> Vec<String> {
        let usual = || super::check::USUAL.iter().map(PathBuf::from).find(|path| path.exists());
        let file = if self.state.is_some() { None } else { self.config.clone().or_else(usual) };
        let runtime = file.and_then(|file| load::from_file(&file, &System).ok());
        let of_kind = |runtime: &crate::config::runtime::Runtime| {
            let all = runtime.deployments.iter().filter(|deployment| deployment.provider.kind == kind);
            all.map(|deployment| deployment.name.clone()).collect::<Vec<_>>()
        };
        runtime.as_ref().map(of_kind).filter(|names| !names.is_empty()).unwrap_or_else(|| vec![kind.to_owned()])
    }

    pub(super) fn open(&self) -> Result<Database, Wrong> {
        Ok(Database::open_to_read(&self.state()?)?)
    }
}

/// Of a file in which something else may be wrong: who reads the database need not have the providers' keys.
fn state_of(file: &Path) -> Result<State, Wrong> {
    let report = match load::from_file(file, &System) {
        Ok(runtime) => return Ok(runtime.state),
        Err(report) => report,
    };
    let state = load::whereabouts(file, &System).state;
    let state = state.ok_or_else(|| Wrong::Usage(format!("{} is not right:\n{report}", file.display())))?;
    let first = report.problems.first().map_or_else(String::new, |problem| problem.message.clone());
    print::note(&format!("weir: {} is not right ({first}): its `state` is taken all the same", file.display()));
    Ok(state)
}

/// A moment of an option.
pub(super) fn moment(option: &str, text: Option<&str>) -> Result<Option<i64>, Wrong> {
    let expected = || {
        let text = "expected a time in UTC like 2026-11-28 or 2026-11-28T22:54:00Z, or how long ago, like 7d";
        Wrong::Usage(format!("--{option}: {text}"))
    };
    text.map(|text| moment_ms(text, unix_ms()).ok_or_else(expected)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_file_still_says_where_the_state_is() {
        let file = std::env::temp_dir().join(format!("weir-state-{}.yaml", std::process::id()));
        std::fs::write(&file, "state: {dir: /d, secret: '${WEIR_TEST_NOT_SET}'}\nodd: 1\n").unwrap();
        assert_eq!(state_of(&file).unwrap().dir, PathBuf::from("/d"));
        std::fs::write(&file, "state: {dir: [1]}\n").unwrap();
        assert!(matches!(state_of(&file), Err(Wrong::Usage(_))));
        std::fs::remove_file(file).unwrap();
    }
}
