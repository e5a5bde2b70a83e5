//! Anthropic Messages as a server speaks it: <https://docs.anthropic.com/en/api/messages>,
//! streaming: <https://docs.anthropic.com/en/docs/build-with-claude/streaming>.

mod answer;
mod request;
mod stream;

pub(super) use answer::whole;
pub(super) use request::{read, read_count};
pub(super) use stream::{error_event, frames};
