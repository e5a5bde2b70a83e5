//! Exchanges on disk: encrypted with AES-256-GCM, each with a nonce of its own, bound to its name.

use std::fmt;

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha2::{Digest as _, Sha256};

use crate::config::capture::CaptureKey;

const MAGIC: &[u8; 8] = b"weircap1";
/// Tells one key from another, and nothing about it.
const KEY_NAME_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const HEAD_BYTES: usize = MAGIC.len() + KEY_NAME_BYTES + NONCE_BYTES;

/// Why it cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// `telemetry.capture.key` was another one then.
    OtherKey,
    /// It is not what was written.
    Damaged,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "it was encrypted with another `telemetry.capture.key`",
            Self::Damaged => "the file is damaged",
        })
    }
}

/// `None`: there is no randomness.
pub(super) fn seal(key: &CaptureKey, name: &str, plain: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).ok()?;
    let mut text = plain.to_vec();
    let about = about(key, name);
    cipher(key)?.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), &mut text).ok()?;
    let mut out = Vec::with_capacity(HEAD_BYTES + text.len());
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&key_name(key));
    out.extend_from_slice(&nonce);
    out.append(&mut text);
    Some(out)
}

pub(super) fn open(key: &CaptureKey, name: &str, sealed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let rest = sealed.strip_prefix(MAGIC).ok_or(Unreadable::Damaged)?;
    let (named, rest) = rest.split_at_checked(KEY_NAME_BYTES).ok_or(Unreadable::Damaged)?;
    if *named != key_name(key) {
        return Err(Unreadable::OtherKey);
    }
    let (nonce, text) = rest.split_first_chunk().ok_or(Unreadable::Damaged)?;
    let cipher = cipher(key).ok_or(Unreadable::Damaged)?;
    let (nonce, about, mut text) = (Nonce::assume_unique_for_key(*nonce), about(key, name), text.to_vec());
    let opened = cipher.open_in_place(nonce, Aad::from(about), &mut text).map_err(|_| Unreadable::Damaged)?;
    Ok(opened.to_vec())
}

fn cipher(key: &CaptureKey) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new)
}

fn key_name(key: &CaptureKey) -> [u8; KEY_NAME_BYTES] {
    let mut hash = Sha256::new();
    hash.update(b"weir capture key name");
    hash.update(key.expose());
    let hash: [u8; 32] = hash.finalize().into();
    *hash.first_chunk().unwrap_or(&[0; KEY_NAME_BYTES])
}

/// What a file is bound to: neither its key's name nor its own can be changed.
fn about(key: &CaptureKey, name: &str) -> Vec<u8> {
    [MAGIC.as_slice(), &key_name(key), name.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> CaptureKey {
        CaptureKey::parse(&hex::encode([byte; 32])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_under_its_name() {
        let sealed = seal(&key(1), "one", b"a prompt").unwrap();
        assert_eq!(open(&key(1), "one", &sealed).as_deref(), Ok(b"a prompt".as_slice()));
        assert_eq!(open(&key(2), "one", &sealed), Err(Unreadable::OtherKey));
        assert_eq!(open(&key(1), "two", &sealed), Err(Unreadable::Damaged));
        assert!(!sealed.windows(4).any(|window| window == b"prom"));
        assert_ne!(seal(&key(1), "one", b"a prompt").unwrap(), sealed, "a nonce of its own");
    }

    #[test]
    fn any_change_and_any_cut_is_seen() {
        let sealed = seal(&key(1), "one", b"a prompt").unwrap();
        for at in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(open(&key(1), "one", &bad).is_err(), "byte {at}");
            assert!(open(&key(1), "one", &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
