//! Names of tools as every vendor takes them.

use sha2::{Digest as _, Sha256};

const MOST_BYTES: usize = 64;
/// Of the hash that tells names apart which were cut or changed.
const HASH_BYTES: usize = 8;

/// The name itself, if it is of letters, digits, `_` and `-` and not too long; else one like it, always the same.
pub(super) fn fitting(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.len() <= MOST_BYTES && name.chars().all(good) {
        return name.to_owned();
    }
    let mut fitting: String = name.chars().map(|c| if good(c) { c } else { '_' }).collect();
    fitting.truncate(MOST_BYTES - HASH_BYTES - 1);
    let hash = hex::encode(Sha256::digest(name));
    format!("{fitting}_{}", hash.get(..HASH_BYTES).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_stay_apart() {
        assert_eq!(fitting("files__read_file"), "files__read_file");
        assert_eq!(fitting(&"a".repeat(64)), "a".repeat(64));
        let (dot, slash) = (fitting("files__read.file"), fitting("files__read/file"));
        assert!(dot.starts_with("files__read_file_") && slash.starts_with("files__read_file_") && dot != slash);
        let long = fitting(&"é".repeat(100));
        assert!(long.len() == 64 && long.is_ascii() && long != fitting(&"é".repeat(101)), "{long}");
    }
}
