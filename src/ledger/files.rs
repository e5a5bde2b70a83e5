//! Where the log stands: a directory for each process that wrote one, locked as long as that lives,
//! and in it the segments of its streams.
//!
//! ```text
//! state.dir/ledger/<process>/lock
//! state.dir/ledger/<process>/<stream>-<number>.log
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// What a segment begins with.
pub(super) const HEADER: &[u8; 8] = b"weirlog2";

/// One process's directory, held.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// Let go when this is dropped, or the process ends.
    _lock: File,
}

/// One file of a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Segment {
    pub(super) stream: u16,
    pub(super) number: u64,
}

impl Held {
    /// A new one for this process.
    pub(super) fn new(ledger: &Path) -> io::Result<Self> {
        let name = Uuid::now_v7().simple().to_string();
        let path = ledger.join(&name);
        if let Some(state) = ledger.parent() {
            fs::create_dir_all(state)?;
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(ledger)?;
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        File::open(ledger)?.sync_all()?;
        match Self::take(ledger, name) {
            Ok(Some(held)) => Ok(held),
            // Another process has found it before it was locked, and removes it as empty.
            Ok(None) => Self::new(ledger),
            Err(error) if error.kind() == ErrorKind::NotFound => Self::new(ledger),
            Err(error) => Err(error),
        }
    }

    /// That of a process that has ended; `None` where it lives.
    pub(super) fn take(ledger: &Path, name: String) -> io::Result<Option<Self>> {
        let path = ledger.join(&name);
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path, name, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// All of it is in the store.
    pub(super) fn remove(self) -> io::Result<()> {
        fs::remove_dir_all(&self.path)
    }
}

impl Segment {
    pub(super) fn name(&self) -> String {
        format!("{:03}-{:08}.log", self.stream, self.number)
    }

    fn of(name: &str) -> Option<Self> {
        let (stream, number) = name.strip_suffix(".log")?.split_once('-')?;
        Some(Self { stream: stream.parse().ok()?, number: number.parse().ok()? })
    }

    pub(super) fn next(&self) -> Self {
        Self { stream: self.stream, number: self.number + 1 }
    }

    /// Creates its file.
    pub(super) fn create(&self, directory: &Path) -> io::Result<File> {
        let path = directory.join(self.name());
        // It names users: others may not read it.
        let mut file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
        if let Err(error) = file.write_all(HEADER) {
            drop(file);
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(file)
    }
}

/// The names of all processes' directories, oldest first.
pub(super) fn processes(ledger: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in read_dir(ledger)? {
        let entry = entry?;
        if entry.file_type()?.is_dir()
            && let Ok(name) = entry.file_name().into_string()
            // What else stands there is another's.
            && Uuid::try_parse(&name).is_ok_and(|id| id.simple().to_string() == name)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

pub(super) fn segments(process: &Path) -> io::Result<Vec<Segment>> {
    let mut all = Vec::new();
    for entry in read_dir(process)? {
        if let Some(segment) = entry?.file_name().to_str().and_then(Segment::of) {
            all.push(segment);
        }
    }
    all.sort();
    Ok(all)
}

/// Nothing where there is no directory.
fn read_dir(path: &Path) -> io::Result<Vec<io::Result<fs::DirEntry>>> {
    match fs::read_dir(path) {
        Ok(entries) => Ok(entries.collect()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
