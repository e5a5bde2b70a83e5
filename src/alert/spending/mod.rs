//! Spending that is out of the ordinary: of each tenant, key and tag, by its own history.
//!
//! What is spent falls into windows of the clock, of which the past ones are kept for as long as
//! `history`, those with nothing in them not at all. The present is the last window's length up to
//! now, to a quarter of it. It is a spike if it is more than `minimum`, more than `factor` times the
//! average of the past windows that have anything in them, and more than each of them: whoever spends
//! all at night is not told of every night.

use std::collections::{HashMap, VecDeque};

use crate::config::alerts::SpendSpikes;
use crate::limit::clock::whole_ms;

/// Tenants, and keys, that are watched.
const MOST_NAMED: usize = 4_096;
/// Tags are the clients' own, and have a room of their own.
const MOST_TAGS: usize = 2_048;
/// A window is this many pieces, so that a spike over its edge is not halved.
const PIECES: u64 = 4;
/// Windows that must have passed since the first: a day of hours.
const KNOWN_WINDOWS: u64 = 24;

/// Who spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spender {
    Tenant,
    Key,
    Tag,
}

impl Spender {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Key => "key",
            Self::Tag => "tag",
        }
    }
}

/// In pico-USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spike {
    pub(super) spent: u64,
    /// The average of the past windows with anything in them.
    pub(super) usual: u64,
    pub(super) highest: u64,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Spending {
    rules: Option<SpendSpikes>,
    tenants: HashMap<String, Course>,
    keys: HashMap<String, Course>,
    tags: HashMap<String, Course>,
}

/// What one spent, by number of window (or piece), the newest last.
#[derive(Debug, Clone, Default)]
struct Course {
    first_window: u64,
    windows: VecDeque<(u64, u64)>,
    pieces: VecDeque<(u64, u64)>,
}

impl Spending {
    /// Other rules. What was learnt under windows of another length is of no use.
    pub(super) fn bind(&mut self, rules: Option<SpendSpikes>) {
        if self.rules.map(|rules| rules.window) != rules.map(|rules| rules.window) {
            *self = Self::default();
        }
        self.rules = rules;
    }

    pub(super) fn is_watching(&self) -> bool {
        self.rules.is_some()
    }

    fn course(&mut self, rules: &SpendSpikes, who: Spender, name: &str, unix_ms: u64) -> Option<&mut Course> {
        let (all, most) = match who {
            Spender::Tenant => (&mut self.tenants, MOST_NAMED),
            Spender::Key => (&mut self.keys, MOST_NAMED),
            Spender::Tag => (&mut self.tags, MOST_TAGS),
        };
        if !all.contains_key(name) {
            if all.len() >= most {
                make_room(all, oldest_window(rules, unix_ms));
            }
            all.insert(name.to_owned(), Course::default());
        }
        all.get_mut(name)
    }

    /// Something was spent; whether that makes a spike.
    pub(super) fn spend(&mut self, who: Spender, name: &str, unix_ms: u64, pico: u64) -> Option<Spike> {
        let rules = self.rules?;
        let course = self.course(&rules, who, name, unix_ms)?;
        course.add(&rules, unix_ms, pico);
        course.judge(&rules, unix_ms)
    }

    /// What was spent before this process began, from the roll-ups of the ledger. The oldest first.
    pub(super) fn remember(&mut self, who: Spender, name: &str, unix_ms: u64, pico: u64) {
        let Some(rules) = self.rules else { return };
        if let Some(course) = self.course(&rules, who, name, unix_ms) {
            course.remember(&rules, unix_ms, pico);
        }
    }
}

/// The first window that is not forgotten yet.
fn oldest_window(rules: &SpendSpikes, unix_ms: u64) -> u64 {
    let window_ms = whole_ms(rules.window).max(PIECES);
    (unix_ms / window_ms).saturating_sub(whole_ms(rules.history) / window_ms)
}

/// Forgets a quarter: those whose history is all too old, then those with the shortest, of which those that have
/// spent nothing for longest. So names that are made up push out each other, and nobody who has spent for days.
fn make_room(all: &mut HashMap<String, Course>, oldest: u64) {
    let rank = |course: &Course| {
        let last = course.last_window();
        (last >= oldest, course.windows.len(), last)
    };
    let mut ranked: Vec<_> = all.iter().map(|(name, course)| (rank(course), name.clone())).collect();
    ranked.sort_unstable();
    for (_, name) in ranked.into_iter().take(all.len().div_ceil(4)) {
        all.remove(&name);
    }
}

/// Adds to the last entry, or to a new one of that number. A clock that steps back loses nothing.
fn add_to(entries: &mut VecDeque<(u64, u64)>, number: u64, pico: u64) {
    match entries.back_mut() {
        Some((last, sum)) if *last >= number => *sum = sum.saturating_add(pico),
        _ => entries.push_back((number, pico)),
    }
}

impl Course {
    fn last_window(&self) -> u64 {
        self.windows.back().map_or(0, |(number, _)| *number)
    }

    fn add(&mut self, rules: &SpendSpikes, unix_ms: u64, pico: u64) {
        let window_ms = whole_ms(rules.window).max(PIECES);
        let (window, piece) = (unix_ms / window_ms, unix_ms / (window_ms / PIECES));
        if self.windows.is_empty() {
            self.first_window = window;
        }
        add_to(&mut self.windows, window, pico);
        add_to(&mut self.pieces, piece, pico);
        let oldest = oldest_window(rules, unix_ms);
        while self.windows.front().is_some_and(|(number, _)| *number < oldest) {
            self.windows.pop_front();
        }
        while self.pieces.front().is_some_and(|(number, _)| number.saturating_add(PIECES) <= piece) {
            self.pieces.pop_front();
        }
    }

    fn remember(&mut self, rules: &SpendSpikes, unix_ms: u64, pico: u64) {
        let window = unix_ms / whole_ms(rules.window).max(PIECES);
        if self.windows.is_empty() {
            self.first_window = window;
        }
        self.first_window = self.first_window.min(window);
        match self.windows.iter().position(|(number, _)| *number >= window) {
            Some(place) => match self.windows.get_mut(place) {
                Some((number, sum)) if *number == window => *sum = sum.saturating_add(pico),
                _ => self.windows.insert(place, (window, pico)),
            },
            None => self.windows.push_back((window, pico)),
        }
    }

    fn judge(&self, rules: &SpendSpikes, unix_ms: u64) -> Option<Spike> {
        let spent = self.pieces.iter().fold(0_u64, |sum, (_, pico)| sum.saturating_add(*pico));
        if spent < rules.minimum.max(1) {
            return None;
        }
        let window_ms = whole_ms(rules.window).max(PIECES);
        let window = unix_ms / window_ms;
        let all = whole_ms(rules.history) / window_ms;
        // A short history is known sooner.
        let needed = KNOWN_WINDOWS.min(all / 2).max(1);
        if window.saturating_sub(self.first_window) < needed {
            return None;
        }
        // The present reaches into the window before this one.
        let past = || self.windows.iter().filter(|(number, _)| number.saturating_add(1) < window);
        let (count, sum) = past().fold((0_u128, 0_u128), |(n, sum), (_, pico)| (n + 1, sum + u128::from(*pico)));
        let usual = u64::try_from(sum.checked_div(count)?).unwrap_or(u64::MAX);
        let highest = past().map(|(_, pico)| *pico).max()?;
        let bound = u128::from(usual) * u128::from(rules.factor_percent) / 100;
        (u128::from(spent) > bound && spent > highest).then_some(Spike { spent, usual, highest })
    }
}

#[cfg(test)]
mod tests;
