//! `telemetry.capture`.

use schemars::{Schema, json_schema};

use crate::config::capture::{CaptureKey, Redact};
use crate::config::read::{At, Period, Scalar, Size, settings};

settings! {
    /// Debug capture: whole exchanges, before and after translation, for a while, of one tenant or key.
    /// The admin API starts it; by itself it is off.
    Capture in "`capture`" {
        /// Encrypts what is kept: 32 random bytes in base64 or hexadecimal (`openssl rand -base64 32`).
        /// Without it no capture can be started.
        key: CaptureKeyText,
        /// What is kept in `state.dir`, all captures together; the oldest exchanges go first.
        max_bytes: Size = "256MiB",
        /// For so long an exchange is kept.
        keep: Period = "24h",
        /// What no capture keeps: the way to a member (`/messages/*/content`; `*` is any one member or
        /// element, `**` any number of them), or a pattern: `emails`, `cards`, `phones`. Credentials are
        /// never kept.
        redact: Vec<At<RedactText>> = "[]",
    }
}

/// 32 bytes.
#[derive(Debug, Clone)]
pub struct CaptureKeyText(pub CaptureKey);

impl Scalar for CaptureKeyText {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let found = || format!("32 bytes in base64 or hexadecimal, found {} characters", text.chars().count());
        CaptureKey::parse(text).map(Self).ok_or_else(found)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "minLength": 1})
    }
}

/// One of `redact`.
#[derive(Debug, Clone)]
pub struct RedactText(pub Redact);

impl Scalar for RedactText {
    fn parse(text: &str) -> Result<Self, String> {
        Redact::parse(text).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": r"^(emails|cards|phones|/.+|\$\{.+|file:.+)$"})
    }
}
