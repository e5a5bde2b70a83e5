//! Keys: found by their SHA-256, compared in constant time, refused in constant words.

#[cfg(feature = "proxy")]
pub mod tokens;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::stored::Freshness;
use crate::config::access::holds;
use crate::config::runtime::{Key, ModelPattern, Runtime};
use crate::error::{Error, Kind, Result};
use crate::limit::{Bound, KeyLimits};
use crate::secret::minted::{self, Shape};

/// Longer credentials are nobody's: refused without hashing them. Keys are far shorter, tokens are not.
const MOST_TOKEN_BYTES: usize = 8 * 1024;
/// When to come back while nobody can look.
const AWAY: Duration = Duration::from_secs(2);

/// Everybody who may call, with their limits resolved: the keys of a configuration, those made at run
/// time, and the bearers of tokens.
///
/// Finding a key is one hash and one read. The map is keyed by the first 8 bytes of the digest, which is
/// as good as random; who is behind them is decided over all 32 bytes in constant time.
#[derive(Default)]
pub struct Keyring {
    by_prefix: HashMap<u64, Vec<Entry>, BuildHasherDefault<Prefix>>,
    freshness: Option<Arc<Freshness>>,
    #[cfg(feature = "proxy")]
    tokens: tokens::Tokens,
}

struct Entry {
    sha256: [u8; 32],
    caller: Arc<Caller>,
    /// Of a secret that was changed: the first moment at which it is nobody's.
    until: Option<SystemTime>,
}

/// A known key.
#[derive(Debug)]
pub struct Caller {
    pub key: Arc<Key>,
    pub limits: Arc<KeyLimits>,
    /// The user whom a token names, whose limits hold too.
    pub user: Option<String>,
}

/// Who may call beside the keys of the configuration.
#[derive(Debug, Default)]
pub struct Roster {
    pub stored: Vec<([u8; 32], Arc<Key>)>,
    /// How fresh those are; `None` where there is no database to have more of them.
    pub freshness: Option<Arc<Freshness>>,
    #[cfg(feature = "proxy")]
    pub tokens: tokens::Tokens,
}

impl Roster {
    /// All that limits have to be bound for.
    pub fn keys(&self) -> impl Iterator<Item = (&[u8; 32], &Arc<Key>)> {
        #[cfg(feature = "proxy")]
        let tokens = self.tokens.keys();
        #[cfg(not(feature = "proxy"))]
        let tokens = std::iter::empty();
        self.stored.iter().map(|(sha256, key)| (sha256, key)).chain(tokens)
    }
}

impl Keyring {
    /// `bound` has to come from the same runtime and roster.
    pub fn new(runtime: &Runtime, roster: Roster, bound: &Bound) -> Self {
        let mut ring = Self { freshness: roster.freshness, ..Self::default() };
        let stored = roster.stored.iter().map(|(sha256, key)| (sha256, key));
        for (sha256, key) in runtime.keys.iter().chain(stored) {
            let limits = bound.get(sha256).map(Arc::clone).unwrap_or_default();
            let caller = Arc::new(Caller { key: Arc::clone(key), limits, user: None });
            if let Some(previous) = key.previous {
                ring.add(previous.sha256, Arc::clone(&caller), Some(previous.until));
            }
            ring.add(*sha256, caller, None);
        }
        #[cfg(feature = "proxy")]
        {
            ring.tokens = roster.tokens.bound(bound);
        }
        ring
    }

    fn add(&mut self, sha256: [u8; 32], caller: Arc<Caller>, until: Option<SystemTime>) {
        self.by_prefix.entry(prefix(&sha256)).or_default().push(Entry { sha256, caller, until });
    }

    /// Who shows `secret`. Whether they may come in is another question ([`Caller::admit`]). The error
    /// never repeats what was shown.
    ///
    /// `may_check` is asked before a signature is: that is costly.
    pub fn find(&self, secret: &[u8], now: SystemTime, may_check: impl FnOnce() -> Result<()>) -> Result<Arc<Caller>> {
        if secret.is_empty() || secret.len() > MOST_TOKEN_BYTES {
            return Err(unknown_key());
        }
        let shown: [u8; 32] = Sha256::digest(secret).into();
        if let Some(caller) = self.look_up(&shown, now) {
            return Ok(Arc::clone(caller));
        }
        match minted::shape(secret) {
            Shape::Whole => return Err(self.unknown()),
            // Nobody made it, here or elsewhere, unless the configuration says so: there a key is any text.
            Shape::Broken => return Err(unknown_key()),
            Shape::Other => {}
        }
        #[cfg(feature = "proxy")]
        return self.tokens.find(secret, &shown, now, may_check);
        #[cfg(not(feature = "proxy"))]
        {
            drop(may_check);
            Err(unknown_key())
        }
    }

    fn look_up(&self, shown: &[u8; 32], now: SystemTime) -> Option<&Arc<Caller>> {
        let entries = self.by_prefix.get(&prefix(shown))?;
        let lives = |entry: &&Entry| entry.until.is_none_or(|until| now < until);
        entries.iter().filter(lives).find(|entry| bool::from(entry.sha256.ct_eq(shown))).map(|entry| &entry.caller)
    }

    /// A key of our making that is not known here. It may be, where keys are kept; while nobody can look
    /// there, to call it unknown would be to turn good keys away for good.
    fn unknown(&self) -> Error {
        match &self.freshness {
            Some(freshness) if freshness.is_stale() => {
                let text = "this API key cannot be checked at the moment; try again";
                Error::new(Kind::KeysUnavailable, text).with_retry_after(AWAY)
            }
            _ => unknown_key(),
        }
    }

    /// The issuers of tokens.
    #[cfg(feature = "proxy")]
    pub fn tokens(&self) -> &tokens::Tokens {
        &self.tokens
    }
}

impl Caller {
    /// Whether they may come in, now and from there; `None` is nobody knows where.
    pub fn admit(&self, now: SystemTime, from: Option<IpAddr>) -> Result<()> {
        admit(&self.key, now)?;
        let networks = &self.key.allowed_addresses;
        match networks.is_empty() || from.is_some_and(|address| holds(networks, address)) {
            true => Ok(()),
            false => Err(Error::new(Kind::AddressNotAllowed, "this API key may not be used from this address")),
        }
    }

    /// Whether key and tenant both allow the model. `names` is every name it goes by: what the client
    /// wrote (a route, a bare name) and the `provider/model` it stands for.
    pub fn may_use(&self, names: &[&str]) -> Result<()> {
        let allows = |list: &[ModelPattern]| {
            list.is_empty() || list.iter().any(|pattern| names.iter().any(|name| pattern.matches(name)))
        };
        if allows(&self.key.models) && allows(&self.key.tenant.models) {
            return Ok(());
        }
        Err(Error::new(Kind::ModelNotAllowed, "this API key may not use this model").with_param("model"))
    }
}

/// Whether a key opens the door at `now`.
pub fn admit(key: &Key, now: SystemTime) -> Result<()> {
    if !key.active {
        return Err(Error::new(Kind::KeyInactive, "this API key is inactive"));
    }
    if key.expires.is_some_and(|expires| expires <= now) {
        return Err(Error::new(Kind::KeyExpired, "this API key has expired"));
    }
    Ok(())
}

/// The 401 for a request that shows nothing.
pub fn missing_key() -> Error {
    Error::new(Kind::MissingKey, "no API key was given: send it as 'Authorization: Bearer' or 'x-api-key'")
}

/// The 401 for a credential that nobody here issued: the same words whatever was shown.
pub fn unknown_key() -> Error {
    Error::new(Kind::InvalidKey, "this API key is not known here")
}

fn prefix(sha256: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *sha256;
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

/// The prefix of a digest needs no hashing.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("keys", &self.by_prefix.len()).finish()
    }
}

#[cfg(test)]
mod tests;
