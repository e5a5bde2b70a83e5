//! Cohere's chat, version 2: <https://docs.cohere.com/v2/reference/chat>.
//!
//! Like chat's, with words of its own. Unknown members are refused with status 422. Shapes after the
//! SDK 7.3.1; what is peculiar, with the date it was seen (2026-11, recorded traffic):
//! - what a model says before its calls is `tool_plan`, a string beside the content; in streams it has
//!   deltas, but neither a beginning nor an end
//! - thinking is a block of the content, without a signature; it is on unless turned off
//! - a schema stands in `response_format: {type: json_object}`, which goes neither with tools nor with
//!   documents
//! - `strict_tools` holds for all tools; a choice is `REQUIRED`, `NONE` or not said
//! - citations point into the text of the answer and name tool results or documents as their sources
//! - usage counts `tokens`, and `billed_units`, which are fewer
//! - a failure in the middle is a `finish_reason`: `ERROR`, `TIMEOUT`
//! - not every stream ends in `[DONE]`

mod citation;
mod content;
pub mod error;
pub mod request;
pub mod response;
pub mod stream;
pub mod usage;
