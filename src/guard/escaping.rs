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

/// Writes out what JSON needs no escape for (`\u0040` is `@`), so that nothing is hidden behind one. Takes a
/// text in pieces; an escape that is not whole yet waits for the rest.
#[derive(Debug, Clone, Default)]
pub(super) struct Plain {
    held: String,
}

impl Plain {
    pub(super) fn push(&mut self, piece: &str, out: &mut String) {
        let text = match self.held.is_empty() {
            true => Cow::Borrowed(piece),
            false => Cow::Owned(std::mem::take(&mut self.held) + piece),
        };
        let mut rest = &*text;
        while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
            out.push_str(before);
            let wanted = if escape.as_bytes().get(1) == Some(&b'u') { 6 } else { 2 };
            let whole =
                if escape.len() < wanted { None } else { escape.split_at_checked(escape.ceil_char_boundary(wanted)) };
            let Some((escape, behind)) = whole else {
                self.held.push_str(escape);
                return;
            };
            match written_out(escape) {
                Some(c) => out.push(c),
                None => out.push_str(escape),
            }
            rest = behind;
        }
        out.push_str(rest);
    }

    /// What was no escape after all.
    pub(super) fn finish(&mut self, out: &mut String) {
        out.push_str(&std::mem::take(&mut self.held));
    }
}

/// The character that may stand in place of an escape.
fn written_out(escape: &str) -> Option<char> {
    if escape == "\\/" {
        return Some('/');
    }
    let digits = escape.strip_prefix("\\u")?;
    let c = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
    (c >= ' ' && !matches!(c, '"' | '\\')).then_some(c)
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
