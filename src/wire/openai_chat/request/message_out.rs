//! A meaning to the request a chat upstream takes: the messages.
//!
//! Chat gives tool results a message each, behind the calls they answer and before anything else;
//! such a message holds text only, so what else a result holds follows in a message of the user's,
//! behind the last result of its round.

use crate::error::{Error, Result};
use crate::wire::Dialect;
use crate::wire::bridge::schema_hint;
use crate::wire::ir::{Dropped, Media, Output, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Arr, Json, Obj, Str};

use super::super::details;
use super::encode::{Context, nested, outer};
use super::media_out;

/// Writes the list of messages.
pub(super) fn encode(request: &Request<'_>, cx: &Context<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
    let mut writer = Writer { cx, list: Arr::new(out), dropped };
    writer.system(&request.system, hint(&request.output, cx));
    let mut beside = Vec::new();
    for turn in &request.turns {
        match turn.role {
            Role::Assistant => {
                writer.shown(&mut beside);
                writer.assistant(turn);
            }
            Role::System | Role::Developer | Role::User | Role::Tool => writer.said_to_it(turn, &mut beside),
        }
    }
    writer.shown(&mut beside);
}

/// A picture or a document that cannot be told to this target must not go missing: the model would
/// answer about something it never saw. Anything less than that is dropped by name instead.
pub(super) fn refuse_what_would_vanish(request: &Request<'_>, cx: &Context<'_>) -> Result<()> {
    if cx.same {
        return Ok(());
    }
    let said = request.turns.iter().filter(|turn| turn.role != Role::Assistant).flat_map(|turn| &turn.parts);
    let parts = said.flat_map(|part| match &part.kind {
        PartKind::ToolResult { content, .. } => content.as_slice(),
        _ => std::slice::from_ref(part),
    });
    for part in parts.filter(|part| is_media(part)) {
        let mut scratch = Vec::new();
        if !write_kind(part, cx, &mut Obj::new(&mut scratch)) {
            let text = "this provider cannot be sent a picture or document in this form: send it inline, as base64";
            return Err(Error::invalid(part.at.to_string(), text));
        }
    }
    Ok(())
}

/// What stands in for a schema that the target cannot be given.
fn hint(output: &Output<'_>, cx: &Context<'_>) -> Option<String> {
    match output {
        Output::JsonSchema { schema, .. } if !cx.target.quirks.json_schema => Some(schema_hint(schema.get())),
        _ => None,
    }
}

struct Writer<'w, 'o> {
    cx: &'w Context<'w>,
    list: Arr<'o>,
    dropped: &'w mut Dropped,
}

impl Writer<'_, '_> {
    fn system(&mut self, parts: &[Part<'_>], hint: Option<String>) {
        if self.cx.same {
            for message in parts.chunk_by(|a, b| a.at.same_item(b.at)) {
                let mut obj = self.list.obj();
                obj.text("role", "system");
                content(message, self.cx, &mut obj, self.dropped);
                whole_message_members(message, &mut obj);
            }
        } else if !parts.is_empty() {
            let texts = self.texts(parts);
            let mut obj = self.list.obj();
            obj.text("role", "system");
            join(&texts, "\\n\\n", obj.key("content"));
        }
        if let Some(hint) = hint {
            self.list.obj().text("role", "system").text("content", &hint);
        }
    }

    /// The texts among the parts; what else there is can't be told to this target.
    fn texts<'p>(&mut self, parts: &'p [Part<'_>]) -> Vec<Str<'p>> {
        let mut texts = Vec::new();
        for part in parts {
            self.note_members(part);
            match &part.kind {
                PartKind::Text { text, .. } => texts.push(text.reborrow()),
                PartKind::Document { media: Media::Text(text), title, context, .. } => {
                    texts.push(media_out::document_text(text, title.as_ref(), context.as_ref()));
                }
                _ => self.dropped.push(part.at),
            }
        }
        texts
    }

    fn note_members(&mut self, part: &Part<'_>) {
        if part.cache.is_some() {
            self.dropped.push(format_args!("{}.cache_control", part.at));
        }
        self.dropped.push_rest(part.at, &part.rest);
    }

    /// What results gave that their messages cannot hold.
    fn shown(&mut self, beside: &mut Vec<Part<'_>>) {
        if !beside.is_empty() {
            let mut obj = self.list.obj();
            obj.text("role", "user");
            content(&std::mem::take(beside), self.cx, &mut obj, self.dropped);
        }
    }

    /// A turn of anyone's but the model's. What its results leave `beside` waits where more of them may follow.
    fn said_to_it<'p>(&mut self, turn: &'p Turn<'_>, beside: &mut Vec<Part<'p>>) {
        let (results, rest): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
            turn.parts.iter().partition(|p| matches!(p.kind, PartKind::ToolResult { .. }));
        if results.is_empty() {
            self.shown(beside);
        }
        for part in &results {
            self.result(turn, part, beside);
        }
        if rest.is_empty() && !results.is_empty() {
            if !self.cx.same {
                self.dropped.push_rest(turn.at, &turn.rest);
            }
            return;
        }
        let role = match turn.role {
            Role::Developer if self.cx.target.quirks.developer_role => "developer",
            Role::System | Role::Developer => "system",
            _ => "user",
        };
        let parts: Vec<Part<'_>> = std::mem::take(beside).into_iter().chain(rest.into_iter().cloned()).collect();
        let mut obj = self.list.obj();
        obj.text("role", role);
        content(&parts, self.cx, &mut obj, self.dropped);
        members(turn, &parts, self.cx, &mut obj, self.dropped);
    }

    /// One tool message; what it cannot hold is added to `beside`.
    fn result<'p>(&mut self, turn: &Turn<'_>, part: &'p Part<'_>, beside: &mut Vec<Part<'p>>) {
        let PartKind::ToolResult { id, content: parts, is_error } = &part.kind else { return };
        if self.cx.same {
            let mut obj = self.list.obj();
            obj.text("role", "tool").str("tool_call_id", id);
            content(parts, self.cx, &mut obj, self.dropped);
            if let Some(cache) = &part.cache {
                obj.raw("cache_control", cache.get());
            }
            return members(turn, &[], self.cx, &mut obj, self.dropped);
        }
        self.note_members(part);
        let (told, shown): (Vec<&Part<'_>>, Vec<&Part<'_>>) = parts.iter().partition(|p| is_text(p));
        let told: Vec<Part<'_>> = told.into_iter().cloned().collect();
        let mut texts = self.texts(&told);
        if *is_error && !texts.first().is_some_and(says_error) {
            texts.insert(0, Str::from_text("Error:"));
        }
        let (shown, lost): (Vec<&Part<'_>>, Vec<&Part<'_>>) = shown.into_iter().partition(|p| is_media(p));
        lost.into_iter().for_each(|p| self.dropped.push(p.at));
        if !shown.is_empty() {
            let note = format!("Returned by tool call {}:", id.text());
            let text = Str::from_text(&note);
            beside.push(Part::new(part.at, PartKind::Text { text, citations: None }));
            beside.extend(shown.into_iter().map(|p| Part { cache: None, rest: Vec::new(), ..p.clone() }));
        }
        let mut obj = self.list.obj();
        obj.text("role", "tool").str("tool_call_id", id);
        join(&texts, "\\n", obj.key("content"));
    }

    fn assistant(&mut self, turn: &Turn<'_>) {
        let calls: Vec<&Part<'_>> = turn.parts.iter().filter(|p| matches!(p.kind, PartKind::ToolCall { .. })).collect();
        let said: Vec<Part<'_>> = turn.parts.iter().filter(|p| is_said(p, self.cx)).cloned().collect();
        let refusals: Vec<Str<'_>> = turn.parts.iter().filter_map(|part| refusal_of(part, self.cx)).collect();
        // Nothing of it can be told: some servers refuse a message without content.
        let is_lost = |part: &Part<'_>| is_media(part) || matches!(part.kind, PartKind::Other { .. });
        if !self.cx.same && !turn.parts.is_empty() && turn.parts.iter().all(is_lost) {
            left_out(turn, self.cx.client, self.dropped);
            return self.dropped.push_rest(turn.at, &turn.rest);
        }
        let mut obj = self.list.obj();
        obj.text("role", "assistant");
        let has_more = !calls.is_empty() || !self.cx.same && !refusals.is_empty();
        let thoughts = if takes_thoughts(self.cx) { thoughts(turn) } else { Vec::new() };
        if !thoughts.is_empty() {
            thoughtful(&thoughts, &said, obj.arr("content"));
        } else if said.is_empty() && has_more {
            obj.null("content");
        } else if self.cx.same {
            content(&said, self.cx, &mut obj, self.dropped);
        } else {
            let texts: Vec<Str<'_>> = said.iter().filter_map(text_of).collect();
            join(&texts, "", obj.key("content"));
        }
        if !self.cx.same {
            left_out(turn, self.cx.client, self.dropped);
        }
        if !refusals.is_empty() {
            join(&refusals, "", obj.key("refusal"));
        }
        thinking(turn, self.cx, &mut obj);
        if !calls.is_empty() {
            let mut list = obj.arr("tool_calls");
            for call in calls {
                encode_call(call, self.cx, list.obj(), self.dropped);
            }
        }
        // Pictures it made before.
        let images: Vec<&Part<'_>> = turn.parts.iter().filter(|p| p.at.inner_list() == Some("images")).collect();
        if self.cx.same && !images.is_empty() {
            let mut list = obj.arr("images");
            images.into_iter().for_each(|image| encode_part(image, self.cx, &mut list, self.dropped));
        }
        members(turn, &said, self.cx, &mut obj, self.dropped);
    }
}

fn is_text(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Text { .. } | PartKind::Document { media: Media::Text(_), .. })
}

fn is_media(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Image { .. } | PartKind::Document { .. } | PartKind::Audio { .. })
}

fn says_error(text: &Str<'_>) -> bool {
    text.text().trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"))
}

fn text_of<'p>(part: &'p Part<'_>) -> Option<Str<'p>> {
    match &part.kind {
        PartKind::Text { text, .. } => Some(text.reborrow()),
        _ => None,
    }
}

/// A refusal that stands beside the content: in chat's own requests it may be in it.
fn refusal_of<'p>(part: &'p Part<'_>, cx: &Context<'_>) -> Option<Str<'p>> {
    match &part.kind {
        PartKind::Refusal { text } if !is_said(part, cx) => Some(text.reborrow()),
        _ => None,
    }
}

/// What goes into the content of an assistant's message. In chat's own requests thinking may stand
/// in the content (Mistral).
fn is_said(part: &Part<'_>, cx: &Context<'_>) -> bool {
    let in_content = cx.same && part.at.inner_list() == Some("content");
    match part.kind {
        PartKind::Text { .. } => true,
        PartKind::Reasoning { .. } | PartKind::Refusal { .. } | PartKind::Other { .. } => in_content,
        _ => false,
    }
}

/// Names what an assistant's turn of another format holds that chat has no slot for. Earlier
/// thinking is not among it: a target without a slot does not want it, and clients send it with
/// every turn.
fn left_out(turn: &Turn<'_>, client: Dialect, dropped: &mut Dropped) {
    for part in &turn.parts {
        match &part.kind {
            PartKind::Text { citations, .. } => {
                if citations.as_ref().is_some_and(|citations| citations.get() != "[]") {
                    dropped.push(part.spelled(client, "citations"));
                }
                note(part, dropped);
            }
            // Their own members are named where they are written.
            PartKind::ToolCall { .. } | PartKind::Refusal { .. } => {}
            PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. } | PartKind::ReasoningDetails { .. } => {}
            _ => dropped.push(part.at),
        }
    }
}

fn note(part: &Part<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.push(format_args!("{}.cache_control", part.at));
    }
    dropped.push_rest(part.at, &part.rest);
}

/// The members of the message itself.
fn members(turn: &Turn<'_>, parts: &[Part<'_>], cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    if let Some(name) = &turn.name {
        obj.str("name", name);
    }
    if cx.same {
        obj.rest(&turn.rest);
        if let Some(cache) = parts.iter().find(|p| p.at.inner_list().is_none()).and_then(|p| p.cache.as_ref()) {
            obj.raw("cache_control", cache.get());
        }
    } else {
        dropped.push_rest(turn.at, &turn.rest);
    }
}

/// As [`members`], for leading instructions, whose only part carries them.
fn whole_message_members(parts: &[Part<'_>], obj: &mut Obj<'_>) {
    for part in parts.iter().filter(|p| p.at.inner_list().is_none()) {
        outer(&part.rest, obj);
        if let Some(cache) = &part.cache {
            obj.raw("cache_control", cache.get());
        }
    }
}

/// Joins texts into one string; `escaped` stands between them.
pub(super) fn join(texts: &[Str<'_>], escaped: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, text) in texts.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(escaped.as_bytes());
        }
        out.extend_from_slice(text.escaped().as_bytes());
    }
    out.push(b'"');
}

/// Writes the content: a lone text as a string, which every server takes, else a list.
fn content(parts: &[Part<'_>], cx: &Context<'_>, obj: &mut Obj<'_>, dropped: &mut Dropped) {
    if let [Part { kind: PartKind::Text { text, .. }, cache, rest, at, .. }] = parts
        && (!cx.same || at.inner_list().is_none() || (cache.is_none() && rest.is_empty()))
    {
        if !cx.same {
            parts.iter().for_each(|p| note(p, dropped));
        }
        obj.str("content", text);
        return;
    }
    let mut json = Vec::new();
    {
        let mut list = Arr::new(&mut json);
        for part in parts {
            encode_part(part, cx, &mut list, dropped);
        }
    }
    // A list that lost all it had.
    if json == b"[]" {
        obj.text("content", "");
    } else {
        obj.key("content").append(&mut json);
    }
}

fn encode_part(part: &Part<'_>, cx: &Context<'_>, list: &mut Arr<'_>, dropped: &mut Dropped) {
    let mut json = Vec::new();
    let written = {
        let mut obj = Obj::new(&mut json);
        let written = write_kind(part, cx, &mut obj);
        if cx.same {
            if let Some(cache) = &part.cache {
                obj.raw("cache_control", cache.get());
            }
            outer(&part.rest, &mut obj);
        }
        written
    };
    match &part.kind {
        PartKind::Other { json, .. } if cx.same => _ = list.raw(json.get()),
        _ if !written => dropped.push(part.at),
        _ => {
            if !cx.same {
                note(part, dropped);
            }
            list.item().append(&mut json);
        }
    }
}

/// Chat's word for a kind of sound.
fn sound(mime: &str) -> &str {
    match mime.strip_prefix("audio/").unwrap_or(mime) {
        "mpeg" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        other => other,
    }
}

/// Writes the members of a content part; says whether chat has such a part.
fn write_kind(part: &Part<'_>, cx: &Context<'_>, obj: &mut Obj<'_>) -> bool {
    match &part.kind {
        PartKind::Text { text, .. } => _ = obj.text("type", "text").str("text", text),
        PartKind::Refusal { text } => _ = obj.text("type", "refusal").str("refusal", text),
        PartKind::Image { media, detail } => return media_out::image(part, media, detail.as_ref(), cx, obj),
        PartKind::Document { media, title, context, .. } => {
            return media_out::document(part, media, (title.as_ref(), context.as_ref()), cx, obj);
        }
        PartKind::Audio { media: Media::Base64 { mime, data }, format } => {
            obj.text("type", "input_audio");
            let mut it = obj.obj("input_audio");
            it.text("data", data);
            match format {
                Some(format) => it.str("format", format),
                None => it.text("format", sound(mime)),
            };
            nested("input_audio.", &part.rest, &mut it);
        }
        PartKind::Reasoning { text, .. } if cx.same => {
            obj.text("type", "thinking");
            obj.arr("thinking").obj().text("type", "text").str("text", text);
        }
        _ => return false,
    }
    true
}

fn encode_call(part: &Part<'_>, cx: &Context<'_>, mut obj: Obj<'_>, dropped: &mut Dropped) {
    let PartKind::ToolCall { id, name, arguments } = &part.kind else { return };
    obj.str("id", id);
    let custom = part.rest.iter().find(|(member, _)| member == "custom").filter(|_| cx.same);
    if let Some((_, custom)) = custom {
        obj.text("type", "custom").raw("custom", custom.get());
    } else {
        obj.text("type", "function");
        let mut function = obj.obj("function");
        function.str("name", name).raw("arguments", &arguments.encoded());
        if cx.same {
            nested("function.", &part.rest, &mut function);
        }
    }
    if !cx.same {
        return note(part, dropped);
    }
    if let Some(cache) = &part.cache {
        obj.raw("cache_control", cache.get());
    }
    for (member, value) in part.rest.iter().filter(|(m, _)| m != "custom" && !m.contains('.')) {
        obj.raw(member, value.get());
    }
}

/// Gives earlier thinking back: to the same format where it stood, else in the member this vendor
/// reads, and its proof where it is ours to open.
fn thinking(turn: &Turn<'_>, cx: &Context<'_>, obj: &mut Obj<'_>) {
    if cx.same {
        return same_thinking(&turn.parts, obj);
    }
    let texts = thoughts(turn);
    if let Some(member) = cx.target.quirks.reasoning_echo.filter(|_| !texts.is_empty()) {
        join(&texts, "\\n\\n", obj.key(member));
    }
    let lists = turn.parts.iter().filter_map(|part| match &part.kind {
        PartKind::ReasoningDetails { details } => details.read::<Vec<Json<'_>>>(),
        _ => None,
    });
    let items: Vec<Json<'_>> = lists.flatten().collect();
    if !items.is_empty() {
        let mut list = obj.arr("reasoning_details");
        items.into_iter().for_each(|item| _ = list.raw(item.get()));
    }
}

fn thoughts<'t>(turn: &'t Turn<'_>) -> Vec<Str<'t>> {
    let thought = |part: &'t Part<'_>| match &part.kind {
        PartKind::Reasoning { text, .. } if !text.is_empty() => Some(text.reborrow()),
        _ => None,
    };
    turn.parts.iter().filter_map(thought).collect()
}

/// Whether earlier thinking goes into the content: models that do not think are not shown any.
fn takes_thoughts(cx: &Context<'_>) -> bool {
    let quirks = cx.target.quirks;
    !cx.same && quirks.thinking_in_content && quirks.efforts(cx.target.model).is_some_and(|efforts| efforts.think)
}

/// A content that begins with thinking, as Mistral's do.
fn thoughtful(thoughts: &[Str<'_>], said: &[Part<'_>], mut list: Arr<'_>) {
    {
        let mut thinking = list.obj();
        thinking.text("type", "thinking");
        let mut text = thinking.arr("thinking");
        thoughts.iter().for_each(|thought| _ = text.obj().text("type", "text").str("text", thought));
    }
    for text in said.iter().filter_map(text_of).filter(|text| !text.is_empty()) {
        list.obj().text("type", "text").str("text", &text);
    }
}

fn same_thinking(parts: &[Part<'_>], obj: &mut Obj<'_>) {
    for part in parts {
        let PartKind::Reasoning { text, signature: None } = &part.kind else { continue };
        if let Some(name @ ("reasoning_content" | "reasoning")) = part.at.inner_list() {
            obj.str(name, text);
        }
    }
    let standing_in = |list: &'static str| parts.iter().filter(move |p: &&Part<'_>| p.at.inner_list() == Some(list));
    if standing_in("thinking_blocks").next().is_some() {
        let mut list = obj.arr("thinking_blocks");
        standing_in("thinking_blocks").for_each(|p| thinking_block(p, list.obj()));
    }
    if standing_in("reasoning_details").next().is_some() {
        same_details(standing_in("reasoning_details"), obj.arr("reasoning_details"));
    }
}

fn thinking_block(part: &Part<'_>, mut obj: Obj<'_>) {
    match &part.kind {
        PartKind::RedactedReasoning { data } => _ = obj.text("type", "redacted_thinking").str("data", data),
        PartKind::Reasoning { text, signature } => {
            obj.text("type", "thinking").str("thinking", text);
            if let Some(signature) = signature {
                obj.str("signature", signature);
            }
        }
        _ => {}
    }
    obj.rest(&part.rest);
}

fn same_details<'p>(parts: impl Iterator<Item = &'p Part<'p>>, mut list: Arr<'_>) {
    for (index, part) in parts.enumerate() {
        match &part.kind {
            PartKind::ReasoningDetails { details } => {
                let items: Vec<Json<'_>> = details.read().unwrap_or_default();
                items.into_iter().for_each(|item| _ = list.raw(item.get()));
            }
            PartKind::Reasoning { text, signature: Some(signature) } => {
                details::write_signed(list.item(), text.escaped(), signature, index);
            }
            PartKind::RedactedReasoning { data } => details::write_encrypted(list.item(), data, index),
            _ => {}
        }
    }
}
