//! What traces and spans are called: W3C's Trace Context (<https://www.w3.org/TR/trace-context/>).

use std::fmt;
use std::time::Duration;

use uuid::Uuid;

use crate::config::telemetry::Fraction;

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const PARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;
/// An odd number without a pattern.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// 16 bytes, not all 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

/// 8 bytes, not all 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId(u64);

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    pub trace: TraceId,
    pub span: SpanId,
    pub sampled: bool,
}

impl TraceId {
    pub fn of(bytes: [u8; 16]) -> Option<Self> {
        Some(u128::from_be_bytes(bytes)).filter(|id| *id != 0).map(Self)
    }

    /// One of these digits; another where they are all 0.
    pub fn chosen(digits: u128) -> Self {
        Self(digits.max(1))
    }

    /// Whether a trace that began with this id is of that part of all.
    pub fn is_in(self, part: Fraction) -> bool {
        let [.., a, b, c, d, e, f, g] = self.0.to_be_bytes();
        part.takes(u64::from_be_bytes([0, a, b, c, d, e, f, g]))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    pub fn read(text: &str) -> Option<Self> {
        hex(text.as_bytes(), 32).filter(|id| *id != 0).map(Self)
    }
}

impl SpanId {
    pub fn of_request(request_id: Uuid) -> Self {
        Self::mixed(request_id.as_u64_pair().1)
    }

    /// `at` is from the request's beginning; no two attempts begin in the same microsecond.
    pub fn of_attempt(request_id: Uuid, at: Duration) -> Self {
        let us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        Self::mixed(Self::of_request(request_id).0 ^ us.wrapping_add(1).wrapping_mul(STEP))
    }

    /// `nth` is the call's place among the request's.
    pub fn of_tool(request_id: Uuid, nth: usize) -> Self {
        let nth = u64::try_from(nth).unwrap_or(u64::MAX);
        Self::mixed(Self::of_request(request_id).0.swap_bytes() ^ nth.wrapping_add(1).wrapping_mul(STEP))
    }

    fn mixed(number: u64) -> Self {
        Self(mix(number).max(1))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Parent {
    pub fn to_bytes(self) -> [u8; 25] {
        let mut bytes = [u8::from(self.sampled); 25];
        let parts = self.trace.to_bytes().into_iter().chain(self.span.to_bytes());
        bytes.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
        bytes
    }

    pub fn of(bytes: [u8; 25]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (span, rest) = rest.split_first_chunk()?;
        let span = Some(u64::from_be_bytes(*span)).filter(|id| *id != 0).map(SpanId)?;
        Some(Self { trace: TraceId::of(*trace)?, span, sampled: *rest.first()? != 0 })
    }

    /// A version that is not known yet is read as the one that is, as the standard wants it.
    pub fn read(text: &[u8]) -> Option<Self> {
        let (known, more) = text.split_at_checked(PARENT_BYTES)?;
        let [v1, v2, b'-', rest @ ..] = known else { return None };
        let (trace, rest) = rest.split_at_checked(32)?;
        let (dash, rest) = rest.split_first()?;
        let (span, rest) = rest.split_at_checked(16)?;
        let [b'-', flags @ ..] = rest else { return None };
        let version = hex(&[*v1, *v2], 2)?;
        let is_whole = match version {
            0 => more.is_empty(),
            0xff => false,
            _ => more.first().is_none_or(|next| *next == b'-'),
        };
        if *dash != b'-' || !is_whole {
            return None;
        }
        let trace = hex(trace, 32).filter(|id| *id != 0).map(TraceId)?;
        let span = hex(span, 16).and_then(|id| u64::try_from(id).ok()).filter(|id| *id != 0).map(SpanId)?;
        let flags = u8::try_from(hex(flags, 2)?).ok()?;
        Some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }
}

/// Lower-case digits, that many.
fn hex(text: &[u8], digits: usize) -> Option<u128> {
    let is_digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != digits || !text.iter().all(is_digit) {
        return None;
    }
    u128::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// SplitMix64's last step: each bit of the result hangs on all of the number's.
pub(crate) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// As a `traceparent`.
impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_parent_is_read_to_the_letter() {
        let parent = Parent::read(GOOD.as_bytes()).unwrap();
        assert_eq!((parent.to_string().as_str(), parent.sampled), (GOOD, true));
        assert_eq!(Parent::of(parent.to_bytes()), Some(parent));
        let known = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        let reads = |text: &str| Parent::read(text.as_bytes()).map(|parent| parent.sampled);
        for (text, sampled) in [
            (format!("00-{known}-00"), false),
            (format!("00-{known}-03"), true),
            (format!("00-{known}-fe"), false),
            (format!("cc-{known}-01"), true),
            (format!("cc-{known}-01-what-the-future-brings"), true),
        ] {
            assert_eq!(reads(&text), Some(sampled), "{text}");
        }
        for text in [
            String::new(),
            "00".to_owned(),
            known.to_owned(),
            format!("00-{known}"),
            format!("00-{known}-1"),
            format!("00-{known}-011"),
            format!("00-{known}-01-"),
            format!("00-{known}-0G"),
            format!(" 00-{known}-01"),
            format!("00-{known}-01 "),
            format!("00_{known}_01"),
            format!("ff-{known}-01"),
            format!("0-{known}-01x"),
            format!("cc-{known}-01.what"),
            format!("00-{}-01", known.to_uppercase()),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01".to_owned(),
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        ] {
            assert_eq!(reads(&text), None, "{text}");
        }
    }

    #[test]
    fn spans_are_worked_out_again_and_differ() {
        let mut seen = HashSet::new();
        for _ in 0..1_000 {
            let id = Uuid::now_v7();
            assert!(seen.insert(SpanId::of_request(id).0));
            for us in [0, 1, 2, 400, 1_000_000] {
                let span = SpanId::of_attempt(id, Duration::from_micros(us));
                assert_eq!(
                    span,
                    SpanId::of_attempt(id, Duration::from_nanos(us * 1_000 + 999)),
                    "records have no less"
                );
                assert!(seen.insert(span.0));
            }
        }
        assert!(!seen.contains(&0));
    }
}
