//! Streamed answers: every event is an answer with the next parts.
//!
//! Seen 2026-11: no event says that the stream is over, its body just ends; `finishReason` may come
//! on more than one event; a signature may come on an empty text behind the answer. The official
//! SDKs break on comments (`: ping`), so none are written here: blank lines do no harm.

mod decode;
mod encode;
mod partial;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
pub(crate) mod grammar;
#[cfg(test)]
mod tests;
