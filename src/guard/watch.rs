//! The guards of one request, and what they have masked so far.

use std::borrow::Cow;
use std::sync::Arc;

use super::detect::{Detectors, Hit, Seen};
use super::escaping::{self, Plain, Strings};
use super::text::{Runs, Text, Verdict as At};
use super::vault::{Vault, placeholder_at};
use super::{Action, Board, Kind};

/// A guard, as far as it looks at texts itself.
#[derive(Debug, Clone)]
pub struct Guard {
    pub name: String,
    pub detectors: Detectors,
    pub action: Action,
    pub on_input: bool,
    pub on_output: bool,
    /// What a client is told where it blocks.
    pub message: String,
}

/// Which way a text goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Input,
    Output,
}

/// What becomes of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes as it is.
    Same,
    /// This passes in its place.
    Changed(String),
    /// Nothing does; by which guard.
    Blocked(usize),
}

/// See the module documentation.
#[derive(Debug, Clone)]
pub struct Watch {
    guards: Arc<[Arc<Guard>]>,
    pub(super) board: Arc<Board>,
    vault: Vault,
    /// What the request's placeholders stand for, undone in the answer.
    hidden: Option<Arc<Vault>>,
    side: Side,
    /// The text is of whoever runs the application.
    trusts: bool,
}

/// How far one text has been looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Of each guard, and up to where its hits were counted.
    seen: Vec<(Seen, usize)>,
    /// Placeholders are known up to there.
    placeholders: usize,
    /// Found by one guard where another still waits.
    pending: Vec<Found>,
    /// What has been passed on.
    sent: usize,
    /// Of JSON: where strings begin and end.
    json: Option<Strings>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
    /// None: a placeholder, to be undone.
    by: Option<(usize, Kind)>,
}

impl Progress {
    pub(super) fn of_json() -> Self {
        Self { json: Some(Strings::default()), ..Self::default() }
    }

    /// Passes on what stands before that place.
    fn pass(&mut self, text: &str, until: usize, out: &mut String) {
        if let Some(passed) = text.get(self.sent..until) {
            out.push_str(passed);
            self.skip(text, until);
        }
    }

    /// Goes on there, whatever passes in place of what stood between.
    fn skip(&mut self, text: &str, until: usize) {
        let passed = text.as_bytes().get(self.sent..until).unwrap_or_default();
        if let Some(strings) = &mut self.json {
            strings.read(passed);
        }
        self.sent = self.sent.max(until);
    }

    /// What is still to be looked at begins there.
    pub(super) fn settled(&self) -> usize {
        let seen = self.seen.iter().map(|(seen, _)| seen.decided).min();
        self.sent.min(self.placeholders).min(seen.unwrap_or(self.sent))
    }

    /// The text lost so many bytes at its beginning.
    pub(super) fn shift(&mut self, by: usize) {
        for (seen, counted) in &mut self.seen {
            for place in [&mut seen.decided, &mut seen.patterns, counted] {
                *place = place.saturating_sub(by);
            }
        }
        for found in &mut self.pending {
            (found.start, found.end) = (found.start.saturating_sub(by), found.end.saturating_sub(by));
        }
        self.placeholders = self.placeholders.saturating_sub(by);
        self.sent = self.sent.saturating_sub(by);
    }
}

impl Watch {
    /// For a request.
    pub fn new(guards: Arc<[Arc<Guard>]>) -> Self {
        let board = Arc::new(Board::new(guards.iter().map(|guard| (guard.name.as_str(), guard.action))));
        Self { guards, board, vault: Vault::default(), hidden: None, side: Side::Input, trusts: false }
    }

    /// For its answer.
    #[must_use]
    pub fn of_answer(&self) -> Self {
        let hidden = (!self.vault.is_empty()).then(|| Arc::new(self.vault.clone()));
        Self { hidden, side: Side::Output, ..self.clone() }
    }

    /// For an answer that nobody looks at: only the placeholders are undone.
    #[must_use]
    pub fn restoring(&self) -> Self {
        Self { guards: Arc::new([]), ..self.of_answer() }
    }

    /// See [`Vault::forget`].
    pub fn forget(&self, text: &str) -> String {
        self.vault.forget(text)
    }

    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    pub fn guard(&self, place: usize) -> Option<&Guard> {
        self.guards.get(place).map(|guard| &**guard)
    }

    /// What follows is of whoever runs the application: nobody is talked out of anything by it.
    pub fn trust(&mut self, trusts: bool) {
        self.trusts = trusts;
    }

    /// A text with placeholders in some places of it, which do not overlap.
    pub fn mask(&mut self, text: &str, places: &[std::ops::Range<usize>]) -> String {
        let (mut out, mut at) = (String::with_capacity(text.len()), 0);
        for place in places {
            let Some((before, value)) = text.get(at..place.start).zip(text.get(place.clone())) else { continue };
            out.push_str(before);
            out.push_str(&self.vault.placeholder(Kind::External, value));
            at = place.end;
        }
        out.push_str(text.get(at..).unwrap_or_default());
        out
    }

    /// Placeholders that stand in the request itself are not given out.
    pub fn avoid(&mut self, text: &str) {
        self.vault.avoid(text);
    }

    /// Whether anything is looked for on its side, or has to be undone.
    pub fn is_needed(&self) -> bool {
        self.hidden.is_some() || self.guards.iter().any(|guard| self.looks(guard) && !guard.detectors.is_empty())
    }

    /// Whether a text may come out other than it is, beyond what was masked here.
    pub fn takes_away(&self) -> bool {
        self.guards.iter().any(|guard| self.looks(guard) && guard.action >= Action::Mask)
    }

    fn looks(&self, guard: &Guard) -> bool {
        match self.side {
            Side::Input => guard.on_input,
            Side::Output => guard.on_output,
        }
    }

    /// A text that is there as a whole.
    pub fn whole(&mut self, text: &str) -> Verdict {
        self.decide(text, Progress::default())
    }

    /// The same of JSON, which stays JSON: what stands outside of strings becomes one.
    pub fn whole_json(&mut self, text: &str) -> Verdict {
        let mut plain = String::with_capacity(text.len());
        let mut escapes = Plain::default();
        escapes.push(text, &mut plain);
        escapes.finish(&mut plain);
        self.decide(&plain, Progress::of_json())
    }

    fn decide(&mut self, text: &str, mut progress: Progress) -> Verdict {
        let mut out = String::new();
        match self.step(text, true, &mut progress, &mut out) {
            Some(guard) => Verdict::Blocked(guard),
            None if out == text => Verdict::Same,
            None => Verdict::Changed(out),
        }
    }

    /// Appends as much as is decided; says which guard blocks, if one does: nothing of what it found, and
    /// nothing behind that, is in `out`.
    pub(super) fn step(
        &mut self,
        text: &str,
        is_final: bool,
        progress: &mut Progress,
        out: &mut String,
    ) -> Option<usize> {
        let guards = Arc::clone(&self.guards);
        progress.seen.resize(guards.len(), (Seen::default(), 0));
        let mut until = self.placeholders(text, is_final, progress);
        let Progress { seen, pending, .. } = progress;
        for ((place, guard), (seen, _)) in guards.iter().enumerate().zip(seen) {
            if !self.looks(guard) {
                seen.decided = text.len();
                continue;
            }
            let hits = self.hits(guard, (text, is_final), seen);
            pending.extend(hits.into_iter().map(|h| Found { start: h.start, end: h.end, by: Some((place, h.kind)) }));
            until = until.min(seen.decided);
        }
        pending.sort_by_key(|found| (found.start, found.by.map(|(guard, _)| guard), std::cmp::Reverse(found.end)));
        let ready = pending.partition_point(|found| found.start < until);
        for found in pending.drain(..ready).collect::<Vec<_>>() {
            if let Some(guard) = self.take(text, found, progress, out) {
                return Some(guard);
            }
        }
        progress.pass(text, until, out);
        None
    }

    /// Does what is to be done about one thing that was found.
    fn take(&mut self, text: &str, found: Found, progress: &mut Progress, out: &mut String) -> Option<usize> {
        let Some((place, kind)) = found.by else {
            let value = self.hidden.as_ref().zip(text.get(found.start..found.end));
            if let Some(value) = value.and_then(|(hidden, seen)| hidden.value(seen))
                && found.start >= progress.sent
            {
                progress.pass(text, found.start, out);
                match progress.json {
                    Some(_) => escaping::escape(value, out),
                    None => out.push_str(value),
                }
                progress.skip(text, found.end);
            }
            return None;
        };
        let (_, counted) = progress.seen.get_mut(place)?;
        // What lies in another hit of the same guard is none of its own.
        if found.end <= *counted {
            return None;
        }
        *counted = found.end;
        self.board.count(place, kind);
        let start = found.start.max(progress.sent);
        match self.guards.get(place)?.action {
            Action::Allow | Action::Flag => {}
            Action::Block => {
                progress.pass(text, start, out);
                return Some(place);
            }
            Action::Mask if start < found.end => {
                progress.pass(text, start, out);
                let value = text.get(start..found.end).unwrap_or_default();
                let (value, quote) = match progress.json {
                    Some(strings) => (escaping::unescape(value), if strings.inside() { "" } else { "\"" }),
                    None => (Cow::Borrowed(value), ""),
                };
                let placeholder = self.vault.placeholder(kind, &value);
                out.extend([quote, &placeholder, quote]);
                progress.skip(text, found.end);
            }
            Action::Mask => {}
        }
        None
    }

    fn hits(&self, guard: &Guard, (text, is_final): (&str, bool), seen: &mut Seen) -> Vec<Hit> {
        if is_final && !self.trusts && seen.decided == 0 && guard.detectors.needs_whole() {
            seen.decided = text.len();
            return guard.detectors.all(text);
        }
        let mut hits = Vec::new();
        guard.detectors.find(text, is_final, seen, &mut hits);
        hits.sort_by_key(|hit| (hit.start, std::cmp::Reverse(hit.end)));
        hits
    }

    /// Finds what has to be undone; says up to where that is known.
    fn placeholders(&self, text: &str, is_final: bool, progress: &mut Progress) -> usize {
        let Some(hidden) = &self.hidden else {
            progress.placeholders = text.len();
            return text.len();
        };
        let runs = Runs::default();
        let bytes = Text::new(text, is_final, &runs);
        let from = progress.placeholders;
        for place in memchr::memchr_iter(b'[', bytes.from(from)).map(|at| from + at) {
            match placeholder_at(bytes, place) {
                At::More => {
                    progress.placeholders = place;
                    return place;
                }
                At::Hit(end) if text.get(place..end).is_some_and(|seen| hidden.value(seen).is_some()) => {
                    progress.pending.push(Found { start: place, end, by: None });
                }
                _ => {}
            }
        }
        progress.placeholders = text.len();
        text.len()
    }
}
