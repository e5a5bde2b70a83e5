//! The directory of captured exchanges: a folder for each capture, a file for each request. Its size and
//! its age are bounded; who reads it needs the key.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use uuid::Uuid;

use crate::whole;

/// More files than that are slow to list.
const MOST_FILES: usize = 10_000;
const ENDING: &str = "weircap";

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Shelf(PathBuf);

/// A file.
#[derive(Debug, Clone)]
struct Kept {
    capture: Uuid,
    request: Uuid,
    bytes: u64,
}

impl Shelf {
    pub(super) fn new(state: &Path) -> Self {
        Self(state.join("captures"))
    }

    fn path(&self, capture: Uuid, request: Uuid) -> PathBuf {
        self.0.join(capture.hyphenated().to_string()).join(name(request))
    }

    /// Makes room, and writes the file. The oldest requests go first.
    pub(super) fn write(&self, capture: Uuid, request: Uuid, sealed: &[u8], most_bytes: u64) -> io::Result<()> {
        let bytes = u64::try_from(sealed.len()).unwrap_or(u64::MAX);
        let mut all = self.all();
        // Ids begin with the time.
        all.sort_by_key(|kept| kept.request);
        let mut total: u64 = all.iter().map(|kept| kept.bytes).sum();
        let mut count = all.len();
        for oldest in &all {
            if total.saturating_add(bytes) <= most_bytes && count < MOST_FILES {
                break;
            }
            fs::remove_file(self.path(oldest.capture, oldest.request))?;
            (total, count) = (total.saturating_sub(oldest.bytes), count - 1);
        }
        let directory = self.0.join(capture.hyphenated().to_string());
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        whole::write(&directory, &name(request), sealed)
    }

    /// `None`: there is none.
    pub(super) fn read(&self, request: Uuid) -> io::Result<Option<Vec<u8>>> {
        let found = self.all().into_iter().find(|kept| kept.request == request);
        found.map(|kept| fs::read(self.path(kept.capture, kept.request))).transpose()
    }

    /// The requests of each capture, the oldest first, and the size of all.
    pub(super) fn list(&self) -> (BTreeMap<Uuid, Vec<Uuid>>, u64) {
        let all = self.all();
        let bytes = all.iter().map(|kept| kept.bytes).sum();
        let mut captures: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        all.into_iter().for_each(|kept| captures.entry(kept.capture).or_default().push(kept.request));
        captures.values_mut().for_each(|requests| requests.sort());
        (captures, bytes)
    }

    /// What a capture has kept goes. Whether there was anything.
    pub(super) fn remove(&self, capture: Uuid) -> io::Result<bool> {
        match fs::remove_dir_all(self.0.join(capture.hyphenated().to_string())) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What is too old goes, and folders in which nothing is left.
    pub(super) fn sweep(&self, now_ms: u64, keep: Duration) {
        for kept in self.all().into_iter().filter(|kept| is_over(kept.request, now_ms, keep)) {
            if let Err(error) = fs::remove_file(self.path(kept.capture, kept.request)) {
                tracing::warn!(request_id = %kept.request, "a captured exchange could not be removed: {error}");
            }
        }
        for (folder, _) in folders(&self.0) {
            whole::sweep(&folder);
            // Only one that is empty can be removed so.
            let _ = fs::remove_dir(folder);
        }
    }

    fn all(&self) -> Vec<Kept> {
        let files = |(folder, capture): (PathBuf, Uuid)| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(move |entry| {
                let path = PathBuf::from(entry.file_name());
                let is_ours = path.extension().is_some_and(|ending| ending == ENDING);
                let request = path.file_stem().filter(|_| is_ours)?.to_str()?.parse().ok()?;
                Some(Kept { capture, request, bytes: entry.metadata().ok()?.len() })
            })
        };
        folders(&self.0).flat_map(files).collect()
    }
}

fn folders(root: &Path) -> impl Iterator<Item = (PathBuf, Uuid)> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().to_str()?.parse().ok()?)))
}

fn name(request: Uuid) -> String {
    format!("{}.{ENDING}", request.hyphenated())
}

/// Whether a request is longer ago than exchanges are kept.
pub(super) fn is_over(request: Uuid, now_ms: u64, keep: Duration) -> bool {
    let Some(began) = request.get_timestamp() else { return true };
    let (seconds, nanos) = began.to_unix();
    let began = Duration::from_secs(seconds) + Duration::from_nanos(nanos.into());
    Duration::from_millis(now_ms) >= began.saturating_add(keep)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn at(ms: u64) -> Uuid {
        Uuid::new_v7(uuid::Timestamp::from_unix_time(ms / 1_000, 0, 0, 0))
    }

    fn shelf() -> (Shelf, PathBuf) {
        let directory = std::env::temp_dir().join(format!("weir-shelf-{}", Uuid::now_v7()));
        (Shelf::new(&directory), directory)
    }

    #[test]
    fn the_oldest_makes_room_for_the_newest() {
        let (shelf, directory) = shelf();
        let (one, two) = (Uuid::now_v7(), Uuid::now_v7());
        let requests: Vec<Uuid> = (1..=4).map(|n| at(n * 1_000)).collect();
        for (capture, request) in [one, two, one, two].into_iter().zip(&requests) {
            shelf.write(capture, *request, &[7; 100], 350).unwrap();
        }
        let (captures, bytes) = shelf.list();
        assert_eq!(bytes, 300);
        assert_eq!((&captures[&one], &captures[&two]), (&vec![requests[2]], &vec![requests[1], requests[3]]));
        assert_eq!(shelf.read(requests[0]).unwrap(), None);
        assert_eq!(shelf.read(requests[3]).unwrap(), Some(vec![7; 100]));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&shelf.path(two, requests[3])), 0o600);
        assert_eq!(mode(shelf.path(two, requests[3]).parent().unwrap()), 0o700);
        assert_eq!((shelf.remove(two).unwrap(), shelf.remove(two).unwrap()), (true, false));
        assert_eq!(shelf.list().0.len(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn what_is_too_old_goes_by_the_time_of_its_request() {
        let (shelf, directory) = shelf();
        let (capture, keep) = (Uuid::now_v7(), Duration::from_secs(60));
        shelf.write(capture, at(1_000_000), b"old", 1_000).unwrap();
        shelf.write(capture, at(1_050_000), b"young", 1_000).unwrap();
        shelf.sweep(1_059_999, keep);
        assert_eq!(shelf.list().1, 8);
        shelf.sweep(1_060_000, keep);
        assert_eq!(shelf.list().1, 5);
        shelf.sweep(2_000_000, keep);
        assert_eq!(shelf.list(), (BTreeMap::new(), 0));
        assert!(!shelf.0.join(capture.to_string()).exists());
        assert!(is_over(Uuid::nil(), 0, keep), "an id without a time");
        fs::remove_dir_all(directory).unwrap();
    }
}
