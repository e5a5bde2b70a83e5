//! Addresses of e-mail: a local part of up to 64 bytes, `@`, and a name of at least two labels whose last
//! has letters only. Latin letters beyond ASCII count as letters; others end an address, since scripts
//! without blanks would make a sentence of it.

use super::text::{Mark, Text, Verdict};

const MOST_LOCAL_BYTES: usize = 64;
const MOST_NAME_BYTES: usize = 253;
const MOST_LABEL_BYTES: usize = 63;

/// Bytes of Latin letters in UTF-8: of what leads them (U+00C0 to U+024F), and of what follows.
const fn is_latin(byte: u8) -> bool {
    matches!(byte, 0xC3..=0xC9 | 0x80..=0xBF)
}

const fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-' | b'\'') || is_latin(byte)
}

const fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || is_latin(byte)
}

/// Whether an address that begins here would be the end of a longer one.
fn goes_on(text: Text<'_>, place: usize) -> bool {
    let mut at = place;
    while let Some(byte) = text.before(at) {
        at -= 1;
        if !matches!(byte, 0x80..=0xBF) {
            return is_local(byte);
        }
    }
    false
}

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    if !text.may_have(Mark::At, place, MOST_LOCAL_BYTES + 1) || goes_on(text, place) {
        return Verdict::No;
    }
    let at = text.run(place, MOST_LOCAL_BYTES + 1, is_local);
    if at - place > MOST_LOCAL_BYTES || at == place {
        return Verdict::No;
    }
    match text.at(at) {
        Some(b'@') => name(text, at + 1),
        None if !text.is_final => Verdict::More,
        _ => Verdict::No,
    }
}

fn name(text: Text<'_>, begin: usize) -> Verdict {
    let (mut at, mut best) = (begin, Verdict::No);
    loop {
        let end = text.run(at, MOST_LABEL_BYTES + 1, is_label);
        if text.is_cut(end) {
            return Verdict::More;
        }
        if end == at || end - at > MOST_LABEL_BYTES || end - begin > MOST_NAME_BYTES {
            return best;
        }
        let label = text.bytes.get(at..end).unwrap_or_default();
        let is_last = at > begin && label.len() > 1 && !label.iter().any(|b| b.is_ascii_digit() || *b == b'-');
        let is_code = label.starts_with(b"xn--");
        if at > begin && (is_last || is_code) {
            best = Verdict::Hit(end);
        }
        if text.at(end) != Some(b'.') {
            return best;
        }
        at = end + 1;
        if text.is_cut(at) {
            return Verdict::More;
        }
    }
}
