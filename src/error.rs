//! The one error a request can end in.
//!
//! What happened ([`Kind`], closed), whose fault it was ([`Origin`]), whether another attempt may
//! help ([`Retry`]) and what the caller may read are kept apart from the internal detail, which
//! only the log sees. Status and codes come from one table, [`Kind::face`]; the JSON around them is
//! the dialect's affair (`wire/*/error.rs`).

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Result of a stage.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// No credential where one is needed.
    MissingKey,
    /// A credential nobody here issued.
    InvalidKey,
    /// The key exists and was switched off.
    KeyInactive,
    /// The key exists and its date has passed.
    KeyExpired,
    /// The key may not be used from there.
    AddressNotAllowed,
    /// A key that cannot be told from no key at all: where keys are kept is away.
    KeysUnavailable,
    /// The key may not use this model.
    ModelNotAllowed,
    /// The body is not JSON, or JSON with a duplicate top-level member.
    InvalidJson,
    /// A member is missing or has a value that cannot be served.
    InvalidRequest,
    /// A guard does not let it pass.
    ContentBlocked,
    /// A guard that nothing passes without cannot be asked.
    GuardUnavailable,
    /// `strict` is on and the target cannot express a member.
    NotExpressible,
    /// Nobody serves this model.
    UnknownModel,
    /// No such file, batch or stored response, or none of the caller's.
    NotFound,
    /// No such path.
    UnknownUrl,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The body is over `server.max_body`.
    BodyTooLarge,
    /// The body has a content coding nobody here knows.
    UnknownEncoding,
    /// The body did not arrive within `server.body_timeout`.
    BodyTimeout,
    /// A rate, token or concurrency limit.
    RateLimited,
    /// A budget is spent.
    BudgetExhausted,
    /// The store of limits is gone, and they refuse without it.
    LimitsLost,
    /// The upstream answered with a status 500, or with what cannot be read.
    UpstreamFailed,
    /// The upstream could not be reached, or the connection to it broke.
    UpstreamBroken,
    /// No upstream is in a state to be asked.
    NoHealthyUpstream,
    /// The upstream is up and has no capacity.
    UpstreamOverloaded,
    /// The upstream took longer than the deadline.
    UpstreamTimeout,
    /// The upstream limits us.
    UpstreamRateLimited,
    /// The account's money or its quota of the day is gone.
    UpstreamQuota,
    /// The upstream says that the request itself is wrong.
    UpstreamRejected,
    /// The request is longer than the model can read.
    UpstreamContextTooLong,
    /// The upstream will not answer such content.
    UpstreamRefusedContent,
    /// The upstream refuses the gateway's own credential.
    UpstreamAuth,
    /// The upstream does not know the model or the path.
    UpstreamNotFound,
    /// The client left.
    ClientGone,
    /// The request cannot be written down, so it is not made.
    Unrecorded,
    /// The gateway ends, and waits no longer.
    ShuttingDown,
    /// A defect of ours.
    Internal,
}

/// Who has to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    Client,
    Gateway,
    Upstream,
}

/// Whether another attempt can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request fails everywhere.
    No,
    /// Nothing reached the upstream: the same target may be asked again.
    SameTarget,
    /// Another target may do better.
    NextTarget,
}

/// What a kind looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// HTTP status for OpenAI-format callers.
    pub status: u16,
    /// HTTP status for Anthropic-format callers (529 where Anthropic says overloaded).
    pub anthropic_status: u16,
    /// OpenAI's `error.type`.
    pub openai_type: &'static str,
    /// OpenAI's `error.code`, also the `error` label of metrics and logs.
    pub code: &'static str,
    /// Anthropic's `error.type`.
    pub anthropic_type: &'static str,
}

const fn face(status: u16, openai_type: &'static str, code: &'static str, anthropic_type: &'static str) -> Face {
    Face { status, anthropic_status: status, openai_type, code, anthropic_type }
}

impl Kind {
    /// Status and names of this kind: the only place where they are written down.
    pub const fn face(self) -> Face {
        const BAD: &str = "invalid_request_error";
        match self {
            Self::MissingKey | Self::InvalidKey => {
                face(401, "authentication_error", "invalid_api_key", "authentication_error")
            }
            Self::KeyInactive => face(403, "permission_error", "key_inactive", "permission_error"),
            Self::KeyExpired => face(403, "permission_error", "key_expired", "permission_error"),
            Self::AddressNotAllowed => face(403, "permission_error", "address_not_allowed", "permission_error"),
            Self::KeysUnavailable => {
                Face { anthropic_status: 529, ..face(503, "api_error", "keys_unavailable", "overloaded_error") }
            }
            Self::ModelNotAllowed => face(403, "permission_error", "model_not_allowed", "permission_error"),
            Self::InvalidJson => face(400, BAD, "invalid_json", BAD),
            Self::InvalidRequest | Self::NotExpressible => face(400, BAD, "invalid_request", BAD),
            Self::ContentBlocked => face(400, BAD, "content_blocked", BAD),
            Self::GuardUnavailable => face(503, "api_error", "guard_unavailable", "api_error"),
            Self::UnknownModel => face(404, BAD, "model_not_found", "not_found_error"),
            Self::NotFound => face(404, BAD, "not_found", "not_found_error"),
            Self::UnknownUrl => face(404, BAD, "unknown_url", "not_found_error"),
            Self::MethodNotAllowed => face(405, BAD, "unknown_url", "not_found_error"),
            Self::BodyTooLarge => face(413, BAD, "request_too_large", "request_too_large"),
            Self::UnknownEncoding => face(415, BAD, "unsupported_content_encoding", BAD),
            Self::BodyTimeout => face(408, BAD, "request_timeout", "timeout_error"),
            Self::RateLimited => face(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
            Self::BudgetExhausted => face(429, "insufficient_quota", "insufficient_quota", "rate_limit_error"),
            Self::LimitsLost => face(503, "api_error", "limits_unavailable", "api_error"),
            Self::UpstreamFailed | Self::UpstreamBroken => face(502, "api_error", "upstream_error", "api_error"),
            // Nobody is left to read it; the code is for the record.
            Self::ClientGone => face(499, "api_error", "client_closed", "api_error"),
            Self::NoHealthyUpstream => {
                Face { anthropic_status: 529, ..face(503, "api_error", "no_healthy_upstream", "overloaded_error") }
            }
            Self::UpstreamOverloaded => {
                Face { anthropic_status: 529, ..face(503, "api_error", "upstream_error", "overloaded_error") }
            }
            Self::UpstreamTimeout => face(504, "api_error", "upstream_timeout", "timeout_error"),
            Self::UpstreamRateLimited => face(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error"),
            Self::UpstreamQuota => face(429, "rate_limit_error", "insufficient_quota", "rate_limit_error"),
            Self::UpstreamRejected | Self::UpstreamRefusedContent => face(400, BAD, "invalid_request", BAD),
            Self::UpstreamContextTooLong => face(400, BAD, "context_length_exceeded", BAD),
            // Our own credential is not the caller's affair: to them the provider failed.
            Self::UpstreamAuth => face(502, "api_error", "upstream_error", "api_error"),
            Self::UpstreamNotFound => face(404, BAD, "model_not_found", "not_found_error"),
            Self::Unrecorded => face(503, "api_error", "ledger_unavailable", "api_error"),
            Self::ShuttingDown => face(503, "api_error", "shutting_down", "api_error"),
            Self::Internal => face(500, "api_error", "internal_error", "api_error"),
        }
    }

    /// Whose fault it is.
    pub const fn origin(self) -> Origin {
        match self {
            Self::UpstreamFailed
            | Self::UpstreamBroken
            | Self::NoHealthyUpstream
            | Self::UpstreamOverloaded
            | Self::UpstreamTimeout
            | Self::UpstreamRateLimited
            | Self::UpstreamQuota
            | Self::UpstreamRejected
            | Self::UpstreamContextTooLong
            | Self::UpstreamRefusedContent
            | Self::UpstreamAuth
            | Self::UpstreamNotFound => Origin::Upstream,
            Self::Internal
            | Self::GuardUnavailable
            | Self::KeysUnavailable
            | Self::LimitsLost
            | Self::Unrecorded
            | Self::ShuttingDown => Origin::Gateway,
            _ => Origin::Client,
        }
    }

    /// What another attempt can do about it.
    pub const fn retry(self) -> Retry {
        match self {
            Self::UpstreamFailed
            | Self::UpstreamBroken
            | Self::NoHealthyUpstream
            | Self::UpstreamOverloaded
            | Self::UpstreamTimeout
            | Self::UpstreamRateLimited
            | Self::UpstreamQuota
            | Self::UpstreamAuth
            | Self::UpstreamNotFound => Retry::NextTarget,
            _ => Retry::No,
        }
    }

    /// Whether the upstream turned down the request itself, which says nothing against the upstream.
    pub const fn is_clients_own(self) -> bool {
        matches!(self, Self::UpstreamRejected | Self::UpstreamContextTooLong | Self::UpstreamRefusedContent)
    }

    /// Whether an upstream that answers so has surely done no work for it. Not where content was
    /// refused: it may be that of the answer.
    const fn is_unbilled(self) -> bool {
        matches!(
            self,
            Self::NoHealthyUpstream
                | Self::UpstreamOverloaded
                | Self::UpstreamRateLimited
                | Self::UpstreamQuota
                | Self::UpstreamRejected
                | Self::UpstreamContextTooLong
                | Self::UpstreamAuth
                | Self::UpstreamNotFound
        )
    }
}

/// See the module documentation. One pointer wide, so that `Result` stays small.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    shown: Kind,
    retry: Retry,
    status: Option<u16>,
    public: Cow<'static, str>,
    detail: Option<String>,
    param: Option<Cow<'static, str>>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
}

impl Error {
    /// `public` is what the caller reads: lower case, no full stop, nothing internal in it.
    pub fn new(kind: Kind, public: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            shown: kind,
            retry: kind.retry(),
            status: None,
            public: public.into(),
            detail: None,
            param: None,
            code: None,
            retry_after: None,
        }))
    }

    /// A 400 that names the member at fault.
    pub fn invalid(param: impl Into<Cow<'static, str>>, public: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidRequest, public).with_param(param)
    }

    /// A defect of ours; `detail` reaches the log only.
    pub fn internal(detail: impl fmt::Display) -> Self {
        Self::new(Kind::Internal, "the gateway failed to handle this request").with_detail(detail)
    }

    /// More came of a provider's answer than may be held of one.
    pub fn answer_too_long() -> Self {
        Self::new(Kind::UpstreamFailed, "the provider's answer is over the limit `server.max_answer`")
    }

    /// What the log may say beyond the public text.
    #[must_use]
    pub fn with_detail(mut self, detail: impl fmt::Display) -> Self {
        self.0.detail = Some(detail.to_string());
        self
    }

    /// Why JSON could not be read, without a word of it: it may be somebody's prompt, or an answer.
    #[must_use]
    pub fn with_unreadable(self, error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        match error.classify() {
            // These say no more than what was expected, and where.
            serde_json::error::Category::Syntax | serde_json::error::Category::Eof => self.with_detail(error),
            _ => self.with_detail(format_args!("a member is not what it should be at line {line} column {column}")),
        }
    }

    /// The request member at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    /// The upstream's own code (`context_length_exceeded`), in place of the table's. What is no short word is
    /// none: it stands in records.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into()).filter(|code| is_word(code));
        self
    }

    /// The upstream's own status, in place of the table's.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.0.status = Some(status);
        self
    }

    /// When to come back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Overrides what the kind says about another attempt.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Has callers see the face of another kind: what became of the gateway's own account is not
    /// theirs to know.
    #[must_use]
    pub fn shown_as(mut self, shown: Kind) -> Self {
        self.0.shown = shown;
        self
    }

    /// Rewrites what it says, to the caller and to the log.
    #[must_use]
    pub fn map_text(mut self, rewrite: impl Fn(&str) -> String) -> Self {
        self.0.detail = self.0.detail.as_deref().map(&rewrite);
        if let Cow::Owned(public) = &self.0.public {
            self.0.public = Cow::Owned(rewrite(public));
        }
        self.0.param = self.0.param.map(|param| match param {
            Cow::Owned(param) => Cow::Owned(rewrite(&param)),
            ours @ Cow::Borrowed(_) => ours,
        });
        // A code that says what is not to be said is none.
        self.0.code = self.0.code.filter(|code| matches!(code, Cow::Borrowed(_)) || rewrite(code) == **code);
        self
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The kind that callers are told.
    pub fn shown(&self) -> Kind {
        self.0.shown
    }

    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether no upstream has done any work for it, so that asking again costs nothing twice. False
    /// where that is not certain.
    pub fn is_unbilled(&self) -> bool {
        self.0.retry == Retry::SameTarget || self.0.kind.is_unbilled()
    }

    pub fn public(&self) -> &str {
        &self.0.public
    }

    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    pub fn param(&self) -> Option<&str> {
        self.0.param.as_deref()
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Status for an OpenAI-format caller.
    pub fn status(&self) -> u16 {
        self.0.status.unwrap_or_else(|| self.0.shown.face().status)
    }

    /// Status for an Anthropic-format caller.
    pub fn anthropic_status(&self) -> u16 {
        self.0.status.unwrap_or_else(|| self.0.shown.face().anthropic_status)
    }

    /// The code as an OpenAI-format caller sees it.
    pub fn code(&self) -> &str {
        self.0.code.as_deref().unwrap_or_else(|| self.0.shown.face().code)
    }

    /// Whether SDKs are told not to repeat the call (`x-should-retry: false`): where they would
    /// otherwise hammer a key or a budget that will not come back within seconds.
    pub fn forbids_client_retry(&self) -> bool {
        matches!(self.0.kind, Kind::MissingKey | Kind::InvalidKey | Kind::BudgetExhausted)
    }
}

fn is_word(code: &str) -> bool {
    const MOST_BYTES: usize = 64;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=MOST_BYTES).contains(&code.len()) && code.bytes().all(is_plain)
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.public)?;
        match &self.0.detail {
            Some(detail) => write!(f, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surely_did_no_work_costs_nothing_twice() {
        for kind in [Kind::UpstreamRateLimited, Kind::UpstreamOverloaded, Kind::UpstreamQuota, Kind::UpstreamAuth] {
            assert!(Error::new(kind, "x").is_unbilled(), "{kind:?}");
        }
        for kind in [Kind::UpstreamFailed, Kind::UpstreamTimeout, Kind::UpstreamRefusedContent, Kind::ClientGone] {
            assert!(!Error::new(kind, "x").is_unbilled(), "{kind:?}");
        }
        let never_connected = Error::new(Kind::UpstreamFailed, "x").with_retry(Retry::SameTarget);
        assert!(never_connected.is_unbilled());
    }

    #[test]
    fn what_is_not_the_callers_has_another_face() {
        let error = Error::new(Kind::UpstreamQuota, "x").shown_as(Kind::UpstreamAuth);
        assert_eq!((error.kind(), error.status(), error.code()), (Kind::UpstreamQuota, 502, "upstream_error"));
        assert_eq!((error.shown(), error.retry()), (Kind::UpstreamAuth, Retry::NextTarget));
    }

    #[test]
    fn a_code_is_a_short_word_or_ours() {
        let code = |theirs: &str| Error::new(Kind::UpstreamFailed, "x").with_code(theirs.to_owned()).code().to_owned();
        assert_eq!(code("model_not_found-v1.2"), "model_not_found-v1.2");
        for odd in ["", "two words", "caf\u{e9}", "a\nb", &"x".repeat(65)] {
            assert_eq!(code(odd), "upstream_error", "{odd:?}");
        }
        let clean = Error::new(Kind::UpstreamFailed, "said sk-a".to_owned())
            .with_code("sk-a".to_owned())
            .with_param("at sk-a".to_owned())
            .map_text(|text| text.replace("sk-a", "[redacted]"));
        let told = (clean.public(), clean.code(), clean.param());
        assert_eq!(told, ("said [redacted]", "upstream_error", Some("at [redacted]")));
    }

    #[test]
    fn the_clients_own_is_not_tried_again() {
        for kind in [Kind::UpstreamRejected, Kind::UpstreamContextTooLong, Kind::UpstreamRefusedContent] {
            assert!(
                kind.is_clients_own() && kind.retry() == Retry::No && kind.origin() == Origin::Upstream,
                "{kind:?}"
            );
        }
    }
}
