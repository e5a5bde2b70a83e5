//! Second attempts: how often, when and whom to ask again, and how long to wait.

use std::time::Duration;

use super::runtime::Timeouts;

/// How often, when and whom to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptRules {
    /// Attempts after the first.
    pub retries: u32,
    /// The first wait before a target is asked again.
    pub backoff: Duration,
    /// The longest wait for a target that says when to come back.
    pub max_wait: Duration,
    /// Ask a target again also where it may have billed.
    pub resend: bool,
    /// Of a stream's silence; `None` never breaks it.
    pub keepalive: Option<Duration>,
    /// After a context that was too long, a target with a longer window.
    pub longer_context: bool,
    /// A stream that breaks goes on from another target.
    pub continues: bool,
    /// A second attempt when the first is late.
    pub hedge: bool,
    pub timeouts: Patience,
}

impl Default for AttemptRules {
    /// What a file without a word about it comes to.
    fn default() -> Self {
        Self {
            retries: 2,
            backoff: Duration::from_millis(100),
            max_wait: Duration::from_secs(2),
            resend: false,
            keepalive: Some(Duration::from_secs(10)),
            longer_context: false,
            continues: false,
            hedge: false,
            timeouts: Patience::default(),
        }
    }
}

/// `timeouts` of a route or a request: what is said of them. `total` holds for all attempts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patience {
    pub connect: Option<Duration>,
    pub first_token: Option<Duration>,
    pub idle: Option<Duration>,
    pub total: Option<Duration>,
}

impl Patience {
    /// A deployment's own where nothing else is said.
    pub fn over(&self, own: Timeouts) -> Timeouts {
        Timeouts {
            connect: self.connect.unwrap_or(own.connect),
            first_token: self.first_token.unwrap_or(own.first_token),
            idle: self.idle.unwrap_or(own.idle),
            total: own.total,
        }
    }

    /// Whether any of it ends sooner than a deployment's own.
    pub fn is_shorter(&self, own: Timeouts) -> bool {
        let said = [self.connect, self.first_token, self.idle, self.total];
        let own = [own.connect, own.first_token, own.idle, own.total];
        said.iter().zip(own).any(|(said, own)| said.is_some_and(|said| said < own))
    }

    /// What is said here, then what is said there.
    pub fn or(self, other: Self) -> Self {
        Self {
            connect: self.connect.or(other.connect),
            first_token: self.first_token.or(other.first_token),
            idle: self.idle.or(other.idle),
            total: self.total.or(other.total),
        }
    }
}

/// `retry_budget`: second attempts in any ten seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryShare {
    /// Of the first attempts.
    pub percent: u32,
    /// That many are always allowed.
    pub floor: u32,
}

impl Default for RetryShare {
    /// What a file without a word about it comes to.
    fn default() -> Self {
        Self { percent: 10, floor: 100 }
    }
}
