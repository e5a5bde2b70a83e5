//! Why an attempt failed, and what that means for those to come.

use crate::error::{Error, Kind, Retry};

/// The cause of a failed attempt, as far as routing cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many requests or tokens for now.
    RateLimited,
    /// The account's money or its quota of the day is gone.
    Quota,
    /// Up, and without capacity.
    Overloaded,
    /// The request is longer than the model's window.
    ContextTooLong,
    /// A policy on content.
    ContentRefused,
    /// The request is wrong.
    Rejected,
    /// The gateway's credential was refused.
    Auth,
    /// No such model or path.
    NotFound,
    /// A deadline passed.
    Timeout,
    /// No connection, or one that broke.
    Broken,
    /// A status 500, or an answer that cannot be read.
    Failed,
    /// The client left.
    ClientGone,
    /// Another attempt of the same request was faster, or it was ended here.
    Cancelled,
    /// All its places are taken, and so is the line.
    NoPlace,
    /// A defect of ours, or a refusal before anybody was asked.
    Internal,
}

impl Cause {
    pub fn of(error: &Error) -> Self {
        match error.kind() {
            Kind::UpstreamRateLimited => Self::RateLimited,
            Kind::UpstreamQuota => Self::Quota,
            Kind::UpstreamContextTooLong => Self::ContextTooLong,
            Kind::UpstreamRefusedContent => Self::ContentRefused,
            Kind::UpstreamBroken => Self::Broken,
            Kind::UpstreamOverloaded | Kind::NoHealthyUpstream => Self::Overloaded,
            Kind::UpstreamRejected => Self::Rejected,
            Kind::UpstreamAuth => Self::Auth,
            Kind::UpstreamNotFound => Self::NotFound,
            Kind::UpstreamTimeout => Self::Timeout,
            Kind::UpstreamFailed => Self::Failed,
            Kind::ClientGone => Self::ClientGone,
            Kind::ShuttingDown => Self::Cancelled,
            Kind::RateLimited => Self::NoPlace,
            _ => Self::Internal,
        }
    }

    /// As records and metrics call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Quota => "quota",
            Self::Overloaded => "overloaded",
            Self::ContextTooLong => "context_too_long",
            Self::ContentRefused => "content_refused",
            Self::Rejected => "rejected",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::Failed => "failed",
            Self::ClientGone => "client_gone",
            Self::Cancelled => "cancelled",
            Self::NoPlace => "no_place",
            Self::Internal => "internal",
        }
    }

    /// How useful its error is to the client, against those of other attempts.
    fn usefulness(self) -> u8 {
        match self {
            Self::ClientGone => 9,
            // About the request itself: the client can mend it.
            Self::Rejected | Self::ContextTooLong | Self::ContentRefused => 8,
            // It knows when to come back.
            Self::RateLimited | Self::NoPlace => 7,
            Self::Overloaded => 6,
            Self::Timeout => 5,
            Self::Failed => 4,
            Self::Broken => 3,
            Self::NotFound => 2,
            // The operator's to mend.
            Self::Quota | Self::Auth => 1,
            Self::Cancelled | Self::Internal => 0,
        }
    }
}

/// What is known of a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    pub cause: Cause,
    pub retry: Retry,
    /// The upstream surely did not work on it.
    pub unbilled: bool,
    /// When it wants to be asked again.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    pub fn of(error: &Error) -> Self {
        let after = error.retry_after().map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Self { cause: Cause::of(error), retry: error.retry(), unbilled: error.is_unbilled(), retry_after_ms: after }
    }

    /// Whether this one's error tells the client more than that one's, which came before.
    pub fn tells_more_than(&self, earlier: &Self) -> bool {
        self.cause.usefulness() >= earlier.cause.usefulness()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(kind: Kind) -> Failure {
        Failure::of(&Error::new(kind, "no"))
    }

    #[test]
    fn every_error_has_its_cause() {
        let table = [
            (Kind::UpstreamRateLimited, Cause::RateLimited, Retry::NextTarget, true),
            (Kind::UpstreamQuota, Cause::Quota, Retry::NextTarget, true),
            (Kind::UpstreamOverloaded, Cause::Overloaded, Retry::NextTarget, true),
            (Kind::UpstreamAuth, Cause::Auth, Retry::NextTarget, true),
            (Kind::UpstreamNotFound, Cause::NotFound, Retry::NextTarget, true),
            (Kind::UpstreamTimeout, Cause::Timeout, Retry::NextTarget, false),
            (Kind::UpstreamBroken, Cause::Broken, Retry::NextTarget, false),
            (Kind::UpstreamFailed, Cause::Failed, Retry::NextTarget, false),
            (Kind::UpstreamRejected, Cause::Rejected, Retry::No, true),
            (Kind::UpstreamContextTooLong, Cause::ContextTooLong, Retry::No, true),
            (Kind::UpstreamRefusedContent, Cause::ContentRefused, Retry::No, false),
            (Kind::ClientGone, Cause::ClientGone, Retry::No, false),
            (Kind::InvalidRequest, Cause::Internal, Retry::No, false),
            (Kind::Internal, Cause::Internal, Retry::No, false),
        ];
        for (kind, cause, retry, unbilled) in table {
            assert_eq!(failure(kind), Failure { cause, retry, unbilled, retry_after_ms: None }, "{kind:?}");
        }
        let unsent = Error::new(Kind::UpstreamBroken, "no").with_retry(Retry::SameTarget);
        assert!(Failure::of(&unsent).unbilled, "what never reached it costs nothing");
        let later =
            Error::new(Kind::UpstreamRateLimited, "no").with_retry_after(std::time::Duration::from_millis(1_500));
        assert_eq!(Failure::of(&later).retry_after_ms, Some(1_500));
    }

    #[test]
    fn the_most_useful_error_is_told() {
        let tells_more = |later: Kind, earlier: Kind| failure(later).tells_more_than(&failure(earlier));
        assert!(tells_more(Kind::UpstreamRejected, Kind::UpstreamFailed), "the client can mend that");
        assert!(!tells_more(Kind::UpstreamAuth, Kind::UpstreamRateLimited), "that is nothing to the client");
        assert!(!tells_more(Kind::UpstreamBroken, Kind::UpstreamOverloaded));
        assert!(tells_more(Kind::UpstreamFailed, Kind::UpstreamFailed), "of equal ones the last");
    }
}
