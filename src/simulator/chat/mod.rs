//! OpenAI Chat Completions as a server speaks it:
//! <https://platform.openai.com/docs/api-reference/chat>. Reasoning text is `reasoning_content`, as
//! DeepSeek, vLLM and others send it (seen 2026-11).

mod answer;
mod request;
mod stream;

pub(super) use answer::{usage, whole};
pub(super) use request::read;
pub(super) use stream::{DONE, data, frames};

/// Seconds since 1970 in every answer: a clock would make answers differ.
pub(super) const CREATED: u64 = 1_767_225_600;
