//! Tools that need nobody else.

mod calculate;
mod json_query;
mod original;
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
    Original,
    Usage,
    Uuid,
}

impl BuiltIn {
    pub(super) const ALL: [Self; 6] =
        [Self::Calculate, Self::CurrentTime, Self::JsonQuery, Self::Original, Self::Usage, Self::Uuid];

    pub(super) fn tool(self) -> Tool {
        let spec = self.spec();
        Tool { listed: spec.name.clone(), spec, work: Work::BuiltIn(self), timeout: TIMEOUT, limit: None }
    }

    fn spec(self) -> Spec {
        let (name, description, schema) = match self {
            Self::Calculate => calculate::SPEC,
            Self::CurrentTime => time::SPEC,
            Self::JsonQuery => json_query::SPEC,
            Self::Original => original::SPEC,
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
            Self::Original => original::call(arguments, caller),
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::tools::BUILT_IN;
    use crate::tools::End;
    use crate::wire::json::Raw;

    #[tokio::test]
    async fn each_is_told_of_and_answers_whatever_it_is_given() {
        let tools: Vec<Tool> = BuiltIn::ALL.iter().map(|tool| tool.tool()).collect();
        assert_eq!(tools.iter().map(|tool| tool.listed()).collect::<Vec<_>>(), BUILT_IN);
        let caller = Caller { usage: Some(Arc::new(|| "{}".to_owned())), ..Caller::default() };
        for tool in &tools {
            let spec = tool.spec();
            let schema: std::collections::BTreeMap<String, Raw<'_>> = serde_json::from_str(&spec.schema).unwrap();
            assert_eq!(schema["type"].get(), "\"object\"", "{}", spec.name);
            for arguments in ["", " ", "{}", "[]", "null", "{", "\"a\"", "{\"expression\":{}}", &"[".repeat(10_000)] {
                assert!(!tool.call(arguments, &caller, TIMEOUT).await.text.is_empty(), "{} {arguments:.20}", spec.name);
            }
            let long = tool.call(&" ".repeat(2 << 20), &caller, TIMEOUT).await;
            assert_eq!((long.is_error, long.end), (true, End::Failed));
        }
    }

    #[test]
    fn ids_are_random_and_of_version_four() {
        let (one, other) = (uuid().text, uuid().text);
        assert!(one != other && one.len() == 36 && one.get(14..15) == Some("4"), "{one} {other}");
    }
}
