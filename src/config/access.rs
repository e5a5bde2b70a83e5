//! Who is let in, and as whom: what a key is bound to, tokens of an identity provider, the operators.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::budget::Budget;
use super::cache::Caching;
use super::guards::Guarding;
use super::limits::Limits;
use super::runtime::{ModelPattern, Tenant};
use super::tools::EdgeTools;
use crate::compress;

pub use ipnet::IpNet;

/// Whether an address lies in one of these networks. IPv4 that comes as IPv6 counts as what it is.
pub fn holds(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

/// The secret that a key had before, and how long it is still honoured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Previous {
    pub sha256: [u8; 32],
    /// The first moment at which it is refused.
    pub until: SystemTime,
}

/// A key of a tenant.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub tenant: Arc<Tenant>,
    pub active: bool,
    /// The first moment at which it is refused.
    pub expires: Option<SystemTime>,
    /// Narrows the tenant's allow-list; empty narrows nothing.
    pub models: Vec<ModelPattern>,
    pub limits: Limits,
    pub budgets: Vec<Budget>,
    /// Where it may be used; empty is everywhere.
    pub allowed_addresses: Vec<IpNet>,
    pub previous: Option<Previous>,
    pub edge_tools: Option<Arc<EdgeTools>>,
    pub compression: Option<compress::Rules>,
    /// Beside its tenant's.
    pub guards: Vec<Arc<Guarding>>,
    pub cache: Option<Arc<Caching>>,
}

impl Default for Key {
    /// One that nothing is said about.
    fn default() -> Self {
        Self {
            id: String::new(),
            tenant: Arc::default(),
            active: true,
            expires: None,
            models: Vec::new(),
            limits: Limits::default(),
            budgets: Vec::new(),
            allowed_addresses: Vec::new(),
            previous: None,
            edge_tools: None,
            compression: None,
            guards: Vec::new(),
            cache: None,
        }
    }
}

/// What somebody may do at the admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// See everything, change nothing.
    Viewer,
    /// See and change what is one tenant's.
    TenantAdmin,
}

impl Role {
    pub const WORDS: [(&str, Self); 3] =
        [("admin", Self::Admin), ("viewer", Self::Viewer), ("tenant-admin", Self::TenantAdmin)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Viewer => "viewer",
            Self::TenantAdmin => "tenant-admin",
        }
    }
}

/// A credential of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminToken {
    /// How the audit log calls whoever shows it.
    pub name: String,
    pub sha256: [u8; 32],
    pub role: Role,
    /// Of a tenant's own administrator.
    pub tenant: Option<String>,
}

/// What the key ids of tokens begin with, and no others: usage, files and stored answers are their owner's by
/// this id.
pub const JWT: &str = "jwt:";

/// `auth:`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    pub jwt: Vec<Issuer>,
}

/// An identity provider whose tokens are keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// In key ids: `jwt:<name>`. Without a `:`, so that it can be told from what follows it.
    pub name: String,
    /// What has to stand in `iss`.
    pub issuer: String,
    /// One of these has to stand in `aud`.
    pub audiences: Vec<String>,
    pub keys: KeySource,
    pub algorithms: Vec<Algorithm>,
    pub claims: Claims,
    /// The tenant that all its tokens belong to, where no claim says.
    pub tenant: Option<String>,
    /// From a claim's value to a tenant; empty: the value is the tenant's id.
    pub tenants: HashMap<String, String>,
    pub leeway: Duration,
}

/// Where an issuer's public keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Fetched, and fetched again.
    Url(String),
    /// A JWK set.
    Set(String),
    /// One key in PEM.
    Pem(String),
}

/// Names of claims. One that begins with `/` is a JSON pointer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    pub tenant: Option<String>,
    pub key: Option<String>,
    pub user: Option<String>,
    pub models: Option<String>,
}

/// How tokens are signed: with public keys only. A shared secret would have to lie here to be
/// guessed, and `none` is no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub const WORDS: [(&str, Self); 9] = [
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("EdDSA", Self::EdDsa),
    ];

    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(_, algorithm)| *algorithm == self).map_or("", |(word, _)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_lies_in_a_network_however_it_is_written() {
        let networks: Vec<IpNet> = ["10.0.0.0/8", "::1/128"].iter().map(|n| n.parse().unwrap()).collect();
        let holds = |address: &str| holds(&networks, address.parse().unwrap());
        assert!(holds("10.255.0.1") && holds("::1") && holds("::ffff:10.1.2.3"));
        assert!(!holds("11.0.0.1") && !holds("::2") && !holds("::ffff:11.0.0.1"));
        assert!(!super::holds(&[], "10.0.0.1".parse().unwrap()));
    }
}
