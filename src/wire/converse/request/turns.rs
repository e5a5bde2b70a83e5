//! The conversation, arranged so that this format takes it.
//!
//! - Turns of one side in a row are one turn; the first is the user's. A user's turn without content,
//!   and one that would have a document alone, get the text `.`: the least that is accepted. One that would
//!   end with the assistant, where the model does not take that, gets `Continue.`.
//! - Instructions in mid-conversation stay where they are, as a text in the user's turn between
//!   `<system>` tags.
//! - Every call has its result in the next turn, before anything else there. A result without its call
//!   becomes plain content, a call without its result gets the text `no result`, marked as an error.
//! - Ids of calls are unique, of at most 64 letters, digits and `_.:-`, the same on call and result.
//! - A cache marker of Anthropic's becomes a `cachePoint` behind its block.
//! - Thinking goes back where its maker signed it, other thinking is left out.

use std::borrow::Cow;
use std::collections::HashSet;

use super::source;
use crate::error::{Error, Result};
use crate::wire::converse::{media, model};
use crate::wire::ir::{Arguments, At, Dropped, Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Arr, Obj, Raw, Rest, Str};
use crate::wire::resume::Prefill;
use crate::wire::{Dialect, Target};
use crate::wire_object;

const FILLER: &str = ".";
const NO_RESULT: &str = "no result";
/// Longer ids are refused.
const MOST_ID_CHARS: usize = 64;

/// What is sent as `system` and as `messages`.
#[derive(Debug)]
pub(super) struct Arranged<'r> {
    pub(super) system: Vec<&'r Part<'r>>,
    messages: Vec<Message<'r>>,
}

#[derive(Debug)]
struct Message<'r> {
    is_user: bool,
    blocks: Vec<Block<'r>>,
}

#[derive(Debug)]
enum Block<'r> {
    /// A part that has a block of its own.
    Plain(&'r Part<'r>),
    /// The end of a prefilled answer, trimmed.
    Trimmed(&'r Part<'r>, String),
    /// An instruction in mid-conversation.
    Instruction(&'r Part<'r>, &'r Str<'r>),
    Call {
        part: &'r Part<'r>,
        id: String,
    },
    Result {
        part: &'r Part<'r>,
        id: String,
        content: &'r [Part<'r>],
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
            !calls || matches!(last.blocks.first(), Some(Block::Plain(part)) if is_thinking(&part.kind))
        })
    }

    pub(super) fn has_calls(&self) -> bool {
        self.blocks().any(|block| matches!(block, Block::Call { .. }))
    }

    /// The tools called, each once.
    pub(super) fn called_names(&self) -> Vec<&Str<'_>> {
        let mut names: Vec<&Str<'_>> = Vec::new();
        for block in self.blocks() {
            if let Block::Call { part: Part { kind: PartKind::ToolCall { name, .. }, .. }, .. } = block
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    fn blocks(&self) -> impl Iterator<Item = &Block<'_>> {
        self.messages.iter().flat_map(|message| &message.blocks)
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
            PartKind::Other { .. } if request.dialect == Dialect::Converse => system.push(part),
            _ => dropped.push(part.at),
        }
    }
    first.iter().for_each(|turn| drop_members(turn, dropped));
    if rest.is_empty() && system.is_empty() {
        return Err(Error::invalid("messages", "messages: at least one message is required"));
    }
    let mut messages = Vec::new();
    for turn in rest {
        let blocks = sort(turn, request.dialect, dropped)?;
        append(&mut messages, turn.role != Role::Assistant, blocks);
    }
    if messages.first().is_none_or(|first: &Message<'_>| !first.is_user) {
        messages.insert(0, Message { is_user: true, blocks: vec![Block::Filler(FILLER)] });
    }
    end_with_the_user(&mut messages, target.model);
    trim_prefill(&mut messages);
    pair(&mut messages);
    messages.iter_mut().for_each(accompany);
    Ok(Arranged { system, messages })
}

fn is_instruction(turn: &Turn<'_>) -> bool {
    matches!(turn.role, Role::System | Role::Developer)
}

fn is_visible(text: &Str<'_>) -> bool {
    !text.is_blank()
}

fn is_thinking(kind: &PartKind<'_>) -> bool {
    match kind {
        PartKind::Reasoning { signature, .. } => signature.as_ref().is_some_and(|signature| !signature.is_empty()),
        PartKind::RedactedReasoning { .. } => true,
        _ => false,
    }
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
fn sort<'r>(turn: &'r Turn<'_>, client: Dialect, dropped: &mut Dropped) -> Result<Vec<Block<'r>>> {
    drop_members(turn, dropped);
    let mut blocks = Vec::with_capacity(turn.parts.len());
    for part in &turn.parts {
        if let Some(block) = block_of(turn, part, client, dropped)? {
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
    dropped: &mut Dropped,
) -> Result<Option<Block<'r>>> {
    Ok(match &part.kind {
        PartKind::Text { text, .. } if is_instruction(turn) => {
            is_visible(text).then_some(Block::Instruction(part, text))
        }
        PartKind::ToolCall { .. } => Some(Block::Call { part, id: String::new() }),
        PartKind::ToolResult { content, .. } => {
            for piece in content {
                has_block(piece, client, dropped)?;
                if piece.cache.is_some() {
                    dropped.push(format_args!("{}.cache_control", piece.at));
                }
            }
            Some(Block::Result { part, id: String::new(), content })
        }
        kind @ (PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. }) => {
            is_thinking(kind).then_some(Block::Plain(part))
        }
        PartKind::ReasoningDetails { .. } => None,
        PartKind::Other { .. } if client == Dialect::Converse => Some(Block::Plain(part)),
        // Pictures of the model's own: another model takes them from the user only.
        PartKind::Image { .. } | PartKind::Audio { .. } | PartKind::Other { .. } if turn.role == Role::Assistant => {
            dropped.push(part.at);
            None
        }
        _ => has_block(part, client, dropped)?.then_some(Block::Plain(part)),
    })
}

/// Whether a part with content shows in this format; one with the user's own content that cannot be
/// shown is an error.
fn has_block(part: &Part<'_>, client: Dialect, dropped: &mut Dropped) -> Result<bool> {
    match &part.kind {
        PartKind::Text { text, citations } => {
            if citations.as_ref().is_some_and(|citations| citations.get() != "[]") {
                dropped.push(part.spelled(client, "citations"));
            }
            Ok(is_visible(text))
        }
        PartKind::Refusal { text } => Ok(is_visible(text)),
        PartKind::Image { media, detail } => {
            if detail.as_ref().is_some_and(|detail| !detail.is("auto")) {
                dropped.push(part.spelled(client, "detail"));
            }
            source::image(media).map(|_| true).map_err(|why| refused(part.at, why))
        }
        PartKind::Document { media, .. } => source::document(media).map(|_| true).map_err(|why| refused(part.at, why)),
        PartKind::Audio { media, format } => {
            source::sound(media, format.as_ref()).map(|_| true).ok_or_else(|| refused(part.at, "sounds go inline here"))
        }
        PartKind::Other { .. } if client == Dialect::Converse => Ok(true),
        _ => Err(refused(part.at, "this model takes no content of this type")),
    }
}

fn refused(at: At, why: &str) -> Error {
    Error::invalid(at.to_string(), format!("{at}: {why}"))
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
    let Some(last) = blocks.last_mut() else { return };
    let Block::Plain(part) = *last else { return };
    if let PartKind::Text { text, .. } | PartKind::Refusal { text } = &part.kind {
        let whole = text.text();
        let trimmed = whole.trim_end();
        if trimmed.len() < whole.len() {
            *last = Block::Trimmed(part, trimmed.to_owned());
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
        let ours = free_id(&theirs.text(), taken);
        id.clone_from(&ours);
        taken.insert(ours.clone());
        calls.push((theirs.text().into_owned(), ours));
    }
    calls
}

/// An id of the letters and the length that are allowed, not taken yet.
fn free_id(theirs: &str, taken: &HashSet<String>) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_.:-".contains(c) { c } else { '_' };
    let base: String = if theirs.is_empty() { "call".to_owned() } else { theirs.chars().map(allowed).collect() };
    let mut id: String = base.chars().take(MOST_ID_CHARS).collect();
    let mut n = 1_u32;
    while taken.contains(&id) {
        n += 1;
        let tail = format!("_{n}");
        id = base.chars().take(MOST_ID_CHARS - tail.len()).collect();
        id.push_str(&tail);
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
            PartKind::ToolResult { id, .. } => id.text(),
            _ => Cow::Borrowed(""),
        };
        match open.iter().position(|(call, _)| *call == theirs) {
            Some(found) => results.push(Block::Result { part, id: open.remove(found).1, content }),
            None => others.extend(content.iter().filter(|part| !is_blank(part)).map(Block::Plain)),
        }
    }
    results.extend(open.into_iter().map(|(_, id)| Block::Missing { id }));
    results.append(&mut others);
    if results.is_empty() {
        results.push(Block::Filler(FILLER));
    }
    message.blocks = results;
}

fn is_blank(part: &Part<'_>) -> bool {
    matches!(&part.kind, PartKind::Text { text, .. } | PartKind::Refusal { text } if !is_visible(text))
}

/// A document goes with a text.
fn accompany(message: &mut Message<'_>) {
    let is_text = |block: &Block<'_>| match block {
        Block::Plain(part) => matches!(part.kind, PartKind::Text { .. } | PartKind::Refusal { .. }),
        Block::Trimmed(..) | Block::Instruction(..) | Block::Filler(_) => true,
        _ => false,
    };
    let documents = |block: &Block<'_>| matches!(block, Block::Plain(part) if media::is_document(part));
    if message.blocks.iter().any(documents) && !message.blocks.iter().any(is_text) {
        message.blocks.push(Block::Filler(FILLER));
    }
}

/// Writes conversations for one model.
#[derive(Debug)]
pub(super) struct Writer {
    caches: bool,
    own: bool,
}

impl Writer {
    pub(super) fn new(model: &str, client: Dialect) -> Self {
        Self { caches: model::caches(model), own: client == Dialect::Converse }
    }

    /// Writes `system`.
    pub(super) fn system(&self, arranged: &Arranged<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let mut list = Arr::new(out);
        for part in &arranged.system {
            match &part.kind {
                PartKind::Text { text, .. } => _ = list.obj().str("text", text),
                PartKind::Other { json, .. } => _ = list.raw(json.get()),
                _ => {}
            }
            self.cache_point(part, &mut list, dropped);
        }
    }

    /// Writes `messages`.
    pub(super) fn messages(&self, arranged: &Arranged<'_>, out: &mut Vec<u8>, dropped: &mut Dropped) {
        let mut names = Vec::new();
        let mut list = Arr::new(out);
        for message in &arranged.messages {
            let mut object = list.obj();
            object.text("role", if message.is_user { "user" } else { "assistant" });
            let mut content = object.arr("content");
            for block in &message.blocks {
                self.block(block, &mut content, &mut names, dropped);
            }
        }
    }

    fn block(&self, block: &Block<'_>, list: &mut Arr<'_>, names: &mut Vec<String>, dropped: &mut Dropped) {
        let part = match block {
            Block::Plain(part) => {
                self.plain(part, list, names);
                part
            }
            Block::Trimmed(part, text) => {
                list.obj().text("text", text);
                part
            }
            Block::Instruction(part, text) => {
                let wrapped = format!("\"<system>\\n{}\\n</system>\"", text.escaped());
                list.obj().raw("text", &wrapped);
                part
            }
            Block::Call { part, id } => {
                encode_call(part, id, list);
                part
            }
            Block::Result { part, id, content } => {
                self.result(part, id, content, list, names);
                part
            }
            Block::Missing { id } => {
                let mut item = list.obj();
                let mut result = item.obj("toolResult");
                result.text("toolUseId", id);
                result.arr("content").obj().text("text", NO_RESULT);
                result.text("status", "error");
                return;
            }
            Block::Filler(said) => {
                list.obj().text("text", said);
                return;
            }
        };
        self.cache_point(part, list, dropped);
    }

    /// A part that has a block: [`has_block`] made sure of it.
    fn plain(&self, part: &Part<'_>, list: &mut Arr<'_>, names: &mut Vec<String>) {
        match &part.kind {
            PartKind::Text { text, .. } | PartKind::Refusal { text } => _ = list.obj().str("text", text),
            PartKind::Reasoning { text, signature } => {
                let mut item = list.obj();
                let mut content = item.obj("reasoningContent");
                let mut reasoning = content.obj("reasoningText");
                reasoning.str("text", text);
                signature.iter().for_each(|signature| _ = reasoning.str("signature", signature));
            }
            PartKind::RedactedReasoning { data } => {
                list.obj().obj("reasoningContent").str("redactedContent", data);
            }
            PartKind::Image { media, .. } => {
                if let Ok((format, source)) = source::image(media) {
                    source::encode_media("image", format, &source, list);
                }
            }
            PartKind::Audio { media, format } => {
                if let Some((format, source)) = source::sound(media, format.as_ref()) {
                    source::encode_media("audio", format, &source, list);
                }
            }
            PartKind::Document { .. } => source::encode_document(part, list, names),
            PartKind::Other { json, .. } if self.own => _ = list.raw(json.get()),
            _ => {}
        }
    }

    fn result(&self, part: &Part<'_>, id: &str, content: &[Part<'_>], list: &mut Arr<'_>, names: &mut Vec<String>) {
        let mut item = list.obj();
        let mut result = item.obj("toolResult");
        result.text("toolUseId", id);
        {
            let mut list = result.arr("content");
            let mut any = false;
            for piece in content.iter().filter(|piece| !is_blank(piece)) {
                any = true;
                self.plain(piece, &mut list, names);
            }
            if !any {
                list.obj().text("text", FILLER);
            }
        }
        if matches!(part.kind, PartKind::ToolResult { is_error: true, .. }) {
            result.text("status", "error");
        }
    }

    fn cache_point(&self, part: &Part<'_>, list: &mut Arr<'_>, dropped: &mut Dropped) {
        match &part.cache {
            Some(cache) if self.caches || self.own => encode_cache_point(cache, list.item()),
            Some(_) => dropped.push(format_args!("{}.cache_control", part.at)),
            None => {}
        }
    }
}

wire_object! {
    struct Marker<'a> { ttl: Str<'a> }
}

/// Writes the `cachePoint` for Anthropic's `cache_control`.
pub(super) fn encode_cache_point(cache: &Raw<'_>, out: &mut Vec<u8>) {
    let ttl = cache.read::<Marker<'_>>().and_then(|marker| marker.ttl.map(Str::into_owned));
    let mut item = Obj::new(out);
    let mut point = item.obj("cachePoint");
    point.text("type", "default");
    // Five minutes is what holds unsaid.
    if let Some(ttl) = ttl.filter(|ttl| ttl.is("1h")) {
        point.str("ttl", &ttl);
    }
}

fn encode_call(part: &Part<'_>, id: &str, list: &mut Arr<'_>) {
    let PartKind::ToolCall { name, arguments, .. } = &part.kind else { return };
    let mut item = list.obj();
    let mut call = item.obj("toolUse");
    call.text("toolUseId", id).str("name", name);
    encode_arguments(arguments, call.key("input"));
}

/// Arguments as the object this format wants. Text that holds none (a call cut by the token limit)
/// is wrapped, so that nothing of it is lost and the request stays valid.
pub(in crate::wire::converse) fn encode_arguments(arguments: &Arguments<'_>, out: &mut Vec<u8>) {
    match (arguments.object(), arguments) {
        (Some(object), _) => out.extend_from_slice(object.trim().as_bytes()),
        (None, Arguments::Encoded(text)) => _ = Obj::new(out).str("arguments", text),
        (None, Arguments::Object(_) | Arguments::Text(_)) => out.extend_from_slice(b"{}"),
    }
}
