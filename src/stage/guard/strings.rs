//! All strings of a JSON document, where nobody knows what they mean. Names of members are none.

use std::ops::Range;

/// The literals, quotes included. The document is known to be JSON.
pub(super) fn of(body: &str) -> impl Iterator<Item = Range<usize>> {
    let bytes = body.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let start = at + memchr::memchr(b'"', bytes.get(at..)?)?;
            let mut end = start + 1;
            loop {
                let found = memchr::memchr2(b'"', b'\\', bytes.get(end..)?)?;
                end += found + 1;
                match bytes.get(end - 1) {
                    Some(b'\\') => end += 1,
                    _ => break,
                }
            }
            at = end;
            let next = bytes.get(end..)?.iter().find(|b| !b.is_ascii_whitespace());
            if next != Some(&b':') {
                return Some(start..end);
            }
        }
    })
}
