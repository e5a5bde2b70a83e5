//! The last finished requests, as the lines of their records: what the admin API shows as long as there
//! is no database, and what has not come there yet. Only the access log's thread adds to it, so no request waits for whoever reads.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// Records at most.
const MOST: usize = 1_000;
/// Their lines together at most: a record may name many dropped members.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    /// The newest last; without their line feeds.
    lines: VecDeque<Arc<[u8]>>,
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
#[derive(Debug, Clone)]
pub struct Line {
    pub started_at: String,
    pub request_id: String,
    pub line: Arc<[u8]>,
}

/// What of a record is looked at.
#[derive(Debug, Deserialize)]
struct Row<'l> {
    #[serde(borrow)]
    request_id: Cow<'l, str>,
    #[serde(borrow)]
    started_at: Cow<'l, str>,
    #[serde(borrow)]
    tenant: Option<Cow<'l, str>>,
    #[serde(borrow)]
    key_id: Option<Cow<'l, str>>,
    #[serde(borrow)]
    model: Option<Cow<'l, str>>,
    status: u16,
}

impl Wanted {
    fn is(&self, row: &Row<'_>) -> bool {
        let fits = |wanted: &Option<String>, own: &Option<Cow<'_, str>>| {
            wanted.as_deref().is_none_or(|wanted| own.as_deref() == Some(wanted))
        };
        fits(&self.tenant, &row.tenant)
            && fits(&self.key, &row.key_id)
            && fits(&self.model, &row.model)
            && self.status.is_none_or(|status| status == row.status)
            // All are in UTC and as long as each other, so their texts stand in the order of time.
            && self.since.as_deref().is_none_or(|since| &*row.started_at >= since)
    }
}

impl Wanted {
    /// `None`: it is not.
    fn read(&self, line: Arc<[u8]>) -> Option<Line> {
        let row = serde_json::from_slice::<Row<'_>>(&line).ok().filter(|row| self.is(row))?;
        let (started_at, request_id) = (row.started_at.clone().into_owned(), row.request_id.clone().into_owned());
        Some(Line { started_at, request_id, line })
    }
}

impl Kept {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn push(&self, line: &[u8]) {
        let line: Arc<[u8]> = line.trim_ascii_end().into();
        let mut lines = self.lines();
        lines.bytes += line.len();
        lines.count += 1;
        lines.lines.push_back(line);
        while lines.lines.len() > MOST || lines.bytes > MOST_BYTES {
            let Some(oldest) = lines.lines.pop_front() else { return };
            lines.bytes -= oldest.len();
        }
    }

    /// The newest first.
    fn all(&self) -> Vec<Arc<[u8]>> {
        self.lines().lines.iter().rev().cloned().collect()
    }

    /// Those that are wanted, the last finished first.
    pub fn some(&self, wanted: &Wanted) -> Vec<Line> {
        self.all().into_iter().filter_map(|line| wanted.read(line)).collect()
    }

    /// How many there were so far.
    pub fn count(&self) -> u64 {
        self.lines().count
    }

    /// Those that are wanted of what came after the first `seen`, in their order, and how many there were by
    /// then. What is forgotten already is left out.
    pub fn behind(&self, seen: u64, wanted: &Wanted) -> (u64, Vec<Line>) {
        let (count, lines) = {
            let all = self.lines();
            let fresh = usize::try_from(all.count.saturating_sub(seen)).unwrap_or(usize::MAX);
            let before = all.lines.len().saturating_sub(fresh);
            (all.count, all.lines.iter().skip(before).cloned().collect::<Vec<_>>())
        };
        (count, lines.into_iter().filter_map(|line| wanted.read(line)).collect())
    }

    /// The one of that id, as its record writes it.
    pub fn one(&self, request_id: &str) -> Option<Arc<[u8]>> {
        let is_it = |line: &[u8]| serde_json::from_slice::<Row<'_>>(line).is_ok_and(|row| row.request_id == request_id);
        self.all().into_iter().find(|line| is_it(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: u64, tenant: &str, status: u16) -> Vec<u8> {
        let second = number % 60;
        let text = format!(
            r#"{{"request_id":"r-{number}","started_at":"2026-11-28T22:00:{second:02}.000Z","tenant":"{tenant}","key_id":null,"model":"a\"b","status":{status},"timeline":[]}}"#
        );
        [text.as_bytes(), b"\n"].concat()
    }

    fn kept(count: u64) -> Kept {
        let kept = Kept::default();
        for number in 0..count {
            kept.push(&line(number, if number % 2 == 0 { "even" } else { "odd" }, if number == 3 { 429 } else { 200 }));
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
        assert_eq!(ids(&kept(7), &tenant), ["r-6", "r-4", "r-2", "r-0"]);
    }

    #[test]
    fn each_filter_narrows() {
        let kept = kept(6);
        let some = |wanted: &Wanted| ids(&kept, wanted);
        assert_eq!(some(&Wanted { status: Some(429), ..wanted() }), ["r-3"]);
        assert_eq!(some(&Wanted { since: Some("2026-11-28T22:00:04".into()), ..wanted() }), ["r-5", "r-4"]);
        assert_eq!(some(&Wanted { model: Some("a\"b".into()), ..wanted() }).len(), 6, "compared as text, not as JSON");
        assert_eq!(some(&Wanted { model: Some("a".into()), ..wanted() }).len(), 0);
        assert_eq!(some(&Wanted { key: Some("k".into()), ..wanted() }).len(), 0);
        assert!(kept.one("r-2").is_some() && kept.one("r-9").is_none());
    }

    #[test]
    fn only_the_last_are_kept() {
        let kept = kept(1_005);
        assert_eq!(kept.some(&wanted()).len(), MOST);
        assert!(kept.one("r-4").is_none() && kept.one("r-5").is_some());
        let long = vec![b'x'; MOST_BYTES / 2];
        (0..5).for_each(|_| kept.push(&long));
        assert_eq!(kept.lines().lines.len(), 2, "their bytes are bounded too");
    }
}
