//! The last finished requests: what the admin API shows as long as there is no database, and what has not
//! come there yet. Only the access log's thread adds to it, so no request waits for whoever reads.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::limit::clock::Rfc3339;
use crate::record::Record;

/// Records at most.
const MOST: usize = 1_000;
/// All of them together at most: a record may name many dropped members.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Rows>);

#[derive(Debug, Default)]
struct Rows {
    /// The newest last; packed.
    rows: VecDeque<Arc<[u8]>>,
    bytes: usize,
    /// All that there ever were.
    count: u64,
}

/// Which of them are wanted; what is not said is not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub tenant: Option<String>,
    pub key: Option<String>,
    /// As the client wrote it.
    pub model: Option<String>,
    pub status: Option<u16>,
    /// A moment as records have it, or its beginning: `2026-11-28T22`.
    pub since: Option<String>,
}

/// One of them, and where it stands among all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub started_ms: u64,
    pub request_id: String,
    /// Without its line feed.
    pub line: Vec<u8>,
}

impl Wanted {
    pub(super) fn is(&self, record: &Record<'_>) -> bool {
        let fits = |wanted: &Option<String>, own: Option<&str>| wanted.is_none() || wanted.as_deref() == own;
        fits(&self.tenant, record.tenant)
            && fits(&self.key, record.key_id)
            && fits(&self.model, record.model)
            && self.status.is_none_or(|status| status == record.status)
            // All are in UTC and as long as each other, so their texts stand in the order of time.
            && self.since.as_deref().is_none_or(|since| *Rfc3339(record.started_at).to_string() >= *since)
    }

    /// `None`: it is not.
    fn read(&self, row: &[u8]) -> Option<Line> {
        let record = Record::unpack(row).filter(|record| self.is(record))?;
        Some(Line { started_ms: record.started_ms(), request_id: record.request_id.to_string(), line: line(&record) })
    }
}

fn line(record: &Record<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    record.write_json(&mut line);
    line
}

impl Kept {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, row: impl Into<Arc<[u8]>>) {
        let row = row.into();
        let mut rows = self.rows();
        rows.bytes += row.len();
        rows.count += 1;
        rows.rows.push_back(row);
        while rows.rows.len() > MOST || rows.bytes > MOST_BYTES {
            let Some(oldest) = rows.rows.pop_front() else { return };
            rows.bytes -= oldest.len();
        }
    }

    /// The newest first.
    fn all(&self) -> Vec<Arc<[u8]>> {
        self.rows().rows.iter().rev().cloned().collect()
    }

    /// Those that are wanted, the last finished first.
    pub fn some(&self, wanted: &Wanted) -> Vec<Line> {
        self.all().into_iter().filter_map(|row| wanted.read(&row)).collect()
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.rows().count
    }

    /// Those that are wanted of what came after the first `seen`, in their order, and whether some of that is
    /// forgotten already. `seen` is how many there were by then.
    pub fn behind(&self, seen: &mut u64, wanted: &Wanted) -> (Vec<Line>, bool) {
        let (rows, is_short) = {
            let all = self.rows();
            let fresh = all.count.saturating_sub(std::mem::replace(seen, all.count));
            let fresh = usize::try_from(fresh).unwrap_or(usize::MAX);
            let before = all.rows.len().saturating_sub(fresh);
            (all.rows.iter().skip(before).cloned().collect::<Vec<_>>(), fresh > all.rows.len())
        };
        (rows.into_iter().filter_map(|row| wanted.read(&row)).collect(), is_short)
    }

    /// The line of the one of that id, where `sees` says of its tenant that the asking may see it.
    pub fn one(&self, request_id: &str, sees: impl Fn(Option<&str>) -> bool) -> Option<Vec<u8>> {
        let id = Uuid::parse_str(request_id).ok().filter(|id| id.to_string() == request_id)?;
        let row = self.all().into_iter().find(|row| Record::unpack(row).is_some_and(|it| it.request_id == id))?;
        Record::unpack(&row).filter(|record| sees(record.tenant)).map(|record| line(&record))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn id(number: u64) -> String {
        Uuid::from_u128(number.into()).to_string()
    }

    fn row(number: u64, tenant: &str, status: u16) -> Vec<u8> {
        let started_at = UNIX_EPOCH + Duration::from_millis(1_795_903_200_000 + number % 60 * 1_000);
        let record = Record::new(Uuid::from_u128(number.into()), started_at, "chat");
        Record { tenant: Some(tenant), model: Some("a\"b"), status, ..record }.pack()
    }

    fn kept(count: u64) -> Kept {
        let kept = Kept::default();
        for number in 0..count {
            kept.push(row(number, if number % 2 == 0 { "even" } else { "odd" }, if number == 3 { 429 } else { 200 }));
        }
        kept
    }

    fn ids(kept: &Kept, wanted: &Wanted) -> Vec<String> {
        kept.some(wanted).into_iter().map(|line| line.request_id).collect()
    }

    fn wanted() -> Wanted {
        Wanted::default()
    }

    #[test]
    fn the_newest_come_first() {
        let tenant = Wanted { tenant: Some("even".into()), ..wanted() };
        assert_eq!(ids(&kept(7), &tenant), [6, 4, 2, 0].map(id));
    }

    #[test]
    fn each_filter_narrows() {
        let kept = kept(6);
        let some = |wanted: &Wanted| ids(&kept, wanted);
        assert_eq!(some(&Wanted { status: Some(429), ..wanted() }), [id(3)]);
        assert_eq!(some(&Wanted { since: Some("2026-11-28T22:00:04".into()), ..wanted() }), [5, 4].map(id));
        assert_eq!(some(&Wanted { model: Some("a\"b".into()), ..wanted() }).len(), 6, "compared as text, not as JSON");
        assert_eq!(some(&Wanted { model: Some("a".into()), ..wanted() }).len(), 0);
        assert_eq!(some(&Wanted { key: Some("k".into()), ..wanted() }).len(), 0);
        let one = |number, tenant| kept.one(&id(number), |whose| whose == Some(tenant));
        assert!(one(2, "even").unwrap().ends_with(b"\"timeline\":[]}"));
        assert!(one(2, "odd").is_none() && one(9, "odd").is_none() && kept.one("2", |_| true).is_none());
    }

    #[test]
    fn only_the_last_are_kept() {
        let kept = kept(1_005);
        assert_eq!(kept.some(&wanted()).len(), MOST);
        let mut seen = 0;
        let (lines, is_short) = kept.behind(&mut seen, &wanted());
        assert_eq!((lines.len(), is_short, seen), (MOST, true, 1_005), "who comes too late is told so");
        assert!(!kept.behind(&mut 5, &wanted()).1);
        let is_there = |number| kept.one(&id(number), |_| true).is_some();
        assert!(!is_there(4) && is_there(5));
        let long = vec![b'x'; MOST_BYTES / 2];
        (0..5).for_each(|_| kept.push(long.as_slice()));
        assert_eq!(kept.rows().rows.len(), 2, "their bytes are bounded too");
    }
}
