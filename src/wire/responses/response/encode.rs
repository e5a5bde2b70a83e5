//! A meaning to an answer as a client reads it.

use super::super::namespace::Known;
use super::super::usage;
use super::item::{self, Called, Said, State};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Part, PartKind, Response, Stop, StopReason};
use crate::wire::json::{Obj, Str};
use crate::wire::openai_chat::response::known_tier;
use crate::wire::responses::request::is_as_it_came;
use crate::wire::{Client, scan};

/// Members of the request that its answer repeats, with what stands where the request says nothing.
const REPEATED: [(&str, &str); 17] = [
    ("background", "false"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("reasoning", "{\"effort\":null,\"summary\":null}"),
    ("safety_identifier", "null"),
    ("temperature", "null"),
    ("text", "{\"format\":{\"type\":\"text\"}}"),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "null"),
    ("truncation", "\"disabled\""),
];

/// What every event and answer says of the answer itself.
#[derive(Debug, Clone)]
pub(in crate::wire::responses) struct Head {
    id: String,
    model: Str<'static>,
    created: u64,
    tier: Option<&'static str>,
    /// The members repeated from the request, without braces.
    repeated: String,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire::responses) enum Status<'s> {
    InProgress,
    Completed,
    /// The reason.
    Incomplete(&'s str),
    /// Code and message.
    Failed(&'s str, &'s str),
}

impl Head {
    pub(in crate::wire::responses) fn new(
        id: Option<&Str<'_>>,
        model: Option<&Str<'_>>,
        created: Option<u64>,
        tier: Option<&Str<'_>>,
        client: &Client<'_>,
    ) -> Self {
        let own = id.map(Str::text).filter(|id| id.starts_with("resp"));
        Self {
            id: own.map_or_else(|| format!("resp_{}", client.id), |id| id.into_owned()),
            model: model.map_or_else(|| Str::from_text(client.model), |m| m.clone().into_owned()),
            created: created.unwrap_or(client.created),
            tier: tier.and_then(known_tier),
            repeated: repeated(client.request),
        }
    }

    /// Writes the answer; `output` is a list of items.
    pub(in crate::wire::responses) fn write(
        &self,
        status: Status<'_>,
        output: &[Vec<u8>],
        usage: Option<&Usage>,
        it: &mut Obj<'_>,
    ) {
        it.text("id", &self.id).text("object", "response").num("created_at", self.created);
        it.str("model", &self.model);
        match status {
            Status::InProgress => _ = it.text("status", "in_progress").null("error").null("incomplete_details"),
            Status::Completed => _ = it.text("status", "completed").null("error").null("incomplete_details"),
            Status::Incomplete(reason) => {
                it.text("status", "incomplete").null("error");
                it.obj("incomplete_details").text("reason", reason);
            }
            Status::Failed(code, message) => {
                it.text("status", "failed");
                it.obj("error").text("code", code).text("message", message);
                it.null("incomplete_details");
            }
        }
        {
            let mut list = it.arr("output");
            output.iter().for_each(|item| list.item().extend_from_slice(item));
        }
        match usage {
            Some(usage) => usage::encode(usage, it.key("usage")),
            None => _ = it.null("usage"),
        }
        self.tier.into_iter().for_each(|tier| _ = it.text("service_tier", tier));
        it.bool("store", false);
        // A list of members, ready made.
        let key = it.key("user");
        key.extend_from_slice(b"null");
        if !self.repeated.is_empty() {
            key.push(b',');
            key.extend_from_slice(self.repeated.as_bytes());
        }
    }
}

fn repeated(request: &str) -> String {
    let mut values = REPEATED.map(|(_, default)| default);
    // One pass, whatever the number of members: requests are large.
    for (name, value) in scan::members(request).filter(|(_, value)| *value != "null") {
        let known = values.iter_mut().zip(REPEATED).find(|(_, (known, _))| *known == name);
        known.into_iter().for_each(|(kept, _)| *kept = value);
    }
    let mut out = String::with_capacity(values.iter().map(|value| value.len() + 32).sum());
    for ((name, _), value) in REPEATED.iter().zip(values) {
        for piece in [if out.is_empty() { "\"" } else { ",\"" }, name, "\":", value] {
            out.push_str(piece);
        }
    }
    out
}

/// Whether a filter put its words in place of the answer.
pub(in crate::wire::responses) fn is_cut(stop: &Stop<'_>) -> bool {
    stop.native.as_ref().is_some_and(|native| native.is("content_filter"))
}

/// How an answer that stopped is called. A refusal in words is a complete one.
pub(in crate::wire::responses) fn status_of(stop: Option<StopReason>, in_words: bool) -> Status<'static> {
    match stop {
        _ if is_at_limit(stop) => Status::Incomplete("max_output_tokens"),
        Some(StopReason::Refusal) if !in_words => Status::Incomplete("content_filter"),
        _ => Status::Completed,
    }
}

/// Whether an answer that stopped was cut by a limit: its last item is not whole then.
pub(in crate::wire::responses) fn is_at_limit(stop: Option<StopReason>) -> bool {
    matches!(stop, Some(StopReason::MaxTokens | StopReason::ContextFull))
}

/// Writes a whole answer.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let (id, model, tier) = (response.id.as_ref(), response.model.as_ref(), response.service_tier.as_ref());
    let head = Head::new(id, model, response.created, tier, client);
    let known = Known::of(client.request);
    let choice = response.choices.first();
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let is_cut = stop.is_some_and(is_cut);
    let stop = stop.map(|stop| stop.reason);
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    let refused = parts.iter().any(|part| matches!(part.kind, PartKind::Refusal { .. }));
    let status = status_of(stop, refused && !is_cut);
    let logprobs = choice.and_then(|choice| choice.logprobs.as_ref()).map(item::logprobs).unwrap_or_default();
    let logprobs = format!("[{logprobs}]");
    // They are told of an answer's text, of whatever parts it is: they go with the first.
    let told = parts.iter().position(|part| matches!(part.kind, PartKind::Text { .. }));
    let mut items = Vec::new();
    let (mut last, mut covered) = (None, None);
    for (at, part) in parts.iter().enumerate() {
        if covered.is_some_and(|at| part.item.is_none() && part.at.same_item(at)) {
            continue;
        }
        // What a provider of this format said goes on as it came.
        let item = part.item.as_ref().filter(|item| is_as_it_came(part, item.get()));
        covered = item.map(|_| part.at);
        if let Some(item) = item {
            items.push(item.get().as_bytes().to_vec());
            last = None;
            continue;
        }
        let logprobs = if told == Some(at) { logprobs.as_str() } else { "[]" };
        let (id, mut item) = (format!("{}_{}", client.id, items.len()), Vec::new());
        if write((part, logprobs), &id, State::Done, &known, &mut item) {
            items.push(item);
            last = Some(((part, logprobs), id));
        }
    }
    if let (true, Some((part, id)), Some(item)) = (is_at_limit(stop), last, items.last_mut()) {
        item.clear();
        write(part, &id, State::Cut, &known, item);
    }
    let usage = response.usage.unwrap_or_default();
    head.write(status, &items, Some(&usage), &mut Obj::new(out));
}

/// Writes one part, with its log probabilities, as an item; says whether it is one.
fn write((part, logprobs): (&Part<'_>, &str), id: &str, state: State, known: &Known, out: &mut Vec<u8>) -> bool {
    let message = format!("msg_{id}");
    match &part.kind {
        PartKind::Text { text, citations } => {
            let annotations = item::annotations(citations.as_ref(), text);
            let said = Said { escaped: text.escaped(), refusal: false, annotations: &annotations, logprobs };
            item::message(&message, state, Some(said), out);
        }
        PartKind::Refusal { text } => {
            let said = Said { escaped: text.escaped(), refusal: true, annotations: "[]", logprobs: "[]" };
            item::message(&message, state, Some(said), out);
        }
        PartKind::Reasoning { text, signature } => {
            let proof = signature.as_ref().map(Str::text);
            item::reasoning(&format!("rs_{id}"), state, text.escaped(), proof.as_deref(), out);
        }
        PartKind::RedactedReasoning { data } => {
            item::reasoning(&format!("rs_{id}"), state, "", Some(&data.text()), out);
        }
        PartKind::ToolCall { id: call_id, name, arguments } => {
            let (call_id, name) = (call_id.text(), name.text());
            let custom = known.is_custom(&name);
            let literal = if custom { item::input_of(arguments) } else { arguments.encoded().into_owned() };
            let prefix = if custom { "ctc" } else { "fc" };
            let item_id = format!("{prefix}_{id}");
            let called = Called { item_id: &item_id, call_id: &call_id, name: &name, custom, literal: &literal };
            item::call(called, state, known, out);
        }
        PartKind::Image { media, .. } => {
            let Some((mime, data)) = media.inline() else { return false };
            item::picture(&format!("ig_{id}"), state, Some((&mime, &data)), out);
        }
        _ => return false,
    }
    true
}
