//! Numbers of payment cards: their first digits and length belong to a network, and the Luhn checksum
//! holds. Groups may be parted by one blank, dot or hyphen.
//!
//! Ranges: <https://en.wikipedia.org/wiki/Payment_card_number> (2026-11).

use super::text::{Text, Verdict, is_word, luhn};

const MOST_DIGITS: usize = 19;

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    let mut digits = [0u8; MOST_DIGITS];
    let (mut count, mut at, mut best) = (0, place, None);
    loop {
        match text.at(at) {
            Some(byte) if byte.is_ascii_digit() => {
                let Some(slot) = digits.get_mut(count) else { break };
                (*slot, count) = (byte, count + 1);
                // A network that is none at six digits will be none at sixteen.
                if count == 6 && !(13..=MOST_DIGITS).any(|len| is_issued(&digits, len)) {
                    return Verdict::No;
                }
            }
            Some(b' ' | b'-' | b'.') if text.before(at).is_some_and(|b| b.is_ascii_digit()) => {}
            None if !text.is_final => return Verdict::More,
            _ => break,
        }
        at += 1;
        if text.before(at).is_some_and(|b| b.is_ascii_digit()) {
            let ends = match text.at(at) {
                Some(next) => !is_word(next),
                None => text.is_final,
            };
            if ends && digits.get(..count).is_some_and(|seen| is_issued(seen, count) && luhn(seen.iter().copied())) {
                best = Some(at);
            }
        }
    }
    best.map_or(Verdict::No, Verdict::Hit)
}

/// Whether a network gives out numbers of that length that begin so.
fn is_issued(digits: &[u8], len: usize) -> bool {
    let begins = digits.iter().take(6).fold(0u32, |sum, b| sum * 10 + super::text::digit(*b));
    match begins / 10_000 {
        34 | 37 => len == 15,
        36 | 38 | 39 => (14..=19).contains(&len),
        35 => (352_800..359_000).contains(&begins) && (16..=19).contains(&len),
        30 => (begins / 1_000 <= 305 || begins / 1_000 == 309) && (14..=19).contains(&len),
        40..=49 => matches!(len, 13 | 16 | 19),
        51..=55 => len == 16,
        22..=27 => match begins / 100 {
            2200..=2204 => (16..=19).contains(&len),
            2221..=2720 => len == 16,
            _ => false,
        },
        50 | 56..=58 => (13..=19).contains(&len),
        60 | 62 | 63 | 64 | 65 | 67 | 81 => (16..=19).contains(&len),
        _ => false,
    }
}
