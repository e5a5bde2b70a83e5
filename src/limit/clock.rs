//! Time: monotonic for counting, civil for headers and records.

use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wire::json::write_padded;

/// What the process began with: moments of a day before it have a number too, for what limits counted
/// then.
const BEGAN_MS: u64 = 86_400_000;

/// Milliseconds since a day before the process began: the `now_ms` of everything in `limit`. One for the
/// whole process, because counters outlive a reload.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now_ms(&self) -> u64 {
        BEGAN_MS.saturating_add(whole_ms(self.0.elapsed()))
    }

    /// Now, by both clocks.
    pub fn moment(&self) -> Moment {
        Moment { now_ms: self.now_ms(), unix_ms: unix_ms() }
    }
}

/// A moment: windows go by the process's own time, the periods of budgets by the calendar.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub now_ms: u64,
    pub unix_ms: u64,
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    whole_ms(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Milliseconds of a duration, without the cast.
pub fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A moment as RFC 3339 in UTC, to the millisecond: `2026-11-22T22:54:00.120Z`.
#[derive(Debug, Clone, Copy)]
pub struct Rfc3339(pub SystemTime);

impl Rfc3339 {
    /// Year, month, day, hour, minute, second and millisecond.
    fn parts(self) -> [u64; 7] {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (year, month, day) = civil(since.as_secs() / 86_400);
        let second_of_day = since.as_secs() % 86_400;
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        [year, month, day, hour, minute, second, since.subsec_millis().into()]
    }

    /// The same as it is displayed, without the machinery of that: records are written all the time.
    pub fn write(self, out: &mut Vec<u8>) {
        let ends = [(4, b'-'), (2, b'-'), (2, b'T'), (2, b':'), (2, b':'), (2, b'.'), (3, b'Z')];
        for (part, (digits, end)) in self.parts().into_iter().zip(ends) {
            write_padded(out, part, digits);
            out.push(end);
        }
    }
}

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [year, month, day, hour, minute, second, ms] = self.parts();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// The day of a moment, given in milliseconds since 1970: `2026-11-22`.
#[derive(Debug, Clone, Copy)]
pub struct Date(pub u64);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0 / 86_400_000);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

/// Days since 1970-01-01 to a date of the Gregorian calendar: years begin in March, so that the
/// leap day is the last, and 400 years are always 146,097 days.
pub(super) const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_calendars_do() {
        let at = |seconds: u64, ms: u64| {
            let (at, mut written) =
                (Rfc3339(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(ms)), Vec::new());
            at.write(&mut written);
            assert_eq!(written, at.to_string().as_bytes());
            at.to_string()
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_798_761_599, 7), "2026-12-31T23:59:59.007Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }
}
