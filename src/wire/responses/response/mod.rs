//! Whole answers: <https://platform.openai.com/docs/api-reference/responses/object>.

mod decode;
mod encode;
pub(super) mod item;
#[cfg(test)]
mod tests;

pub(super) use decode::{Item, call_id, name, parts_of, stop_of, thought};
pub use decode::{decode, is_unfinished};
pub use encode::encode;
pub(super) use encode::{Head, Status, is_at_limit, is_cut, status_of};
