//! Amazon Bedrock's Converse: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.
//!
//! One format for the models of many authors. Model and streaming are said in the path, not in the
//! body; answers name neither an id nor a model. Blocks of content have no `type`: the one member they
//! have says what they are. Shapes after the service model of botocore 1.43.11.
//!
//! Quirks (seen 2026-11):
//! - blocks of text and reasoning begin without a `contentBlockStart`; usage comes in `metadata`,
//!   behind `messageStop`
//! - what only some models take stands in `additionalModelRequestFields`, in the author's own words
//! - Nova calls its own tools (`type: server_tool_use`) and gives their results in the answer

mod block;
mod citation;
pub mod error;
mod media;
mod model;
pub mod request;
pub mod response;
pub mod stream;
pub mod usage;
