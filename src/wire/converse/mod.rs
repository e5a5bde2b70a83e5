//! Amazon Bedrock's Converse: <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>.

pub mod error;
pub mod request;
pub mod response;
pub mod stream;
pub mod usage;
