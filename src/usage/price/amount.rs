//! Exact decimals and days: text to integers and back.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};

/// 10^12 pico-USD are one USD.
const DIGITS_OF_A_USD: u32 = 12;
/// One USD per million tokens is 10^6 pico-USD per token.
const DIGITS_OF_A_USD_PER_MILLION: u32 = 6;

pub(super) const PICO_IN_USD: i128 = 10_i128.pow(DIGITS_OF_A_USD);

/// What is wrong with a number, a class or a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// Not a decimal number of zero or more.
    Number,
    /// More digits behind the point than the smallest amount has.
    TooFine { digits: u32 },
    /// More than anything costs.
    TooLarge,
    /// Not `YYYY-MM-DD`, or no day of the calendar.
    Day,
    /// Not one of [`super::Rates::CLASSES`].
    UnknownClass,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number => f.write_str("expected an amount in USD such as 0.15"),
            Self::TooFine { digits } => write!(f, "expected at most {digits} digits behind the point"),
            Self::TooLarge => f.write_str("expected an amount below 9,000,000 USD"),
            Self::Day => f.write_str("expected a day such as 2026-01-31"),
            Self::UnknownClass => f.write_str("no such class of tokens"),
        }
    }
}

impl std::error::Error for Invalid {}

/// USD per million tokens to pico-USD per token.
pub fn per_million(decimal: &str) -> Result<i64, Invalid> {
    scaled(decimal, DIGITS_OF_A_USD_PER_MILLION)
}

/// USD to pico-USD.
pub fn each(decimal: &str) -> Result<i64, Invalid> {
    scaled(decimal, DIGITS_OF_A_USD)
}

/// `digits` digits behind the point, as an integer. No sign and no exponent: neither has a meaning
/// in a price.
fn scaled(decimal: &str, digits: u32) -> Result<i64, Invalid> {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() && fraction.is_empty() || !plain(whole) || !plain(fraction) {
        return Err(Invalid::Number);
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = u32::try_from(fraction.len()).ok().and_then(|given| digits.checked_sub(given));
    let missing = missing.ok_or(Invalid::TooFine { digits })?;
    let number = |part: &str| if part.is_empty() { Ok(0) } else { part.parse::<i64>() };
    let (Ok(whole), Ok(fraction)) = (number(whole), number(fraction)) else { return Err(Invalid::TooLarge) };
    let whole = whole.checked_mul(10_i64.pow(digits)).ok_or(Invalid::TooLarge)?;
    fraction.checked_mul(10_i64.pow(missing)).and_then(|f| whole.checked_add(f)).ok_or(Invalid::TooLarge)
}

/// Writes pico-USD as decimal USD, without trailing zeros.
pub(super) fn write(f: &mut fmt::Formatter<'_>, pico: i128) -> fmt::Result {
    write_scaled(f, pico, DIGITS_OF_A_USD)
}

fn write_scaled(f: &mut fmt::Formatter<'_>, amount: i128, digits: u32) -> fmt::Result {
    let unit = 10_u128.pow(digits);
    let (sign, size) = (if amount < 0 { "-" } else { "" }, amount.unsigned_abs());
    let (whole, mut fraction) = (size / unit, size % unit);
    if fraction == 0 {
        return write!(f, "{sign}{whole}");
    }
    let mut width = digits as usize;
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    write!(f, "{sign}{whole}.{fraction:0width$}")
}

/// A rate of [`super::Rates`] as decimal USD per million tokens, for `weir models --prices` and
/// `GET /v1/models`.
#[derive(Debug, Clone, Copy)]
pub struct UsdPerMillion(pub i64);

impl fmt::Display for UsdPerMillion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_scaled(f, i128::from(self.0), DIGITS_OF_A_USD_PER_MILLION)
    }
}

/// `YYYY-MM-DD` to days since 1970-01-01.
pub fn day(text: &str) -> Result<i64, Invalid> {
    let mut parts = text.splitn(3, '-');
    let mut part = |width: usize| {
        let part = parts.next().filter(|p| p.len() == width && p.bytes().all(|b| b.is_ascii_digit()));
        part.and_then(|p| p.parse::<i64>().ok()).ok_or(Invalid::Day)
    };
    let (year, month, day) = (part(4)?, part(2)?, part(2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    if !(1970..=9999).contains(&year) || !(1..=last).contains(&day) {
        return Err(Invalid::Day);
    }
    // Years are counted from March, so that the day a leap year adds is its last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    Ok(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

/// The day of a moment, since 1970-01-01 (UTC).
pub fn day_of(moment: SystemTime) -> i64 {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(seconds / 86_400).unwrap_or(i64::MAX)
}

/// A rate as a file gives it: USD per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RatePerMillion(pub i64);

/// An amount as a file gives it: USD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Each(pub i64);

/// A day as a file gives it: `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day(pub i64);

/// Reads a scalar by its text, never as a float.
struct Text(fn(&str) -> Result<i64, Invalid>, &'static str);

impl Visitor<'_> for Text {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        (self.0)(text.trim()).map_err(|e| E::custom(format_args!("{e}, not `{text}`")))
    }
}

impl<'de> Deserialize<'de> for RatePerMillion {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(per_million, "USD per million tokens")).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Each {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(each, "USD")).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Day {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_str(Text(day, "a day such as 2026-01-31")).map(Self).map_err(D::Error::custom)
    }
}

fn decimal_schema() -> Schema {
    json_schema!({"type": ["number", "string"], "minimum": 0, "pattern": "^[0-9]*(\\.[0-9]+)?$"})
}

impl JsonSchema for RatePerMillion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UsdPerMillionTokens".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema()
    }
}

impl JsonSchema for Each {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Usd".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        decimal_schema()
    }
}

impl JsonSchema for Day {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Day".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date"})
    }
}
