//! Anthropic Messages: <https://platform.claude.com/docs/en/api/messages>.
//!
//! What is peculiar, with the date it was seen (2026-11, SDK 2.12 types and recorded traffic):
//! - `input_tokens` leaves out what the prompt cache served or took; `message_start` holds a first
//!   count, `message_delta` corrects it: the later value of each member holds, nothing is added.
//! - Thinking blocks carry a signature and must come back byte-exact, first in their turn, when
//!   tools are used; a changed or unsigned one is refused.
//! - Text blocks without a visible character, a final assistant turn that ends in white space, a
//!   call without its result in the very next turn, and repeated call ids are refused with 400.
//! - Result blocks of server tools come whole in `content_block_start`; `tool_use` without
//!   arguments streams one empty fragment.
//! - Models after Claude 4.6 refuse `temperature`, `top_p` and `top_k`.
//! - `role: "system"` in mid-conversation is taken by few models and at few places; see
//!   [`request`] for what a request from another format gets instead.

mod block;
pub mod error;
pub mod request;
pub mod response;
pub mod stream;
pub(super) mod thinking;
pub mod usage;
