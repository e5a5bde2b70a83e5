//! Where keys are made, changed, rotated and revoked: by the admin API of a running gateway, and by the
//! command line beside it.

use std::time::Duration;

use super::keys::Refused;
use super::{Database, StoreError};
use crate::limit::clock::unix_ms;
use crate::secret::Secret;
use crate::tenant::stored::StoredKey;
use crate::tenant::stored::made::{self, Members, New};

/// Somebody with a database.
pub struct Desk<'d> {
    pub database: &'d Database,
    /// How the chain of changes calls them.
    pub who: &'d str,
}

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({})", self.who)
    }
}

/// Why nothing came of it.
#[derive(Debug)]
pub enum Failure {
    /// What was asked for cannot be.
    Invalid(String),
    Refused(Refused),
    Store(StoreError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Invalid(why) => f.write_str(why.trim_end()),
            Self::Refused(Refused::Taken) => f.write_str("there is a key of this id already"),
            Self::Refused(Refused::Missing) => f.write_str("no key that was made at run time has this id"),
            Self::Refused(Refused::Revoked) => f.write_str("this key was revoked, and that is for good"),
            Self::Store(error) => write!(f, "the database: {error}"),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Desk<'_> {
    /// A new key, and its secret: the only time that anybody sees it.
    pub fn create(&self, asked: Members) -> Result<(StoredKey, Secret), Failure> {
        let (new, now_ms) = (New::mint().map_err(Failure::Invalid)?, unix_ms());
        let key = made::key(asked, &new, now_ms).map_err(Failure::Invalid)?;
        let change = made::change("key.create", self.who, &key, now_ms);
        let key = self.database.add_key(&key, &change)?.map_err(Failure::Refused)?;
        Ok((key, new.secret))
    }

    /// Changes what a key may do.
    pub fn change(&self, id: &str, asked: &[u8]) -> Result<StoredKey, Failure> {
        let before = self.known(id)?;
        let members = made::members(asked).map_err(Failure::Invalid)?;
        let checked = made::merged(&before.settings, members).map_err(Failure::Invalid)?;
        let now_ms = unix_ms();
        let changed = self.database.change_key(id, |key| {
            // What another one changed meanwhile stays, unless both together cannot be.
            let members = made::members(asked).unwrap_or_default();
            key.settings = made::merged(&key.settings, members).unwrap_or_else(|_| checked.clone());
            made::change("key.update", self.who, key, now_ms)
        });
        changed?.map_err(Failure::Refused)
    }

    /// A second secret; the first is honoured for as long.
    pub fn rotate(&self, id: &str, grace: Duration) -> Result<(StoredKey, Secret), Failure> {
        let (new, now_ms) = (New::mint().map_err(Failure::Invalid)?, unix_ms());
        let changed = self.database.change_key(id, |key| {
            made::rotate(key, &new, grace, now_ms);
            made::change("key.rotate", self.who, key, now_ms)
        });
        Ok((changed?.map_err(Failure::Refused)?, new.secret))
    }

    /// For good.
    pub fn revoke(&self, id: &str) -> Result<StoredKey, Failure> {
        let now_ms = unix_ms();
        let changed = self.database.change_key(id, |key| {
            key.revoked_at_ms = Some(now_ms);
            made::change("key.revoke", self.who, key, now_ms)
        });
        changed?.map_err(Failure::Refused)
    }

    fn known(&self, id: &str) -> Result<StoredKey, Failure> {
        self.database.key(id)?.ok_or(Failure::Refused(Refused::Missing))
    }
}
