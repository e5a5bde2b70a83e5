//! A refusal, in the shape of the vendor that was asked.
//!
//! OpenAI: <https://platform.openai.com/docs/guides/error-codes>,
//! Anthropic: <https://docs.anthropic.com/en/api/errors>.

use serde_json::{Value, json};

/// Which vendor's shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    OpenAi,
    Anthropic,
}

/// Status, message and, for OpenAI, the member at fault and a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) status: u16,
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Failure {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// A 400.
    pub(super) fn bad(param: &str, message: impl Into<String>) -> Self {
        Self { param: Some(param.to_owned()), ..Self::new(400, message) }
    }

    /// What `sim-error-N` answers.
    pub(super) fn simulated(status: u16) -> Self {
        let code = match status {
            401 => Some("invalid_api_key"),
            404 => Some("model_not_found"),
            429 => Some("rate_limit_exceeded"),
            _ => None,
        };
        Self { code, ..Self::new(status, format!("simulated error {status}")) }
    }

    pub(super) fn unknown_model(model: &str) -> Self {
        Self {
            code: Some("model_not_found"),
            ..Self::new(404, format!("The model `{model}` does not exist or you do not have access to it."))
        }
    }

    pub(super) fn body(&self, format: Format) -> Value {
        match format {
            Format::OpenAi => json!({"error": {
                "message": self.message, "type": self.openai_type(), "param": self.param, "code": self.code,
            }}),
            Format::Anthropic => json!({
                "type": "error",
                "error": {"type": self.anthropic_type(), "message": self.message},
                "request_id": "req_sim",
            }),
        }
    }

    const fn openai_type(&self) -> &'static str {
        match self.status {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        }
    }

    const fn anthropic_type(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }
}
