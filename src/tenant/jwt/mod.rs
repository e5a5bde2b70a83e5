//! Tokens of identity providers, taken as keys: JSON Web Tokens, RFC 7519.
//!
//! A token is checked here, without asking anybody: its signature against the issuer's public keys,
//! which are fetched beside the requests and kept while the issuer is away; that it is for us; that it
//! has begun and not ended. Only signatures of public keys exist for this module, so nobody can sign with a
//! public key as if it were a shared secret, and `none` is no algorithm. Keys that a token brings itself
//! (`jwk`, `jku`, `x5c`) are not looked at.
//!
//! A signature costs some hundred microseconds to check, so what came of it is remembered by the
//! SHA-256 of the whole token: of good ones until they end or the issuer's keys change, of bad ones until
//! any issuer's keys change. Both memories are bounded.

mod claims;
mod keyset;
pub(in crate::tenant) mod memory;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, Validation};

use self::claims::Given;
use self::keyset::{Jwks, KeySet};
use self::memory::Memory;
use crate::config::access::{self, Auth, KeySource};
use crate::error::{Error, Kind, Result};
use crate::provider::sign::call::Caller;
use crate::provider::sign::fetched::{Fetched, Refresh as _};
use crate::tenant::keys::unknown_key;

pub use self::claims::Verified;

/// Longer tokens are nobody's.
pub const MOST_BYTES: usize = 8 * 1024;
/// Of one set, for one token that does not say which.
const MOST_TRIES: usize = 8;
/// Remembered, of good ones and of bad ones each.
const REMEMBERED: usize = 10_000;
/// A request waits no longer for the first keys of its issuer.
const PATIENCE: Duration = Duration::from_secs(5);

/// All of them, with what is known of their tokens.
#[derive(Debug)]
pub struct Issuers {
    config: Auth,
    all: Vec<Issuer>,
    good: Memory<Good>,
    bad: Memory<u64>,
    checked: AtomicU64,
}

/// A token that was found good.
#[derive(Debug, Clone)]
struct Good {
    verified: Arc<Verified>,
    /// Of the key set that said so.
    generation: u64,
}

#[derive(Debug)]
struct Issuer {
    config: access::Issuer,
    keys: Keys,
}

#[derive(Debug)]
enum Keys {
    Fixed(Arc<KeySet>),
    Fetched(Box<Fetched<Jwks>>),
}

impl Issuers {
    /// Fails where a key that was written down is none. What `old` knows stays, where it is the same.
    pub fn new(config: &Auth, old: Option<&Arc<Self>>) -> Result<Arc<Self>, String> {
        if let Some(old) = old.filter(|old| old.config == *config) {
            return Ok(Arc::clone(old));
        }
        let all = config.jwt.iter().map(|one| Issuer::new(one, old)).collect::<Result<_, _>>()?;
        let (good, bad) = (Memory::new(REMEMBERED), Memory::new(REMEMBERED));
        Ok(Arc::new(Self { config: config.clone(), all, good, bad, checked: AtomicU64::new(0) }))
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The names of all, with the tenants that their tokens can belong to; no list: any tenant.
    pub fn tenants(&self) -> impl Iterator<Item = (&str, Option<Vec<&str>>)> {
        self.all.iter().map(|issuer| {
            let config = &issuer.config;
            let fixed = config.tenant.as_deref().map(|tenant| vec![tenant]);
            let mapped = (!config.tenants.is_empty()).then(|| config.tenants.values().map(String::as_str).collect());
            (config.name.as_str(), fixed.or(mapped))
        })
    }

    /// What the token says of its bearer. The error is the same whatever is wrong with it, but for one
    /// that was good and has ended.
    ///
    /// `may_check` is asked before anything costly is done.
    pub fn verify(
        &self,
        token: &[u8],
        sha256: &[u8; 32],
        now: SystemTime,
        may_check: impl FnOnce() -> Result<()>,
    ) -> Result<Arc<Verified>> {
        if self.all.is_empty() || !looks_like_one(token) {
            return Err(unknown_key());
        }
        if let Some(good) = self.good.get(sha256).filter(|good| self.is_current(good)) {
            return good.verified.admit(now).map(|()| good.verified);
        }
        let generation = self.generation();
        if self.bad.get(sha256) == Some(generation) {
            return Err(unknown_key());
        }
        may_check()?;
        match self.check(token, now) {
            Ok(good) => {
                let verified = Arc::clone(&good.verified);
                self.good.put(*sha256, good);
                verified.admit(now).map(|()| verified)
            }
            Err(Refused::Unknown(why)) => {
                tracing::debug!(why, "a token was refused");
                self.bad.put(*sha256, generation);
                Err(unknown_key())
            }
            Err(Refused::NotYet) => Err(unknown_key()),
            Err(Refused::NoKeys) => {
                Err(Error::new(Kind::KeysUnavailable, "this token cannot be checked at the moment; try again")
                    .with_retry_after(Duration::from_secs(5)))
            }
        }
    }

    /// How many tokens were checked, rather than remembered.
    pub fn checked(&self) -> u64 {
        self.checked.load(Ordering::Relaxed)
    }

    /// Waits for the keys of a token's issuer, where none ever came. Not for long, and not again.
    pub async fn wait_for(&self, token: &[u8]) {
        let Some(claimed) = looks_like_one(token).then(|| Given::of(token)).flatten() else { return };
        for issuer in self.all.iter().filter(|issuer| claimed.is_from(&issuer.config.issuer)) {
            if let Keys::Fetched(cell) = &issuer.keys {
                // Why there are none is said by who fetches them.
                let _ = tokio::time::timeout(PATIENCE, cell.ready()).await;
            }
        }
    }

    /// Whether any issuer's keys were never seen.
    pub fn is_waiting(&self) -> bool {
        self.all.iter().any(|issuer| matches!(&issuer.keys, Keys::Fetched(cell) if cell.is_new()))
    }

    /// Which issuers' keys it is time to fetch.
    pub fn due(&self, now: SystemTime) -> Vec<usize> {
        let is_due = |issuer: &Issuer| matches!(&issuer.keys, Keys::Fetched(cell) if cell.is_due(now));
        self.all.iter().enumerate().filter(|(_, issuer)| is_due(issuer)).map(|(index, _)| index).collect()
    }

    /// Fetches those of one of them. Called by one at a time; the error comes with the issuer's name.
    pub async fn refresh(&self, index: usize, caller: &dyn Caller) -> Result<(), (String, Error)> {
        let Some(Issuer { config, keys: Keys::Fetched(cell) }) = self.all.get(index) else { return Ok(()) };
        cell.refresh(caller).await.map_err(|error| (config.name.clone(), error))
    }

    /// Of all key sets together: another as soon as one of them is.
    fn generation(&self) -> u64 {
        let one = |issuer: &Issuer| issuer.keys().map_or(0, |keys| keys.generation);
        self.all.iter().fold(0, |all: u64, issuer| all.rotate_left(1) ^ one(issuer))
    }

    fn is_current(&self, good: &Good) -> bool {
        let of = self.all.get(good.verified.issuer).and_then(Issuer::keys);
        of.is_some_and(|keys| keys.generation == good.generation)
    }

    fn check(&self, token: &[u8], now: SystemTime) -> Result<Good, Refused> {
        self.checked.fetch_add(1, Ordering::Relaxed);
        let head = jsonwebtoken::decode_header(token).map_err(|_| Refused::Unknown("its head cannot be read"))?;
        if head.crit.is_some() {
            return Err(Refused::Unknown("it has extensions that must be understood"));
        }
        let given = Given::of(token).ok_or(Refused::Unknown("its claims cannot be read"))?;
        let mut worst = Refused::Unknown("it is from nobody who is known");
        let theirs = self.all.iter().enumerate().filter(|(_, issuer)| given.is_from(&issuer.config.issuer));
        for (index, issuer) in theirs {
            match issuer.check(index, token, (head.alg, head.kid.as_deref()), now) {
                Ok(good) => return Ok(good),
                Err(why) => worst = worst.or(why),
            }
        }
        Err(worst)
    }
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Unknown(&'static str),
    /// It is good, and has not begun.
    NotYet,
    /// Nobody can say.
    NoKeys,
}

impl Refused {
    fn or(self, other: Self) -> Self {
        if matches!(other, Self::Unknown(_)) && !matches!(self, Self::Unknown(_)) { self } else { other }
    }
}

impl Issuer {
    fn new(config: &access::Issuer, old: Option<&Arc<Issuers>>) -> Result<Self, String> {
        let wrong = |why: String| format!("auth.jwt {}: {why}", config.name);
        let keys = match &config.keys {
            KeySource::Set(text) => Keys::Fixed(Arc::new(KeySet::from_json(text.as_bytes()).map_err(wrong)?)),
            KeySource::Pem(text) => Keys::Fixed(Arc::new(KeySet::from_pem(text.as_bytes()).map_err(wrong)?)),
            KeySource::Url(url) => {
                let cell = Fetched::new(Jwks { url: url.clone() });
                let known = old.iter().flat_map(|old| &old.all).find_map(|issuer| match &issuer.keys {
                    Keys::Fetched(known) if known.source() == cell.source() => Some(known),
                    _ => None,
                });
                if let Some(known) = known {
                    cell.keep(known);
                }
                Keys::Fetched(Box::new(cell))
            }
        };
        Ok(Self { config: config.clone(), keys })
    }

    /// The last that were seen.
    fn keys(&self) -> Option<Arc<KeySet>> {
        match &self.keys {
            Keys::Fixed(keys) => Some(Arc::clone(keys)),
            Keys::Fetched(cell) => cell.last(),
        }
    }

    fn check(
        &self,
        index: usize,
        token: &[u8],
        (algorithm, kid): (Algorithm, Option<&str>),
        now: SystemTime,
    ) -> Result<Good, Refused> {
        let Some(allowed) = keyset::known(algorithm).filter(|known| self.config.algorithms.contains(known)) else {
            return Err(Refused::Unknown("its algorithm is not taken"));
        };
        let keys = self.keys().ok_or(Refused::NoKeys)?;
        let mut fitting = keys.fitting(allowed, kid).take(MOST_TRIES).peekable();
        if fitting.peek().is_none() {
            // There may be new ones.
            if let Keys::Fetched(cell) = &self.keys {
                cell.doubt(now);
            }
            return Err(Refused::Unknown("its key is not known"));
        }
        let validation = self.validation(algorithm);
        let mut why = "its signature is wrong";
        for key in fitting {
            match jsonwebtoken::decode::<Given>(token, key, &validation) {
                Ok(data) => {
                    let mut verified = Verified::new(&data.claims, &self.config, index).map_err(Refused::Unknown)?;
                    if data.claims.begins_after(now + self.config.leeway) {
                        return Err(Refused::NotYet);
                    }
                    verified.expires_at += self.config.leeway;
                    return Ok(Good { verified: Arc::new(verified), generation: keys.generation });
                }
                Err(error) => why = keyset::why(&error),
            }
        }
        Err(Refused::Unknown(why))
    }

    /// When it begins and ends is looked at by us, by the request's own clock.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&self.config.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        (validation.validate_exp, validation.validate_nbf) = (false, false);
        validation
    }
}

/// Three parts of base64url, of which the first is an object.
pub fn looks_like_one(token: &[u8]) -> bool {
    let is_letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut parts = token.split(|byte| *byte == b'.');
    let three = [parts.next(), parts.next(), parts.next()];
    token.len() <= MOST_BYTES
        && token.starts_with(b"eyJ")
        && parts.next().is_none()
        && three.iter().all(|part| part.is_some_and(|part| !part.is_empty() && part.iter().all(is_letter)))
}

#[cfg(test)]
mod tests;
