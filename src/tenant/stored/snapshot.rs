//! The shelf on disk: what a process begins with while the database is away. Hashes and settings, no
//! secrets; for nobody else's eyes all the same.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::{Head, PreviousSecret, Shelf, StoredKey};
use crate::whole;

const NAME: &str = "keys.json";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct File1 {
    version: u32,
    epoch: String,
    changed: u64,
    keys: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    id: String,
    tenant: String,
    handle: String,
    sha256: String,
    previous: Option<PreviousRow>,
    created_at_ms: u64,
    revoked_at_ms: Option<u64>,
    settings: String,
    changed: u64,
}

#[derive(Serialize, Deserialize)]
struct PreviousRow {
    sha256: String,
    until_ms: u64,
}

/// The shelf as it was written. `None` if there is none; an error if it cannot be read.
pub fn read(directory: &Path) -> Result<Option<Shelf>, String> {
    let text = match fs::read(directory.join(NAME)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let file: File1 = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    if file.version != VERSION {
        return Err(format!("version {} is not known", file.version));
    }
    let mut shelf = Shelf { head: Head { epoch: file.epoch, changed: file.changed }, ..Shelf::default() };
    for row in file.keys {
        shelf.put(row.into_key().ok_or("a hash that is none")?);
    }
    Ok(Some(shelf))
}

/// In the place of the one before.
pub fn write(directory: &Path, shelf: &Shelf) -> io::Result<()> {
    let keys = shelf.iter().map(|held| Row::of(&held.row)).collect();
    let head = shelf.head();
    let file = File1 { version: VERSION, epoch: head.epoch.clone(), changed: head.changed, keys };
    whole::write(directory, NAME, &serde_json::to_vec(&file)?)
}

impl Row {
    fn of(key: &StoredKey) -> Self {
        let previous = |p: PreviousSecret| PreviousRow { sha256: hex::encode(p.sha256), until_ms: p.until_ms };
        Self {
            id: key.id.clone(),
            tenant: key.tenant.clone(),
            handle: key.handle.clone(),
            sha256: hex::encode(key.sha256),
            previous: key.previous.map(previous),
            created_at_ms: key.created_at_ms,
            revoked_at_ms: key.revoked_at_ms,
            settings: key.settings.clone(),
            changed: key.changed,
        }
    }

    fn into_key(self) -> Option<StoredKey> {
        let hash = |text: &str| -> Option<[u8; 32]> { hex::decode(text).ok()?.try_into().ok() };
        let previous = match self.previous {
            Some(p) => Some(PreviousSecret { sha256: hash(&p.sha256)?, until_ms: p.until_ms }),
            None => None,
        };
        Some(StoredKey {
            sha256: hash(&self.sha256)?,
            previous,
            id: self.id,
            tenant: self.tenant,
            handle: self.handle,
            created_at_ms: self.created_at_ms,
            revoked_at_ms: self.revoked_at_ms,
            settings: self.settings,
            changed: self.changed,
        })
    }
}
