//! How a request proves who it is.

pub mod call;
#[cfg(feature = "aws")]
pub mod chain;
pub mod fetched;
pub mod sigv4;

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::call::Caller;
use self::fetched::Refresh;
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

    /// What is fetched of it, and has to be kept fresh.
    fn fetched(&self) -> Option<&dyn Refresh> {
        match self {
            Self::None | Self::Bearer(_) | Self::Header(..) => None,
            Self::SigV4(signer) => signer.fetched(),
        }
    }

    /// Waits until there is a credential to sign with: tokens that are fetched are fetched in the
    /// background, so only the first request may wait.
    pub async fn ready(&self) -> Result<()> {
        match self.fetched() {
            Some(fetched) => fetched.ready().await,
            None => Ok(()),
        }
    }

    /// Whether it is time to fetch it.
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.fetched().is_some_and(|fetched| fetched.is_due(now))
    }

    /// Fetches it, whatever the time. One at a time may.
    pub async fn refresh(&self, caller: &dyn Caller) -> Result<()> {
        match self.fetched() {
            Some(fetched) => fetched.refresh(caller).await,
            None => Ok(()),
        }
    }

    /// Takes what was fetched before a reload, where the settings are the same.
    pub fn keep(&self, old: &Self) {
        match (self, old) {
            (Self::SigV4(new), Self::SigV4(old)) => new.keep(old),
            (Self::None | Self::Bearer(_) | Self::Header(..) | Self::SigV4(_), _) => {}
        }
    }

    /// What goes out on requests, or is what they are signed with: to be taken out of whatever comes back.
    pub fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::None => Vec::new(),
            Self::Bearer(key) | Self::Header(_, key) => vec![key.clone()],
            Self::SigV4(signer) => signer.secrets(),
        }
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
