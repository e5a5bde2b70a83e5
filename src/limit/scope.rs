//! Whom a limit or a budget stands on.

use std::fmt::{self, Write as _};

use crate::config::budget::Budget;
use crate::config::limits::Limited;

/// Also what counters are kept under, and, by its order, in which order they are locked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Tenant(String),
    Model {
        tenant: String,
        pattern: String,
    },
    Key {
        tenant: String,
        key: String,
    },
    /// No name: all those for whom there is no room.
    User {
        tenant: String,
        user: String,
    },
    /// A tag that has something by that pattern, which may be its own name. No name: as for users.
    Tag {
        tenant: String,
        pattern: String,
        tag: String,
    },
}

/// What those are called for whom there is no room.
const OTHERS: &str = "all others";

impl Scope {
    /// What it stands on: `tenant`, `model`, `key`, `user` or `tag`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Model { .. } => "model",
            Self::Key { .. } => "key",
            Self::User { .. } => "user",
            Self::Tag { .. } => "tag",
        }
    }

    /// Its name there.
    pub fn name(&self) -> &str {
        match self {
            Self::User { user: name, .. } | Self::Tag { tag: name, .. } if name.is_empty() => OTHERS,
            Self::Tenant(name)
            | Self::Model { pattern: name, .. }
            | Self::Key { key: name, .. }
            | Self::User { user: name, .. }
            | Self::Tag { tag: name, .. } => name,
        }
    }

    pub fn tenant(&self) -> &str {
        match self {
            Self::Tenant(tenant)
            | Self::Model { tenant, .. }
            | Self::Key { tenant, .. }
            | Self::User { tenant, .. }
            | Self::Tag { tenant, .. } => tenant,
        }
    }

    /// The name, where clients make it up; there is none for those for whom there is no room.
    pub(super) fn name_made_up(&self) -> Option<&str> {
        match self {
            Self::User { user: name, .. } | Self::Tag { tag: name, .. } => {
                Some(name.as_str()).filter(|it| !it.is_empty())
            }
            _ => None,
        }
    }

    /// Whether it is theirs for whom there is no room.
    pub(super) fn is_of_others(&self) -> bool {
        matches!(self, Self::User { user: name, .. } | Self::Tag { tag: name, .. } if name.is_empty())
    }

    /// Another user, or another tag of the same pattern.
    pub(super) fn called(&self, name: &str) -> Self {
        match self.clone() {
            Self::User { tenant, .. } => Self::User { tenant, user: name.to_owned() },
            Self::Tag { tenant, pattern, .. } => Self::Tag { tenant, pattern, tag: name.to_owned() },
            other => other,
        }
    }

    /// The id of the counter behind a limit here.
    pub fn counter(&self, limited: Limited) -> CounterId {
        self.id(format_args!("{}", limited.as_str()))
    }

    /// The id of the counter behind a budget here. A soft one has the same as the hard one beside it:
    /// both look at what was spent.
    pub fn account(&self, budget: &Budget) -> CounterId {
        let (unit, period) = (budget.unit.as_str(), &budget.period);
        self.id(format_args!("{unit}:{}:{}:{}", period.per.as_str(), period.reset_day, Plain(period.zone_name())))
    }

    fn id(&self, what: fmt::Arguments<'_>) -> CounterId {
        let mut id = format!("{}/{}", Plain(self.tenant()), self.kind());
        let _ = match self {
            Self::Tenant(_) => Ok(()),
            Self::Model { pattern: name, .. } | Self::Key { key: name, .. } | Self::User { user: name, .. } => {
                write!(id, "/{}", Plain(name))
            }
            Self::Tag { pattern, tag, .. } => write!(id, "/{}/{}", Plain(pattern), Plain(tag)),
        };
        let _ = write!(id, "/{what}");
        CounterId(id)
    }
}

/// The name of one counter: the same in every process and under every configuration, and of no two
/// counters. `acme/key/dev/requests_per_minute`, `acme/tenant/usd:month:1:Europe%2FBerlin`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterId(String);

impl CounterId {
    /// Of a tenant's calls of a tool.
    pub fn of_tool(tenant: &str, tool: &str) -> Self {
        Self(format!("{}/tool/{}/calls_per_minute", Plain(tenant), Plain(tool)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CounterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A name without what separates names: clients make some of them up.
struct Plain<'n>(&'n str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            match byte {
                b'/' | b'%' | 0..=b' ' | 127.. => write!(f, "%{byte:02X}")?,
                plain => f.write_char(char::from(plain))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::budget::{Per, Period, Unit};

    #[test]
    fn counters_have_stable_names_that_no_client_can_make_equal() {
        let user = |user: &str| Scope::User { tenant: "acme".into(), user: user.into() };
        let id = |scope: &Scope| scope.counter(Limited::Concurrency).to_string();
        assert_eq!(id(&Scope::Tenant("acme".into())), "acme/tenant/concurrency");
        assert_eq!(id(&user("a/b %ü")), "acme/user/a%2Fb%20%25%C3%BC/concurrency");
        assert_ne!(id(&user("")), id(&user("all others")));
        let tag = Scope::Tag { tenant: "acme".into(), pattern: "team=*".into(), tag: "team=x".into() };
        assert_eq!(id(&tag), "acme/tag/team=*/team=x/concurrency");
        let budget = Budget::hard(Unit::Usd, 5, Period::plain(Per::Month));
        assert_eq!(tag.account(&budget).as_str(), "acme/tag/team=*/team=x/usd:month:1:UTC");
        assert_eq!(CounterId::of_tool("acme", "a/b").as_str(), "acme/tool/a%2Fb/calls_per_minute");
    }

    #[test]
    fn scopes_are_locked_from_the_tenant_on() {
        let tenant = || "acme".to_owned();
        let mut all = [
            Scope::Tag { tenant: tenant(), pattern: "a".into(), tag: "a".into() },
            Scope::User { tenant: tenant(), user: "u".into() },
            Scope::Key { tenant: tenant(), key: "k".into() },
            Scope::Model { tenant: tenant(), pattern: "*".into() },
            Scope::Tenant(tenant()),
        ];
        all.sort();
        assert_eq!(all.map(|scope| scope.kind()), ["tenant", "model", "key", "user", "tag"]);
    }
}
