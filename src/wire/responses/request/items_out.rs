//! Turns to the items of a conversation.

use super::encode::Context;
use crate::error::{Error, Result};
use crate::wire::ir::{Arguments, At, Dropped, Media, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Arr, Obj, Str};
use crate::wire::scan;

/// A conversation of instructions alone: this format refuses one without items.
const FILLER: &str = r#"{"type":"message","role":"user","content":[{"type":"input_text","text":"."}]}"#;

/// Writes `instructions` and `input`.
pub(super) fn encode(request: &Request<'_>, cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) -> Result<()> {
    // Behind what stands in a member of its own are items that need not be joined with it.
    let items = request.system.iter().position(|part| cx.same && part.item.is_some());
    let (joined, items) = request.system.split_at(items.unwrap_or(request.system.len()));
    instructions(joined, cx, body, dropped);
    let mut writer = Writer { cx, list: body.arr("input"), dropped, custom: Vec::new(), covered: None };
    for part in items {
        if !writer.as_it_came(part) {
            writer.instruction(part);
        }
    }
    if request.turns.is_empty() && !request.system.is_empty() && !cx.same {
        writer.list.raw(FILLER);
    }
    for turn in &request.turns {
        match turn.role {
            Role::Assistant => writer.models(turn)?,
            _ => writer.others(turn)?,
        }
    }
    Ok(())
}

fn instructions(system: &[Part<'_>], cx: &Context<'_>, body: &mut Obj<'_>, dropped: &mut Dropped) {
    let mut texts: Vec<&str> = Vec::new();
    for part in system {
        note(part, cx, dropped);
        match &part.kind {
            PartKind::Text { text, .. } => texts.push(text.escaped()),
            _ => dropped.push(part.at),
        }
    }
    if !texts.is_empty() {
        body.str("instructions", &Str::from_escaped(&texts.join("\\n\\n")));
    }
}

/// What of a part has no place here.
fn note(part: &Part<'_>, cx: &Context<'_>, dropped: &mut Dropped) {
    if part.cache.is_some() {
        dropped.push(format_args!("{}.cache_control", part.at));
    }
    if !cx.same {
        dropped.push_rest(part.at, &part.rest);
    }
}

struct Writer<'w, 'o> {
    cx: &'w Context<'w>,
    list: Arr<'o>,
    dropped: &'w mut Dropped,
    /// Calls of custom tools so far: their results are items of another type.
    custom: Vec<String>,
    /// The item that was written last, if it was written whole.
    covered: Option<At>,
}

impl Writer<'_, '_> {
    /// Writes the item that a part is the first of as the client of the same format sent it, if nothing of it has
    /// changed; says whether the part is written with that.
    fn as_it_came(&mut self, part: &Part<'_>) -> bool {
        if self.covered.is_some_and(|at| part.item.is_none() && at.same_item(part.at)) {
            return true;
        }
        let item = part.item.as_ref().filter(|item| self.cx.same && is_as_it_came(part, item.get()));
        self.covered = item.map(|item| {
            self.list.raw(item.get());
            part.at
        });
        if let PartKind::ToolCall { id, arguments: Arguments::Text(_), .. } = &part.kind {
            self.custom.push(id.text().into_owned());
        }
        item.is_some()
    }

    /// Instructions that stand behind others that are an item.
    fn instruction(&mut self, part: &Part<'_>) {
        note(part, self.cx, self.dropped);
        match &part.kind {
            PartKind::Text { text, .. } => {
                self.list.obj().text("type", "message").text("role", "developer").str("content", text);
            }
            _ => self.dropped.push(part.at),
        }
    }

    /// A turn of anyone's but the model's: results first, each an item, then a message.
    fn others(&mut self, turn: &Turn<'_>) -> Result<()> {
        self.members(turn);
        let mut said: Vec<&Part<'_>> = Vec::new();
        for part in &turn.parts {
            match &part.kind {
                _ if self.as_it_came(part) => {}
                PartKind::ToolResult { id, content, is_error } => self.result(part, id, content, *is_error)?,
                _ => said.push(part),
            }
        }
        if said.is_empty() {
            return Ok(());
        }
        let role = if matches!(turn.role, Role::System | Role::Developer) { "developer" } else { "user" };
        let mut item = self.list.obj();
        item.text("type", "message").text("role", role);
        let mut list = item.arr("content");
        for part in said {
            note(part, self.cx, self.dropped);
            piece(part, self.cx, &mut list)?;
        }
        Ok(())
    }

    fn members(&mut self, turn: &Turn<'_>) {
        if turn.name.is_some() {
            self.dropped.push(format_args!("{}.name", turn.at));
        }
        if !self.cx.same {
            self.dropped.push_rest(turn.at, &turn.rest);
        }
    }

    fn result(&mut self, part: &Part<'_>, id: &Str<'_>, content: &[Part<'_>], is_error: bool) -> Result<()> {
        note(part, self.cx, self.dropped);
        let id = &*id.text();
        let custom = self.custom.iter().any(|known| known == id);
        let mut item = self.list.obj();
        item.text("type", if custom { "custom_tool_call_output" } else { "function_call_output" });
        item.text("call_id", id);
        let plain = |part: &Part<'_>| matches!(part.kind, PartKind::Text { .. });
        if content.iter().all(plain) {
            let mut texts: Vec<&str> = content.iter().filter_map(text_of).collect();
            if is_error && !texts.first().is_some_and(|text| text.to_ascii_lowercase().contains("error")) {
                texts.insert(0, "Error:");
            }
            item.str("output", &Str::from_escaped(&texts.join("\\n")));
            content.iter().for_each(|part| note(part, self.cx, self.dropped));
            return Ok(());
        }
        let mut list = item.arr("output");
        if is_error {
            list.obj().text("type", "input_text").text("text", "Error:");
        }
        for part in content {
            note(part, self.cx, self.dropped);
            piece(part, self.cx, &mut list)?;
        }
        Ok(())
    }

    /// A turn of the model's: each message, call and piece of reasoning is an item.
    fn models(&mut self, turn: &Turn<'_>) -> Result<()> {
        self.members(turn);
        let mut parts = turn.parts.iter().peekable();
        while let Some(part) = parts.next() {
            if self.as_it_came(part) {
                continue;
            }
            note(part, self.cx, self.dropped);
            match &part.kind {
                PartKind::Text { .. } | PartKind::Refusal { .. } => {
                    let mut said = vec![part];
                    while let Some(next) = parts.next_if(|p| is_said(p) && p.item.is_none()) {
                        note(next, self.cx, self.dropped);
                        said.push(next);
                    }
                    self.message(&said);
                }
                PartKind::ToolCall { id, name, arguments } => self.call(id, name, arguments),
                PartKind::Reasoning { text, signature: Some(proof) } => self.reasoning(text, proof),
                PartKind::Other { json, .. } if self.cx.same => _ = self.list.raw(json.get()),
                PartKind::Image { media, .. } if self.cx.same => self.picture(part, media),
                PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. } | PartKind::ReasoningDetails { .. } => {
                }
                _ => self.dropped.push(part.at),
            }
        }
        Ok(())
    }

    /// Items of the model's own shape have ids, which another format has none of: there each text is
    /// an item in the short form.
    fn message(&mut self, said: &[&Part<'_>]) {
        if !self.cx.same {
            said.iter().for_each(|part| self.short_message(part));
            return;
        }
        let mut item = self.list.obj();
        item.text("type", "message").text("role", "assistant");
        let mut list = item.arr("content");
        for part in said {
            match &part.kind {
                PartKind::Text { text, citations } => {
                    let mut it = list.obj();
                    it.text("type", "output_text").str("text", text);
                    it.raw("annotations", citations.as_ref().map_or("[]", |c| c.get()));
                }
                PartKind::Refusal { text } => _ = list.obj().text("type", "refusal").str("refusal", text),
                _ => {}
            }
        }
    }

    fn short_message(&mut self, part: &Part<'_>) {
        let (PartKind::Text { text, .. } | PartKind::Refusal { text }) = &part.kind else { return };
        self.list.obj().text("type", "message").text("role", "assistant").str("content", text);
        if matches!(&part.kind, PartKind::Text { citations: Some(list), .. } if list.get() != "[]") {
            self.dropped.push(part.spelled(self.cx.client, "citations"));
        }
    }

    fn call(&mut self, id: &Str<'_>, name: &Str<'_>, arguments: &Arguments<'_>) {
        let id = &*id.text();
        let mut item = self.list.obj();
        match arguments {
            Arguments::Text(input) => {
                item.text("type", "custom_tool_call").text("call_id", id).str("name", name).str("input", input);
            }
            arguments => {
                item.text("type", "function_call").text("call_id", id).str("name", name);
                item.raw("arguments", &arguments.encoded());
            }
        }
    }

    /// A picture it made before.
    fn picture(&mut self, part: &Part<'_>, media: &Media<'_>) {
        let Some((mime, data)) = media.inline() else { return };
        let mut item = self.list.obj();
        item.text("type", "image_generation_call").text("result", &data);
        item.text("output_format", mime.strip_prefix("image/").unwrap_or(&mime)).rest(&part.rest);
    }

    /// An item of this provider's own, by what proves it. Another's means nothing here.
    fn reasoning(&mut self, text: &Str<'_>, proof: &Str<'_>) {
        let json = proof.text();
        let member = |name: &str| scan::member(&json, name).filter(|value| value.starts_with('"'));
        let (id, encrypted) = (member("id"), member("encrypted_content"));
        if id.is_none() && encrypted.is_none() {
            return;
        }
        let mut item = self.list.obj();
        item.text("type", "reasoning");
        id.iter().for_each(|id| _ = item.raw("id", id));
        {
            let mut summary = item.arr("summary");
            if !text.is_empty() {
                summary.obj().text("type", "summary_text").str("text", text);
            }
        }
        encrypted.iter().for_each(|e| _ = item.raw("encrypted_content", e));
    }
}

/// Whether a part says what its item does: calls and results may have got other ids.
pub(in crate::wire::responses) fn is_as_it_came(part: &Part<'_>, item: &str) -> bool {
    match &part.kind {
        PartKind::ToolCall { id, .. } | PartKind::ToolResult { id, .. } => {
            scan::member(item, "call_id").is_some_and(|known| known == id.raw())
        }
        _ => true,
    }
}

fn is_said(part: &Part<'_>) -> bool {
    matches!(part.kind, PartKind::Text { .. } | PartKind::Refusal { .. })
}

fn text_of<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.kind {
        PartKind::Text { text, .. } => Some(text.escaped()),
        _ => None,
    }
}

/// A part of a message to the model, or of a result.
fn piece(part: &Part<'_>, cx: &Context<'_>, list: &mut Arr<'_>) -> Result<()> {
    match &part.kind {
        PartKind::Text { text, .. } | PartKind::Refusal { text } => {
            list.obj().text("type", "input_text").str("text", text);
        }
        PartKind::Image { media, detail } => image(part.at, media, detail.as_ref(), list)?,
        PartKind::Document { media, title, context, .. } => {
            document(part.at, media, title.as_ref(), context.as_ref(), list)?
        }
        // The vendor's own definition has no audio; open servers do.
        PartKind::Audio { media, format } if cx.same => {
            let (mime, data) = media.inline().ok_or_else(|| refused(part.at, "audio has to be inline"))?;
            let mut it = list.obj();
            it.text("type", "input_audio");
            let mut sound = it.obj("input_audio");
            sound.text("data", &data);
            match format {
                Some(format) => sound.str("format", format),
                None => sound.text("format", if mime.contains("mpeg") || mime.contains("mp3") { "mp3" } else { "wav" }),
            };
        }
        PartKind::Other { json, .. } if cx.same => _ = list.raw(json.get()),
        _ => return Err(refused(part.at, "this model takes no content of this type")),
    }
    Ok(())
}

fn refused(at: At, why: &str) -> Error {
    Error::invalid(at.to_string(), format!("{at}: {why}"))
}

fn image(at: At, media: &Media<'_>, detail: Option<&Str<'_>>, list: &mut Arr<'_>) -> Result<()> {
    let mut it = list.obj();
    it.text("type", "input_image");
    match (media, media.url()) {
        (Media::File(id), _) => it.str("file_id", id),
        (_, Some(url)) => it.str("image_url", &url),
        _ => return Err(refused(at, "an image has to be inline or a URL")),
    };
    match detail {
        Some(detail) => it.str("detail", detail),
        None => it.text("detail", "auto"),
    };
    Ok(())
}

fn document(
    at: At,
    media: &Media<'_>,
    title: Option<&Str<'_>>,
    context: Option<&Str<'_>>,
    list: &mut Arr<'_>,
) -> Result<()> {
    if let Media::Text(text) = media {
        let all: Vec<&str> = [title, context, Some(text)].into_iter().flatten().map(Str::escaped).collect();
        list.obj().text("type", "input_text").str("text", &Str::from_escaped(&all.join("\\n\\n")));
        return Ok(());
    }
    let mut it = list.obj();
    it.text("type", "input_file");
    match media {
        Media::File(id) => it.str("file_id", id),
        Media::Url(url) if media.inline().is_none() => it.str("file_url", url),
        _ => {
            let url = media.url().ok_or_else(|| refused(at, "a document has to be inline, a URL or a file"))?;
            match title {
                Some(title) => it.str("filename", title),
                None => it.text("filename", "document.pdf"),
            };
            it.str("file_data", &url)
        }
    };
    Ok(())
}
