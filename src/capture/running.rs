//! One capture: whose exchanges, for how long, and how many.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use uuid::Uuid;

use crate::config::capture::Redact;
use crate::limit::clock::Rfc3339;
use crate::wire::json::Obj;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub tenant: String,
    /// Only this key's.
    pub key: Option<String>,
    pub period: Duration,
    /// Exchanges.
    pub most: u32,
    /// Beside what the configuration leaves out.
    pub redact: Vec<Redact>,
}

impl Wanted {
    pub const LONGEST: Duration = Duration::from_secs(86_400);
    pub const MOST: u32 = 1_000;
}

/// See the module documentation.
#[derive(Debug)]
pub struct Running {
    pub id: Uuid,
    pub wanted: Wanted,
    pub(super) by: String,
    began_ms: u64,
    until_ms: u64,
    taken: AtomicU32,
    is_ended: AtomicBool,
    is_gone: AtomicBool,
}

impl Running {
    pub(super) fn new(wanted: Wanted, by: &str, now_ms: u64) -> Self {
        let period_ms = u64::try_from(wanted.period.as_millis()).unwrap_or(u64::MAX);
        Self {
            id: Uuid::now_v7(),
            wanted,
            by: by.to_owned(),
            began_ms: now_ms,
            until_ms: now_ms.saturating_add(period_ms),
            taken: AtomicU32::new(0),
            is_ended: AtomicBool::new(false),
            is_gone: AtomicBool::new(false),
        }
    }

    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        let is_full = self.taken.load(Ordering::Relaxed) >= self.wanted.most;
        is_full || now_ms >= self.until_ms || self.is_ended.load(Ordering::Relaxed)
    }

    pub(super) fn end(&self) {
        self.is_ended.store(true, Ordering::Relaxed);
    }

    /// What it has taken is not to be kept, nor what still runs.
    pub(super) fn forget(&self) {
        self.end();
        self.is_gone.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Relaxed)
    }

    /// Whether one more exchange, of this tenant and key, is wanted: then it counts.
    pub(super) fn take(&self, tenant: &str, key: &str, now_ms: u64) -> bool {
        let is_meant = self.wanted.tenant == tenant && self.wanted.key.as_deref().is_none_or(|own| own == key);
        if !is_meant || self.is_over(now_ms) {
            return false;
        }
        let more = |taken: u32| Some(taken + 1).filter(|taken| *taken <= self.wanted.most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// What it is, and the requests of which something is kept.
    pub fn write(&self, row: &mut Obj<'_>, requests: &[Uuid], now_ms: u64) {
        let moment = |ms| Rfc3339(UNIX_EPOCH + Duration::from_millis(ms)).to_string();
        row.text("id", &self.id.hyphenated().to_string()).text("tenant", &self.wanted.tenant);
        match &self.wanted.key {
            Some(key) => row.text("key", key),
            None => row.null("key"),
        };
        row.text("state", if self.is_over(now_ms) { "ended" } else { "running" }).text("by", &self.by);
        row.text("began_at", &moment(self.began_ms)).text("until", &moment(self.until_ms));
        row.num("most", self.wanted.most.into()).num("taken", self.taken.load(Ordering::Relaxed).into());
        let mut rules = row.arr("redact");
        self.wanted.redact.iter().for_each(|rule| _ = rules.text(&rule.to_string()));
        drop(rules);
        write_requests(row, requests);
    }
}

pub(super) fn write_requests(row: &mut Obj<'_>, requests: &[Uuid]) {
    let mut ids = row.arr("requests");
    requests.iter().for_each(|id| _ = ids.text(&id.hyphenated().to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(key: Option<&str>, most: u32) -> Running {
        let period = Duration::from_millis(100);
        let wanted = Wanted { tenant: "acme".into(), key: key.map(str::to_owned), period, most, redact: Vec::new() };
        Running::new(wanted, "ops", 1_000)
    }

    #[test]
    fn it_takes_what_it_is_for_and_no_more() {
        let one = running(None, 2);
        assert!(!one.take("globex", "k", 1_000), "another tenant's");
        assert!(one.take("acme", "k", 1_000) && one.take("acme", "l", 1_099));
        assert!(!one.take("acme", "k", 1_000) && one.is_over(1_000), "there are as many as were wanted");
        let one = running(Some("k"), 2);
        assert!(!one.take("acme", "l", 1_000) && one.take("acme", "k", 1_000));
        assert!(!one.take("acme", "k", 1_100) && one.is_over(1_100), "its time is over");
        let one = running(None, 2);
        one.end();
        assert!(!one.take("acme", "k", 1_000));
    }
}
