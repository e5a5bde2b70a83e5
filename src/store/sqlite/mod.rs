//! The embedded database: one file, one writer, readers beside it.
//! <https://www.sqlite.org/wal.html> (2026-07)

mod schema;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Statement, ToSql};

use super::error::Fault;
use super::session::Many;
use super::{Arg, Cells, Result, Session, StoreError, migrate};
use schema::MIGRATIONS;

const NAME: &str = "weir.db";
/// Another process (the command line) may be writing.
const BUSY: Duration = Duration::from_secs(5);
/// Idle readers that are kept.
const READERS: usize = 4;
const STATEMENTS: usize = 64;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Sqlite {
    path: PathBuf,
    /// `None` for one that only looks.
    writer: Option<Mutex<Connection>>,
    readers: Mutex<Vec<Connection>>,
}

impl Sqlite {
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        make(directory, &path).map_err(|error| {
            StoreError::new(Fault::Unavailable, format!("`{}` cannot be made: {error}", path.display()))
        })?;
        let mut writer = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        // A batch is folded before its lines are deleted from the log, so it has to be on the disk.
        writer.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16000;")?;
        while transaction(&mut writer, &mut |session| migrate::step(session, MIGRATIONS))? {}
        Ok(Self { path, writer: Some(Mutex::new(writer)), readers: Mutex::default() })
    }

    pub(super) fn open_to_read(directory: &Path) -> Result<Self> {
        let path = directory.join(NAME);
        if !path.exists() {
            let text = format!("there is no database at `{}` yet", path.display());
            return Err(StoreError::new(Fault::Missing, text));
        }
        let found = Self { path, writer: None, readers: Mutex::default() };
        found.read(&mut |session| migrate::check(session, MIGRATIONS))?;
        Ok(found)
    }

    pub(super) fn read<T>(&self, ask: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let idle = lock(&self.readers).pop();
        let reader = match idle {
            Some(reader) => reader,
            None => connect(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)?,
        };
        let answer = ask(&mut Open(&reader));
        let mut readers = lock(&self.readers);
        if readers.len() < READERS {
            readers.push(reader);
        }
        answer
    }

    /// As everything was at one moment.
    pub(super) fn snapshot<T>(&self, ask: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        self.read(&mut |session| {
            session.script("BEGIN DEFERRED")?;
            let answer = ask(session);
            session.script("COMMIT")?;
            answer
        })
    }

    pub(super) fn write<T>(&self, change: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::new(Fault::Failed, "the database was opened to be read only"));
        };
        transaction(&mut lock(writer), change)
    }
}

/// Others may not read it: it names users and what they asked for.
fn make(directory: &Path, path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

fn connect(path: &Path, access: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Takes the right to write at its beginning: to ask for it later may fail without a wait.
fn transaction<T>(connection: &mut Connection, change: &mut dyn FnMut(&mut dyn Session) -> Result<T>) -> Result<T> {
    let begun = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let done = change(&mut Open(&begun))?;
    begun.commit()?;
    Ok(done)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Open<'c>(&'c Connection);

impl Session for Open<'_> {
    fn script(&mut self, sql: &str) -> Result<()> {
        Ok(self.0.execute_batch(sql)?)
    }

    fn run(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<u64> {
        let mut statement = self.0.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        Ok(u64::try_from(statement.raw_execute()?).unwrap_or(u64::MAX))
    }

    fn insert(&mut self, many: &Many<'_>) -> Result<Vec<usize>> {
        let names: Vec<&str> = many.columns.iter().map(|column| column.name).collect();
        let places: Vec<String> = (1..=names.len()).map(|number| format!("?{number}")).collect();
        let (names, places) = (names.join(", "), places.join(", "));
        let sql = format!("INSERT INTO {} ({names}) VALUES ({places}) {}", many.table, many.conflict);
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut written = Vec::with_capacity(many.rows.len());
        for (place, row) in many.rows.iter().enumerate() {
            if statement.execute(rusqlite::params_from_iter(row))? == 1 {
                written.push(place);
            }
        }
        Ok(written)
    }

    fn each(&mut self, sql: &str, args: &[Arg<'_>], row: &mut dyn FnMut(&dyn Cells) -> Result<()>) -> Result<()> {
        let mut statement = self.0.prepare_cached(sql)?;
        bind(&mut statement, args)?;
        let mut rows = statement.raw_query();
        while let Some(cells) = rows.next()? {
            row(cells)?;
        }
        Ok(())
    }
}

/// `$1` is a name to SQLite, which gives numbers in the order in which names come up.
fn bind(statement: &mut Statement<'_>, args: &[Arg<'_>]) -> Result<()> {
    for (number, arg) in (1..).zip(args) {
        if let Some(place) = statement.parameter_index(&format!("${number}"))? {
            statement.raw_bind_parameter(place, arg)?;
        }
    }
    Ok(())
}

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl Cells for Row<'_> {
    fn int(&self, at: usize) -> Result<Option<i64>> {
        Ok(self.get(at)?)
    }

    fn text(&self, at: usize) -> Result<Option<String>> {
        Ok(self.get(at)?)
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let fault = match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Fault::Contended,
            Some(
                ErrorCode::CannotOpen
                | ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied,
            ) => Fault::Unavailable,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Fault::Unreadable,
            _ => Fault::Failed,
        };
        Self::new(fault, format!("SQLite: {error}"))
    }
}
