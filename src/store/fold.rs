//! What comes in: rows of finished requests, exactly once each, however often their lines are read.

use std::collections::HashMap;

use super::columns::{COLUMNS, Columns};
use super::rollup::RollUps;
use super::session::Many;
use super::time::DAY_S;
use super::{Arg, Database, Result, Session, StoreError, owned};
use crate::ledger::{Position, Row, Store};
use crate::record::Record;

/// Rows, and how far their streams have been read with them.
#[derive(Debug, Default)]
pub struct Batch {
    pub rows: Vec<Row>,
    pub positions: Vec<Position>,
}

/// Rows in one statement: many for a round trip, and few enough to stay in the processor's cache.
const AT_ONCE: usize = 128;

const KEPT_FROM: &str = "kept_from_ms";
const SET_FACT: &str = "INSERT INTO weir_facts (name, value) VALUES ($1, $2) \
    ON CONFLICT (name) DO UPDATE SET value = excluded.value";

impl Database {
    /// Adds the rows that are not there yet, what they used to the sums, and the positions: all of it
    /// or nothing. A row that is there already changes nothing, so the same batch may come again.
    pub fn fold(&self, batch: &Batch) -> Result<()> {
        let packed = batch.rows.iter().map(owned::pack).collect::<Result<Vec<_>>>()?;
        let records: Vec<Record<'_>> = packed.iter().filter_map(|row| Record::unpack(row)).collect();
        self.take(&records, &batch.positions)
    }

    fn take(&self, records: &[Record<'_>], positions: &[Position]) -> Result<()> {
        // Ids are of moments: in their order, each row goes behind all that are there, which is where the trees look
        // first.
        let mut first: Vec<&Record<'_>> = records.iter().collect();
        first.sort_by_key(|record| record.request_id);
        first.dedup_by_key(|record| record.request_id);
        let conflict = "ON CONFLICT (request_id) DO NOTHING";
        self.write(|session| {
            let mut sums = RollUps::default();
            for some in first.chunks(AT_ONCE) {
                let columns: Vec<Columns<'_>> = some.iter().copied().map(Columns::new).collect();
                let rows: Vec<Vec<Arg<'_>>> = columns.iter().map(Columns::args).collect();
                let many = Many { table: "weir_requests", columns: &COLUMNS, conflict, rows: &rows };
                for place in session.insert(&many)? {
                    some.get(place).into_iter().for_each(|record| sums.add(record));
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

    fn fold(&self, rows: &[Record<'_>], positions: &[Position]) -> std::result::Result<(), String> {
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
