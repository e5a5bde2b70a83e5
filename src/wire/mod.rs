//! Formats: bytes to meaning and back. No I/O, no Pingora, no configuration in here.
//!
//! Each dialect is a folder with the same files: `request`, `response`, `stream`, `error`, `usage`,
//! each able to decode what comes in and to encode what goes out. n dialects are n decoders and n
//! encoders; every client x provider cell follows from them by way of [`ir`].

pub mod anthropic;
pub mod bridge;
mod cause;
pub mod chunked;
pub mod cohere;
pub mod converse;
mod dropped;
pub mod edge;
pub mod embeddings;
pub mod envelope;
pub mod eventstream;
pub mod frames;
pub mod gemini;
pub mod ir;
pub mod json;
pub mod lane;
pub mod leaves;
mod lenient;
mod media;
pub mod multipart;
pub mod openai_chat;
pub mod owned;
pub mod pieces;
pub mod rerank;
pub mod responses;
pub mod resume;
pub mod scan;
pub mod seal;
mod spelling;
pub mod splice;
pub mod sse;
pub mod stream;
pub mod vendor;
pub mod wait;
pub mod watch;
pub mod websocket;

use crate::error::{Error, Result};
use crate::usage::tokens::Advice;

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI Chat Completions.
    OpenAiChat,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// Google's `generateContent`.
    Gemini,
    /// Amazon Bedrock's Converse. No client speaks it here.
    Converse,
    /// Cohere's chat, version 2. No client speaks it here.
    Cohere,
}

impl Dialect {
    /// Every format.
    pub const ALL: [Self; 6] =
        [Self::OpenAiChat, Self::Anthropic, Self::Responses, Self::Gemini, Self::Converse, Self::Cohere];
    /// Those that clients speak here.
    pub const CLIENTS: [Self; 4] = [Self::OpenAiChat, Self::Anthropic, Self::Responses, Self::Gemini];

    /// The `format` of ledger rows, logs and docs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "chat",
            Self::Anthropic => "messages",
            Self::Responses => "responses",
            Self::Gemini => "gemini",
            Self::Converse => "converse",
            Self::Cohere => "cohere",
        }
    }
}

/// Where one vendor of a dialect differs from the vendor that made it. Data: see `provider/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quirks {
    /// The member that bounds the output: newer OpenAI models refuse `max_tokens`.
    pub max_tokens: &'static str,
    /// Takes the role `developer`; else it is sent as `system`.
    pub developer_role: bool,
    /// Takes `stream_options: {include_usage: true}`.
    pub stream_options: bool,
    /// Takes `reasoning_effort`.
    pub reasoning_effort: bool,
    /// The words it takes there, where they are not OpenAI's: the first entry that has the model holds.
    pub efforts: &'static [vendor::Efforts],
    /// Models that think unless `thinking: {type: disabled}` is said, and refuse forced calls while they do.
    pub thinking_switch: Option<vendor::Models>,
    /// Members of OpenAI's that it refuses.
    pub refused: &'static [vendor::Refused],
    /// The member that makes sampling repeatable.
    pub seed: &'static str,
    /// The service tiers it knows, each with the clients' word for it before its own.
    pub service_tiers: &'static [(&'static str, &'static str)],
    /// The member of an assistant message in which earlier thinking goes back, if it does
    /// (`reasoning_content`, `reasoning`).
    pub reasoning_echo: Option<&'static str>,
    /// Earlier thinking goes back as the first part of the content, to models that take an effort.
    pub thinking_in_content: bool,
    /// Takes `response_format: {type: json_schema}`; else `json_object` is the nearest.
    pub json_schema: bool,
    /// Takes `strict` on tools.
    pub strict_tools: bool,
    /// Takes `parallel_tool_calls`.
    pub parallel_tool_calls: bool,
    /// Counts reasoning outside `completion_tokens`.
    pub reasoning_outside_completion: bool,
    /// Takes images as URLs; else only inline.
    pub image_urls: bool,
    /// Answers requests for models that are no more with others, and charges for those.
    pub redirects: bool,
    /// Takes ids of calls that are nine letters or digits, and no others.
    pub short_call_ids: bool,
    /// Goes on with a last message of the assistant's that is marked so, in OpenAI's format.
    pub prefill: Option<resume::Mark>,
    /// Takes ids of calls at all, in Gemini's format; else calls and results are told by their order.
    pub call_ids: bool,
}

impl Quirks {
    /// No differences.
    pub const NONE: Self = Self {
        max_tokens: "max_tokens",
        developer_role: false,
        stream_options: true,
        reasoning_effort: true,
        efforts: &[],
        thinking_switch: None,
        refused: &[],
        seed: "seed",
        service_tiers: &[
            ("auto", "auto"),
            ("default", "default"),
            ("standard_only", "default"),
            ("flex", "flex"),
            ("priority", "priority"),
        ],
        reasoning_echo: None,
        thinking_in_content: false,
        json_schema: true,
        strict_tools: true,
        parallel_tool_calls: true,
        reasoning_outside_completion: false,
        image_urls: true,
        redirects: false,
        short_call_ids: false,
        prefill: None,
        call_ids: true,
    };
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Thinking {
    /// It does not, or nobody knows.
    #[default]
    Unknown,
    None,
    /// By a budget in tokens (Claude up to 4.5).
    Budget,
    /// By effort; the model decides how long (Claude from 4.6).
    Adaptive,
}

/// What a model can do, as far as it is known: `None` lets the model itself decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// Takes images.
    pub images: Option<bool>,
    /// Takes audio.
    pub audio: Option<bool>,
    /// Takes documents (PDF).
    pub documents: Option<bool>,
    /// Calls functions.
    pub tools: Option<bool>,
    /// Calls several functions in one answer.
    pub parallel_tools: Option<bool>,
    /// Keeps to a JSON schema.
    pub json_schema: Option<bool>,
    /// Takes the role `developer`.
    pub developer_role: Option<bool>,
    /// Takes instructions (a `system` prompt) at all.
    pub system: Option<bool>,
}

impl Abilities {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        images: None,
        audio: None,
        documents: None,
        tools: None,
        parallel_tools: None,
        json_schema: None,
        developer_role: None,
        system: None,
    };

    /// What is said here, and what `other` says where nothing is.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            images: self.images.or(other.images),
            audio: self.audio.or(other.audio),
            documents: self.documents.or(other.documents),
            tools: self.tools.or(other.tools),
            parallel_tools: self.parallel_tools.or(other.parallel_tools),
            json_schema: self.json_schema.or(other.json_schema),
            developer_role: self.developer_role.or(other.developer_role),
            system: self.system.or(other.system),
        }
    }
}

/// Whom a request is encoded for.
#[derive(Debug, Clone, Copy)]
pub struct Target<'t> {
    /// The upstream's name of the model.
    pub model: &'t str,
    pub quirks: &'t Quirks,
    /// The model's own ceiling, for formats that require `max_tokens`.
    pub max_output_tokens: Option<u64>,
    pub thinking: Thinking,
    pub abilities: Abilities,
    /// Opens what earlier answers of this deployment sealed into ids.
    pub seal: &'t seal::Seal,
}

impl Target<'_> {
    /// So many tokens of output, at most those the model has: more of them are refused.
    pub(in crate::wire) fn bounded(&self, tokens: u64) -> u64 {
        self.max_output_tokens.map_or(tokens, |ceiling| tokens.min(ceiling))
    }
}

/// Whom an answer is encoded for.
#[derive(Debug, Clone, Copy)]
pub struct Client<'t> {
    /// Used where the upstream gave no model.
    pub model: &'t str,
    /// Used where the upstream gave no id: the request id, without dashes.
    pub id: &'t str,
    /// Unix seconds, where the upstream gave none.
    pub created: u64,
    /// The client asked for usage in its stream.
    pub stream_usage: bool,
    /// A local count of the prompt, for formats that open a stream with usage.
    pub input_estimate_tokens: u64,
    /// The client's own request, for formats whose answers repeat members of it; empty where it is
    /// not at hand.
    pub request: &'t str,
    /// It asked for a completion, in OpenAI's older format, and gets one.
    pub completes: bool,
    pub seal: &'t seal::Seal,
}

impl<'t> Client<'t> {
    /// One that says nothing of itself, and takes all counts.
    pub const fn of(model: &'t str, id: &'t str, seal: &'t seal::Seal) -> Self {
        let (created, input_estimate_tokens, request) = (0, 0, "");
        Self { model, id, created, stream_usage: true, input_estimate_tokens, request, completes: false, seal }
    }
}

/// The request id as callers know it: [`Client::id`] is the same without its dashes.
pub(in crate::wire) fn request_id(id: &str) -> String {
    let is_uuid = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
    let mut text = String::with_capacity(36);
    for (at, c) in id.chars().enumerate() {
        if is_uuid && matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(c);
    }
    text
}

/// Reads a request whose body is valid UTF-8.
pub fn decode_request(dialect: Dialect, body: &str) -> Result<ir::Request<'_>> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::request::decode(body),
        Dialect::Anthropic => anthropic::request::decode(body),
        Dialect::Responses => responses::request::decode(body),
        Dialect::Gemini => gemini::request::decode(body),
        Dialect::Converse => converse::request::decode(body),
        Dialect::Cohere => cohere::request::decode(body),
    }
}

/// Writes a request for `target`; what it cannot express is added to `dropped`.
pub fn encode_request(
    dialect: Dialect,
    request: &ir::Request<'_>,
    target: &Target<'_>,
    out: &mut Vec<u8>,
    dropped: &mut ir::Dropped,
) -> Result<()> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::request::encode(request, target, out, dropped),
        Dialect::Anthropic => anthropic::request::encode(request, target, out, dropped),
        Dialect::Responses => responses::request::encode(request, target, out, dropped),
        Dialect::Gemini => gemini::request::encode(request, target, out, dropped),
        Dialect::Converse => converse::request::encode(request, target, out, dropped),
        Dialect::Cohere => cohere::request::encode(request, target, out, dropped),
    }
}

/// Reads a whole answer.
pub fn decode_response<'a>(dialect: Dialect, body: &'a str, quirks: &Quirks) -> Result<ir::Response<'a>> {
    match dialect {
        Dialect::OpenAiChat => openai_chat::response::decode(body, quirks),
        Dialect::Anthropic => anthropic::response::decode(body, quirks),
        Dialect::Responses => responses::response::decode(body, quirks),
        Dialect::Gemini => gemini::response::decode(body, quirks),
        Dialect::Converse => converse::response::decode(body, quirks),
        Dialect::Cohere => cohere::response::decode(body, quirks),
    }
}

/// Writes a whole answer.
pub fn encode_response(dialect: Dialect, response: &ir::Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    match dialect {
        Dialect::OpenAiChat if client.completes => openai_chat::completions::encode(response, client, out),
        Dialect::OpenAiChat => openai_chat::response::encode(response, client, out),
        Dialect::Anthropic => anthropic::response::encode(response, client, out),
        Dialect::Responses => responses::response::encode(response, client, out),
        Dialect::Gemini => gemini::response::encode(response, client, out),
        Dialect::Converse => converse::response::encode(response, client, out),
        Dialect::Cohere => cohere::response::encode(response, client, out),
    }
}

/// Reads the events of one streamed answer. Framing is done before.
pub trait Decode: Send + Sync {
    /// One event: its SSE name (may be empty) and its data. Events are given to `sink` in the order
    /// and grammar of [`ir::Event`]. Never fails: what cannot be read becomes [`ir::Event::Error`].
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&ir::Event<'_>));

    /// The body ended. A decoder that saw the end of the answer (its terminal event, or at least a
    /// finish reason for every choice) closes what is open and gives `End`; any other gives an
    /// `Error` of kind `UpstreamFailed` (cut).
    fn finish(&mut self, sink: &mut dyn FnMut(&ir::Event<'_>));

    /// The service tier that was named last, where a format names it behind the beginning too.
    fn service_tier(&self) -> Option<&str> {
        None
    }

    /// Whether the model has said all there is, where a stop is told only at the end.
    fn has_stopped(&self) -> bool {
        false
    }

    /// What other models used that this one asked by itself.
    fn advice(&self) -> &[Advice] {
        &[]
    }

    /// Whether an event that gave nothing but a text leaves no trace here: one behind it that differs by
    /// its text alone then gives the same with its own, and need not be read.
    fn repeats(&self) -> bool {
        false
    }
}

/// Writes the events of one streamed answer in the client's format, framing included.
pub trait Encode: Send + Sync {
    fn event(&mut self, event: &ir::Event<'_>, out: &mut Vec<u8>);

    /// The tools that the gateway has run so far, as a list: for the end of the answer, in formats that have
    /// room for it.
    fn executed(&mut self, _tools: &str) {}
}

/// A decoder for a stream of this dialect.
pub fn stream_decoder(dialect: Dialect, quirks: &Quirks) -> Box<dyn Decode> {
    match dialect {
        Dialect::OpenAiChat => Box::new(openai_chat::stream::Decoder::new(quirks)),
        Dialect::Anthropic => Box::new(anthropic::stream::Decoder::new(quirks)),
        Dialect::Responses => Box::new(responses::stream::Decoder::new(quirks)),
        Dialect::Gemini => Box::new(gemini::stream::Decoder::new(quirks)),
        Dialect::Converse => Box::new(converse::stream::Decoder::new(quirks)),
        Dialect::Cohere => Box::new(cohere::stream::Decoder::new(quirks)),
    }
}

/// An encoder for a stream of this dialect.
pub fn stream_encoder(dialect: Dialect, client: &Client<'_>) -> Box<dyn Encode> {
    match dialect {
        Dialect::OpenAiChat if client.completes => Box::new(openai_chat::completions::Encoder::new(client)),
        Dialect::OpenAiChat => Box::new(openai_chat::stream::Encoder::new(client)),
        Dialect::Anthropic => Box::new(anthropic::stream::Encoder::new(client)),
        Dialect::Responses => Box::new(responses::stream::Encoder::new(client)),
        Dialect::Gemini => Box::new(gemini::stream::Encoder::new(client)),
        Dialect::Converse => Box::new(converse::stream::Encoder::new(client)),
        Dialect::Cohere => Box::new(cohere::stream::Encoder::new(client)),
    }
}

/// Reads an upstream's error answer: kind from status *and* body, its message, its code.
pub fn decode_error(dialect: Dialect, status: u16, body: &str) -> Error {
    match dialect {
        Dialect::OpenAiChat => openai_chat::error::decode(status, body),
        Dialect::Anthropic => anthropic::error::decode(status, body),
        Dialect::Responses => responses::error::decode(status, body),
        Dialect::Gemini => gemini::error::decode(status, body),
        Dialect::Converse => converse::error::decode(status, body),
        Dialect::Cohere => cohere::error::decode(status, body),
    }
}

/// Reads an error that came inside a stream, or inside a 200: `data` is the event's data.
pub fn decode_error_event(dialect: Dialect, data: &str) -> Error {
    match dialect {
        Dialect::OpenAiChat => openai_chat::error::decode_in_band(data),
        Dialect::Anthropic => anthropic::error::decode(0, data),
        Dialect::Responses => responses::error::decode_in_band(data),
        Dialect::Gemini => gemini::error::decode_in_band(data),
        Dialect::Converse => converse::error::decode_in_band(data),
        Dialect::Cohere => cohere::error::decode_in_band(data),
    }
}

/// Writes the JSON body of an error answer; gives back its status.
pub fn encode_error(dialect: Dialect, error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    match dialect {
        Dialect::OpenAiChat => openai_chat::error::encode(error, request_id, out),
        Dialect::Anthropic => anthropic::error::encode(error, request_id, out),
        Dialect::Responses => responses::error::encode(error, request_id, out),
        Dialect::Gemini => gemini::error::encode(error, request_id, out),
        Dialect::Converse => converse::error::encode(error, request_id, out),
        Dialect::Cohere => cohere::error::encode(error, request_id, out),
    }
}

/// Writes the error as the last event of a stream that has begun.
pub fn encode_error_event(dialect: Dialect, error: &Error, request_id: &str, out: &mut Vec<u8>) {
    match dialect {
        Dialect::OpenAiChat => openai_chat::error::encode_event(error, request_id, out),
        Dialect::Anthropic => anthropic::error::encode_event(error, request_id, out),
        Dialect::Responses => responses::error::encode_event(error, request_id, out),
        Dialect::Gemini => gemini::error::encode_event(error, request_id, out),
        Dialect::Converse => converse::error::encode_event(error, request_id, out),
        Dialect::Cohere => cohere::error::encode_event(error, request_id, out),
    }
}
