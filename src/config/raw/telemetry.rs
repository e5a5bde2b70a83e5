//! `telemetry`.

use schemars::{Schema, json_schema};

use super::Capture;
use crate::config::read::{Either, Map, Period, Scalar, SecretText, Size, settings};
use crate::config::telemetry::{self, AccessLog};

settings! {
    /// What is told about requests.
    Telemetry in "`telemetry`" {
        /// Where the access record of each request goes, one JSON line each: `stdout`, `off`, or a
        /// path; or a mapping with more to say. The last thousand are in the admin API in any case.
        access_log: Either<AccessLogWord, AccessLogFull> = "stdout",
        /// Sends traces, metrics and access records to an OpenTelemetry collector. Without it nothing is
        /// sent anywhere.
        otlp: Otlp,
        /// What may be kept of whole exchanges.
        capture: Capture = "{}",
    }

    /// Where access records go, and which.
    AccessLogFull in "`access_log`" {
        /// `stdout`, `off`, or the path of a file.
        path: AccessLogWord = "stdout",
        /// Of the requests that went well, the share (0 to 1) whose records are written, and sent where
        /// `otlp.logs` sends them. Failures always are. The ledger has every request.
        sample: Fraction = "1",
        /// Keeps a file small. Default: it grows, until it is moved away and the configuration loaded
        /// again.
        rotate: Rotate,
    }

    /// A file that reaches its size is called `<path>.1`, the one before it `<path>.2`.
    Rotate in "`rotate`" {
        /// The largest that a file becomes.
        size: Size = "100MiB",
        /// How many old files stay.
        keep: u32 = "5",
    }

    /// OpenTelemetry: OTLP over HTTP, in protobuf. No prompt and no answer is ever sent.
    Otlp in "`otlp`" {
        /// The collector, like `http://otel:4318`; `/v1/traces`, `/v1/metrics` and `/v1/logs` are put
        /// behind it.
        endpoint: String,
        /// Headers of every call, like `authorization`.
        headers: Map<SecretText> = "{}",
        /// A span for each request, and one for each attempt at a provider.
        traces: bool = "true",
        /// All that /metrics shows.
        metrics: bool = "true",
        /// The access records.
        logs: bool = "true",
        /// Of the traces that begin here, the share (0 to 1) that is sent. A client's own trace
        /// (`traceparent`) says itself whether it is.
        sample: Fraction = "1",
        /// Between two exports of the metrics.
        interval: Period = "60s",
        /// How the collector knows this service.
        service_name: String = "weir",
        /// Further attributes of the resource, like `deployment.environment.name: production`.
        resource: Map<String> = "{}",
    }
}

/// `stdout`, `off` or a path.
#[derive(Debug, Clone)]
pub struct AccessLogWord(pub AccessLog);

impl Scalar for AccessLogWord {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "stdout" => Ok(Self(AccessLog::Stdout)),
            "off" => Ok(Self(AccessLog::Off)),
            path if path.contains(['/', '.']) => Ok(Self(AccessLog::File(path.into(), None))),
            _ => Err("`stdout`, `off`, or a path (with a `/` or a `.` in it)".to_owned()),
        }
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [{"enum": ["stdout", "off"]}, {"type": "string", "pattern": "[/.$]"}]})
    }
}

/// A part of all, from 0 to 1 with at most six decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fraction(pub telemetry::Fraction);

impl Scalar for Fraction {
    fn parse(text: &str) -> Result<Self, String> {
        const DECIMALS: usize = 6;
        let expected = || "a number from 0 to 1 with at most six decimals".to_owned();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > DECIMALS || whole.len() > 1 {
            return Err(expected());
        }
        let ppm: u32 = format!("{whole}{decimals:0<DECIMALS$}").parse().map_err(|_| expected())?;
        (ppm <= telemetry::Fraction::ALL.0).then_some(Self(telemetry::Fraction(ppm))).ok_or_else(expected)
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"type": "number", "minimum": 0, "maximum": 1},
            {"type": "string", "pattern": r"^(\$\{|file:)"},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_millionths() {
        for (text, ppm) in [("0", 0), ("1", 1_000_000), ("1.0", 1_000_000), ("0.25", 250_000), ("0.000001", 1)] {
            assert_eq!(Fraction::parse(text), Ok(Fraction(telemetry::Fraction(ppm))), "{text}");
        }
        for text in ["", "1.000001", "2", "-0.1", "0.", ".5", "0.0000001", "1e-3", "10%"] {
            assert!(Fraction::parse(text).is_err(), "{text}");
        }
    }
}
