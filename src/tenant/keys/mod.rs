//! Keys: found by their SHA-256, compared in constant time, refused in constant words.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::SystemTime;

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::runtime::{Key, ModelPattern, Runtime};
use crate::error::{Error, Kind, Result};
use crate::limit::{Bound, KeyLimits};

/// Longer credentials are nobody's key: refused without hashing them.
const MOST_SECRET_BYTES: usize = 1_024;

/// Every key of a configuration, with its limits resolved.
///
/// Finding one is one hash and one read. The map is keyed by the first 8 bytes of the digest, which is
/// as good as random; who is behind them is decided over all 32 bytes in constant time.
#[derive(Default)]
pub struct Keyring {
    by_prefix: HashMap<u64, Vec<Entry>, BuildHasherDefault<Prefix>>,
}

struct Entry {
    sha256: [u8; 32],
    caller: Arc<Caller>,
}

/// A known key.
#[derive(Debug)]
pub struct Caller {
    pub key: Arc<Key>,
    pub limits: Arc<KeyLimits>,
}

impl Keyring {
    /// `bound` has to come from the same runtime.
    pub fn new(runtime: &Runtime, bound: &Bound) -> Self {
        let mut ring = Self::default();
        for (sha256, key) in &runtime.keys {
            let limits = bound.get(sha256).map(Arc::clone).unwrap_or_default();
            let caller = Arc::new(Caller { key: Arc::clone(key), limits });
            ring.by_prefix.entry(prefix(sha256)).or_default().push(Entry { sha256: *sha256, caller });
        }
        ring
    }

    /// Who shows `secret`, if they may come in at `now`. The error never repeats what was shown.
    pub fn find(&self, secret: &[u8], now: SystemTime) -> Result<&Arc<Caller>> {
        let caller = self.look_up(secret).ok_or_else(unknown_key)?;
        admit(&caller.key, now)?;
        Ok(caller)
    }

    fn look_up(&self, secret: &[u8]) -> Option<&Arc<Caller>> {
        if secret.is_empty() || secret.len() > MOST_SECRET_BYTES {
            return None;
        }
        let shown: [u8; 32] = Sha256::digest(secret).into();
        let entries = self.by_prefix.get(&prefix(&shown))?;
        entries.iter().find(|entry| bool::from(entry.sha256.ct_eq(&shown))).map(|entry| &entry.caller)
    }
}

impl Caller {
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
