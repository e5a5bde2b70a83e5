//! Which conversation a request belongs to.
//!
//! Said by the client in a header or a member, where it says it; else the way the conversation
//! began: its instructions, its tools and its messages up to the first of the user. That is the same
//! on every turn, and what the provider's cache is kept by.
//!
//! Of the messages only texts count, not what they are wrapped in: clients move their `cache_control`
//! marks along with the conversation, and a text that loses its mark often turns from a list of one
//! block back into a string.

use super::hash::Hash;
use crate::wire::envelope::Envelope;
use crate::wire::json::Str;
use crate::wire::scan::{self, Escapes, Tally};

/// Headers in which clients and other gateways name a conversation, the plainest first: opencode and
/// pi, Claude Code, Codex (in three spellings of as many years), LiteLLM, Helicone.
const HEADERS: [&str; 12] = [
    "x-session-affinity",
    "x-session-id",
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-codex-session-id",
    "conversation_id",
    "conversation-id",
    "thread-id",
    "x-opencode-session",
    "x-litellm-session-id",
    "helicone-session-id",
];

/// Members that say what holds for the whole conversation.
const INSTRUCTIONS: [&str; 5] = ["system", "instructions", "systemInstruction", "system_instruction", "tools"];
/// Members that hold its messages.
const MESSAGES: [&str; 3] = ["messages", "contents", "input"];

/// Of each member and each message, so many bytes count: what is longer differs before that.
const MOST_BYTES: usize = 16 * 1024;

/// A conversation, as the same number in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conversation {
    pub key: u64,
    pub told_by: Source,
}

/// What tells which conversation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Header(&'static str),
    Member(&'static str),
    /// How it began.
    Beginning,
}

/// The conversation of a request for generation, or `None` where it cannot be told. Another tenant's
/// has another key, whatever it says of itself.
///
/// `header` finds the value of a header by its name in lower case.
pub fn key<'h>(tenant: &str, header: impl Fn(&str) -> Option<&'h [u8]>, body: &Envelope<'_>) -> Option<Conversation> {
    let mut hash = Hash::new();
    hash.add(tenant.as_bytes());
    let told = |hash: Hash, told_by| Some(Conversation { key: hash.end(), told_by });
    let mut said = HEADERS.iter().filter_map(|name| Some((*name, header(name)?)));
    if let Some((name, session)) = said.find(|(_, value)| !value.is_empty()) {
        hash.add(start(session));
        return told(hash, Source::Header(name));
    }
    if let Some((name, session)) = session(body) {
        hash.add(start(session.text().as_bytes()));
        return told(hash, Source::Member(name));
    }
    // What came before is kept by the provider, and this request has only the latest turn of it.
    if body.present("previous_response_id").is_some() {
        return None;
    }
    for json in INSTRUCTIONS.iter().filter_map(|name| body.present(name)) {
        hash.add(start(json.as_bytes()));
    }
    let messages = MESSAGES.iter().find_map(|name| body.present(name))?;
    told(beginning(messages, hash)?, Source::Beginning)
}

fn start(bytes: &[u8]) -> &[u8] {
    bytes.get(..MOST_BYTES).unwrap_or(bytes)
}

/// The name a body gives its conversation. Names of users (`user`, `safety_identifier`) are none: one
/// user has many conversations.
fn session<'a>(body: &Envelope<'a>) -> Option<(&'static str, Str<'a>)> {
    let nested = |member: &str, name: &str| Str::from_raw(scan::member(body.present(member)?, name)?);
    let all = [
        ("prompt_cache_key", body.string("prompt_cache_key")),
        ("conversation", body.string("conversation").or_else(|| nested("conversation", "id"))),
        ("session_id", body.string("session_id").or_else(|| nested("metadata", "session_id"))),
        ("metadata.user_id", nested("metadata", "user_id").and_then(|user| session_of_user(&user))),
    ];
    all.into_iter().filter_map(|(name, session)| Some((name, session?))).find(|(_, session)| !session.is_empty())
}

/// Claude Code hides its session in the name of the user: `user_..._session_<uuid>`, or JSON.
fn session_of_user(user: &Str<'_>) -> Option<Str<'static>> {
    let text = user.text();
    if let Some(session) = scan::member(&text, "session_id").and_then(Str::from_raw) {
        return Some(session.into_owned());
    }
    let (_, session) = text.rsplit_once("_session_")?;
    Some(Str::from_text(session))
}

/// Adds the messages up to the first of the user; `None` if there are none.
fn beginning(messages: &str, mut hash: Hash) -> Option<Hash> {
    let mut rest = scan::blank(messages.as_bytes());
    let is_list = rest.first() == Some(&b'[');
    let mut found = None;
    // Gemini and Responses take one message without a list, too.
    while is_list || found.is_none() {
        if let (true, [b'[' | b',', tail @ ..]) = (is_list, rest) {
            rest = scan::blank(tail);
        }
        let mut texts = Texts { hash, left: MOST_BYTES, is_user: true };
        // At the end of the list this is a fault.
        let Ok(behind) = scan::value(rest, b"", 1, &mut texts) else { break };
        rest = scan::blank(behind);
        hash = texts.hash;
        found = Some(hash);
        if texts.is_user {
            break;
        }
    }
    found
}

/// Hashes the texts of one message.
struct Texts {
    hash: Hash,
    left: usize,
    /// Until another role is seen: Gemini's first turn needs none.
    is_user: bool,
}

impl Tally for Texts {
    fn text(&mut self, name: &[u8], escaped: &[u8], _: Escapes) {
        match name {
            b"role" => self.is_user = escaped == b"user",
            b"type" | b"ttl" => {}
            _ => {
                let counted = escaped.get(..self.left).unwrap_or(escaped);
                self.left -= counted.len();
                self.hash.add(counted);
            }
        }
    }

    fn name(&mut self, _: &[u8]) {}
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_types, reason = "requests are put together as trees")]

    use serde_json::{Value, json};

    use super::*;

    fn of_text(tenant: &str, headers: &[(&str, &str)], body: &str) -> Option<u64> {
        told(tenant, headers, body).map(|conversation| conversation.key)
    }

    fn told(tenant: &str, headers: &[(&str, &str)], body: &str) -> Option<Conversation> {
        let header = |name: &str| headers.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_bytes());
        key(tenant, header, &Envelope::parse(body.as_bytes()).unwrap())
    }

    fn of(body: &Value) -> u64 {
        of_text("acme", &[], &body.to_string()).unwrap()
    }

    fn with(mut body: Value, more: &Value) -> Value {
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    /// The first turns of a conversation in each format: the request at its beginning, and later on.
    fn turns(question: &str) -> [(Value, Value); 5] {
        let system = json!({"role": "system", "content": "Be brief."});
        let chat = [system, json!({"role": "user", "content": question})];
        let block = json!({"type": "text", "text": question});
        let marked = with(block, &json!({"cache_control": {"type": "ephemeral", "ttl": "1h"}}));
        let item = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": question}]});
        let later = json!([{"role": "assistant", "content": "x"}, {"role": "user", "content": "and then?"}]);
        let grown = |first: &[Value]| [first, later.as_array().unwrap()].concat();
        [
            (json!({"messages": chat}), json!({"messages": grown(&chat)})),
            // The mark has moved on, and the block is a string again.
            (
                json!({"system": "s", "tools": [1], "messages": [{"role": "user", "content": [marked]}]}),
                json!({"system": "s", "tools": [1], "messages": grown(&[json!({"content": question, "role": "user"})])}),
            ),
            (json!({"instructions": "i", "input": question}), json!({"instructions": "i", "input": grown(&[item])})),
            (
                json!({"systemInstruction": {"parts": []}, "contents": [{"parts": [{"text": question}]}]}),
                json!({"systemInstruction": {"parts": []}, "contents": [
                    {"role": "user", "parts": [{"text": question}]}, {"role": "model", "parts": [{"text": "x"}]},
                    {"role": "user", "parts": [{"text": "and then?"}]}]}),
            ),
            (
                json!({"contents": {"parts": {"text": question}}}),
                json!({"contents": [{"parts": [{"text": question}]}, {"role": "model", "parts": [{"text": "x"}]}]}),
            ),
        ]
    }

    #[test]
    fn every_turn_of_a_conversation_has_one_key_and_every_conversation_its_own() {
        let mut all = std::collections::BTreeSet::new();
        for question in ["why?", "why not?", "why \u{e9}\n\"?"] {
            for (number, (first, later)) in turns(question).into_iter().enumerate() {
                assert_eq!(of(&first), of(&later), "{number}: {question}");
                all.insert(of(&first));
                let more = json!({"temperature": 1, "max_tokens": 5, "stream": true, "model": "m", "user": "u"});
                assert_eq!(of(&with(first.clone(), &more)), of(&first), "{number}: what does not count");
                let text = first.to_string();
                assert_ne!(of_text("acme", &[], &text), of_text("other", &[], &text), "tenants share nothing");
            }
        }
        assert_eq!(all.len(), 3 * 4 + 3, "the last format is Gemini's too, without instructions");
    }

    #[test]
    fn instructions_and_tools_count() {
        let base = json!({"messages": [{"role": "user", "content": "hi"}]});
        let system =
            |text: &str| json!({"messages": [{"role": "system", "content": text}, {"role": "user", "content": "hi"}]});
        let mut all = std::collections::BTreeSet::from([of(&base), of(&system("a")), of(&system("b"))]);
        for member in INSTRUCTIONS {
            all.insert(of(&with(base.clone(), &json!({member: "some"}))));
            all.insert(of(&with(base.clone(), &json!({member: "other"}))));
            all.insert(of(&with(base.clone(), &json!({member: null}))));
        }
        // The members' names say nothing beyond their values, and no request has two of them.
        assert_eq!(all.len(), 3 + 2);
    }

    #[test]
    fn long_instructions_do_not_hide_the_question_behind_them() {
        let body = |question: &str, end: &str| {
            let long = "x".repeat(100_000);
            json!({"tools": [long], "messages": [
                {"role": "system", "content": format!("{long}{end}")},
                {"role": "user", "content": [{"type": "text", "text": question}, {"type": "text", "text": long}]}]})
        };
        assert_ne!(of(&body("a", "")), of(&body("b", "")));
        assert_eq!(of(&body("a", "")), of(&body("a", "y")), "what is behind the first 16 KiB");
    }

    #[test]
    fn a_session_that_is_named_is_the_key() {
        let says = |headers: &[(&str, &str)], body: &Value| of_text("t", headers, &body.to_string());
        let (a, b) = (json!({"messages": ["a"]}), json!({"messages": ["b"]}));
        for name in HEADERS {
            assert_eq!(says(&[(name, "s-1")], &a), says(&[(name, "s-1")], &b), "{name}");
            assert_ne!(says(&[(name, "s-1")], &a), says(&[(name, "s-2")], &a), "{name}");
            assert_eq!(says(&[(name, "")], &a), says(&[], &a), "{name}");
        }
        let named = |session: &str| {
            [
                json!({"prompt_cache_key": session}),
                json!({"conversation": session}),
                json!({"conversation": {"id": session}}),
                json!({"session_id": session}),
                json!({"metadata": {"session_id": session}}),
                json!({"metadata": {"user_id": format!("user_1_account__session_{session}")}}),
                json!({"metadata": {"user_id": json!({"device_id": "d", "session_id": session}).to_string()}}),
                json!({"prompt_cache_key": session, "previous_response_id": "resp_1"}),
            ]
        };
        for (one, two) in named("s-1").iter().zip(named("s-2")) {
            let key = says(&[], &with(a.clone(), one));
            assert_eq!(key, says(&[], &with(b.clone(), one)), "{one}");
            assert_eq!(key, says(&[("session-id", "s-1")], &a), "{one}: wherever it is said");
            assert_ne!(key, says(&[], &with(a.clone(), &two)), "{one}");
        }
    }

    #[test]
    fn it_is_known_what_told_it() {
        let by = |headers: &[(&str, &str)], body: &str| told("t", headers, body).map(|told| told.told_by);
        let plain = r#"{"messages":[{"role":"user","content":"a"}]}"#;
        assert_eq!(by(&[], plain), Some(Source::Beginning));
        assert_eq!(by(&[("session-id", "s")], plain), Some(Source::Header("session-id")));
        assert_eq!(by(&[], r#"{"prompt_cache_key":"k"}"#), Some(Source::Member("prompt_cache_key")));
        assert_eq!(by(&[], "{}"), None);
    }

    #[test]
    fn the_name_of_a_user_is_no_session() {
        for user in [
            json!({"user": "u"}),
            json!({"safety_identifier": "u"}),
            json!({"metadata": {"user_id": "u"}}),
            json!({"metadata": {"user_id": "user_1_session_"}}),
            json!({"metadata": {"user_id": "{\"device_id\":\"d\"}"}}),
            json!({"metadata": {"user_id": 7}, "prompt_cache_key": "", "conversation": null, "session_id": {}}),
        ] {
            let base = json!({"messages": [{"role": "user", "content": "hi"}]});
            assert_eq!(of(&with(base.clone(), &user)), of(&base), "{user}");
        }
    }

    #[test]
    fn where_nothing_tells_there_is_no_key() {
        for body in [
            json!({}),
            json!({"model": "m", "tools": []}),
            json!({"messages": []}),
            json!({"messages": null}),
            json!({"input": "and then?", "previous_response_id": "resp_1"}),
        ] {
            assert_eq!(of_text("t", &[], &body.to_string()), None, "{body}");
        }
        // Nonsense has one or none, and does no harm.
        for body in [json!({"messages": 7}), json!({"messages": {"role": 1}}), json!({"input": [[], [[]]]})] {
            let _ = of_text("t", &[], &body.to_string());
        }
    }
}
