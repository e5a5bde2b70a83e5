//! Streamed answers of this format:
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>.
//!
//! Seen 2026-11: `ping` comes anywhere; result blocks of server tools come whole in
//! `content_block_start`; a call without arguments streams one empty fragment; the usage of
//! `message_delta` may repeat all counts, corrected, or the output only; a refusal may have no block
//! at all; some servers send `message_start` twice, or `[DONE]` after the end.

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
pub(crate) mod grammar;
#[cfg(test)]
mod tests;
