//! What /metrics shows, as OTLP's metrics: sums and histograms since the process began, and gauges. The
//! names are those of /metrics, but for OpenTelemetry's own, which have their dots here.

use prometheus::proto::{Metric as Series, MetricFamily, MetricType};

use super::attributes::Attributes;
use super::export::ITEM;
use super::proto::{Out, bytes, fixed64, number};
use crate::telemetry::names;

/// Members of a `Metric`.
const NAME: u8 = bytes(1);
const DESCRIPTION: u8 = bytes(2);
const UNIT: u8 = bytes(3);
const GAUGE: u8 = bytes(5);
const SUM: u8 = bytes(7);
const HISTOGRAM: u8 = bytes(9);
/// Of these three, as far as they have them.
const POINT: u8 = bytes(1);
const TEMPORALITY: u8 = number(2);
const IS_MONOTONIC: u8 = number(3);
/// Since the start, not since the last export.
const CUMULATIVE: u64 = 2;
/// Of every point.
const START: u8 = fixed64(2);
const TIME: u8 = fixed64(3);
/// Of a `NumberDataPoint`.
const VALUE: u8 = fixed64(4);
const ATTRIBUTES: u8 = bytes(7);
/// Of a `HistogramDataPoint`.
const COUNT: u8 = fixed64(4);
const TOTAL: u8 = fixed64(5);
const COUNTS: u8 = bytes(6);
const BOUNDS: u8 = bytes(7);
const BUCKETS_ATTRIBUTES: u8 = bytes(9);

/// From when to when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) start_ns: u64,
    pub(super) now_ns: u64,
}

pub(super) fn write(families: &[MetricFamily], times: Times, out: &mut Out<'_>) {
    for family in families {
        let kind = family.get_field_type();
        if !matches!(kind, MetricType::SUMMARY | MetricType::UNTYPED) {
            out.message(ITEM, |out| write_metric(family, kind, times, out));
        }
    }
}

fn write_metric(family: &MetricFamily, kind: MetricType, times: Times, out: &mut Out<'_>) {
    let (name, unit) = names::otel(family.name());
    out.text(NAME, name);
    out.text(DESCRIPTION, family.help());
    out.text(UNIT, unit);
    let series = family.get_metric();
    match kind {
        MetricType::COUNTER => out.message(SUM, |out| {
            series.iter().for_each(|one| write_number(one, one.get_counter().get_value(), times, out));
            out.number(TEMPORALITY, CUMULATIVE);
            out.number(IS_MONOTONIC, 1);
        }),
        MetricType::HISTOGRAM => out.message(HISTOGRAM, |out| {
            series.iter().for_each(|one| out.message(POINT, |out| write_buckets(one, times, out)));
            out.number(TEMPORALITY, CUMULATIVE);
        }),
        _ => out.message(GAUGE, |out| {
            series.iter().for_each(|one| write_number(one, one.get_gauge().get_value(), times, out));
        }),
    }
}

fn write_times(times: Times, out: &mut Out<'_>) {
    out.fixed64(START, times.start_ns);
    out.fixed64(TIME, times.now_ns);
}

fn write_number(series: &Series, value: f64, times: Times, out: &mut Out<'_>) {
    out.message(POINT, |out| {
        write_times(times, out);
        out.double(VALUE, value);
        write_attributes(series, ATTRIBUTES, out);
    });
}

/// Prometheus counts in each bucket those of all smaller ones too; OTLP has a last one without a bound.
fn write_buckets(series: &Series, times: Times, out: &mut Out<'_>) {
    let histogram = series.get_histogram();
    let (mut bounds, mut counts, mut below) = (Vec::new(), Vec::new(), 0);
    for bucket in histogram.get_bucket().iter().filter(|bucket| bucket.upper_bound().is_finite()) {
        bounds.extend_from_slice(&bucket.upper_bound().to_le_bytes());
        counts.extend_from_slice(&bucket.cumulative_count().saturating_sub(below).to_le_bytes());
        below = bucket.cumulative_count().max(below);
    }
    // What came in between the two readings is in the last bucket, so that the sum of all is the count.
    let count = histogram.get_sample_count().max(below);
    counts.extend_from_slice(&(count - below).to_le_bytes());
    write_times(times, out);
    out.fixed64(COUNT, count);
    out.double(TOTAL, histogram.get_sample_sum());
    out.bytes(COUNTS, &counts);
    out.bytes(BOUNDS, &bounds);
    write_attributes(series, BUCKETS_ATTRIBUTES, out);
}

/// A label without a value is none, to Prometheus too.
fn write_attributes(series: &Series, tag: u8, out: &mut Out<'_>) {
    let mut all = Attributes { out, tag };
    for label in series.get_label().iter().filter(|label| !label.value().is_empty()) {
        all.named(&names::otel_label(label.name()), label.value());
    }
}
