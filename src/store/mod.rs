//! The database: what of requests is kept for good, what they used in sum, and what is made at run time
//! (keys, the audit log). Embedded (SQLite, `state.dir/weir.db`) or a fleet's (Postgres,
//! `state.database`); both hold the same tables and understand the same statements.
//!
//! All of it blocks. Nothing on the way of a request calls it; callers have a thread of their own
//! (`spawn_blocking` beside an event loop: the client of Postgres refuses to run on one).
//!
//! # How to add a table
//! A file `000N_name.sql` in `sqlite/migrations` and in `postgres/migrations`, its line in each
//! `schema.rs`, and a file here that reads and writes it by `Database::read` and `Database::write`.
//! Migrations that were released are never changed.

mod audit;
mod columns;
mod desk;
mod error;
mod fold;
mod keys;
mod migrate;
mod overview;
mod owned;
mod postgres;
mod requests;
mod rerate;
mod rollup;
mod session;
mod sqlite;
mod time;
mod usage;
mod verify;

pub use crate::ledger::Position;
pub use audit::{AuditPage, AuditVerified};
pub use desk::{Desk, Failure};
pub use error::{Fault, StoreError};
pub use fold::Batch;
pub use keys::Refused;
pub use overview::{Overview, Spread, Stretch};
pub use requests::{Cursor, Page, Span, Wanted};
pub use rollup::Used;
pub(crate) use session::{Arg, Cells, Session};
pub(crate) use time::{moment_ms, read_ms};
pub(crate) use usage::members;
pub use usage::{By, Filters, UsageQuery, UsageRow};
pub use verify::{Verified, faults_of};

use crate::config::runtime::State;

/// A statement's result.
pub type Result<T> = std::result::Result<T, StoreError>;

/// See the module documentation. It holds its own connections; threads share it.
#[derive(Debug)]
pub struct Database(Backend);

#[derive(Debug)]
enum Backend {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

impl Database {
    /// Connects, and brings the tables up to date. Several may do so at once.
    pub fn open(state: &State) -> Result<Self> {
        let backend = match &state.database {
            Some(url) => Backend::Postgres(postgres::Postgres::open(url)?),
            None => Backend::Sqlite(sqlite::Sqlite::open(&state.dir)?),
        };
        Ok(Self(backend))
    }

    /// For one that only looks, beside those that write: the tables are taken as they are, and not made
    /// where there are none.
    pub fn open_to_read(state: &State) -> Result<Self> {
        let backend = match &state.database {
            Some(url) => Backend::Postgres(postgres::Postgres::open_to_read(url)?),
            None => Backend::Sqlite(sqlite::Sqlite::open_to_read(&state.dir)?),
        };
        Ok(Self(backend))
    }

    /// `sqlite` or `postgres`.
    pub const fn kind(&self) -> &'static str {
        match self.0 {
            Backend::Sqlite(_) => "sqlite",
            Backend::Postgres(_) => "postgres",
        }
    }

    /// Asks, without changing anything. Called again where the connection turned out dead.
    pub(crate) fn read<T>(&self, mut ask: impl FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.read(&mut ask),
            Backend::Postgres(postgres) => postgres.read(&mut ask),
        }
    }

    /// As [`Database::read`], with all that is asked answered from one moment.
    pub(crate) fn snapshot<T>(&self, mut ask: impl FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.snapshot(&mut ask),
            Backend::Postgres(postgres) => postgres.snapshot(&mut ask),
        }
    }

    /// One transaction: all of it, or nothing. Called again where another one was in the way.
    pub(crate) fn write<T>(&self, mut change: impl FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        match &self.0 {
            Backend::Sqlite(sqlite) => sqlite.write(&mut change),
            Backend::Postgres(postgres) => postgres.write(&mut change),
        }
    }
}

#[cfg(test)]
mod tests;
