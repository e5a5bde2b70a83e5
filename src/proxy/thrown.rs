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
    let mut masked = vec![false; detail.len()];
    for (at, run) in detail.as_bytes().windows(RUN_BYTES).enumerate() {
        if memmem::find(body, run).is_some() {
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
