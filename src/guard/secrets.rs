//! Credentials by their shape: what vendors put before their keys and tokens, JSON Web Tokens, private
//! keys, passwords in URLs, and values that an assignment calls a secret.
//!
//! The prefixes are those that vendors publish for scanners (GitHub's list of secret scanning patterns and
//! the vendors' own pages, seen 2026-11).

use super::text::{Class, Mark, Text, Verdict, is_word};

/// Longer tokens are taken as far as this.
const MOST_TOKEN_BYTES: usize = 8 * 1024;
/// And longer private keys.
const MOST_KEY_BYTES: usize = 16 * 1024;
const MOST_PASSWORD_BYTES: usize = 128;
const MOST_SCHEME_BYTES: usize = 20;

/// What follows a prefix.
#[derive(Clone, Copy)]
enum Tail {
    /// Letters, digits, `-` and `_`, at least so many.
    Token(usize),
    /// Letters and digits, exactly so many.
    Exact(usize),
    /// The same, capitals and digits only.
    Capitals(usize),
    /// Hexadecimal digits, exactly so many.
    Hex(usize),
    /// As a token, with dots.
    Dotted(usize),
    /// As in base 64, or in a path.
    Base64(usize),
}

const PREFIXES: &[(&str, Tail)] = &[
    ("sk-", Tail::Token(20)),
    ("sk_live_", Tail::Token(16)),
    ("sk_test_", Tail::Token(16)),
    ("rk_live_", Tail::Token(16)),
    ("rk_test_", Tail::Token(16)),
    ("whsec_", Tail::Base64(24)),
    ("weir_", Tail::Token(40)),
    ("ghp_", Tail::Exact(36)),
    ("gho_", Tail::Exact(36)),
    ("ghu_", Tail::Exact(36)),
    ("ghs_", Tail::Exact(36)),
    ("ghr_", Tail::Exact(36)),
    ("github_pat_", Tail::Token(40)),
    ("glpat-", Tail::Token(20)),
    ("gldt-", Tail::Token(20)),
    ("glrt-", Tail::Token(20)),
    ("AKIA", Tail::Capitals(16)),
    ("ASIA", Tail::Capitals(16)),
    ("ABIA", Tail::Capitals(16)),
    ("ACCA", Tail::Capitals(16)),
    ("AIza", Tail::Token(35)),
    ("ya29.", Tail::Dotted(20)),
    ("GOCSPX-", Tail::Token(28)),
    ("xoxb-", Tail::Token(20)),
    ("xoxp-", Tail::Token(20)),
    ("xoxa-", Tail::Token(20)),
    ("xoxr-", Tail::Token(20)),
    ("xoxs-", Tail::Token(20)),
    ("xapp-", Tail::Token(20)),
    ("https://hooks.slack.com/services/", Tail::Base64(20)),
    ("SG.", Tail::Dotted(60)),
    ("SK", Tail::Hex(32)),
    ("key-", Tail::Hex(32)),
    ("npm_", Tail::Exact(36)),
    ("pypi-", Tail::Token(50)),
    ("hf_", Tail::Token(30)),
    ("gsk_", Tail::Token(40)),
    ("xai-", Tail::Token(40)),
    ("pplx-", Tail::Token(40)),
    ("r8_", Tail::Token(30)),
    ("tgp_v1_", Tail::Token(30)),
    ("fw_", Tail::Token(22)),
    ("nvapi-", Tail::Token(40)),
    ("dop_v1_", Tail::Hex(64)),
    ("doo_v1_", Tail::Hex(64)),
    ("dapi", Tail::Hex(32)),
    ("hvs.", Tail::Dotted(24)),
    ("hvb.", Tail::Dotted(24)),
    ("shpat_", Tail::Hex(32)),
    ("shpss_", Tail::Hex(32)),
    ("lin_api_", Tail::Token(32)),
    ("ntn_", Tail::Token(40)),
    ("figd_", Tail::Token(32)),
    ("dp.pt.", Tail::Token(32)),
    ("ATATT3", Tail::Token(40)),
    ("AGE-SECRET-KEY-1", Tail::Capitals(58)),
    ("EAACEdEose0cBA", Tail::Token(20)),
    ("sntrys_", Tail::Base64(40)),
    ("rubygems_", Tail::Hex(48)),
    ("PMAK-", Tail::Token(40)),
    ("Bearer ", Tail::Dotted(20)),
];

/// What an assignment calls its value. Before it may stand more of a name (`DB_PASSWORD`).
const NAMES: &[&str] = &[
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "api_key",
    "api-key",
    "apikey",
    "secret_key",
    "secret_access_key",
    "client_secret",
    "access_token",
    "refresh_token",
    "auth_token",
    "accountkey",
    "sharedaccesskey",
];

/// For each byte, which of a list begin with it: a bit each.
type Begins = [u64; 128];

const WITH_PREFIX: Begins = {
    let mut all = [0; 128];
    let mut at = 0;
    while at < PREFIXES.len() {
        mark(&mut all, at, PREFIXES, NAMES, true);
        at += 1;
    }
    all
};

const WITH_NAME: Begins = {
    let mut all = [0; 128];
    let mut at = 0;
    while at < NAMES.len() {
        mark(&mut all, at, PREFIXES, NAMES, false);
        at += 1;
    }
    all
};

#[expect(clippy::indexing_slicing, reason = "worked out when this is compiled, and fails then")]
const fn mark(all: &mut Begins, at: usize, prefixes: &[(&str, Tail)], names: &[&str], is_prefix: bool) {
    let first = if is_prefix { prefixes[at].0.as_bytes()[0] } else { names[at].as_bytes()[0] };
    all[first as usize] |= 1 << at;
    if !is_prefix {
        all[first.to_ascii_uppercase() as usize] |= 1 << at;
    }
}

/// The places in their list of those that may begin there.
fn begun(text: Text<'_>, place: usize, begins: &Begins) -> impl Iterator<Item = usize> + use<> {
    let byte = text.at(place).map_or(usize::MAX, usize::from);
    let mut left = begins.get(byte).copied().unwrap_or_default();
    std::iter::from_fn(move || {
        let at = left.trailing_zeros();
        left &= left.wrapping_sub(1);
        usize::try_from(at).ok().filter(|at| *at < 64)
    })
}

/// Every byte that a secret may begin with.
pub(super) fn begins(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    if text.at(place) == Some(b'-') {
        return private_key(text, place);
    }
    let mut waits = false;
    let kinds: [&dyn Fn() -> Verdict; 4] =
        [&|| prefixed(text, place), &|| web_token(text, place), &|| url(text, place), &|| assigned(text, place)];
    for kind in kinds {
        match kind() {
            Verdict::No => {}
            Verdict::More => waits = true,
            // What comes first on the list counts, once it is known not to be there.
            hit if !waits => return hit,
            _ => return Verdict::More,
        }
    }
    if waits { Verdict::More } else { Verdict::No }
}

fn prefixed(text: Text<'_>, place: usize) -> Verdict {
    let mut waits = false;
    for (prefix, tail) in begun(text, place, &WITH_PREFIX).filter_map(|at| PREFIXES.get(at)) {
        match text.starts(place, prefix.as_bytes(), false) {
            Verdict::No => {}
            Verdict::More => waits = true,
            Verdict::Ahead(_, end) | Verdict::Hit(end) => match tail.end(text, end) {
                Verdict::No => {}
                verdict => return verdict,
            },
        }
    }
    if waits { Verdict::More } else { Verdict::No }
}

impl Tail {
    fn end(self, text: Text<'_>, from: usize) -> Verdict {
        let word: fn(u8) -> bool = match self {
            Self::Capitals(_) => |b| b.is_ascii_uppercase() || b.is_ascii_digit(),
            Self::Hex(_) => |b| b.is_ascii_hexdigit(),
            _ => is_word,
        };
        let (end, fewest, exact) = match self {
            Self::Token(fewest) => (text.long_run(from, MOST_TOKEN_BYTES, Class::Token), fewest, false),
            Self::Dotted(fewest) => (text.long_run(from, MOST_TOKEN_BYTES, Class::Dotted), fewest, false),
            Self::Base64(fewest) => (text.long_run(from, MOST_TOKEN_BYTES, Class::Base64), fewest, false),
            // One more tells that it is too long.
            Self::Exact(len) | Self::Capitals(len) | Self::Hex(len) => (text.run(from, len + 1, word), len, true),
        };
        let len = end - from;
        if text.is_cut(end) && len < if exact { fewest + 1 } else { MOST_TOKEN_BYTES } {
            return Verdict::More;
        }
        let fits = if exact { len == fewest && !text.at(end).is_some_and(is_word) } else { len >= fewest };
        if !fits {
            return Verdict::No;
        }
        Verdict::Hit(without_dots(text, from, end))
    }
}

/// Three parts of base 64 in letters for URLs, of which the first begins as `{"` does.
fn web_token(text: Text<'_>, place: usize) -> Verdict {
    let mut at = match text.starts(place, b"eyJ", false) {
        Verdict::Hit(end) => end,
        verdict => return verdict,
    };
    let limit = place + MOST_TOKEN_BYTES;
    for part in 0..3 {
        let end = text.long_run(at, limit.saturating_sub(at), Class::Token);
        if text.is_cut(end) && end < limit {
            return Verdict::More;
        }
        if end - at < 4 || part < 2 && text.at(end) != Some(b'.') {
            return Verdict::No;
        }
        at = if part < 2 { end + 1 } else { end };
    }
    Verdict::Hit(at)
}

/// From its first line to its last, or as far as it goes. Line ends may be escaped.
fn private_key(text: Text<'_>, place: usize) -> Verdict {
    let begin = match text.starts(place, b"-----BEGIN ", false) {
        Verdict::Hit(end) => end,
        verdict => return verdict,
    };
    let end = text.run(begin, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    if text.is_cut(end) && end - begin < 64 {
        return Verdict::More;
    }
    let label = text.bytes.get(begin..end).unwrap_or_default();
    if !label.ends_with(b"PRIVATE KEY") && !label.ends_with(b"PRIVATE KEY BLOCK") {
        return Verdict::No;
    }
    let limit = place + MOST_KEY_BYTES;
    let stretch = text.bytes.get(end..limit.min(text.bytes.len())).unwrap_or_default();
    // The dashes behind the label are of that class too.
    let body = text.long_run(end, limit.saturating_sub(end), Class::Key) - end;
    let is_known = body < stretch.len() || text.is_final || end + stretch.len() >= limit;
    let inside = stretch.get(..body).unwrap_or_default();
    match memchr::memmem::find(inside, b"-----END ") {
        Some(last) => {
            let last = end + last + b"-----END ".len();
            let close = text.run(last, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
            let dashes = text.run(close, 5, |b| b == b'-');
            if text.is_cut(dashes) && dashes - close < 5 { Verdict::More } else { Verdict::Hit(dashes) }
        }
        None if is_known => Verdict::Hit(end + body),
        None => Verdict::More,
    }
}

/// `scheme://user:password@`.
fn url(text: Text<'_>, place: usize) -> Verdict {
    if !text.may_have(Mark::Colon, place, MOST_SCHEME_BYTES + 1) {
        return Verdict::No;
    }
    let end = text.run(place, MOST_SCHEME_BYTES, |b| is_word(b) || matches!(b, b'+' | b'-' | b'.'));
    if text.is_cut(end) && end - place < MOST_SCHEME_BYTES {
        return Verdict::More;
    }
    let begin = match text.starts(end, b"://", false) {
        Verdict::Hit(begin) => begin,
        verdict => return verdict,
    };
    let of_user = |b: u8| b.is_ascii_graphic() && !matches!(b, b':' | b'@' | b'/' | b'?' | b'#' | b'"' | b'<' | b'>');
    let user = text.run(begin, MOST_PASSWORD_BYTES, of_user);
    if text.is_cut(user) && user - begin < MOST_PASSWORD_BYTES {
        return Verdict::More;
    }
    if text.at(user) != Some(b':') {
        return Verdict::No;
    }
    let of_password = |b: u8| b.is_ascii_graphic() && !matches!(b, b'@' | b'/' | b'?' | b'#' | b'"' | b'<' | b'>');
    let password = text.run(user + 1, MOST_PASSWORD_BYTES, of_password);
    if text.is_cut(password) && password - user <= MOST_PASSWORD_BYTES {
        return Verdict::More;
    }
    let is_there = password > user + 1 && text.at(password) == Some(b'@');
    if is_there { Verdict::Hit(password + 1) } else { Verdict::No }
}

/// `password = "..."`, where the value holds letters and digits and no blank.
fn assigned(text: Text<'_>, place: usize) -> Verdict {
    let mut waits = false;
    for name in begun(text, place, &WITH_NAME).filter_map(|at| NAMES.get(at)) {
        match text.starts(place, name.as_bytes(), true) {
            Verdict::No => {}
            Verdict::More => waits = true,
            Verdict::Ahead(_, end) | Verdict::Hit(end) => match value(text, end) {
                Verdict::No => {}
                verdict => return verdict,
            },
        }
    }
    if waits { Verdict::More } else { Verdict::No }
}

fn value(text: Text<'_>, from: usize) -> Verdict {
    const BETWEEN: usize = 8;
    let begin = text.run(from, BETWEEN, |b| matches!(b, b' ' | b'"' | b'\'' | b'`' | b':' | b'=' | b'>' | b'\\'));
    if text.is_cut(begin) && begin - from < BETWEEN {
        return Verdict::More;
    }
    if !text.bytes.get(from..begin).unwrap_or_default().iter().any(|b| matches!(b, b':' | b'=')) {
        return Verdict::No;
    }
    let of_value = |b: u8| {
        b.is_ascii_graphic()
            && !matches!(
                b,
                b'"' | b'\'' | b'`' | b',' | b';' | b'<' | b'>' | b'(' | b')' | b'{' | b'}' | b'[' | b']' | b'\\'
            )
    };
    let end = text.run(begin, MOST_PASSWORD_BYTES, of_value);
    if text.is_cut(end) && end - begin < MOST_PASSWORD_BYTES {
        return Verdict::More;
    }
    let value = text.bytes.get(begin..end).unwrap_or_default();
    let has = |class: fn(&u8) -> bool| value.iter().any(class);
    let is_there = value.len() >= 8 && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    if is_there { Verdict::Ahead(begin, without_dots(text, begin, end)) } else { Verdict::No }
}

/// A dot at the end is the sentence's.
fn without_dots(text: Text<'_>, from: usize, end: usize) -> usize {
    let dots = text.bytes.get(from..end).unwrap_or_default().iter().rev().take_while(|b| **b == b'.').count();
    end - dots
}
