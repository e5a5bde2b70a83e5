//! Claude at Bedrock: Messages by InvokeModel. The body is Anthropic's without `model` and `stream`,
//! which the path says; a stream is Amazon's, with Anthropic's events in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::app::Frame;
use super::failure::Failure;
use crate::wire::eventstream;

/// What a path asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    model: String,
    stream: bool,
}

/// `/model/{model}/invoke`.
pub(super) fn asked(path: &str) -> Option<Call> {
    let (model, method) = path.strip_prefix("/model/")?.split_once('/')?;
    let stream = match method {
        "invoke" => false,
        "invoke-with-response-stream" => true,
        _ => return None,
    };
    let model = percent_encoding::percent_decode_str(model).decode_utf8_lossy().into_owned();
    Some(Call { model, stream })
}

impl Call {
    /// The body as Messages has it. Members that are the path's are refused, as Bedrock does.
    pub(super) fn body(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut body: Value = serde_json::from_slice(body).map_err(|e| Failure::new(400, e.to_string()))?;
        if body.get("anthropic_version") != Some(&json!("bedrock-2023-05-31")) {
            return Err(Failure::new(400, "anthropic_version: Field required"));
        }
        if let Some(extra) = ["model", "stream"].iter().find(|name| body.get(**name).is_some()) {
            return Err(Failure::new(400, format!("{extra}: Extra inputs are not permitted")));
        }
        if let Some(members) = body.as_object_mut() {
            members.insert("model".to_owned(), json!(self.model));
            members.insert("stream".to_owned(), json!(self.stream));
        }
        Ok(body.to_string().into_bytes())
    }
}

/// The events of a Messages stream, each in a message of Amazon's.
pub(super) fn frames(events: Vec<Frame>) -> Vec<Frame> {
    events.into_iter().map(|event| Frame { bytes: wrapped(&event.bytes), ..event }).collect()
}

fn wrapped(event: &[u8]) -> Vec<u8> {
    let data = String::from_utf8_lossy(event);
    let data = data.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or_default();
    let mut out = Vec::new();
    let chunk = json!({"bytes": STANDARD.encode(data), "p": "abcdef"}).to_string();
    eventstream::write_event(&mut out, "chunk", chunk.as_bytes());
    out
}

/// The last message of a stream that fails.
pub(super) fn error_event(failure: &Failure) -> Vec<u8> {
    let headers = [(":exception-type", "serviceUnavailableException"), (":message-type", "exception")];
    let mut out = Vec::new();
    eventstream::write_message(&mut out, &headers, json!({"message": failure.message}).to_string().as_bytes());
    out
}
