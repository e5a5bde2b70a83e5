//! Opaque state carried through a client whose format has no slot for it.
//!
//! Thinking with a signature has to come back on the next turn exactly as it was given. A client
//! that speaks another format keeps what it has slots for: the ids of tool calls, and the signature
//! of a thinking block. So the state travels inside those, authenticated with a key that only the
//! gateway can derive: a forged or foreign seal does not open and is left out.
//!
//! Each deployment has a key of its own, made of its name and its credential, and knows those of the
//! others in the same configuration: who sealed is part of what is known of an opened seal. What is
//! in it, and who may use it, is decided in [`super::bridge`].
//!
//! Ids of what a provider keeps (files, batches, responses) carry a seal of another kind: nothing is in
//! it, and it proves that the id was given to one tenant ([`Seal::close_owned`]).
//!
//! Form: `weirseal1-` and base64url of a 16-byte HMAC-SHA-256 tag, four bytes that name the key, and
//! the payload. It uses only letters, digits, `-` and `_`, which every vendor allows in an id.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

const MARK: &str = "weirseal1-";
/// How it begins where a format takes signatures in base64 only (Gemini).
pub(in crate::wire) const PACKED_MARK: &str = "d2VpcnNlYWwx";
/// Between an id of the provider's and the state sealed behind it.
const JOINT: &str = "-weirseal1-";
/// As many letters of base64 hold the mark and the 28 letters behind it.
const PACKED_LETTERS: usize = 52;
const TAG_BYTES: usize = 16;
const NAME_BYTES: usize = 4;
const BLOCK_BYTES: usize = 64;

/// The sealing key of one deployment, and those it can open.
#[derive(Clone)]
pub struct Seal {
    own: Key,
    /// Of ids that belong to a tenant. A key apart, so that no sealed state passes for a proof.
    owned: Key,
    /// The keys of all deployments of one configuration; empty for a lone one.
    ring: Arc<[Key]>,
}

#[derive(Clone)]
struct Key {
    /// Which key it is: a hash, so that nothing is said of the owner.
    name: [u8; NAME_BYTES],
    inner: [u8; BLOCK_BYTES],
    outer: [u8; BLOCK_BYTES],
}

/// What was in a seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Sealed by this very deployment.
    pub is_own: bool,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal(..)")
    }
}

impl Key {
    fn new(purpose: &[u8], owner: &str, credential: &[u8]) -> Self {
        let key = Sha256::new_with_prefix(purpose)
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
        let name = first(Sha256::new_with_prefix(b"weir seal key\0").chain_update(key).finalize());
        Self { name, inner, outer }
    }

    fn tag(&self, payload: &[u8]) -> [u8; TAG_BYTES] {
        let inner = Sha256::new_with_prefix(self.inner).chain_update(self.name).chain_update(payload).finalize();
        first(Sha256::new_with_prefix(self.outer).chain_update(inner).finalize())
    }

    fn close(&self, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(TAG_BYTES + NAME_BYTES + payload.len());
        bytes.extend_from_slice(&self.tag(payload));
        bytes.extend_from_slice(&self.name);
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// The first bytes of a hash.
fn first<const N: usize>(hash: impl IntoIterator<Item = u8>) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(hash) {
        *to = from;
    }
    out
}

/// Which key made what stands here.
fn maker_of(seal: &[u8]) -> Option<[u8; NAME_BYTES]> {
    // The tag and the name are 20 bytes: 27 letters if that is all, else the first of 28.
    let sealed = seal.get(MARK.len()..)?;
    let bytes = [28, 27].into_iter().find_map(|letters| URL_SAFE_NO_PAD.decode(sealed.get(..letters)?).ok())?;
    Some(first(bytes.get(TAG_BYTES..TAG_BYTES + NAME_BYTES)?.iter().copied()))
}

/// What is proved of an id. No tenant has a line feed in its name, so nothing can be read two ways.
fn claim(id: &str, tenant: &str) -> Vec<u8> {
    format!("{tenant}\n{id}").into_bytes()
}

impl Seal {
    /// Derives the key from what identifies the owner: the deployment's name and its credential.
    pub fn new(owner: &str, credential: &[u8]) -> Self {
        Self {
            own: Key::new(b"weir seal 1\0", owner, credential),
            owned: Key::new(b"weir owned 1\0", owner, credential),
            ring: Arc::new([]),
        }
    }

    /// Proves whose ids are with a secret of the operator's in place of the credential: it outlives a
    /// change of that, and is there where a server wants none.
    pub fn prove_by(&mut self, owner: &str, secret: &[u8]) {
        self.owned = Key::new(b"weir owned 2\0", owner, secret);
    }

    /// Lets each of them open what the others sealed.
    pub fn acquaint<'s>(seals: impl IntoIterator<Item = &'s mut Self>) {
        let seals: Vec<&mut Self> = seals.into_iter().collect();
        let ring: Arc<[Key]> = seals.iter().map(|seal| seal.own.clone()).collect();
        for seal in seals {
            seal.ring = Arc::clone(&ring);
        }
    }

    /// Seals `payload` alone (a signature).
    pub fn close(&self, payload: &[u8]) -> String {
        format!("{MARK}{}", URL_SAFE_NO_PAD.encode(self.own.close(payload)))
    }

    /// Opens what [`close`](Self::close) of a known key made.
    pub fn open(&self, sealed: &str) -> Option<Opened> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(MARK)?).ok()?;
        let (tag, rest) = bytes.split_at_checked(TAG_BYTES)?;
        let (name, payload) = rest.split_at_checked(NAME_BYTES)?;
        let key = std::iter::once(&self.own).chain(&*self.ring).find(|key| key.name == name)?;
        let is_own = key.name == self.own.name;
        bool::from(key.tag(payload).ct_eq(tag)).then(|| Opened { is_own, payload: payload.to_vec() })
    }

    /// Puts `payload` behind an id.
    pub fn close_id(&self, id: &str, payload: &[u8]) -> String {
        format!("{id}-{}", self.close(payload))
    }

    /// The id without what was sealed behind it: no upstream ever made an id with that.
    pub fn plain_id(id: &str) -> &str {
        id.split_once(JOINT).map_or(id, |(plain, _)| plain)
    }

    /// The id, and the state behind it if it opens.
    pub fn open_id<'i>(&self, id: &'i str) -> (&'i str, Option<Opened>) {
        let plain = Self::plain_id(id);
        (plain, id.get(plain.len() + 1..).and_then(|sealed| self.open(sealed)))
    }

    /// An id of this deployment's provider as `tenant` gets to see it.
    pub fn close_owned(&self, id: &str, tenant: &str) -> String {
        let proof = [&self.owned.tag(&claim(id, tenant))[..], &self.owned.name].concat();
        format!("{id}{JOINT}{}", URL_SAFE_NO_PAD.encode(proof))
    }

    /// The provider's id, if [`close_owned`](Self::close_owned) of this deployment gave it to `tenant`.
    pub fn open_owned<'i>(&self, sealed: &'i str, tenant: &str) -> Option<&'i str> {
        // From the end: the provider may be another gateway that seals.
        let (id, proof) = sealed.rsplit_once(JOINT)?;
        let proof = URL_SAFE_NO_PAD.decode(proof).ok()?;
        let (tag, name) = proof.split_at_checked(TAG_BYTES)?;
        let is_ours = name == self.owned.name && bool::from(self.owned.tag(&claim(id, tenant)).ct_eq(tag));
        is_ours.then_some(id)
    }

    /// Whether this looks like a seal, of whomever.
    pub fn is_sealed(text: &str) -> bool {
        text.starts_with(MARK)
    }

    /// Whether a request body may hold a sealed signature or id: cheap, and never wrong with `false`. Of a body of
    /// Gemini's ask [`may_be_packed_in`](Self::may_be_packed_in) too.
    pub fn may_be_in(body: &[u8]) -> bool {
        // Built once: that costs more than a search of most bodies.
        static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));
        FINDER.find(body).is_some()
    }

    /// The same of signatures in base64.
    pub fn may_be_packed_in(body: &[u8]) -> bool {
        static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(PACKED_MARK));
        FINDER.find(body).is_some()
    }

    /// Which key made the last seal in a request body: that of the latest turn.
    pub fn last_maker(body: &[u8]) -> Option<[u8; NAME_BYTES]> {
        maker_of(body.get(memchr::memmem::rfind(body, MARK.as_bytes())?..)?)
    }

    /// The same of signatures in base64.
    pub fn last_packed_maker(body: &[u8]) -> Option<[u8; NAME_BYTES]> {
        let rest = body.get(memchr::memmem::rfind(body, PACKED_MARK.as_bytes())?..)?;
        let letters = rest.iter().take(PACKED_LETTERS).take_while(|letter| letter.is_ascii_alphanumeric()).count();
        maker_of(&STANDARD_NO_PAD.decode(rest.get(..letters)?).ok()?)
    }

    /// Whether its own key has that name.
    pub fn is_maker(&self, name: [u8; NAME_BYTES]) -> bool {
        self.own.name == name
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_maker_of_the_latest_seal_is_told() {
        let (one, other) = (Seal::new("one", b"k"), Seal::new("other", b"k"));
        let body = format!("{} and later {}", one.close(b"signature"), other.close_id("call_1", b""));
        let maker = Seal::last_maker(body.as_bytes()).unwrap();
        assert!(other.is_maker(maker) && !one.is_maker(maker));
        assert_eq!(Seal::last_maker(b"nothing"), None);
        assert_eq!(Seal::last_maker(b"weirseal1-short"), None);
    }

    /// Gemini's format takes signatures in base64 only.
    #[test]
    fn a_seal_in_base64_is_seen_and_its_maker_told() {
        let (one, other) = (Seal::new("one", b"k"), Seal::new("other", b"k"));
        for payload in [&b""[..], b"s", b"a longer signature"] {
            let packed = STANDARD.encode(one.close(payload));
            assert!(packed.starts_with(PACKED_MARK), "{packed}");
            let body = format!("{{\"a\":\"{}\",\"thoughtSignature\":\"{packed}\"}}", other.close(b"earlier"));
            assert!(Seal::may_be_packed_in(packed.as_bytes()));
            assert!(Seal::last_packed_maker(body.as_bytes()).is_some_and(|maker| one.is_maker(maker)), "{body}");
            assert!(Seal::last_maker(body.as_bytes()).is_some_and(|maker| other.is_maker(maker)), "{body}");
        }
        assert!(!Seal::may_be_packed_in(b"d2VpcnNlYWw and weirseal1-"));
        assert_eq!(Seal::last_packed_maker(b"d2VpcnNlYWwx"), None);
    }

    fn opened(is_own: bool, payload: &[u8]) -> Option<Opened> {
        Some(Opened { is_own, payload: payload.to_vec() })
    }

    #[test]
    fn only_who_knows_the_key_opens_and_a_forgery_does_not() {
        let a = Seal::new("anthropic", b"key");
        let b = Seal::new("anthropic", b"other");
        let id = a.close_id("toolu_1", b"state");
        assert!(id.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));
        assert_eq!(a.open_id(&id), ("toolu_1", opened(true, b"state")));
        assert_eq!(b.open_id(&id), ("toolu_1", None));
        assert_eq!(a.open_id("toolu_1"), ("toolu_1", None));
        assert_eq!(a.open(&a.close(b"")), opened(true, b""));
        for cut in 1..id.len() - "toolu_1-".len() {
            let shorter = id.get(..id.len() - cut).unwrap();
            assert_eq!(a.open_id(shorter).1, None, "{shorter}");
        }
    }

    #[test]
    fn an_id_belongs_to_one_tenant_at_one_deployment() {
        let (a, b) = (Seal::new("a", b"k"), Seal::new("b", b"k"));
        let id = a.close_owned("file-1", "acme");
        assert!(id.starts_with("file-1-weirseal1-") && id.len() == "file-1-weirseal1-".len() + 27, "{id}");
        assert_eq!(a.open_owned(&id, "acme"), Some("file-1"));
        assert_eq!((a.open_owned(&id, "other"), b.open_owned(&id, "acme")), (None, None));
        for forged in ["file-1", "", "file-1-weirseal1-", &id.replace("file-1", "file-2"), &a.close_id("file-1", b"")] {
            assert_eq!(a.open_owned(forged, "acme"), None, "{forged}");
        }
        let (mut before, mut after) = (Seal::new("a", b"old"), Seal::new("a", b"new"));
        assert_eq!(after.open_owned(&before.close_owned("file-1", "acme"), "acme"), None);
        for seal in [&mut before, &mut after] {
            seal.prove_by("a", b"secret");
        }
        assert_eq!(after.open_owned(&before.close_owned("file-1", "acme"), "acme"), Some("file-1"));
        let twice = b.close_owned(&id, "acme");
        assert_eq!(b.open_owned(&twice, "acme"), Some(id.as_str()));
        assert_eq!(a.open_id(&id), ("file-1", None));
    }

    #[test]
    fn every_changed_byte_breaks_it() {
        let seal = Seal::new("a", b"k");
        let bytes = seal.own.close(b"state");
        for at in 0..bytes.len() {
            let mut forged = bytes.clone();
            forged[at] ^= 1;
            assert_eq!(seal.open(&format!("{MARK}{}", URL_SAFE_NO_PAD.encode(forged))), None, "{at}");
        }
    }

    #[test]
    fn acquaintances_open_each_others_and_know_whose_it_was() {
        let mut all = [Seal::new("a", b"1"), Seal::new("b", b"2")];
        Seal::acquaint(&mut all);
        let [a, b] = &all;
        assert_eq!(b.open(&a.close(b"x")), opened(false, b"x"));
        assert_eq!(a.open(&a.close(b"x")), opened(true, b"x"));
        assert_eq!(a.open(&Seal::new("c", b"3").close(b"x")), None);
    }
}
