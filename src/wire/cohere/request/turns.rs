//! The conversation, written.
//!
//! - Instructions before the first turn become one system message, which has to be the first; later
//!   ones stay where they are, as a text of the user's between `<system>` tags.
//! - A result has a message of its own, right behind the calls. It holds texts and documents; what else
//!   a tool gave follows in a message of the user's, behind the last result of its round.
//! - What is said beside calls is their `tool_plan`.
//! - Documents to be cited stand in `documents`, numbered as clients number them (`doc:0`); others are
//!   texts in their place.
//! - Thinking goes back to models that think, whoever thought it: nothing proves it here.
//! - A message without content is refused: the model's is left out, any other gets the text `.`.

use super::encode::Context;
use super::options::thinks;
use crate::error::{Error, Result};
use crate::wire::Dialect;
use crate::wire::ir::{Arguments, At, Dropped, Media, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Arr, Obj, Rest, Str, write_text};
use crate::wire_object;

const FILLER: &str = ".";

/// Whether a document is to be cited, and so stands beside the conversation.
pub(super) fn has_documents(request: &Request<'_>) -> bool {
    let cited = request.turns.iter().flat_map(|turn| &turn.parts).any(is_cited);
    cited || request.options.iter().any(|setting| setting.name == "documents")
}

/// Writes `messages` and `documents`; `hint` is one more instruction.
pub(super) fn encode(
    request: &Request<'_>,
    cx: &Context<'_>,
    hint: Option<String>,
    body: &mut Obj<'_>,
    dropped: &mut Dropped,
) -> Result<()> {
    let leading = request.turns.iter().take_while(|turn| is_instruction(turn)).count();
    let (first, turns) = request.turns.split_at_checked(leading).unwrap_or_default();
    let (mut messages, mut documents) = (Vec::new(), Vec::new());
    let mut writer = Writer {
        cx,
        client: request.dialect,
        list: Arr::new(&mut messages),
        documents: Arr::new(&mut documents),
        next_document: 0,
        dropped,
    };
    first.iter().for_each(|turn| writer.members(turn));
    writer.system(request.system.iter().chain(first.iter().flat_map(|turn| &turn.parts)), hint);
    let mut beside = Vec::new();
    for turn in turns {
        writer.members(turn);
        match turn.role {
            Role::Assistant => {
                writer.shown(&mut beside);
                writer.assistant(turn);
            }
            _ => writer.said_to_it(turn, &mut beside)?,
        }
    }
    writer.shown(&mut beside);
    drop(writer);
    if messages == b"[]" {
        return Err(Error::invalid("messages", "messages: at least one message is required"));
    }
    body.key("messages").extend_from_slice(&messages);
    if documents != b"[]" {
        body.key("documents").extend_from_slice(&documents);
    }
    Ok(())
}

fn is_instruction(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

wire_object! {
    struct Citations<'a> { enabled: bool }
}

fn is_cited(part: &Part<'_>) -> bool {
    let PartKind::Document { media, citations: Some(citations), .. } = &part.kind else { return false };
    let wanted = citations.read::<Citations<'_>>().is_some_and(|it| it.enabled == Some(true));
    wanted && text_of(media).is_some()
}

/// A document's text.
fn text_of<'m>(media: &'m Media<'_>) -> Option<Str<'m>> {
    if let Media::Text(text) = media {
        return Some(text.reborrow());
    }
    media.inline_text()
}

fn refused(at: At, why: &str) -> Error {
    Error::invalid(at.to_string(), format!("{at}: {why}"))
}

struct Writer<'w> {
    cx: &'w Context<'w>,
    client: Dialect,
    list: Arr<'w>,
    documents: Arr<'w>,
    next_document: u32,
    dropped: &'w mut Dropped,
}

impl Writer<'_> {
    fn system<'p>(&mut self, parts: impl Iterator<Item = &'p Part<'p>>, hint: Option<String>) {
        let mut texts = Vec::new();
        for part in parts {
            match &part.kind {
                PartKind::Text { text, .. } => {
                    self.note(part);
                    texts.push(text.reborrow());
                }
                _ => self.dropped.push(part.at),
            }
        }
        texts.extend(hint.map(|hint| Str::from_text(&hint)));
        texts.retain(is_visible);
        if !texts.is_empty() {
            self.list.obj().text("role", "system").str("content", &join(&texts, "\\n\\n"));
        }
    }

    /// Lists what of a turn has no place here.
    fn members(&mut self, turn: &Turn<'_>) {
        if turn.name.is_some() {
            self.dropped.push(format_args!("{}.name", turn.at));
        }
        if !self.cx.same {
            self.rest(turn.at, &turn.rest);
        }
    }

    /// Unknown members, but those that say nothing: SDKs echo answers with empty ones.
    fn rest(&mut self, at: At, rest: &Rest<'_>) {
        for (name, _) in rest.iter().filter(|(_, value)| !matches!(value.get(), "null" | "[]" | "{}")) {
            self.dropped.push(format_args!("{at}.{name}"));
        }
    }

    /// What of a part has no place here.
    fn note(&mut self, part: &Part<'_>) {
        if part.cache.is_some() {
            self.dropped.push(format_args!("{}.cache_control", part.at));
        }
        self.rest(part.at, &part.rest);
    }

    /// A turn of anyone's but the model's. What its results leave `beside` waits where more of them may follow.
    fn said_to_it<'p>(&mut self, turn: &'p Turn<'p>, beside: &mut Vec<Piece<'p>>) -> Result<()> {
        let (results, others): (Vec<&Part<'_>>, Vec<&Part<'_>>) =
            turn.parts.iter().partition(|part| matches!(part.kind, PartKind::ToolResult { .. }));
        if results.is_empty() {
            self.shown(beside);
        }
        for part in &results {
            self.result(part, beside)?;
        }
        if others.is_empty() && !results.is_empty() {
            return Ok(());
        }
        let mut pieces = std::mem::take(beside);
        for part in others {
            pieces.extend(self.piece(turn, part)?);
        }
        if results.is_empty() || !pieces.is_empty() {
            self.users(&pieces);
        }
        Ok(())
    }

    /// What results gave that their messages cannot hold.
    fn shown(&mut self, beside: &mut Vec<Piece<'_>>) {
        if !beside.is_empty() {
            self.users(&std::mem::take(beside));
        }
    }

    /// A message of the user's.
    fn users(&mut self, pieces: &[Piece<'_>]) {
        let mut message = self.list.obj();
        message.text("role", "user");
        content(pieces, message.key("content"));
    }

    /// What a part is in the content of a message.
    fn piece<'p>(&mut self, turn: &Turn<'_>, part: &'p Part<'p>) -> Result<Option<Piece<'p>>> {
        let piece = match &part.kind {
            PartKind::Text { text, .. } if is_instruction(turn) => {
                Piece::Text(Str::from_escaped(&format!("<system>\\n{}\\n</system>", text.escaped())))
            }
            PartKind::Text { text, .. } if !text.is_empty() => Piece::Text(text.reborrow()),
            PartKind::Text { .. } => return Ok(None),
            PartKind::Image { media, detail } => self.image(part, media, detail.as_ref())?,
            PartKind::Document { media, title, context, .. } => {
                let text = text_of(media).ok_or_else(|| refused(part.at, "this model takes documents as text only"))?;
                if is_cited(part) {
                    self.document(&text, title.as_ref(), context.as_ref());
                    self.note(part);
                    return Ok(None);
                }
                let texts = [title.as_ref(), context.as_ref(), Some(&text)].into_iter().flatten();
                Piece::Text(join(&texts.map(Str::reborrow).collect::<Vec<_>>(), "\\n\\n"))
            }
            PartKind::Other { json, .. } if self.cx.same => Piece::Block(json.get().to_owned()),
            _ => return Err(refused(part.at, "this model takes no content of this type")),
        };
        self.note(part);
        Ok(Some(piece))
    }

    fn image(&mut self, part: &Part<'_>, media: &Media<'_>, detail: Option<&Str<'_>>) -> Result<Piece<'static>> {
        let is_address = matches!(media, Media::Url(_)) && media.inline().is_none();
        let url = media.url().filter(|_| !is_address || self.cx.target.quirks.image_urls);
        let url = url.ok_or_else(|| refused(part.at, "this model takes images inline, not as a file elsewhere"))?;
        let mut out = Vec::new();
        {
            let mut block = Obj::new(&mut out);
            block.text("type", "image_url");
            let mut image = block.obj("image_url");
            image.str("url", &url);
            detail.iter().for_each(|detail| _ = image.str("detail", detail));
        }
        Ok(Piece::block(out))
    }

    /// A document that stands beside the conversation.
    fn document(&mut self, text: &Str<'_>, title: Option<&Str<'_>>, context: Option<&Str<'_>>) {
        let mut document = self.documents.obj();
        document.text("id", &format!("doc:{}", self.next_document));
        self.next_document = self.next_document.saturating_add(1);
        data(document.obj("data"), text, title, context);
    }

    /// The message of a result; what it cannot hold is added to `beside`.
    fn result<'p>(&mut self, part: &'p Part<'p>, beside: &mut Vec<Piece<'p>>) -> Result<()> {
        let PartKind::ToolResult { id, content: parts, is_error } = &part.kind else { return Ok(()) };
        let (mut pieces, mut shown) = (Vec::new(), Vec::new());
        for inner in parts {
            match &inner.kind {
                PartKind::Text { text, .. } => pieces.push(Piece::Text(text.reborrow())),
                PartKind::Document { media, title, context, .. } if text_of(media).is_some() => {
                    let text = text_of(media).unwrap_or_else(|| Str::from_text(""));
                    pieces.push(document_block(&text, title.as_ref(), context.as_ref()));
                }
                PartKind::Image { media, detail } => shown.push(self.image(inner, media, detail.as_ref())?),
                PartKind::Other { json, .. } if self.cx.same => pieces.push(Piece::Block(json.get().to_owned())),
                PartKind::Document { .. } => return Err(refused(inner.at, "this model takes documents as text only")),
                _ => {
                    self.dropped.push(inner.at);
                    continue;
                }
            }
            self.note(inner);
        }
        self.note(part);
        pieces.retain(|piece| !matches!(piece, Piece::Text(text) if text.is_empty()));
        if *is_error && !matches!(pieces.first(), Some(Piece::Text(text)) if says_error(text)) {
            pieces.insert(0, Piece::Text(Str::from_text("Error:")));
        }
        if !shown.is_empty() {
            beside.push(Piece::Text(Str::from_text(&format!("Returned by tool call {}:", id.text()))));
            beside.extend(shown);
        }
        let mut message = self.list.obj();
        message.text("role", "tool").str("tool_call_id", id);
        content(&joined(pieces), message.key("content"));
        Ok(())
    }

    fn assistant(&mut self, turn: &Turn<'_>) {
        let calls: Vec<&Part<'_>> =
            turn.parts.iter().filter(|part| matches!(part.kind, PartKind::ToolCall { .. })).collect();
        let (mut plan, mut pieces, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
        for part in &turn.parts {
            match &part.kind {
                PartKind::Text { text, citations } => {
                    if citations.as_ref().is_some_and(|citations| citations.get() != "[]") {
                        self.dropped.push(part.spelled(self.client, "citations"));
                    }
                    said(text, &calls, &mut plan, &mut pieces);
                }
                PartKind::Refusal { text } => said(text, &calls, &mut plan, &mut pieces),
                PartKind::Reasoning { text, .. } if !text.is_empty() && (self.cx.same || thinks(self.cx.target)) => {
                    // Chat clients give the same twice, in two members; others give pieces, which may be alike.
                    if self.client != Dialect::OpenAiChat || !thoughts.contains(&text) {
                        thoughts.push(text);
                        pieces.push(thought(text));
                    }
                }
                PartKind::Reasoning { .. }
                | PartKind::RedactedReasoning { .. }
                | PartKind::ReasoningDetails { .. }
                | PartKind::ToolCall { .. } => {}
                PartKind::Other { json, .. } if self.cx.same => pieces.push(Piece::Block(json.get().to_owned())),
                _ => {
                    self.dropped.push(part.at);
                    continue;
                }
            }
            self.note(part);
        }
        if calls.is_empty() && pieces.is_empty() {
            return;
        }
        let mut message = self.list.obj();
        message.text("role", "assistant");
        if !pieces.is_empty() {
            content(&pieces, message.key("content"));
        }
        if !plan.is_empty() {
            message.str("tool_plan", &join(&plan, ""));
        }
        if !calls.is_empty() {
            let mut list = message.arr("tool_calls");
            calls.into_iter().for_each(|call| encode_call(call, list.obj()));
        }
        if self.cx.same {
            message.rest(&turn.rest);
        }
    }
}

/// One piece of the content of a message.
#[derive(Debug)]
enum Piece<'p> {
    Text(Str<'p>),
    /// A block, written.
    Block(String),
}

impl Piece<'_> {
    fn block(json: Vec<u8>) -> Self {
        Self::Block(String::from_utf8(json).unwrap_or_default())
    }
}

/// Writes content: a lone text as a string, else a list.
fn content(pieces: &[Piece<'_>], out: &mut Vec<u8>) {
    match pieces {
        [] => write_text(out, FILLER),
        [Piece::Text(text)] => out.extend_from_slice(text.raw().as_bytes()),
        pieces => {
            let mut list = Arr::new(out);
            for piece in pieces {
                match piece {
                    Piece::Text(text) => _ = list.obj().text("type", "text").str("text", text),
                    Piece::Block(json) => _ = list.raw(json),
                }
            }
        }
    }
}

/// Texts alone become one, which every version of the API takes as a result.
fn joined(pieces: Vec<Piece<'_>>) -> Vec<Piece<'_>> {
    let texts: Vec<Str<'_>> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.reborrow()),
            Piece::Block(_) => None,
        })
        .collect();
    if texts.len() < 2 || texts.len() < pieces.len() {
        return pieces;
    }
    vec![Piece::Text(join(&texts, "\\n"))]
}

/// What the model said: a plan, where it goes on to call.
fn said<'p>(text: &'p Str<'_>, calls: &[&Part<'_>], plan: &mut Vec<Str<'p>>, pieces: &mut Vec<Piece<'p>>) {
    match calls.is_empty() {
        _ if text.is_empty() => {}
        true => pieces.push(Piece::Text(text.reborrow())),
        false => plan.push(text.reborrow()),
    }
}

fn thought(text: &Str<'_>) -> Piece<'static> {
    let mut out = Vec::new();
    Obj::new(&mut out).text("type", "thinking").str("thinking", text);
    Piece::block(out)
}

fn document_block(text: &Str<'_>, title: Option<&Str<'_>>, context: Option<&Str<'_>>) -> Piece<'static> {
    let mut out = Vec::new();
    {
        let mut block = Obj::new(&mut out);
        block.text("type", "document");
        data(block.obj("document").obj("data"), text, title, context);
    }
    Piece::block(out)
}

fn data(mut data: Obj<'_>, text: &Str<'_>, title: Option<&Str<'_>>, context: Option<&Str<'_>>) {
    data.str("text", text);
    title.iter().for_each(|title| _ = data.str("title", title));
    context.iter().for_each(|context| _ = data.str("context", context));
}

fn encode_call(part: &Part<'_>, mut call: Obj<'_>) {
    let PartKind::ToolCall { id, name, arguments } = &part.kind else { return };
    call.str("id", id).text("type", "function");
    let mut function = call.obj("function");
    function.str("name", name);
    match arguments {
        // Of a call cut by the token limit: what is no JSON would be refused.
        Arguments::Encoded(text) if arguments.object().is_none() => {
            let mut whole = Vec::new();
            Obj::new(&mut whole).str("arguments", text);
            function.text("arguments", &String::from_utf8(whole).unwrap_or_default());
        }
        _ => _ = function.raw("arguments", &arguments.encoded()),
    }
}

fn is_visible(text: &Str<'_>) -> bool {
    !text.is_blank()
}

fn says_error(text: &Str<'_>) -> bool {
    text.text().trim_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error"))
}

/// Joins texts; `escaped` stands between them.
fn join(texts: &[Str<'_>], escaped: &str) -> Str<'static> {
    let texts: Vec<&str> = texts.iter().map(Str::escaped).collect();
    Str::from_escaped(&texts.join(escaped))
}
