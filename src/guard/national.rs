//! Numbers that states give to people: a form each, and a rule that keeps other numbers out, most often a
//! checksum. Where a rule lets too many pass (nine digits of which one in eleven fits), the number's name
//! has to stand a little before it.

use super::text::{Shape, Shaped, Text, Verdict, digit, luhn, shape};

/// How far before a number its name may stand.
const NEARBY_BYTES: usize = 40;

struct Id {
    form: &'static [u8],
    holds: fn(&[u8]) -> bool,
    /// One of these has to stand before it.
    names: &'static [&'static str],
}

const fn id(form: &'static [u8], holds: fn(&[u8]) -> bool) -> Id {
    Id { form, holds, names: &[] }
}

/// Those that begin with a letter, in the order in which they are tried.
const WITH_LETTER: &[Id] = &[
    // United Kingdom: national insurance number.
    id(b"AA 99 99 99 A", national_insurance),
    // Spain: NIE, of foreigners.
    id(b"A 9999999 A", nie),
    // Italy: codice fiscale.
    id(b"AAA AAA XXA XX AXXXA", codice_fiscale),
];

/// And with a digit.
const WITH_DIGIT: &[Id] = &[
    // United States: social security number.
    id(b"999-99-9999", social_security),
    Id { form: b"999 99 9999", holds: social_security, names: &["ssn", "social security"] },
    // Spain: DNI.
    id(b"99999999 A", dni),
    // France: numero de securite sociale, with its key.
    id(b"9 99 99 9X 999 999 99", nir),
    // Brazil: CPF.
    id(b"999.999.999-99", cpf),
    Id { form: b"99999999999", holds: cpf, names: &["cpf"] },
    // Germany: Steuer-Identifikationsnummer.
    id(b"99 999 999 999", steuer_id),
    // Poland: PESEL.
    id(b"99999999999", pesel),
    // Switzerland: AHV number.
    id(b"756.9999.9999.99", ahv),
    // Sweden: personnummer.
    id(b"999999-9999", personnummer),
    // India: Aadhaar.
    id(b"9999 9999 9999", aadhaar),
    // Canada: social insurance number.
    Id { form: b"999 999 999", holds: |d| luhn(d.iter().copied()), names: &["sin", "social insurance"] },
    // Netherlands: burgerservicenummer.
    Id { form: b"999999999", holds: bsn, names: &["bsn", "burgerservice", "sofi"] },
];

pub(super) fn at(text: Text<'_>, place: usize) -> Verdict {
    let mut waits = false;
    let ids = if text.at(place).is_some_and(|byte| byte.is_ascii_digit()) { WITH_DIGIT } else { WITH_LETTER };
    for id in ids {
        match shape(text, place, id.form) {
            Shaped::No => {}
            Shaped::More => waits = true,
            Shaped::Full(end) => {
                let found = Shape::of(text.bytes.get(place..end).unwrap_or_default());
                if (id.holds)(found.symbols()) && is_named(text, place, id.names) {
                    return if waits { Verdict::More } else { Verdict::Hit(end) };
                }
            }
        }
    }
    if waits { Verdict::More } else { Verdict::No }
}

fn is_named(text: Text<'_>, place: usize, names: &[&str]) -> bool {
    let before = text.bytes.get(place.saturating_sub(NEARBY_BYTES)..place).unwrap_or_default();
    let has = |name: &&str| before.windows(name.len()).any(|seen| seen.eq_ignore_ascii_case(name.as_bytes()));
    names.is_empty() || names.iter().any(has)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, b| sum * 10 + u64::from(digit(*b)))
}

fn weighed(digits: &[u8], weights: impl IntoIterator<Item = u32>) -> u32 {
    digits.iter().zip(weights).map(|(b, weight)| digit(*b) * weight).sum()
}

fn at_end(digits: &[u8]) -> u32 {
    digits.last().map_or(0, |b| digit(*b))
}

fn part(digits: &[u8], from: usize, until: usize) -> u64 {
    number(digits.get(from..until).unwrap_or_default())
}

fn social_security(d: &[u8]) -> bool {
    let (area, group, serial) = (part(d, 0, 3), part(d, 3, 5), part(d, 5, 9));
    area != 0 && area != 666 && area < 900 && group != 0 && serial != 0
}

fn national_insurance(s: &[u8]) -> bool {
    let [first, second, .., last] = s else { return false };
    let unused = [b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"];
    !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && !unused.contains(&&[*first, *second])
        && (b'A'..=b'D').contains(last)
}

const DNI_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn dni(s: &[u8]) -> bool {
    let place = usize::try_from(part(s, 0, 8) % 23).unwrap_or_default();
    DNI_LETTERS.get(place) == s.last()
}

fn nie(s: &[u8]) -> bool {
    let Some(lead) = s.first().and_then(|b| b"XYZ".iter().position(|x| x == b)) else { return false };
    let number = u64::try_from(lead).unwrap_or_default() * 10_000_000 + part(s, 1, 8);
    DNI_LETTERS.get(usize::try_from(number % 23).unwrap_or_default()) == s.last()
}

fn codice_fiscale(s: &[u8]) -> bool {
    // What a letter or digit counts at an odd place.
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    // Where digits stand, letters may stand for them.
    let is_digit = |place: usize| s.get(place).is_some_and(|b| b.is_ascii_digit() || b"LMNPQRSTUV".contains(b));
    let is_month = s.get(8).is_some_and(|b| b"ABCDEHLMPRST".contains(b));
    if ![6, 7, 9, 10, 12, 13, 14].into_iter().all(is_digit) || !is_month {
        return false;
    }
    let worth = |b: u8| if b.is_ascii_digit() { b - b'0' } else { b.wrapping_sub(b'A') };
    let sum: u32 = s
        .iter()
        .take(15)
        .enumerate()
        .map(|(place, b)| match place % 2 {
            0 => ODD.get(usize::from(worth(*b))).copied().unwrap_or_default(),
            _ => u32::from(worth(*b)),
        })
        .sum();
    s.last().is_some_and(|b| u32::from(b.wrapping_sub(b'A')) == sum % 26)
}

fn nir(s: &[u8]) -> bool {
    let [b'1' | b'2' | b'3' | b'4' | b'7' | b'8', ..] = s else { return false };
    let month = part(s, 3, 5);
    let is_month = (1..=12).contains(&month) || (20..=42).contains(&month) || (50..=99).contains(&month);
    // Corsica's departments have a letter.
    let (letter, less) = match s.get(6) {
        Some(b'A') => (true, 1_000_000),
        Some(b'B') => (true, 2_000_000),
        Some(b) => (!b.is_ascii_digit(), 0),
        None => return false,
    };
    if letter && (less == 0 || s.get(5) != Some(&b'2')) {
        return false;
    }
    let number =
        s.iter().take(13).fold(0u64, |sum, b| sum * 10 + if b.is_ascii_digit() { u64::from(digit(*b)) } else { 0 });
    is_month && 97 - (number.saturating_sub(less)) % 97 == part(s, 13, 15)
}

fn cpf(d: &[u8]) -> bool {
    let check = |count: usize| {
        let weights = (2..=u32::try_from(count).unwrap_or_default() + 1).rev();
        weighed(d.get(..count).unwrap_or_default(), weights) * 10 % 11 % 10
    };
    let is = |place: usize, check: u32| d.get(place).is_some_and(|b| digit(*b) == check);
    !d.iter().all(|b| Some(b) == d.first()) && is(9, check(9)) && is(10, check(10))
}

fn steuer_id(d: &[u8]) -> bool {
    let mut times = [0u8; 10];
    for b in d.iter().take(10) {
        if let Some(slot) = usize::try_from(digit(*b)).ok().and_then(|place| times.get_mut(place)) {
            *slot += 1;
        }
    }
    // One digit comes twice or three times, no other does.
    let twice = times.iter().filter(|n| **n > 1).count();
    if d.first() == Some(&b'0') || twice != 1 || times.iter().any(|n| *n > 3) {
        return false;
    }
    let product = d.iter().take(10).fold(10, |product, b| {
        let sum = (digit(*b) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (11 - product) % 10 == at_end(d)
}

fn pesel(d: &[u8]) -> bool {
    let (month, day) = (part(d, 2, 4), part(d, 4, 6));
    let sum = weighed(d.get(..10).unwrap_or_default(), [1, 3, 7, 9, 1, 3, 7, 9, 1, 3]);
    (1..=12).contains(&(month % 20)) && (1..=31).contains(&day) && (10 - sum % 10) % 10 == at_end(d)
}

fn ahv(d: &[u8]) -> bool {
    let sum = weighed(d.get(..12).unwrap_or_default(), [1, 3].into_iter().cycle());
    (10 - sum % 10) % 10 == at_end(d)
}

fn personnummer(d: &[u8]) -> bool {
    let (month, day) = (part(d, 2, 4), part(d, 4, 6));
    // Numbers of those who only visit have 60 added to the day.
    let is_day = (1..=31).contains(&day) || (61..=91).contains(&day);
    (1..=12).contains(&month) && is_day && luhn(d.iter().copied())
}

fn aadhaar(d: &[u8]) -> bool {
    // Verhoeff: the multiplication of the dihedral group of order ten, by its rule.
    let times = |a: u32, b: u32| match (a < 5, b < 5) {
        (true, true) => (a + b) % 5,
        (true, false) => (a + b - 5) % 5 + 5,
        (false, true) => (a - 5 + 5 - b) % 5 + 5,
        (false, false) => (a + 5 - b) % 5,
    };
    const TURN: [u32; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let turned = |value: u32, count: usize| {
        (0..count).fold(value, |v, _| usize::try_from(v).ok().and_then(|v| TURN.get(v)).copied().unwrap_or_default())
    };
    let check = d.iter().rev().enumerate().fold(0, |sum, (place, b)| times(sum, turned(digit(*b), place % 8)));
    d.first().is_some_and(|b| *b >= b'2') && check == 0
}

fn bsn(d: &[u8]) -> bool {
    let sum = weighed(d.get(..8).unwrap_or_default(), (2..=9).rev());
    d.iter().any(|b| *b != b'0') && (sum + 10 * at_end(d)).is_multiple_of(11)
}
