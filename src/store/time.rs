//! Moments: rows write them as text, tables as numbers.

use std::time::{Duration, UNIX_EPOCH};

use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::read::{Period, Scalar as _};
use crate::limit::clock::{Rfc3339, whole_ms};
use crate::usage::price::amount::day;

/// What roll-ups are made of: the shortest time by which zones and their midnights differ.
pub(super) const QUARTER_S: i64 = 900;
pub(super) const HOUR_S: i64 = 3_600;
pub(super) const DAY_S: i64 = 86_400;

/// `2026-11-22T22:54:00.120Z` in milliseconds since 1970.
pub(crate) fn read_ms(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (clock, ms) = time.split_once('.').unwrap_or((time, "000"));
    let mut parts = clock.splitn(3, ':').map(|part| number(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = day(date).ok()? * DAY_S + hour * HOUR_S + minute * 60 + second;
    Some(seconds * 1_000 + number(ms, 3)?)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

/// A moment as somebody writes it, in milliseconds since 1970: `2026-11-28`, `2026-11-28T22:54:00Z` or
/// as much of that as is wanted, or how long ago: `7d`, `12h`.
pub(crate) fn moment_ms(text: &str, now_ms: u64) -> Option<i64> {
    const BEGINNING: &str = "0000-00-00T00:00:00.000";
    if let Ok(Period(ago)) = Period::parse(text) {
        return i64::try_from(now_ms.saturating_sub(whole_ms(ago))).ok();
    }
    let text = text.strip_suffix('Z').unwrap_or(text);
    let rest = BEGINNING.get(text.len()..).filter(|_| text.len() >= "2026-11-28".len())?;
    read_ms(&format!("{text}{rest}Z"))
}

/// The other way.
pub(super) fn write_ms(ms: i64) -> String {
    Rfc3339(UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap_or(0))).to_string()
}

/// `2026-11` of a moment in seconds.
pub(super) fn month(seconds: i64) -> String {
    write_ms(seconds.saturating_mul(1_000)).get(..7).unwrap_or_default().to_owned()
}

/// `2026-11-22`.
pub(super) fn date(seconds: i64) -> String {
    write_ms(seconds.saturating_mul(1_000)).get(..10).unwrap_or_default().to_owned()
}

/// `2026-11-22T22:00:00Z`.
pub(super) fn hour(seconds: i64) -> String {
    let text = write_ms(seconds.saturating_mul(1_000));
    format!("{}Z", text.get(..19).unwrap_or_default())
}

/// The beginnings of the months that a time from one second to before another is in.
pub(super) fn months(from: i64, to: i64) -> Vec<i64> {
    let first = |date: Date| date.first_of_month();
    let seconds = |date: Date| date.to_zoned(TimeZone::UTC).map(|at| at.timestamp().as_second()).ok();
    let Ok(begin) = jiff::Timestamp::from_second(from) else { return Vec::new() };
    let mut month = first(begin.to_zoned(TimeZone::UTC).date());
    let mut all = Vec::new();
    while let Some(at) = seconds(month).filter(|at| *at < to) {
        all.push(at);
        let Ok(next) = month.checked_add(jiff::Span::new().months(1)) else { break };
        month = next;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for text in ["1970-01-01T00:00:00.000Z", "2026-11-22T22:54:00.120Z", "2028-02-29T23:59:59.999Z"] {
            assert_eq!(write_ms(read_ms(text).unwrap()), text);
        }
        assert_eq!(read_ms("1970-01-02T00:00:01.500Z"), Some(86_401_500));
        for bad in ["", "2026-11-22", "2026-11-22T25:00:00.000Z", "2026-02-30T00:00:00.000Z", "2026-11-22T22:54:00.12Z"]
        {
            assert_eq!(read_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_moment_may_be_written_in_short() {
        let ms = |text: &str| read_ms(text);
        assert_eq!(moment_ms("2026-11-28", 0), ms("2026-11-28T00:00:00.000Z"));
        assert_eq!(moment_ms("2026-11-28T22:54", 0), ms("2026-11-28T22:54:00.000Z"));
        assert_eq!(moment_ms("2026-11-28T22:54:01.5Z", 0), ms("2026-11-28T22:54:01.500Z"));
        assert_eq!(moment_ms("2026-11-28T22:54:01.500Z", 0), ms("2026-11-28T22:54:01.500Z"));
        assert_eq!(moment_ms("2d", 3 * 86_400_000), Some(86_400_000));
        for bad in ["", "yesterday", "2026", "2026-13-01", "2026-11-28T22:54:00+02:00"] {
            assert_eq!(moment_ms(bad, 0), None, "{bad}");
        }
    }

    #[test]
    fn months_begin_on_their_first_day() {
        let s = |text: &str| read_ms(&format!("{text}T00:00:00.000Z")).unwrap() / 1_000;
        let expected = [s("2026-11-01"), s("2026-12-01"), s("2027-01-01")];
        assert_eq!(months(s("2026-11-22"), s("2027-01-02")), expected);
        assert_eq!(months(s("2026-11-01"), s("2026-12-01")), [s("2026-11-01")]);
        assert_eq!((month(expected[1]), date(s("2026-11-22"))), ("2026-12".to_owned(), "2026-11-22".to_owned()));
        assert_eq!(hour(expected[2] + 3_600), "2027-01-01T01:00:00Z");
    }
}
