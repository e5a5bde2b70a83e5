//! The items of a conversation to turns.

use std::borrow::Cow;

use super::super::namespace;
use super::decode::setting;
use crate::error::{Error, Result};
use crate::wire::ir::{Arguments, At, Media, Part, PartKind, Role, Setting, SettingKind, Turn, data_url};
use crate::wire::json::{Json, Listed, Obj, Raw, Rest, Str};
use crate::wire::lenient::{Value, filled, read, text};
use crate::wire::seal::Seal;
use crate::wire_object;

wire_object! {
    struct Item<'a> {
        kind: Json<'a> = "type",
        role: Json<'a>,
        content: Listed<'a>,
        call_id: Json<'a>,
        name: Json<'a>,
        namespace: Json<'a>,
        arguments: Json<'a>,
        input: Json<'a>,
        output: Listed<'a>,
        id: Json<'a>,
        summary: Listed<'a>,
        encrypted_content: Json<'a>,
        result: Json<'a>,
        output_format: Json<'a>,
        status: Json<'a>,
        phase: Json<'a>,
        internal_chat_message_metadata_passthrough: Json<'a>,
    }
}

wire_object! {
    struct Piece<'a> {
        kind: Json<'a> = "type",
        text: Json<'a>,
        refusal: Json<'a>,
        annotations: Raw<'a>,
        logprobs: Raw<'a>,
        image_url: Json<'a>,
        file_id: Json<'a>,
        detail: Json<'a>,
        file_data: Json<'a>,
        file_url: Json<'a>,
        filename: Json<'a>,
        input_audio: Json<'a>,
    }
}

wire_object! {
    struct Sound<'a> { data: Str<'a>, format: Str<'a> }
}

/// Instructions before the first turn, and the turns.
pub(super) fn decode<'a>(
    input: Option<Listed<'a>>,
    options: &mut Vec<Setting<'a>>,
) -> Result<(Vec<Part<'a>>, Vec<Turn<'a>>)> {
    let list = match input {
        None => return Ok((Vec::new(), Vec::new())),
        Some(Listed::Items(list)) => list,
        Some(Listed::Value(raw)) => {
            let text = Str::from_raw(raw.get())
                .ok_or_else(|| Error::invalid("input", "`input` must be a string or a list of items"))?;
            let at = At::member("input");
            let parts = vec![Part::new(at, PartKind::Text { text, citations: None })];
            return Ok((Vec::new(), vec![Turn { role: Role::User, at, parts, name: None, rest: Vec::new() }]));
        }
    };
    let mut reader = Reader { system: Vec::new(), turns: Vec::new(), options };
    for (index, raw) in list.into_iter().enumerate() {
        reader.item(At::item("input", index), raw)?;
    }
    Ok((reader.system, reader.turns))
}

struct Reader<'a, 'o> {
    system: Vec<Part<'a>>,
    turns: Vec<Turn<'a>>,
    options: &'o mut Vec<Setting<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn item(&mut self, at: At, raw: Json<'a>) -> Result<()> {
        let item: Item<'a> =
            read(Some(raw)).ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` must be an object")))?;
        let tag = text(item.kind);
        let whole = Some(Raw::new(raw.get()));
        match tag.as_ref().map(Str::escaped) {
            None | Some("message") => self.message(at, item, Raw::new(raw.get()))?,
            Some("function_call") => {
                let arguments = match item.arguments.and_then(|raw| Str::from_raw(raw.get())) {
                    Some(text) => Arguments::Encoded(text),
                    None => Arguments::Object(Raw::new(item.arguments.map_or("{}", Json::get))),
                };
                let kind = PartKind::ToolCall { id: call_id(at, &item)?, name: called(at, &item)?, arguments };
                self.models(Part { rest: item.rest, item: whole, ..Part::new(at, kind) });
            }
            Some("custom_tool_call") => {
                let arguments = Arguments::Text(text(item.input).unwrap_or_else(|| Str::from_text("")));
                let kind = PartKind::ToolCall { id: call_id(at, &item)?, name: called(at, &item)?, arguments };
                self.models(Part { rest: item.rest, item: whole, ..Part::new(at, kind) });
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                let id = call_id(at, &item)?;
                let content = pieces(at, "output", item.output);
                let kind = PartKind::ToolResult { id, content, is_error: false };
                let part = Part { rest: item.rest, item: whole, ..Part::new(at, kind) };
                self.turns.push(Turn { role: Role::Tool, at, parts: vec![part], name: None, rest: Vec::new() });
            }
            Some("reasoning") => self.models(Part { item: whole, ..reasoning(at, &item) }),
            Some("image_generation_call") if filled(item.result).is_some() => {
                let format =
                    text(item.output_format).map_or_else(|| "png".to_owned(), |format| format.text().into_owned());
                let data = text(item.result).map(|data| data.text().into_owned()).unwrap_or_default();
                let media = Media::Base64 { mime: Cow::Owned(format!("image/{format}")), data: Cow::Owned(data) };
                let mut rest = item.rest;
                rest.extend(item.id.map(|id| (Cow::Borrowed("id"), Raw::new(id.get()))));
                rest.extend(item.status.map(|status| (Cow::Borrowed("status"), Raw::new(status.get()))));
                let kind = PartKind::Image { media, detail: None };
                self.models(Part { rest, item: whole, ..Part::new(at, kind) });
            }
            // Stands for an item that only its provider has.
            Some("item_reference") => {
                self.options.push(setting(SettingKind::State, "input", Raw::new(raw.get())));
                let tag = Str::from_text("item_reference");
                self.models(Part::new(at, PartKind::Other { tag, json: Raw::new(raw.get()) }));
            }
            Some(_) => {
                let tag = tag.unwrap_or_else(|| Str::from_text(""));
                self.models(Part::new(at, PartKind::Other { tag, json: Raw::new(raw.get()) }));
            }
        }
        Ok(())
    }

    fn message(&mut self, at: At, item: Item<'a>, whole: Raw<'a>) -> Result<()> {
        let word = text(item.role)
            .ok_or_else(|| Error::invalid(at.to_string(), format!("`{at}` needs a `type`, or a `role`")))?;
        let mut parts = pieces(at, "content", item.content);
        if let Some(part) = parts.first_mut() {
            part.item = Some(whole);
        }
        let role = match word.escaped() {
            "user" => Role::User,
            "assistant" => {
                let rest = item.rest;
                parts.into_iter().for_each(|part| self.models(part));
                if let Some(turn) = self.turns.last_mut() {
                    turn.rest.extend(rest);
                }
                return Ok(());
            }
            "system" | "developer" if self.turns.is_empty() => {
                self.system.extend(parts);
                return Ok(());
            }
            "system" => Role::System,
            "developer" => Role::Developer,
            _ => {
                let text = format!("`{at}.role` must be user, assistant, system or developer");
                return Err(Error::invalid(format!("{at}.role"), text));
            }
        };
        self.turns.push(Turn { role, at, parts, name: None, rest: item.rest });
        Ok(())
    }

    /// Adds to the model's turn: all of its items in a row are one.
    fn models(&mut self, part: Part<'a>) {
        match self.turns.last_mut() {
            Some(turn) if turn.role == Role::Assistant => turn.parts.push(part),
            _ => {
                let at = part.at;
                self.turns.push(Turn { role: Role::Assistant, at, parts: vec![part], name: None, rest: Vec::new() });
            }
        }
    }
}

fn call_id<'a>(at: At, item: &Item<'a>) -> Result<Str<'a>> {
    filled(item.call_id)
        .or_else(|| filled(item.id))
        .ok_or_else(|| Error::invalid(format!("{at}.call_id"), format!("`{at}` needs a `call_id`")))
}

fn called<'a>(at: At, item: &Item<'a>) -> Result<Str<'a>> {
    let name = text(item.name).ok_or_else(|| Error::invalid(format!("{at}.name"), format!("`{at}` needs a `name`")))?;
    Ok(match filled(item.namespace) {
        Some(prefix) => Str::from_text(&namespace::joined(&prefix.text(), &name.text())),
        None => name,
    })
}

/// Reasoning with what proves it: a seal of ours as it stands, or what the provider needs of the item.
fn reasoning<'a>(at: At, item: &Item<'a>) -> Part<'a> {
    let texts = |list: &Option<Listed<'a>>| -> Vec<Str<'a>> {
        let items = list.as_ref().map_or(&[][..], Listed::items);
        items.iter().filter_map(|raw| text(read::<Piece<'a>>(Some(*raw))?.text)).collect()
    };
    let summary = texts(&item.summary);
    let texts = if summary.is_empty() { texts(&item.content) } else { summary };
    let joined: Vec<&str> = texts.iter().map(Str::escaped).collect();
    let text = Str::from_escaped(&joined.join("\\n\\n"));
    let signature = proof(filled(item.id), filled(item.encrypted_content));
    Part::new(at, PartKind::Reasoning { text, signature })
}

/// What has to come back with an item of reasoning.
pub(in crate::wire::responses) fn proof<'a>(id: Option<Str<'a>>, encrypted: Option<Str<'a>>) -> Option<Str<'a>> {
    match (id, encrypted) {
        (_, Some(seal)) if Seal::is_sealed(seal.escaped()) => Some(seal),
        (None, None) => None,
        (id, encrypted) => {
            let mut json = Vec::new();
            {
                let mut proof = Obj::new(&mut json);
                id.iter().for_each(|id| _ = proof.str("id", id));
                encrypted.iter().for_each(|e| _ = proof.str("encrypted_content", e));
            }
            Some(Str::from_text(&String::from_utf8(json).unwrap_or_default()))
        }
    }
}

/// Content: a string, or a list of parts.
fn pieces<'a>(at: At, list: &'static str, value: Option<Listed<'a>>) -> Vec<Part<'a>> {
    match value {
        None => Vec::new(),
        Some(Listed::Value(raw)) => {
            let part = |text| Part::new(at, PartKind::Text { text, citations: None });
            Str::from_raw(raw.get()).map(part).into_iter().collect()
        }
        Some(Listed::Items(items)) => {
            let numbered = items.into_iter().enumerate();
            numbered.map(|(index, raw)| piece(at.inner(list, index), raw)).collect()
        }
    }
}

fn piece(at: At, raw: Json<'_>) -> Part<'_> {
    let mut it: Piece<'_> = read(Some(raw)).unwrap_or_default();
    let tag = text(it.kind).unwrap_or_else(|| Str::from_text(""));
    let whole = || PartKind::Other { tag: tag.clone(), json: Raw::new(raw.get()) };
    let kind = match tag.escaped() {
        "input_text" | "output_text" | "text" | "summary_text" => match text(it.text) {
            Some(text) => PartKind::Text { text, citations: it.annotations.take() },
            None => whole(),
        },
        "refusal" => match text(it.refusal) {
            Some(text) => PartKind::Refusal { text },
            None => whole(),
        },
        "input_image" => match media(it.image_url, it.file_id) {
            Some(media) => PartKind::Image { media, detail: text(it.detail) },
            None => whole(),
        },
        "input_file" => match file(&it) {
            Some(media) => PartKind::Document { media, title: text(it.filename), context: None, citations: None },
            None => whole(),
        },
        "input_audio" => match read::<Sound<'_>>(it.input_audio) {
            Some(Sound { data: Some(data), format, .. }) => {
                let mime =
                    format.as_ref().map_or("audio/wav", |f| if f.is("mp3") { "audio/mpeg" } else { "audio/wav" });
                let data = Cow::Owned(data.text().into_owned());
                PartKind::Audio { media: Media::Base64 { mime: Cow::Borrowed(mime), data }, format }
            }
            _ => whole(),
        },
        _ => whole(),
    };
    let rest: Rest<'_> = if matches!(kind, PartKind::Other { .. }) { Vec::new() } else { it.rest };
    Part { rest, ..Part::new(at, kind) }
}

fn media<'a>(url: Value<'a>, file_id: Value<'a>) -> Option<Media<'a>> {
    filled(url).map(Media::Url).or_else(|| filled(file_id).map(Media::File))
}

/// A file: inline as a `data:` URL, by address, or by id.
fn file<'a>(it: &Piece<'a>) -> Option<Media<'a>> {
    if let Some(data) = filled(it.file_data) {
        let text = data.text();
        let (mime, data) = data_url(&text).unwrap_or(("application/pdf", &text));
        return Some(Media::Base64 { mime: Cow::Owned(mime.to_owned()), data: Cow::Owned(data.to_owned()) });
    }
    media(it.file_url, it.file_id)
}
