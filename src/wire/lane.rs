//! How a body gets to its target.

use super::Dialect;

/// See `DESIGN.md`, section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The bytes as they are.
    Pass,
    /// The bytes with edited top-level members.
    Splice,
    /// Decoded and encoded again.
    Translate,
}

/// What the choice depends on.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub client: Dialect,
    pub upstream: Dialect,
    /// Some top-level member has to change.
    pub edits: bool,
    /// The body may hold what has to change and only translation looks deep enough for
    /// ([`Bridge::may_change`](super::bridge::Bridge::may_change)): state that was sealed here for another
    /// upstream, or what the model cannot do.
    pub reshape: bool,
}

impl Lane {
    /// The one place where the lane is chosen.
    pub const fn choose(way: Way) -> Self {
        // Dialects are compared by discriminant: `==` is not const.
        match (way.client as u8 == way.upstream as u8, way.reshape, way.edits) {
            (false, _, _) | (_, true, _) => Self::Translate,
            (true, false, true) => Self::Splice,
            (true, false, false) => Self::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Anthropic, OpenAiChat};

    #[test]
    fn only_the_same_format_keeps_its_bytes() {
        let lane = |client, upstream, edits, reshape| Lane::choose(Way { client, upstream, edits, reshape });
        assert_eq!(lane(OpenAiChat, OpenAiChat, false, false), Lane::Pass);
        assert_eq!(lane(Anthropic, Anthropic, true, false), Lane::Splice);
        assert_eq!(lane(Anthropic, Anthropic, false, true), Lane::Translate);
        assert_eq!(lane(OpenAiChat, Anthropic, false, false), Lane::Translate);
        assert_eq!(lane(Anthropic, OpenAiChat, true, true), Lane::Translate);
    }
}
