//! `weir_current_time`

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::read;
use crate::tools::Outcome;
use crate::wire::json::Obj;

pub(super) const SPEC: (&str, &str, &str) = (
    "weir_current_time",
    "Tells the current date and time, with weekday, in a time zone (UTC unless another is given).",
    concat!(
        r#"{"type":"object","properties":{"timezone":{"type":"string","description":"#,
        r#""A time zone by its IANA name, such as Europe/Berlin or America/New_York. Default: UTC."}},"#,
        r#""additionalProperties":false}"#
    ),
);

#[derive(Deserialize)]
struct Arguments {
    timezone: Option<String>,
}

pub(super) fn call(arguments: &str) -> Outcome {
    match read::<Arguments>(arguments) {
        Ok(arguments) => at(Timestamp::now(), arguments.timezone.as_deref().unwrap_or("UTC")),
        Err(outcome) => outcome,
    }
}

fn at(now: Timestamp, zone: &str) -> Outcome {
    let Ok(time_zone) = TimeZone::get(zone) else {
        let zone: String = zone.chars().take(64).collect();
        return Outcome::failed(format!("No time zone is called {zone:?}. Give an IANA name, such as Europe/Berlin."));
    };
    let now = now.to_zoned(time_zone);
    let mut out = Vec::with_capacity(160);
    let mut answer = Obj::new(&mut out);
    answer.text("time", &now.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
    answer.text("weekday", &now.strftime("%A").to_string());
    answer.text("timezone", zone);
    answer.num("unix_seconds", u64::try_from(now.timestamp().as_second()).unwrap_or_default());
    drop(answer);
    Outcome::done(String::from_utf8_lossy(&out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_that_of_the_zone() {
        let now: Timestamp = "2026-11-29T22:30:00Z".parse().unwrap();
        assert_eq!(
            at(now, "Europe/Berlin").text,
            r#"{"time":"2026-11-29T23:30:00+01:00","weekday":"Sunday","timezone":"Europe/Berlin","unix_seconds":1795991400}"#
        );
        assert!(at(now, "Asia/Tokyo").text.contains(r#""time":"2026-11-30T07:30:00+09:00","weekday":"Monday""#));
        let summer: Timestamp = "2026-07-01T12:00:00Z".parse().unwrap();
        assert!(at(summer, "Europe/Berlin").text.contains("14:00:00+02:00"));
        assert!(at(now, "UTC").text.contains("22:30:00+00:00"));
    }

    #[test]
    fn a_zone_that_is_none_is_said() {
        let outcome = call(r#"{"timezone": "Mars/Olympus"}"#);
        assert!(outcome.is_error && outcome.text.contains("Mars/Olympus"), "{outcome:?}");
        assert!(call(r#"{"timezone": 7}"#).is_error && call("[").is_error);
        assert!(!call("{}").is_error);
    }
}
