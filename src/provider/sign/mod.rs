//! How a request proves who it is.

pub mod sigv4;

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::sigv4::SigV4;
use super::Auth;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// The credential of one deployment, ready to be put on requests.
#[derive(Debug)]
pub enum Signer {
    /// None is needed, or the client brings its own.
    None,
    /// `authorization: Bearer <key>`
    Bearer(Secret),
    /// `<name>: <key>`
    Header(&'static str, Secret),
    /// Amazon's signature.
    SigV4(Box<SigV4>),
}

/// What is signed.
#[derive(Debug, Clone, Copy)]
pub struct Unsigned<'r> {
    pub method: &'r Method,
    /// The `host`.
    pub authority: &'r str,
    /// As it goes out, query included.
    pub path_and_query: &'r str,
    pub headers: &'r HeaderMap,
    pub body: &'r [u8],
}

impl Signer {
    /// For a credential that is one piece of text.
    pub fn of_key(auth: Auth, key: Option<&Secret>) -> Self {
        match (auth, key) {
            (_, None) => Self::None,
            (Auth::Header(name), Some(key)) => Self::Header(name, key.clone()),
            (Auth::Bearer | Auth::SigV4(_), Some(key)) => Self::Bearer(key.clone()),
        }
    }

    /// Waits until there is a credential to sign with: tokens that are fetched are fetched in the
    /// background, so only the first request may wait.
    #[expect(clippy::unused_async, reason = "fetched credentials come with the clouds")]
    pub async fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// The headers that prove it.
    pub fn headers(&self, request: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let (name, text) = match self {
            Self::None => return Ok(Vec::new()),
            Self::Bearer(key) => (http::header::AUTHORIZATION, format!("Bearer {}", key.expose())),
            Self::Header(name, key) => (HeaderName::from_static(name), key.expose().to_owned()),
            Self::SigV4(signer) => return signer.headers(request, SystemTime::now()),
        };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Error::internal("the api_key of a provider cannot stand in a header"))?;
        value.set_sensitive(true);
        Ok(vec![(name, value)])
    }
}
