//! `auth`.

use std::path::PathBuf;

use schemars::{Schema, json_schema};

use crate::config::access::Algorithm;
use crate::config::read::{At, Map, Name, OneOrMore, Period, Scalar, one_of, settings};

settings! {
    /// Other ways to be let in than with a key.
    Auth in "`auth`" {
        /// Tokens of identity providers (OpenID Connect and the like) that are taken as keys.
        jwt: Vec<Issuer> = "[]",
    }

    /// An identity provider. Its public keys are at `jwks_url`, in `jwks_file`, or are `public_key`: one
    /// of them.
    Issuer in "an issuer of tokens" {
        /// Its name in records (`jwt:NAME`), without a `:`. Default: the host of `issuer`.
        name: Name,
        /// What has to stand in the claim `iss`, to the letter.
        issuer: String,
        /// What has to stand in the claim `aud`: one of these. Without it a token made for another
        /// service would do.
        audience: OneOrMore<String>,
        /// Where its public keys (a JWK set) are fetched, every ten minutes. `https`, or `http` on this
        /// machine.
        jwks_url: String,
        /// File with a JWK set.
        jwks_file: PathBuf,
        /// A public key in PEM (`file:/path/key.pem`).
        public_key: PemText,
        /// Signatures that are taken. Only those of public keys: a shared secret or `none` never are.
        /// Default: RS256, ES256, EdDSA.
        algorithms: Vec<At<AlgorithmWord>>,
        /// Which claims say what. A name that begins with `/` is a JSON pointer into the claims.
        claims: Claims = "{}",
        /// The tenant that all its tokens belong to, where no claim says.
        tenant: String,
        /// From the value of `claims.tenant` to a tenant. Default: the value is the tenant's name.
        tenants: Map<String> = "{}",
        /// How far its clock may be from ours.
        leeway: Period = "30s",
    }

    /// Names of claims.
    Claims in "`claims`" {
        /// Says whose tenant the caller is.
        tenant: String,
        /// Names the caller in records: `jwt:NAME:` and what it says.
        key: String,
        /// The user whose limits hold. Default: none.
        user: String,
        /// Names of routes and models that the token may use, a list or a text with spaces between;
        /// narrows those of its tenant. A token without the claim may use all of them.
        models: String,
    }
}

/// Signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlgorithmWord(pub Algorithm);

impl Scalar for AlgorithmWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Algorithm::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Algorithm::WORDS.map(|(word, _)| word)})
    }
}

/// A public key in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemText(pub String);

impl Scalar for PemText {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            // Whoever puts the wrong half of a pair here should not read it in a report.
            text if text.contains("PRIVATE KEY") => Err("a public key, not a private one".to_owned()),
            text if text.trim_start().starts_with("-----BEGIN ") && text.contains("PUBLIC KEY-----") => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("a public key in PEM: `-----BEGIN PUBLIC KEY-----`".to_owned()),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}
