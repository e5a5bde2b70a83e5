//! Files that are there whole or not at all, however many processes write them.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
#[cfg(feature = "proxy")]
use std::time::Duration;

use uuid::Uuid;

/// Of files that are being written.
const SUFFIX: &str = ".new";
/// Nobody writes one of them for so long.
#[cfg(feature = "proxy")]
const OLD: Duration = Duration::from_secs(600);

/// Another file, then in the place of the old one. The other has a name of its own: two processes of one
/// directory (one that drains and the one that follows it, or two whose containers number them alike) never
/// write into each other's. It is for its owner's eyes only.
pub(crate) fn write(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!("{name}.{}{SUFFIX}", Uuid::now_v7().simple()));
    let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let written = created.and_then(|mut file| {
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&new, directory.join(name))
    });
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

/// Removes what processes have left behind that were killed while they wrote. What is young may be another's
/// that writes now.
#[cfg(feature = "proxy")]
pub(crate) fn sweep(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let is_ours = entry.file_name().to_str().is_some_and(|name| name.ends_with(SUFFIX));
        let age = entry.metadata().and_then(|file| file.modified()).ok().and_then(|at| at.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > OLD) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_reads_finds_one_of_those_that_were_written() {
        let directory = std::env::temp_dir().join(format!("weir-whole-{}", std::process::id()));
        let texts: Vec<Vec<u8>> = (1..=4_u8).map(|n| vec![n; 200_000 * usize::from(n)]).collect();
        std::thread::scope(|scope| {
            for text in &texts {
                scope.spawn(|| (0..20).for_each(|_| write(&directory, "it", text).unwrap()));
            }
            for _ in 0..50 {
                if let Ok(found) = fs::read(directory.join("it")) {
                    assert!(texts.contains(&found), "{} bytes", found.len());
                }
            }
        });
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else stays");
        fs::remove_dir_all(&directory).unwrap();
        fs::write(&directory, "in the way").unwrap();
        assert!(write(&directory, "it", b"text").is_err());
        fs::remove_file(directory).unwrap();
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn what_was_left_behind_long_ago_goes() {
        let directory = std::env::temp_dir().join(format!("weir-sweep-{}", Uuid::now_v7()));
        fs::create_dir_all(&directory).unwrap();
        let hour_ago = std::time::SystemTime::now() - OLD * 6;
        for (name, is_old) in [("a.1.new", true), ("a.2.new", false), ("a", true)] {
            let file = fs::File::create(directory.join(name)).unwrap();
            if is_old {
                file.set_modified(hour_ago).unwrap();
            }
        }
        sweep(&directory);
        let mut left: Vec<_> = fs::read_dir(&directory).unwrap().map(|it| it.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["a", "a.2.new"]);
        fs::remove_dir_all(directory).unwrap();
    }
}
