//! Where variables and files of a configuration come from: the one place that reads the process's
//! environment. Tests put a table in its place.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::path::Path;

/// Largest file a setting may refer to (a secret, a certificate, a price table).
const MAX_REFERRED_BYTES: u64 = 16 << 20;

/// The outside world, as far as a configuration may look at it.
pub trait Env: Send + Sync {
    /// A variable; `None` if it is not set or not text.
    fn var(&self, name: &str) -> Option<String>;

    /// The text of a file.
    fn read(&self, path: &Path) -> io::Result<String>;

    /// Whether there is neither: texts mean what they say, dollar signs and all.
    fn is_nothing(&self) -> bool {
        false
    }
}

/// The process's own environment and file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Env for System {
    #[expect(clippy::disallowed_methods, reason = "this is the one way in")]
    fn var(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let mut text = String::new();
        let file = std::fs::File::open(path)?;
        if file.take(MAX_REFERRED_BYTES + 1).read_to_string(&mut text)? as u64 > MAX_REFERRED_BYTES {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 16 MiB"));
        }
        Ok(text)
    }
}

/// Nothing outside, for what somebody sends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nothing;

impl Env for Nothing {
    fn var(&self, _: &str) -> Option<String> {
        None
    }

    fn read(&self, _: &Path) -> io::Result<String> {
        Err(io::Error::from(io::ErrorKind::NotFound))
    }

    fn is_nothing(&self) -> bool {
        true
    }
}

/// Variables and files from a table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub vars: HashMap<String, String>,
    /// By path, as the configuration spells it.
    pub files: HashMap<String, String>,
}

impl Table {
    /// A table with these variables.
    pub fn of(vars: &[(&str, &str)]) -> Self {
        let vars = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { vars, files: HashMap::new() }
    }

    /// The same with one more file.
    #[must_use]
    pub fn with_file(mut self, path: &str, text: &str) -> Self {
        self.files.insert(path.to_owned(), text.to_owned());
        self
    }
}

impl Env for Table {
    fn var(&self, name: &str) -> Option<String> {
        self.vars.get(name).cloned()
    }

    fn read(&self, path: &Path) -> io::Result<String> {
        let found = path.to_str().and_then(|p| self.files.get(p));
        found.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}
