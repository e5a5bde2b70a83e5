//! Requests: <https://platform.openai.com/docs/api-reference/responses/create>.

mod decode;
mod encode;
mod items_in;
mod items_out;
#[cfg(test)]
mod tests;

pub use decode::decode;
pub use encode::encode;
pub(super) use items_in::proof;
pub(super) use items_out::is_as_it_came;
