//! The metrics of endpoints: what routing knows of them, set anew for each scrape, so that an endpoint
//! that the configuration no longer has is gone from the next one.

use std::collections::HashMap;

use prometheus::{IntCounterVec, IntGaugeVec, Result};

use super::metrics::Maker;
use super::names::Metric;

/// What keeps all of an endpoint out.
const STATES: [&str; 3] = ["drained", "check_failed", "credential_refused"];

/// One endpoint, as a scrape finds it. Its names come from the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    pub provider: &'a str,
    pub endpoint: &'a str,
    pub healthy: bool,
    /// One of the states above, or any other word.
    pub state: &'a str,
    pub in_flight: u32,
    pub waiting: usize,
    /// None is any number.
    pub places: Option<u32>,
    pub requests_left: Option<u64>,
    pub tokens_left: Option<u64>,
    /// Since the process began.
    pub breaker_opened: u64,
}

/// See the module documentation.
#[derive(Debug)]
pub(super) struct EndpointMetrics {
    upstream_healthy: IntGaugeVec,
    healthy: IntGaugeVec,
    state: IntGaugeVec,
    in_flight: IntGaugeVec,
    waiting: IntGaugeVec,
    places: IntGaugeVec,
    quota: IntGaugeVec,
    breaker_opened: IntCounterVec,
}

impl EndpointMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            upstream_healthy: make.gauges(Metric::UpstreamHealthy)?,
            healthy: make.gauges(Metric::EndpointHealthy)?,
            state: make.gauges(Metric::EndpointState)?,
            in_flight: make.gauges(Metric::EndpointInflight)?,
            waiting: make.gauges(Metric::EndpointWaiting)?,
            places: make.gauges(Metric::EndpointPlaces)?,
            quota: make.gauges(Metric::EndpointQuota)?,
            breaker_opened: make.counters(Metric::BreakerOpened)?,
        })
    }

    /// All endpoints there are.
    pub(super) fn set(&self, all: &[Seen<'_>]) {
        self.reset();
        let mut providers: HashMap<&str, bool> = HashMap::new();
        for seen in all {
            *providers.entry(seen.provider).or_default() |= seen.healthy;
            self.set_one(seen);
        }
        for (provider, healthy) in providers {
            self.upstream_healthy.with_label_values(&[provider]).set(i64::from(healthy));
        }
    }

    fn reset(&self) {
        let gauges = [
            &self.upstream_healthy,
            &self.healthy,
            &self.state,
            &self.in_flight,
            &self.waiting,
            &self.places,
            &self.quota,
        ];
        gauges.into_iter().for_each(IntGaugeVec::reset);
        self.breaker_opened.reset();
    }

    fn set_one(&self, seen: &Seen<'_>) {
        let labels = [seen.provider, seen.endpoint];
        let with = |third| [labels[0], labels[1], third];
        self.healthy.with_label_values(&labels).set(i64::from(seen.healthy));
        for state in STATES {
            self.state.with_label_values(&with(state)).set(i64::from(seen.state == state));
        }
        self.in_flight.with_label_values(&labels).set(i64::from(seen.in_flight));
        self.waiting.with_label_values(&labels).set(i64::try_from(seen.waiting).unwrap_or(i64::MAX));
        if let Some(places) = seen.places {
            self.places.with_label_values(&labels).set(i64::from(places));
        }
        for (kind, left) in [("requests", seen.requests_left), ("tokens", seen.tokens_left)] {
            if let Some(left) = left {
                self.quota.with_label_values(&with(kind)).set(i64::try_from(left).unwrap_or(i64::MAX));
            }
        }
        self.breaker_opened.with_label_values(&labels).inc_by(seen.breaker_opened);
    }
}
