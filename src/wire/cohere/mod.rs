//! Cohere's chat, version 2: <https://docs.cohere.com/v2/reference/chat>.

pub mod error;
pub mod request;
pub mod response;
pub mod stream;
pub mod usage;
