//! A request of this format: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

mod decode;
mod encode;
mod extra;
mod source;
mod turns;

pub use decode::decode;
pub use encode::encode;
pub(super) use turns::encode_arguments;
