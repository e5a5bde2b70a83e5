//! Google's `generateContent`: <https://ai.google.dev/api/generate-content>.
//!
//! What is peculiar, with the date it was seen (2026-11, recorded traffic and SDK types):
//! - model and streaming are said by the path. A stream is one JSON array unless `alt=sse` asks for
//!   server-sent events, whose lines then end in CRLF;
//! - members are taken in camelCase and in snake_case (JSON of protobuf), and one object where a list
//!   is due counts as a list of one;
//! - `thoughtSignature` stands on a thought, a call, a text or an empty text, and has to come back
//!   there. Gemini 3 refuses a step whose first call has none: for calls of other makers there is a
//!   value that says so (<https://ai.google.dev/gemini-api/docs/thought-signatures>);
//! - calls mostly have no `id`: results are matched by name and order;
//! - a call may be streamed: its name, then pieces of arguments by path, then an empty call;
//! - `finishReason` is `STOP` with calls too, comes on more than one chunk at times, and is a number
//!   where the client asked for such (`$alt=json;enum-encoding=int`);
//! - a blocked prompt has no candidates, only `promptFeedback`;
//! - thoughts are counted beside `candidatesTokenCount`, tool prompts beside `promptTokenCount`.

pub mod array;
pub mod error;
mod logprobs;
mod part;
pub mod request;
pub mod response;
mod schema;
pub mod stream;
pub mod usage;
