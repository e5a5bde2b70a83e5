//! A scope as files have it.

use serde::{Deserialize, Serialize};

use super::Scope;

/// With a tenant alone, it is the tenant's own.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Named {
    tenant: String,
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// By which pattern, and its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tag: Option<(String, String)>,
}

impl From<&Scope> for Named {
    fn from(scope: &Scope) -> Self {
        let mut named = Self { tenant: scope.tenant().to_owned(), ..Self::default() };
        match scope {
            Scope::Tenant(_) => {}
            Scope::Key { key, .. } => named.key = Some(key.clone()),
            Scope::Model { pattern, .. } => named.model = Some(pattern.clone()),
            Scope::User { user, .. } => named.user = Some(user.clone()),
            Scope::Tag { pattern, tag, .. } => named.tag = Some((pattern.clone(), tag.clone())),
        }
        named
    }
}

impl From<Named> for Scope {
    fn from(named: Named) -> Self {
        let tenant = named.tenant;
        match (named.key, named.model, named.user, named.tag) {
            (Some(key), ..) => Self::Key { tenant, key },
            (_, Some(pattern), ..) => Self::Model { tenant, pattern },
            (_, _, Some(user), _) => Self::User { tenant, user },
            (.., Some((pattern, tag))) => Self::Tag { tenant, pattern, tag },
            _ => Self::Tenant(tenant),
        }
    }
}
