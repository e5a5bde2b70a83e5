//! Tools that need nobody else.

mod calculate;
mod json_query;
mod time;

use std::time::Duration;

use super::{Caller, Outcome, Spec, Tool, Work, read};

/// They only compute, within bounds of their own.
const TIMEOUT: Duration = Duration::from_secs(5);

/// See the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuiltIn {
    Calculate,
    CurrentTime,
    JsonQuery,
    Usage,
    Uuid,
}

impl BuiltIn {
    pub(super) const ALL: [Self; 5] = [Self::Calculate, Self::CurrentTime, Self::JsonQuery, Self::Usage, Self::Uuid];

    pub(super) fn tool(self) -> Tool {
        let spec = self.spec();
        Tool { listed: spec.name.clone(), spec, work: Work::BuiltIn(self), timeout: TIMEOUT, limit: None }
    }

    fn spec(self) -> Spec {
        let (name, description, schema) = match self {
            Self::Calculate => calculate::SPEC,
            Self::CurrentTime => time::SPEC,
            Self::JsonQuery => json_query::SPEC,
            Self::Usage => (
                "weir_usage",
                "Tells what this account has used so far, in tokens and money, and what is left of its limits and budgets.",
                NO_ARGUMENTS,
            ),
            Self::Uuid => ("weir_uuid", "Makes a new random UUID (version 4).", NO_ARGUMENTS),
        };
        Spec { name: name.to_owned(), description: description.to_owned(), schema: schema.to_owned() }
    }

    pub(super) fn call(self, arguments: &str, caller: &Caller) -> Outcome {
        match self {
            Self::Calculate => calculate::call(arguments),
            Self::CurrentTime => time::call(arguments),
            Self::JsonQuery => json_query::call(arguments),
            Self::Usage => match &caller.usage {
                Some(usage) => Outcome::done(usage()),
                None => Outcome::failed("Nothing is known of this account's usage."),
            },
            Self::Uuid => uuid(),
        }
    }
}

const NO_ARGUMENTS: &str = r#"{"type":"object","properties":{},"additionalProperties":false}"#;

fn uuid() -> Outcome {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Outcome::done(uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()),
        Err(_) => Outcome::failed("There is no randomness to be had."),
    }
}
