//! How much a body lets its provider write at most: what limits and budgets hold for it.
//!
//! A client could name a small bound where we look and a large one where its provider does. So only members
//! of the format itself count, and of several spellings or copies of one the largest.

use super::accept::Endpoint;
use crate::wire::Dialect;
use crate::wire::envelope::{Envelope, amount};
use crate::wire::json::Str;
use crate::wire::scan;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Answers wanted.
    pub(super) choices: u64,
    /// Answers that are made, the best of which are given.
    pub(super) drafts: u64,
    pub(super) max_output_tokens: Option<u64>,
}

impl Bounds {
    pub(super) fn of(endpoint: Endpoint, envelope: &Envelope<'_>) -> Self {
        let members: &[&str] = match (endpoint, endpoint.dialect()) {
            (_, Dialect::Gemini) => return Self::of_gemini(envelope),
            (Endpoint::Completions, _) | (_, Dialect::Anthropic) => &["max_tokens"],
            (_, Dialect::Responses) => &["max_output_tokens"],
            _ => &["max_tokens", "max_completion_tokens"],
        };
        let prompts = match endpoint {
            Endpoint::Completions => envelope.present("prompt").map_or(1, prompts),
            _ => 1,
        };
        let each = |names: &[&str]| largest(envelope, names).unwrap_or(1).max(1).saturating_mul(prompts);
        Self { choices: each(&["n"]), drafts: each(&["n", "best_of"]), max_output_tokens: largest(envelope, members) }
    }

    /// Gemini has them in its configuration.
    fn of_gemini(envelope: &Envelope<'_>) -> Self {
        let configs =
            || ["generationConfig", "generation_config"].into_iter().filter_map(|name| envelope.present(name));
        let largest = |names: [&str; 2]| {
            let all = configs().flat_map(scan::members);
            let named = all.filter(|(name, _)| names.contains(&&*Str::from_escaped(name).text()));
            named.filter_map(|(_, value)| amount(value)).max()
        };
        let choices = largest(["candidateCount", "candidate_count"]).unwrap_or(1).max(1);
        Self { choices, drafts: choices, max_output_tokens: largest(["maxOutputTokens", "max_output_tokens"]) }
    }
}

fn largest(envelope: &Envelope<'_>, names: &[&str]) -> Option<u64> {
    names.iter().filter_map(|name| envelope.present(name).and_then(amount)).max()
}

/// Each text of a list, and each list of tokens, is answered by itself.
fn prompts(json: &str) -> u64 {
    let prompts = scan::items(json).filter(|item| item.starts_with(['"', '[']));
    u64::try_from(prompts.count()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(endpoint: Endpoint, body: &str) -> (u64, Option<u64>) {
        let Bounds { drafts, max_output_tokens, .. } = Bounds::of(endpoint, &Envelope::parse_str(body).unwrap());
        (drafts, max_output_tokens)
    }

    #[test]
    fn a_second_and_smaller_bound_holds_nothing_down() {
        for (endpoint, body, most) in [
            (Endpoint::Messages, r#"{"max_completion_tokens":1,"max_output_tokens":1,"max_tokens":200000}"#, 200_000),
            (Endpoint::Responses, r#"{"max_completion_tokens":1,"max_tokens":1,"max_output_tokens":200000}"#, 200_000),
            (Endpoint::Chat, r#"{"max_output_tokens":1,"max_completion_tokens":1,"max_tokens":200000}"#, 200_000),
            (Endpoint::Chat, r#"{"max_completion_tokens":300000,"max_tokens":1}"#, 300_000),
            (Endpoint::Completions, r#"{"max_completion_tokens":1,"max_tokens":200000}"#, 200_000),
            (
                Endpoint::Generate,
                r#"{"generationConfig":{"maxOutputTokens":1},"generation_config":{"maxOutputTokens":200000}}"#,
                200_000,
            ),
            (Endpoint::Generate, r#"{"generationConfig":{"maxOutputTokens":1,"maxOutputTokens":200000}}"#, 200_000),
            (Endpoint::Generate, r#"{"generationConfig":{"maxOutputTokens":1,"max_output_tokens":200000}}"#, 200_000),
            (
                Endpoint::Generate,
                r#"{"generationConfig":{"maxOutputTokens":1,"max\u004futputTokens":2,"m\u0061xOutputTokens":200000}}"#,
                200_000,
            ),
        ] {
            assert_eq!(bounds(endpoint, body), (1, Some(most)), "{body}");
        }
        assert_eq!(bounds(Endpoint::Chat, r#"{"max_output_tokens":1,"max_tokens":null}"#), (1, None));
        assert_eq!(bounds(Endpoint::Generate, r#"{"generationConfig":{"candidateCount":3}}"#), (3, None));
    }

    #[test]
    fn numbers_count_as_servers_read_them() {
        for (number, most) in [
            ("200000", 200_000),
            ("2e5", 200_000),
            ("199999.5", 200_000),
            ("\"200000\"", 200_000),
            ("\" 200_000\"", 200_000),
            ("\"\\u0032\\u00300000\"", 200_000),
            ("100000000000000000000", u64::MAX),
            ("1e999", u64::MAX),
        ] {
            let body = format!("{{\"max_tokens\":{number},\"n\":{number}}}");
            assert_eq!(bounds(Endpoint::Chat, &body), (most, Some(most)), "{body}");
        }
        for number in ["-1", "\"much\"", "true", "[5]"] {
            assert_eq!(bounds(Endpoint::Chat, &format!("{{\"max_tokens\":{number},\"n\":{number}}}")), (1, None));
        }
    }

    #[test]
    fn each_prompt_of_a_list_is_answered() {
        for (body, choices) in [
            (r#"{"prompt":"a"}"#, 1),
            (r#"{"prompt":["a","b","c"]}"#, 3),
            (r#"{"prompt":["a","b"],"n":2,"best_of":5}"#, 10),
            (r#"{"prompt":[1,2,3]}"#, 1),
            (r#"{"prompt":[[1,2],[3]]}"#, 2),
            (r#"{"prompt":[]}"#, 1),
        ] {
            assert_eq!(bounds(Endpoint::Completions, body).0, choices, "{body}");
        }
        let best = Envelope::parse_str(r#"{"prompt":["a","b"],"n":2,"best_of":5}"#).unwrap();
        assert_eq!(Bounds::of(Endpoint::Completions, &best).choices, 4);
    }
}
