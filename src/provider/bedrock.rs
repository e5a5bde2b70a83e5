//! Amazon Bedrock: the models of many authors behind one API, and Claude in Anthropic's own format too.
//!
//! Claude is asked by Anthropic clients through InvokeModel, whose body is Anthropic's
//! (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html>):
//! the client's bytes stay. Everything else goes through Converse, also Claude behind the ARN of an
//! inference profile, which does not tell whose model it is.
//!
//! Usage: of Converse in `usage`, behind the end of a stream; `inputTokens` excludes cache reads and
//! writes. Of InvokeModel as Anthropic has it.
//!
//! Quirks:
//! - requests are signed (Signature Version 4, service `bedrock`), or carry a Bedrock API key as a
//!   bearer token
//! - the model and whether to stream are said by the path, where `:` is `%3A`
//! - newer models answer only by an inference profile (`eu.anthropic.claude-...`): the model alone is
//!   refused with status 400 (bedrock-converse-398d7f6e9b15)
//! - streams are Amazon's binary event stream; InvokeModel's has Anthropic's events in it
//! - errors are `{"message"}`, their kind is in the header `x-amzn-errortype`
//!   (bedrock-converse-2090966a6f76); a model that does not exist is a `ValidationException`
//! - InvokeModel takes betas in the body and refuses a request for one it does not know with `invalid
//!   beta flag` (reported until 2026-08)
//! - CountTokens counts for base models only, not for inference profiles
//!   (bedrock-count_tokens-7822d6c17803): tokens are counted here
//! - Llama refuses forced calls, OpenAI's models and Qwen refuse `stopSequences` (reported until 2025-09)
//! - its OpenAI-compatible addresses are not this kind's: `bedrock-runtime` has few models there and
//!   leaves their thinking in the text, `bedrock-mantle` is another host and another service, served
//!   by `kind: openai-compatible` with its address and a Bedrock API key

use super::{Api, Auth, Edits, Embeddings, Paths, Provider, Rerank};
use crate::wire::embeddings::Shape;
use crate::wire::frames::Framing;
use crate::wire::{Dialect, Quirks, rerank};

/// The betas that InvokeModel takes: Amazon's list, and what was seen to work beside it (2026-08).
pub const BETAS: &[&str] = &[
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "interleaved-thinking-2025-05-14",
    "output-128k-2025-02-19",
    "structured-outputs-2025-12-15",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];

const CONVERSE: Api = Api {
    dialect: Dialect::Converse,
    path: "/model/{model}/converse",
    stream_path: Some("/model/{model}/converse-stream"),
    framing: Framing::EventStream,
    ..Api::CHAT
};

const INVOKE: Api = Api {
    path: "/model/{model}/invoke",
    stream_path: Some("/model/{model}/invoke-with-response-stream"),
    framing: Framing::InvokeStream,
    edits: Edits::AnthropicBedrock,
    serves: is_claude,
    ..Api::MESSAGES
};

/// Each maker's models have a body of their own.
const fn embeds(shape: Shape, serves: fn(&str) -> bool) -> Embeddings {
    Embeddings { shape, path: INVOKE.path, serves }
}

pub static PROVIDER: Provider = Provider {
    kind: "bedrock",
    title: "Amazon Bedrock",
    apis: &[CONVERSE, INVOKE],
    base_url: Some("https://bedrock-runtime.{region}.amazonaws.com"),
    paths: Paths {
        count_tokens: None,
        completions: None,
        embeddings: &[
            embeds(Shape::CohereBedrock, |model| model.contains("cohere.embed")),
            embeds(Shape::Titan, |model| model.contains("amazon.titan-embed")),
            embeds(Shape::Nova, |model| model.contains("amazon.nova") && model.contains("embed")),
        ],
        rerank: Some(Rerank { shape: rerank::Shape::CohereBedrock, path: INVOKE.path }),
        models: None,
        passes: &[],
    },
    auth: Auth::SigV4("bedrock"),
    env: &["AWS_BEARER_TOKEN_BEDROCK"],
    key_optional: false,
    quirks: Quirks::NONE,
    http2: true,
    catalogue: "bedrock",
    docs_url: "https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html",
};

/// `anthropic.claude-...`, also by a profile of several regions (`us-gov.anthropic.claude-...`).
fn is_claude(model: &str) -> bool {
    let regions = |before: &str| before.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
    match model.split_once("anthropic.claude") {
        Some(("", _)) => true,
        Some((before, _)) => before.strip_suffix('.').is_some_and(regions),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claude_is_told_by_its_name() {
        for model in [
            "anthropic.claude-3-haiku-20240307-v1:0",
            "us.anthropic.claude-opus-4-8",
            "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0",
            "global.anthropic.claude-opus-5",
        ] {
            assert!(is_claude(model), "{model}");
            assert_eq!(PROVIDER.api(Dialect::Anthropic, model).map(|api| api.path), Some(INVOKE.path));
            assert_eq!(PROVIDER.api(Dialect::OpenAiChat, model).map(|api| api.path), Some(CONVERSE.path));
        }
        for model in [
            "amazon.nova-pro-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-3-7-sonnet-20250219-v1:0",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/1arbu5hu2sjr",
        ] {
            assert!(!is_claude(model), "{model}");
            assert_eq!(PROVIDER.api(Dialect::Anthropic, model).map(|api| api.path), Some(CONVERSE.path));
        }
    }
}
