//! Periods of the calendar, from midnight to midnight in their time zone.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::budget::{Per, Period};

/// From the first moment of a period to the first of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub begins_ms: u64,
    /// `None`: it never ends.
    pub ends_ms: Option<u64>,
}

impl Bounds {
    const EVER: Self = Self { begins_ms: 0, ends_ms: None };

    /// Of the period that a moment lies in.
    pub fn around(period: &Period, unix_ms: u64) -> Self {
        // Out of the calendar's reach, in some thousand years, nothing begins anew any more.
        Self::by_calendar(period, unix_ms).unwrap_or(Self::EVER)
    }

    fn by_calendar(period: &Period, unix_ms: u64) -> Option<Self> {
        let zone = &period.zone;
        let today = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?.to_zoned(zone.clone()).date();
        let reset_day = i8::try_from(period.reset_day).ok()?.max(1);
        let (first, next) = match period.per {
            Per::Day => (today, today.tomorrow().ok()?),
            Per::Week => week(today, reset_day)?,
            Per::Month => month(today, reset_day)?,
            Per::Total => return None,
        };
        Some(Self { begins_ms: midnight_ms(first, zone)?, ends_ms: Some(midnight_ms(next, zone)?) })
    }

    pub fn holds(&self, unix_ms: u64) -> bool {
        self.begins_ms <= unix_ms && !self.is_over(unix_ms)
    }

    pub fn is_over(&self, unix_ms: u64) -> bool {
        self.ends_ms.is_some_and(|ends_ms| ends_ms <= unix_ms)
    }
}

/// The first day of this week and of the next.
fn week(today: Date, reset_day: i8) -> Option<(Date, Date)> {
    let since = (today.weekday().to_monday_one_offset() + 7 - reset_day) % 7;
    let first = today.checked_sub(jiff::Span::new().try_days(since).ok()?).ok()?;
    Some((first, first.checked_add(jiff::Span::new().try_days(7).ok()?).ok()?))
}

/// The first day of this month and of the next, if months begin with `reset_day`.
fn month(today: Date, reset_day: i8) -> Option<(Date, Date)> {
    let one = jiff::Span::new().try_months(1).ok()?;
    let this = Date::new(today.year(), today.month(), reset_day).ok()?;
    match today.day() >= reset_day {
        true => Some((this, this.checked_add(one).ok()?)),
        false => Some((this.checked_sub(one).ok()?, this)),
    }
}

/// The first moment of a day. Where clocks go forward at midnight, that is later than 0:00.
fn midnight_ms(day: Date, zone: &TimeZone) -> Option<u64> {
    u64::try_from(day.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond()).ok()
}

/// The day of a moment in a time zone: `2026-11-22`.
pub(super) fn day_of(unix_ms: u64, zone: &TimeZone) -> Option<Date> {
    let at = Timestamp::from_millisecond(i64::try_from(unix_ms).ok()?).ok()?;
    Some(at.to_zoned(zone.clone()).date())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::price::amount::day;

    const DAY_MS: u64 = 86_400_000;
    const HOUR_MS: u64 = 3_600_000;

    fn of(per: Per, reset_day: u32) -> Period {
        Period { reset_day, ..Period::plain(per) }
    }

    fn bounds(per: Per, reset_day: u32, today: &str) -> (u64, Option<u64>) {
        let unix_ms = u64::try_from(day(today).unwrap()).unwrap() * DAY_MS + 5_000;
        let bounds = Bounds::around(&of(per, reset_day), unix_ms);
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
    fn days_in_which_clocks_change_are_shorter_and_longer() {
        let zone = |name: &str| TimeZone::get(name).unwrap();
        let noon_ms = |date: &str| u64::try_from(day(date).unwrap()).unwrap() * DAY_MS + DAY_MS / 2;
        let hours = |per, name: &str, date: &str| {
            let period = Period { zone: zone(name), ..Period::plain(per) };
            let bounds = Bounds::around(&period, noon_ms(date));
            (bounds.ends_ms.unwrap() - bounds.begins_ms) / HOUR_MS
        };
        assert_eq!(hours(Per::Day, "Europe/Berlin", "2027-03-28"), 23);
        assert_eq!(hours(Per::Day, "Europe/Berlin", "2027-03-29"), 24);
        assert_eq!(hours(Per::Day, "Europe/Berlin", "2027-10-31"), 25);
        assert_eq!(hours(Per::Week, "Europe/Berlin", "2027-03-28"), 7 * 24 - 1);
        assert_eq!(hours(Per::Month, "Europe/Berlin", "2027-10-15"), 31 * 24 + 1);
        // Here clocks go forward at midnight: the day begins at 1:00.
        assert_eq!(hours(Per::Day, "Asia/Beirut", "2027-03-28"), 23);
        let berlin = Period { zone: zone("Europe/Berlin"), ..Period::plain(Per::Month) };
        let july = Bounds::around(&berlin, noon_ms("2027-07-15"));
        let (first_ms, _) = between("2027-07-01", "2027-08-01");
        assert_eq!(july.begins_ms, first_ms - 2 * HOUR_MS, "in summer two hours before UTC");
        assert_eq!(day_of(july.begins_ms, &berlin.zone).unwrap().to_string(), "2027-07-01");
    }

    #[test]
    fn one_period_follows_the_other_without_a_gap() {
        for name in ["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia"] {
            for (per, last) in [(Per::Day, 1), (Per::Week, 7), (Per::Month, 28)] {
                for reset_day in 1..=last {
                    let period = Period { zone: TimeZone::get(name).unwrap(), ..of(per, reset_day) };
                    let mut at = Bounds::around(&period, 1_300_000_000_000);
                    for _ in 0..60 {
                        let ends_ms = at.ends_ms.unwrap();
                        assert_eq!(Bounds::around(&period, ends_ms - 1), at);
                        at = Bounds::around(&period, ends_ms);
                        assert_eq!(at.begins_ms, ends_ms);
                    }
                }
            }
        }
    }
}
