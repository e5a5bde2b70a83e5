//! What of the recordings is not translated, and why: the one table of it.

use std::collections::BTreeMap;

use serde_json::Value;

/// What an exception covers.
enum What {
    /// An API.
    Api(&'static str),
    /// An API as one provider has it.
    Of(&'static str, &'static str),
    /// InvokeModel with a body of other models than Claude's.
    OtherModels,
    /// Cohere's chat, version 1.
    CohereV1,
    /// Claude's text completions, behind InvokeModel.
    TextCompletions,
    /// One exchange.
    One(&'static str),
}

use What::{Api, CohereV1, Of, One, OtherModels, TextCompletions};

const EXCEPTIONS: &[(What, &str)] = &[
    (Api("completions"), "text completions: passed on in their own format, translated to none"),
    (Api("ollama_chat"), "Ollama's own format: its kind is asked by /v1/chat/completions"),
    (Api("ollama_generate"), "Ollama's own format: its kind is asked by /v1/chat/completions"),
    (Api("interactions"), "Gemini's Interactions: a provider's kept state, not a format of Weir's"),
    (Api("responses_compact"), "a compacted conversation: an object of another kind than an answer"),
    (CohereV1, "Cohere's version 1: its successor is translated"),
    (Of("writer", "cohere_chat"), "Writer's /v1/chat: no kind of provider"),
    (OtherModels, "InvokeModel with another author's body (Llama, Titan, Nova ...): Converse reaches these models"),
    (TextCompletions, "Claude 2's text completions behind InvokeModel: not Messages"),
    (One("cohere-cohere_chat-581b4c1c0f2a"), "embeddings"),
    (One("groq-chat_completions-9935c55a75c2"), "a function's HTTP answer, not a completion"),
    (One("mistral-chat_completions-1ba502bd369f"), "a transcription"),
    (One("pydantic_gateway-chat_completions-ea326808c6d2"), "an echo server's answer"),
    (One("openai-responses-7a5f93903df1"), "its fragments and its last event say different texts"),
];

impl What {
    fn covers(&self, it: &Value) -> bool {
        let is_invoked = it["api"] == "invoke_model";
        let is_claude = it["model"].as_str().is_some_and(|model| model.contains("claude"));
        match self {
            Api(api) => it["api"] == *api,
            Of(provider, api) => it["provider"] == *provider && it["api"] == *api,
            CohereV1 => it["provider"] == "cohere" && it["request"]["path"] == "/v1/chat",
            OtherModels => is_invoked && !is_claude,
            TextCompletions => is_invoked && is_claude && it["request"]["body"]["prompt"].is_string(),
            One(id) => it["id"] == *id,
        }
    }

    fn name(&self) -> String {
        match self {
            Api(name) | One(name) => (*name).to_owned(),
            Of(provider, api) => format!("{provider}.{api}"),
            CohereV1 => "cohere.cohere_chat v1".to_owned(),
            OtherModels => "bedrock.invoke_model of others".to_owned(),
            TextCompletions => "bedrock.invoke_model of Claude 2".to_owned(),
        }
    }
}

/// Why a line is excepted.
pub(crate) fn reason(it: &Value) -> Option<&'static str> {
    EXCEPTIONS.iter().find(|(what, _)| what.covers(it)).map(|(_, reason)| *reason)
}

/// The table, with the number of exchanges each exception covers; none that covers nothing may stay.
pub(crate) fn table(lines: impl Iterator<Item = Value>) -> String {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    for it in lines {
        if let Some(at) = EXCEPTIONS.iter().position(|(what, _)| what.covers(&it)) {
            *counts.entry(at).or_default() += 1;
        }
    }
    let row = |(at, (what, reason)): (usize, &(What, &str))| {
        let count = counts.get(&at).copied().unwrap_or_default();
        assert!(count > 0, "{} excepts nothing", what.name());
        format!("{:<50} {count:>3}  {reason}\n", what.name())
    };
    EXCEPTIONS.iter().enumerate().map(row).collect()
}
