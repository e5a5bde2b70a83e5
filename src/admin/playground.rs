//! The dashboard's requests to models: sent through the gateway's own public listener with a key of the
//! gateway, so that they are checked, limited, counted and recorded as everybody's. What comes back is
//! passed on as it comes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use pingora_core::protocols::http::ServerSession;
use pingora_http::ResponseHeader;
use serde::Deserialize;

use super::{Admin, Answer, BODY_WITHIN, CONTENT_SECURITY_POLICY, Question, read_body};
use crate::secret::Secret;
use crate::wire::json::Obj;

/// The longest silence, also before an answer begins.
const PATIENCE: Duration = Duration::from_secs(120);
/// Who does not take what is sent within this time has gone.
const WRITE_WITHIN: Duration = Duration::from_secs(10);
/// What stands in a model's name in a path as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'/').remove(b':');
/// Of the gateway's headers, those that begin so.
const PASSED: [&str; 7] =
    ["x-weir-", "x-request-id", "request-id", "x-ratelimit-", "anthropic-ratelimit-", "retry-after", "x-should-retry"];
/// Tells an answer of the gateway from one of this API.
const MARK: HeaderName = HeaderName::from_static("x-weir-playground");

/// A request that goes through the gateway.
#[derive(Debug, PartialEq)]
pub struct Trial {
    /// With its query.
    pub path: String,
    /// Of the gateway.
    pub key: Secret,
    pub body: Bytes,
}

/// The way to the gateway's own public listener.
#[async_trait]
pub trait Playground: Send + Sync {
    /// Sends it, and waits for the head of the answer. The error is for people.
    async fn send(&self, trial: Trial) -> Result<Box<dyn Played>, String>;
}

/// An answer on its way.
#[async_trait]
pub trait Played: Send {
    fn head(&self) -> (StatusCode, Vec<(HeaderName, HeaderValue)>);
    /// The next piece of the body, `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, String>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// As in the ledger.
    format: String,
    key: String,
    /// What stands in the path of Gemini's format.
    #[serde(default)]
    model: String,
    #[serde(default)]
    stream: bool,
    /// As it is to be sent, good JSON or not.
    body: String,
}

impl Admin {
    /// To the end of the answer. What is refused before it began is given back.
    pub(super) async fn play(&self, question: &Question, http: &mut ServerSession) -> Result<(), Answer> {
        let invalid = |why: &str| Answer::error(StatusCode::BAD_REQUEST, "invalid_trial", why);
        let body = match tokio::time::timeout(BODY_WITHIN, read_body(http)).await {
            Ok(body) => body?,
            Err(_) => {
                return Err(Answer::error(StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not come"));
            }
        };
        let (trial, detail) = trial(&body).map_err(|why| invalid(&why))?;
        let full = |_| Answer::error(StatusCode::SERVICE_UNAVAILABLE, "too_many", "too many are tried already");
        let _place = self.players.try_acquire().map_err(full)?;
        self.backend.record(&question.asker.name, "playground.send", &trial.path, detail);
        let away = |why: &str| Answer::error(StatusCode::BAD_GATEWAY, "gateway_unreachable", why);
        let mut answer = match tokio::time::timeout(PATIENCE, self.backend.playground().send(trial)).await {
            Ok(answer) => answer.map_err(|why| away(&why))?,
            Err(_) => return Err(away("no answer came in time")),
        };
        let (status, headers) = answer.head();
        let head = head(status, headers).map_err(|error| away(&error.to_string()))?;
        http.set_keepalive(None);
        if http.write_response_header(Box::new(head)).await.is_err() {
            return Ok(());
        }
        // A connection that closes without an end says that the answer had none.
        while let Ok(Ok(Some(piece))) = tokio::time::timeout(PATIENCE, answer.next()).await {
            let write = http.write_response_body(piece, false);
            if !tokio::time::timeout(WRITE_WITHIN, write).await.is_ok_and(|written| written.is_ok()) {
                return Ok(());
            }
        }
        let _ = http.write_response_body(Bytes::new(), true).await;
        Ok(())
    }
}

/// The request, and what the chain of changes has of it.
fn trial(body: &[u8]) -> Result<(Trial, String), String> {
    let expected = r#"expected {"format": "chat", "key": "...", "body": "{...}"}"#;
    let body: Body = serde_json::from_slice(body).map_err(|error| format!("{expected}: {error}"))?;
    if HeaderValue::from_str(&body.key).is_err() || body.key.trim().is_empty() {
        return Err("`key`: expected a key of the gateway".to_owned());
    }
    let path = match body.format.as_str() {
        "chat" => "/v1/chat/completions".to_owned(),
        "responses" => "/v1/responses".to_owned(),
        "messages" => "/v1/messages".to_owned(),
        "gemini" if body.model.is_empty() => return Err("`model` is missing: it stands in the path".to_owned()),
        "gemini" => {
            let action = if body.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            format!("/v1beta/models/{}:{action}", utf8_percent_encode(&body.model, IN_PATH))
        }
        _ => return Err("`format`: expected chat, responses, messages or gemini".to_owned()),
    };
    let mut detail = Vec::new();
    Obj::new(&mut detail).text("format", &body.format).text("model", &body.model);
    let trial = Trial { path, key: Secret::new(body.key.trim()), body: Bytes::from(body.body) };
    Ok((trial, String::from_utf8_lossy(&detail).into_owned()))
}

/// The gateway's head, with what every answer of this listener has.
fn head(status: StatusCode, headers: Vec<(HeaderName, HeaderValue)>) -> pingora_core::Result<ResponseHeader> {
    let mut head = ResponseHeader::build(status, Some(headers.len() + 6))?;
    for (name, value) in headers.into_iter().filter(|(name, _)| is_passed(name)) {
        head.append_header(name, value)?;
    }
    head.insert_header(MARK, "answer")?;
    head.insert_header(header::CACHE_CONTROL, "no-store")?;
    head.insert_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    head.insert_header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)?;
    head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    Ok(head)
}

fn is_passed(name: &HeaderName) -> bool {
    *name == header::CONTENT_TYPE || PASSED.iter().any(|beginning| name.as_str().starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(body: &str) -> Result<String, String> {
        trial(body.as_bytes()).map(|(trial, _)| trial.path)
    }

    #[test]
    fn a_trial_goes_to_its_formats_path_and_nowhere_else() {
        let of = |format: &str| path(&format!(r#"{{"format":"{format}","key":"k","body":"{{"}}"#));
        assert_eq!(of("chat").as_deref(), Ok("/v1/chat/completions"));
        assert_eq!(of("messages").as_deref(), Ok("/v1/messages"));
        assert_eq!(of("responses").as_deref(), Ok("/v1/responses"));
        let gemini = |model: &str, stream: bool| {
            path(&format!(r#"{{"format":"gemini","key":"k","body":"","model":"{model}","stream":{stream}}}"#))
        };
        assert_eq!(gemini("lab/m?x#y z", false).as_deref(), Ok("/v1beta/models/lab/m%3Fx%23y%20z:generateContent"));
        assert_eq!(gemini("m", true).as_deref(), Ok("/v1beta/models/m:streamGenerateContent?alt=sse"));
        for wrong in [of("gemini"), of("files"), path("{}"), path(r#"{"format":"chat","key":"a\nb","body":""}"#)] {
            assert!(wrong.is_err(), "{wrong:?}");
        }
    }
}
