//! What /metrics shows, as OTLP's metrics: sums and histograms since the process began, and gauges. The
//! names are those of /metrics, but for OpenTelemetry's own, which have their dots here.

use prometheus::proto::{Metric as Series, MetricFamily, MetricType};

use super::attributes::Attributes;
use super::message::{Buckets, CUMULATIVE, Data, Gauge, Histogram, KeyValue, Metric, Number, Sum};
use crate::telemetry::names;

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) start_ns: u64,
    pub(super) now_ns: u64,
}

pub(super) fn metrics(families: &[MetricFamily], times: Times) -> Vec<Metric> {
    families.iter().filter_map(|family| metric(family, times)).collect()
}

fn metric(family: &MetricFamily, times: Times) -> Option<Metric> {
    let series = family.get_metric();
    let numbers = |of: fn(&Series) -> f64| series.iter().map(|one| number(one, of(one), times)).collect();
    let data = match family.get_field_type() {
        MetricType::COUNTER => {
            let points = numbers(|one| one.get_counter().get_value());
            Data::Sum(Sum { points, temporality: CUMULATIVE, is_monotonic: true })
        }
        MetricType::GAUGE => Data::Gauge(Gauge { points: numbers(|one| one.get_gauge().get_value()) }),
        MetricType::HISTOGRAM => {
            let points = series.iter().map(|one| buckets(one, times)).collect();
            Data::Histogram(Histogram { points, temporality: CUMULATIVE })
        }
        MetricType::SUMMARY | MetricType::UNTYPED => return None,
    };
    let (name, unit) = names::otel(family.name());
    let (name, description) = (name.to_owned(), family.help().to_owned());
    Some(Metric { name, description, unit: unit.to_owned(), data: Some(data) })
}

fn number(series: &Series, value: f64, times: Times) -> Number {
    let Times { start_ns, now_ns } = times;
    let attributes = attributes(series);
    Number { start_time_unix_nano: start_ns, time_unix_nano: now_ns, value: Some(value), attributes }
}

/// Prometheus counts in each bucket those of all smaller ones too; OTLP has a last one without a bound.
fn buckets(series: &Series, times: Times) -> Buckets {
    let histogram = series.get_histogram();
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        bounds.push(bucket.upper_bound());
        counts.push(bucket.cumulative_count().saturating_sub(below));
        below = bucket.cumulative_count().max(below);
    }
    // What came in between the two readings is in the last bucket, so that the sum of all is the count.
    let count = histogram.get_sample_count().max(below);
    counts.push(count - below);
    Buckets {
        start_time_unix_nano: times.start_ns,
        time_unix_nano: times.now_ns,
        count,
        sum: Some(histogram.get_sample_sum()),
        counts,
        bounds,
        attributes: attributes(series),
    }
}

/// A label without a value is none, to Prometheus too.
fn attributes(series: &Series) -> Vec<KeyValue> {
    let mut all = Attributes::default();
    for label in series.get_label().iter().filter(|label| !label.value().is_empty()) {
        all.text(&names::otel_label(label.name()), label.value());
    }
    all.into_list()
}
