//! Streamed answers of this format: <https://platform.openai.com/docs/api-reference/responses-streaming>.
//!
//! Seen 2026-11: every item and part is opened and closed, and what a `done` event closes it repeats
//! whole; open servers send only the deltas, or only the `done` events, or only the last one; thoughts
//! come as a summary or as `reasoning_text`; what proves a thought stands in its item's `done`; some
//! servers send `[DONE]` after the end.

mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
pub(crate) mod grammar;
#[cfg(test)]
mod tests;
