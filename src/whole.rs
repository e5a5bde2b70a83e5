//! Files that are there whole or not at all, however many processes write them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use uuid::Uuid;

/// Another file, then in the place of the old one. The other has a name of its own: two processes of one
/// directory (one that drains and the one that follows it, or two whose containers number them alike) never
/// write into each other's. It is for its owner's eyes only.
pub(crate) fn write(directory: &Path, name: &str, text: &[u8]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let new = directory.join(format!("{name}.{}.new", Uuid::now_v7().simple()));
    let written = create(&new).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&new, directory.join(name))
    });
    written.inspect_err(|_| drop(fs::remove_file(&new)))
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
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
}
