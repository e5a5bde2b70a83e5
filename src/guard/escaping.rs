//! Texts inside of JSON, for arguments of calls: those are looked at as they stand there.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Where strings begin and end, as far as a text has been read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Strings {
    inside: bool,
    /// A backslash came last.
    escape: bool,
}

impl Strings {
    pub(super) fn inside(self) -> bool {
        self.inside
    }

    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match (byte, self.inside, self.escape) {
                (_, true, true) => self.escape = false,
                (b'\\', true, false) => self.escape = true,
                (b'"', inside, _) => self.inside = !inside,
                _ => {}
            }
        }
    }
}

/// Appends a text as it stands in a string.
pub(super) fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// What a piece of a string says. What is no escape stays as it is.
pub(super) fn unescape(piece: &str) -> Cow<'_, str> {
    if !piece.contains('\\') {
        return Cow::Borrowed(piece);
    }
    let mut out = String::with_capacity(piece.len());
    let mut rest = piece;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut chars = behind.chars();
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(c @ ('"' | '\\' | '/')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    Cow::Owned(out)
}
