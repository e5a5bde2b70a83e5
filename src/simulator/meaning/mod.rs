//! The other formats, by way of [`crate::wire`]: what a request means is read by its decoder, and the
//! answer is written by its encoder. How a server of each behaves beyond that is here: which proofs it
//! gives out and insists on.

mod answer;
mod request;

use super::failure::Failure;
use crate::error::Error;
use crate::wire::{self, Dialect};

pub(super) use answer::{Said, frames, whole};
pub(super) use request::read;

/// What a path of another format asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) dialect: Dialect,
    /// Where the path says it.
    pub(super) model: Option<String>,
    /// Where the path says it.
    pub(super) stream: Option<bool>,
}

/// What is asked for by a `POST` to this path, whose `/v1` is taken off.
pub(super) fn asked(path: &str) -> Option<Ask> {
    let of_body = |dialect| Some(Ask { dialect, model: None, stream: None });
    match path {
        "/responses" => of_body(Dialect::Responses),
        "/v2/chat" => of_body(Dialect::Cohere),
        _ => gemini(path).or_else(|| converse(path)),
    }
}

/// `.../models/{model}:{method}`, at the vendor's own place or below Vertex AI's.
fn gemini(path: &str) -> Option<Ask> {
    let (model, method) = path.rsplit_once("/models/")?.1.split_once(':')?;
    let stream = match method {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return None,
    };
    Some(Ask { dialect: Dialect::Gemini, model: Some(model.to_owned()), stream: Some(stream) })
}

/// `/model/{model}/converse`.
fn converse(path: &str) -> Option<Ask> {
    let (model, method) = path.strip_prefix("/model/")?.split_once('/')?;
    let stream = match method {
        "converse" => false,
        "converse-stream" => true,
        _ => return None,
    };
    let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy().into_owned();
    Some(Ask { dialect: Dialect::Converse, model: Some(model), stream: Some(stream) })
}

/// A refusal as the format's own vendor words it.
pub(super) fn error(failure: &Failure) -> Error {
    let body = failure.body(super::failure::Format::OpenAi).to_string();
    wire::decode_error(Dialect::OpenAiChat, failure.status, &body)
}
