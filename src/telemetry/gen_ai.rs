//! OpenTelemetry's own metrics of generative AI: <https://github.com/open-telemetry/semantic-conventions-genai>
//! (in development; as of 2026-11). The gateway is the client of providers and the server of its clients, so
//! it has some of both. What it does not see (the time of each piece of a stream) is not there.

use std::time::Duration;

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Result};

use super::metrics::{Maker, float};
use super::names::Metric;
use crate::record::Record;
use crate::usage::tokens::{Usage, UsageSource};

#[derive(Debug)]
pub(super) struct GenAiMetrics {
    duration: HistogramVec,
    first_chunk: HistogramVec,
    tokens: HistogramVec,
    input: HistogramVec,
    output: HistogramVec,
    used_input: IntCounterVec,
    used_output: IntCounterVec,
    cache_read: IntCounterVec,
    cache_write: IntCounterVec,
    reasoning: IntCounterVec,
    served: HistogramVec,
    per_token: HistogramVec,
    first_token: HistogramVec,
}

impl GenAiMetrics {
    pub(super) fn new(make: &Maker) -> Result<Self> {
        Ok(Self {
            duration: make.histograms(Metric::GenAiDuration)?,
            first_chunk: make.histograms(Metric::GenAiFirstChunk)?,
            tokens: make.histograms(Metric::GenAiTokens)?,
            input: make.histograms(Metric::GenAiInput)?,
            output: make.histograms(Metric::GenAiOutput)?,
            used_input: make.counters(Metric::GenAiUsedInput)?,
            used_output: make.counters(Metric::GenAiUsedOutput)?,
            cache_read: make.counters(Metric::GenAiCacheRead)?,
            cache_write: make.counters(Metric::GenAiCacheWrite)?,
            reasoning: make.counters(Metric::GenAiReasoning)?,
            served: make.histograms(Metric::GenAiServed)?,
            per_token: make.histograms(Metric::GenAiPerToken)?,
            first_token: make.histograms(Metric::GenAiFirstToken)?,
        })
    }
}

/// What a provider counts apart; all else is `unknown`, for most put images among the rest.
const MODALITIES: [&str; 3] = ["audio", "image", UNKNOWN];
const UNKNOWN: &str = "unknown";

/// Those of one operation, provider and model, resolved.
#[derive(Debug)]
pub(super) struct GenAi {
    target: [String; 3],
    duration: Histogram,
    first_chunk: Histogram,
    /// Input, output.
    tokens: [Histogram; 2],
    per_operation: [Histogram; 2],
    /// In the order of [`MODALITIES`].
    used_input: [IntCounter; 3],
    used_output: [IntCounter; 3],
    cache_read: IntCounter,
    cache_write: IntCounter,
    reasoning: IntCounter,
    served: Histogram,
    per_token: Histogram,
    first_token: Histogram,
}

impl GenAi {
    /// `target` is the operation, the vendor and the model.
    pub(super) fn new(metrics: &GenAiMetrics, target: [&str; 3]) -> Self {
        let [operation, vendor, model] = target;
        let with = |last| [operation, vendor, model, last];
        let used = |all: &IntCounterVec| MODALITIES.map(|modality| all.with_label_values(&with(modality)));
        let unknown = |all: &IntCounterVec| all.with_label_values(&with(UNKNOWN));
        Self {
            target: target.map(str::to_owned),
            duration: metrics.duration.with_label_values(&with("")),
            first_chunk: metrics.first_chunk.with_label_values(&target),
            tokens: ["input", "output"].map(|kind| metrics.tokens.with_label_values(&with(kind))),
            per_operation: [&metrics.input, &metrics.output].map(|all| all.with_label_values(&target)),
            used_input: used(&metrics.used_input),
            used_output: used(&metrics.used_output),
            cache_read: unknown(&metrics.cache_read),
            cache_write: unknown(&metrics.cache_write),
            reasoning: unknown(&metrics.reasoning),
            served: metrics.served.with_label_values(&with("")),
            per_token: metrics.per_token.with_label_values(&target),
            first_token: metrics.first_token.with_label_values(&target),
        }
    }

    /// `failure` is one of our words for why requests fail. Failures may be looked up.
    pub(super) fn duration(&self, metrics: &GenAiMetrics, duration: Duration, failure: Option<&str>) {
        let seconds = duration.as_secs_f64();
        let Some(failure) = failure else {
            self.duration.observe(seconds);
            return self.served.observe(seconds);
        };
        let [operation, vendor, model] = &self.target;
        for all in [&metrics.duration, &metrics.served] {
            all.with_label_values(&[operation.as_str(), vendor, model, failure]).observe(seconds);
        }
    }

    pub(super) fn first_token(&self, after: Duration) {
        self.first_token.observe(after.as_secs_f64());
    }

    /// A stream that began after `first`.
    pub(super) fn stream(&self, record: &Record<'_>, first: Duration) {
        self.first_chunk.observe(first.as_secs_f64());
        let reported = record.usage.filter(|_| record.usage_source == Some(UsageSource::Reported));
        let more = reported.map_or(0, |usage| usage.output_tokens().saturating_sub(1));
        if more > 0 {
            self.per_token.observe(record.duration.saturating_sub(first).as_secs_f64() / float(more));
        }
    }

    /// What an attempt used.
    pub(super) fn tokens(&self, usage: &Usage) {
        let counts = [usage.input_tokens(), usage.output_tokens()];
        for histograms in [&self.tokens, &self.per_operation] {
            histograms.iter().zip(counts).for_each(|(histogram, count)| histogram.observe(float(count)));
        }
        let [input, output] = counts;
        apart(&self.used_input, input, usage.audio_input_tokens, usage.image_input_tokens);
        apart(&self.used_output, output, usage.audio_output_tokens, usage.image_output_tokens);
        for (counter, count) in [
            (&self.cache_read, usage.cached_tokens),
            (&self.cache_write, usage.cache_written_tokens()),
            (&self.reasoning, usage.reasoning_tokens),
        ] {
            add(counter, count);
        }
    }
}

fn apart(counters: &[IntCounter; 3], all: u64, audio: u64, image: u64) {
    let rest = all.saturating_sub(audio).saturating_sub(image);
    counters.iter().zip([audio, image, rest]).for_each(|(counter, count)| add(counter, count));
}

/// Most counts are 0, and adding is not free.
fn add(counter: &IntCounter, count: u64) {
    if count > 0 {
        counter.inc_by(count);
    }
}
