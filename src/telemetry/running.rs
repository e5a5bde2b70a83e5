//! Requests that run, for who looks: the admin API's live stream tells of them before they end.
//!
//! While nobody looks, a request that begins reads one number, and nothing is kept of it. What is kept stays
//! until the request ends, also where nobody looks any more. A stream that ran before somebody looked is
//! told of a second later, when its progress is noted; nothing else that ran before is known.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use uuid::Uuid;

use super::kept::{Line, Wanted};
use crate::record::Record;

/// Requests at most; of more nothing is told until they end.
const MOST: usize = 1_000;
/// All of them together at most: a record may have many tags.
const MOST_BYTES: usize = 2 * 1024 * 1024;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Running {
    /// Who look.
    viewers: AtomicUsize,
    rows: Mutex<Rows>,
}

#[derive(Debug, Default)]
struct Rows {
    by_id: HashMap<Uuid, Row>,
    bytes: usize,
    /// How often anything was told; and not, for want of room.
    told: u64,
    left_out: u64,
}

#[derive(Debug)]
struct Row {
    /// When it was told, among all.
    at: u64,
    packed: Arc<[u8]>,
}

/// A request that is kept until this is dropped.
#[derive(Debug)]
pub struct Runs {
    id: Uuid,
    all: Arc<Running>,
}

/// Somebody who looks, until it is dropped.
#[derive(Debug)]
pub struct Watch(Arc<Running>);

/// How far a viewer has come.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    told: u64,
    left_out: u64,
}

impl Running {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody would see a request that begins.
    pub fn is_watched(&self) -> bool {
        self.viewers.load(Ordering::Relaxed) > 0
    }

    pub fn watch(self: &Arc<Self>) -> Watch {
        self.viewers.fetch_add(1, Ordering::Relaxed);
        Watch(Arc::clone(self))
    }

    /// Keeps a request, or leaves it out where there is no room.
    pub fn begin(self: &Arc<Self>, record: &Record<'_>) -> Runs {
        let runs = Runs { id: record.request_id, all: Arc::clone(self) };
        runs.tell(record);
        runs
    }

    /// Where somebody begins to look: all that runs by then is new.
    pub fn start(&self) -> Seen {
        Seen { told: 0, left_out: self.rows().left_out }
    }

    /// Those that are wanted of what was told since, in its order, and whether anything was left out.
    pub fn behind(&self, seen: &mut Seen, wanted: &Wanted) -> (Vec<Line>, bool) {
        let (mut fresh, is_short) = {
            let rows = self.rows();
            let since = std::mem::replace(seen, Seen { told: rows.told, left_out: rows.left_out });
            let fresh = rows.by_id.values().filter(|row| row.at > since.told);
            let fresh = fresh.map(|row| (row.at, Arc::clone(&row.packed))).collect::<Vec<_>>();
            (fresh, rows.left_out > since.left_out)
        };
        fresh.sort_unstable_by_key(|(at, _)| *at);
        let now = SystemTime::now();
        (fresh.into_iter().filter_map(|(_, packed)| line(&packed, wanted, now)).collect(), is_short)
    }

    /// Which of these run no more.
    pub fn over<'i>(&self, ids: impl Iterator<Item = &'i Uuid>) -> Vec<Uuid> {
        let rows = self.rows();
        ids.filter(|id| !rows.by_id.contains_key(id)).copied().collect()
    }
}

/// As a viewer gets it. What has not ended has no status that could be asked for.
fn line(packed: &[u8], wanted: &Wanted, now: SystemTime) -> Option<Line> {
    let record = Record::unpack(packed).filter(|record| wanted.status.is_none() && wanted.is(record))?;
    let mut line = Vec::new();
    record.write_running(now.duration_since(record.started_at).unwrap_or_default(), &mut line);
    Some(Line { started_ms: record.started_ms(), request_id: record.request_id.to_string(), line })
}

impl Runs {
    /// More is known of it.
    pub fn tell(&self, record: &Record<'_>) {
        let packed: Arc<[u8]> = record.pack().into();
        let mut rows = self.all.rows();
        let old = rows.by_id.get(&self.id).map(|row| row.packed.len());
        let bytes = rows.bytes - old.unwrap_or_default() + packed.len();
        if bytes > MOST_BYTES || (old.is_none() && rows.by_id.len() >= MOST) {
            rows.left_out += 1;
            return;
        }
        (rows.bytes, rows.told) = (bytes, rows.told + 1);
        let row = Row { at: rows.told, packed };
        rows.by_id.insert(self.id, row);
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        let mut rows = self.all.rows();
        if let Some(row) = rows.by_id.remove(&self.id) {
            rows.bytes -= row.packed.len();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.viewers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn record(number: usize, tenant: &'static str) -> Record<'static> {
        let id = Uuid::from_u128(number.try_into().unwrap());
        Record { tenant: Some(tenant), model: Some("m"), stream: true, ..Record::new(id, UNIX_EPOCH, "chat") }
    }

    fn ids(lines: &[Line]) -> Vec<u128> {
        lines.iter().map(|line| Uuid::parse_str(&line.request_id).unwrap().as_u128()).collect()
    }

    #[test]
    fn what_runs_is_told_once_and_again_as_more_is_known() {
        let running = Arc::new(Running::default());
        let (all, mut seen) = (Wanted::default(), running.start());
        let first = running.begin(&record(1, "acme"));
        let second = running.begin(&record(2, "globex"));
        let (lines, is_short) = running.behind(&mut seen, &all);
        assert_eq!((ids(&lines), is_short), (vec![1, 2], false));
        let text = String::from_utf8(lines[0].line.clone()).unwrap();
        assert!(text.contains("\"tenant\":\"acme\"") && text.contains("\"running_ms\":"), "{text}");
        assert!(text.contains("\"provider\":null") && !text.contains("status") && !text.contains("outcome"), "{text}");
        first.tell(&Record { provider: Some("lab"), ..record(1, "acme") });
        let (lines, _) = running.behind(&mut seen, &all);
        assert_eq!(ids(&lines), [1]);
        assert!(String::from_utf8_lossy(&lines[0].line).contains("\"provider\":\"lab\""));
        drop(second);
        assert_eq!(running.over([Uuid::from_u128(1), Uuid::from_u128(2)].iter()), [Uuid::from_u128(2)]);
        // Who comes later sees what runs by then, and of it what is wanted.
        let of = |wanted: Wanted| ids(&running.behind(&mut running.start(), &wanted).0);
        assert_eq!(of(all), [1]);
        assert_eq!(of(Wanted { tenant: Some("acme".into()), model: Some("m".into()), ..Wanted::default() }), [1]);
        assert!(of(Wanted { tenant: Some("globex".into()), ..Wanted::default() }).is_empty());
        assert!(of(Wanted { status: Some(0), ..Wanted::default() }).is_empty(), "there is no status yet");
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_left_out_is_told() {
        let running = Arc::new(Running::default());
        let mut seen = running.start();
        let mut some: Vec<Runs> = (0..MOST + 3).map(|number| running.begin(&record(number, "acme"))).collect();
        let (lines, is_short) = running.behind(&mut seen, &Wanted::default());
        assert_eq!((lines.len(), is_short), (MOST, true));
        assert!(!running.behind(&mut seen, &Wanted::default()).1, "told once");
        some.drain(..MOST);
        assert_eq!(running.rows().bytes, 0);
        // Left out before; there is room by now.
        some[0].tell(&record(MOST, "acme"));
        assert_eq!(ids(&running.behind(&mut seen, &Wanted::default()).0), [MOST as u128]);
        let tags = ["x".repeat(MOST_BYTES / 2)];
        let long = |number| Record { tags: crate::record::Texts::Plain(&tags), ..record(number, "acme") };
        let both = [running.begin(&long(1)), running.begin(&long(2))];
        assert_eq!(running.rows().by_id.len(), 2, "their bytes are bounded too");
        assert!(running.rows().bytes <= MOST_BYTES);
        // What grows too long stays as it was.
        some[0].tell(&long(MOST));
        assert!(running.over([Uuid::from_u128(MOST as u128)].iter()).is_empty());
        drop((some, both));
        let rows = running.rows();
        assert_eq!((rows.by_id.len(), rows.bytes), (0, 0));
    }

    #[test]
    fn who_looks_is_counted() {
        let running = Arc::new(Running::default());
        let (one, two) = (running.watch(), running.watch());
        drop(one);
        assert!(running.is_watched());
        drop(two);
        assert!(!running.is_watched());
    }
}
