//! A fleet's database. Connections are made when they are needed, a few are kept, and one that died is
//! replaced, so that a server that restarts is noticed only by those who were asking.

mod pool;
mod schema;
mod tls;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, GenericClient, Row};

use super::error::Fault;
use super::{Arg, Cells, Result, Session, StoreError, migrate};
use crate::config::database::DatabaseUrl;
use pool::Pool;
use schema::MIGRATIONS;

/// Who holds this is the one that changes tables. Any number, the same in all versions.
const MIGRATING: i64 = 0x7765_6972;
/// How often a transaction is begun again that another one was in the way of.
const TRIES: u32 = 5;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Postgres {
    pool: Pool,
}

impl Postgres {
    pub(super) fn open(url: &DatabaseUrl) -> Result<Self> {
        let opened = Self { pool: Pool::new(url)? };
        while opened.write(&mut migrate_one)? {}
        Ok(opened)
    }

    pub(super) fn read<T>(&self, ask: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let mut client = self.pool.take()?;
        let answer = ask(&mut Open(client.client()?));
        client.give_back();
        answer
    }

    pub(super) fn write<T>(&self, change: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let mut tries = 1;
        loop {
            let mut client = self.pool.take()?;
            let done = transaction(client.client()?, change);
            client.give_back();
            match done {
                Err(error) if error.fault() == Fault::Contended && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }
}

/// The lock goes with the transaction, and the question for the version comes after it.
fn migrate_one(session: &mut dyn Session) -> Result<bool> {
    session.script("SET LOCAL statement_timeout = '10min'; SET LOCAL lock_timeout = '10min'")?;
    session.each("SELECT pg_advisory_xact_lock($1)", &[Arg::Int(MIGRATING)], &mut |_| Ok(()))?;
    migrate::step(session, MIGRATIONS)
}

fn transaction<T>(client: &mut Client, change: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
    let mut begun = client.transaction()?;
    let done = change(&mut Open(&mut begun))?;
    begun.commit()?;
    Ok(done)
}

struct Open<'c, C>(&'c mut C);

impl<C: GenericClient> Session for Open<'_, C> {
    fn script(&mut self, sql: &str) -> Result<()> {
        Ok(self.0.batch_execute(sql)?)
    }

    fn run(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<u64> {
        let args: Vec<&(dyn ToSql + Sync)> = args.iter().map(|arg| arg as &(dyn ToSql + Sync)).collect();
        Ok(self.0.execute(sql, &args)?)
    }

    fn each(&mut self, sql: &str, args: &[Arg<'_>], row: &mut dyn FnMut(&dyn Cells) -> Result<()>) -> Result<()> {
        let mut rows = self.0.query_raw(sql, args)?;
        while let Some(cells) = rows.next()? {
            row(&cells)?;
        }
        Ok(())
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut postgres::types::private::BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql_checked(ty, out),
            Self::Text(text) => text.to_sql_checked(ty, out),
            Self::Bytes(bytes) => bytes.to_sql_checked(ty, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        // Each kind looks for itself.
        true
    }

    to_sql_checked!();
}

impl Cells for Row {
    fn int(&self, at: usize) -> Result<Option<i64>> {
        Ok(self.try_get(at)?)
    }

    fn text(&self, at: usize) -> Result<Option<String>> {
        Ok(self.try_get(at)?)
    }

    fn bytes(&self, at: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.try_get(at)?)
    }
}

impl From<postgres::Error> for StoreError {
    /// Without the details of the server's message: they show values.
    fn from(error: postgres::Error) -> Self {
        let Some(from_server) = error.as_db_error() else {
            let reached = if error.is_closed() { "the connection broke" } else { "no connection" };
            let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            return match std::error::Error::source(&error) {
                Some(source) if source.is::<postgres::types::WrongType>() => {
                    Self::new(Fault::Failed, format!("Postgres: {error}"))
                }
                _ => Self::new(Fault::Unavailable, format!("Postgres: {reached}{why}")),
            };
        };
        let code = from_server.code().code();
        let fault = match code {
            // Serialization failure, deadlock, a lock that did not come free.
            "40001" | "40P01" | "55P03" => Fault::Contended,
            // The server goes, comes, is full, took too long, or does not let us in (yet).
            code if ["08", "53", "57", "58", "28", "3D"].iter().any(|class| code.starts_with(class)) => {
                Fault::Unavailable
            }
            _ => Fault::Failed,
        };
        Self::new(fault, format!("Postgres: {} ({code})", from_server.message()))
    }
}
