//! `alerts`.

use schemars::{Schema, json_schema};

use super::UsdText;
use crate::config::alerts::{AlertKind, WebhookFormat};
use crate::config::read::{At, Name, Period, Scalar, SecretText, one_of, settings};

settings! {
    /// What the operator is told of without asking. All alerts are in the metrics and at
    /// /admin/v1/alerts, the last 200 of them; webhooks get them as they happen.
    Alerts in "`alerts`" {
        /// Who is told.
        webhooks: Vec<Webhook> = "[]",
        /// Spending that is out of the ordinary: of each tenant, key and tag, by its own history.
        spend_spikes: SpendSpikes = "{}",
        /// A ledger that is further behind than this is an alert.
        ledger_lag: Period = "1m",
        /// An endpoint that has been out for longer than this is an alert: its breaker open, or its
        /// check failing.
        endpoint_down: Period = "1m",
        /// The same about the same is told again after this, as long as it goes on.
        repeat_after: Period = "1h",
    }

    /// A URL that alerts are sent to, as a POST of JSON.
    Webhook in "a webhook" {
        /// Where to. Only its host is ever shown: the rest of it often is a secret.
        url: SecretText,
        /// Its name in metrics, the log and the admin API. Default: the host of `url`.
        name: Name,
        /// Signs what is sent, in `x-weir-signature`. Default: nothing is signed.
        secret: SecretText,
        /// `weir`: all of the alert as JSON. `slack`: a message, as Slack, Mattermost and Discord (with
        /// `/slack` behind its URL) take it.
        format: FormatWord = "weir",
        /// Only these. Default: all.
        events: Vec<At<EventWord>> = "[]",
        /// Only what concerns these tenants. Default: everything.
        tenants: Vec<At<String>> = "[]",
    }

    /// A spike: in the last `window` more than `minimum_usd`, more than `factor` times what such a
    /// time usually costs (on average, of those in which anything was spent), and more than any cost
    /// in `history`. Nobody is judged before the gateway has seen a day of them.
    SpendSpikes in "`spend_spikes`" {
        /// `false` switches it off.
        active: bool = "true",
        /// How many times the usual.
        factor: Factor = "3",
        /// The time that is looked at.
        window: Period = "1h",
        /// What it is compared with.
        history: Period = "7d",
        /// Less than this is no spike.
        minimum_usd: UsdText = "1",
    }
}

/// `format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormatWord(pub WebhookFormat);

impl Scalar for FormatWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &WebhookFormat::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": WebhookFormat::WORDS.map(|(word, _)| word)})
    }
}

/// One of `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventWord(pub AlertKind);

impl Scalar for EventWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &AlertKind::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": AlertKind::WORDS.map(|(word, _)| word)})
    }
}

/// A factor with at most two decimals, in hundredths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Factor(pub u64);

impl Scalar for Factor {
    fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a number from 1.1 to 1000 with at most two decimals".to_owned();
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 || whole.len() > 4 {
            return Err(expected());
        }
        let percent: u64 = format!("{whole}{decimals:0<2}").parse().map_err(|_| expected())?;
        (110..=100_000).contains(&percent).then_some(Self(percent)).ok_or_else(expected)
    }

    fn schema() -> Schema {
        json_schema!({"anyOf": [
            {"type": "number", "minimum": 1.1, "maximum": 1000},
            {"type": "string", "pattern": r"^(\$\{|file:)"},
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_hundredths() {
        for (text, percent) in [("3", 300), ("1.1", 110), ("2.25", 225), ("1000", 100_000)] {
            assert_eq!(Factor::parse(text), Ok(Factor(percent)));
        }
        for text in ["", "1", "0", "-2", "1.", ".5", "2.255", "1000.01", "3x", "99999999999999999999"] {
            assert!(Factor::parse(text).is_err(), "{text}");
        }
    }
}
