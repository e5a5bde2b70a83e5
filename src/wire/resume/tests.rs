#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::*;
use crate::wire::bridge::Bridge;
use crate::wire::ir::Dropped;
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Quirks, Thinking, decode_request, encode_request};

/// A request in each client's format, with something else to be asked for besides.
fn asked(client: Dialect, more: &Value) -> String {
    let mut body = match client {
        Dialect::OpenAiChat => json!({"model": "m", "messages": [{"role": "user", "content": "Tell me a story"}]}),
        Dialect::Anthropic => {
            json!({"model": "m", "max_tokens": 4000, "messages": [{"role": "user", "content": "Tell me a story"}]})
        }
        Dialect::Responses => json!({"model": "m", "input": "Tell me a story"}),
        _ => json!({"contents": [{"role": "user", "parts": [{"text": "Tell me a story"}]}]}),
    };
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body.to_string()
}

struct To<'t> {
    upstream: Dialect,
    model: &'t str,
    quirks: Quirks,
    thinking: Thinking,
}

impl Default for To<'_> {
    fn default() -> Self {
        Self { upstream: Dialect::OpenAiChat, model: "m", quirks: Quirks::NONE, thinking: Thinking::Unknown }
    }
}

/// The request for the rest.
fn rest(client: Dialect, more: &Value, said: &str, to: &To<'_>) -> Result<Value> {
    let (body, seal) = (asked(client, more), Seal::new("resume", b"key"));
    let target = Target {
        model: to.model,
        quirks: &to.quirks,
        max_output_tokens: Some(8000),
        thinking: to.thinking,
        abilities: Abilities::UNKNOWN,
        seal: &seal,
    };
    let mut request = decode_request(client, &body).unwrap();
    request.stream = true;
    let mark = super::request(&mut request, &Said::new(said), to.upstream, &target)?;
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Bridge::request(&mut request, to.upstream, &target, &mut dropped)?;
    encode_request(to.upstream, &request, &target, &mut out, &mut dropped)?;
    let out = mark.map_or_else(|| Ok(out.clone()), |mark| mark.write(&out))?;
    Ok(serde_json::from_slice(&out).unwrap())
}

/// Roles and texts of the conversation that an upstream gets.
fn turns(upstream: Dialect, body: &Value) -> Vec<(String, String)> {
    let list = match upstream {
        Dialect::Responses => &body["input"],
        Dialect::Gemini => &body["contents"],
        _ => &body["messages"],
    };
    let text = |content: &Value| -> String {
        let parts = content.as_array().into_iter().flatten();
        content.as_str().map_or_else(|| parts.filter_map(|part| part["text"].as_str()).collect(), str::to_owned)
    };
    let turn = |it: &Value| {
        let content = if it["parts"].is_array() { &it["parts"] } else { &it["content"] };
        (it["role"].as_str().unwrap().to_owned(), text(content))
    };
    list.as_array().unwrap().iter().map(turn).collect()
}

const SAID: &str = "Once upon a \"time\"\n";
const TOLD: &str = "Once upon a \"time\"";

#[test]
fn every_client_goes_on_at_every_upstream() {
    for client in Dialect::CLIENTS {
        for (upstream, model, is_native) in [
            (Dialect::OpenAiChat, "gpt-5", false),
            (Dialect::Responses, "gpt-5", false),
            (Dialect::Anthropic, "claude-opus-4-8", false),
            (Dialect::Anthropic, "claude-sonnet-4-5", true),
            (Dialect::Converse, "eu.anthropic.claude-sonnet-4-5-20250929-v1:0", true),
            (Dialect::Converse, "amazon.nova-pro-v1:0", false),
            (Dialect::Gemini, "gemini-2.5-flash", true),
            (Dialect::Gemini, "gemini-3.6-flash", false),
            (Dialect::Cohere, "command-a", false),
        ] {
            let body = rest(client, &json!({}), SAID, &To { upstream, model, ..To::default() }).unwrap();
            let own = if upstream == Dialect::Gemini { "model" } else { "assistant" };
            let mut expected = vec![("user", "Tell me a story"), (own, TOLD)];
            if !is_native {
                expected.push(("user", INSTRUCTION));
            }
            let got = turns(upstream, &body);
            let got: Vec<(&str, &str)> = got.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
            assert_eq!(got, expected, "{client:?} to {model}: {body}");
        }
    }
}

#[test]
fn servers_that_know_a_mark_get_it() {
    for client in Dialect::CLIENTS {
        let to = |mark| To { quirks: Quirks { prefill: Some(mark), ..Quirks::NONE }, ..To::default() };
        let body = rest(client, &json!({}), SAID, &to(Mark::Prefix)).unwrap();
        assert_eq!(body["messages"][1], json!({"role": "assistant", "content": TOLD, "prefix": true}), "{client:?}");
        assert_eq!(body["messages"].as_array().unwrap().len(), 2);
        let body = rest(client, &json!({}), SAID, &to(Mark::ContinueFinalMessage)).unwrap();
        assert_eq!((&body["continue_final_message"], &body["add_generation_prompt"]), (&json!(true), &json!(false)));
        // It is OpenAI's format that has the marks.
        let to = To { upstream: Dialect::Responses, ..to(Mark::Prefix) };
        assert_eq!(rest(client, &json!({}), SAID, &to).unwrap()["input"].as_array().unwrap().len(), 3);
    }
}

#[test]
fn claude_does_not_think_about_what_is_begun() {
    let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 2000}});
    let effort = json!({"reasoning_effort": "high"});
    for (client, more) in [(Dialect::Anthropic, &thinking), (Dialect::OpenAiChat, &effort)] {
        let to = |model, thinking| To { upstream: Dialect::Anthropic, model, thinking, ..To::default() };
        let older = to("claude-sonnet-4-5", Thinking::Budget);
        let body = rest(client, more, SAID, &older).unwrap();
        assert!(body.get("thinking").is_none(), "{body}");
        // Before the text it does, and later models do all the same.
        let body = rest(client, more, "", &older).unwrap();
        assert_eq!((body["thinking"]["type"].as_str(), turns(Dialect::Anthropic, &body).len()), (Some("enabled"), 1));
        let body = rest(client, more, SAID, &to("claude-opus-4-8", Thinking::Adaptive)).unwrap();
        assert!(body["thinking"].is_object(), "{body}");
    }
}

/// "This model does not support assistant message prefill. The conversation must end with a user message."
#[test]
fn a_conversation_ends_with_the_user_where_models_insist() {
    let ended = json!({"reasoning_effort": "high",
        "messages": [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "Well "}]});
    let written = |upstream, model, thinking| {
        let to = To { upstream, model, thinking, ..To::default() };
        rest(Dialect::OpenAiChat, &ended, "", &to).unwrap()
    };
    for (upstream, model) in [
        (Dialect::Anthropic, "claude-opus-4-6"),
        (Dialect::Anthropic, "claude-sonnet-5"),
        (Dialect::Converse, "us.anthropic.claude-opus-4-6-v1"),
    ] {
        let body = written(upstream, model, Thinking::Adaptive);
        let said: Vec<(String, String)> = turns(upstream, &body);
        assert_eq!(said.last().unwrap(), &("user".to_owned(), "Continue.".to_owned()), "{model}");
        assert!(body.to_string().contains("\"effort\":\"high\""), "nothing is begun, so it may think: {body}");
    }
    for (upstream, model) in [
        (Dialect::Anthropic, "claude-sonnet-4-5"),
        (Dialect::Anthropic, "kimi-k2"),
        (Dialect::Converse, "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        (Dialect::Converse, "amazon.nova-pro-v1:0"),
    ] {
        let said = turns(upstream, &written(upstream, model, Thinking::Budget));
        assert_eq!(said.last().unwrap(), &("assistant".to_owned(), "Well".to_owned()), "{model}");
    }
}

#[test]
fn what_was_said_counts_towards_the_bound() {
    let long = "word ".repeat(400);
    let to = To::default();
    let bound = |most: u64| {
        rest(Dialect::OpenAiChat, &json!({"max_tokens": most}), &long, &to).unwrap()["max_tokens"].as_u64().unwrap()
    };
    assert!((400..700).contains(&bound(1000)), "{}", bound(1000));
    assert_eq!((bound(100), bound(10)), (LEAST_TOKENS, 10));
    // A budget that does not fit below the bound is refused.
    let thinking = json!({"max_tokens": 3000, "thinking": {"type": "enabled", "budget_tokens": 2900}});
    let to = To { upstream: Dialect::Anthropic, ..To::default() };
    assert_eq!(rest(Dialect::Anthropic, &thinking, &long, &to).unwrap()["max_tokens"], 2900 + LEAST_TOKENS);
}

#[test]
fn a_begun_answer_of_the_clients_own_is_part_of_it() {
    let begun = json!({"messages": [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "Well: "}]});
    let to = To { upstream: Dialect::Anthropic, model: "claude-sonnet-4-5", ..To::default() };
    for client in [Dialect::Anthropic, Dialect::OpenAiChat] {
        let got = turns(Dialect::Anthropic, &rest(client, &begun, "it was. ", &to).unwrap());
        assert_eq!(got.len(), 2, "{got:?}");
        assert_eq!(got[1].1, "Well: it was.");
    }
}

#[test]
fn what_no_two_models_build_alike_is_refused() {
    let schema = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}}});
    for more in [json!({"n": 2}), json!({"response_format": {"type": "json_object"}}), schema] {
        let error = rest(Dialect::OpenAiChat, &more, SAID, &To::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::NotExpressible);
    }
}
