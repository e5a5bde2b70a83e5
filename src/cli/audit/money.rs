//! Decimal amounts as pico-USD, exact.

const DIGITS: i32 = 12;

/// Decimal text (`0.06`, `1e-05`, `"123.78"` in cents with `shift` 2) in pico-USD; what is below a
/// pico-USD is cut.
pub(super) fn pico(text: &str, cents: bool) -> Option<i128> {
    let text = text.trim().trim_matches('"').trim_start_matches('$');
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().ok()?;
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, mantissa.trim_start_matches('+')),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{decimals}");
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i128 = digits.parse().ok()?;
    let behind = i32::try_from(decimals.len()).ok()?;
    let shift = DIGITS + exponent - behind - if cents { 2 } else { 0 };
    let power = 10_i128.checked_pow(shift.unsigned_abs())?;
    let scaled = if shift >= 0 { number.checked_mul(power)? } else { number / power };
    Some(sign * scaled)
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
            ("0.0000000000019", false, Some(1)),
            ("123.78912", true, Some(1_237_891_200_000)),
            ("\"12\"", true, Some(120_000_000_000)),
            ("$3", false, Some(3_000_000_000_000)),
            ("", false, None),
            ("1,5", false, None),
            ("abc", false, None),
            ("1e99", false, None),
        ] {
            assert_eq!(pico(text, cents), expected, "{text}");
        }
    }
}
