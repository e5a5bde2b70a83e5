//! OpenAI Responses.

use super::{Eye, Verdict};

impl Eye {
    pub(super) fn responses(&mut self, _name: &str, _data: &str) -> Verdict {
        Verdict::Begun
    }
}
