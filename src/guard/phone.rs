//! Phone numbers in their international form (E.164): `+` or `00`, a country's code, 8 to 15 digits in
//! all, in groups as people write them.

use super::text::{Text, Verdict, is_word};

const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// `00` also begins numbers that are none: those have to be longer.
const FEWEST_AFTER_ZEROS: usize = 10;

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    let (begin, fewest) = match (text.at(place), text.starts(place, b"00", false)) {
        (Some(b'+'), _) => (place + 1, *DIGITS.start()),
        (_, Verdict::Hit(end)) => (end, FEWEST_AFTER_ZEROS),
        (_, verdict) => return verdict,
    };
    let (mut at, mut count, mut apart, mut end) = (begin, 0, 0, begin);
    let mut code = [0u8; 2];
    loop {
        match text.at(at) {
            Some(byte) if byte.is_ascii_digit() => {
                if let Some(slot) = code.get_mut(count) {
                    *slot = byte;
                }
                (count, apart) = (count + 1, 0);
                end = at + 1;
                if count > *DIGITS.end() || count == 2 && !is_code(code) {
                    return Verdict::No;
                }
            }
            Some(b' ' | b'-' | b'.' | b'/' | b'(' | b')') if apart < 2 && (count > 0 || text.at(at) == Some(b'(')) => {
                apart += 1;
            }
            None if !text.is_final => return Verdict::More,
            Some(byte) if is_word(byte) && apart == 0 => return Verdict::No,
            _ => break,
        }
        at += 1;
    }
    if count >= fewest { Verdict::Hit(end) } else { Verdict::No }
}

/// Whether some country's code begins with these digits (ITU-T E.164, list of assigned codes).
fn is_code([first, second]: [u8; 2]) -> bool {
    match first {
        b'1' | b'7' => true,
        b'2' => second != b'8',
        b'3'..=b'6' => true,
        b'8' => !matches!(second, b'3' | b'9'),
        b'9' => true,
        _ => false,
    }
}
