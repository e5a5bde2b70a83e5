//! What a model's name asks for.

use std::time::Duration;

/// How a model behaves beyond answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Behaviour {
    /// Before each event of a stream.
    pub(super) pace: Duration,
    /// Thinks without being asked.
    pub(super) thinks: bool,
    /// Says what it used.
    pub(super) usage: bool,
    /// Writes the stream in tiny pieces.
    pub(super) drip: bool,
    pub(super) fault: Fault,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    Status(u16),
    StreamError,
    StreamCut,
    MidstreamError,
    Hang,
    Stall,
}

const PLAIN: Behaviour =
    Behaviour { pace: Duration::ZERO, thinks: false, usage: true, drip: false, fault: Fault::None };

/// Names listed by `/models`.
pub(super) const LISTED: &[&str] = &[
    "sim-1",
    "sim-1-slow",
    "sim-drip",
    "sim-embed",
    "sim-error-400",
    "sim-error-401",
    "sim-error-429",
    "sim-error-500",
    "sim-error-529",
    "sim-hang",
    "sim-no-usage",
    "sim-stall",
    "sim-stream-cut",
    "sim-stream-error",
    "sim-stream-midstream-error",
    "sim-think",
];

/// The behaviour of a model; `None`: there is no such model.
pub(super) fn behaviour(model: &str) -> Option<Behaviour> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.rsplit("anthropic.claude-").next().unwrap_or(name);
    let Some(what) = name.strip_prefix("sim-") else { return Some(PLAIN) };
    let fault = |fault| Some(Behaviour { fault, ..PLAIN });
    match what {
        "1" | "embed" => Some(PLAIN),
        "1-slow" => Some(Behaviour { pace: Duration::from_millis(50), ..PLAIN }),
        "think" => Some(Behaviour { thinks: true, ..PLAIN }),
        "no-usage" => Some(Behaviour { usage: false, ..PLAIN }),
        "drip" => Some(Behaviour { drip: true, ..PLAIN }),
        "stream-error" => fault(Fault::StreamError),
        "stream-cut" => fault(Fault::StreamCut),
        "stream-midstream-error" => fault(Fault::MidstreamError),
        "hang" => fault(Fault::Hang),
        "stall" => fault(Fault::Stall),
        _ => numbered(what),
    }
}

fn numbered(what: &str) -> Option<Behaviour> {
    if let Some(status) = what.strip_prefix("error-") {
        let status = status.parse().ok().filter(|s| (400..600).contains(s))?;
        return Some(Behaviour { fault: Fault::Status(status), ..PLAIN });
    }
    let pace_ms = what.strip_prefix("pace-")?.parse().ok().filter(|ms| *ms <= 60_000)?;
    Some(Behaviour { pace: Duration::from_millis(pace_ms), ..PLAIN })
}
