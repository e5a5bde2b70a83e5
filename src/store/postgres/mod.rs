//! A fleet's database. Connections are made when they are needed, a few are kept, and one that died is
//! replaced, so that a server that restarts is noticed only by those who were asking.

mod pool;
mod schema;
mod tls;

use std::collections::HashSet;

use postgres::fallible_iterator::FallibleIterator as _;
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use postgres::{Client, GenericClient, IsolationLevel, Row};

use super::error::Fault;
use super::session::{Column, Kind, Many};
use super::{Arg, Cells, Result, Session, StoreError, migrate};
use crate::config::database::DatabaseUrl;
use pool::Pool;
use schema::MIGRATIONS;

/// Who holds this is the one that changes tables. Any number, the same in all versions.
const MIGRATING: i64 = 0x7765_6972;
/// How often a transaction is begun again that another one was in the way of.
const TRIES: u32 = 5;
/// Rows of one statement.
const AT_ONCE: usize = 5_000;

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

    pub(super) fn open_to_read(url: &DatabaseUrl) -> Result<Self> {
        let opened = Self { pool: Pool::new(url)? };
        opened.read(&mut |session| migrate::check(session, MIGRATIONS))?;
        Ok(opened)
    }

    pub(super) fn read<T>(&self, ask: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let mut tries = 1;
        loop {
            let mut client = self.pool.take()?;
            let answer = ask(&mut Open(client.client()?));
            let is_dead = !client.give_back();
            match answer {
                // It had rested, and its server is another one by now.
                Err(error) if is_dead && error.fault() == Fault::Unavailable && tries < TRIES => tries += 1,
                answer => return answer,
            }
        }
    }

    /// As everything was at one moment, and for as long as it takes.
    pub(super) fn snapshot<T>(&self, ask: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let mut client = self.pool.take()?;
        let begun =
            client.client()?.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let answer = begun.start().map_err(StoreError::from).and_then(|mut begun| {
            begun.batch_execute("SET LOCAL statement_timeout = 0")?;
            ask(&mut Open(&mut begun))
        });
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

    /// Each column as an array: one statement, whatever the number of rows.
    fn insert(&mut self, many: &Many<'_>) -> Result<Vec<usize>> {
        let names = many.columns.iter().map(|column| column.name).collect::<Vec<_>>().join(", ");
        let array = |(number, column): (usize, &Column)| match column.kind {
            Kind::Int => format!("${number}::BIGINT[]"),
            Kind::Text => format!("${number}::TEXT[]"),
        };
        let arrays = (1..).zip(many.columns).map(array).collect::<Vec<_>>().join(", ");
        let first = many.columns.first().map_or("1", |column| column.name);
        let table = many.table;
        let sql =
            format!("INSERT INTO {table} ({names}) SELECT * FROM UNNEST({arrays}) {} RETURNING {first}", many.conflict);
        let mut firsts = HashSet::new();
        for rows in many.rows.chunks(AT_ONCE) {
            let values: Vec<Values<'_>> =
                (0..).zip(many.columns).map(|(at, column)| Values::new(column.kind, at, rows)).collect();
            let args: Vec<&(dyn ToSql + Sync)> = values.iter().map(Values::arg).collect();
            for row in self.0.query(sql.as_str(), &args)? {
                firsts.extend(row.try_get::<_, String>(0));
            }
        }
        let is_written = |row: &[Arg<'_>]| matches!(row.first(), Some(Arg::Text(first)) if firsts.contains(*first));
        Ok((0..).zip(many.rows).filter(|(_, row)| is_written(row)).map(|(place, _)| place).collect())
    }

    fn each(&mut self, sql: &str, args: &[Arg<'_>], row: &mut dyn FnMut(&dyn Cells) -> Result<()>) -> Result<()> {
        let mut rows = self.0.query_raw(sql, args)?;
        while let Some(cells) = rows.next()? {
            row(&cells)?;
        }
        Ok(())
    }
}

/// A column of many rows.
enum Values<'a> {
    Ints(Vec<Option<i64>>),
    Texts(Vec<Option<&'a str>>),
}

impl<'a> Values<'a> {
    fn new(kind: Kind, at: usize, rows: &'a [Vec<Arg<'a>>]) -> Self {
        let cells = rows.iter().map(|row| row.get(at).copied().unwrap_or(Arg::Null));
        match kind {
            Kind::Int => Self::Ints(cells.map(|cell| if let Arg::Int(n) = cell { Some(n) } else { None }).collect()),
            Kind::Text => Self::Texts(cells.map(|cell| if let Arg::Text(t) = cell { Some(t) } else { None }).collect()),
        }
    }

    fn arg(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Ints(ints) => ints,
            Self::Texts(texts) => texts,
        }
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
            // A table that is not there: no gateway has been here yet.
            "42P01" => Fault::Missing,
            _ => Fault::Failed,
        };
        Self::new(fault, format!("Postgres: {} ({code})", from_server.message()))
    }
}
