//! What is told about requests, as it is configured: the access log, and OpenTelemetry.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::capture::Capture;
use super::runtime::BaseUrl;
use crate::secret::Secret;

/// `telemetry:`
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    pub access_log: AccessLog,
    /// Of the records that tell of no failure, wherever they go.
    pub records: Fraction,
    /// `None`: nothing is exported.
    pub otlp: Option<Otlp>,
    /// What may be kept of whole exchanges.
    pub capture: Arc<Capture>,
}

impl Default for Telemetry {
    /// Nothing is told to anybody.
    fn default() -> Self {
        Self { access_log: AccessLog::Off, records: Fraction::ALL, otlp: None, capture: Arc::default() }
    }
}

impl Telemetry {
    /// Which new traces are sampled; `None` where there are none.
    pub fn traces(&self) -> Option<Fraction> {
        self.otlp.as_ref().filter(|otlp| otlp.traces).map(|otlp| otlp.sample)
    }
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    Off,
    Stdout,
    File(PathBuf, Option<Rotation>),
}

/// How a file is kept small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// A file that would get larger gives way to a new one.
    pub most_bytes: u64,
    /// Old files that stay.
    pub keep: u32,
}

/// A part of many, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction(pub u32);

/// All.
impl Default for Fraction {
    fn default() -> Self {
        Self::ALL
    }
}

impl Fraction {
    pub const ALL: Self = Self(1_000_000);

    /// As a number from 0 to 1.
    pub fn part(self) -> f64 {
        f64::from(self.0) / f64::from(Self::ALL.0)
    }

    /// Whether one with this random number is of the part. The same number always gets the same answer,
    /// and what a small part takes a larger one takes too.
    pub const fn takes(self, chance: u64) -> bool {
        // 56 bits, as OpenTelemetry looks at the last seven bytes of a trace's id.
        const BITS: u32 = 56;
        let threshold = ((self.0 as u128) << BITS) / Self::ALL.0 as u128;
        ((chance & ((1 << BITS) - 1)) as u128) < threshold
    }
}

/// `telemetry.otlp`
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// What the paths of the signals are put behind.
    pub endpoint: BaseUrl,
    /// With every call; they often hold a credential.
    pub headers: Vec<(String, Secret)>,
    pub traces: bool,
    pub metrics: bool,
    pub logs: bool,
    /// Of the traces that begin here.
    pub sample: Fraction,
    /// Between two exports of the metrics.
    pub interval: Duration,
    pub service_name: String,
    /// Further attributes of the resource.
    pub resource: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_takes_its_part_and_a_larger_one_no_less() {
        const STEPS: u64 = 1_024;
        let chances: Vec<u64> = (0..STEPS).map(|step| ((1 << 56) / STEPS * step) | (step << 56)).collect();
        let taken = |ppm: u32| chances.iter().filter(|chance| Fraction(ppm).takes(**chance)).count();
        assert_eq!([0, 1, 250_000, 500_000, 1_000_000].map(taken), [0, 1, 256, 512, 1_024]);
        assert!(Fraction::ALL.takes(u64::MAX) && !Fraction(0).takes(0));
        let small: Vec<_> = chances.iter().filter(|chance| Fraction(100_000).takes(**chance)).collect();
        assert!(small.iter().all(|chance| Fraction(200_000).takes(**chance)));
    }
}
