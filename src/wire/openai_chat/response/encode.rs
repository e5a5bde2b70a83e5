//! A meaning to the answer a chat client reads.

use crate::wire::Client;
use crate::wire::ir::{Arguments, Choice, Part, PartKind, Response};
use crate::wire::json::{Arr, Json, Obj, Raw, Rest, Str};
use crate::wire_object;

use super::super::{details, finish, usage};
use super::decode::{MEMBER, OBJECT};
use crate::wire::lenient::{count, filled, read, text};

/// The tiers the official models know; any other word fails their validation.
const TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority"];

/// Top-level members that are written here, or that answers of this format do not have.
const RESERVED: &[&str] = &[
    "id",
    "object",
    "created",
    "model",
    "choices",
    "usage",
    "service_tier",
    "type",
    "role",
    "content",
    "error",
    "stop_reason",
    "stop_sequence",
];

/// The tier in OpenAI's words, if there is one for it.
pub(in crate::wire) fn known_tier(tier: &Str<'_>) -> Option<&'static str> {
    let tier = tier.text();
    let tier = if tier == "standard" { "default" } else { &*tier };
    TIERS.iter().find(|known| **known == tier).copied()
}

/// Writes a whole answer.
pub fn encode(response: &Response<'_>, client: &Client<'_>, out: &mut Vec<u8>) {
    let mut obj = Obj::new(out);
    match &response.id {
        Some(id) => obj.str("id", id),
        None => obj.text("id", &format!("chatcmpl-{}", client.id)),
    };
    obj.text("object", "chat.completion").num("created", response.created.unwrap_or(client.created));
    match &response.model {
        Some(model) => obj.str("model", model),
        None => obj.text("model", client.model),
    };
    {
        let mut list = obj.arr("choices");
        for (index, choice) in response.choices.iter().enumerate() {
            encode_choice(index, choice, list.item());
        }
    }
    if let Some(usage) = &response.usage {
        usage::encode(usage, obj.key("usage"));
    }
    if let Some(tier) = response.service_tier.as_ref().and_then(known_tier) {
        obj.text("service_tier", tier);
    }
    // Those of another format say something else here: a Responses answer repeats its whole request.
    let is_own = response.rest.iter().any(|(name, value)| (&**name, value.get()) == OBJECT);
    for (name, value) in response.rest.iter().filter(|_| is_own) {
        let fits = &**name != "system_fingerprint" || value.is_string() || value.is_null();
        if fits && !RESERVED.contains(&&**name) {
            obj.raw(name, value.get());
        }
    }
}

fn encode_choice(index: usize, choice: &Choice<'_>, out: &mut Vec<u8>) {
    let calls = choice.parts.iter().any(|p| matches!(p.kind, PartKind::ToolCall { .. }));
    let mut obj = Obj::new(out);
    obj.num("index", u64::try_from(index).unwrap_or_default());
    encode_message(&choice.parts, calls, obj.key("message"));
    match choice.logprobs.as_ref().filter(|l| l.is_object()) {
        Some(logprobs) => obj.raw("logprobs", logprobs.get()),
        None => obj.null("logprobs"),
    };
    let reason = choice.stop.as_ref().map_or(if calls { "tool_calls" } else { "stop" }, |s| finish::encode(s, calls));
    obj.text("finish_reason", reason);
}

/// What a message is made of, gathered from the parts.
#[derive(Default)]
struct Gathered<'p> {
    text: Vec<&'p Str<'p>>,
    reasoning: Vec<&'p Str<'p>>,
    refusal: Vec<&'p Str<'p>>,
    details: Vec<u8>,
    detail_count: usize,
    annotations: Vec<Vec<u8>>,
    images: Vec<Str<'p>>,
}

fn encode_message(parts: &[Part<'_>], calls: bool, out: &mut Vec<u8>) {
    let mut it = Gathered::default();
    parts.iter().for_each(|part| gather(part, &mut it));
    let mut obj = Obj::new(out);
    obj.text("role", "assistant");
    match () {
        () if !it.text.is_empty() => concat(&it.text, obj.key("content")),
        () if calls || !it.refusal.is_empty() => _ = obj.null("content"),
        () => _ = obj.text("content", ""),
    }
    if it.refusal.is_empty() {
        obj.null("refusal");
    } else {
        concat(&it.refusal, obj.key("refusal"));
    }
    if !it.reasoning.is_empty() {
        concat(&it.reasoning, obj.key("reasoning_content"));
    }
    if !it.details.is_empty() {
        let to = obj.key("reasoning_details");
        to.append(&mut it.details);
        to.push(b']');
    }
    if !it.annotations.is_empty() {
        let mut list = obj.arr("annotations");
        it.annotations.iter().for_each(|a| list.item().extend_from_slice(a));
    }
    if !it.images.is_empty() {
        let mut list = obj.arr("images");
        it.images.iter().zip(0..).for_each(|(url, index)| encode_image(url, index, list.obj()));
    }
    if calls {
        encode_calls(parts, &mut obj.arr("tool_calls"));
    }
    for part in parts {
        if let PartKind::Other { tag, json } = &part.kind
            && let Some(name) = nests_member(tag, json)
        {
            obj.raw(&name, json.get());
        }
    }
}

/// A picture the model made, as OpenRouter and its clients have it; the vendor's own definition has none.
pub(in super::super) fn encode_image(url: &Str<'_>, index: u64, mut it: Obj<'_>) {
    it.text("type", "image_url").obj("image_url").str("url", url);
    it.num("index", index);
}

/// The member of a message that a part of this tag is, if it is one and validates.
pub(in super::super) fn nests_member(tag: &Str<'_>, json: &Raw<'_>) -> Option<String> {
    let tag = tag.text();
    let name = tag.strip_prefix(MEMBER)?;
    let fits = match name {
        "audio" => Raw::new(json.get()).read::<Audio<'_>>().is_some_and(|a| a.is_whole()),
        "role" | "content" | "refusal" | "tool_calls" | "function_call" | "annotations" => false,
        _ => true,
    };
    fits.then(|| name.to_owned())
}

wire_object! {
    struct Audio<'a> { id: Str<'a>, data: Str<'a>, transcript: Str<'a>, expires_at: u64 }
}

impl Audio<'_> {
    fn is_whole(&self) -> bool {
        self.id.is_some() && self.data.is_some() && self.transcript.is_some() && self.expires_at.is_some()
    }
}

fn gather<'p>(part: &'p Part<'p>, it: &mut Gathered<'p>) {
    match &part.kind {
        PartKind::Text { text, citations } => {
            it.text.push(text);
            if let Some(citations) = citations {
                let start = chars_before(&it.text);
                it.annotations.extend(annotations(citations, start, start + text.text().chars().count()));
            }
        }
        PartKind::Reasoning { text, signature } => {
            it.reasoning.push(text);
            if let Some(signature) = signature {
                let index = next_detail(it);
                details::write_signed(&mut it.details, text.escaped(), signature, index);
            }
        }
        PartKind::RedactedReasoning { data } => {
            let index = next_detail(it);
            details::write_encrypted(&mut it.details, data, index);
        }
        PartKind::ReasoningDetails { details } => {
            for item in details.read::<Vec<Json<'_>>>().unwrap_or_default() {
                next_detail(it);
                it.details.extend_from_slice(item.get().as_bytes());
            }
        }
        PartKind::Refusal { text } => it.refusal.push(text),
        PartKind::Image { media, .. } => it.images.extend(media.url()),
        // Calls and members come after; what a provider ran itself has no slot in a chat answer.
        _ => {}
    }
}

fn chars_before(texts: &[&Str<'_>]) -> usize {
    texts.split_last().map_or(0, |(_, before)| before.iter().map(|t| t.text().chars().count()).sum())
}

/// Writes what stands before the next item of `reasoning_details`; gives its index.
fn next_detail(it: &mut Gathered<'_>) -> usize {
    let index = it.detail_count;
    it.details.push(if index == 0 { b'[' } else { b',' });
    it.detail_count += 1;
    index
}

fn concat(texts: &[&Str<'_>], out: &mut Vec<u8>) {
    out.push(b'"');
    texts.iter().for_each(|t| out.extend_from_slice(t.escaped().as_bytes()));
    out.push(b'"');
}

fn encode_calls(parts: &[Part<'_>], list: &mut Arr<'_>) {
    for part in parts {
        let PartKind::ToolCall { id, name, arguments } = &part.kind else { continue };
        let mut call = list.obj();
        call.str("id", id);
        match arguments {
            Arguments::Text(input) => {
                call.text("type", "custom");
                call.obj("custom").str("name", name).str("input", input);
            }
            arguments => {
                call.text("type", "function");
                call.obj("function").str("name", name).raw("arguments", &arguments.encoded());
            }
        }
        call.rest(&part.rest);
    }
}

/// The annotations for a text's citations, of either format.
fn annotations(citations: &Raw<'_>, start: usize, end: usize) -> Vec<Vec<u8>> {
    let list: Vec<Json<'_>> = citations.read().unwrap_or_default();
    list.into_iter().filter_map(|c| annotation(c, start, end)).collect()
}

wire_object! {
    struct Citation<'a> {
        kind: Json<'a> = "type",
        url: Json<'a>,
        title: Json<'a>,
        url_citation: Json<'a>,
        start_index: Json<'a>,
        end_index: Json<'a>,
    }
}

/// One annotation: a chat upstream's own, or one made from a citation that has an address. Citations
/// into the client's own documents have no slot.
pub(in super::super) fn annotation(citation: Json<'_>, start: usize, end: usize) -> Option<Vec<u8>> {
    let mut source = Source::of(citation)?;
    let mut out = Vec::new();
    {
        let mut obj = Obj::new(&mut out);
        obj.text("type", "url_citation");
        let rest = std::mem::take(&mut source.rest);
        let mut nested = obj.obj("url_citation");
        source.write(start, end, &mut nested);
        nested.rest(&rest);
    }
    Some(out)
}

/// An address that a text cites, in whichever format: OpenAI's two have the same members for it.
pub(in crate::wire) struct Source<'a> {
    url: Str<'a>,
    title: Option<Str<'a>>,
    span: (Option<u64>, Option<u64>),
    /// The span is one of all that was said, as a chat upstream's own; else of the text that cites it.
    own: bool,
    /// Unknown members of a chat upstream's own.
    rest: Rest<'a>,
}

impl<'a> Source<'a> {
    pub(in crate::wire) fn of(citation: Json<'a>) -> Option<Self> {
        let it: Citation<'a> = read(Some(citation))?;
        let (it, own): (Citation<'a>, bool) = match read(it.url_citation) {
            Some(inner) => (inner, true),
            None => (it, false),
        };
        Some(Self {
            url: filled(it.url)?,
            title: text(it.title),
            span: (count(it.start_index), count(it.end_index)),
            own,
            rest: if own { it.rest } else { Rest::new() },
        })
    }

    /// Writes its members; it stands from `start` to `end` where it does not say.
    pub(in crate::wire) fn write(&self, start: usize, end: usize, out: &mut Obj<'_>) {
        let number = |n: usize| u64::try_from(n).unwrap_or_default();
        let before = if self.own { 0 } else { number(start) };
        let place = |at: Option<u64>, else_at| at.map_or_else(|| number(else_at), |at| at.saturating_add(before));
        out.num("start_index", place(self.span.0, start));
        out.num("end_index", place(self.span.1, end));
        out.str("url", &self.url);
        match &self.title {
            Some(title) => out.str("title", title),
            None => out.text("title", ""),
        };
    }
}
