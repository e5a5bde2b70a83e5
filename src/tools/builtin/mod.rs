//! Tools that need nobody else.

mod time;

use std::time::Duration;

use serde::Deserialize;

use super::{Caller, Outcome, Spec, Tool, Work};

/// They only compute, within bounds of their own.
const TIMEOUT: Duration = Duration::from_secs(5);

/// See the module documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BuiltIn {
    CurrentTime,
    Usage,
    Uuid,
}

impl BuiltIn {
    pub(super) const ALL: [Self; 3] = [Self::CurrentTime, Self::Usage, Self::Uuid];

    pub(super) fn tool(self) -> Tool {
        let spec = self.spec();
        Tool { listed: spec.name.clone(), spec, work: Work::BuiltIn(self), timeout: TIMEOUT }
    }

    fn spec(self) -> Spec {
        let (name, description, schema) = match self {
            Self::CurrentTime => time::SPEC,
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
            Self::CurrentTime => time::call(arguments),
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

/// Reads the arguments of a call, or says to the model what is wrong with them.
fn read<'a, T: Deserialize<'a>>(arguments: &'a str) -> Result<T, Outcome> {
    serde_json::from_str(arguments).map_err(|error| Outcome::failed(format!("The arguments are not right: {error}.")))
}
