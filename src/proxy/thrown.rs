//! What may be said in the log of an error's detail: a provider's words may be the request thrown back,
//! and prompts are in no log.

use std::borrow::Cow;

use memchr::memmem;

/// As long as this is no chance.
const RUN_BYTES: usize = 12;
/// Of a detail; no more is of use.
const MOST_BYTES: usize = 400;
/// Looking for pieces of a longer request would take too long.
const MOST_BODY_BYTES: usize = 64 * 1024;
const MASK: &str = "[...]";

/// The detail without what stands in the request too.
pub(super) fn without_request<'d>(detail: &'d str, body: &[u8]) -> Cow<'d, str> {
    let detail = brief(detail);
    if detail.len() < RUN_BYTES || body.is_empty() {
        return Cow::Borrowed(detail);
    }
    if body.len() > MOST_BODY_BYTES {
        return Cow::Borrowed("not shown: the request is too long to know it from the provider's words");
    }
    // Words may be thrown back as they were written, or as they were meant.
    let meant = unescaped(body);
    let mut masked = vec![false; detail.len()];
    for (at, run) in detail.as_bytes().windows(RUN_BYTES).enumerate() {
        if memmem::find(body, run).is_some() || meant.as_ref().is_some_and(|meant| memmem::find(meant, run).is_some()) {
            masked.iter_mut().skip(at).take(RUN_BYTES).for_each(|byte| *byte = true);
        }
    }
    if !masked.contains(&true) {
        return Cow::Borrowed(detail);
    }
    let mut shown = String::with_capacity(detail.len());
    let mut was_masked = false;
    for (at, c) in detail.char_indices() {
        let is_masked = masked.iter().skip(at).take(c.len_utf8()).any(|masked| *masked);
        match (is_masked, was_masked) {
            (false, _) => shown.push(c),
            (true, false) => shown.push_str(MASK),
            (true, true) => {}
        }
        was_masked = is_masked;
    }
    Cow::Owned(shown)
}

/// What JSON's escapes in it stand for, wherever they are; nothing where there are none.
fn unescaped(body: &[u8]) -> Option<Vec<u8>> {
    memchr::memchr(b'\\', body)?;
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at_checked(at)?;
        out.extend_from_slice(before);
        let (meant, taken) = meant_by(escape);
        out.extend_from_slice(meant.encode_utf8(&mut [0; 4]).as_bytes());
        rest = escape.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Some(out)
}

/// What the escape at the beginning stands for, and how many bytes it has.
fn meant_by(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
    };
    match escape.get(1) {
        Some(b'n') => ('\n', 2),
        Some(b't') => ('\t', 2),
        Some(b'r') => ('\r', 2),
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'u') => {
            let units = unit(0).into_iter().chain(unit(6));
            match char::decode_utf16(units).next() {
                Some(Ok(meant)) => (meant, 6 * meant.len_utf16()),
                _ => (char::REPLACEMENT_CHARACTER, 2),
            }
        }
        Some(other) => (char::from(*other), 2),
        None => ('\\', 1),
    }
}

fn brief(text: &str) -> &str {
    let end = (0..=MOST_BYTES.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = br#"{"model":"m","messages":[{"role":"user","content":"the moon is made of cheese"}]}"#;

    #[test]
    fn what_is_thrown_back_is_masked_and_the_rest_is_not() {
        let said = |detail| without_request(detail, BODY);
        assert_eq!(said("Incorrect API key provided."), "Incorrect API key provided.");
        assert_eq!(said("cannot say: the moon is made of cheese!"), "cannot say: [...]!");
        assert_eq!(said("is made of"), "is made of", "too short to be anybody's");
        assert_eq!(said("a: is made of cheese, b: the moon is m"), "a:[...], b: [...]");
        assert_eq!(without_request("déjà: the moon is made ü", BODY), "déjà: [...]ü");
    }

    /// Clients of some languages escape all that is not ASCII.
    #[test]
    fn what_was_escaped_is_known_when_it_comes_back_plain() {
        let body = br#"{"content":"\u043b\u0443\u043d\u0430 \u0438\u0437 \u0441\u044b\u0440\u0430 \ud83e\uddc0, \"so\" it\nis\tsaid"}"#;
        let said = |detail| without_request(detail, body);
        assert_eq!(said("не знаю: луна из сыра 🧀, \"so\" it\nis\tsaid"), "не знаю: [...]");
        assert_eq!(said(r#"as it came: \u043b\u0443\u043d\u0430"#), "as it came: [...]");
        assert_eq!(said("луна далеко"), "луна далеко", "too short to be anybody's");
        for odd in [&br"\"[..], br"\u12", br"\ud83e", br"\ud83e\u0041 and on it goes", "\\ü".as_bytes()] {
            assert_eq!(without_request("nothing of that is here", odd), "nothing of that is here");
        }
    }

    #[test]
    fn it_takes_no_longer_than_it_may() {
        let long = "x".repeat(10_000);
        assert_eq!(without_request(&long, BODY).len(), MOST_BYTES);
        assert_eq!(without_request(&"ü".repeat(300), b"").len(), MOST_BYTES);
        let large = vec![b'a'; MOST_BODY_BYTES + 1];
        assert!(without_request("any words of the provider", &large).starts_with("not shown"));
        assert_eq!(without_request("", BODY), "");
    }
}
