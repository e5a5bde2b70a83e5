//! Periods of the calendar, in UTC.

use crate::config::budget::{Per, Period};
use crate::limit::clock::civil;

const DAY_MS: u64 = 86_400_000;

/// From the first moment of a period to the first of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub begins_ms: u64,
    /// `None`: it never ends.
    pub ends_ms: Option<u64>,
}

impl Bounds {
    /// Of the period that a moment lies in.
    pub fn around(period: Period, unix_ms: u64) -> Self {
        let today = unix_ms / DAY_MS;
        let reset_day = u64::from(period.reset_day).max(1);
        let (first, days) = match period.per {
            Per::Day => (today, 1),
            Per::Week => (week(today, reset_day), 7),
            Per::Month => month(today, reset_day),
            Per::Total => return Self { begins_ms: 0, ends_ms: None },
        };
        Self { begins_ms: first * DAY_MS, ends_ms: Some((first + days) * DAY_MS) }
    }

    pub fn holds(&self, unix_ms: u64) -> bool {
        self.begins_ms <= unix_ms && !self.is_over(unix_ms)
    }

    pub fn is_over(&self, unix_ms: u64) -> bool {
        self.ends_ms.is_some_and(|ends_ms| ends_ms <= unix_ms)
    }
}

/// The first day of the week. 1970-01-01 was a Thursday.
const fn week(today: u64, reset_day: u64) -> u64 {
    let since_monday = (today + 3) % 7;
    today.saturating_sub((since_monday + 8 - reset_day) % 7)
}

/// The first day of the month that begins with `reset_day`, and how many it has.
fn month(today: u64, reset_day: u64) -> (u64, u64) {
    let (_, _, day) = civil(today);
    let first = if day >= reset_day {
        today - (day - reset_day)
    } else {
        // The last day of the month before says how long that was.
        let last = today.saturating_sub(day);
        let (_, _, length) = civil(last);
        (last + reset_day).saturating_sub(length)
    };
    // No month is shorter than 28 days, nor does `reset_day` come after the 28th.
    let days = (28..=31).find(|days| civil(first + days).2 == reset_day);
    (first, days.unwrap_or(31))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::price::amount::day;

    fn bounds(per: Per, reset_day: u32, today: &str) -> (u64, Option<u64>) {
        let unix_ms = u64::try_from(day(today).unwrap()).unwrap() * DAY_MS + 5_000;
        let bounds = Bounds::around(Period { per, reset_day }, unix_ms);
        assert!(bounds.holds(unix_ms) && !bounds.is_over(unix_ms));
        (bounds.begins_ms, bounds.ends_ms)
    }

    fn between(first: &str, next: &str) -> (u64, Option<u64>) {
        let ms = |text| u64::try_from(day(text).unwrap()).unwrap() * DAY_MS;
        (ms(first), Some(ms(next)))
    }

    #[test]
    fn days_weeks_and_months_are_the_calendars() {
        assert_eq!(bounds(Per::Day, 1, "2026-02-28"), between("2026-02-28", "2026-03-01"));
        // A Sunday.
        assert_eq!(bounds(Per::Week, 1, "2026-11-29"), between("2026-11-23", "2026-11-30"));
        assert_eq!(bounds(Per::Week, 7, "2026-11-29"), between("2026-11-29", "2026-12-06"));
        assert_eq!(bounds(Per::Week, 7, "2026-11-28"), between("2026-11-22", "2026-11-29"));
        assert_eq!(bounds(Per::Month, 1, "2026-11-29"), between("2026-11-01", "2026-12-01"));
        assert_eq!(bounds(Per::Month, 1, "2028-02-29"), between("2028-02-01", "2028-03-01"));
        assert_eq!(bounds(Per::Month, 15, "2026-03-14"), between("2026-02-15", "2026-03-15"));
        assert_eq!(bounds(Per::Month, 28, "2026-01-05"), between("2025-12-28", "2026-01-28"));
        assert_eq!(bounds(Per::Month, 28, "2026-02-28"), between("2026-02-28", "2026-03-28"));
        assert_eq!(bounds(Per::Total, 1, "2026-02-28"), (0, None));
    }

    #[test]
    fn one_period_follows_the_other_without_a_gap() {
        for (per, last) in [(Per::Day, 1), (Per::Week, 7), (Per::Month, 28)] {
            for reset_day in 1..=last {
                let period = Period { per, reset_day };
                let mut at = Bounds::around(period, 946_684_800_000);
                for _ in 0..60 {
                    let ends_ms = at.ends_ms.unwrap();
                    assert_eq!(Bounds::around(period, ends_ms - 1), at);
                    at = Bounds::around(period, ends_ms);
                    assert_eq!(at.begins_ms, ends_ms);
                }
            }
        }
    }
}
