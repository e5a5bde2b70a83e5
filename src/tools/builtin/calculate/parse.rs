//! An expression, read and calculated in one pass.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed as _;

use super::Value;

const MOST_BYTES: usize = 1_024;
const DEEPEST: u32 = 64;
/// Of a number written with an exponent.
const MOST_EXPONENT: u32 = 2_400;

/// The value of an expression, or what is wrong with it.
pub(super) fn value(text: &str) -> Result<Value, String> {
    if text.len() > MOST_BYTES {
        return Err(format!("it is longer than {MOST_BYTES} bytes"));
    }
    let plain = text.replace("**", "^").replace(['×', '·'], "*").replace('÷', "/").replace('−', "-");
    let mut parser = Parser { rest: &plain, depth: 0 };
    let value = parser.sum()?;
    match parser.peek() {
        None => Ok(value),
        Some(c) => Err(format!("`{c}` was not expected behind `{}`", parser.before(&plain))),
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: u32,
}

impl<'t> Parser<'t> {
    /// The end of what was read, for messages.
    fn before(&self, all: &'t str) -> String {
        let read = all.get(..all.len().saturating_sub(self.rest.len())).unwrap_or_default().trim_end();
        let from = read.char_indices().rev().nth(19).map_or(0, |(at, _)| at);
        read.get(from..).unwrap_or_default().to_owned()
    }

    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.rest = self.rest.strip_prefix(wanted).unwrap_or_default();
        }
        found
    }

    fn sum(&mut self) -> Result<Value, String> {
        let mut left = self.product()?;
        loop {
            if self.take('+') {
                let right = self.product()?;
                let number = &left.number + &right.number;
                left = left.with(&right, number)?;
            } else if self.take('-') {
                let right = self.product()?;
                let number = &left.number - &right.number;
                left = left.with(&right, number)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn product(&mut self) -> Result<Value, String> {
        let mut left = self.signed()?;
        loop {
            if self.take('*') {
                let right = self.signed()?;
                let number = &left.number * &right.number;
                left = left.with(&right, number)?;
            } else if self.take('/') {
                left = left.divided(&self.signed()?)?;
            } else if self.take('%') {
                if self.peek().is_none_or(|c| ")+-*/^,".contains(c)) {
                    return Err("`%` is the remainder: write percent as / 100".to_owned());
                }
                left = left.remainder(&self.signed()?)?;
            } else {
                return Ok(left);
            }
        }
    }

    /// A sign holds for the power behind it: -2^2 is -4.
    fn signed(&mut self) -> Result<Value, String> {
        let mut is_negative = false;
        while let Some(sign @ ('+' | '-')) = self.peek() {
            self.take(sign);
            is_negative ^= sign == '-';
        }
        let value = self.power()?;
        Ok(if is_negative { Value { number: -value.number, ..value } } else { value })
    }

    /// From the right: 2^3^2 is 2^9.
    fn power(&mut self) -> Result<Value, String> {
        let base = self.operand()?;
        if !self.take('^') {
            return Ok(base);
        }
        self.deeper(|parser| base.power(&parser.signed()?))
    }

    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        if self.depth >= DEEPEST {
            return Err(format!("it is nested deeper than {DEEPEST} times"));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn operand(&mut self) -> Result<Value, String> {
        match self.peek() {
            Some('(') => self.deeper(|parser| {
                parser.take('(');
                let value = parser.sum()?;
                if parser.take(')') { Ok(value) } else { Err("a `)` is missing".to_owned()) }
            }),
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() => self.function(),
            Some(c) => Err(format!("`{c}` was not expected")),
            None => Err("it ends where a number was expected".to_owned()),
        }
    }

    fn number(&mut self) -> Result<Value, String> {
        let whole = self.digits();
        let fraction = if self.rest.starts_with('.') {
            self.rest = self.rest.strip_prefix('.').unwrap_or_default();
            self.digits()
        } else {
            String::new()
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err("`.` is no number".to_owned());
        }
        let digits: BigInt = format!("{whole}{fraction}").parse().map_err(|_| "a number is none".to_owned())?;
        let places = i32::try_from(fraction.len()).map_err(|_| "a number is too long")?;
        let exponent = self.exponent()? - places;
        let number = BigRational::from_integer(digits) * BigRational::from_integer(BigInt::from(10)).pow(exponent);
        Value::exact(number).checked()
    }

    /// Of `1_000` and `1000` alike.
    fn digits(&mut self) -> String {
        let end = self.rest.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        digits.replace('_', "")
    }

    /// Behind a number: `e-3`.
    fn exponent(&mut self) -> Result<i32, String> {
        let Some(behind) = self.rest.strip_prefix(['e', 'E']) else { return Ok(0) };
        let (is_negative, behind) = match (behind.strip_prefix('-'), behind.strip_prefix('+')) {
            (Some(behind), _) => (true, behind),
            (_, Some(behind)) => (false, behind),
            _ => (false, behind),
        };
        self.rest = behind;
        let exponent: u32 = self.digits().parse().map_err(|_| "an exponent is no number")?;
        let exponent = i32::try_from(exponent.min(MOST_EXPONENT + 1)).unwrap_or(i32::MAX);
        if exponent > i32::try_from(MOST_EXPONENT).unwrap_or(i32::MAX) {
            return Err("a number in it is too long".to_owned());
        }
        Ok(if is_negative { -exponent } else { exponent })
    }

    fn function(&mut self) -> Result<Value, String> {
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        self.rest = rest;
        if !self.take('(') {
            return Err(format!("`{name}` is not known here"));
        }
        let arguments = self.deeper(Self::arguments)?;
        let mut arguments = arguments.into_iter();
        let first = arguments.next().ok_or_else(|| format!("`{name}` needs an argument"))?;
        let more: Vec<Value> = arguments.collect();
        match (name, more.as_slice()) {
            ("abs", []) => Ok(Value { number: first.number.abs(), ..first }),
            ("ceil", []) => Ok(Value { number: first.number.ceil(), ..first }),
            ("floor", []) => Ok(Value { number: first.number.floor(), ..first }),
            ("sqrt", []) => first.root(),
            ("round", []) => Ok(Value { number: first.number.round(), ..first }),
            ("round", [digits]) => first.rounded(digits),
            ("max", _) => Ok(more.into_iter().fold(first, |a, b| if b.number > a.number { b } else { a })),
            ("min", _) => Ok(more.into_iter().fold(first, |a, b| if b.number < a.number { b } else { a })),
            ("abs" | "ceil" | "floor" | "sqrt" | "round", _) => Err(format!("`{name}` has too many arguments")),
            _ => Err(format!("`{name}` is not known here: abs, ceil, floor, max, min, round and sqrt are")),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        loop {
            all.push(self.sum()?);
            if self.take(')') {
                return Ok(all);
            }
            if !self.take(',') {
                return Err("a `)` is missing".to_owned());
            }
        }
    }
}
