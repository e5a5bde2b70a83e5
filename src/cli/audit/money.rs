//! Decimal amounts as pico-USD.

use std::borrow::Cow;

use crate::usage::decimal::scaled_wide;

/// Of a USD, and of a cent.
const DIGITS: [u32; 2] = [12, 10];

/// Decimal text (`0.06`, `1e-05`, `"123.78"`, in cents or not) in pico-USD, to the nearest.
pub(super) fn pico(text: &str, cents: bool) -> Option<i128> {
    let text = text.trim().trim_matches('"');
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let number = text.trim_start_matches(['+', '$']);
    let [of_usd, of_cents] = DIGITS;
    // As spreadsheets have it.
    let whole = if number.starts_with('.') { Cow::Owned(format!("0{number}")) } else { Cow::Borrowed(number) };
    let (units, _) = scaled_wide(&whole, if cents { of_cents } else { of_usd })?;
    Some(sign * units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        for (text, cents, expected) in [
            ("0.06", false, Some(60_000_000_000)),
            ("6e-2", false, Some(60_000_000_000)),
            ("1.5E1", false, Some(15_000_000_000_000)),
            ("-0.000000000001", false, Some(-1)),
            ("0.0000000000019", false, Some(2)),
            ("-$1.5", false, Some(-1_500_000_000_000)),
            ("+2", false, Some(2_000_000_000_000)),
            ("123.78912", true, Some(1_237_891_200_000)),
            ("\"12\"", true, Some(120_000_000_000)),
            ("$3", false, Some(3_000_000_000_000)),
            (".5", false, Some(500_000_000_000)),
            ("12000000", false, Some(12_000_000_000_000_000_000)),
            ("", false, None),
            ("1,5", false, None),
            ("abc", false, None),
            ("1e99", false, None),
        ] {
            assert_eq!(pico(text, cents), expected, "{text}");
        }
    }
}
