//! Alerts as they are configured: which there are, and who is told.

use std::fmt;
use std::time::Duration;

use super::runtime::BaseUrl;
use crate::secret::Secret;

/// What an alert is about. The words are the configuration's, the message's and the metric's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    BudgetThreshold,
    SpendSpike,
    UnknownPrice,
    LedgerLag,
    LedgerFull,
    StoreDown,
    StoreUp,
    DatabaseDown,
    DatabaseUp,
    CredentialFailed,
    ConfigReloadFailed,
    EndpointDown,
}

impl AlertKind {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 12] = [
        ("budget_threshold", Self::BudgetThreshold),
        ("spend_spike", Self::SpendSpike),
        ("unknown_price", Self::UnknownPrice),
        ("ledger_lag", Self::LedgerLag),
        ("ledger_full", Self::LedgerFull),
        ("store_down", Self::StoreDown),
        ("store_up", Self::StoreUp),
        ("database_down", Self::DatabaseDown),
        ("database_up", Self::DatabaseUp),
        ("credential_failed", Self::CredentialFailed),
        ("config_reload_failed", Self::ConfigReloadFailed),
        ("endpoint_down", Self::EndpointDown),
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BudgetThreshold => "budget_threshold",
            Self::SpendSpike => "spend_spike",
            Self::UnknownPrice => "unknown_price",
            Self::LedgerLag => "ledger_lag",
            Self::LedgerFull => "ledger_full",
            Self::StoreDown => "store_down",
            Self::StoreUp => "store_up",
            Self::DatabaseDown => "database_down",
            Self::DatabaseUp => "database_up",
            Self::CredentialFailed => "credential_failed",
            Self::ConfigReloadFailed => "config_reload_failed",
            Self::EndpointDown => "endpoint_down",
        }
    }
}

impl AlertKind {
    /// Only says that something else is over.
    pub const fn is_an_end(self) -> bool {
        matches!(self, Self::StoreUp | Self::DatabaseUp)
    }
}

/// `alerts:`
#[derive(Debug, Clone, PartialEq)]
pub struct Alerts {
    /// In the order of the file.
    pub webhooks: Vec<Webhook>,
    /// `None` where they are switched off.
    pub spend_spikes: Option<SpendSpikes>,
    /// A ledger further behind than this.
    pub ledger_lag: Duration,
    /// An endpoint that is out for longer than this.
    pub endpoint_down: Duration,
    /// The same about the same is told again after this.
    pub repeat_after: Duration,
}

impl Default for Alerts {
    /// As where the file says nothing.
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            webhooks: Vec::new(),
            spend_spikes: Some(SpendSpikes::default()),
            ledger_lag: MINUTE,
            endpoint_down: MINUTE,
            repeat_after: MINUTE * 60,
        }
    }
}

/// `spend_spikes`: spending that is out of the ordinary, by each one's own history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpendSpikes {
    /// In hundredths: 300 is three times as much.
    pub factor_percent: u64,
    pub window: Duration,
    pub history: Duration,
    /// In pico-USD; what costs less in a window is nobody's worry.
    pub minimum: u64,
}

impl Default for SpendSpikes {
    fn default() -> Self {
        const HOUR: Duration = Duration::from_secs(3_600);
        Self { factor_percent: 300, window: HOUR, history: HOUR * 24 * 7, minimum: 1_000_000_000_000 }
    }
}

/// What a webhook gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookFormat {
    Weir,
    Slack,
}

impl WebhookFormat {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 2] = [("weir", Self::Weir), ("slack", Self::Slack)];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Weir => "weir",
            Self::Slack => "slack",
        }
    }
}

/// One entry of `alerts.webhooks`.
#[derive(Debug, Clone, PartialEq)]
pub struct Webhook {
    /// In metrics, the log and the admin API, which never show the URL's path: it often is a secret.
    pub name: String,
    pub url: WebhookUrl,
    /// Signs what is sent.
    pub secret: Option<Secret>,
    pub format: WebhookFormat,
    /// Empty: all.
    pub events: Vec<AlertKind>,
    /// Only what concerns these; empty: everything.
    pub tenants: Vec<String>,
}

/// A URL of which only scheme, host and port may be shown.
#[derive(Clone, PartialEq)]
pub struct WebhookUrl {
    pub base: BaseUrl,
    /// The whole of it.
    pub whole: Secret,
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.base.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}/...", self.base.authority)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Webhook {
    /// Whether it is told of this.
    pub fn wants(&self, kind: AlertKind, tenant: Option<&str>) -> bool {
        let is_its = |tenant: &str| self.tenants.iter().any(|own| own == tenant);
        (self.events.is_empty() || self.events.contains(&kind))
            && (self.tenants.is_empty() || tenant.is_some_and(is_its))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_kinds_agree() {
        for (word, kind) in AlertKind::WORDS {
            assert_eq!(kind.as_str(), word);
        }
        for (word, format) in WebhookFormat::WORDS {
            assert_eq!(format.as_str(), word);
        }
    }

    #[test]
    fn a_webhook_gets_what_it_asked_for() {
        let base =
            BaseUrl { tls: true, host: "h".into(), port: 443, path: "/secret-path".into(), authority: "h".into() };
        let url = WebhookUrl { base, whole: Secret::new("https://h/secret-path") };
        let mut hook = Webhook {
            name: "h".into(),
            url,
            secret: Some(Secret::new("signing-secret")),
            format: WebhookFormat::Weir,
            events: Vec::new(),
            tenants: Vec::new(),
        };
        assert!(hook.wants(AlertKind::LedgerFull, None) && hook.wants(AlertKind::SpendSpike, Some("a")));
        hook.events = vec![AlertKind::SpendSpike];
        assert!(!hook.wants(AlertKind::LedgerFull, None) && hook.wants(AlertKind::SpendSpike, None));
        hook.tenants = vec!["a".into()];
        assert!(!hook.wants(AlertKind::SpendSpike, None) && !hook.wants(AlertKind::SpendSpike, Some("b")));
        assert!(hook.wants(AlertKind::SpendSpike, Some("a")));
        let shown = format!("{hook:?} {}", hook.url);
        assert!(!shown.contains("secret-path") && !shown.contains("signing"), "{shown}");
    }
}
