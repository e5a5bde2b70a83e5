//! How a request proves who it is.

pub mod call;
#[cfg(feature = "aws")]
pub mod chain;
#[cfg(feature = "azure")]
pub mod entra;
pub mod fetched;
#[cfg(feature = "gcp")]
pub mod google;
#[cfg(any(feature = "gcp", feature = "azure"))]
mod oauth;
pub mod sigv4;

use std::time::SystemTime;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use self::call::Caller;
#[cfg(any(feature = "gcp", feature = "azure"))]
use self::fetched::Fetched;
use self::fetched::Refresh;
use self::sigv4::SigV4;
use super::Auth;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::wire::pieces::Pieces;

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
    /// A token of Google's, and who pays where it says so.
    #[cfg(feature = "gcp")]
    Google(Fetched<google::Google>),
    /// A token of Microsoft's.
    #[cfg(feature = "azure")]
    Entra(Fetched<entra::Entra>),
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
    pub body: &'r Pieces,
}

impl Signer {
    /// For a credential that is one piece of text.
    pub fn of_key(auth: Auth, key: Option<&Secret>) -> Self {
        match (auth, key) {
            (_, None) => Self::None,
            (Auth::Header(name), Some(key)) => Self::Header(name, key.clone()),
            (Auth::Bearer | Auth::SigV4(_) | Auth::Google, Some(key)) => Self::Bearer(key.clone()),
        }
    }

    /// What is fetched of it, and has to be kept fresh.
    fn fetched(&self) -> Option<&dyn Refresh> {
        match self {
            Self::None | Self::Bearer(_) | Self::Header(..) => None,
            Self::SigV4(signer) => signer.fetched(),
            #[cfg(feature = "gcp")]
            Self::Google(google) => Some(google),
            #[cfg(feature = "azure")]
            Self::Entra(entra) => Some(entra),
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

    /// The provider has refused it: what is fetched is fetched again, unless it is new.
    pub fn doubt(&self, now: SystemTime) {
        if let Some(fetched) = self.fetched() {
            fetched.doubt(now);
        }
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
            #[cfg(feature = "gcp")]
            (Self::Google(new), Self::Google(old)) => new.keep(old),
            #[cfg(feature = "azure")]
            (Self::Entra(new), Self::Entra(old)) => new.keep(old),
            _ => {}
        }
    }

    /// What goes out on requests, or is what they are signed with: to be taken out of whatever comes back.
    pub fn secrets(&self) -> Vec<Secret> {
        let mut secrets = Vec::new();
        self.each_secret(|secret| secrets.push(secret.clone()));
        secrets
    }

    /// The same, one by one and where they are.
    pub fn each_secret(&self, mut give: impl FnMut(&Secret)) {
        match self {
            Self::None => {}
            Self::Bearer(key) | Self::Header(_, key) => give(key),
            Self::SigV4(signer) => signer.secrets().iter().for_each(give),
            #[cfg(feature = "gcp")]
            Self::Google(google) => google.last().iter().for_each(|token| give(token)),
            #[cfg(feature = "azure")]
            Self::Entra(entra) => entra.last().iter().for_each(|token| give(token)),
        }
    }

    /// The headers that prove it.
    pub fn headers(&self, request: &Unsigned<'_>) -> Result<Vec<(HeaderName, HeaderValue)>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Bearer(key) => Ok(vec![bearer(key)?]),
            Self::Header(name, key) => Ok(vec![(HeaderName::from_static(name), sensitive(key.expose())?)]),
            Self::SigV4(signer) => signer.headers(request, SystemTime::now()),
            #[cfg(feature = "gcp")]
            Self::Google(google) => {
                let mut headers = vec![bearer(google.get()?.as_ref())?];
                if let Some(project) = &google.source().quota_project {
                    headers.push((HeaderName::from_static("x-goog-user-project"), sensitive(project)?));
                }
                Ok(headers)
            }
            #[cfg(feature = "azure")]
            Self::Entra(entra) => Ok(vec![bearer(entra.get()?.as_ref())?]),
        }
    }
}

fn bearer(token: &Secret) -> Result<(HeaderName, HeaderValue)> {
    Ok((AUTHORIZATION, sensitive(&["Bearer ", token.expose()].concat())?))
}

fn sensitive(text: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| Error::internal("the credential of a provider cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}
