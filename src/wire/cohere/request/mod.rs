//! A request of this format: <https://docs.cohere.com/v2/reference/chat>.

mod decode;
mod encode;
mod options;
mod turns;

pub use decode::decode;
pub use encode::encode;

#[cfg(test)]
mod tests;
