//! What operators see: one [`Record`] per finished request becomes one access line and the request's
//! metrics, from the same fields, so that they cannot disagree.
//!
//! # How to wire it
//! - [`log::init`] once, first thing of `weir run` (pass the value of `WEIR_LOG`).
//! - `Telemetry::new(&runtime)` once per process, in an `Arc`; [`Telemetry::bind`] at each reload, with
//!   [`Telemetry::reloaded`] or [`Telemetry::reload_failed`] to say how it went.
//! - [`Telemetry::in_flight`] when a request begins; keep the guard in its context.
//! - [`Telemetry::throttled`], [`Telemetry::fallback`] where those things happen;
//!   [`Telemetry::finish`] once per request, in `logging`.
//! - [`Telemetry::render`] is the text of `/metrics`.
//! - [`Telemetry::flush`] before the process exits, after the last request.
//!
//! # Cost
//! `finish` hands over the packed record without waiting (a full queue drops it and counts it); metrics are resolved once per combination of labels and found by one
//! hash. Label values come from configuration only; anything else is `other` (`labels`).

pub mod access_log;
mod alerts;
mod cache;
mod capture;
mod endpoints;
mod gen_ai;
pub mod kept;
mod keys;
mod labels;
mod ledger;
pub mod log;
mod metrics;
pub mod names;
mod otlp;
mod rotated;
pub mod running;
mod store;
mod tools;
pub mod trace;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

pub use cache::{CacheSeen, Sameness};
pub use endpoints::Seen;
pub use labels::{operation, provider_name};
pub use ledger::LedgerSeen;
pub use otlp::Exported;

use prometheus::proto::MetricFamily;

use crate::config::runtime::Runtime;
use crate::config::telemetry::{AccessLog as Target, Fraction};
use crate::limit::budget::{Balance, Crossed};
use crate::record::trace::SpanId;
use crate::record::{OK, Record, Step, Why};
use crate::usage::tokens::UsageSource;
use access_log::AccessLog;
use kept::Kept;
use labels::{Labels, Resolver};
use metrics::Metrics;
use running::Running;

/// See the module documentation.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    resolver: Resolver,
    access_log: AccessLog,
    running: Arc<Running>,
    /// [`Fraction`] of the access lines that are written.
    records: AtomicU32,
    /// Refusals by limits, of all tenants.
    throttled: AtomicU64,
}

/// A request in flight, counted in `weir_inflight_requests` until it is dropped.
#[derive(Debug)]
pub struct InFlight(prometheus::IntGauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Telemetry {
    /// Fails if the access log cannot be opened.
    pub fn new(runtime: &Runtime) -> Result<Self, String> {
        let metrics = Metrics::new().map_err(|e| format!("metrics: {e}"))?;
        let (target, dropped) = (&runtime.telemetry.access_log, metrics.access_log_dropped.clone());
        let access_log = opened(target, || AccessLog::start(target, dropped))?;
        let (resolver, records) = (Resolver::new(runtime), AtomicU32::new(runtime.telemetry.records.0));
        let (running, throttled) = (Arc::default(), AtomicU64::new(0));
        let telemetry = Self { metrics, resolver, access_log, running, records, throttled };
        telemetry.reloaded(runtime);
        Ok(telemetry)
    }

    /// Takes the names that may be label values from a new configuration, and reopens the access log.
    pub fn bind(&self, runtime: &Runtime) -> Result<(), String> {
        self.resolver.bind(runtime);
        self.records.store(runtime.telemetry.records.0, Ordering::Relaxed);
        let target = &runtime.telemetry.access_log;
        opened(target, || self.access_log.switch(target))
    }

    /// The configuration in force.
    pub fn reloaded(&self, runtime: &Runtime) {
        let since_epoch = runtime.loaded_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.metrics.reloaded(&runtime.hash, since_epoch);
    }

    /// A reload was refused and the old configuration stays.
    pub fn reload_failed(&self) {
        self.metrics.config_reload_failures.inc();
    }

    /// Counts a request in flight until the guard goes.
    pub fn in_flight(&self) -> InFlight {
        self.metrics.inflight.inc();
        InFlight(self.metrics.inflight.clone())
    }

    /// A refusal by a limit; `limit` is [`crate::limit::Refusal::label`], or `door_bad_keys` and
    /// `door_in_flight`.
    pub fn throttled(&self, tenant: &str, limit: &str) {
        let tenant = self.resolver.tenant(tenant);
        self.metrics.throttled.with_label_values(&[tenant.as_str(), limit]).inc();
        self.throttled.fetch_add(1, Ordering::Relaxed);
    }

    /// A request was compressed: how long that took, and the tokens that each of several ways saved.
    pub fn compressed<'s>(&self, tenant: &str, took: Duration, saved: impl Iterator<Item = (&'s str, u64)>) {
        let tenant = self.resolver.tenant(tenant);
        self.metrics.compression_time.observe(took.as_secs_f64());
        for (strategy, tokens) in saved {
            self.metrics.compression_saved.with_label_values(&[tenant.as_str(), strategy]).inc_by(tokens);
        }
    }

    /// Refusals by limits so far, of all tenants.
    pub fn throttled_so_far(&self) -> u64 {
        self.throttled.load(Ordering::Relaxed)
    }

    /// An attempt ended; `outcome` is the word of the record's timeline.
    fn attempt(&self, provider: &str, outcome: &str) {
        let provider = self.resolver.provider(provider);
        self.metrics.attempts.with_label_values(&[provider.as_str(), outcome]).inc();
    }

    /// The request went on to another provider; `reason` is how the attempt there
    /// ended, in the words of the record's timeline.
    pub fn fallback(&self, from: &str, to: &str, reason: &'static str) {
        let (from, to) = (self.resolver.provider(from), self.resolver.provider(to));
        self.metrics.fallbacks.with_label_values(&[from.as_str(), to.as_str(), reason]).inc();
    }

    /// An attempt was not made, because there were too many second ones.
    pub fn retry_refused(&self) {
        self.metrics.retries_refused.inc();
    }

    /// How all endpoints are, for a scrape.
    pub fn endpoints(&self, all: &[Seen<'_>]) {
        self.metrics.endpoints.set(all);
    }

    /// Tenants' budgets, for a scrape.
    pub fn budgets<'a>(&self, all: impl Iterator<Item = (&'a str, Balance)>) {
        const MILLION: f64 = 1e6;
        self.metrics.budget_remaining.reset();
        for (tenant, balance) in all {
            let ratio = f64::from(balance.remaining_ppm()) / MILLION;
            self.metrics.budget_remaining.with_label_values(&[tenant, &balance.budget.name()]).set(ratio);
        }
    }

    /// What alerts have counted, for a scrape: by kind, by webhook and result, and those that were dropped.
    pub fn alerts(&self, raised: &[(&'static str, u64)], deliveries: &[(String, &'static str, u64)], dropped: u64) {
        self.metrics.alerts.set(raised, deliveries, dropped);
    }

    /// A tool was called and is done.
    pub fn tool_called(&self, tenant: &str, tool: &str, outcome: &'static str, took: Duration) {
        self.metrics.tools.called(&self.resolver.tenant(tenant), tool, outcome, took);
    }

    /// What debug capture has counted, for a scrape.
    pub fn captures(&self, kept: u64, dropped: u64, running: usize) {
        self.metrics.capture.set(kept, dropped, running);
    }

    /// A question was compared with those whose answers are kept.
    pub fn compared(&self, tenant: &str, sameness: Sameness) {
        self.metrics.cache.compared(&self.resolver.tenant(tenant), sameness);
    }

    /// Kept answers, for a scrape.
    pub fn cache(&self, seen: CacheSeen) {
        self.metrics.cache.set(seen);
    }

    /// From now on each record, and how it is packed, are shown to `follower` too, on the access log's thread: it
    /// must be quick.
    pub fn follow(&self, follower: impl FnMut(&Record<'_>, &Arc<[u8]>) + Send + 'static) -> bool {
        self.access_log.follow(Box::new(follower))
    }

    /// The ledger, for a scrape.
    pub fn ledger(&self, seen: &LedgerSeen) {
        self.metrics.ledger.set(seen);
    }

    /// A mark of a budget was passed.
    pub fn budget_crossed(&self, crossed: &Crossed) {
        let (tenant, percent) = (self.resolver.tenant(crossed.scope.tenant()), crossed.percent.to_string());
        let labels = [tenant.as_str(), crossed.scope.kind(), &crossed.budget.name(), &percent];
        self.metrics.budget_crossed.with_label_values(&labels).inc();
    }

    /// What was spent could not be kept on disk.
    pub fn budgets_not_saved(&self) {
        self.metrics.budget_save_failures.inc();
    }

    /// A request has a place at an endpoint whose places have a limit.
    pub fn queued(&self, wait: Duration) {
        self.metrics.queue_wait.observe(wait.as_secs_f64());
    }

    /// A client got a sign of life.
    pub fn kept_alive(&self) {
        self.metrics.keepalives.inc();
    }

    /// A provider's credential could not be fetched.
    pub fn credential_refresh_failed(&self, provider: &str) {
        let provider = self.resolver.provider(provider);
        self.metrics.credential_refresh_failures.with_label_values(&[provider.as_str()]).inc();
    }

    /// How many keys were made at run time, and how long ago the database was last asked.
    pub fn keys(&self, stored: usize, age: Option<Duration>) {
        let keys = &self.metrics.keys;
        keys.stored.set(i64::try_from(stored).unwrap_or(i64::MAX));
        keys.age.set(age.map_or(-1, |age| i64::try_from(age.as_secs()).unwrap_or(i64::MAX)));
    }

    /// The database could not be asked for keys.
    pub fn key_sync_failed(&self) {
        self.metrics.keys.sync_failures.inc();
    }

    /// The public keys of an issuer of tokens could not be fetched.
    pub fn issuer_refresh_failed(&self) {
        self.metrics.keys.issuer_failures.inc();
    }

    /// A change did not get into the chain of changes.
    pub fn audit_lost(&self) {
        self.metrics.keys.audit_lost.inc();
    }

    /// Closes a request: its metrics and its access line. `packed` is what stands on record. Once per request.
    pub fn finish(&self, record: &Record<'_>, packed: Vec<u8>) {
        self.count(record);
        let records = Fraction(self.records.load(Ordering::Relaxed));
        let is_written = is_written(records, record);
        self.access_log.write(packed, is_written);
    }

    /// The last finished requests.
    pub fn kept(&self) -> Arc<Kept> {
        Arc::clone(self.access_log.kept())
    }

    /// Those that run, for who looks.
    pub fn running(&self) -> &Arc<Running> {
        &self.running
    }

    fn count(&self, record: &Record<'_>) {
        let labels = Labels::of(record);
        let handles = self.resolver.handles(&self.metrics, &labels);
        handles.request(&self.metrics, record.status);
        handles.duration(&self.metrics, record.duration, failure(record));
        self.metrics.overhead.observe(record.overhead.as_secs_f64());
        if let Some(ttft) = record.ttft {
            handles.first_token(ttft);
            if record.stream {
                handles.stream(record, ttft);
            }
        }
        if let Some(usage) = &record.usage {
            handles.used(usage, record.usage_source.unwrap_or(UsageSource::Estimated), record.charge.cost());
            handles.route_tokens(usage);
        }
        let dropped = u64::try_from(record.dropped.iter().count()).unwrap_or(u64::MAX);
        if dropped > 0 {
            handles.dropped(dropped);
        }
        record.guards.iter().for_each(|line| handles.guarded(&self.metrics, line));
        if let Some(result) = record.cache {
            handles.cached(&self.metrics, result);
        }
        self.count_attempts(record, &labels);
    }

    /// How each attempt ended, where a route sent it first, what other attempts than the last used, and
    /// what became of those beside and behind others.
    fn count_attempts(&self, record: &Record<'_>, labels: &Labels<&str>) {
        for step in record.timeline.iter() {
            if step.why != Why::Advice {
                self.attempt(step.provider, step.outcome);
            }
            let is_choice = step.why == Why::First && record.route.is_some();
            if is_choice || step.usage.is_some() {
                let handles = self.resolver.handles(&self.metrics, &labels.at(&step));
                if is_choice {
                    handles.chosen();
                }
                if let Some((usage, source)) = &step.usage {
                    handles.used(usage, *source, step.charge.cost());
                }
            }
            self.count_extra(&step, labels.route);
        }
    }

    fn count_extra(&self, step: &Step<'_>, route: &str) {
        let (counter, outcome) = match (step.why, step.outcome) {
            (Why::Hedge, "ok") => (&self.metrics.hedges, "won"),
            (Why::Hedge, "cancelled") => (&self.metrics.hedges, "lost"),
            (Why::Hedge, _) => (&self.metrics.hedges, "failed"),
            (Why::Continuation, outcome) => (&self.metrics.continuations, outcome),
            _ => return,
        };
        counter.with_label_values(&[self.resolver.route(route).as_str(), outcome]).inc();
    }

    /// Counts of what is exported to a collector.
    pub fn exported(&self) -> Exported {
        self.metrics.exported.clone()
    }

    /// Everything, as data.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.metrics.gather()
    }

    /// Everything, in Prometheus' text format.
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// Waits until every access line so far is written, at most `timeout`. Blocks the thread.
    pub fn flush(&self, timeout: Duration) -> bool {
        self.access_log.flush(timeout)
    }
}

/// Opens the access log. Its directory is made where there is none, as that of the state is; an error says which
/// file it is about.
fn opened<T>(target: &Target, open: impl FnOnce() -> io::Result<T>) -> Result<T, String> {
    let path = match target {
        Target::File(path, _) => Some(path),
        Target::Off | Target::Stdout => None,
    };
    let made = path.and_then(|path| path.parent()).map_or(Ok(()), std::fs::create_dir_all);
    let named = path.map(|path| format!("{}: ", path.display())).unwrap_or_default();
    made.and_then(|()| open()).map_err(|error| format!("access log: {named}{error}"))
}

/// Whether an access record is written and sent, where only a part of those that tell of no failure is.
/// The same request always gets the same answer.
pub fn is_written(records: Fraction, record: &Record<'_>) -> bool {
    // The ids of spans are as good as random.
    let chance = || u64::from_be_bytes(SpanId::of_request(record.request_id).to_bytes());
    record.is_failure() || records.takes(chance())
}

/// Why the request failed, if it did: a word of ours, and no provider's.
fn failure<'a>(record: &Record<'a>) -> Option<&'a str> {
    if !record.is_failure() {
        return None;
    }
    let last = record.timeline.iter().last().map(|step| step.outcome).filter(|outcome| *outcome != OK);
    last.or(Some(record.outcome.as_str()))
}

#[cfg(test)]
mod tests;
