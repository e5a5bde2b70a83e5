//! Embeddings: text to vectors, in the shapes of several vendors, by way of one small form.
//!
//! Clients speak OpenAI's shape and Gemini's two. Numbers cross as the digits they came in; only
//! between floats and base64 they are read, as the 32 bits they stand for. Where a vendor takes fewer
//! inputs at once than the client sends, the request becomes several (`Shape::most_inputs`).

use std::borrow::Cow;

use super::Dialect;
use super::ir::Dropped;
use super::json::{Raw, Rest, Str};
use super::splice::Splice;
use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire::envelope::Envelope;

mod cohere;
mod gemini;
mod nova;
mod openai;
mod option;
mod predict;
#[cfg(test)]
mod tests;
mod titan;
mod vector;

pub use gemini::renamed;
use option::Options;
use vector::Vector;

/// How requests and answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// `POST /v1/embeddings`, OpenAI's.
    OpenAi,
    /// The same with members of their own: Mistral's.
    Mistral,
    /// Voyage AI's.
    Voyage,
    /// Jina AI's.
    Jina,
    /// Perplexity's, whose vectors are bytes.
    Perplexity,
    /// Google's `:embedContent`: one content.
    GeminiOne,
    /// Google's `:batchEmbedContents`.
    GeminiMany,
    /// Vertex AI's `:predict`.
    Predict,
    /// Cohere's `/v2/embed`.
    Cohere,
    /// Cohere's models on Bedrock, by InvokeModel.
    CohereBedrock,
    /// Amazon's Titan, by InvokeModel.
    Titan,
    /// Amazon's Nova, by InvokeModel.
    Nova,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 12] = [
        Self::OpenAi,
        Self::Mistral,
        Self::Voyage,
        Self::Jina,
        Self::Perplexity,
        Self::GeminiOne,
        Self::GeminiMany,
        Self::Predict,
        Self::Cohere,
        Self::CohereBedrock,
        Self::Titan,
        Self::Nova,
    ];

    /// The format of its errors.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::OpenAi | Self::Mistral | Self::Voyage | Self::Jina | Self::Perplexity => Dialect::OpenAiChat,
            Self::GeminiOne | Self::GeminiMany | Self::Predict => Dialect::Gemini,
            Self::Cohere => Dialect::Cohere,
            Self::CohereBedrock | Self::Titan | Self::Nova => Dialect::Converse,
        }
    }

    /// Inputs of one call, by the vendors' references (2026-11).
    fn most_inputs(self, model: &str) -> usize {
        match self {
            Self::GeminiOne | Self::Titan | Self::Nova => 1,
            Self::Predict if model.starts_with("gemini-embedding") => 1,
            Self::GeminiMany => 100,
            Self::Cohere | Self::CohereBedrock => 96,
            Self::Predict => 250,
            Self::Voyage => 1_000,
            Self::OpenAi | Self::Mistral | Self::Jina | Self::Perplexity => MOST_INPUTS,
        }
    }
}

/// Inputs of one request, as OpenAI has it.
const MOST_INPUTS: usize = 2_048;

/// How the client wants its vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    #[default]
    Floats,
    /// Little-endian 32-bit floats, in base64.
    Base64,
    /// Something of the vendor's own: nothing is done to them.
    Own,
}

/// A request for embeddings.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    inputs: Vec<Input<'a>>,
    pub encoding: Encoding,
    /// All other members but the model.
    options: Rest<'a>,
    /// Members that no target can be told, already in the client's spelling.
    lost: Vec<String>,
}

/// What a vector is wanted for.
#[derive(Debug, Clone)]
enum Input<'a> {
    Text(Str<'a>),
    /// Token numbers.
    Tokens(&'a str),
    /// An object: an image, say.
    Other(&'a str),
}

/// An answer: vectors in the order of the inputs.
#[derive(Debug, Clone, Default)]
pub struct Answer<'a> {
    vectors: Vec<Vector<'a>>,
    pub input_tokens: Option<u64>,
}

impl<'a> Request<'a> {
    /// Reads a client's request.
    pub fn decode(shape: Shape, body: &'a str) -> Result<Self> {
        let request = match shape {
            Shape::GeminiOne => gemini::decode_one(body),
            Shape::GeminiMany => gemini::decode_many(body),
            _ => openai::decode(body),
        }?;
        match request.inputs.len() {
            0 => Err(Error::invalid("input", "there is nothing to embed: the input is empty")),
            n if n > MOST_INPUTS => Err(Error::invalid("input", format!("more than {MOST_INPUTS} inputs"))),
            _ => Ok(request),
        }
    }

    /// Writes it for a vendor, as one body or several.
    pub fn encode(&self, shape: Shape, model: &str, dropped: &mut Dropped) -> Result<Vec<Vec<u8>>> {
        let mut bodies = Vec::new();
        for inputs in self.inputs.chunks(shape.most_inputs(model)) {
            let mut options = Options::new(&self.options);
            let mut out = Vec::with_capacity(1024);
            let ask = Ask { inputs, model, encoding: self.encoding };
            match shape {
                Shape::GeminiOne => gemini::encode_one(&ask, &mut options, &mut out),
                Shape::GeminiMany => gemini::encode_many(&ask, &mut options, &mut out),
                Shape::Predict => predict::encode(&ask, &mut options, &mut out),
                Shape::Cohere | Shape::CohereBedrock => cohere::encode(shape, &ask, &mut options, &mut out),
                Shape::Titan => titan::encode(&ask, &mut options, &mut out),
                Shape::Nova => nova::encode(&ask, &mut options, &mut out),
                _ => openai::encode(shape, &ask, &mut options, &mut out),
            }?;
            self.lost.iter().chain(&options.left()).for_each(|name| dropped.push(name));
            bodies.push(out);
        }
        Ok(bodies)
    }
}

/// What goes into one body.
#[derive(Debug)]
struct Ask<'r, 'a> {
    inputs: &'r [Input<'a>],
    model: &'r str,
    encoding: Encoding,
}

impl<'r, 'a> Ask<'r, 'a> {
    /// The inputs, all of which have to be text.
    fn texts(&self) -> Result<Vec<&'r Str<'a>>> {
        let text = |input: &'r Input<'a>| match input {
            Input::Text(text) => Ok(text),
            Input::Tokens(_) => Err(cannot("this provider takes text to embed, not token numbers")),
            Input::Other(_) => Err(cannot("this provider takes nothing but text to embed here")),
        };
        self.inputs.iter().map(text).collect()
    }

    /// The only input, of shapes that take one.
    fn text(&self) -> Result<&'r Str<'a>> {
        self.texts()?.first().copied().ok_or_else(|| Error::internal("an embedding of nothing"))
    }
}

fn cannot(message: &'static str) -> Error {
    Error::new(Kind::NotExpressible, message).with_param("input")
}

/// An answer of a vendor that cannot be read.
fn unreadable(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamFailed, "the provider's embeddings could not be read").with_detail(detail)
}

impl<'a> Answer<'a> {
    /// Reads a vendor's answer.
    pub fn decode(shape: Shape, body: &'a str) -> Result<Self> {
        match shape {
            Shape::GeminiOne | Shape::GeminiMany => gemini::decode_answer(body),
            Shape::Predict => predict::decode_answer(body),
            Shape::Cohere | Shape::CohereBedrock => cohere::decode_answer(body),
            Shape::Titan => titan::decode_answer(body),
            Shape::Nova => nova::decode_answer(body),
            _ => openai::decode_answer(shape, body),
        }
    }

    /// Puts the answers to several bodies together.
    fn join(parts: Vec<Self>) -> Self {
        let input_tokens = parts.iter().map(|part| part.input_tokens).sum();
        Self { vectors: parts.into_iter().flat_map(|part| part.vectors).collect(), input_tokens }
    }
}

/// From a request to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub client: Shape,
    pub upstream: Shape,
    pub encoding: Encoding,
}

impl Turn {
    /// What was used, and the client's answer; `None` where the bytes stay.
    pub fn answer(&self, bodies: &[&str], told: &Told<'_>) -> Result<(Option<Usage>, Option<Vec<u8>>)> {
        if let (true, [body]) = (self.client == self.upstream, bodies) {
            return Ok((None, self.corrected(body)));
        }
        let answer = self.joined(bodies)?;
        let usage = used(&answer);
        let mut out = Vec::with_capacity(bodies.iter().map(|body| body.len()).sum::<usize>() + 512);
        match self.client {
            Shape::GeminiOne => gemini::encode_answer_one(&answer, &mut out)?,
            Shape::GeminiMany => gemini::encode_answer_many(&answer, &mut out)?,
            _ => openai::encode_answer(&answer, self.encoding, told, &mut out)?,
        }
        Ok((usage, Some(out)))
    }

    /// What was used by then, where only some of several bodies were answered.
    pub fn used(&self, bodies: &[&str]) -> Option<Usage> {
        used(&self.joined(bodies).ok()?)
    }

    fn joined<'b>(&self, bodies: &[&'b str]) -> Result<Answer<'b>> {
        let parts: Result<Vec<Answer<'_>>> = bodies.iter().map(|body| Answer::decode(self.upstream, body)).collect();
        Ok(Answer::join(parts?))
    }

    /// The same shape, but floats for a client that asked for base64 (Ollama, llama.cpp and others do
    /// not know the option; SDKs that ask for it by themselves rely on it).
    fn corrected(&self, body: &str) -> Option<Vec<u8>> {
        if self.upstream != Shape::OpenAi || self.encoding != Encoding::Base64 {
            return None;
        }
        let answer = openai::decode_answer(self.upstream, body).ok()?;
        if !answer.vectors.iter().any(|vector| matches!(vector, Vector::Numbers(_))) {
            return None;
        }
        let mut data = Vec::with_capacity(body.len());
        openai::encode_data(&answer, self.encoding, &mut data).ok()?;
        let envelope = Envelope::parse_str(body).ok()?;
        let mut splice = Splice::new(&envelope);
        splice.set("data", String::from_utf8(data).ok()?);
        Some(splice.write())
    }
}

fn used(answer: &Answer<'_>) -> Option<Usage> {
    answer.input_tokens.map(|fresh_input_tokens| Usage { fresh_input_tokens, ..Usage::default() })
}

/// What an answer says that its vendor did not.
#[derive(Debug, Clone, Copy)]
pub struct Told<'t> {
    pub model: &'t str,
    /// A local count of the input.
    pub input_estimate_tokens: u64,
}

/// Token numbers given as input, which a count of text does not see.
pub fn given_tokens(input: &str) -> u64 {
    let is_digit = |b: &u8| b.is_ascii_digit();
    let first = input.trim_start_matches(['[', ' ', '\n', '\t', '\r']);
    if !input.starts_with('[') || !first.as_bytes().first().is_some_and(is_digit) {
        return 0;
    }
    let starts = input.as_bytes().windows(2).filter(|pair| matches!(pair, [a, b] if !is_digit(a) && is_digit(b)));
    u64::try_from(starts.count()).unwrap_or(u64::MAX)
}

/// A `null` is as good as nothing.
fn present(rest: Rest<'_>) -> Rest<'_> {
    rest.into_iter().filter(|(_, value): &(Cow<'_, str>, Raw<'_>)| !value.is_null()).collect()
}
