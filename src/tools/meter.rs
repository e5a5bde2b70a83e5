//! How often a tool is called, by each tenant: exact, in any minute.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// Tenants are the configuration's; more than this are looked through for those that have gone.
const MANY_TENANTS: usize = 1_000;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Meter {
    calls: Mutex<HashMap<String, VecDeque<Instant>>>,
}

impl Meter {
    /// Counts a call, if it may be made; else says how long until one may.
    pub(super) fn take(&self, tenant: &str, most: u32, now: Instant) -> Result<(), Duration> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() > MANY_TENANTS && !calls.contains_key(tenant) {
            calls.retain(|_, of| of.back().is_some_and(|last| now.duration_since(*last) < WINDOW));
        }
        let of_tenant = calls.entry(tenant.to_owned()).or_default();
        while of_tenant.front().is_some_and(|first| now.duration_since(*first) >= WINDOW) {
            of_tenant.pop_front();
        }
        match of_tenant.front() {
            Some(first) if of_tenant.len() >= usize::try_from(most).unwrap_or(usize::MAX) => {
                Err(WINDOW.saturating_sub(now.duration_since(*first)))
            }
            _ => {
                of_tenant.push_back(now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tenant_has_its_own_calls_in_any_minute() {
        let (meter, began) = (Meter::default(), Instant::now());
        let at = |second| began + Duration::from_secs(second);
        assert_eq!(meter.take("a", 2, at(0)), Ok(()));
        assert_eq!(meter.take("a", 2, at(30)), Ok(()));
        assert_eq!(meter.take("a", 2, at(59)), Err(Duration::from_secs(1)));
        assert_eq!(meter.take("b", 2, at(59)), Ok(()));
        assert_eq!(meter.take("a", 2, at(60)), Ok(()));
        assert_eq!(meter.take("a", 2, at(61)), Err(Duration::from_secs(29)));
        assert_eq!(meter.take("a", 3, at(61)), Ok(()));
    }
}
