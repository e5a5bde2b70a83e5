//! Conversations stay where their prompt cache is.
//!
//! A provider that has just read a long prompt reads it again for a tenth of the price, but only at
//! the endpoint that has it. So [`key`] says which conversation a request belongs to, and [`order`]
//! gives every conversation a place of its own among the endpoints. Nothing is stored: any replica
//! comes to the same answer, also after a restart.

mod hash;
mod key;
mod order;

pub use key::{Conversation, Source, key};
pub use order::{Member, id, order, scattered};

#[cfg(test)]
mod tests;
