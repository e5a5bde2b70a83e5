//! Keys that are made at run time, kept. Every change stands in the chain of changes too, in the same
//! transaction: there is none that nobody knows of.

use uuid::Uuid;

use super::audit::{append, hash, int, number};
use super::{Arg, Cells, Database, Result, Session};
use crate::tenant::audit::Change;
use crate::tenant::stored::{Head, PreviousSecret, StoredKey};

const COLUMNS: &str =
    "id, tenant, handle, sha256, previous_sha256, previous_until_ms, created_ms, revoked_ms, settings, changed";

/// Why a change was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// There is a key of that id already.
    Taken,
    /// There is no key of that id.
    Missing,
    /// It was revoked, which is for good.
    Revoked,
}

impl Database {
    /// How far the keys are.
    pub fn keys_head(&self) -> Result<Head> {
        match self.read(|session| head(session))? {
            Some(head) => Ok(head),
            None => self.write(|session| {
                begin(session)?;
                Ok(head(session)?.unwrap_or_default())
            }),
        }
    }

    /// The keys that changed after a clock, and how far the keys are with them.
    pub fn keys_since(&self, changed: u64) -> Result<(Vec<StoredKey>, Head)> {
        // The clock first: a change between the two questions comes again, rather than never.
        let head = self.keys_head()?;
        let select = format!("SELECT {COLUMNS} FROM weir_keys WHERE changed > $1 ORDER BY changed");
        let keys = self.read(|session| session.all(&select, &[Arg::Int(int(changed))], key))?;
        Ok((keys, head))
    }

    /// One key.
    pub fn key(&self, id: &str) -> Result<Option<StoredKey>> {
        self.read(|session| one(session, id))
    }

    /// Puts in a new key.
    pub fn add_key(&self, new: &StoredKey, change: &Change) -> Result<std::result::Result<StoredKey, Refused>> {
        self.write(|session| {
            let changed = tick(session)?;
            if one(session, &new.id)?.is_some() {
                return Ok(Err(Refused::Taken));
            }
            let key = StoredKey { changed, ..new.clone() };
            insert(session, &key)?;
            append(session, change)?;
            Ok(Ok(key))
        })
    }

    /// Changes a key that was not revoked. `edit` may be called again where another change was in the way;
    /// it gives what the chain is told.
    pub fn change_key(
        &self,
        id: &str,
        mut edit: impl FnMut(&mut StoredKey) -> Change,
    ) -> Result<std::result::Result<StoredKey, Refused>> {
        self.write(|session| {
            let changed = tick(session)?;
            let Some(mut key) = one(session, id)? else { return Ok(Err(Refused::Missing)) };
            if key.revoked_at_ms.is_some() {
                return Ok(Err(Refused::Revoked));
            }
            let change = edit(&mut key);
            key.changed = changed;
            update(session, &key)?;
            append(session, &change)?;
            Ok(Ok(key))
        })
    }
}

/// Moves the keys' clock on, and with that holds off every other change until this one is done.
fn tick(session: &mut dyn Session) -> Result<u64> {
    begin(session)?;
    session.run("UPDATE weir_keys_clock SET changed = changed + 1 WHERE one = 1", &[])?;
    Ok(head(session)?.unwrap_or_default().changed)
}

/// A database's first: its own name.
fn begin(session: &mut dyn Session) -> Result<()> {
    let name = Uuid::now_v7().to_string();
    let insert = "INSERT INTO weir_keys_clock (one, epoch, changed) VALUES (1, $1, 0) ON CONFLICT (one) DO NOTHING";
    session.run(insert, &[Arg::Text(&name)]).map(drop)
}

fn head(session: &mut dyn Session) -> Result<Option<Head>> {
    let read = |cells: &dyn Cells| Ok(Head { epoch: cells.need_text(0)?, changed: number(cells, 1)? });
    session.one("SELECT epoch, changed FROM weir_keys_clock WHERE one = 1", &[], read)
}

fn one(session: &mut dyn Session, id: &str) -> Result<Option<StoredKey>> {
    session.one(&format!("SELECT {COLUMNS} FROM weir_keys WHERE id = $1"), &[Arg::Text(id)], key)
}

fn insert(session: &mut dyn Session, key: &StoredKey) -> Result<()> {
    let insert = format!("INSERT INTO weir_keys ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)");
    put(session, &insert, key)
}

fn update(session: &mut dyn Session, key: &StoredKey) -> Result<()> {
    let update = "UPDATE weir_keys SET tenant = $2, handle = $3, sha256 = $4, previous_sha256 = $5, \
        previous_until_ms = $6, created_ms = $7, revoked_ms = $8, settings = $9, changed = $10 WHERE id = $1";
    put(session, update, key)
}

fn put(session: &mut dyn Session, statement: &str, key: &StoredKey) -> Result<()> {
    let sha256 = hex::encode(key.sha256);
    let previous = key.previous.map(|previous| hex::encode(previous.sha256));
    let args = [
        Arg::Text(&key.id),
        Arg::Text(&key.tenant),
        Arg::Text(&key.handle),
        Arg::Text(&sha256),
        Arg::from(previous.as_ref()),
        Arg::from(key.previous.map(|previous| int(previous.until_ms))),
        Arg::Int(int(key.created_at_ms)),
        Arg::from(key.revoked_at_ms.map(int)),
        Arg::Text(&key.settings),
        Arg::Int(int(key.changed)),
    ];
    session.run(statement, &args).map(drop)
}

fn key(cells: &dyn Cells) -> Result<StoredKey> {
    let previous = match (cells.text(4)?, cells.count(5)?) {
        (Some(sha256), Some(until_ms)) => Some(PreviousSecret { sha256: hash(&sha256)?, until_ms }),
        _ => None,
    };
    Ok(StoredKey {
        id: cells.need_text(0)?,
        tenant: cells.need_text(1)?,
        handle: cells.need_text(2)?,
        sha256: hash(&cells.need_text(3)?)?,
        previous,
        created_at_ms: number(cells, 6)?,
        revoked_at_ms: cells.count(7)?,
        settings: cells.need_text(8)?,
        changed: number(cells, 9)?,
    })
}

#[cfg(test)]
mod tests;
