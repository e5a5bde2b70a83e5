//! OpenAI Responses: <https://platform.openai.com/docs/api-reference/responses>.
//!
//! What is peculiar, with the date it was seen (2026-11, SDK 3.54 types and recorded traffic):
//! - a conversation is a flat list of items: messages, calls, results, reasoning; consecutive items of
//!   the model's are one turn here;
//! - reasoning comes back as an item with `encrypted_content` if `include` asks for it, which it has
//!   to where nothing is stored; the item's id goes back with it;
//! - functions are `strict` unless they say otherwise; a call is named by `call_id`, its item has an
//!   id of its own;
//! - `custom` tools take free text; `namespace` tools (Codex) hold functions, and the calls of those
//!   say which namespace they belong to;
//! - streams have a sequence number in every event, each item and part is opened and closed, and the
//!   last event holds the whole answer. Open servers leave events out; a stream may end with
//!   `response.failed`, `response.incomplete` or a bare `error`;
//! - `cache_write_tokens` is required in usage by the newest SDK.

pub mod error;
mod namespace;
pub mod request;
pub mod response;
pub mod stream;
pub mod usage;
