//! The checkers of streams, one a client's format: those that the formats' own tests use.

use serde_json::Value;
use weir::wire::Dialect;

#[path = "../../src/wire/openai_chat/stream/grammar.rs"]
pub(crate) mod chat;
#[path = "../../src/wire/gemini/stream/grammar.rs"]
pub(crate) mod contents;
#[path = "../../src/wire/responses/stream/grammar.rs"]
pub(crate) mod items;
#[path = "../../src/wire/anthropic/stream/grammar.rs"]
pub(crate) mod messages;

/// The answer that a stream for a client of this format holds, or the error that ended it. Panics on
/// a breach of the format's grammar.
pub(crate) fn assemble(client: Dialect, sse: &str) -> Value {
    match client {
        Dialect::OpenAiChat => chat::assemble(sse),
        Dialect::Anthropic => messages::assemble(sse),
        Dialect::Responses => items::assemble(sse),
        Dialect::Gemini => contents::assemble(sse),
        Dialect::Converse | Dialect::Cohere => panic!("no client speaks {}", client.as_str()),
    }
}
