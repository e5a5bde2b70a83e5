//! The chain of changes, kept. There is one for all processes: who adds to it holds its end.

use super::{Arg, Cells, Database, Result, Session, StoreError};
use crate::tenant::audit::{BEGINNING, Broken, Change, Entry, Follower};

/// Entries that are read at a time while a chain is followed.
const STEP: i64 = 1_000;
const COLUMNS: &str = "seq, at_ms, who, action, target, detail, previous, hash";

/// Which entries are wanted: the newest of them first.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuditPage {
    pub since_ms: u64,
    /// Only those before this number.
    pub before: Option<u64>,
    pub limit: u32,
}

/// What following the chain gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditVerified {
    pub entries: u64,
    /// Of the last entry. Noted somewhere else, it shows later whether the log was written anew.
    pub hash: [u8; 32],
    pub broken: Option<Broken>,
}

impl Database {
    /// Adds a change.
    pub fn record(&self, change: &Change) -> Result<Entry> {
        self.write(|session| append(session, change))
    }

    /// Newest first.
    pub fn audit(&self, page: AuditPage) -> Result<Vec<Entry>> {
        let since = int(page.since_ms);
        let before = page.before.map_or(i64::MAX, int);
        let select =
            format!("SELECT {COLUMNS} FROM weir_audit WHERE at_ms >= $1 AND seq < $2 ORDER BY seq DESC LIMIT $3");
        let args = [Arg::Int(since), Arg::Int(before), Arg::Int(page.limit.into())];
        self.read(|session| session.all(&select, &args, entry))
    }

    /// Follows the whole chain. What is added meanwhile is not looked at.
    pub fn verify_audit(&self) -> Result<AuditVerified> {
        let end = self.read(|session| end(session))?;
        let mut follower = Follower::default();
        let (mut after, mut entries) = (0, 0);
        let broken = loop {
            let some = self.read(|session| step(session, after, int(end.0)))?;
            let Some(last) = some.last() else { break follower.end(end).err() };
            after = int(last.seq);
            match some.iter().try_for_each(|entry| follower.follow(entry).inspect(|()| entries += 1)) {
                Ok(()) => {}
                Err(broken) => break Some(broken),
            }
        };
        Ok(AuditVerified { entries, hash: end.1, broken })
    }
}

fn step(session: &mut dyn Session, after: i64, last: i64) -> Result<Vec<Entry>> {
    let select = format!("SELECT {COLUMNS} FROM weir_audit WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3");
    session.all(&select, &[Arg::Int(after), Arg::Int(last), Arg::Int(STEP)], entry)
}

/// Adds a change inside a transaction: with it, or not at all.
pub(super) fn append(session: &mut dyn Session, change: &Change) -> Result<Entry> {
    // Whoever changes a row holds it until its transaction ends, in either database.
    let first = "INSERT INTO weir_audit_end (one, seq, hash) VALUES (1, 0, $1) ON CONFLICT (one) DO NOTHING";
    session.run(first, &[Arg::Text(&hex::encode(BEGINNING))])?;
    session.run("UPDATE weir_audit_end SET seq = seq WHERE one = 1", &[])?;
    let entry = Entry::after(end(session)?, change);
    let (previous, hash) = (hex::encode(entry.previous), hex::encode(entry.hash));
    let insert = format!("INSERT INTO weir_audit ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)");
    let args = [
        Arg::Int(int(entry.seq)),
        Arg::Int(int(entry.at_ms)),
        Arg::Text(&entry.who),
        Arg::Text(&entry.action),
        Arg::Text(&entry.target),
        Arg::Text(&entry.detail),
        Arg::Text(&previous),
        Arg::Text(&hash),
    ];
    session.run(&insert, &args)?;
    let moved = [Arg::Int(int(entry.seq)), Arg::Text(&hash)];
    session.run("UPDATE weir_audit_end SET seq = $1, hash = $2 WHERE one = 1", &moved)?;
    Ok(entry)
}

fn end(session: &mut dyn Session) -> Result<(u64, [u8; 32])> {
    let read = |cells: &dyn Cells| Ok((number(cells, 0)?, hash(&cells.need_text(1)?)?));
    let end = session.one("SELECT seq, hash FROM weir_audit_end WHERE one = 1", &[], read)?;
    Ok(end.unwrap_or((0, BEGINNING)))
}

fn entry(cells: &dyn Cells) -> Result<Entry> {
    Ok(Entry {
        seq: number(cells, 0)?,
        at_ms: number(cells, 1)?,
        who: cells.need_text(2)?,
        action: cells.need_text(3)?,
        target: cells.need_text(4)?,
        detail: cells.need_text(5)?,
        previous: hash(&cells.need_text(6)?)?,
        hash: hash(&cells.need_text(7)?)?,
    })
}

pub(super) fn number(cells: &dyn Cells, at: usize) -> Result<u64> {
    cells.count(at)?.ok_or_else(|| StoreError::unreadable(format_args!("nothing in column {at}")))
}

pub(super) fn hash(text: &str) -> Result<[u8; 32]> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(StoreError::unreadable)?;
    Ok(bytes)
}

/// Numbers of ours are far from the end.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
