//! Whole answers.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

pub use decode::{broken, decode};
pub(in crate::wire) use encode::Source;
pub use encode::encode;
pub(in crate::wire) use encode::known_tier;
pub(super) use encode::{annotation, encode_image, nests_member};
