//! What comes in: rows of finished requests, exactly once each, however often their lines are read.

use std::collections::{HashMap, HashSet};

use super::packed::{COLUMNS, Packed};
use super::rollup::RollUps;
use super::session::Many;
use super::time::DAY_S;
use super::{Arg, Database, Result, Session, StoreError};
use crate::ledger::{Position, Row, Store};

/// Rows, and how far their streams have been read with them.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Vec<Row>,
    pub positions: Vec<Position>,
}

const KEPT_FROM: &str = "kept_from_ms";
const SET_FACT: &str = "INSERT INTO weir_facts (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Database {
    /// Adds the rows that are not there yet, what they used to the sums, and the positions: all of it
    /// or nothing. A row that is there already changes nothing, so the same batch may come again.
    pub fn fold(&self, batch: &Batch) -> Result<()> {
        self.take(&batch.rows, &batch.positions)
    }

    fn take(&self, rows: &[Row], positions: &[Position]) -> Result<()> {
        let mut seen = HashSet::with_capacity(rows.len());
        let first = rows.iter().filter(|row| seen.insert(row.request_id.as_str()));
        let packed = first.map(Packed::new).collect::<Result<Vec<_>>>()?;
        let rows: Vec<Vec<Arg<'_>>> = packed.iter().map(Packed::args).collect();
        let conflict = "ON CONFLICT (request_id) DO NOTHING";
        let many = Many { table: "weir_requests", columns: &COLUMNS, conflict, rows: &rows };
        self.write(|session| {
            let added: HashSet<String> = session.insert(&many)?.into_iter().collect();
            let mut sums = RollUps::default();
            for (packed, row) in packed.iter().zip(&rows) {
                if let Some(Arg::Text(id)) = row.first()
                    && added.contains(*id)
                {
                    sums.add(packed);
                }
            }
            sums.write(session)?;
            positions.iter().try_for_each(|position| set_position(session, position))
        })
    }

    /// How far each stream has been folded.
    pub fn positions(&self) -> Result<HashMap<String, u64>> {
        let all = "SELECT stream, seq FROM weir_streams";
        let position = |cells: &dyn super::Cells| Ok((cells.need_text(0)?, cells.count(1)?.unwrap_or_default()));
        Ok(self.read(|session| session.all(all, &[], position))?.into_iter().collect())
    }

    /// Its lines are gone, and no stream will have that name again.
    pub fn forget_stream(&self, stream: &str) -> Result<()> {
        self.write(|session| session.run("DELETE FROM weir_streams WHERE stream = $1", &[stream.into()])).map(drop)
    }

    /// Deletes rows of days that ended before a moment (in milliseconds since 1970), the oldest first and
    /// only so many. Gives how many. Sums stay.
    pub fn prune(&self, before_unix_ms: u64, most: u32) -> Result<u64> {
        let before = i64::try_from(before_unix_ms).map_err(StoreError::unreadable)?;
        let before = before - before.rem_euclid(DAY_S * 1_000);
        self.write(|session| {
            // First, and at once for all: from now on some days are not whole.
            if kept_from(session)? < before {
                session.run(SET_FACT, &[KEPT_FROM.into(), before.into()])?;
            }
            let oldest = "DELETE FROM weir_requests WHERE request_id IN \
                (SELECT request_id FROM weir_requests WHERE started_ms < $1 ORDER BY started_ms LIMIT $2)";
            session.run(oldest, &[before.into(), i64::from(most).into()])
        })
    }
}

impl Store for Database {
    fn positions(&self) -> std::result::Result<HashMap<String, u64>, String> {
        self.positions().map_err(|error| error.to_string())
    }

    fn fold(&self, rows: &[Row], positions: &[Position]) -> std::result::Result<(), String> {
        self.take(rows, positions).map_err(|error| error.to_string())
    }

    fn forget(&self, stream: &str) -> std::result::Result<(), String> {
        self.forget_stream(stream).map_err(|error| error.to_string())
    }
}

/// Since when all rows are there.
pub(super) fn kept_from(session: &mut dyn Session) -> Result<i64> {
    let sql = "SELECT value FROM weir_facts WHERE name = $1";
    Ok(session.one(sql, &[KEPT_FROM.into()], |cells| cells.need_int(0))?.unwrap_or(i64::MIN))
}

/// Never back: two may have read the same lines.
fn set_position(session: &mut dyn Session, position: &Position) -> Result<()> {
    let seq = i64::try_from(position.seq).map_err(StoreError::unreadable)?;
    let sql = "INSERT INTO weir_streams (stream, seq) VALUES ($1, $2) ON CONFLICT (stream) DO UPDATE SET \
        seq = CASE WHEN excluded.seq > weir_streams.seq THEN excluded.seq ELSE weir_streams.seq END";
    session.run(sql, &[position.stream.as_str().into(), seq.into()]).map(drop)
}
