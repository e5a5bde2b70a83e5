//! What may be said: one function for each thing that happens, called where it is seen.
//!
//! Texts of errors that come from elsewhere are shown without credentials in their URLs.

use std::time::Duration;

use super::event::without_credentials;
use super::spending::{Spender, Spike};
use super::{Alerts, Event, Severity};
use crate::config::alerts::AlertKind;
use crate::config::budget::{Amount, Unit};
use crate::limit::Scope;
use crate::limit::budget::{Bounds, Crossed};
use crate::limit::clock::whole_ms;

impl Alerts {
    /// A request's end took a budget over one of its thresholds.
    pub fn budget_crossed(&self, crossed: &Crossed, unix_ms: u64) {
        let Crossed { scope, budget, percent, spent } = crossed;
        let (kind, name) = (scope.kind(), scope.name());
        let severity = match *percent {
            100.. if !budget.soft => Severity::Critical,
            80.. => Severity::Warning,
            _ => Severity::Info,
        };
        let soft = if budget.soft { "soft " } else { "" };
        let text = match percent {
            100.. => format!("the {soft}budget of the {kind} `{name}` is used up: {budget}"),
            percent => format!("{percent}% of the {soft}budget of the {kind} `{name}` are used: {budget}"),
        };
        // A period that begins anew, or a budget of another size, is another one to be told of.
        let (begins_ms, tenant) = (Bounds::around(&budget.period, unix_ms).begins_ms, scope.tenant());
        let event = Event::new(AlertKind::BudgetThreshold, severity, format!("{kind} {name}"), text)
            .about(format!("{tenant} {} {} {percent} {begins_ms}", budget.name(), budget.most))
            .by_clients(matches!(scope, Scope::User { .. } | Scope::Tag { .. }))
            .of_tenant(Some(tenant))
            .with(|data| {
                data.text("scope", kind).text("name", name).text("budget", &budget.name());
                data.num("percent", (*percent).into()).text("unit", budget.unit.as_str()).bool("soft", budget.soft);
                data.raw("limit", &Amount(budget.unit, budget.most).to_string());
                data.raw("spent", &Amount(budget.unit, *spent).to_string());
            });
        self.raise(event);
    }

    /// Tokens were used whose price nobody knows.
    pub(super) fn unknown_price(&self, provider: &str, model: &str, tenant: Option<&str>) {
        let text = format!(
            "the model `{provider}/{model}` has no price: its requests cost nothing in budgets and reports until it has one"
        );
        let event = Event::new(AlertKind::UnknownPrice, Severity::Warning, format!("model {provider}/{model}"), text)
            .by_clients(true)
            .of_tenant(tenant)
            .with(|data| _ = data.text("provider", provider).text("model", model));
        self.raise(event);
    }

    /// Somebody spends out of the ordinary.
    pub(super) fn spend_spike(&self, who: Spender, name: &str, tenant: Option<&str>, spike: &Spike) {
        let usd = |pico: u64| Amount(Unit::Usd, pico.into()).to_string();
        let window = self.rules().spend_spikes.map_or(0, |rules| rules.window.as_secs());
        let cents = |pico: u64| format!("{}.{:02}", pico / PICO, pico % PICO / (PICO / 100));
        let text = format!(
            "the {} `{name}` has spent {} USD in {}; usually it is {} USD",
            who.as_str(),
            cents(spike.spent),
            span(window),
            cents(spike.usual),
        );
        let event = Event::new(AlertKind::SpendSpike, Severity::Warning, format!("{} {name}", who.as_str()), text)
            .by_clients(who == Spender::Tag)
            .of_tenant(tenant)
            .with(|data| {
                data.text("scope", who.as_str()).text("name", name).num("window_s", window);
                data.raw("spent_usd", &usd(spike.spent)).raw("usual_usd", &usd(spike.usual));
                data.raw("highest_usd", &usd(spike.highest));
            });
        self.raise(event);
    }

    /// How far the ledger's database is behind. To be called every second or so.
    pub fn ledger_lag(&self, behind: Duration) {
        let text = format!("the ledger's rows reach the database {} late", span(behind.as_secs()));
        let event = Event::new(AlertKind::LedgerLag, Severity::Warning, "ledger", text)
            .with(|data| _ = data.num("behind_ms", whole_ms(behind)));
        if behind > self.rules.load().ledger_lag {
            self.begin(event);
        } else {
            self.resolve(event.saying("the ledger's rows reach the database in time again"));
        }
    }

    /// Whether the write-ahead log has reached its cap, or its disk is full (`why`), and whether requests
    /// are refused then.
    pub fn ledger_full(&self, why: Option<&str>, refuses: bool) {
        let so = if refuses { "requests are refused" } else { "requests go unrecorded" };
        let text = match why {
            Some(why) => format!("the ledger cannot grow, {so}: {}", without_credentials(why)),
            None => "the ledger can grow again".to_owned(),
        };
        self.state_of(why.is_some(), Event::new(AlertKind::LedgerFull, Severity::Critical, "ledger", text));
    }

    /// The store that replicas share does not answer (`why`), or does.
    pub fn shared_store(&self, why: Option<&str>) {
        let text = match why {
            Some(why) => format!("the shared store does not answer: {}", without_credentials(why)),
            None => "the shared store answers again".to_owned(),
        };
        self.state_of(why.is_some(), Event::new(AlertKind::StoreDown, Severity::Critical, "shared store", text));
    }

    /// The same of the database of usage and keys.
    pub fn database(&self, why: Option<&str>) {
        let text = match why {
            Some(why) => format!("the database does not answer: {}", without_credentials(why)),
            None => "the database answers again".to_owned(),
        };
        self.state_of(why.is_some(), Event::new(AlertKind::DatabaseDown, Severity::Critical, "database", text));
    }

    /// An endpoint's credential is refused by its provider, or is taken.
    pub fn credential_refused(&self, endpoint: &str, refused: bool) {
        let text = match refused {
            true => format!("the provider refuses the credential of `{endpoint}`: nothing is sent there"),
            false => format!("the provider takes the credential of `{endpoint}` again"),
        };
        let event = Event::new(AlertKind::CredentialFailed, Severity::Critical, format!("endpoint {endpoint}"), text)
            .about("refused")
            .with(|data| _ = data.text("endpoint", endpoint).text("cause", "refused"));
        self.state_of(refused, event);
    }

    /// An endpoint's credential could not be fetched (`why`), or was.
    pub fn credential_fetched(&self, endpoint: &str, why: Option<&str>) {
        let text = match why {
            Some(why) => {
                format!("the credential of `{endpoint}` could not be fetched: {}", without_credentials(why))
            }
            None => format!("the credential of `{endpoint}` could be fetched again"),
        };
        let event = Event::new(AlertKind::CredentialFailed, Severity::Critical, format!("endpoint {endpoint}"), text)
            .about("fetch")
            .with(|data| _ = data.text("endpoint", endpoint).text("cause", "not_fetched"));
        self.state_of(why.is_some(), event);
    }

    /// A configuration was refused (`why`, without secrets) and the old one stays, or one was taken.
    pub fn reloaded(&self, why: Option<&str>) {
        let first = why.and_then(|why| why.lines().next()).unwrap_or_default();
        let text = match why {
            Some(_) => format!("the configuration was not reloaded, the old one stays: {first}"),
            None => "the configuration was reloaded".to_owned(),
        };
        let event = Event::new(AlertKind::ConfigReloadFailed, Severity::Warning, "configuration", text)
            .with(|data| _ = data.text("report", &super::event::brief_lines(why.unwrap_or_default())));
        self.state_of(why.is_some(), event);
    }

    /// A model at an endpoint (none: all of it) has been out for too long (`why`), or is back.
    pub fn endpoint_down(&self, endpoint: &str, model: Option<&str>, why: Option<&str>) {
        let of = model.map(|model| format!("the model `{model}` at ")).unwrap_or_default();
        let text = match why {
            Some(why) => format!("{of}the endpoint `{endpoint}` is out: {why}"),
            None => format!("{of}the endpoint `{endpoint}` serves again"),
        };
        let event = Event::new(AlertKind::EndpointDown, Severity::Warning, format!("endpoint {endpoint}"), text)
            .about(model.unwrap_or_default())
            .with(|data| {
                data.text("endpoint", endpoint);
                match model {
                    Some(model) => data.text("model", model),
                    None => data.null("model"),
                };
                data.text("cause", why.unwrap_or_default());
            });
        self.state_of(why.is_some(), event);
    }

    /// An endpoint is no longer in the configuration: nothing that was wrong with it goes on.
    pub fn endpoint_gone(&self, endpoint: &str) {
        let subject = format!("endpoint {endpoint}");
        let text = format!("the endpoint `{endpoint}` is no longer in the configuration");
        for (kind, about) in self.going_on(&subject) {
            let event = Event::new(kind, Severity::Info, subject.as_str(), text.as_str()).about(about);
            self.resolve(event.with(|data| _ = data.text("endpoint", endpoint)));
        }
    }

    fn state_of(&self, is_bad: bool, event: Event) {
        if is_bad { self.begin(event) } else { self.resolve(event) }
    }
}

const PICO: u64 = 1_000_000_000_000;

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}
