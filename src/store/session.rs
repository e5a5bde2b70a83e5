//! What both databases can do: run a statement, read rows. Statements are written once, in the SQL that
//! both understand, with `$1`, `$2` ... for their arguments.

use super::{Result, StoreError};

/// An argument of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arg<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

impl From<i64> for Arg<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Arg<'_> {
    /// Neither database has the other's truth values: they are 1 and 0.
    fn from(truth: bool) -> Self {
        Self::Int(truth.into())
    }
}

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Arg<'a>>> From<Option<T>> for Arg<'a> {
    fn from(known: Option<T>) -> Self {
        known.map_or(Self::Null, Into::into)
    }
}

/// A column that many rows are written into at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
}

/// Many rows for one table.
#[derive(Debug)]
pub(crate) struct Many<'b> {
    pub(crate) table: &'b str,
    pub(crate) columns: &'b [Column],
    /// `ON CONFLICT ...`: what becomes of rows that are there already.
    pub(crate) conflict: &'b str,
    /// In the order of the columns.
    pub(crate) rows: &'b [Vec<Arg<'b>>],
}

/// A connection, or a transaction on it.
pub(crate) trait Session {
    /// Statements without arguments or results, separated by semicolons.
    fn script(&mut self, sql: &str) -> Result<()>;

    /// One statement. Gives how many rows it changed.
    fn run(&mut self, sql: &str, args: &[Arg<'_>]) -> Result<u64>;

    /// Writes many rows, which differ in their first column. Gives the places of those that were written,
    /// where that is a text.
    fn insert(&mut self, many: &Many<'_>) -> Result<Vec<usize>>;

    /// One question; its rows one after the other.
    fn each(&mut self, sql: &str, args: &[Arg<'_>], row: &mut dyn FnMut(&dyn Cells) -> Result<()>) -> Result<()>;
}

impl dyn Session + '_ {
    /// All rows of a question.
    pub(crate) fn all<T>(
        &mut self,
        sql: &str,
        args: &[Arg<'_>],
        mut read: impl FnMut(&dyn Cells) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut rows = Vec::new();
        self.each(sql, args, &mut |cells| {
            rows.push(read(cells)?);
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first row of a question.
    pub(crate) fn one<T>(
        &mut self,
        sql: &str,
        args: &[Arg<'_>],
        read: impl FnMut(&dyn Cells) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.all(sql, args, read)?.into_iter().next())
    }
}

/// A row; cells are counted from 0. Integers are `INTEGER` in SQLite and `BIGINT` in Postgres.
pub(crate) trait Cells {
    fn int(&self, at: usize) -> Result<Option<i64>>;
    fn text(&self, at: usize) -> Result<Option<String>>;

    fn need_int(&self, at: usize) -> Result<i64> {
        self.int(at)?.ok_or_else(|| StoreError::unreadable(format_args!("nothing in column {at}")))
    }

    fn need_text(&self, at: usize) -> Result<String> {
        self.text(at)?.ok_or_else(|| StoreError::unreadable(format_args!("nothing in column {at}")))
    }

    fn truth(&self, at: usize) -> Result<bool> {
        Ok(self.need_int(at)? != 0)
    }

    /// A count: no negative number was ever written.
    fn count(&self, at: usize) -> Result<Option<u64>> {
        self.int(at)?.map(|number| u64::try_from(number).map_err(StoreError::unreadable)).transpose()
    }
}
