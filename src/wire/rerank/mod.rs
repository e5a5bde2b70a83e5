//! Rerank: documents in the order of their relevance to a query, in the shapes of several vendors.
//!
//! Clients speak the shape of Cohere and Jina (`top_n`, `results`) or Voyage's (`top_k`, `data`).
//! Scores cross as the digits they came in. What a client gets to read of a document is taken from its
//! own request, where the vendor does not repeat it.

use std::borrow::Cow;

use super::Dialect;
use super::ir::Dropped;
use super::json::{self, Json, Obj, Raw, Rest, Str};
use super::lenient::count;
use crate::error::{Error, Kind, Result};
use crate::usage::tokens::Usage;
use crate::wire_object;

mod cohere;
mod jina;
#[cfg(test)]
mod tests;
mod voyage;

/// How requests and answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Jina's, and that of vLLM, llama.cpp, OpenRouter and others.
    Jina,
    /// Cohere's `/v2/rerank`.
    Cohere,
    /// Cohere's models on Bedrock, by InvokeModel.
    CohereBedrock,
    /// Voyage AI's.
    Voyage,
}

impl Shape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Jina, Self::Cohere, Self::CohereBedrock, Self::Voyage];

    /// The format of its errors.
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Jina | Self::Voyage => Dialect::OpenAiChat,
            Self::Cohere => Dialect::Cohere,
            Self::CohereBedrock => Dialect::Converse,
        }
    }
}

wire_object! {
    /// A client's request, in whichever shape.
    struct Body<'a> {
        model: Json<'a>,
        query: Str<'a>,
        documents: Vec<Raw<'a>>,
        top_n: Raw<'a>,
        top_k: Raw<'a>,
        return_documents: bool,
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The shape of the client's answer: [`Shape::Voyage`], or [`Shape::Jina`] for Cohere's too.
    pub client: Shape,
    query: Str<'a>,
    documents: Vec<Raw<'a>>,
    top: Option<Raw<'a>>,
    return_documents: Option<bool>,
    /// All other members but the model.
    options: Rest<'a>,
}

impl<'a> Request<'a> {
    pub fn decode(body: &'a str) -> Result<Self> {
        let invalid = |e| Error::invalid("documents", "the request is not what a reranker takes").with_unreadable(&e);
        let body: Body<'_> = json::parse(body).map_err(invalid)?;
        let missing = |name: &'static str| Error::invalid(name, format!("the member `{name}` is required"));
        let client = if body.top_k.is_some() && body.top_n.is_none() { Shape::Voyage } else { Shape::Jina };
        Ok(Self {
            client,
            query: body.query.ok_or_else(|| missing("query"))?,
            documents: body.documents.ok_or_else(|| missing("documents"))?,
            top: body.top_n.or(body.top_k),
            return_documents: body.return_documents,
            options: body.rest.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        })
    }

    /// Whether the vendor takes the request as the client wrote it, and the client the answer.
    pub fn fits(&self, shape: Shape) -> bool {
        match (self.client, shape) {
            (Shape::Jina, Shape::Jina) | (Shape::Voyage, Shape::Voyage) => true,
            // Its second version takes texts alone, and repeats none.
            (Shape::Jina, Shape::Cohere) => {
                self.return_documents.is_none() && self.documents.iter().all(Raw::is_string)
            }
            _ => false,
        }
    }

    /// Writes it for a vendor.
    pub fn encode(&self, shape: Shape, model: &str, dropped: &mut Dropped) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(1024);
        let left = match shape {
            Shape::Jina => jina::encode(self, model, &mut out),
            Shape::Cohere | Shape::CohereBedrock => cohere::encode(shape, self, model, &mut out, dropped)?,
            Shape::Voyage => voyage::encode(self, model, &mut out, dropped)?,
        };
        left.iter().for_each(|name| dropped.push(name));
        Ok(out)
    }

    /// The documents as texts; what else is in one of them goes on the list of the dropped.
    fn texts(&self, dropped: &mut Dropped) -> Result<Vec<Raw<'_>>> {
        let mut texts = Vec::with_capacity(self.documents.len());
        for (at, document) in self.documents.iter().enumerate() {
            if document.is_string() {
                texts.push(document.reborrow());
                continue;
            }
            let no_text = || {
                Error::new(Kind::NotExpressible, "this provider ranks texts: a string, or an object with `text`")
                    .with_param(format!("documents[{at}]"))
            };
            let members: Document<'_> = document.read().ok_or_else(no_text)?;
            members.rest.iter().for_each(|(name, _)| dropped.push(format_args!("documents[{at}].{name}")));
            texts.push(Raw::owned(members.text.ok_or_else(no_text)?.raw().to_owned()));
        }
        Ok(texts)
    }

    /// Writes the options a vendor has; gives back the names of the others.
    fn options(&self, has: &[&str], body: &mut Obj<'_>) -> Vec<&str> {
        let (known, left): (Vec<_>, Vec<_>) = self.options.iter().partition(|(name, _)| has.contains(&&**name));
        known.into_iter().for_each(|(name, value)| _ = body.raw(name, value.get()));
        left.into_iter().map(|(name, _)| &**name).collect()
    }
}

wire_object! {
    struct Document<'a> { text: Str<'a> }
}

/// An answer, the most relevant first.
#[derive(Debug, Clone, Default)]
pub struct Answer<'a> {
    id: Option<Str<'a>>,
    results: Vec<Ranked<'a>>,
    tokens: Option<u64>,
    /// What Cohere bills by.
    search_units: Option<u64>,
}

wire_object! {
    /// One document's place; all vendors agree on it.
    struct Ranked<'a> { index: usize, relevance_score: Raw<'a>, document: Raw<'a> }
}

impl<'a> Answer<'a> {
    /// Reads a vendor's answer.
    pub fn decode(shape: Shape, body: &'a str) -> Result<Self> {
        match shape {
            Shape::Voyage => voyage::decode_answer(body),
            Shape::Jina | Shape::Cohere | Shape::CohereBedrock => jina::decode_answer(body),
        }
    }

    /// What was used, where the vendor says.
    pub fn usage(&self, input_estimate_tokens: u64) -> Option<Usage> {
        let fresh_input_tokens = self.tokens.unwrap_or(input_estimate_tokens);
        let search_units = self.search_units.unwrap_or(0);
        (self.tokens.is_some() || search_units > 0).then(|| Usage {
            fresh_input_tokens,
            search_units,
            ..Usage::default()
        })
    }
}

/// An answer of a vendor that cannot be read.
fn unreadable(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamFailed, "the provider's ranking could not be read").with_detail(detail)
}

/// From a request to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    pub client: Shape,
    pub upstream: Shape,
    /// The bytes stay.
    pub kept: bool,
}

impl Turn {
    /// What was used, and the client's answer; `None` where the bytes stay. `request` is the client's.
    pub fn answer(&self, body: &str, request: &str, told: &Told<'_>) -> Result<(Option<Usage>, Option<Vec<u8>>)> {
        let answer = match Answer::decode(self.upstream, body) {
            Ok(answer) => answer,
            Err(_) if self.kept => return Ok((None, None)),
            Err(error) => return Err(error),
        };
        let usage = answer.usage(told.input_estimate_tokens);
        if self.kept {
            return Ok((usage, None));
        }
        let request = Request::decode(request)?;
        let mut out = Vec::with_capacity(body.len() + 512);
        match self.client {
            Shape::Voyage => voyage::encode_answer(&answer, &request, told, &mut out),
            _ => jina::encode_answer(&answer, &request, told, &mut out),
        }
        Ok((usage, Some(out)))
    }
}

/// What an answer says that its vendor did not.
#[derive(Debug, Clone, Copy)]
pub struct Told<'t> {
    pub model: &'t str,
    /// Used where the vendor gave no id.
    pub id: &'t str,
    /// A local count of the query and the documents.
    pub input_estimate_tokens: u64,
}

impl Ranked<'_> {
    fn write(&self, entry: &mut Obj<'_>) {
        entry.num("index", self.index.and_then(|index| index.try_into().ok()).unwrap_or(0));
        entry.raw("relevance_score", self.relevance_score.as_ref().map_or("null", Raw::get));
    }

    /// The document for a client that wants to read it.
    fn document<'r>(&'r self, request: &'r Request<'_>) -> Option<Cow<'r, str>> {
        let theirs = || self.document.as_ref().map(|document| Cow::Borrowed(document.get()));
        match request.return_documents {
            Some(false) => None,
            Some(true) => {
                let own = self.index.and_then(|index| request.documents.get(index));
                own.map(|document| Cow::Borrowed(document.get())).or_else(theirs)
            }
            None => theirs(),
        }
    }
}

/// A text as an object that holds it; an object stays.
fn wrapped(document: Cow<'_, str>) -> Cow<'_, str> {
    match document.starts_with('"') {
        true => Cow::Owned(format!("{{\"text\":{document}}}")),
        false => document,
    }
}
