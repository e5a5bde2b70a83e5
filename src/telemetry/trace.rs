//! Which trace a request belongs to: W3C Trace Context in and out
//! (<https://www.w3.org/TR/trace-context/>).
//!
//! A client's `traceparent` is read to the letter; one that is wrong is none. Where traces are exported,
//! the request and its attempts have spans of their own and providers are told of those; where they are
//! not, what the client sent goes on as it is. The ids of spans are kept nowhere: that of a request is
//! worked out from its request id, that of an attempt from when it began, so whoever writes spans from a
//! record finds the ids that providers were told.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

use crate::config::telemetry::Fraction;

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const PARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;
/// As much as has to be passed on; a longer one is dropped whole, as none of its entries is ours.
const MOST_STATE_BYTES: usize = 512;
const MOST_STATE_ENTRIES: usize = 32;

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

/// A request's place in its trace.
#[derive(Debug, Clone)]
pub struct Trace {
    id: TraceId,
    parent: Option<Parent>,
    state: Option<HeaderValue>,
    sampled: bool,
    /// Its spans are exported, so they stand between the client's and the provider's.
    is_ours: bool,
}

impl Trace {
    /// Of a request with these headers. `new` says which traces that begin here are sampled, where any
    /// are exported; elsewhere a request without a trace has none.
    pub fn of(headers: &HeaderMap, new: Option<Fraction>) -> Option<Self> {
        let mut said = headers.get_all(TRACEPARENT).iter();
        let parent = said.next().filter(|_| said.next().is_none()).and_then(|one| Parent::read(one.as_bytes()));
        let Some(parent) = parent else {
            let id = TraceId::chosen();
            return new.map(|new| Self { id, parent: None, state: None, sampled: id.is_in(new), is_ours: true });
        };
        let (id, sampled) = (parent.trace, parent.sampled);
        Some(Self { id, parent: Some(parent), state: state(headers), sampled, is_ours: new.is_some() })
    }

    pub fn id(&self) -> TraceId {
        self.id
    }

    /// What the client sent.
    pub fn parent(&self) -> Option<Parent> {
        self.parent
    }

    /// What a provider is told, asked by an attempt with this span.
    pub fn headers(&self, attempt: SpanId) -> impl Iterator<Item = (HeaderName, HeaderValue)> + '_ {
        let own = Parent { trace: self.id, span: attempt, sampled: self.sampled };
        let parent = self.parent.filter(|_| !self.is_ours).unwrap_or(own).to_string();
        let parent = HeaderValue::try_from(parent).ok().map(|parent| (TRACEPARENT, parent));
        parent.into_iter().chain(self.state.clone().map(|state| (TRACESTATE, state)))
    }
}

impl TraceId {
    /// A random one.
    fn chosen() -> Self {
        let id = u128::from(chance(0)) << 64 | u128::from(chance(1));
        Self(id.max(1))
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
        Self::mixed(Self::of_request(request_id).0 ^ us.wrapping_add(1).wrapping_mul(STEPS[0]))
    }

    fn mixed(number: u64) -> Self {
        Self(mix(number).max(1))
    }

    pub fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Parent {
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

/// The client's `tracestate`, all of it in one header.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let all: Vec<&[u8]> = headers.get_all(TRACESTATE).iter().map(|value| value.as_bytes().trim_ascii()).collect();
    let joined = all.join(&b","[..]);
    let entries = || joined.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
    let is_good =
        joined.len() <= MOST_STATE_BYTES && entries().count() <= MOST_STATE_ENTRIES && entries().all(is_entry);
    if !is_good || entries().next().is_none() {
        return None;
    }
    HeaderValue::from_bytes(&joined).ok()
}

/// `key=value`.
fn is_entry(entry: &[u8]) -> bool {
    let Some(at) = memchr::memchr(b'=', entry) else { return false };
    let Some((key, [_, value @ ..])) = entry.split_at_checked(at) else { return false };
    let in_key = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let in_value = |b: &u8| matches!(b, 0x20..=0x7e) && *b != b'=';
    let begins = key.first().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    begins
        && key.len() <= 256
        && key.iter().all(in_key)
        && (1..=256).contains(&value.len())
        && value.iter().all(in_value)
}

/// Odd numbers without a pattern: what a generator goes on by.
const STEPS: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];

/// The next number of one of this thread's two generators. They are seeded once: to ask the system each
/// time would cost a call for each request. Nobody's safety hangs on these numbers.
fn chance(which: usize) -> u64 {
    thread_local! {
        static STATE: [Cell<u64>; 2] = [Cell::new(seed()), Cell::new(seed())];
    }
    STATE.with(|all| {
        let (Some(state), Some(step)) = (all.get(which), STEPS.get(which)) else { return 0 };
        state.set(state.get().wrapping_add(*step));
        mix(state.get())
    })
}

fn seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // Its keys are the system's chance too, had earlier.
        Err(_) => RandomState::new().hash_one(0),
    }
}

/// SplitMix64's last step: each bit of the result hangs on all of the number's.
const fn mix(number: u64) -> u64 {
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

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn told(trace: &Trace) -> Vec<String> {
        trace.headers(SpanId(7)).map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_parent_is_read_to_the_letter() {
        let parent = Parent::read(GOOD.as_bytes()).unwrap();
        assert_eq!((parent.to_string().as_str(), parent.sampled), (GOOD, true));
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
    fn without_an_export_what_the_client_sent_goes_on_as_it_is() {
        assert!(Trace::of(&HeaderMap::new(), None).is_none());
        assert!(Trace::of(&headers(&[(TRACEPARENT, "00-1-2-3")]), None).is_none());
        let both = headers(&[(TRACEPARENT, GOOD), (TRACESTATE, "a=1"), (TRACESTATE, "b@c=2, d=3")]);
        let trace = Trace::of(&both, None).unwrap();
        assert_eq!(told(&trace), [format!("traceparent: {GOOD}"), "tracestate: a=1,b@c=2, d=3".to_owned()]);
    }

    #[test]
    fn with_one_the_attempts_span_is_the_parent() {
        let both = headers(&[(TRACEPARENT, GOOD), (TRACESTATE, "a=1")]);
        let trace = Trace::of(&both, Some(Fraction(0))).unwrap();
        let own = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01";
        assert_eq!(told(&trace), [own, "tracestate: a=1"], "the client has decided that it is sampled");
        assert_eq!(trace.parent(), Parent::read(GOOD.as_bytes()));
        // Two are none, and their state is nobody's.
        let two = headers(&[(TRACEPARENT, GOOD), (TRACEPARENT, GOOD), (TRACESTATE, "a=1")]);
        for (new, flags) in [(Fraction::ALL, "01"), (Fraction(0), "00")] {
            let trace = Trace::of(&two, Some(new)).unwrap();
            assert_eq!(told(&trace), [format!("traceparent: 00-{}-0000000000000007-{flags}", trace.id())]);
            assert!(trace.parent().is_none() && !GOOD.contains(&trace.id().to_string()));
            assert_eq!(TraceId::read(&trace.id().to_string()), Some(trace.id()));
        }
    }

    #[test]
    fn a_state_that_is_none_is_dropped() {
        let state = |text: &str| Trace::of(&headers(&[(TRACEPARENT, GOOD), (TRACESTATE, text)]), None).unwrap().state;
        assert!(state("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE").is_some());
        assert!(state("1a-2b@x_y*z/1=~!").is_some() && state("a=1,,b=2").is_some());
        let long = format!("a={}", "x".repeat(257));
        let too_long = format!("a={0},b={0}", "x".repeat(255));
        let too_many = (0..33).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        for text in ["", ",", "a", "=1", "a=", "A=1", "a=1=2", "a b=1", &long, &too_long, &too_many] {
            assert!(state(text).is_none(), "{text}");
        }
    }

    #[test]
    fn ids_are_all_different_and_sampled_as_often_as_is_said() {
        let ids: Vec<TraceId> =
            (0..20_000).map(|_| Trace::of(&HeaderMap::new(), Some(Fraction::ALL)).unwrap().id()).collect();
        let others = std::thread::spawn(|| (0..1_000).map(|_| TraceId::chosen().0).collect::<Vec<_>>()).join().unwrap();
        let all: HashSet<u128> = ids.iter().map(|id| id.0).chain(others).collect();
        assert_eq!(all.len(), 21_000);
        let sampled = ids.iter().filter(|id| id.is_in(Fraction(100_000))).count();
        // 2 000, and 42 is its deviation.
        assert!((1_700..2_300).contains(&sampled), "{sampled}");
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
