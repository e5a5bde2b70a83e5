//! A key's limits as each format's clients read them.
//!
//! OpenAI: `x-ratelimit-*`, resets as durations (`12ms`, `6s`, `1m0s`).
//! <https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>
//! Anthropic: `anthropic-ratelimit-*`, resets as RFC 3339.
//! <https://docs.anthropic.com/en/api/rate-limits#response-headers>
//! Both vendors' SDKs read `retry-after-ms` first, then `retry-after` (seen 2026-11-22).

use std::fmt::{self, Write as _};
use std::time::{Duration, SystemTime};

use super::clock::{Rfc3339, whole_ms};
use super::gate::Standing;
use super::window::Level;
use crate::wire::Dialect;
use crate::wire::json::Digits;

/// Header names of one limit.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
}

const OPENAI_REQUESTS: Names = Names {
    limit: "x-ratelimit-limit-requests",
    remaining: "x-ratelimit-remaining-requests",
    reset: "x-ratelimit-reset-requests",
};
const OPENAI_TOKENS: Names = Names {
    limit: "x-ratelimit-limit-tokens",
    remaining: "x-ratelimit-remaining-tokens",
    reset: "x-ratelimit-reset-tokens",
};
const ANTHROPIC_REQUESTS: Names = Names {
    limit: "anthropic-ratelimit-requests-limit",
    remaining: "anthropic-ratelimit-requests-remaining",
    reset: "anthropic-ratelimit-requests-reset",
};
const ANTHROPIC_TOKENS: Names = Names {
    limit: "anthropic-ratelimit-tokens-limit",
    remaining: "anthropic-ratelimit-tokens-remaining",
    reset: "anthropic-ratelimit-tokens-reset",
};

const ANTHROPIC_INPUT_TOKENS: Names = Names {
    limit: "anthropic-ratelimit-input-tokens-limit",
    remaining: "anthropic-ratelimit-input-tokens-remaining",
    reset: "anthropic-ratelimit-input-tokens-reset",
};
const ANTHROPIC_OUTPUT_TOKENS: Names = Names {
    limit: "anthropic-ratelimit-output-tokens-limit",
    remaining: "anthropic-ratelimit-output-tokens-remaining",
    reset: "anthropic-ratelimit-output-tokens-reset",
};

/// Hands each header to `emit`, for the limits that exist; `now` is the wall clock. OpenAI has no names
/// for limits of input and of output: where there is none of both together, the tighter one is shown.
pub fn write(client: Dialect, standing: &Standing, now: SystemTime, mut emit: impl FnMut(&'static str, &str)) {
    let Standing { requests, tokens, input_tokens, output_tokens } = *standing;
    let mut show = |names: &Names, level: Option<Level>, rfc3339: bool| {
        let Some(Level { limit, remaining, reset_ms }) = level else { return };
        emit(names.limit, Digits::of(limit).as_str());
        emit(names.remaining, Digits::of(remaining).as_str());
        let reset =
            if rfc3339 { Line::of(Rfc3339(now + Duration::from_millis(reset_ms))) } else { Line::of(Span(reset_ms)) };
        emit(names.reset, reset.as_str());
    };
    match client {
        Dialect::Anthropic => {
            show(&ANTHROPIC_REQUESTS, requests, true);
            show(&ANTHROPIC_TOKENS, tokens, true);
            show(&ANTHROPIC_INPUT_TOKENS, input_tokens, true);
            show(&ANTHROPIC_OUTPUT_TOKENS, output_tokens, true);
        }
        _ => {
            let tighter = [input_tokens, output_tokens].into_iter().flatten().min_by_key(|level| level.remaining);
            show(&OPENAI_REQUESTS, requests, false);
            show(&OPENAI_TOKENS, tokens.or(tighter), false);
        }
    }
}

/// `retry-after` in whole seconds, rounded up so that coming back then is not too early, and
/// `retry-after-ms` to the point.
pub fn retry_after(after: Duration, mut emit: impl FnMut(&'static str, &str)) {
    let after_ms = whole_ms(after);
    emit("retry-after", Digits::of(after_ms.div_ceil(1_000).max(1)).as_str());
    emit("retry-after-ms", Digits::of(after_ms).as_str());
}

/// Milliseconds as OpenAI writes them: `0s`, `12ms`, `1.5s`, `6s`, `1m0s`, `1h0m0s`.
#[derive(Debug, Clone, Copy)]
pub struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (hours, minutes, seconds, ms) =
            (self.0 / 3_600_000, self.0 / 60_000 % 60, self.0 / 1_000 % 60, self.0 % 1_000);
        if self.0 != 0 && self.0 < 1_000 {
            return write!(f, "{ms}ms");
        }
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match ms {
            0 => write!(f, "{seconds}s"),
            ms if ms % 100 == 0 => write!(f, "{seconds}.{}s", ms / 100),
            ms if ms % 10 == 0 => write!(f, "{seconds}.{:02}s", ms / 10),
            ms => write!(f, "{seconds}.{ms:03}s"),
        }
    }
}

/// A header value on the stack: spans and dates fit.
struct Line {
    bytes: [u8; 40],
    length: usize,
}

impl Line {
    fn of(value: impl fmt::Display) -> Self {
        let mut line = Self { bytes: [0; 40], length: 0 };
        let _ = write!(line, "{value}");
        line
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn written(client: Dialect, standing: &Standing) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        write(client, standing, UNIX_EPOCH, |name, value| all.push((name, value.to_owned())));
        all
    }

    #[test]
    fn spans_are_written_as_openai_does() {
        let spans = [0, 12, 999, 1_000, 1_500, 6_000, 8_640, 8_645, 60_000, 72_500, 360_000, 3_600_000];
        let texts = spans.map(|ms| Span(ms).to_string());
        let expected =
            ["0s", "12ms", "999ms", "1s", "1.5s", "6s", "8.64s", "8.645s", "1m0s", "1m12.5s", "6m0s", "1h0m0s"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn each_format_gets_its_headers_for_the_limits_there_are() {
        let requests = Some(Level { limit: 600, remaining: 599, reset_ms: 60_000 });
        let tokens = Some(Level { limit: u64::MAX, remaining: u64::MAX, reset_ms: 120 });
        let openai = written(Dialect::OpenAiChat, &Standing { requests, tokens, ..Standing::default() });
        let expected = [
            ("x-ratelimit-limit-requests", "600"),
            ("x-ratelimit-remaining-requests", "599"),
            ("x-ratelimit-reset-requests", "1m0s"),
            ("x-ratelimit-limit-tokens", "18446744073709551615"),
            ("x-ratelimit-remaining-tokens", "18446744073709551615"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ];
        assert!(openai.iter().map(|(n, v)| (*n, v.as_str())).eq(expected), "{openai:?}");
        let anthropic = written(Dialect::Anthropic, &Standing { requests, ..Standing::default() });
        let expected = [
            ("anthropic-ratelimit-requests-limit", "600"),
            ("anthropic-ratelimit-requests-remaining", "599"),
            ("anthropic-ratelimit-requests-reset", "1970-01-01T00:01:00.000Z"),
        ];
        assert!(anthropic.iter().map(|(n, v)| (*n, v.as_str())).eq(expected), "{anthropic:?}");
        assert!(written(Dialect::OpenAiChat, &Standing::default()).is_empty());
    }

    #[test]
    fn input_and_output_have_names_of_their_own_where_the_format_has_them() {
        let level = |remaining| Some(Level { limit: 100, remaining, reset_ms: 0 });
        let standing = Standing { input_tokens: level(7), output_tokens: level(5), ..Standing::default() };
        let remaining = |client, standing: &Standing| {
            let all = written(client, standing).into_iter().filter(|(name, _)| name.contains("remaining"));
            all.map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()
        };
        assert_eq!(
            remaining(Dialect::Anthropic, &standing),
            ["anthropic-ratelimit-input-tokens-remaining: 7", "anthropic-ratelimit-output-tokens-remaining: 5"]
        );
        assert_eq!(remaining(Dialect::OpenAiChat, &standing), ["x-ratelimit-remaining-tokens: 5"]);
        let both = Standing { tokens: level(90), ..standing };
        assert_eq!(remaining(Dialect::OpenAiChat, &both), ["x-ratelimit-remaining-tokens: 90"]);
    }

    #[test]
    fn whole_seconds_are_never_too_early() {
        let mut all = Vec::new();
        retry_after(Duration::from_millis(1_001), |name, value| all.push(format!("{name}: {value}")));
        assert_eq!(all, ["retry-after: 2", "retry-after-ms: 1001"]);
    }
}
