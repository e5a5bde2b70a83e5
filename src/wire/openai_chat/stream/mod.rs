//! Streamed answers.

mod call;
mod decode;
mod encode;

pub use decode::Decoder;
pub use encode::Encoder;

#[cfg(test)]
pub(crate) mod grammar;
#[cfg(test)]
mod tests;
