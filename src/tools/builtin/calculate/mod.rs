//! `weir_calculate`: arithmetic on fractions of whole numbers, so that nothing is rounded on the way.
//!
//! `+ - * / % ^` (also `**`), brackets, `abs ceil floor max min round sqrt`. A remainder has the sign of what
//! is divided by. Numbers are bounded in digits, expressions in length and depth, so that no expression takes
//! long.

mod parse;

use num_bigint::{BigInt, Sign};
use num_rational::BigRational;
use num_traits::{Signed as _, ToPrimitive as _, Zero as _};
use serde::Deserialize;

use super::read;
use crate::tools::Outcome;
use crate::wire::json::Obj;

pub(super) const SPEC: (&str, &str, &str) = (
    "weir_calculate",
    "Calculates an arithmetic expression exactly, with numbers of any length: + - * / % ^ and brackets, abs, ceil, \
     floor, max, min, round(x, digits), sqrt. A result that has no end is given with 30 digits and marked as rounded.",
    concat!(
        r#"{"type":"object","properties":{"expression":{"type":"string","description":"#,
        r#""For example (0.1 + 0.2) * 3, 2^128 or round(10 / 3, 2). Write percent as / 100."}},"#,
        r#""required":["expression"],"additionalProperties":false}"#
    ),
);

/// Digits of what does not come out even.
const DIGITS: u32 = 30;
/// About 2,400 digits: as many steps as an expression has take some tenths of a second.
const MOST_BITS: u64 = 8_192;

#[derive(Deserialize)]
struct Arguments {
    expression: String,
}

pub(super) fn call(arguments: &str) -> Outcome {
    let arguments = match read::<Arguments>(arguments) {
        Ok(arguments) => arguments,
        Err(outcome) => return outcome,
    };
    match parse::value(&arguments.expression) {
        Ok(value) => Outcome::done(answer(&value)),
        Err(why) => Outcome::failed(format!("This cannot be calculated: {why}.")),
    }
}

fn answer(value: &Value) -> String {
    let (text, is_whole) = decimal(&value.number);
    let mut out = Vec::with_capacity(text.len() + 32);
    Obj::new(&mut out).text("result", &text).bool("rounded", value.is_rounded || !is_whole);
    String::from_utf8(out).unwrap_or_default()
}

/// A number, and whether it is the exact one.
#[derive(Debug, Clone)]
struct Value {
    number: BigRational,
    is_rounded: bool,
}

impl Value {
    fn exact(number: BigRational) -> Self {
        Self { number, is_rounded: false }
    }

    /// The number, if it is not too long.
    fn checked(self) -> Result<Self, String> {
        let bits = self.number.numer().bits().max(self.number.denom().bits());
        if bits > MOST_BITS { Err("a number in it is too long".to_owned()) } else { Ok(self) }
    }

    fn with(self, other: &Self, number: BigRational) -> Result<Self, String> {
        Self { number, is_rounded: self.is_rounded || other.is_rounded }.checked()
    }

    fn power(self, exponent: &Self) -> Result<Self, String> {
        if !exponent.number.is_integer() {
            return Err("an exponent has to be a whole number (sqrt is there for roots)".to_owned());
        }
        let bits = self.number.numer().bits().max(self.number.denom().bits());
        // No more bits than the result has at least: 0, 1 and -1 stay short, whatever the power.
        let is_short = |n: &i32| u64::from(n.unsigned_abs()).saturating_mul(bits.saturating_sub(1)) <= MOST_BITS;
        let power = exponent.number.to_integer().to_i32().filter(is_short).ok_or("a number in it is too long")?;
        if power < 0 && self.number.is_zero() {
            return Err("0 has no negative power".to_owned());
        }
        let number = self.number.pow(power);
        self.with(exponent, number)
    }

    fn divided(self, by: &Self) -> Result<Self, String> {
        if by.number.is_zero() {
            return Err("it divides by 0".to_owned());
        }
        let number = &self.number / &by.number;
        self.with(by, number)
    }

    /// With the sign of what is divided by.
    fn remainder(self, by: &Self) -> Result<Self, String> {
        if by.number.is_zero() {
            return Err("it divides by 0".to_owned());
        }
        let number = &self.number - &by.number * (&self.number / &by.number).floor();
        self.with(by, number)
    }

    fn root(self) -> Result<Self, String> {
        if self.number.is_negative() {
            return Err("a negative number has no square root".to_owned());
        }
        let (over, under) = (self.number.numer(), self.number.denom());
        let exact = BigRational::new(over.sqrt(), under.sqrt());
        if &exact * &exact == self.number {
            return Ok(Self { number: exact, ..self });
        }
        // sqrt(a / b) = sqrt(a * b) / b, with more digits than are shown.
        let shift = 2 * (DIGITS + 10) + u32::try_from(under.bits() / 3).unwrap_or(0);
        let scale = BigInt::from(10).pow(shift);
        let root = (over * under * &scale * &scale).sqrt();
        Self { number: BigRational::new(root, under * scale), is_rounded: true }.checked()
    }

    fn rounded(self, digits: &Self) -> Result<Self, String> {
        let digits_i32 = digits.number.is_integer().then(|| digits.number.to_integer().to_i32()).flatten();
        let digits_i32 = digits_i32.filter(|n| n.unsigned_abs() <= 1_000).ok_or("round takes up to 1000 digits")?;
        let scale = BigRational::from_integer(BigInt::from(10)).pow(digits_i32);
        let number = (&self.number * &scale).round() / scale;
        self.with(digits, number)
    }
}

/// As a decimal, and whether that is all of it.
fn decimal(number: &BigRational) -> (String, bool) {
    let digits = fitting_digits(number);
    let scale = BigInt::from(10).pow(digits);
    let scaled = (number * BigRational::from_integer(scale.clone())).round();
    let is_whole = number * BigRational::from_integer(scale) == scaled;
    let scaled = scaled.to_integer();
    let sign = if scaled.sign() == Sign::Minus { "-" } else { "" };
    let places = usize::try_from(digits).unwrap_or(0);
    let text = format!("{:0>width$}", scaled.magnitude().to_string(), width = places + 1);
    let (whole, fraction) = text.split_at_checked(text.len() - places).unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    (format!("{sign}{whole}{point}{fraction}"), is_whole)
}

/// Digits behind the point: all there are where the number ends within a few hundred, else thirty that say something.
fn fitting_digits(number: &BigRational) -> u32 {
    let (mut twos, mut fives, mut rest) = (0_u32, 0_u32, number.denom().clone());
    let (two, five) = (BigInt::from(2), BigInt::from(5));
    while (&rest % &two).is_zero() && twos <= MOST_PLACES {
        rest /= &two;
        twos += 1;
    }
    while (&rest % &five).is_zero() && fives <= MOST_PLACES {
        rest /= &five;
        fives += 1;
    }
    let places = twos.max(fives);
    if rest == BigInt::from(1) && places <= MOST_PLACES {
        return places;
    }
    // Bits that the number is below 1, as decimal zeros.
    let below = number.denom().bits().saturating_sub(number.numer().bits());
    DIGITS + u32::try_from(below.saturating_mul(3) / 10).unwrap_or(0)
}

/// A decimal that ends is shown whole up to here.
const MOST_PLACES: u32 = 400;

#[cfg(test)]
mod tests;
