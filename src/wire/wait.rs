//! How long to wait, in the words of providers: `6m0s`, `0.5`, `Please try again in 1.2s.`

use std::time::Duration;

/// No advice is followed for longer: what says more is absurd, or is about to be changed by hand.
pub const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What stands before the time in a sentence (OpenAI, Groq, Azure, Moonshot, Gemini; seen 2026-11).
const BEFORE: [&str; 4] = ["try again in ", "try again after ", "retry after ", "retry in "];

/// A number of seconds, of which there may be a fraction.
pub fn seconds(text: &str) -> Option<Duration> {
    bounded(text.trim().parse().ok()?)
}

/// A length as Go writes it, from the first character to the last: `12ms`, `6m0s`, `1h2m`.
pub fn span(text: &str) -> Option<Duration> {
    match leading(text.trim()) {
        (found, "") => found,
        _ => None,
    }
}

/// When a sentence says to come back.
pub fn advice(message: &str) -> Option<Duration> {
    let message = message.to_ascii_lowercase();
    BEFORE.iter().find_map(|before| leading(message.split_once(before)?.1).0)
}

/// The length that a text begins with, and what follows it.
fn leading(mut text: &str) -> (Option<Duration>, &str) {
    let mut sum = None;
    while let Some((part, rest)) = part(text) {
        sum = Some(sum.map_or(part, |sum: Duration| sum.saturating_add(part)).min(LONGEST));
        text = rest;
    }
    (sum, text)
}

/// A number with its unit, which may stand apart.
fn part(text: &str) -> Option<(Duration, &str)> {
    let (number, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit() && c != '.')?);
    let rest = rest.strip_prefix(' ').unwrap_or(rest);
    let (unit, rest) = rest.split_at(rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len()));
    let unit_seconds = match unit {
        "ms" | "milliseconds" => 0.001,
        "s" | "second" | "seconds" => 1.0,
        "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    Some((bounded(number.parse::<f64>().ok()? * unit_seconds)?, rest))
}

fn bounded(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_in_every_form_and_bounded() {
        let table = [
            ("12ms", Some(12)),
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("1h2m", Some(3_720_000)),
            ("1m13.588s", Some(73_588)),
            ("0.5s", Some(500)),
            ("900h", Some(86_400_000)),
            ("", None),
            ("s", None),
            ("6", None),
            ("1.2.3s", None),
            ("6m later", None),
            ("-1s", None),
            ("1é", None),
        ];
        for (text, ms) in table {
            assert_eq!(span(text), ms.map(Duration::from_millis), "{text}");
        }
        assert_eq!(seconds("0.5"), Some(Duration::from_millis(500)));
        assert_eq!((seconds("NaN"), seconds("-1"), seconds("inf"), seconds("")), (None, None, None, None));
    }

    #[test]
    fn sentences_say_when_to_come_back() {
        let table = [
            ("Limit 10000, Used 8554. Please try again in 9.816s. Visit https://x", Some(9_816)),
            ("Limit 3, Used 3. Please try again in 20ms. Need more?", Some(20)),
            ("Please try again in 6m0s.", Some(360_000)),
            ("Please try again in 7m34.56s. Need more tokens?", Some(454_560)),
            ("Rate limit is exceeded. Try again in 50 seconds.", Some(50_000)),
            ("request reached max request: 3, please try again after 1 seconds", Some(1_000)),
            ("Please retry after 1 second.", Some(1_000)),
            ("Please retry after 86400 seconds. Please go here", Some(86_400_000)),
            ("* Quota exceeded\nPlease retry in 48.939935699s.", Some(48_939)),
            ("Please try again later.", None),
            ("Please retry after a brief wait.", None),
            ("try again in", None),
        ];
        for (text, ms) in table {
            assert_eq!(advice(text).map(|wait| wait.as_millis()), ms, "{text}");
        }
    }
}
