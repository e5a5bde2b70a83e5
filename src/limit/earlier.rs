//! What limits had counted when the process before this one ended, and how that is written down.
//!
//! A window is put back when its scope is first seen: of users and tags nobody knows sooner whether they
//! come again. Limits per second are not kept, for a restart takes longer than that.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Scope;
use super::clock::Moment;
use super::gate::Post;
use super::named::Named;
use super::window::{Charge, Window};
use crate::config::limits::{Every, Limited, Rate};

/// Of what is written. Others are not understood.
const VERSION: u32 = 1;

/// Windows of an earlier process that nobody has asked for yet.
#[derive(Debug, Default)]
pub(super) struct Earlier(Mutex<HashMap<Scope, Vec<(Rate, Window)>>>);

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    version: u32,
    windows: Vec<Row>,
}

/// One window of one scope.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    #[serde(flatten)]
    scope: Named,
    limit: String,
    debt: u64,
    /// Each with its moment in milliseconds since 1970.
    charges: Vec<(u64, u64)>,
}

impl Earlier {
    fn lock(&self) -> MutexGuard<'_, HashMap<Scope, Vec<(Rate, Window)>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of a scope that is seen for the first time.
    pub(super) fn post(&self, scope: Scope) -> Post {
        let windows = self.lock().remove(&scope).unwrap_or_default();
        Post::new(scope, windows)
    }

    /// Takes over what was written. Nobody may have been seen by now.
    pub(super) fn read(&self, text: &str, at: Moment) -> Result<(), String> {
        let kept: Kept = serde_json::from_str(text).map_err(|e| e.to_string())?;
        if kept.version != VERSION {
            return Err(format!("version {} is not understood", kept.version));
        }
        let mut all: HashMap<Scope, Vec<(Rate, Window)>> = HashMap::new();
        for row in kept.windows {
            let (scope, rate, window) = row.read(at)?;
            let windows = all.entry(scope).or_default();
            // One that is there twice was seen while it was written: first as it is, then as it had been.
            if !windows.iter().any(|(known, _)| *known == rate) {
                windows.push((rate, window));
            }
        }
        *self.lock() = all;
        Ok(())
    }

    /// What still counts of those who have not come again; the rest is forgotten.
    pub(super) fn rows(&self, at: Moment) -> Vec<Row> {
        let mut all = self.lock();
        all.retain(|_, windows| windows.iter().any(|(rate, window)| window.counts(rate.every.length_ms(), at.now_ms)));
        all.iter().flat_map(|(scope, windows)| rows(scope, windows, at)).collect()
    }
}

/// What is worth keeping of these.
pub(super) fn rows(scope: &Scope, windows: &[(Rate, Window)], at: Moment) -> Vec<Row> {
    let lasting = windows
        .iter()
        .filter(|(rate, window)| rate.every != Every::Second && window.counts(rate.every.length_ms(), at.now_ms));
    lasting.map(|(rate, window)| Row::of(scope, *rate, window, at)).collect()
}

pub(super) fn write(windows: Vec<Row>) -> Option<String> {
    serde_json::to_string(&Kept { version: VERSION, windows }).ok()
}

impl Row {
    fn of(scope: &Scope, rate: Rate, window: &Window, at: Moment) -> Self {
        // By the calendar, for the process's own time ends with it.
        let unix_ms = |charge: &Charge| at.unix_ms.saturating_sub(at.now_ms.saturating_sub(charge.at_ms));
        Self {
            scope: scope.into(),
            limit: Limited::Rate(rate).as_str().to_owned(),
            debt: window.debt(),
            charges: window.charges().map(|charge| (unix_ms(charge), charge.amount)).collect(),
        }
    }

    fn read(self, at: Moment) -> Result<(Scope, Rate, Window), String> {
        let named = |limited: &Limited| limited.as_str() == self.limit;
        let Some(Limited::Rate(rate)) = Limited::all().find(named) else {
            return Err(format!("no limit is named `{}`", self.limit));
        };
        let now_ms = |unix_ms: u64| at.now_ms.saturating_sub(at.unix_ms.saturating_sub(unix_ms));
        let charges = self.charges.into_iter().map(|(unix_ms, amount)| Charge { at_ms: now_ms(unix_ms), amount });
        Ok((self.scope.into(), rate, Window::of(charges, self.debt)))
    }
}
