//! The HTTP calls that fetch a credential. Who serves requests makes them: it has the connections.

use std::borrow::Cow;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;

use crate::error::{Error, Kind, Result};
use crate::secret::Secret;

/// What every failure to get a credential says to a client: the reasons are the operator's affair.
const NOT_FETCHED: &str = "the gateway's credential for the provider could not be fetched";

/// One call.
#[derive(Debug)]
pub struct Call {
    pub method: Method,
    /// Absolute, query included.
    pub url: String,
    pub headers: Vec<(Cow<'static, str>, Secret)>,
    /// Holds credentials as often as not.
    pub body: Secret,
}

impl Call {
    /// A GET.
    pub fn get(url: impl Into<String>) -> Self {
        Self { method: Method::GET, url: url.into(), headers: Vec::new(), body: Secret::new("") }
    }

    /// A POST of a form.
    pub fn form(url: impl Into<String>, fields: &[(&str, &str)]) -> Self {
        let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let call =
            Self { method: Method::POST, url: url.into(), headers: Vec::new(), body: Secret::new(pairs.join("&")) };
        call.with_header("content-type", "application/x-www-form-urlencoded")
    }

    /// A POST of JSON.
    pub fn json(url: impl Into<String>, body: impl Into<Box<str>>) -> Self {
        let call = Self { method: Method::POST, url: url.into(), headers: Vec::new(), body: Secret::new(body) };
        call.with_header("content-type", "application/json")
    }

    #[must_use]
    pub fn with_header(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Box<str>>) -> Self {
        self.headers.push((name.into(), Secret::new(value)));
        self
    }
}

/// Text as a value in a form or a query.
pub fn encoded(text: &str) -> percent_encoding::PercentEncode<'_> {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
    /// The server's `date`.
    pub date: Option<String>,
}

/// Makes the calls.
#[async_trait]
pub trait Caller: Send + Sync {
    async fn call(&self, call: Call) -> Result<Reply>;
}

/// A credential cannot be had. `detail` reaches the log only, and must hold no secret.
pub fn not_fetched(detail: impl std::fmt::Display) -> Error {
    Error::new(Kind::UpstreamAuth, NOT_FETCHED).with_detail(detail)
}
