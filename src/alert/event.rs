//! One alert: what happened to whom, as text and as data.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::config::alerts::AlertKind;
use crate::limit::clock::Rfc3339;
use crate::wire::json::Obj;

/// Names that clients choose (models, tags) are cut to this.
const MOST_NAME_CHARS: usize = 200;
/// And whole texts to this.
const MOST_TEXT_CHARS: usize = 2_000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What happened. Kind, subject and `about` together say whether two are the same.
#[derive(Debug, Clone)]
pub struct Event {
    pub kind: AlertKind,
    pub severity: Severity,
    /// `tenant acme`, `endpoint openai#1`.
    pub subject: String,
    /// Which of several things of the subject's: a budget and its threshold.
    pub about: String,
    /// Whom it concerns, where that is one tenant.
    pub tenant: Option<String>,
    /// Clients choose what it is about, and may make up as many as they like.
    pub by_clients: bool,
    /// One sentence.
    pub text: String,
    /// Members of a JSON object, without its braces.
    data: Vec<u8>,
    /// It is over.
    pub resolved: bool,
}

impl Event {
    pub fn new(kind: AlertKind, severity: Severity, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind,
            severity,
            subject: brief(&subject.into(), MOST_NAME_CHARS),
            about: String::new(),
            tenant: None,
            by_clients: false,
            text: brief(&text.into(), MOST_TEXT_CHARS),
            data: b"{}".to_vec(),
            resolved: false,
        }
    }

    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    /// The same in other words.
    #[must_use]
    pub fn saying(self, text: &str) -> Self {
        Self { text: brief(text, MOST_TEXT_CHARS), ..self }
    }

    #[must_use]
    pub fn of_tenant(self, tenant: Option<&str>) -> Self {
        Self { tenant: tenant.map(str::to_owned), ..self }
    }

    #[must_use]
    pub fn by_clients(self, by_clients: bool) -> Self {
        Self { by_clients, ..self }
    }

    #[must_use]
    pub fn with(mut self, write: impl FnOnce(&mut Obj<'_>)) -> Self {
        self.data.clear();
        write(&mut Obj::new(&mut self.data));
        self
    }

    /// The word that this is about something that is over. Only what was told of is.
    #[must_use]
    pub fn over(self) -> Self {
        let kind = match self.kind {
            AlertKind::StoreDown => AlertKind::StoreUp,
            AlertKind::DatabaseDown => AlertKind::DatabaseUp,
            kind => kind,
        };
        Self { kind, severity: Severity::Info, resolved: true, ..self }
    }
}

/// An event that is told.
#[derive(Debug, Clone)]
pub struct Alert {
    pub id: Uuid,
    pub at_ms: u64,
    pub event: Event,
}

impl Alert {
    /// The members of its JSON.
    pub(super) fn write(&self, row: &mut Obj<'_>) {
        let event = &self.event;
        row.text("id", &self.id.to_string());
        row.text("kind", event.kind.as_str()).text("severity", event.severity.as_str());
        row.text("state", if event.resolved { "resolved" } else { "raised" });
        row.text("at", &Rfc3339(self.at()).to_string());
        row.text("subject", &event.subject);
        match &event.tenant {
            Some(tenant) => row.text("tenant", tenant),
            None => row.null("tenant"),
        };
        row.text("text", &event.text);
        row.key("data").extend_from_slice(&event.data);
    }

    pub(super) fn at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.at_ms)
    }
}

/// Text without control characters, and not endless.
pub(super) fn brief(text: &str, most_chars: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().map(clean).take(most_chars).collect();
    if text.chars().nth(most_chars).is_some() {
        shown.push_str("...");
    }
    shown
}

/// A text of several lines, not endless.
pub(super) fn brief_lines(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_TEXT_CHARS).collect();
    if text.chars().nth(MOST_TEXT_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// What an error of a library's says, without a credential that stands in a URL of it.
pub(super) fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        out.push_str(before);
        out.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/?#\"'`)".contains(c)).unwrap_or(after.len());
        let (authority, behind) = after.split_at_checked(end).unwrap_or((after, ""));
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = behind;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_short_and_hold_no_credentials() {
        assert_eq!(brief("a\nb", 5), "a b");
        assert_eq!(brief("abcdef", 5), "abcde...");
        assert_eq!(brief("abcde", 5), "abcde");
        let hidden = [
            ("redis://:pw@h:1/0: refused", "redis://h:1/0: refused"),
            ("at postgres://u:p@ss@h/db and https://x:y@z", "at postgres://h/db and https://z"),
            ("no URL: a@b", "no URL: a@b"),
            ("http://h/a@b", "http://h/a@b"),
        ];
        for (text, expected) in hidden {
            assert_eq!(without_credentials(text), expected);
        }
    }

    #[test]
    fn what_is_over_has_its_own_word_where_there_is_one() {
        let event = |kind| Event::new(kind, Severity::Critical, "s", "t").over();
        assert_eq!(event(AlertKind::StoreDown).kind, AlertKind::StoreUp);
        assert_eq!(event(AlertKind::DatabaseDown).kind, AlertKind::DatabaseUp);
        let lag = event(AlertKind::LedgerLag);
        assert_eq!((lag.kind, lag.severity, lag.resolved), (AlertKind::LedgerLag, Severity::Info, true));
    }
}
