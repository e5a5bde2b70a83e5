//! A text that comes in pieces: what is decided passes on, the rest is held back.
//!
//! At most as much is held back as the longest thing that a guard looks for, and what could follow it: a word
//! or a number as a rule, a private key at worst.

use super::escaping::Plain;
use super::watch::{Progress, Watch};

/// Some of what has passed is kept, for what looks at what stands before.
const CONTEXT_BYTES: usize = 128;
/// It is dropped in portions.
const PORTION_BYTES: usize = 4096;

/// See the module documentation.
#[derive(Clone, Default)]
pub struct Window {
    held: String,
    progress: Progress,
    /// Of JSON.
    escapes: Option<Plain>,
}

impl std::fmt::Debug for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Window {
    /// For JSON, which stays JSON: see [`Watch::whole_json`].
    pub fn of_json() -> Self {
        Self { held: String::new(), progress: Progress::of_json(), escapes: Some(Plain::default()) }
    }

    /// Takes a piece, appends what may pass on. `Some`: that guard blocks.
    pub fn push(&mut self, piece: &str, watch: &mut Watch, out: &mut String) -> Option<usize> {
        if piece.is_empty() {
            return None;
        }
        match &mut self.escapes {
            Some(escapes) => escapes.push(piece, &mut self.held),
            None => self.held.push_str(piece),
        }
        let blocked = watch.step(&self.held, false, &mut self.progress, out);
        let settled = self.progress.settled().saturating_sub(CONTEXT_BYTES);
        if settled > PORTION_BYTES {
            let passed = self.held.floor_char_boundary(settled);
            self.held.drain(..passed);
            self.progress.shift(passed);
        }
        blocked
    }

    /// The text has ended; the window is as new.
    pub fn finish(&mut self, watch: &mut Watch, out: &mut String) -> Option<usize> {
        let Self { mut held, mut progress, escapes } = std::mem::take(self);
        if let Some(mut escapes) = escapes {
            escapes.finish(&mut held);
        }
        watch.step(&held, true, &mut progress, out)
    }
}
