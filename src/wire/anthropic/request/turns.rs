//! The conversation of another format, arranged so that this one takes it.
//!
//! - Instructions before the first turn become `system`. Later ones stay where they are, as a text
//!   in the user's turn between `<system>` tags: the order is kept and nothing before them changes,
//!   so prompt caches hold. (`role: "system"` in the middle is taken by few models, and only at some
//!   places; moved to the top, an instruction would reach back over turns it came after.)
//! - Turns of one side in a row are one turn; tool results come first in theirs.
//! - Texts without a visible character are left out, the end of a prefilled answer is trimmed.
//! - A user's turn without content, and a conversation that would not begin with the user, get the
//!   text `.`: the least that is accepted. One that would end with the assistant, where the model does not
//!   take that, gets `Continue.`.
//! - Ids of calls are made unique and cut to `[a-zA-Z0-9_-]`, the same on call and result. A result
//!   without its call becomes plain content; a call without its result gets the text `no
//!   result`, marked as an error.
//! - Thinking goes back if this format's provider signed it. Other thinking is left out.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::wire::anthropic::block::{self, Rests};
use crate::wire::anthropic::thinking;
use crate::wire::ir::{At, Dropped, Media, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Arr, Obj, Raw, Rest, Str};
use crate::wire::resume::Prefill;
use crate::wire::{Dialect, Target};

const FILLER: &str = ".";
/// A result marked as an error must not be empty.
const NO_RESULT: &str = "no result";

/// What is sent as `system` and as `messages`.
#[derive(Debug)]
pub(super) struct Arranged<'r> {
    pub(super) system: Vec<&'r Part<'r>>,
    pub(super) messages: Vec<Message<'r>>,
}

#[derive(Debug)]
pub(super) struct Message<'r> {
    is_user: bool,
    blocks: Vec<Block<'r>>,
}

type Piece<'r> = Cow<'r, Part<'r>>;

#[derive(Debug)]
enum Block<'r> {
    Plain(Piece<'r>),
    /// An instruction in mid-conversation.
    Instruction(&'r Part<'r>, &'r Str<'r>),
    /// A thinking block as the provider gave it.
    Thinking(Raw<'r>),
    Call {
        part: &'r Part<'r>,
        id: String,
    },
    Result {
        part: &'r Part<'r>,
        id: String,
        content: Vec<Piece<'r>>,
    },
    /// The result of a call that got none.
    Missing {
        id: String,
    },
    /// A text of our own.
    Filler(&'static str),
}

impl Arranged<'_> {
    /// Whether the answer is begun by the client.
    pub(super) fn is_prefilled(&self) -> bool {
        self.messages.last().is_some_and(|last| !last.is_user)
    }

    /// Whether the turn whose calls are being answered, if one is, begins with its thinking.
    pub(super) fn may_think_by_budget(&self) -> bool {
        let last = self.messages.iter().rfind(|message| !message.is_user);
        last.is_none_or(|last| {
            let calls = last.blocks.iter().any(|block| matches!(block, Block::Call { .. }));
            !calls || matches!(last.blocks.first(), Some(Block::Thinking(_)))
        })
    }

    /// The tools called, each once.
    pub(super) fn called_names(&self) -> Vec<&Str<'_>> {
        let mut names: Vec<&Str<'_>> = Vec::new();
        for block in self.messages.iter().flat_map(|message| &message.blocks) {
            if let Block::Call { part: Part { kind: PartKind::ToolCall { name, .. }, .. }, .. } = block
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }
}

/// Arranges the conversation of `request`.
pub(super) fn arrange<'r>(
    request: &'r Request<'_>,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<Arranged<'r>> {
    let leading = request.turns.iter().take_while(|turn| is_instruction(turn)).count();
    let (first, rest) = request.turns.split_at_checked(leading).unwrap_or_default();
    let mut system: Vec<&Part<'_>> = Vec::new();
    for part in request.system.iter().chain(first.iter().flat_map(|turn| &turn.parts)) {
        match &part.kind {
            PartKind::Text { text, .. } if is_visible(text) => system.push(part),
            PartKind::Text { .. } => {}
            _ => dropped.push(part.at),
        }
    }
    first.iter().for_each(|turn| drop_members(turn, dropped));
    if rest.is_empty() && system.is_empty() {
        return Err(Error::invalid("messages", "messages: at least one message is required"));
    }
    let mut messages = Vec::new();
    for turn in rest {
        let blocks = sort(turn, request.dialect, target, dropped)?;
        append(&mut messages, turn.role != Role::Assistant, blocks);
    }
    if messages.first().is_none_or(|first: &Message<'_>| !first.is_user) {
        messages.insert(0, Message { is_user: true, blocks: vec![Block::Filler(FILLER)] });
    }
    end_with_the_user(&mut messages, target.model);
    trim_prefill(&mut messages);
    pair(&mut messages);
    Ok(Arranged { system, messages })
}

fn is_instruction(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

fn is_visible(text: &Str<'_>) -> bool {
    !text.is_blank()
}

fn drop_members(turn: &Turn<'_>, dropped: &mut Dropped) {
    if turn.name.is_some() {
        dropped.push(format_args!("{}.name", turn.at));
    }
    drop_rest(turn.at, &turn.rest, dropped);
}

/// Lists unknown members, but those that say nothing: SDKs echo answers with empty ones.
pub(super) fn drop_rest(at: At, rest: &Rest<'_>, dropped: &mut Dropped) {
    for (name, _) in rest.iter().filter(|(_, value)| !matches!(value.get(), "null" | "[]" | "{}")) {
        dropped.push(format_args!("{at}.{name}"));
    }
}

/// The blocks of one turn, in its order.
fn sort<'r>(turn: &'r Turn<'_>, client: Dialect, target: &Target<'_>, dropped: &mut Dropped) -> Result<Vec<Block<'r>>> {
    drop_members(turn, dropped);
    let mut blocks = Vec::with_capacity(turn.parts.len());
    for part in &turn.parts {
        if let Some(block) = block_of(turn, part, client, target, dropped)? {
            drop_rest(part.at, &part.rest, dropped);
            blocks.push(block);
        }
    }
    if blocks.is_empty() && turn.role == Role::User {
        blocks.push(Block::Filler(FILLER));
    }
    Ok(blocks)
}

fn block_of<'r>(
    turn: &Turn<'_>,
    part: &'r Part<'_>,
    client: Dialect,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<Option<Block<'r>>> {
    Ok(match &part.kind {
        PartKind::Text { text, .. } if is_instruction(turn) => {
            is_visible(text).then_some(Block::Instruction(part, text))
        }
        PartKind::ToolCall { .. } => Some(Block::Call { part, id: String::new() }),
        PartKind::ToolResult { content, .. } => {
            let mut pieces = Vec::with_capacity(content.len());
            for part in content {
                pieces.extend(piece(part, client, target, dropped)?);
            }
            Some(Block::Result { part, id: String::new(), content: pieces })
        }
        kind @ (PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. }) => {
            thinking::is_signed(kind).then(|| Block::Thinking(verbatim(part)))
        }
        PartKind::ReasoningDetails { .. } => None,
        // Pictures of the model's own: another model takes them from the user only.
        PartKind::Image { .. } | PartKind::Audio { .. } | PartKind::Other { .. } if turn.role == Role::Assistant => {
            dropped.push(part.at);
            None
        }
        _ => piece(part, client, target, dropped)?.map(Block::Plain),
    })
}

fn verbatim(part: &Part<'_>) -> Raw<'static> {
    let mut out = Vec::new();
    block::encode(part, Rests::Leave, &mut out);
    Raw::owned(String::from_utf8(out).unwrap_or_default())
}

/// A part with content as this format takes it; `None` where there is nothing to be seen in it.
fn piece<'r>(
    part: &'r Part<'_>,
    client: Dialect,
    target: &Target<'_>,
    dropped: &mut Dropped,
) -> Result<Option<Piece<'r>>> {
    match &part.kind {
        PartKind::Text { text, citations } => {
            if citations.as_ref().is_some_and(|citations| citations.get() != "[]") {
                dropped.push(part.spelled(client, "citations"));
            }
            Ok(is_visible(text).then_some(Cow::Borrowed(part)))
        }
        PartKind::Refusal { text } => Ok(is_visible(text).then_some(Cow::Borrowed(part))),
        PartKind::Image { media, detail } => {
            if detail.as_ref().is_some_and(|detail| !detail.is("auto")) {
                dropped.push(part.spelled(client, "detail"));
            }
            image(part, media, target).map(Some)
        }
        PartKind::Document { media, .. } => document(part, media).map(Some),
        PartKind::Audio { .. } => Err(refused(part.at, "this model takes no audio")),
        _ => Err(refused(part.at, "this model takes no content of this type")),
    }
}

fn refused(at: At, why: &str) -> Error {
    Error::invalid(at.to_string(), format!("{at}: {why}"))
}

fn image<'r>(part: &'r Part<'_>, media: &'r Media<'_>, target: &Target<'_>) -> Result<Piece<'r>> {
    if let Some((mime, data)) = media.inline() {
        return Ok(remade(part, PartKind::Image { media: Media::Base64 { mime, data }, detail: None }));
    }
    match media {
        Media::Url(url) if !is_http(url) => Err(refused(part.at, "the URL of an image begins with https:// or data:")),
        Media::Url(_) if !target.quirks.image_urls => Err(refused(part.at, "this model takes images inline only")),
        Media::Url(_) => Ok(Cow::Borrowed(part)),
        _ => Err(refused(part.at, "this model takes images inline or by URL, not as a file of another provider")),
    }
}

fn document<'r>(part: &'r Part<'_>, media: &'r Media<'_>) -> Result<Piece<'r>> {
    let PartKind::Document { title, .. } = &part.kind else { return Ok(Cow::Borrowed(part)) };
    let made = |media| {
        let kind = PartKind::Document { media, title: title.clone(), context: None, citations: None };
        Ok(remade(part, kind))
    };
    match (media, media.inline()) {
        (_, Some((mime, data))) if mime == "application/pdf" => made(Media::Base64 { mime, data }),
        (_, Some(_)) if media.is_text() => match media.inline_text() {
            Some(text) => made(Media::Text(text)),
            None => Err(refused(part.at, "the document is not UTF-8 text in base64")),
        },
        (Media::Url(url), None) if is_http(url) => Ok(Cow::Borrowed(part)),
        (Media::Text(_), _) => Ok(Cow::Borrowed(part)),
        _ => Err(refused(part.at, "this model takes PDF and text documents, inline or by URL")),
    }
}

/// The same part with another content. The clone of `part` is cheap: its content is replaced.
fn remade<'r>(part: &'r Part<'_>, kind: PartKind<'r>) -> Piece<'r> {
    Cow::Owned(Part { cache: part.cache.clone(), rest: part.rest.clone(), ..Part::new(part.at, kind) })
}

fn is_http(url: &Str<'_>) -> bool {
    let text = url.text();
    text.starts_with("https://") || text.starts_with("http://")
}

/// Adds a turn to the conversation.
fn append<'r>(messages: &mut Vec<Message<'r>>, is_user: bool, blocks: Vec<Block<'r>>) {
    if blocks.is_empty() {
        return;
    }
    match messages.last_mut() {
        Some(last) if last.is_user == is_user => last.blocks.extend(blocks),
        _ => messages.push(Message { is_user, blocks }),
    }
}

/// Claude from 4.6 on refuses a conversation that ends with the assistant; calls get their results.
fn end_with_the_user(messages: &mut Vec<Message<'_>>, model: &str) {
    let ends = |last: &Message<'_>| !last.is_user && !last.blocks.iter().any(|it| matches!(it, Block::Call { .. }));
    if messages.last().is_some_and(ends) && Prefill::is_refused_by(model) {
        messages.push(Message { is_user: true, blocks: vec![Block::Filler(Prefill::GO_ON)] });
    }
}

/// A prefilled answer must not end in white space.
fn trim_prefill(messages: &mut [Message<'_>]) {
    let Some(Message { is_user: false, blocks }) = messages.last_mut() else { return };
    let Some(Block::Plain(piece)) = blocks.last_mut() else { return };
    if let PartKind::Text { text, .. } | PartKind::Refusal { text } = &piece.kind {
        let whole = text.text();
        let trimmed = whole.trim_end();
        if trimmed.len() < whole.len() {
            let text = Str::from_text(trimmed);
            piece.to_mut().kind = PartKind::Text { text, citations: None };
        }
    }
}

/// Gives every call an id of its own and its result, and puts results first in their turn.
fn pair(messages: &mut Vec<Message<'_>>) {
    let mut taken = HashSet::new();
    if messages.last().is_some_and(|last| last.blocks.iter().any(|block| matches!(block, Block::Call { .. }))) {
        messages.push(Message { is_user: true, blocks: Vec::new() });
    }
    let mut calls = Vec::new();
    for message in messages {
        if message.is_user {
            answer(message, std::mem::take(&mut calls));
        } else {
            calls = name_calls(message, &mut taken);
        }
    }
}

/// The calls of a turn: the client's id and ours.
fn name_calls(message: &mut Message<'_>, taken: &mut HashSet<String>) -> Vec<(String, String)> {
    let mut calls = Vec::new();
    for block in &mut message.blocks {
        let Block::Call { part: Part { kind: PartKind::ToolCall { id: theirs, .. }, .. }, id } = block else {
            continue;
        };
        let theirs = theirs.text().into_owned();
        let ours = free_id(&theirs, taken);
        id.clone_from(&ours);
        taken.insert(ours.clone());
        calls.push((theirs, ours));
    }
    calls
}

/// An id in the letters that are allowed, not taken yet.
fn free_id(theirs: &str, taken: &HashSet<String>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' };
    let base: String = if theirs.is_empty() { "call".to_owned() } else { theirs.chars().map(allowed).collect() };
    let mut id = base.clone();
    let mut n = 1_u32;
    while taken.contains(&id) {
        n += 1;
        id = format!("{base}_{n}");
    }
    id
}

fn answer(message: &mut Message<'_>, mut open: Vec<(String, String)>) {
    let (mut results, mut others) = (Vec::new(), Vec::new());
    for block in std::mem::take(&mut message.blocks) {
        let Block::Result { part, content, .. } = block else {
            others.push(block);
            continue;
        };
        let theirs = match &part.kind {
            PartKind::ToolResult { id, .. } => id.text().into_owned(),
            _ => String::new(),
        };
        match open.iter().position(|(call, _)| *call == theirs) {
            Some(found) => results.push(Block::Result { part, id: open.remove(found).1, content }),
            None => others.extend(content.into_iter().map(Block::Plain)),
        }
    }
    results.extend(open.into_iter().map(|(_, id)| Block::Missing { id }));
    results.append(&mut others);
    if results.is_empty() {
        results.push(Block::Filler(FILLER));
    }
    message.blocks = results;
}

/// Writes `messages`.
pub(super) fn encode(messages: &[Message<'_>], out: &mut Vec<u8>) {
    let mut list = Arr::new(out);
    for message in messages {
        let mut object = list.obj();
        object.text("role", if message.is_user { "user" } else { "assistant" });
        encode_blocks(&message.blocks, object.key("content"));
    }
}

fn encode_blocks(blocks: &[Block<'_>], out: &mut Vec<u8>) {
    if let [Block::Plain(piece)] = blocks {
        return block::encode_content(&[piece.as_ref()], Rests::Leave, out);
    }
    let mut list = Arr::new(out);
    for block in blocks {
        encode_block(block, list.item());
    }
}

fn encode_block(block: &Block<'_>, out: &mut Vec<u8>) {
    let mut quoted = Vec::new();
    match block {
        Block::Plain(piece) => block::encode(piece, Rests::Leave, out),
        Block::Thinking(raw) => out.extend_from_slice(raw.get().as_bytes()),
        Block::Instruction(part, text) => {
            let wrapped = format!("\"<system>\\n{}\\n</system>\"", text.escaped());
            let mut o = Obj::new(out);
            o.text("type", "text").raw("text", &wrapped);
            block::encode_extras(&mut o, part, Rests::Leave);
        }
        Block::Call { part, id } => {
            let PartKind::ToolCall { name, arguments, .. } = &part.kind else { return };
            let mut o = Obj::new(out);
            block::encode_call(&mut o, quote(id, &mut quoted), name, arguments);
            block::encode_extras(&mut o, part, Rests::Leave);
        }
        Block::Result { part, id, content } => {
            let is_error = matches!(part.kind, PartKind::ToolResult { is_error: true, .. });
            let content: Vec<&Part<'_>> = content.iter().map(AsRef::as_ref).collect();
            let mut o = Obj::new(out);
            block::encode_result(&mut o, quote(id, &mut quoted), &content, is_error, Rests::Leave);
            block::encode_extras(&mut o, part, Rests::Leave);
        }
        Block::Missing { id } => {
            let text = PartKind::Text { text: Str::from_text(NO_RESULT), citations: None };
            let content = Part::new(At::default(), text);
            block::encode_result(&mut Obj::new(out), quote(id, &mut quoted), &[&content], true, Rests::Leave);
        }
        Block::Filler(said) => _ = Obj::new(out).text("type", "text").text("text", said),
    }
}

/// An id of the letters that [`free_id`] allows needs no escapes.
fn quote<'q>(id: &str, buffer: &'q mut Vec<u8>) -> &'q str {
    crate::wire::json::write_text(buffer, id);
    std::str::from_utf8(buffer).unwrap_or("\"\"")
}
