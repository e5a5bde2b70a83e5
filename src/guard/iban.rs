//! International bank account numbers: the country's length, and 1 modulo 97 (ISO 13616). Groups may be
//! parted by one blank or hyphen.

use super::text::{Text, Verdict, is_word};

/// Countries and the lengths of their numbers: the registry of ISO 13616, release 99.
const LENGTHS: &[u8] = b"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24\
FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27\
MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28\
TL23TN24TR26UA29VA22VG24XK20YE30";

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    let country = [text.at(place), text.at(place + 1)];
    let [Some(first), second] = country else { return Verdict::No };
    let Some(second) = second else {
        return if text.is_final || !first.is_ascii_alphabetic() { Verdict::No } else { Verdict::More };
    };
    // Most words are known to be none by their third letter.
    if text.at(place + 2).is_some_and(|b| !b.is_ascii_digit()) || !first.is_ascii_alphabetic() {
        return Verdict::No;
    }
    let Some(wanted) = length(first.to_ascii_uppercase(), second.to_ascii_uppercase()) else { return Verdict::No };
    let (mut at, mut count, mut sum, mut head) = (place, 0, 0u32, [0u8; 4]);
    while count < wanted {
        let Some(byte) = text.at(at) else {
            return if text.is_final { Verdict::No } else { Verdict::More };
        };
        at += 1;
        if matches!(byte, b' ' | b'-') && count >= 4 && text.before(at - 1).is_some_and(is_word) {
            continue;
        }
        let fits = if (2..4).contains(&count) { byte.is_ascii_digit() } else { byte.is_ascii_alphanumeric() };
        if !fits {
            return Verdict::No;
        }
        match head.get_mut(count) {
            Some(slot) => *slot = byte,
            None => sum = taken(sum, byte),
        }
        count += 1;
    }
    let sum = head.into_iter().fold(sum, taken);
    match text.at(at) {
        None if !text.is_final => Verdict::More,
        Some(next) if is_word(next) => Verdict::No,
        _ if sum == 1 => Verdict::Hit(at),
        _ => Verdict::No,
    }
}

/// One more letter or digit of the number that is divided by 97.
fn taken(sum: u32, byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => (sum * 10 + u32::from(byte - b'0')) % 97,
        _ => (sum * 100 + u32::from(byte.to_ascii_uppercase().wrapping_sub(b'A')) + 10) % 97,
    }
}

fn length(first: u8, second: u8) -> Option<usize> {
    let (entries, _) = LENGTHS.as_chunks::<4>();
    let [.., tens, ones] = entries.iter().find(|entry| entry.starts_with(&[first, second]))?;
    Some(usize::from(tens - b'0') * 10 + usize::from(ones - b'0'))
}
