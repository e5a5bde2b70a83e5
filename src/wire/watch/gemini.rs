//! Gemini's `streamGenerateContent`.

use super::{Eye, Verdict};

impl Eye {
    pub(super) fn gemini(&mut self, _data: &str) -> Verdict {
        Verdict::Begun
    }
}
