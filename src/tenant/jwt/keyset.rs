//! Public keys of an issuer.

use std::time::{Duration, SystemTime};

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::config::access;
use crate::error::Result;
use crate::provider::sign::call::{Call, Caller, not_fetched};
use crate::provider::sign::fetched::{Fresh, Source};

/// More keys than this no issuer has.
const MOST_KEYS: usize = 100;
/// A cell fetches again in the last quarter of a lifetime, at most five minutes before its end: of this
/// one, after ten minutes.
const LIFETIME: Duration = Duration::from_secs(800);

/// The keys of one moment.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
    /// Of the text they were read from: fetched again and found the same, they are the same.
    pub(super) generation: u64,
}

struct PublicKey {
    id: Option<String>,
    /// What it can have signed.
    algorithms: Vec<access::Algorithm>,
    key: DecodingKey,
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PublicKey({:?}, {:?})", self.id, self.algorithms)
    }
}

#[derive(Deserialize)]
struct Set<'j> {
    #[serde(borrow)]
    keys: Vec<&'j RawValue>,
}

const RSA: [access::Algorithm; 6] = {
    use access::Algorithm::{Ps256, Ps384, Ps512, Rs256, Rs384, Rs512};
    [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]
};

impl KeySet {
    fn new(keys: Vec<PublicKey>, text: &[u8]) -> Result<Self, String> {
        if keys.is_empty() {
            return Err("there is no public key that could be used".to_owned());
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(text));
        Ok(Self { keys, generation: u64::from_le_bytes([a, b, c, d, e, f, g, h]) })
    }

    /// A JWK set, RFC 7517. Keys of kinds that are not known are left out.
    pub(super) fn from_json(text: &[u8]) -> Result<Self, String> {
        let set: Set<'_> = serde_json::from_slice(text).map_err(|error| format!("not a JWK set: {error}"))?;
        let keys = set.keys.iter().take(MOST_KEYS).filter_map(|key| serde_json::from_str(key.get()).ok());
        Self::new(keys.filter_map(|jwk: Jwk| PublicKey::new(&jwk)).collect(), text)
    }

    /// A single key.
    pub(super) fn from_pem(text: &[u8]) -> Result<Self, String> {
        use access::Algorithm::{EdDsa, Es256, Es384};
        let found = DecodingKey::from_rsa_pem(text).map(|key| (key, RSA.to_vec()));
        let found = found.or_else(|_| DecodingKey::from_ec_pem(text).map(|key| (key, vec![Es256, Es384])));
        let found = found.or_else(|_| DecodingKey::from_ed_pem(text).map(|key| (key, vec![EdDsa])));
        let (key, algorithms) = found.map_err(|_| "the PEM holds no RSA, EC or Ed25519 public key".to_owned())?;
        Self::new(vec![PublicKey { id: None, algorithms, key }], text)
    }

    /// Those that can have signed a token. One that names a key is of that key, unless the set names none.
    pub(super) fn fitting<'k>(
        &'k self,
        algorithm: access::Algorithm,
        id: Option<&'k str>,
    ) -> impl Iterator<Item = &'k DecodingKey> {
        let fits = move |key: &&PublicKey| {
            let named = match (id, key.id.as_deref()) {
                (Some(wanted), Some(own)) => wanted == own,
                _ => true,
            };
            named && key.algorithms.contains(&algorithm)
        };
        self.keys.iter().filter(fits).map(|key| &key.key)
    }
}

impl PublicKey {
    /// Nothing where it is a shared secret, is for encryption, or of a kind that is not known.
    fn new(jwk: &Jwk) -> Option<Self> {
        use access::Algorithm::{EdDsa, Es256, Es384};
        if jwk.common.public_key_use.as_ref().is_some_and(|to| *to != PublicKeyUse::Signature) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(own) if own.curve == EllipticCurve::P256 => vec![Es256],
            AlgorithmParameters::EllipticCurve(own) if own.curve == EllipticCurve::P384 => vec![Es384],
            AlgorithmParameters::OctetKeyPair(own) if own.curve == EllipticCurve::Ed25519 => vec![EdDsa],
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            let only = only_algorithm(only)?;
            algorithms.retain(|algorithm| *algorithm == only);
        }
        let key = DecodingKey::from_jwk(jwk).ok().filter(|_| !algorithms.is_empty())?;
        Some(Self { id: jwk.common.key_id.clone(), algorithms, key })
    }
}

fn only_algorithm(named: KeyAlgorithm) -> Option<access::Algorithm> {
    let text = named.to_string();
    access::Algorithm::WORDS.iter().find(|(word, _)| *word == text).map(|(_, algorithm)| *algorithm)
}

/// The algorithm, if it is one of public keys.
pub(super) fn known(algorithm: Algorithm) -> Option<access::Algorithm> {
    let text = format!("{algorithm:?}");
    access::Algorithm::WORDS.iter().find(|(word, _)| *word == text).map(|(_, known)| *known)
}

/// For the log.
pub(super) fn why(error: &jsonwebtoken::errors::Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidAudience => "it is for somebody else",
        ErrorKind::InvalidIssuer => "it is from somebody else",
        ErrorKind::MissingRequiredClaim(_) => "a claim is missing",
        ErrorKind::Json(_) | ErrorKind::Utf8(_) | ErrorKind::Base64(_) => "its claims cannot be read",
        _ => "its signature is wrong",
    }
}

/// Where a set is fetched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Jwks {
    pub(super) url: String,
}

impl Source for Jwks {
    type Credential = KeySet;

    async fn fetch(&self, caller: &dyn Caller) -> Result<Fresh<KeySet>> {
        let reply = caller.call(Call::get(self.url.as_str()).with_header("accept", "application/json")).await?;
        if reply.status != 200 {
            return Err(not_fetched(format!("{} answered {}", self.url, reply.status)));
        }
        let credential = KeySet::from_json(&reply.body).map_err(|why| not_fetched(format!("{}: {why}", self.url)))?;
        Ok(Fresh { credential, expires_at: Some(SystemTime::now() + LIFETIME) })
    }
}
