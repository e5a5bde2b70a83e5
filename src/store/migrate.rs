//! Brings the tables up to date, one numbered step after the other. Each backend runs [`step`] in a
//! transaction of its own until nothing is left, and sees to it that only one process is in it.

use super::error::Fault;
use super::{Arg, Result, Session, StoreError};

/// Whether `IF NOT EXISTS` is safe here is the caller's business: nobody else may be in it.
const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS weir_schema (version BIGINT PRIMARY KEY)";

/// Does the next step, if there is one. Gives whether it did.
pub(super) fn step(session: &mut dyn Session, migrations: &[&str]) -> Result<bool> {
    session.script(VERSIONS)?;
    let done = version(session)?;
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if done > known {
        return Err(newer(done, known));
    }
    let Some(next) = usize::try_from(done).ok().and_then(|done| migrations.get(done)) else { return Ok(false) };
    session.script(next)?;
    session.run("INSERT INTO weir_schema (version) VALUES ($1)", &[Arg::Int(done + 1)])?;
    Ok(true)
}

/// Refuses tables that are not exactly those this version knows, for one that may not change them.
pub(super) fn check(session: &mut dyn Session, migrations: &[&str]) -> Result<()> {
    let (done, known) = (version(session)?, i64::try_from(migrations.len()).unwrap_or(i64::MAX));
    match done.cmp(&known) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(newer(done, known)),
        std::cmp::Ordering::Less => {
            let text = format!("the database is of an older version ({done}, not {known}): start this gateway once");
            Err(StoreError::new(Fault::Version, text))
        }
    }
}

fn version(session: &mut dyn Session) -> Result<i64> {
    let highest = "SELECT COALESCE(MAX(version), 0) FROM weir_schema";
    Ok(session.one(highest, &[], |cells| cells.need_int(0))?.unwrap_or_default())
}

fn newer(done: i64, known: i64) -> StoreError {
    let text = format!("the database was written by a newer version of Weir (tables {done}, this one knows {known})");
    StoreError::new(Fault::Version, text)
}
