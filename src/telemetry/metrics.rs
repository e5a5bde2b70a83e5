//! The metrics themselves, in a registry of their own (the framework's global one stays out of it).

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{
    Counter, CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, Result, TextEncoder,
};

use super::alerts::AlertMetrics;
use super::cache::CacheMetrics;
use super::capture::CaptureMetrics;
use super::endpoints::EndpointMetrics;
use super::gen_ai::{GenAi, GenAiMetrics};
use super::keys::KeyMetrics;
use super::labels::Labels;
use super::ledger::LedgerMetrics;
use super::names::{Kind, Metric};
use super::otlp::Exported;
use super::store::StoreMetrics;
use super::tools::ToolMetrics;
use crate::record::Record;
use crate::usage::price::PicoUsd;
use crate::usage::tokens::{Usage, UsageSource};

/// All of [`Metric`].
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    pub(super) overhead: Histogram,
    first_token: HistogramVec,
    tokens: IntCounterVec,
    cost_usd: CounterVec,
    unpriced: IntCounterVec,
    unknown_usage: IntCounterVec,
    pub(super) throttled: IntCounterVec,
    pub(super) compression_saved: IntCounterVec,
    pub(super) compression_time: Histogram,
    pub(super) budget_remaining: GaugeVec,
    pub(super) budget_crossed: IntCounterVec,
    pub(super) budget_save_failures: IntCounter,
    pub(super) ledger: LedgerMetrics,
    pub(super) attempts: IntCounterVec,
    pub(super) fallbacks: IntCounterVec,
    pub(super) retries_refused: IntCounter,
    pub(super) inflight: IntGauge,
    pub(super) store: StoreMetrics,
    pub(super) queue_wait: Histogram,
    pub(super) keepalives: IntCounter,
    pub(super) hedges: IntCounterVec,
    pub(super) continuations: IntCounterVec,
    route_choices: IntCounterVec,
    route_input: IntCounterVec,
    route_cached: IntCounterVec,
    pub(super) endpoints: EndpointMetrics,
    pub(super) keys: KeyMetrics,
    pub(super) alerts: AlertMetrics,
    pub(super) capture: CaptureMetrics,
    pub(super) tools: ToolMetrics,
    pub(super) cache: CacheMetrics,
    pub(super) credential_refresh_failures: IntCounterVec,
    dropped_fields: IntCounterVec,
    guard_decisions: IntCounterVec,
    pub(super) config_reload_failures: IntCounter,
    config_last_reload: IntGauge,
    config_info: IntGaugeVec,
    pub(super) access_log_dropped: IntCounter,
    pub(super) exported: Exported,
    gen_ai: GenAiMetrics,
}

/// Registers what it makes.
pub(super) struct Maker(Registry);

impl Maker {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn opts(metric: Metric) -> Opts {
        Opts::new(metric.spec().name, metric.spec().help)
    }

    pub(super) fn counters(&self, metric: Metric) -> Result<IntCounterVec> {
        self.add(IntCounterVec::new(Self::opts(metric), metric.spec().labels)?)
    }

    pub(super) fn counter(&self, metric: Metric) -> Result<IntCounter> {
        self.add(IntCounter::with_opts(Self::opts(metric))?)
    }

    pub(super) fn gauges(&self, metric: Metric) -> Result<IntGaugeVec> {
        self.add(IntGaugeVec::new(Self::opts(metric), metric.spec().labels)?)
    }

    pub(super) fn float_gauge(&self, metric: Metric) -> Result<Gauge> {
        self.add(Gauge::with_opts(Self::opts(metric))?)
    }

    pub(super) fn gauge(&self, metric: Metric) -> Result<IntGauge> {
        self.add(IntGauge::with_opts(Self::opts(metric))?)
    }

    fn histogram_opts(metric: Metric) -> HistogramOpts {
        let opts = HistogramOpts::new(metric.spec().name, metric.spec().help);
        match metric.spec().kind {
            Kind::Histogram(buckets) => opts.buckets(buckets.to_vec()),
            _ => opts,
        }
    }

    pub(super) fn histogram(&self, metric: Metric) -> Result<Histogram> {
        self.add(Histogram::with_opts(Self::histogram_opts(metric))?)
    }

    pub(super) fn histograms(&self, metric: Metric) -> Result<HistogramVec> {
        self.add(HistogramVec::new(Self::histogram_opts(metric), metric.spec().labels)?)
    }
}

impl Metrics {
    pub(super) fn new() -> Result<Self> {
        let make = Maker(Registry::new());
        let build_info = make.gauges(Metric::BuildInfo)?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Ok(Self {
            requests: make.counters(Metric::Requests)?,
            duration: make.histograms(Metric::RequestDuration)?,
            overhead: make.histogram(Metric::Overhead)?,
            first_token: make.histograms(Metric::TimeToFirstToken)?,
            tokens: make.counters(Metric::Tokens)?,
            cost_usd: make.add(CounterVec::new(Maker::opts(Metric::CostUsd), Metric::CostUsd.spec().labels)?)?,
            unpriced: make.counters(Metric::Unpriced)?,
            unknown_usage: make.counters(Metric::UnknownUsage)?,
            throttled: make.counters(Metric::Throttled)?,
            compression_saved: make.counters(Metric::CompressionSaved)?,
            compression_time: make.histogram(Metric::CompressionTime)?,
            budget_remaining: make
                .add(GaugeVec::new(Maker::opts(Metric::BudgetRemaining), Metric::BudgetRemaining.spec().labels)?)?,
            budget_crossed: make.counters(Metric::BudgetCrossed)?,
            budget_save_failures: make.counter(Metric::BudgetSaveFailures)?,
            ledger: LedgerMetrics::new(&make)?,
            attempts: make.counters(Metric::Attempts)?,
            fallbacks: make.counters(Metric::Fallbacks)?,
            retries_refused: make.counter(Metric::RetriesRefused)?,
            inflight: make.gauge(Metric::Inflight)?,
            store: StoreMetrics::new(&make)?,
            queue_wait: make.histogram(Metric::QueueWait)?,
            keepalives: make.counter(Metric::Keepalives)?,
            hedges: make.counters(Metric::Hedges)?,
            continuations: make.counters(Metric::Continuations)?,
            route_choices: make.counters(Metric::RouteChoices)?,
            route_input: make.counters(Metric::RouteInput)?,
            route_cached: make.counters(Metric::RouteCached)?,
            endpoints: EndpointMetrics::new(&make)?,
            keys: KeyMetrics::new(&make)?,
            alerts: AlertMetrics::new(&make)?,
            tools: ToolMetrics::new(&make)?,
            capture: CaptureMetrics::new(&make)?,
            cache: CacheMetrics::new(&make)?,
            credential_refresh_failures: make.counters(Metric::CredentialRefreshFailures)?,
            dropped_fields: make.counters(Metric::DroppedFields)?,
            guard_decisions: make.counters(Metric::GuardDecisions)?,
            config_reload_failures: make.counter(Metric::ConfigReloadFailures)?,
            config_last_reload: make.gauge(Metric::ConfigLastReload)?,
            config_info: make.gauges(Metric::ConfigInfo)?,
            access_log_dropped: make.counter(Metric::AccessLogDropped)?,
            exported: Exported::new(&make)?,
            gen_ai: GenAiMetrics::new(&make)?,
            registry: make.0,
        })
    }

    pub(super) fn reloaded(&self, hash: &str, since_epoch: Duration) {
        self.config_info.reset();
        self.config_info.with_label_values(&[hash]).set(1);
        self.config_last_reload.set(i64::try_from(since_epoch.as_secs()).unwrap_or(i64::MAX));
    }

    pub(super) fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.gather()).unwrap_or_default()
    }

    pub(super) fn gather(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

/// The children of one combination of labels, resolved.
#[derive(Debug)]
pub(super) struct Handles {
    pub(super) labels: Labels<String>,
    requests_200: IntCounter,
    duration: Histogram,
    first_token: Histogram,
    tokens: [IntCounter; 5],
    cost_usd: Counter,
    unpriced: IntCounter,
    unknown_usage: IntCounter,
    dropped_fields: IntCounter,
    route_choices: IntCounter,
    /// Input, cached.
    route_tokens: [IntCounter; 2],
    gen_ai: GenAi,
}

impl Handles {
    /// `otel_provider` is OpenTelemetry's name for the vendor.
    pub(super) fn new(metrics: &Metrics, labels: Labels<String>, otel_provider: &str) -> Self {
        let Labels { tenant, route, provider, model, operation } = &labels;
        let target = [provider.as_str(), model.as_str()];
        let spender = [tenant.as_str(), target[0], target[1]];
        let gen_ai = GenAi::new(&metrics.gen_ai, [*operation, otel_provider, target[1]]);
        let class = |class| metrics.tokens.with_label_values(&[spender[0], spender[1], spender[2], class]);
        Self {
            requests_200: metrics.requests.with_label_values(&[
                tenant.as_str(),
                route.as_str(),
                target[0],
                target[1],
                "200",
            ]),
            duration: metrics.duration.with_label_values(&target),
            first_token: metrics.first_token.with_label_values(&target),
            tokens: ["input", "output", "cached", "cache_write", "reasoning"].map(class),
            cost_usd: metrics.cost_usd.with_label_values(&spender),
            unpriced: metrics.unpriced.with_label_values(&target),
            unknown_usage: metrics.unknown_usage.with_label_values(&target),
            dropped_fields: metrics.dropped_fields.with_label_values(&target),
            route_choices: metrics.route_choices.with_label_values(&[route.as_str(), target[0], target[1]]),
            route_tokens: [&metrics.route_input, &metrics.route_cached].map(|all| all.with_label_values(&[route])),
            gen_ai,
            labels,
        }
    }

    pub(super) fn request(&self, metrics: &Metrics, status: u16) {
        if status == 200 {
            return self.requests_200.inc();
        }
        let known = http::StatusCode::from_u16(status).ok().filter(|known| known.as_u16() < 600);
        let status = known.as_ref().map_or("other", http::StatusCode::as_str);
        let Labels { tenant, route, provider, model, .. } = &self.labels;
        metrics.requests.with_label_values(&[tenant.as_str(), route, provider, model, status]).inc();
    }

    pub(super) fn duration(&self, metrics: &Metrics, duration: Duration, failure: Option<&str>) {
        self.duration.observe(duration.as_secs_f64());
        self.gen_ai.duration(&metrics.gen_ai, duration, failure);
    }

    pub(super) fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
        self.gen_ai.first_token(after);
    }

    /// What only streams have.
    pub(super) fn stream(&self, record: &Record<'_>, first: Duration) {
        self.gen_ai.stream(record, first);
    }

    /// What one attempt used, and what that cost where its price is known.
    pub(super) fn used(&self, usage: &Usage, source: UsageSource, cost: Option<PicoUsd>) {
        self.tokens(usage);
        match cost {
            Some(cost) => self.cost(cost),
            None => self.unpriced.inc(),
        }
        if source != UsageSource::Reported {
            self.unknown_usage.inc();
        }
    }

    fn tokens(&self, usage: &Usage) {
        let (input, output) = (usage.input_tokens(), usage.output_tokens());
        let counts = [input, output, usage.cached_tokens, usage.cache_written_tokens(), usage.reasoning_tokens];
        for (counter, count) in self.tokens.iter().zip(counts).filter(|(_, count)| *count > 0) {
            counter.inc_by(count);
        }
        self.gen_ai.tokens(usage);
    }

    /// What of its input a route's requests did not have to pay in full.
    pub(super) fn route_tokens(&self, usage: &Usage) {
        for (counter, count) in self.route_tokens.iter().zip([usage.input_tokens(), usage.cached_tokens]) {
            counter.inc_by(count);
        }
    }

    pub(super) fn chosen(&self) {
        self.route_choices.inc();
    }

    fn cost(&self, cost: PicoUsd) {
        const PICO: f64 = 1e12;
        let pico = u64::try_from(cost.0).unwrap_or_default();
        self.cost_usd.inc_by(float(pico) / PICO);
    }

    /// What a record says of kept answers.
    pub(super) fn cached(&self, metrics: &Metrics, result: &str) {
        metrics.cache.requests.with_label_values(&[self.labels.tenant.as_str(), result]).inc();
    }

    /// One of a record's lines: `name:action:kind:count`.
    pub(super) fn guarded(&self, metrics: &Metrics, line: &str) {
        let mut words = line.split(':');
        if let (Some(guard), Some(action), Some(count)) = (words.next(), words.next(), words.next_back()) {
            let counter = metrics.guard_decisions.with_label_values(&[self.labels.tenant.as_str(), guard, action]);
            counter.inc_by(count.parse().unwrap_or_default());
        }
    }

    pub(super) fn dropped(&self, fields: u64) {
        self.dropped_fields.inc_by(fields);
    }
}

/// A metric may round beyond 2^53; the ledger has the exact numbers.
pub(super) fn float(count: u64) -> f64 {
    count as f64
}
