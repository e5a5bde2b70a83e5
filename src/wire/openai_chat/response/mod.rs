//! Whole answers.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub(super) use encode::{annotation, known_tier, nests_member};
