//! Rows, as the admin API and the export have them.

use std::fmt;
use std::str::FromStr;

use super::columns::{self, unpack};
use super::{Arg, Database, Result};
use crate::ledger::Row;

/// Which rows are wanted; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub tenant: Option<String>,
    pub key: Option<String>,
    /// As the client wrote it.
    pub model: Option<String>,
    pub status: Option<u16>,
    /// Started then or later, in milliseconds since 1970.
    pub since_ms: Option<i64>,
    pub limit: u32,
    /// Only those behind this one.
    pub after: Option<Cursor>,
}

/// Some rows, the newest first.
#[derive(Debug)]
pub struct Page {
    pub rows: Vec<Row>,
    /// Where the next page begins, if there is one.
    pub next: Option<Cursor>,
}

/// A place among rows: they are in the order of their beginnings, and of their ids where those agree. A
/// row that comes in later moves no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    pub started_ms: i64,
    pub request_id: String,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.started_ms, self.request_id)
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (ms, id) = text.split_once('.').ok_or(())?;
        Ok(Self { started_ms: ms.parse().map_err(|_| ())?, request_id: id.to_owned() })
    }
}

/// A stretch of time, and whose rows: what is exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Span {
    pub since_ms: Option<i64>,
    pub until_ms: Option<i64>,
    pub tenant: Option<String>,
}

/// `WHERE`, as it grows.
#[derive(Default)]
pub(super) struct Conditions<'a> {
    text: String,
    pub(super) args: Vec<Arg<'a>>,
}

impl<'a> Conditions<'a> {
    /// A condition, with `?` where the argument stands.
    pub(super) fn and(&mut self, condition: &str, arg: impl Into<Arg<'a>>) {
        self.args.push(arg.into());
        let place = format!("${}", self.args.len());
        self.plain(&condition.replace('?', &place));
    }

    pub(super) fn plain(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() { " WHERE " } else { " AND " });
        self.text.push_str(condition);
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

impl Database {
    /// A page of rows, the newest first.
    pub fn requests(&self, wanted: &Wanted) -> Result<Page> {
        let mut conditions = Conditions::default();
        let texts = [("tenant", &wanted.tenant), ("key_id", &wanted.key), ("model", &wanted.model)];
        for (column, text) in texts {
            if let Some(text) = text {
                conditions.and(&format!("{column} = ?"), text);
            }
        }
        if let Some(status) = wanted.status {
            conditions.and("status = ?", i64::from(status));
        }
        if let Some(since) = wanted.since_ms {
            conditions.and("started_ms >= ?", since);
        }
        if let Some(Cursor { started_ms, request_id }) = &wanted.after {
            conditions.and("started_ms <= ?", *started_ms);
            conditions.and(&format!("(started_ms < {started_ms} OR request_id < ?)"), request_id);
        }
        let (columns, filter) = (columns::list(), conditions.text());
        // One more than is shown, to know whether there is a next page.
        let most = u64::from(wanted.limit) + 1;
        let sql = format!(
            "SELECT {columns} FROM weir_requests{filter} ORDER BY started_ms DESC, request_id DESC LIMIT {most}"
        );
        let mut found = self.read(|session| session.all(&sql, &conditions.args, cursor_and_row))?;
        let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
        Ok(Page { rows: found.into_iter().map(|(_, row)| row).collect(), next })
    }

    /// The row of that id.
    pub fn request(&self, request_id: &str) -> Result<Option<Row>> {
        if request_id.contains('\0') {
            return Ok(None);
        }
        let sql = format!("SELECT {} FROM weir_requests WHERE request_id = $1", columns::list());
        self.read(|session| session.one(&sql, &[request_id.into()], unpack))
    }

    /// The next rows of a stretch, the oldest first, each with its place.
    pub fn rows_after(&self, span: &Span, after: Option<&Cursor>, most: u32) -> Result<Vec<(Cursor, Row)>> {
        let mut conditions = Conditions::default();
        if let Some(tenant) = &span.tenant {
            conditions.and("tenant = ?", tenant);
        }
        if let Some(since) = span.since_ms {
            conditions.and("started_ms >= ?", since);
        }
        if let Some(until) = span.until_ms {
            conditions.and("started_ms < ?", until);
        }
        if let Some(Cursor { started_ms, request_id }) = after {
            conditions.and("started_ms >= ?", *started_ms);
            conditions.and(&format!("(started_ms > {started_ms} OR request_id > ?)"), request_id);
        }
        let (columns, filter) = (columns::list(), conditions.text());
        let sql = format!("SELECT {columns} FROM weir_requests{filter} ORDER BY started_ms, request_id LIMIT {most}");
        self.read(|session| session.all(&sql, &conditions.args, cursor_and_row))
    }
}

/// The place is what the columns say, which an odd row's text may not.
fn cursor_and_row(cells: &dyn super::Cells) -> Result<(Cursor, Row)> {
    let cursor = Cursor { started_ms: cells.need_int(1)?, request_id: cells.need_text(0)? };
    Ok((cursor, unpack(cells)?))
}
