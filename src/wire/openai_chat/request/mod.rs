//! Requests.

mod custom;
mod decode;
mod encode;
mod media_out;
mod message_in;
mod message_out;
mod options_out;
pub(in crate::wire) mod quiet;
pub(in crate::wire) mod strict;
#[cfg(test)]
mod tests;
pub(in crate::wire) mod thinker;

pub use decode::decode;
pub use encode::encode;
pub(in crate::wire) use encode::with_properties;
pub(in crate::wire) use options_out::{RETENTION, is_retention, opaque_user};
