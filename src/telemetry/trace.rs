//! Which trace a request belongs to: W3C Trace Context in and out
//! (<https://www.w3.org/TR/trace-context/>).
//!
//! A client's `traceparent` is read to the letter; one that is wrong is none. Where traces are exported,
//! the request and its attempts have spans of their own and providers are told of those; where they are
//! not, what the client sent goes on as it is. The ids of spans are kept nowhere: that of a request is
//! worked out from its request id, that of an attempt from when it began, so whoever writes spans from a
//! record finds the ids that providers were told.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::telemetry::Fraction;
use crate::record::trace::{Parent, SpanId, TraceId, mix};

pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// As much as has to be passed on; a longer one is dropped whole, as none of its entries is ours.
const MOST_STATE_BYTES: usize = 512;
const MOST_STATE_ENTRIES: usize = 32;

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
            let id = TraceId::chosen(chances());
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

fn chances() -> u128 {
    u128::from(chance(0)) << 64 | u128::from(chance(1))
}

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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn headers(all: &[(HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    fn span() -> SpanId {
        Parent::read(b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000007-01").unwrap().span
    }

    fn told(trace: &Trace) -> Vec<String> {
        trace.headers(span()).map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
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
        let others =
            std::thread::spawn(|| (0..1_000).map(|_| TraceId::chosen(chances()).to_bytes()).collect::<Vec<_>>())
                .join()
                .unwrap();
        let all: HashSet<[u8; 16]> = ids.iter().map(|id| id.to_bytes()).chain(others).collect();
        assert_eq!(all.len(), 21_000);
        let sampled = ids.iter().filter(|id| id.is_in(Fraction(100_000))).count();
        // 2 000, and 42 is its deviation.
        assert!((1_700..2_300).contains(&sampled), "{sampled}");
    }
}
