//! Values of a shape nobody can promise: a member of the wrong type is as good as none.

use crate::usage::decimal;
use crate::wire::json::{self, Json, Str};
use serde::Deserialize;

/// A member, absent and `null` alike being `None`.
pub(crate) type Value<'a> = Option<Json<'a>>;

/// The value if it is a string.
pub(crate) fn text(value: Value<'_>) -> Option<Str<'_>> {
    value.and_then(|v| Str::from_raw(v.get()))
}

/// The value if it is a string with something in it.
pub(crate) fn filled(value: Value<'_>) -> Option<Str<'_>> {
    text(value).filter(|s| !s.is_empty())
}

/// The value if it is a count; `12.0` and `"12"` are 12, negative ones are none.
pub(crate) fn count(value: Value<'_>) -> Option<u64> {
    let raw = value?.get().trim_matches('"');
    let whole = raw.split_once('.').map_or(
        raw,
        |(whole, fraction)| {
            if fraction.bytes().all(|b| b.is_ascii_digit()) { whole } else { raw }
        },
    );
    whole.parse().ok()
}

/// What a provider says it charges, in pico-USD: USD, or ticks of 10^-10 USD. 0 where it says nothing.
pub(crate) fn charged(usd: Value<'_>, ticks: Value<'_>) -> u64 {
    let pico = |value: Value<'_>| u64::try_from(decimal::scaled(value?.get(), 12)?.units).ok();
    pico(usd).or_else(|| count(ticks)?.checked_mul(100)).unwrap_or(0)
}

/// The value read as `T`.
pub(crate) fn read<'a, T: Deserialize<'a>>(value: Value<'a>) -> Option<T> {
    json::parse(value?.get()).ok()
}

/// The items of the value if it is an array; else nothing.
pub(crate) fn items(value: Value<'_>) -> Vec<Json<'_>> {
    read(value).unwrap_or_default()
}

/// Whether the value is an object.
pub(crate) fn is_object(value: Value<'_>) -> bool {
    value.is_some_and(|v| v.get().starts_with('{'))
}

/// Whether the value is an array.
pub(crate) fn is_array(value: Value<'_>) -> bool {
    value.is_some_and(|v| v.get().starts_with('['))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_types_are_none() {
        for (json, expected) in
            [("12", Some(12)), ("12.0", Some(12)), ("\"7\"", Some(7)), ("-1", None), ("{}", None), ("1e400", None)]
        {
            assert_eq!(count(Some(Json::new(json))), expected, "{json}");
        }
        assert!(text(Some(Json::new("1"))).is_none());
        assert!(filled(Some(Json::new("\"\""))).is_none());
        assert!(items(Some(Json::new("{}"))).is_empty());
    }
}
