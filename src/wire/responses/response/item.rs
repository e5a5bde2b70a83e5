//! The items of an answer, as a client reads them.

use crate::wire::ir::Arguments;
use crate::wire::json::{self, Json, Obj, Raw, Str};
use crate::wire::openai_chat::response::Source;
use crate::wire::responses::namespace::Known;
use crate::wire::scan;
use crate::wire_object;

/// What an item is when it is opened, and when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire::responses) enum State {
    Open,
    Done,
    /// The answer broke off in it.
    Cut,
}

impl State {
    const fn word(self) -> &'static str {
        match self {
            Self::Open => "in_progress",
            Self::Done => "completed",
            Self::Cut => "incomplete",
        }
    }
}

/// A message's only part.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire::responses) struct Said<'s> {
    /// Between the quotes, still escaped.
    pub(in crate::wire::responses) escaped: &'s str,
    pub(in crate::wire::responses) refusal: bool,
    /// A list of annotations.
    pub(in crate::wire::responses) annotations: &'s str,
    /// A list of log probabilities.
    pub(in crate::wire::responses) logprobs: &'s str,
}

pub(in crate::wire::responses) fn write_said(said: Said<'_>, mut it: Obj<'_>) {
    let text = Str::from_escaped(said.escaped);
    match said.refusal {
        true => _ = it.text("type", "refusal").str("refusal", &text),
        false => {
            it.text("type", "output_text").str("text", &text);
            it.raw("annotations", said.annotations).raw("logprobs", said.logprobs);
        }
    }
}

/// A message; without a part while it is open.
pub(in crate::wire::responses) fn message(id: &str, state: State, said: Option<Said<'_>>, out: &mut Vec<u8>) {
    let mut item = Obj::new(out);
    item.text("id", id).text("type", "message").text("status", state.word()).text("role", "assistant");
    let mut content = item.arr("content");
    said.into_iter().for_each(|said| write_said(said, content.obj()));
}

wire_object! {
    /// A token with its probability.
    struct Entry<'a> { token: Json<'a>, logprob: Json<'a>, bytes: Json<'a>, others: Json<'a> = "top_logprobs" }
}

/// The entries of chat's log probabilities in this format, without brackets. It has the same, but always the bytes.
pub(in crate::wire::responses) fn logprobs(chat: &Raw<'_>) -> String {
    let entries: Vec<Json<'_>> =
        scan::member(chat.get(), "content").and_then(|list| json::parse(list).ok()).unwrap_or_default();
    let entries: Vec<String> = entries.into_iter().filter_map(|entry| written(entry, true)).collect();
    entries.join(",")
}

fn written(entry: Json<'_>, has_others: bool) -> Option<String> {
    let it: Entry<'_> = json::parse(entry.get()).ok()?;
    let token = Str::from_raw(it.token?.get())?;
    let told = it.bytes.map(Json::get).filter(|bytes| bytes.starts_with('['));
    let bytes = || format!("[{}]", token.text().bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(","));
    let mut out = Vec::new();
    {
        let mut o = Obj::new(&mut out);
        o.str("token", &token).raw("logprob", it.logprob.map_or("0", Json::get));
        o.raw("bytes", &told.map_or_else(bytes, str::to_owned));
        if has_others {
            let others = it.others.and_then(|list| json::parse::<Vec<Json<'_>>>(list.get()).ok()).unwrap_or_default();
            let mut list = o.arr("top_logprobs");
            others.into_iter().filter_map(|other| written(other, false)).for_each(|other| _ = list.raw(&other));
        }
    }
    String::from_utf8(out).ok()
}

/// The sources of a text that this format has a place for, as a list.
pub(in crate::wire::responses) fn annotations(citations: Option<&Raw<'_>>, text: &Str<'_>) -> String {
    let all: Vec<Raw<'_>> = citations.and_then(Raw::read).unwrap_or_default();
    let known: Vec<String> = all.iter().filter_map(|citation| annotation(citation, text)).collect();
    format!("[{}]", known.join(","))
}

/// A source as this format has it: its own, or one made from an address that another format cites, for
/// the whole of the text so far.
pub(in crate::wire::responses) fn annotation(citation: &Raw<'_>, text: &Str<'_>) -> Option<String> {
    if is_annotation(citation.get()) {
        return Some(citation.get().to_owned());
    }
    let source = citation.read::<Json<'_>>().and_then(Source::of)?;
    let mut out = Vec::new();
    {
        let mut it = Obj::new(&mut out);
        it.text("type", "url_citation");
        source.write(0, text.chars(), &mut it);
    }
    String::from_utf8(out).ok()
}

/// Whether a source is of a kind this format knows.
fn is_annotation(json: &str) -> bool {
    const KNOWN: [&str; 4] = ["\"url_citation\"", "\"file_citation\"", "\"container_file_citation\"", "\"file_path\""];
    // Chat's own `url_citation` nests its members.
    scan::member(json, "type").is_some_and(|kind| KNOWN.contains(&kind)) && scan::member(json, "url_citation").is_none()
}

/// Reasoning: what of it may be read, and what has to come back.
pub(in crate::wire::responses) fn reasoning(
    id: &str,
    state: State,
    escaped: &str,
    proof: Option<&str>,
    out: &mut Vec<u8>,
) {
    // Of its own format it is what its provider needs of the item; a seal is nobody else's to read.
    let own = proof.filter(|proof| proof.starts_with('{')).map(|json| scan::several(json, ["id", "encrypted_content"]));
    let [own_id, encrypted] = own.unwrap_or_default();
    let mut item = Obj::new(out);
    match own_id {
        Some(own) => item.raw("id", own),
        None => item.text("id", id),
    };
    item.text("type", "reasoning");
    {
        let mut summary = item.arr("summary");
        if !escaped.is_empty() {
            summary.obj().text("type", "summary_text").str("text", &Str::from_escaped(escaped));
        }
    }
    match (proof, own) {
        (_, Some(_)) => encrypted.into_iter().for_each(|json| _ = item.raw("encrypted_content", json)),
        (Some(proof), None) => _ = item.text("encrypted_content", proof),
        (None, None) => {}
    }
    if state != State::Done {
        item.text("status", state.word());
    }
}

/// A picture the model made: its type and its base64, once it is there.
pub(in crate::wire::responses) fn picture(id: &str, state: State, inline: Option<(&str, &str)>, out: &mut Vec<u8>) {
    let mut item = Obj::new(out);
    item.text("id", id).text("type", "image_generation_call").text("status", state.word());
    match inline {
        Some((mime, data)) => {
            item.text("result", data).text("output_format", mime.strip_prefix("image/").unwrap_or(mime))
        }
        None => item.null("result"),
    };
}

/// A call: of a function, of a function in a namespace, or of a custom tool.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire::responses) struct Called<'c> {
    pub(in crate::wire::responses) item_id: &'c str,
    pub(in crate::wire::responses) call_id: &'c str,
    /// As one flat list of tools has it.
    pub(in crate::wire::responses) name: &'c str,
    pub(in crate::wire::responses) custom: bool,
    /// The literal of the arguments, or of the input.
    pub(in crate::wire::responses) literal: &'c str,
}

pub(in crate::wire::responses) fn call(it: Called<'_>, state: State, known: &Known, out: &mut Vec<u8>) {
    let mut item = Obj::new(out);
    item.text("id", it.item_id).text("type", if it.custom { "custom_tool_call" } else { "function_call" });
    item.text("status", state.word()).text("call_id", it.call_id);
    match known.split(it.name) {
        Some((namespace, name)) => item.text("name", name).text("namespace", namespace),
        None => item.text("name", it.name),
    };
    item.raw(if it.custom { "input" } else { "arguments" }, it.literal);
}

/// The literal of a custom tool's free text, where another format had to call it a function's argument.
pub(in crate::wire::responses) fn input_of(arguments: &Arguments<'_>) -> String {
    arguments.input().raw().to_owned()
}
