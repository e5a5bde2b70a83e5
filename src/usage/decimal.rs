//! Decimal numbers as text, to whole units of a power of ten: prices and costs never go through a
//! float.

/// A number in units of a power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scaled {
    pub units: i64,
    /// Nothing was lost: the number has no digits below the unit.
    pub is_exact: bool,
}

/// Reads a number of zero or more as JSON writes it (`0.15`, `3`, `1.5e-07`), in units of 10^-`digits`.
/// What is finer is rounded to the nearest unit, a half up. `None` for what is no such number, or does
/// not fit.
pub fn scaled(text: &str, digits: u32) -> Option<Scaled> {
    let (units, is_exact) = scaled_wide(text, digits)?;
    Some(Scaled { units: i64::try_from(units).ok()?, is_exact })
}

/// The same of what may be larger, and whether it is exact.
pub fn scaled_wide(text: &str, digits: u32) -> Option<(i128, bool)> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let is_plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_plain(whole) || !is_plain(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let mut all = whole.bytes().chain(fraction.bytes()).skip_while(|b| *b == b'0');
    let mantissa = all.try_fold(0_i128, |sum, b| sum.checked_mul(10)?.checked_add(i128::from(b - b'0')))?;
    let behind = i32::try_from(fraction.len()).ok()?;
    let shift = exponent.checked_sub(behind)?.checked_add(i32::try_from(digits).ok()?)?;
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    match (shift, power) {
        _ if mantissa == 0 => Some((0, true)),
        (0.., power) => Some((mantissa.checked_mul(power?)?, true)),
        // Less than half of a unit, whatever it is.
        (_, None) => Some((0, false)),
        (_, Some(power)) => {
            let (units, rest) = (mantissa / power, mantissa % power);
            let up = i128::from(rest >= power - rest);
            Some((units + up, rest == 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_json_are_read_exactly() {
        for (text, units) in [
            ("1.5e-07", 150_000),
            ("1.5E-7", 150_000),
            ("3e-06", 3_000_000),
            ("0.00003", 30_000_000),
            ("0", 0),
            ("0.0", 0),
            ("0e5", 0),
            ("2", 2_000_000_000_000),
            ("1e0", 1_000_000_000_000),
            ("0.006", 6_000_000_000),
            ("7.5e-08", 75_000),
        ] {
            assert_eq!(scaled(text, 12), Some(Scaled { units, is_exact: true }), "{text}");
        }
    }

    #[test]
    fn what_is_finer_is_rounded_and_said_to_be() {
        for (text, units) in [
            ("7.000000000000001e-07", 700_000),
            ("6.999999999999999e-07", 700_000),
            ("5e-13", 1),
            ("4.99e-13", 0),
            ("1e-60", 0),
            ("0.0005666666666666667", 566_666_667),
        ] {
            assert_eq!(scaled(text, 12), Some(Scaled { units, is_exact: false }), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in ["", "-1", "+1", ".5", "1.2.3", "NaN", "1e", "1e400000000000", "null", "\"1\"", "1 ", "0x1", "1e30"]
        {
            assert_eq!(scaled(text, 12), None, "{text:?}");
        }
        assert_eq!(scaled(&"9".repeat(60), 12), None);
    }
}
