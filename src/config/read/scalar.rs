//! Single values: numbers, durations, sizes, dates, addresses, secrets.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use schemars::{Schema, SchemaGenerator, json_schema};

use super::{Context, Read};
use crate::config::access::IpNet;
use crate::config::yaml::{Kind, Node};
use crate::secret::Secret;

/// Text that means something.
pub trait Scalar: Sized {
    /// Never shown in a message.
    const SECRET: bool = false;

    /// The value, or what was expected instead (without the text itself: it may come from a variable).
    fn parse(text: &str) -> Result<Self, String>;

    fn schema() -> Schema;
}

impl<T: Scalar> Read for T {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if T::SECRET {
            cx.hide_secret(node);
        }
        let text = cx.text(node)?;
        match T::parse(&text) {
            Ok(value) => Some(value),
            Err(expected) => {
                let message = match &node.kind {
                    Kind::Scalar(raw) if !T::SECRET => format!("invalid value `{}`", brief(raw)),
                    _ => "invalid value (not shown)".to_owned(),
                };
                cx.say(node.place, message).label(format!("expected {expected}"));
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        <T as Scalar>::schema()
    }
}

fn brief(text: &str) -> String {
    let mut shown: String = text.chars().map(|c| if c.is_control() { '?' } else { c }).take(60).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// A reference may stand where a number is meant.
const REFERENCE: &str = r"^(\$\{|file:)";

fn text_schema(pattern: &str) -> Schema {
    json_schema!({"anyOf": [{"type": "string", "pattern": pattern}, {"type": "string", "pattern": REFERENCE}]})
}

impl Scalar for bool {
    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "`true` or `false`".to_owned())
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [{"type": "boolean"}, {"type": "string", "pattern": REFERENCE}]})
    }
}

macro_rules! whole_numbers {
    ($($number:ty),*) => { $(
        impl Scalar for $number {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| "a whole number".to_owned())
            }

            fn schema() -> Schema {
                json_schema!({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": REFERENCE}]})
            }
        }
    )* };
}
whole_numbers!(u32, u64, usize);

impl Scalar for String {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("some text, found none".to_owned()),
            text if text.chars().any(char::is_control) => Err("text in one line".to_owned()),
            text => Ok(text.to_owned()),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

impl Scalar for PathBuf {
    fn parse(text: &str) -> Result<Self, String> {
        String::parse(text).map(Self::from).map_err(|_| "a path".to_owned())
    }

    fn schema() -> Schema {
        <String as Scalar>::schema()
    }
}

/// A name the operator chose, of the characters that are safe in logs, metrics and URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(pub String);

impl Name {
    /// What is wrong with it.
    pub fn check(text: &str) -> Result<(), &'static str> {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-@:".contains(c);
        match text {
            "" => Err("a name, found none"),
            text if text.len() > 128 => Err("a name of at most 128 characters"),
            text if !text.chars().all(good) => Err("letters, digits and `.` `_` `-` `@` `:` only"),
            _ => Ok(()),
        }
    }
}

impl Scalar for Name {
    fn parse(text: &str) -> Result<Self, String> {
        Self::check(text).map(|()| Self(text.to_owned())).map_err(str::to_owned)
    }

    fn schema() -> Schema {
        text_schema("^[A-Za-z0-9._@:-]{1,128}$")
    }
}

/// A duration: `250ms`, `30s`, `10m`, `1h30m`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Period {
    /// Longer is a mistake.
    pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

    fn units(text: &str) -> Option<Duration> {
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, after) = rest.split_at_checked(digits)?;
            let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, after) = after.split_at_checked(letters)?;
            let unit_ms = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return None,
            };
            total = total.checked_add(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(unit_ms)?))?;
            rest = after;
        }
        Some(total)
    }
}

impl Scalar for Period {
    fn parse(text: &str) -> Result<Self, String> {
        match Self::units(text) {
            Some(Duration::ZERO) => Err("more than zero".to_owned()),
            Some(long) if long > Self::LONGEST => Err("at most 366d".to_owned()),
            Some(period) => Ok(Self(period)),
            None if text.parse::<u64>().is_ok() => Err("a unit: `ms`, `s`, `m`, `h` or `d`, like `30s`".to_owned()),
            None => Err("a duration like `250ms`, `30s`, `10m` or `1h30m`".to_owned()),
        }
    }

    fn schema() -> Schema {
        text_schema("^([0-9]+(ms|s|m|h|d))+$")
    }
}

/// A duration, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeriodOrOff(pub Option<Duration>);

impl Scalar for PeriodOrOff {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "off" => Ok(Self(None)),
            text => Period::parse(text).map(|period| Self(Some(period.0))).map_err(|why| format!("`off`, or {why}")),
        }
    }

    fn schema() -> Schema {
        text_schema("^(off|([0-9]+(ms|s|m|h|d))+)$")
    }
}

/// A size in bytes: `32MiB`, `64KB`, `1048576`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub usize);

impl Size {
    fn bytes(text: &str) -> Option<u64> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits)?;
        let factor = match unit.trim_start() {
            "" | "B" => 1,
            "KB" | "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(factor)
    }
}

impl Scalar for Size {
    fn parse(text: &str) -> Result<Self, String> {
        let bytes = Self::bytes(text).ok_or("a size like `64KB`, `32MiB` or a number of bytes")?;
        if bytes == 0 || bytes > 1 << 40 {
            return Err("more than zero and at most 1024GiB".to_owned());
        }
        usize::try_from(bytes).map(Self).map_err(|_| "a smaller size".to_owned())
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"type": "integer", "minimum": 1},
            {"type": "string", "pattern": "^[0-9]+ *(B|[kKMG]B|[KMG]iB)?$"},
            {"type": "string", "pattern": REFERENCE},
        ]})
    }
}

/// A day (`2027-06-30`, its first moment in UTC) or a moment (`2027-06-30T12:00:00Z`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    pub unix_seconds: i64,
}

impl Day {
    /// The moment; what lies before 1970 is 1970.
    pub fn moment(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(self.unix_seconds).unwrap_or_default())
    }

    fn split(text: &str) -> Option<Self> {
        let (date, time) = match text.split_once(['T', ' ']) {
            Some((date, time)) => (date, time.strip_suffix('Z')?),
            None => (text, "00:00"),
        };
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':').or_else(|| numbers(&format!("{time}:00"), ':'))?;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if leap => 29,
            2 => 28,
            _ => 31,
        };
        let good = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=last).contains(&day);
        if !good || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days of the proleptic Gregorian calendar, counted in years that begin in March.
        let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
        Some(Self { unix_seconds: ((days * 24 + hour) * 60 + minute) * 60 + second })
    }
}

/// Three numbers of digits only, the parts after the first of exactly two.
fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let mut parts = text.split(between).map(|part| {
        let good = matches!(part.len(), 2 | 4) && part.bytes().all(|b| b.is_ascii_digit());
        if good { part.parse().ok() } else { None }
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

impl Scalar for Day {
    fn parse(text: &str) -> Result<Self, String> {
        Self::split(text).ok_or_else(|| "a date like `2027-06-30` or `2027-06-30T12:00:00Z`".to_owned())
    }

    fn schema() -> Schema {
        text_schema("^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?Z)?$")
    }
}

/// An address to listen on: `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Scalar for Address {
    fn parse(text: &str) -> Result<Self, String> {
        let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let text = local.as_deref().unwrap_or(text);
        text.parse().map(Self).map_err(|_| match text.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("an address too: `0.0.0.0:{port}` (everywhere) or `127.0.0.1:{port}` (this machine)"),
            Err(_) => "an address and a port, like `0.0.0.0:8080` or `[::]:8080`".to_owned(),
        })
    }

    fn schema() -> Schema {
        text_schema(r"^(\[[0-9a-fA-F:.]+\]|[0-9.]+|localhost):[0-9]{1,5}$")
    }
}

/// Addresses: one, or a network (`10.0.0.0/8`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(pub IpNet);

impl Scalar for Network {
    fn parse(text: &str) -> Result<Self, String> {
        let one = || text.parse::<IpAddr>().ok().map(IpNet::from);
        match text.parse::<IpNet>().ok().or_else(one) {
            Some(network) if network.addr() == network.network() => Ok(Self(network)),
            Some(network) => Err(format!("`{}` (the bits behind the prefix are not zero)", network.trunc())),
            None => Err("an address or a network, like `192.0.2.7`, `10.0.0.0/8` or `2001:db8::/32`".to_owned()),
        }
    }

    fn schema() -> Schema {
        text_schema("^[0-9a-fA-F:.]+(/[0-9]{1,3})?$")
    }
}

/// A credential.
#[derive(Debug, Clone)]
pub struct SecretText(pub Secret);

impl Scalar for SecretText {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a secret, found none".to_owned()),
            text if !text.bytes().all(|b| (b' '..=b'~').contains(&b)) => {
                Err("printable ASCII in one line: it travels in a header".to_owned())
            }
            text if text.trim() != text => Err("no blanks around it".to_owned()),
            text => Ok(Self(Secret::new(text))),
        }
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// A provider's credential; `""` says that there is none on purpose.
#[derive(Debug, Clone)]
pub struct ApiKey(pub Option<Secret>);

impl Read for ApiKey {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(raw) if raw.is_empty() => Some(Self(None)),
            _ => SecretText::read(node, cx).map(|SecretText(secret)| Self(Some(secret))),
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string"})
    }
}

/// 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sha256Hex(pub [u8; 32]);

impl Scalar for Sha256Hex {
    /// Somebody may have put the key itself there.
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let mut bytes = [0; 32];
        let found = format!("64 hexadecimal digits, found {} characters", text.chars().count());
        hex::decode_to_slice(text, &mut bytes).map(|()| Self(bytes)).map_err(|_| found)
    }

    fn schema() -> Schema {
        text_schema("^[0-9a-fA-F]{64}$")
    }
}

/// One of a few words.
pub fn one_of<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let list: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        match super::nearest(text, words.iter().map(|(word, _)| *word)) {
            Some(near) => format!("one of {}; did you mean `{near}`?", list.join(", ")),
            None => format!("one of {}", list.join(", ")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u128> {
        Period::parse(text).ok().map(|p| p.0.as_millis())
    }

    #[test]
    fn durations_need_a_unit_and_add_up() {
        assert_eq!(ms("250ms"), Some(250));
        assert_eq!(ms("1h30m"), Some(5_400_000));
        assert_eq!(ms("7d"), Some(604_800_000));
        for bad in ["", "30", "s", "1.5s", "-1s", "0s", "1 s", "5x", "99999999999999999999s", "400d", "1s2"] {
            assert_eq!(ms(bad), None, "{bad}");
        }
        assert!(Period::parse("30").unwrap_err().contains("`30s`"));
    }

    #[test]
    fn sizes_are_decimal_or_binary_as_spelled() {
        let bytes = |text| Size::parse(text).ok().map(|s| s.0);
        assert_eq!(bytes("64KB"), Some(64_000));
        assert_eq!(bytes("32MiB"), Some(32 << 20));
        assert_eq!(bytes("1048576"), Some(1 << 20));
        for bad in ["", "0", "1.5MiB", "12 parsecs", "MiB", "-1", "2TB", "9999999999GiB"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }

    #[test]
    fn dates_are_of_the_calendar() {
        let seconds = |text| Day::parse(text).ok().map(|d| d.unix_seconds);
        assert_eq!(seconds("1970-01-01"), Some(0));
        assert_eq!(seconds("2000-02-29"), Some(951_782_400));
        assert_eq!(seconds("2027-06-30T12:00:00Z"), Some(1_814_356_800));
        assert_eq!(seconds("2027-06-30T12:00Z"), Some(1_814_356_800));
        for bad in ["2027-6-30", "2027-02-29", "1900-01-01", "2027-13-01", "30.6.2027", "2027-06-30T12:00:00", "x"] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_address_wants_a_host_and_a_port() {
        assert_eq!(Address::parse("localhost:8080").unwrap().0.to_string(), "127.0.0.1:8080");
        assert!(Address::parse("[::]:80").is_ok());
        assert!(Address::parse(":8080").unwrap_err().contains("0.0.0.0:8080"));
        assert!(Address::parse("8080").unwrap_err().contains("127.0.0.1:8080"));
        assert!(Address::parse("example.com:80").is_err());
    }

    #[test]
    fn a_secret_can_travel_in_a_header() {
        assert_eq!(SecretText::parse("sk:\"1\" {}").unwrap().0.expose(), "sk:\"1\" {}");
        for bad in ["", "a\nb", "key ", "schl\u{fc}ssel"] {
            assert!(SecretText::parse(bad).is_err(), "{bad}");
        }
    }
}
