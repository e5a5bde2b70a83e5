//! Opaque state carried through a client whose format has no slot for it.
//!
//! Thinking with a signature has to come back on the next turn exactly as it was given. A client
//! that speaks another format keeps what it has slots for: the ids of tool calls, and the signature
//! of a thinking block. So the state travels inside those, authenticated with a key that only the
//! deployment that made it can derive: a forged or foreign seal does not open and is left out.
//!
//! Form: `weirseal1-` and base64url of a 16-byte HMAC-SHA-256 tag followed by the payload. It uses only
//! letters, digits, `-` and `_`, which every vendor allows in an id.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const MARK: &str = "weirseal1-";
/// Between an id of the provider's and the state sealed behind it.
const JOINT: &str = "-weirseal1-";
const TAG_BYTES: usize = 16;
const BLOCK_BYTES: usize = 64;

/// The sealing key of one deployment.
#[derive(Clone)]
pub struct Seal {
    inner: [u8; BLOCK_BYTES],
    outer: [u8; BLOCK_BYTES],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Seal {
    /// Derives the key from what identifies the owner: the deployment's name and its credential.
    pub fn new(owner: &str, credential: &[u8]) -> Self {
        let key = Sha256::new_with_prefix(b"weir seal 1\0")
            .chain_update(owner)
            .chain_update(b"\0")
            .chain_update(credential)
            .finalize();
        let mut inner = [0x36; BLOCK_BYTES];
        let mut outer = [0x5c; BLOCK_BYTES];
        for ((i, o), k) in inner.iter_mut().zip(&mut outer).zip(key) {
            *i ^= k;
            *o ^= k;
        }
        Self { inner, outer }
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        let inner = Sha256::new_with_prefix(self.inner).chain_update(payload).finalize();
        let full = Sha256::new_with_prefix(self.outer).chain_update(inner).finalize();
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(full) {
            *to = from;
        }
        tag
    }

    /// Seals `payload` alone (a signature).
    pub fn close(&self, payload: &[u8]) -> String {
        let mut bytes = self.tag(payload).to_vec();
        bytes.extend_from_slice(payload);
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Opens what [`close`](Self::close) of the same owner made.
    pub fn open(&self, sealed: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(MARK)?).ok()?;
        let (tag, payload) = bytes.split_at_checked(TAG_BYTES)?;
        bool::from(self.tag(payload).ct_eq(tag)).then(|| payload.to_vec())
    }

    /// Puts `payload` behind an id.
    pub fn close_id(&self, id: &str, payload: &[u8]) -> String {
        format!("{id}-{}", self.close(payload))
    }

    /// The id, and the state behind it if it is ours. The state is cut off in any case: no upstream
    /// ever made an id with it.
    pub fn open_id<'i>(&self, id: &'i str) -> (&'i str, Option<Vec<u8>>) {
        match id.split_once(JOINT) {
            Some((plain, _)) => (plain, self.open(id.get(plain.len() + 1..).unwrap_or_default())),
            None => (id, None),
        }
    }

    /// Whether this looks like a seal, of whomever.
    pub fn is_sealed(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// Whether a request body may hold a sealed signature or id: cheap, and never wrong with `false`.
    pub fn may_be_in(body: &[u8]) -> bool {
        memchr::memmem::find(body, MARK.as_bytes()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_opens_and_a_forgery_does_not() {
        let a = Seal::new("anthropic", b"key");
        let b = Seal::new("anthropic", b"other");
        let id = a.close_id("toolu_1", b"state");
        assert!(id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
        assert_eq!(a.open_id(&id), ("toolu_1", Some(b"state".to_vec())));
        assert_eq!(b.open_id(&id), ("toolu_1", None));
        assert_eq!(a.open_id("toolu_1"), ("toolu_1", None));
        assert_eq!(a.open_id(id.get(..id.len() - 1).unwrap()).1, None);
        assert_eq!(a.open(&a.close(b"")).unwrap(), b"");
    }
}
