//! Requests of this format: <https://platform.claude.com/docs/en/api/messages/create>.
//!
//! [`decode`] reads what clients send. [`encode`] writes for an upstream, in one of two ways:
//! - a request that came in this format goes out as it is: every member, block and role, in order,
//!   but for thinking that this gateway sealed for another upstream, which is left out;
//! - a request from another format is arranged so that it is accepted (`turns`, `options`), and what
//!   cannot be said is dropped by name.

mod decode;
mod encode;
mod options;
pub(in crate::wire) mod schema;
mod turns;

pub use decode::decode;
pub use encode::encode;
pub(in crate::wire) use options::{Conversation, Thought, Tuning, samples, tune};

#[cfg(test)]
mod tests;
