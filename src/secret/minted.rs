//! The text of keys that are made here: `weir_<handle>_<random><checksum>`.
//!
//! The handle (8 small letters and digits) names the key without giving anything of it away: it may
//! stand in lists and logs. 32 letters and digits of chance are 190 bits: nobody guesses them, so a plain
//! SHA-256 is enough to keep them by. (A slow hash protects what people think up; it would only make
//! every request slow.) The checksum, CRC-32 in base 62, has a mistyped or cut key refused for good, even
//! while nobody can say which keys there are, and lets a scanner of repositories tell a key from what merely looks like one.

use super::Secret;

const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const SMALL: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const PREFIX: &str = "weir_";
const HANDLE_BYTES: usize = 8;
const RANDOM_BYTES: usize = 32;
/// 62^6 is more than 2^32.
const CHECKSUM_BYTES: usize = 6;
/// `weir_`, handle, `_`
const HEAD_BYTES: usize = PREFIX.len() + HANDLE_BYTES + 1;
const WHOLE_BYTES: usize = HEAD_BYTES + RANDOM_BYTES + CHECKSUM_BYTES;

/// What a text looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Anybody's.
    Other,
    /// A key made by some Weir.
    Whole,
    /// That of a key, with a checksum that is not its own: mistyped, or made up.
    Broken,
}

/// A new key. `None` if the system has no randomness.
pub fn mint() -> Option<Secret> {
    let mut key = String::with_capacity(WHOLE_BYTES);
    key.push_str(PREFIX);
    fill(&mut key, SMALL, HANDLE_BYTES)?;
    key.push('_');
    fill(&mut key, LETTERS, RANDOM_BYTES)?;
    let sum = checksum(key.as_bytes());
    key.extend(sum.map(char::from));
    Some(Secret::new(key))
}

/// The part of a key that may be shown.
pub fn handle(key: &Secret) -> Option<&str> {
    let inside = key.expose().strip_prefix(PREFIX)?;
    inside.get(..HANDLE_BYTES).filter(|_| shape(key.expose().as_bytes()) == Shape::Whole)
}

/// What this looks like. Costs nothing for what is not of our making.
pub fn shape(text: &[u8]) -> Shape {
    let Some((body, sum)) = text.split_last_chunk::<CHECKSUM_BYTES>() else { return Shape::Other };
    let Some((head, random)) = body.split_at_checked(HEAD_BYTES) else { return Shape::Other };
    let handle = head.strip_prefix(PREFIX.as_bytes()).and_then(|rest| rest.strip_suffix(b"_"));
    let is_ours = text.len() == WHOLE_BYTES
        && handle.is_some_and(|handle| handle.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        && random.iter().chain(sum).all(u8::is_ascii_alphanumeric);
    match is_ours {
        false => Shape::Other,
        true if checksum(body) == *sum => Shape::Whole,
        true => Shape::Broken,
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut rest = crc32fast::hash(body);
    let mut sum = [b'A'; CHECKSUM_BYTES];
    for digit in sum.iter_mut().rev() {
        let letter = usize::try_from(rest % 62).ok().and_then(|at| LETTERS.get(at));
        *digit = letter.copied().unwrap_or(b'A');
        rest /= 62;
    }
    sum
}

/// Adds letters, each as likely as any other.
fn fill(text: &mut String, letters: &[u8], count: usize) -> Option<()> {
    let wanted = text.len() + count;
    let mut bytes = [0_u8; 64];
    while text.len() < wanted {
        getrandom::fill(&mut bytes).ok()?;
        // Bytes past the largest multiple would favour the first letters.
        let even = 256 - 256 % letters.len();
        let drawn = bytes.iter().map(|byte| usize::from(*byte)).filter(|byte| *byte < even);
        let drawn = drawn.filter_map(|byte| letters.get(byte % letters.len()));
        text.extend(drawn.take(wanted - text.len()).map(|byte| char::from(*byte)));
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_new_key_is_whole_and_no_two_are_alike() {
        let keys: Vec<Secret> = (0..500).map(|_| mint().unwrap()).collect();
        for key in &keys {
            let text = key.expose();
            assert_eq!((text.len(), shape(text.as_bytes())), (52, Shape::Whole), "{text}");
            assert!(text.starts_with(&format!("weir_{}_", handle(key).unwrap())));
        }
        assert_eq!(keys.iter().map(Secret::expose).collect::<HashSet<_>>().len(), keys.len());
        let seen: HashSet<char> = keys.iter().flat_map(|key| key.expose().get(14..46).unwrap().chars()).collect();
        assert_eq!(seen.len(), 62, "every letter comes up");
    }

    #[test]
    fn any_one_wrong_letter_is_seen() {
        let key = mint().unwrap();
        let text = key.expose().as_bytes();
        for at in HEAD_BYTES..text.len() {
            let mut wrong = text.to_vec();
            wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
            assert_eq!(shape(&wrong), Shape::Broken, "{at}");
        }
        let mut swapped = text.to_vec();
        let at = (HEAD_BYTES..text.len() - 7).find(|at| text[*at] != text[at + 1]).unwrap();
        swapped.swap(at, at + 1);
        assert_eq!(shape(&swapped), Shape::Broken);
    }

    #[test]
    fn texts_of_others_are_left_alone() {
        let key = mint().unwrap();
        let long = format!("{}x", key.expose());
        for other in [
            "",
            "weir_",
            "weir-abc",
            "sk-1",
            "weir_my_own_key",
            key.expose().trim_start_matches('w'),
            &long,
            &"_".repeat(52),
        ] {
            assert_eq!(shape(other.as_bytes()), Shape::Other, "{other}");
        }
        assert_eq!(handle(&Secret::new("weir_abcdefgh_1")), None);
    }

    /// Fixed for ever: keys are out there.
    #[test]
    fn the_checksum_is_what_it_was() {
        assert_eq!(shape(b"weir_abcdefgh_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345AAAAAA"), Shape::Broken);
        let body = b"weir_abcdefgh_ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
        let sum = String::from_utf8(checksum(body).to_vec()).unwrap();
        assert_eq!(shape(&[body.as_slice(), sum.as_bytes()].concat()), Shape::Whole);
        assert_eq!(checksum(b""), *b"AAAAAA");
        assert_eq!(sum, "B4maNo");
    }
}
