//! What is being asked for: method and path to an endpoint.

use std::borrow::Cow;

use http::{HeaderMap, Method};

use crate::error::{Error, Kind, Result};
use crate::wire::Dialect;
use crate::wire::embeddings::Shape;

/// Everything the public port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// `HEAD /`, `GET /status`: 200 without a key.
    Status,
    /// `POST /v1/chat/completions`
    Chat,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1beta/models/{model}:generateContent`, or `:streamGenerateContent`
    Generate,
    /// `POST /v1beta/models/{model}:countTokens`
    GenerateCount,
    /// `POST /v1/messages/count_tokens`
    MessagesCount,
    /// `POST /v1/count_tokens`: any format, counted here.
    Count,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1beta/models/{model}:embedContent`
    Embed,
    /// `POST /v1beta/models/{model}:batchEmbedContents`
    EmbedMany,
    /// `POST /v1/rerank`
    Rerank,
    /// `GET /v1/models`
    Models,
    /// `GET /v1/models/{id}`
    Model,
    /// `GET /v1/limits`
    Limits,
    /// Passed to a provider as it is: images, audio, moderations.
    Pass,
}

impl Endpoint {
    /// The `format` of records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Chat => "chat",
            Self::Messages => "messages",
            Self::Responses => "responses",
            Self::Generate => "gemini",
            Self::MessagesCount | Self::GenerateCount | Self::Count => "count_tokens",
            Self::Completions => "completions",
            Self::Embeddings | Self::Embed | Self::EmbedMany => "embeddings",
            Self::Rerank => "rerank",
            Self::Models | Self::Model => "models",
            Self::Limits => "limits",
            Self::Pass => "pass",
        }
    }

    /// The format of its errors.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::MessagesCount => Dialect::Anthropic,
            Self::Responses => Dialect::Responses,
            Self::Generate | Self::GenerateCount | Self::Embed | Self::EmbedMany => Dialect::Gemini,
            _ => Dialect::OpenAiChat,
        }
    }

    /// The format of the generation request, where it is one.
    pub const fn generation(self) -> Option<Dialect> {
        match self {
            Self::Chat => Some(Dialect::OpenAiChat),
            Self::Messages => Some(Dialect::Anthropic),
            Self::Responses => Some(Dialect::Responses),
            Self::Generate => Some(Dialect::Gemini),
            _ => None,
        }
    }

    /// The shape of the request for embeddings, where it is one.
    pub const fn embeddings(self) -> Option<Shape> {
        match self {
            Self::Embeddings => Some(Shape::OpenAi),
            Self::Embed => Some(Shape::GeminiOne),
            Self::EmbedMany => Some(Shape::GeminiMany),
            _ => None,
        }
    }
}

/// Finds the endpoint. SDKs differ in whether their base URL ends in `/v1`, so that part may be
/// there once or not at all.
pub fn accept(method: &Method, path: &str) -> Result<Endpoint> {
    let below = unversioned(path);
    let below = if below.len() > 1 { below.strip_suffix('/').unwrap_or(below) } else { below };
    let (endpoint, allowed) = match below {
        "/" | "" => (Endpoint::Status, [Method::HEAD, Method::GET]),
        "/status" => (Endpoint::Status, [Method::GET, Method::HEAD]),
        "/chat/completions" => (Endpoint::Chat, [Method::POST, Method::POST]),
        "/responses" => (Endpoint::Responses, [Method::POST, Method::POST]),
        "/messages" => (Endpoint::Messages, [Method::POST, Method::POST]),
        "/messages/count_tokens" => (Endpoint::MessagesCount, [Method::POST, Method::POST]),
        "/count_tokens" => (Endpoint::Count, [Method::POST, Method::POST]),
        "/completions" => (Endpoint::Completions, [Method::POST, Method::POST]),
        "/embeddings" => (Endpoint::Embeddings, [Method::POST, Method::POST]),
        "/models" => (Endpoint::Models, [Method::GET, Method::HEAD]),
        "/limits" => (Endpoint::Limits, [Method::GET, Method::HEAD]),
        // Cohere's clients say the version of their own.
        "/rerank" | "/v2/rerank" => (Endpoint::Rerank, [Method::POST, Method::POST]),
        "/moderations" => (Endpoint::Pass, [Method::POST, Method::POST]),
        _ if gemini_call(below).is_some() => {
            let endpoint = match gemini_call(below).map_or("", |call| call.verb) {
                "countTokens" => Endpoint::GenerateCount,
                "embedContent" => Endpoint::Embed,
                "batchEmbedContents" => Endpoint::EmbedMany,
                _ => Endpoint::Generate,
            };
            (endpoint, [Method::POST, Method::POST])
        }
        _ if below.starts_with("/models/") => (Endpoint::Model, [Method::GET, Method::HEAD]),
        _ if below.starts_with("/images/") || below.starts_with("/audio/") => {
            (Endpoint::Pass, [Method::POST, Method::POST])
        }
        _ => return Err(Error::new(Kind::UnknownUrl, format!("unknown request URL: {method} {}", shown(path)))),
    };
    if allowed.contains(method) {
        Ok(endpoint)
    } else {
        let message = format!("{method} is not allowed on {}, use {}", shown(path), allowed.first().unwrap_or(method));
        Err(Error::new(Kind::MethodNotAllowed, message))
    }
}

fn unversioned(path: &str) -> &str {
    match ["/v1beta", "/v1"].iter().find_map(|version| path.strip_prefix(version)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

/// What a Gemini path says: `.../models/{model}:{verb}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeminiCall<'p> {
    pub model: Cow<'p, str>,
    pub verb: &'p str,
}

/// Reads a path of Gemini's; models have slashes and colons of their own. Where the model has a slash,
/// the Vercel AI SDK leaves `models/` out.
pub fn gemini_call(path: &str) -> Option<GeminiCall<'_>> {
    let bare = || unversioned(path).strip_prefix('/').filter(|call| call.contains('/'));
    let call = path.split_once("/models/").map(|(_, call)| call).or_else(bare)?;
    let (model, verb) = call.rsplit_once(':')?;
    const VERBS: [&str; 5] =
        ["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];
    let known = VERBS.contains(&verb);
    (known && !model.is_empty()).then(|| GeminiCall { model: percent_decode(model), verb })
}

/// The id at the end of `/v1/models/{id}`; ids have slashes of their own, escaped or not.
pub fn model_id(path: &str) -> Cow<'_, str> {
    let id = path.split_once("/models/").map_or("", |(_, id)| id);
    percent_decode(id)
}

/// Undoes percent-encoding; what is not valid UTF-8 afterwards stays as it was.
pub(super) fn percent_decode(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// A path as an error may repeat it: short, and never its query (which may hold a key).
fn shown(path: &str) -> &str {
    let end = path.char_indices().nth(100).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

/// The format of lists, and of errors on a path nobody knows: Anthropic's SDKs say which version they
/// speak, Google's have a version and a header of their own.
pub fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    match () {
        () if headers.contains_key("anthropic-version") => Dialect::Anthropic,
        () if path.starts_with("/v1beta") || headers.contains_key("x-goog-api-key") => Dialect::Gemini,
        () => Dialect::OpenAiChat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_with_and_without_v1() {
        for (path, endpoint) in [
            ("/v1/chat/completions", Endpoint::Chat),
            ("/chat/completions/", Endpoint::Chat),
            ("/v1/messages", Endpoint::Messages),
            ("/v1/messages/count_tokens", Endpoint::MessagesCount),
            ("/v1/images/generations", Endpoint::Pass),
            ("/v1/rerank", Endpoint::Rerank),
            ("/v2/rerank", Endpoint::Rerank),
        ] {
            assert_eq!(accept(&Method::POST, path).unwrap(), endpoint, "{path}");
        }
        assert_eq!(accept(&Method::GET, "/v1/models/openai%2Fgpt-5").unwrap(), Endpoint::Model);
        assert_eq!(accept(&Method::HEAD, "/").unwrap(), Endpoint::Status);
        assert_eq!(accept(&Method::GET, "/v1/chat/completions").unwrap_err().kind(), Kind::MethodNotAllowed);
        for path in ["/v1x/chat/completions", "/v2/messages", "/admin", "/metrics", "/v1/files/../x"] {
            assert_eq!(accept(&Method::POST, path).unwrap_err().kind(), Kind::UnknownUrl, "{path}");
        }
    }

    #[test]
    fn gemini_says_model_and_verb_in_the_path() {
        for (path, endpoint) in [
            ("/v1beta/models/gemini-2.5-flash:generateContent", Endpoint::Generate),
            ("/v1/models/openai/gpt-5:streamGenerateContent", Endpoint::Generate),
            ("/v1beta/openai/gpt-5:streamGenerateContent", Endpoint::Generate),
            ("/v1beta/models/a%2Fb:free:countTokens", Endpoint::GenerateCount),
            ("/v1beta/models/gemini-embedding-001:embedContent", Endpoint::Embed),
            ("/v1/models/openai/text-embedding-3-small:batchEmbedContents", Endpoint::EmbedMany),
        ] {
            assert_eq!(accept(&Method::POST, path).unwrap(), endpoint, "{path}");
        }
        assert_eq!(gemini_call("/v1beta/models/a%2Fb:free:countTokens").unwrap().model, "a/b:free");
        assert_eq!(gemini_call("/v1beta/openai/gpt-5:generateContent").unwrap().model, "openai/gpt-5");
        assert_eq!(gemini_call("/v1beta/gpt-5:generateContent"), None);
        assert_eq!(accept(&Method::GET, "/v1beta/models/gemini-2.5-flash").unwrap(), Endpoint::Model);
        assert_eq!(accept(&Method::POST, "/v1beta/models/x:sing").unwrap_err().kind(), Kind::MethodNotAllowed);
        let mut headers = HeaderMap::new();
        assert_eq!(dialect_of("/v1beta/models", &headers), Dialect::Gemini);
        assert_eq!(dialect_of("/v1/models", &headers), Dialect::OpenAiChat);
        headers.insert("x-goog-api-key", http::HeaderValue::from_static("k"));
        assert_eq!(dialect_of("/v1/models", &headers), Dialect::Gemini);
    }

    #[test]
    fn model_ids_keep_their_slashes() {
        assert_eq!(model_id("/v1/models/openai/gpt-5"), "openai/gpt-5");
        assert_eq!(model_id("/v1/models/openai%2Fgpt-5"), "openai/gpt-5");
        assert_eq!(model_id("/v1/models/a%zz"), "a%zz");
    }
}
