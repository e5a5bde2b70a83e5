//! The door: what one client address may do before anybody knows who it is.
//!
//! Built on `pingora-limits`, whose sketches take a fixed amount of memory whatever comes. They only
//! ever over-count, and by a negligible amount (see `SLOTS`), so a few neighbours of a flood may be
//! refused early; a tenant's own limits do not depend on them. `Rate` keeps its own clock, so no
//! `now_ms` here.
//!
//! A known key always passes whatever its neighbours behind the same address do: finding a key costs
//! one SHA-256 (about 0.2 microseconds), less than asking the sketch. What the door stops is an address
//! that keeps *failing*: it gets a 429 in place of the 401, and the caller closes its connection.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use pingora_limits::inflight::{Guard, Inflight};
use pingora_limits::rate::Rate;

use crate::error::{Error, Kind};

/// At least a second: `Rate` asserts against its own clock with shorter ones.
const INTERVAL: Duration = Duration::from_secs(1);
/// An address is taken for more than it is where others share its slot in each of the four rows: with 1,000
/// that fail in one second it is one in 5,000, and then by as much as the least of them has.
const HASHES: usize = 4;
const SLOTS: usize = 8_192;

/// The door's numbers, per client address. Behind a load balancer all clients share its address, so
/// the number of requests is generous.
#[derive(Debug, Clone, Copy)]
pub struct DoorLimits {
    /// Failed authentications per second.
    pub bad_keys_per_second: u32,
    /// Requests at the same time.
    pub in_flight: u32,
}

impl Default for DoorLimits {
    fn default() -> Self {
        Self { bad_keys_per_second: 20, in_flight: 20_000 }
    }
}

/// One for the process: 512 KiB for the rate, 256 KiB for requests in flight.
pub struct Door {
    bad_keys: Rate,
    in_flight: Inflight,
    limits: DoorLimits,
}

/// A request inside. Keep it in the request's context; dropping it makes room.
#[derive(Debug)]
pub struct Visit {
    _guard: Guard,
}

impl Door {
    pub fn new(limits: DoorLimits) -> Self {
        let bad_keys = Rate::new_with_estimator_config(INTERVAL, HASHES, SLOTS);
        Self { bad_keys, in_flight: Inflight::new(), limits }
    }

    /// First thing of a request. The error is a 429 with `weir_throttled_total{limit="door_in_flight"}`.
    pub fn enter(&self, address: IpAddr) -> Result<Visit, Error> {
        let (guard, running) = self.in_flight.incr(address, 1);
        if exceeds(running, self.limits.in_flight) {
            return Err(refusal("too many requests at the same time from this address"));
        }
        Ok(Visit { _guard: guard })
    }

    /// Asked before a credential is checked that takes work to check: a 429 where the address has failed
    /// too often within this second.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Error> {
        match exceeds(self.bad_keys.observe(&address, 0), self.limits.bad_keys_per_second) {
            true => Err(too_many_bad_keys()),
            false => Ok(()),
        }
    }

    /// Call when a credential turned out missing or unknown, with the error that says so; gives it
    /// back, or a 429 where the address has failed too often within this second
    /// (`limit="door_bad_keys"`: see whether the kind became `RateLimited`).
    pub fn failed(&self, address: IpAddr, error: Error) -> Error {
        let failures = self.bad_keys.observe(&address, 1);
        if exceeds(failures, self.limits.bad_keys_per_second) {
            return too_many_bad_keys();
        }
        error
    }
}

fn exceeds(count: isize, limit: u32) -> bool {
    // A negative count is a sketch that overflowed.
    u64::try_from(count).map_or(true, |count| count > u64::from(limit))
}

fn too_many_bad_keys() -> Error {
    refusal("too many requests with a wrong API key from this address")
}

fn refusal(text: &'static str) -> Error {
    Error::new(Kind::RateLimited, text).with_retry_after(INTERVAL)
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([203, 0, 113, last])
    }

    #[test]
    fn an_address_that_keeps_failing_is_told_to_stop_and_its_neighbour_is_not() {
        let door = Door::new(DoorLimits { bad_keys_per_second: 3, ..DoorLimits::default() });
        let fail = |last| door.failed(address(last), Error::new(Kind::InvalidKey, "no")).kind();
        // Eight in a row span at most two intervals, so one of them sees more than three.
        let kinds: Vec<Kind> = (0..8).map(|_| fail(1)).collect();
        assert_eq!(kinds.first(), Some(&Kind::InvalidKey));
        assert!(kinds.contains(&Kind::RateLimited), "{kinds:?}");
        assert_eq!(fail(2), Kind::InvalidKey);
        assert!(door.may_try(address(2)).is_ok(), "asking is no failure");
    }

    #[test]
    fn requests_at_the_same_time_are_bounded_per_address() {
        let door = Door::new(DoorLimits { in_flight: 2, ..DoorLimits::default() });
        let first = door.enter(address(1));
        let second = door.enter(address(1));
        assert!(first.is_ok() && second.is_ok());
        let refused = door.enter(address(1)).unwrap_err();
        assert_eq!((refused.kind(), refused.retry_after()), (Kind::RateLimited, Some(INTERVAL)));
        assert!(door.enter(address(2)).is_ok());
        drop(first);
        assert!(door.enter(address(1)).is_ok(), "a refused one takes no room");
    }
}
