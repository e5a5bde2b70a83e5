//! What is being asked for: method and path to an endpoint.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, Method};

use crate::error::{Error, Kind, Result};
use crate::provider::Pass;
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
    /// `POST /v1/compress`: any format, answered here.
    Compress,
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
    /// `GET /v1/usage`
    Usage,
    /// `POST /mcp`, `GET /mcp`: tools, for clients of the Model Context Protocol.
    Mcp,
    /// Passed to a provider in its own format: images, audio, files, stored responses, ...
    Passed(Pass),
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
            Self::Compress => "compress",
            Self::Completions => "completions",
            Self::Embeddings | Self::Embed | Self::EmbedMany => "embeddings",
            Self::Rerank => "rerank",
            Self::Models | Self::Model => "models",
            Self::Limits => "limits",
            Self::Usage => "usage",
            Self::Mcp => "mcp",
            Self::Passed(pass) => pass.as_str(),
        }
    }

    /// The format of its errors.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::MessagesCount | Self::Passed(Pass::MessageBatches) => Dialect::Anthropic,
            Self::Responses | Self::Passed(Pass::Responses) => Dialect::Responses,
            Self::Generate | Self::GenerateCount | Self::Embed | Self::EmbedMany => Dialect::Gemini,
            _ => Dialect::OpenAiChat,
        }
    }

    /// Whether it is answered with a count of tokens, which costs nothing.
    pub const fn is_count(self) -> bool {
        matches!(self, Self::MessagesCount | Self::GenerateCount | Self::Count)
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
    let known = known(path).filter(|(endpoint, _)| {
        // A call that there is not is none of a model, whose name may have a colon too.
        *endpoint != Endpoint::Model || *method != Method::POST || !is_call(path)
    });
    let Some((endpoint, allowed)) = known else {
        return Err(Error::new(Kind::UnknownUrl, format!("unknown request URL: {method} {}", shown(path))));
    };
    if allowed.contains(method) {
        Ok(endpoint)
    } else {
        let message = format!("{method} is not allowed on {}, use {}", shown(path), allowed.first().unwrap_or(method));
        Err(Error::new(Kind::MethodNotAllowed, message))
    }
}

/// The methods of a path that there is, as the header `allow` has them.
pub fn allowed(path: &str) -> Option<String> {
    let (_, methods) = known(path)?;
    Some(methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
}

/// Whether the path is written as Gemini's are that ask something of a model.
fn is_call(path: &str) -> bool {
    path.starts_with("/v1beta/") && path.rsplit('/').next().is_some_and(|last| last.contains(':'))
}

fn known(path: &str) -> Option<(Endpoint, &'static [Method])> {
    let below = below(path);
    Some(match below {
        "/" | "" => (Endpoint::Status, HEAD),
        "/status" => (Endpoint::Status, GET),
        "/chat/completions" => (Endpoint::Chat, POST),
        "/responses" => (Endpoint::Responses, POST),
        "/messages" => (Endpoint::Messages, POST),
        "/messages/count_tokens" => (Endpoint::MessagesCount, POST),
        "/count_tokens" => (Endpoint::Count, POST),
        "/compress" => (Endpoint::Compress, POST),
        "/completions" => (Endpoint::Completions, POST),
        "/embeddings" => (Endpoint::Embeddings, POST),
        "/models" => (Endpoint::Models, GET),
        "/limits" => (Endpoint::Limits, GET),
        "/usage" => (Endpoint::Usage, GET),
        "/mcp" => (Endpoint::Mcp, POST_GET),
        // Cohere's clients say the version of their own.
        "/rerank" | "/v2/rerank" => (Endpoint::Rerank, POST),
        _ if gemini_call(below).is_some() => {
            let endpoint = match gemini_call(below).map_or("", |call| call.verb) {
                "countTokens" => Endpoint::GenerateCount,
                "embedContent" => Endpoint::Embed,
                "batchEmbedContents" => Endpoint::EmbedMany,
                _ => Endpoint::Generate,
            };
            (endpoint, POST)
        }
        _ if below.starts_with("/models/") => (Endpoint::Model, GET),
        _ => {
            let call = call(path)?;
            (Endpoint::Passed(call.pass), call.methods())
        }
    })
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const HEAD: &[Method] = &[Method::HEAD, Method::GET];
const POST: &[Method] = &[Method::POST];
const POST_GET: &[Method] = &[Method::POST, Method::GET];

/// The path without its version and without a slash at its end.
fn below(path: &str) -> &str {
    let below = unversioned(path);
    if below.len() > 1 { below.strip_suffix('/').unwrap_or(below) } else { below }
}

fn unversioned(path: &str) -> &str {
    match ["/v1beta", "/v1"].iter().find_map(|version| path.strip_prefix(version)) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => path,
    }
}

/// What the path of a request says that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call<'p> {
    pub pass: Pass,
    /// `/images/edits`, `/files`
    pub root: &'p str,
    /// Of what a provider keeps, as the client has it.
    pub id: Option<&'p str>,
    /// What follows the id: `/content`, or nothing.
    pub action: &'p str,
}

impl Call<'_> {
    fn methods(&self) -> &'static [Method] {
        match (self.pass, self.id, self.action) {
            (Pass::Realtime, ..) => &[Method::GET],
            (Pass::Files | Pass::Batches | Pass::MessageBatches, None, _) | (Pass::Conversations, _, "/items") => {
                &[Method::POST, Method::GET]
            }
            (_, None, _) | (_, _, "/cancel") => POST,
            (Pass::Conversations, _, "") => &[Method::GET, Method::POST, Method::DELETE],
            (Pass::Batches, ..) | (_, _, "/content" | "/results" | "/input_items") => &[Method::GET],
            _ => &[Method::GET, Method::DELETE],
        }
    }
}

/// Where the things that a provider keeps are, and what can be asked of one beside itself.
const KEPT: [(&str, Pass, &[&str]); 5] = [
    ("/files", Pass::Files, &["/content"]),
    ("/batches", Pass::Batches, &["/cancel"]),
    ("/messages/batches", Pass::MessageBatches, &["/cancel", "/results"]),
    ("/responses", Pass::Responses, &["/cancel", "/input_items"]),
    ("/conversations", Pass::Conversations, &["/items"]),
];

/// Reads the path of a request that passes; Google's version has no such paths.
pub fn call(path: &str) -> Option<Call<'_>> {
    let root = below(path);
    let whole = |pass| Some(Call { pass, root, id: None, action: "" });
    match root {
        _ if path.starts_with("/v1beta/") => None,
        "/images/generations" | "/images/edits" | "/images/variations" => whole(Pass::Images),
        "/audio/speech" => whole(Pass::Speech),
        "/audio/transcriptions" | "/audio/translations" => whole(Pass::Transcriptions),
        "/moderations" => whole(Pass::Moderations),
        "/responses/compact" | "/responses/input_tokens" => whole(Pass::Responses),
        "/realtime" => whole(Pass::Realtime),
        _ => KEPT.iter().find_map(|(root, pass, actions)| {
            let rest = below(path).strip_prefix(root)?;
            if rest.is_empty() {
                return Some(Call { pass: *pass, root, id: None, action: "" });
            }
            let rest = rest.strip_prefix('/')?;
            let (id, action) = rest.split_at_checked(rest.find('/').unwrap_or(rest.len()))?;
            // An item of a conversation has a name of its own.
            let item = action.strip_prefix("/items/").filter(|_| *pass == Pass::Conversations);
            let known = action.is_empty() || actions.contains(&action) || item.is_some_and(is_name);
            (known && is_name(id)).then_some(Call { pass: *pass, root, id: Some(id), action })
        }),
    }
}

/// An id as providers make them: nothing in it can climb out of its place in a path.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
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
pub fn percent_decode(text: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(text).decode_utf8().unwrap_or(Cow::Borrowed(text))
}

/// A path as an error may repeat it: short, and never its query (which may hold a key).
fn shown(path: &str) -> &str {
    let end = path.char_indices().nth(100).map_or(path.len(), |(at, _)| at);
    path.get(..end).unwrap_or_default()
}

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const GOOGLE_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

/// The format of lists, and of errors on a path nobody knows: Anthropic's SDKs say which version they
/// speak, Google's have a version and a header of their own.
pub fn dialect_of(path: &str, headers: &HeaderMap) -> Dialect {
    match () {
        () if headers.contains_key(ANTHROPIC_VERSION) || path.starts_with("/v1/messages") => Dialect::Anthropic,
        () if path.starts_with("/v1beta") || headers.contains_key(GOOGLE_KEY) => Dialect::Gemini,
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
            ("/v1/compress", Endpoint::Compress),
            ("/v1/images/generations", Endpoint::Passed(Pass::Images)),
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
    fn kept_things_are_found_by_id_and_action() {
        let id_of = |path| call(path).map(|c| (c.pass, c.root.to_owned(), c.id, c.action));
        assert_eq!(id_of("/v1/files/f-1/content"), Some((Pass::Files, "/files".to_owned(), Some("f-1"), "/content")));
        assert_eq!(
            id_of("/messages/batches/b/results"),
            Some((Pass::MessageBatches, "/messages/batches".to_owned(), Some("b"), "/results"))
        );
        assert_eq!(id_of("/v1/responses/compact").map(|c| c.2), Some(None));
        assert_eq!(id_of("/v1/responses/resp_1").map(|c| c.2), Some(Some("resp_1")));
        assert_eq!(id_of("/v1/conversations/c/items/msg_1").map(|c| c.3), Some("/items/msg_1"));
        for path in [
            "/v1/files/a/b",
            "/v1/files/../content",
            "/v1/files/a%2Fb",
            "/v1/files//content",
            "/v1/filesx",
            "/v1beta/files",
            "/v1/images/x",
            "/v1/conversations/c/items/..",
            "/v1/batches/b/results",
        ] {
            assert_eq!(call(path), None, "{path}");
        }
        let method = |method, path| accept(&method, path).map_err(|e| e.kind());
        assert_eq!(method(Method::DELETE, "/v1/files/f"), Ok(Endpoint::Passed(Pass::Files)));
        assert_eq!(method(Method::GET, "/v1/files"), Ok(Endpoint::Passed(Pass::Files)));
        assert_eq!(method(Method::POST, "/v1/batches/b/cancel"), Ok(Endpoint::Passed(Pass::Batches)));
        for (wrong, path) in [
            (Method::DELETE, "/v1/batches/b"),
            (Method::POST, "/v1/files/f"),
            (Method::GET, "/v1/images/edits"),
            (Method::GET, "/v1/responses/r/cancel"),
            (Method::POST, "/v1/realtime"),
        ] {
            assert_eq!(method(wrong, path), Err(Kind::MethodNotAllowed), "{path}");
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
        for path in ["/v1beta/models/x:sing", "/v1beta/models/up/ok:foo"] {
            assert_eq!(accept(&Method::POST, path).unwrap_err().kind(), Kind::UnknownUrl, "{path}");
            assert_eq!(accept(&Method::GET, path).unwrap(), Endpoint::Model, "{path}");
        }
        assert_eq!(accept(&Method::POST, "/v1/models/up/ok:free").unwrap_err().kind(), Kind::MethodNotAllowed);
        assert_eq!(allowed("/v1/models/up/ok:free").as_deref(), Some("GET, HEAD"));
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
