//! The conversation, written. One of another format is arranged so that this one takes it:
//!
//! - instructions before the first turn become `systemInstruction`; later ones stay where they are, as
//!   a text in the user's turn between `<system>` tags;
//! - turns of one side in a row are one content, and the first is the user's;
//! - every call has its result in the content behind it, results in the order of the calls: a result
//!   without its call becomes plain content, a call without its result gets an error that says so;
//! - a content that is left without parts is left out, a conversation without any gets the text `.`;
//! - signed thoughts go back to where they were, others are left out. A step whose first call has no
//!   signature, for it was another maker's, gets the value that Gemini 3 takes for that
//!   (<https://ai.google.dev/gemini-api/docs/thought-signatures>, seen in recorded traffic 2026-11).

use super::encode::Context;
use super::thinking::is_3_or_later;
use crate::error::{Error, Result};
use crate::wire::Dialect;
use crate::wire::gemini::part;
use crate::wire::gemini::response::Slot;
use crate::wire::ir::{At, Dropped, Media, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{self, Arr, Obj, Rest, Str};
use crate::wire::lenient::is_object;

const FILLER: &str = ".";
const NO_RESULT: &str = "no result";
/// `skip_thought_signature_validator`, in base64.
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// One content.
#[derive(Debug)]
struct Content<'r> {
    is_user: bool,
    pieces: Vec<Piece<'r>>,
    rest: Option<&'r Rest<'r>>,
}

#[derive(Debug)]
enum Piece<'r> {
    Plain(&'r Part<'r>),
    /// An instruction in mid-conversation.
    Instruction(&'r Part<'r>),
    Call {
        part: &'r Part<'r>,
        id: String,
    },
    Result {
        part: &'r Part<'r>,
        id: String,
        name: String,
    },
    /// The result of a call that got none.
    Missing {
        id: String,
        name: String,
    },
    Filler,
}

/// Writes `systemInstruction` and `contents`; `hint` is one more instruction.
pub(super) fn encode(
    request: &Request<'_>,
    cx: &Context<'_>,
    hint: Option<&str>,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) -> Result<()> {
    let mut writer = Writer { cx, dialect: request.dialect, dropped, in_model: false };
    let leading = if cx.same { 0 } else { request.turns.iter().take_while(|turn| is_instruction(turn)).count() };
    let (first, turns) = request.turns.split_at_checked(leading).unwrap_or_default();
    writer.system(request.system.iter().chain(first.iter().flat_map(|turn| &turn.parts)), hint, body)?;
    first.iter().for_each(|turn| writer.members(turn));
    let contents = match cx.same {
        true => own(turns),
        false if turns.is_empty() && request.system.is_empty() && first.is_empty() => {
            return Err(Error::invalid("messages", "messages: at least one message is required"));
        }
        false => arrange(turns),
    };
    if !cx.same {
        turns.iter().for_each(|turn| writer.members(turn));
    }
    let mut list = body.arr("contents");
    for content in &contents {
        writer.content(content, &mut list)?;
    }
    Ok(())
}

fn is_instruction(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

/// The turns as they are, each call known by its id.
fn own<'r>(turns: &'r [Turn<'r>]) -> Vec<Content<'r>> {
    let mut names: Vec<(String, String)> = Vec::new();
    let mut contents = Vec::with_capacity(turns.len());
    for turn in turns {
        let pieces = pieces(turn, &mut names);
        contents.push(Content { is_user: turn.role != Role::Assistant, pieces, rest: Some(&turn.rest) });
    }
    contents
}

/// The pieces of a turn; `names` are the calls so far.
fn pieces<'r>(turn: &'r Turn<'r>, names: &mut Vec<(String, String)>) -> Vec<Piece<'r>> {
    let piece = |part: &'r Part<'r>| match &part.kind {
        PartKind::ToolCall { id, name, .. } => {
            let id = id.text().into_owned();
            names.push((id.clone(), name.text().into_owned()));
            Piece::Call { part, id }
        }
        PartKind::ToolResult { id, .. } => {
            let id = id.text().into_owned();
            let name =
                names.iter().rev().find(|(own, _)| *own == id).map_or_else(|| id.clone(), |(_, name)| name.clone());
            Piece::Result { part, id, name }
        }
        _ if is_instruction(turn) => Piece::Instruction(part),
        _ => Piece::Plain(part),
    };
    turn.parts.iter().map(piece).collect()
}

/// The conversation of another format.
fn arrange<'r>(turns: &'r [Turn<'r>]) -> Vec<Content<'r>> {
    let mut names = Vec::new();
    let mut contents: Vec<Content<'r>> = Vec::new();
    for turn in turns {
        let is_user = turn.role != Role::Assistant;
        let pieces = pieces(turn, &mut names);
        match contents.last_mut() {
            _ if !pieces.iter().any(is_something) => {}
            Some(last) if last.is_user == is_user => last.pieces.extend(pieces),
            _ => contents.push(Content { is_user, pieces, rest: None }),
        }
    }
    pair(&mut contents);
    if contents.first().is_none_or(|first| !first.is_user) {
        contents.insert(0, Content { is_user: true, pieces: vec![Piece::Filler], rest: None });
    }
    contents
}

/// Whether anything of a piece goes out.
fn is_something(piece: &Piece<'_>) -> bool {
    match piece {
        Piece::Plain(part) | Piece::Instruction(part) => match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } => !text.is_empty(),
            PartKind::Reasoning { signature, .. } => own_signature(signature.as_ref()).is_some(),
            PartKind::RedactedReasoning { .. } | PartKind::ReasoningDetails { .. } => false,
            _ => true,
        },
        _ => true,
    }
}

/// Gives every call its result, right behind it and in the order of the calls.
fn pair(contents: &mut Vec<Content<'_>>) {
    let calls_of = |content: &Content<'_>| -> Vec<(String, String)> {
        let calls = content.pieces.iter().filter_map(|piece| match piece {
            Piece::Call { part: Part { kind: PartKind::ToolCall { name, .. }, .. }, id } => {
                Some((id.clone(), name.text().into_owned()))
            }
            _ => None,
        });
        if content.is_user { Vec::new() } else { calls.collect() }
    };
    if contents.last().is_some_and(|last| !calls_of(last).is_empty()) {
        contents.push(Content { is_user: true, pieces: Vec::new(), rest: None });
    }
    let mut open = Vec::new();
    for content in contents {
        if content.is_user {
            let (mut results, others): (Vec<_>, Vec<_>) = std::mem::take(&mut content.pieces)
                .into_iter()
                .partition(|piece| matches!(piece, Piece::Result { .. }));
            for (id, name) in std::mem::take(&mut open) {
                let found =
                    results.iter().position(|piece| matches!(piece, Piece::Result { id: own, .. } if *own == id));
                content.pieces.push(match found {
                    Some(at) => results.remove(at),
                    None => Piece::Missing { id, name },
                });
            }
            // Results of no call: what they say is said.
            for piece in results {
                if let Piece::Result { part: Part { kind: PartKind::ToolResult { content: said, .. }, .. }, .. } = piece
                {
                    content.pieces.extend(said.iter().map(Piece::Plain));
                }
            }
            content.pieces.extend(others);
        } else {
            open = calls_of(content);
        }
    }
}

/// A thought without a signature is another maker's.
fn own_signature<'s, 'a>(signature: Option<&'s Str<'a>>) -> Option<&'s Str<'a>> {
    signature.filter(|signature| !signature.is_empty())
}

struct Writer<'w> {
    cx: &'w Context<'w>,
    dialect: Dialect,
    dropped: &'w mut Dropped,
    /// In a content of the model's.
    in_model: bool,
}

impl Writer<'_> {
    fn system<'p>(
        &mut self,
        parts: impl Iterator<Item = &'p Part<'p>>,
        hint: Option<&str>,
        body: &mut Obj<'_>,
    ) -> Result<()> {
        let mut all = Vec::new();
        {
            let mut list = Arr::new(&mut all);
            for part in parts {
                match &part.kind {
                    PartKind::Text { text, .. } if !text.is_empty() || self.cx.same => {
                        self.plain(part, &mut Slot::default(), &mut list)?;
                    }
                    PartKind::Text { .. } => {}
                    _ if self.cx.same => self.plain(part, &mut Slot::default(), &mut list)?,
                    _ => self.dropped.push(part.at),
                }
            }
            hint.iter().for_each(|hint| _ = list.obj().text("text", hint));
        }
        if all != b"[]" {
            body.obj("systemInstruction").key("parts").extend_from_slice(&all);
        }
        Ok(())
    }

    /// Lists what of a turn has no place here, but what says nothing.
    fn members(&mut self, turn: &Turn<'_>) {
        if turn.name.is_some() {
            self.dropped.push(format_args!("{}.name", turn.at));
        }
        self.rest(turn.at, &turn.rest);
    }

    fn rest(&mut self, at: At, rest: &Rest<'_>) {
        for (name, _) in rest.iter().filter(|(_, value)| !matches!(value.get(), "null" | "[]" | "{}")) {
            self.dropped.push(format_args!("{at}.{name}"));
        }
    }

    fn content(&mut self, content: &Content<'_>, list: &mut Arr<'_>) -> Result<()> {
        self.in_model = !content.is_user;
        let mut parts = Vec::new();
        {
            let (mut slot, mut has_called) = (Slot::default(), false);
            let mut list = Arr::new(&mut parts);
            let mut beside = Vec::new();
            for piece in &content.pieces {
                match piece {
                    Piece::Call { part, id } => {
                        self.call(part, id, std::mem::replace(&mut has_called, true), &mut slot, &mut list);
                    }
                    Piece::Result { part, id, name } => beside.extend(self.result(part, id, name, &mut list)?),
                    Piece::Missing { id, name } => {
                        let mut part = list.obj();
                        let mut it = part.obj("functionResponse");
                        self.write_id(id, &mut it);
                        it.text("name", name).obj("response").text("error", NO_RESULT);
                    }
                    Piece::Instruction(part) => self.instruction(part, &mut list),
                    Piece::Plain(part) => self.plain(part, &mut slot, &mut list)?,
                    Piece::Filler => _ = list.obj().text("text", FILLER),
                }
            }
            for part in beside {
                self.media(part, &mut list)?;
            }
            slot.end(&mut list);
        }
        // What held another maker's thoughts alone is gone with them.
        if parts == b"[]" && !content.pieces.is_empty() {
            return Ok(());
        }
        let mut body = list.obj();
        body.text("role", if content.is_user { "user" } else { "model" });
        body.key("parts").extend_from_slice(&parts);
        content.rest.iter().for_each(|rest| _ = body.rest(rest));
        Ok(())
    }

    /// What of a part has no place here.
    fn note(&mut self, part: &Part<'_>) {
        if part.cache.is_some() {
            self.dropped.push(format_args!("{}.cache_control", part.at));
        }
        if !self.cx.same {
            self.rest(part.at, &part.rest);
        }
    }

    fn close(&mut self, part: &Part<'_>, it: &mut Obj<'_>) {
        self.note(part);
        if self.cx.same {
            it.rest(&part.rest);
        }
    }

    fn instruction(&mut self, part: &Part<'_>, list: &mut Arr<'_>) {
        let PartKind::Text { text, .. } = &part.kind else { return self.dropped.push(part.at) };
        self.note(part);
        if !text.is_empty() {
            let wrapped = Str::from_escaped(&format!("<system>\\n{}\\n</system>", text.escaped()));
            list.obj().str("text", &wrapped);
        }
    }

    /// Ids that were made up for calls without one, by their order, are not the provider's.
    fn write_id(&self, id: &str, it: &mut Obj<'_>) {
        let made_up = id.strip_prefix("call_").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        if self.cx.target.quirks.call_ids && !id.is_empty() && !made_up {
            it.text("id", id);
        }
    }

    fn call(&mut self, part: &Part<'_>, id: &str, has_called: bool, slot: &mut Slot, list: &mut Arr<'_>) {
        let PartKind::ToolCall { name, arguments, .. } = &part.kind else { return };
        if !has_called && slot.is_empty() && is_3_or_later(self.cx.target.model) {
            slot.keep(&Str::from_text(NO_SIGNATURE), list);
        }
        let mut it = list.obj();
        let mut call = it.obj("functionCall");
        self.write_id(id, &mut call);
        call.str("name", name);
        part::write_args(arguments, call.key("args"));
        drop(call);
        slot.put(&mut it);
        self.close(part, &mut it);
    }

    /// Writes a result; gives back the media that go beside it: inside it, where it holds any, are inline ones only.
    fn result<'p>(
        &mut self,
        part: &'p Part<'p>,
        id: &str,
        name: &str,
        list: &mut Arr<'_>,
    ) -> Result<Vec<&'p Part<'p>>> {
        let PartKind::ToolResult { content, is_error, .. } = &part.kind else { return Ok(Vec::new()) };
        let (texts, media): (Vec<&Part<'_>>, Vec<&Part<'_>>) = content.iter().partition(|part| text_of(part).is_some());
        let takes_media = is_3_or_later(self.cx.target.model);
        let (inside, beside): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
            media.into_iter().partition(|part| self.cx.same || takes_media && !is_by_url(part));
        let mut it = list.obj();
        {
            let mut result = it.obj("functionResponse");
            // A result of no known call is known by its name alone.
            if id != name {
                self.write_id(id, &mut result);
            }
            result.text("name", name);
            let said: Vec<&str> = texts.iter().filter_map(|part| text_of(part)).collect();
            said_of(&Str::from_escaped(&said.join("\\n")), *is_error, self.cx.same, result.key("response"));
            if !inside.is_empty() {
                let mut list = result.arr("parts");
                for part in &inside {
                    self.media(part, &mut list)?;
                }
            }
        }
        for part in texts {
            self.beside_media(part);
            self.note(part);
        }
        self.close(part, &mut it);
        Ok(beside)
    }

    fn plain(&mut self, part: &Part<'_>, slot: &mut Slot, list: &mut Arr<'_>) -> Result<()> {
        match &part.kind {
            PartKind::Text { text, citations } => {
                if citations.as_ref().is_some_and(|citations| citations.get() != "[]") {
                    self.dropped.push(part.spelled(self.dialect, "citations"));
                }
                self.text(part, text, slot, list);
            }
            PartKind::Refusal { text } => self.text(part, text, slot, list),
            PartKind::Reasoning { text, signature } => {
                let own = own_signature(signature.as_ref());
                // A thought of another maker's means nothing here.
                if own.is_some() || self.cx.same && signature.is_none() {
                    slot.thought(text, own, list);
                }
            }
            PartKind::RedactedReasoning { .. } | PartKind::ReasoningDetails { .. } => {}
            PartKind::Other { json, .. } if self.cx.same => {
                slot.end(list);
                list.raw(json.get());
            }
            // Of the model's own that another format knows alone: nothing the user said.
            PartKind::Other { .. } | PartKind::Audio { .. } if self.in_model && !self.cx.same => {
                self.dropped.push(part.at);
            }
            // What stands beside a picture it made before is its maker's affair.
            PartKind::Image { .. } if self.in_model && !self.cx.same => {
                self.signed_media(&Part { rest: Vec::new(), ..part.clone() }, slot, list)?;
            }
            _ => self.signed_media(part, slot, list)?,
        }
        Ok(())
    }

    fn text(&mut self, part: &Part<'_>, text: &Str<'_>, slot: &mut Slot, list: &mut Arr<'_>) {
        if text.is_empty() && !self.cx.same {
            return self.note(part);
        }
        let mut it = list.obj();
        it.str("text", text);
        slot.put(&mut it);
        self.close(part, &mut it);
    }

    fn signed_media(&mut self, part: &Part<'_>, slot: &mut Slot, list: &mut Arr<'_>) -> Result<()> {
        if slot.is_empty() {
            return self.media(part, list);
        }
        let mut it = list.obj();
        slot.put(&mut it);
        match part::write_media(&part.kind, &mut it) {
            true => {
                self.close(part, &mut it);
                Ok(())
            }
            false => Err(refused(part.at, "this model takes no content of this type")),
        }
    }

    /// An image, a sound or a document of the user's.
    fn media(&mut self, part: &Part<'_>, list: &mut Arr<'_>) -> Result<()> {
        self.beside_media(part);
        if let PartKind::Image { media: media @ Media::Url(url), .. } = &part.kind
            && media.inline().is_none()
            && url.text().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
        {
            return Err(refused(part.at, "the URL of an image begins with https:// or data:"));
        }
        if is_by_url(part) && !self.cx.target.quirks.image_urls {
            return Err(refused(part.at, "this model takes images, sounds and documents inline only"));
        }
        match &part.kind {
            PartKind::Document { media: Media::Text(text), .. } => _ = list.obj().str("text", text),
            PartKind::Other { json, .. } if self.cx.same => _ = list.raw(json.get()),
            kind => {
                let mut it = list.obj();
                if !part::write_media(kind, &mut it) {
                    return Err(refused(part.at, "this model takes no content of this type"));
                }
                if self.cx.same {
                    it.rest(&part.rest);
                }
            }
        }
        self.note(part);
        Ok(())
    }

    /// What is said about media beside their data.
    fn beside_media(&mut self, part: &Part<'_>) {
        let mut drop = |name: &str, given: bool| {
            if given {
                self.dropped.push(part.spelled(self.dialect, name));
            }
        };
        match &part.kind {
            PartKind::Image { detail: Some(detail), .. } => drop("detail", !detail.is("auto")),
            PartKind::Document { title, context, citations, .. } => {
                drop("title", title.is_some());
                drop("context", context.is_some());
                drop("citations", citations.is_some());
            }
            _ => {}
        }
    }
}

fn refused(at: At, why: &str) -> Error {
    Error::invalid(at.to_string(), format!("{at}: {why}"))
}

fn is_by_url(part: &Part<'_>) -> bool {
    matches!(
        &part.kind,
        PartKind::Image { media, .. } | PartKind::Document { media, .. } | PartKind::Audio { media, .. }
            if matches!(media, Media::Url(_)) && media.inline().is_none()
    )
}

fn text_of<'p>(part: &'p Part<'_>) -> Option<&'p str> {
    match &part.kind {
        PartKind::Text { text, .. } | PartKind::Document { media: Media::Text(text), .. } => Some(text.escaped()),
        _ => None,
    }
}

/// What a call gave: an object, or the text under the member that says which it is.
fn said_of(text: &Str<'_>, is_error: bool, same: bool, out: &mut Vec<u8>) {
    let plain = text.text();
    match is_error {
        false if is_object(json::parse(plain.trim()).ok()) => out.extend_from_slice(plain.trim().as_bytes()),
        false if same && text.is_empty() => out.extend_from_slice(b"{}"),
        false => _ = Obj::new(out).str("output", text),
        true => _ = Obj::new(out).str("error", text),
    }
}
