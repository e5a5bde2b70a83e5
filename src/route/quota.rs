//! What is left of a provider's limits, as its answers say in their headers (seen 2026-11).
//!
//! - OpenAI, Groq, Azure, xAI and their likes: `x-ratelimit-remaining-requests`; resets as `6m0s`
//!   (OpenAI, Groq), as a number (Azure: of milliseconds, 500 where 120 a minute are allowed and one was
//!   used; of seconds elsewhere), as Unix time (DigitalOcean), or never said (xAI). Azure says -1 where
//!   it does not know. <https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers>
//! - Anthropic: `anthropic-ratelimit-requests-remaining`, three kinds of tokens, resets as RFC 3339.
//!   <https://docs.anthropic.com/en/api/rate-limits#response-headers>
//! - Mistral: `x-ratelimit-remaining-tokens-minute`, requests as `req-minute`, no resets; Cerebras: the
//!   same tokens, requests as `requests-day`, resets in seconds with a fraction.
//! - Fireworks: `x-ratelimit-remaining-tokens-prompt` and `-generated`.
//! - OpenRouter, Moonshot, Together: `x-ratelimit-remaining`, resets as Unix time or seconds; Together
//!   has tokens as `x-tokenlimit-remaining`.
//! - Hugging Face, by the IETF's draft: `ratelimit: "api";r=50;t=30`.
//!   <https://datatracker.ietf.org/doc/draft-ietf-httpapi-ratelimit-headers/>
//!
//! A family is found by one or two names; where there is none, that is all it costs.

use std::time::Duration;

use crate::usage::price::amount::day;
use crate::wire::wait;

/// What is known after an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learned {
    pub requests: Option<Window>,
    /// The tightest, where several kinds of tokens are counted.
    pub tokens: Option<Window>,
}

impl Learned {
    /// The same with its moments on another clock, which shows `now_ms` at `unix_ms`.
    #[must_use]
    pub fn on_clock(self, unix_ms: u64, now_ms: u64) -> Self {
        let moved = |window: Window| {
            let resets_at_ms = now_ms.saturating_add(window.resets_at_ms.saturating_sub(unix_ms));
            Window { resets_at_ms, ..window }
        };
        Self { requests: self.requests.map(moved), tokens: self.tokens.map(moved) }
    }

    /// Until when nothing is left, if so.
    pub fn exhausted_until_ms(&self, now_ms: u64) -> Option<u64> {
        let is_spent = |window: &Window| window.remaining == 0 && window.resets_at_ms > now_ms;
        [self.requests, self.tokens].into_iter().flatten().filter(is_spent).map(|window| window.resets_at_ms).max()
    }

    /// Whether less than `percent` is left of anything, or less than a request of that many tokens needs.
    pub fn is_low(&self, tokens: u64, percent: u64, now_ms: u64) -> bool {
        let lives = |window: &Window| window.resets_at_ms > now_ms;
        let small = |window: Window| {
            window.limit.is_some_and(|limit| window.remaining.saturating_mul(100) < limit.saturating_mul(percent))
        };
        self.requests.filter(lives).is_some_and(small)
            || self.tokens.filter(lives).is_some_and(|window| window.remaining < tokens || small(window))
    }
}

/// One limit of a provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub limit: Option<u64>,
    pub remaining: u64,
    /// Unix time; from now until a day later.
    pub resets_at_ms: u64,
}

impl Window {
    /// Whether less of this one is left, as a share of its limit where both are known.
    fn is_tighter_than(&self, other: &Self) -> bool {
        let (mine, theirs) = (u128::from(self.remaining), u128::from(other.remaining));
        match (self.limit, other.limit) {
            (Some(limit), Some(other_limit)) => mine * u128::from(other_limit) < theirs * u128::from(limit),
            _ => mine < theirs,
        }
    }
}

/// Vendors that name their headers alike.
struct Family {
    /// One of these is there if any is.
    found_by: &'static [&'static str],
    requests: &'static [Names],
    tokens: &'static [Names],
}

/// The headers of one limit.
struct Names {
    limit: &'static str,
    remaining: &'static str,
    reset: &'static str,
    /// A whole number of more seconds than the window has is one of milliseconds.
    window: Duration,
}

const MINUTE: Duration = Duration::from_secs(60);

/// `x-ratelimit-limit-NAME` and so on.
macro_rules! openai {
    ($name:literal, $window:expr) => {
        Names {
            limit: concat!("x-ratelimit-limit", $name),
            remaining: concat!("x-ratelimit-remaining", $name),
            reset: concat!("x-ratelimit-reset", $name),
            window: $window,
        }
    };
}

/// `anthropic-ratelimit-NAME-limit` and so on.
macro_rules! anthropic {
    ($name:literal) => {
        Names {
            limit: concat!("anthropic-ratelimit-", $name, "-limit"),
            remaining: concat!("anthropic-ratelimit-", $name, "-remaining"),
            reset: concat!("anthropic-ratelimit-", $name, "-reset"),
            window: MINUTE,
        }
    };
}

const FAMILIES: &[Family] = &[
    Family {
        found_by: &["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"],
        requests: &[openai!("-requests", MINUTE)],
        tokens: &[openai!("-tokens", MINUTE)],
    },
    Family {
        found_by: &["anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-tokens-remaining"],
        requests: &[anthropic!("requests")],
        tokens: &[anthropic!("tokens"), anthropic!("input-tokens"), anthropic!("output-tokens")],
    },
    Family {
        found_by: &["x-ratelimit-remaining-tokens-minute"],
        requests: &[openai!("-req-minute", MINUTE), openai!("-requests-day", wait::LONGEST)],
        tokens: &[openai!("-tokens-minute", MINUTE)],
    },
    Family {
        found_by: &["x-ratelimit-remaining-tokens-prompt"],
        requests: &[],
        tokens: &[openai!("-tokens-prompt", MINUTE), openai!("-tokens-generated", MINUTE)],
    },
    Family {
        found_by: &["x-ratelimit-remaining"],
        requests: &[openai!("", wait::LONGEST)],
        tokens: &[Names {
            limit: "x-tokenlimit-limit",
            remaining: "x-tokenlimit-remaining",
            reset: "x-tokenlimit-reset",
            window: wait::LONGEST,
        }],
    },
];

/// Reads the headers of an answer; `now_ms` is Unix time. What cannot be read is not known.
pub fn read<'h>(get: impl Fn(&str) -> Option<&'h str>, now_ms: u64) -> Learned {
    let Some(family) = FAMILIES.iter().find(|family| family.found_by.iter().any(|name| get(name).is_some())) else {
        return Learned { requests: get("ratelimit").and_then(|field| drafted(field, now_ms)), tokens: None };
    };
    let tightest = |all: &[Names]| {
        let windows = all.iter().filter_map(|names| window(names, &get, now_ms));
        windows.reduce(|tightest, other| if other.is_tighter_than(&tightest) { other } else { tightest })
    };
    Learned { requests: tightest(family.requests), tokens: tightest(family.tokens) }
}

fn window<'h>(names: &Names, get: impl Fn(&str) -> Option<&'h str>, now_ms: u64) -> Option<Window> {
    let remaining = get(names.remaining)?.trim().parse().ok()?;
    let resets_at_ms = get(names.reset).and_then(|text| reset(text.trim(), names.window, now_ms));
    Some(Window {
        limit: get(names.limit).and_then(|text| text.trim().parse().ok()),
        remaining,
        resets_at_ms: bounded(resets_at_ms, now_ms),
    })
}

/// A limit as the IETF's draft has it: `"api";r=50;t=30`, of which the first counts.
fn drafted(field: &str, now_ms: u64) -> Option<Window> {
    let member = |name: &str| {
        let mut parts = field.split(',').next()?.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix(name)?.strip_prefix('=')?.parse::<u64>().ok())
    };
    let resets_at_ms = member("t").map(|seconds| later(now_ms, Duration::from_secs(seconds)));
    Some(Window { limit: None, remaining: member("r")?, resets_at_ms: bounded(resets_at_ms, now_ms) })
}

/// When nothing is said, a minute: most windows are of that length.
fn bounded(resets_at_ms: Option<u64>, now_ms: u64) -> u64 {
    resets_at_ms.unwrap_or_else(|| later(now_ms, MINUTE)).clamp(now_ms, later(now_ms, wait::LONGEST))
}

fn later(at_ms: u64, wait: Duration) -> u64 {
    at_ms.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

/// The moment, in whichever form it is said.
fn reset(text: &str, window: Duration, now_ms: u64) -> Option<u64> {
    /// 2001 in seconds and, as a number of milliseconds, in seconds of the year 33658: nothing is
    /// mistaken for the other.
    const UNIX_SECONDS: u64 = 1_000_000_000;
    const UNIX_MS: u64 = UNIX_SECONDS * 1_000;
    match text.parse::<u64>() {
        Ok(ms) if ms >= UNIX_MS => Some(ms),
        Ok(seconds) if seconds >= UNIX_SECONDS => Some(seconds * 1_000),
        Ok(ms) if ms > window.as_secs() => Some(now_ms.saturating_add(ms)),
        _ => match wait::span(text).or_else(|| wait::seconds(text)) {
            Some(wait) => Some(later(now_ms, wait)),
            None => rfc3339_ms(text),
        },
    }
}

/// Unix time of `2026-11-28T22:54:00Z`, with a fraction or an offset or not.
fn rfc3339_ms(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let zone = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let day = u64::try_from(day(date).ok()?).ok()?;
    let mut time = time.splitn(3, ':');
    let (hour, minute): (u64, u64) = (time.next()?.parse().ok()?, time.next()?.parse().ok()?);
    let of_minute = wait::seconds(time.next()?)?;
    if hour > 23 || minute > 59 || of_minute > MINUTE {
        return None;
    }
    let local_ms = later((day * 1_440 + hour * 60 + minute) * 60_000, of_minute);
    let offset = || -> Option<u64> {
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        Some((hours.parse::<u64>().ok()?.min(23) * 60 + minutes.parse::<u64>().ok()?.min(59)) * 60_000)
    };
    match zone.as_bytes().first()? {
        b'+' => local_ms.checked_sub(offset()?),
        b'-' => local_ms.checked_add(offset()?),
        _ => Some(local_ms),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;
    use crate::limit::clock::Rfc3339;

    const NOW_MS: u64 = 1_795_906_440_000;
    const DAY_MS: u64 = 86_400_000;

    fn learn(headers: &[(&str, &str)]) -> Learned {
        read(|name| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| *value), NOW_MS)
    }

    /// Limit, remaining, milliseconds until the reset.
    fn told(window: Option<Window>) -> Option<(Option<u64>, u64, u64)> {
        window.map(|w| (w.limit, w.remaining, w.resets_at_ms - NOW_MS))
    }

    #[test]
    fn openai_and_its_likes_are_read() {
        let learned = learn(&[
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-limit-tokens", "160000"),
            ("x-ratelimit-remaining-tokens", "159976"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]);
        assert_eq!(told(learned.requests), Some((Some(5_000), 4_999, 12)));
        assert_eq!(told(learned.tokens), Some((Some(160_000), 159_976, 360_000)));
    }

    #[test]
    fn resets_are_read_in_every_form_and_bounded() {
        let table = [
            ("1s", 1_000),
            ("1h2m", 3_720_000),
            ("2m59.56s", 179_560),
            ("0", 0),
            ("1", 1_000),
            ("59", 59_000),
            ("500", 500),
            ("0.25", 250),
            ("1795906450", 10_000),
            ("1795906450500", 10_500),
            ("1000000001", 0),
            ("99999999999999999", DAY_MS),
            ("400h", DAY_MS),
            ("2026-11-28T22:54:07Z", 7_000),
            ("never", 60_000),
            ("", 60_000),
        ];
        for (text, ms) in table {
            let learned = learn(&[("x-ratelimit-remaining-requests", "7"), ("x-ratelimit-reset-requests", text)]);
            assert_eq!(told(learned.requests), Some((None, 7, ms)), "{text}");
        }
    }

    #[test]
    fn of_anthropics_tokens_the_tightest_counts() {
        let learned = learn(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-28T22:54:01Z"),
            ("anthropic-ratelimit-tokens-limit", "58000"),
            ("anthropic-ratelimit-tokens-remaining", "50000"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-28T22:54:10Z"),
            ("anthropic-ratelimit-input-tokens-limit", "50000"),
            ("anthropic-ratelimit-input-tokens-remaining", "10000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-28T22:54:30Z"),
            ("anthropic-ratelimit-output-tokens-limit", "8000"),
            ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            ("anthropic-ratelimit-output-tokens-reset", "2026-11-28T22:54:00Z"),
        ]);
        assert_eq!(told(learned.requests), Some((Some(50), 49, 1_000)));
        assert_eq!(told(learned.tokens), Some((Some(50_000), 10_000, 30_000)));
    }

    #[test]
    fn the_others_are_read() {
        let mistral = learn(&[
            ("x-ratelimit-limit-tokens-minute", "5000000"),
            ("x-ratelimit-remaining-tokens-minute", "4999911"),
            ("x-ratelimit-limit-req-minute", "720"),
            ("x-ratelimit-remaining-req-minute", "717"),
        ]);
        assert_eq!(told(mistral.requests), Some((Some(720), 717, 60_000)));
        assert_eq!(told(mistral.tokens), Some((Some(5_000_000), 4_999_911, 60_000)));
        let cerebras = learn(&[
            ("x-ratelimit-remaining-tokens-minute", "0"),
            ("x-ratelimit-reset-tokens-minute", "11.382"),
            ("x-ratelimit-remaining-requests-day", "10"),
            ("x-ratelimit-reset-requests-day", "33011.5"),
        ]);
        assert_eq!(
            (told(cerebras.requests), told(cerebras.tokens)),
            (Some((None, 10, 33_011_500)), Some((None, 0, 11_382)))
        );
        let fireworks = learn(&[
            ("x-ratelimit-limit-tokens-prompt", "100"),
            ("x-ratelimit-remaining-tokens-prompt", "90"),
            ("x-ratelimit-limit-tokens-generated", "100"),
            ("x-ratelimit-remaining-tokens-generated", "5"),
        ]);
        assert_eq!((told(fireworks.requests), told(fireworks.tokens)), (None, Some((Some(100), 5, 60_000))));
        let openrouter = learn(&[
            ("x-ratelimit-limit", "50"),
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1795906500000"),
        ]);
        assert_eq!(told(openrouter.requests), Some((Some(50), 0, 60_000)));
        let huggingface = learn(&[("ratelimit", r#""api";r=0;t=120, "day";r=9;t=900"#)]);
        assert_eq!(told(huggingface.requests), Some((None, 0, 120_000)));
    }

    #[test]
    fn what_says_nothing_teaches_nothing() {
        assert_eq!(learn(&[("content-type", "application/json")]), Learned::default());
        let azure = [
            ("x-ratelimit-limit-tokens", "-1"),
            ("x-ratelimit-remaining-tokens", "-1"),
            ("x-ratelimit-reset-tokens", "0"),
        ];
        assert_eq!(learn(&azure), Learned::default());
        assert_eq!(learn(&[("ratelimit", "limit=5")]), Learned::default());
    }

    #[test]
    fn dates_are_those_that_are_written_elsewhere() {
        for seconds in [0_u64, 951_782_399, 951_782_400, 1_798_761_599, 4_107_542_400, 253_402_300_799] {
            let written = Rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
            assert_eq!(rfc3339_ms(&written), Some(seconds * 1_000), "{written}");
        }
        assert_eq!(rfc3339_ms("1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(rfc3339_ms("1969-12-31T23:00:00-01:00"), None);
        for bad in ["2026-13-01T00:00:00Z", "2026-01-01", "T", "2026-01-01TZ", "2026-01-01T00:00:00+é", ""] {
            assert_eq!(rfc3339_ms(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_header_breaks_it_or_reaches_beyond_a_day(reset in ".{0,30}", remaining in "[0-9-]{0,25}", field in ".{0,40}") {
            let learned = learn(&[
                ("x-ratelimit-remaining-requests", &remaining),
                ("x-ratelimit-reset-requests", &reset),
            ]);
            let drafted = learn(&[("ratelimit", &field)]);
            for window in [learned.requests, drafted.requests].into_iter().flatten() {
                prop_assert!((NOW_MS..=NOW_MS + DAY_MS).contains(&window.resets_at_ms));
            }
        }
    }
}
