//! A log file that is kept small: one that would grow beyond its size gives way to a new one.
//!
//! The file in use keeps its name; the last one is `<path>.1`, the one before it `<path>.2`, up to as
//! many as are kept. Where the files cannot be moved, lines go on into the one that is there.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::telemetry::Rotation;

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Rotated {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    bytes: u64,
    /// From how many bytes on a new one is wanted.
    full_at_bytes: u64,
    /// What is in the file ends with a whole line.
    is_between_lines: bool,
}

pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

impl Rotated {
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = open(path)?;
        let bytes = file.metadata()?.len();
        let full_at_bytes = rotation.most_bytes;
        Ok(Self { path: path.to_owned(), rotation, file, bytes, full_at_bytes, is_between_lines: true })
    }

    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.rotation.keep;
        let name = |number: u32| match number {
            0 => self.path.clone(),
            number => {
                let mut name = OsString::from(self.path.as_os_str());
                name.push(format!(".{number}"));
                name.into()
            }
        };
        if keep == 0 {
            gone_is_fine(fs::remove_file(&self.path))?;
        }
        for number in (0..keep).rev() {
            gone_is_fine(fs::rename(name(number), name(number + 1)))?;
        }
        self.file = open(&self.path)?;
        (self.bytes, self.full_at_bytes) = (0, self.rotation.most_bytes);
        Ok(())
    }
}

fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

impl Write for Rotated {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let more = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let is_full = self.bytes > 0 && self.bytes.saturating_add(more) > self.full_at_bytes;
        if is_full
            && self.is_between_lines
            && let Err(error) = self.rotate()
        {
            // Tried again once as much has come once more.
            self.full_at_bytes = self.bytes.saturating_add(self.rotation.most_bytes);
            tracing::error!(%error, path = %self.path.display(), "the access log could not be rotated");
        }
        let written = self.file.write(lines)?;
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        self.is_between_lines = written.checked_sub(1).and_then(|last| lines.get(last)).is_none_or(|b| *b == b'\n');
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir() -> PathBuf {
        let dir = std::env::temp_dir().join(format!("weir-rotated-{}", uuid::Uuid::now_v7()));
        fs::create_dir(&dir).unwrap();
        dir
    }

    fn texts(dir: &Path) -> Vec<(String, String)> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap())
        };
        let mut all: Vec<_> = fs::read_dir(dir).unwrap().map(entry).collect();
        all.sort();
        all
    }

    fn named(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_full_file_gives_way_and_so_many_old_ones_stay() {
        let dir = dir();
        let path = dir.join("a.log");
        fs::write(&path, "old\n").unwrap();
        let mut log = Rotated::open(&path, Rotation { most_bytes: 10, keep: 2 }).unwrap();
        for line in ["1one\n", "2two\n", "3three\n", "4four\n", "a line that is longer than a file may be\n", "6\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        let long = "a line that is longer than a file may be\n";
        assert_eq!(texts(&dir), named(&[("a.log", "6\n"), ("a.log.1", long), ("a.log.2", "4four\n")]));
        let mut log = Rotated::open(&path, Rotation { most_bytes: 2, keep: 0 }).unwrap();
        log.write_all(b"7\n").unwrap();
        assert_eq!(texts(&dir)[0], ("a.log".to_owned(), "7\n".to_owned()), "none is kept of it");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_line_stays_in_one_file() {
        let dir = dir();
        let path = dir.join("a.log");
        let mut log = Rotated::open(&path, Rotation { most_bytes: 4, keep: 3 }).unwrap();
        for piece in ["on", "e-that-goes-on", "\n", "two\n"] {
            log.write_all(piece.as_bytes()).unwrap();
        }
        assert_eq!(texts(&dir), named(&[("a.log", "two\n"), ("a.log.1", "one-that-goes-on\n")]));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn where_files_cannot_be_moved_lines_go_on_into_the_one_there_is() {
        let dir = dir();
        let path = dir.join("a.log");
        // What it would be moved to is a folder with something in it.
        fs::create_dir_all(dir.join("a.log.1/x")).unwrap();
        let mut log = Rotated::open(&path, Rotation { most_bytes: 4, keep: 1 }).unwrap();
        for line in ["one\n", "two\n", "three\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\nthree\n");
        fs::remove_dir_all(&dir).unwrap();
    }
}
