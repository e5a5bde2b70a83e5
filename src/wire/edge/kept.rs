//! Calls of the gateway's tools in a turn that waits for the client's, with their results.
//!
//! They travel behind the id of the client's first call, which every client gives back: whole, sealed,
//! for one tenant and for a day. So nothing is kept here, a restart forgets nothing, and every replica
//! can go on. What does not open is left out: the model then misses the turn's other calls.

use super::{Call, Done, call, result};
use crate::wire::ir::{Part, PartKind, Request, Role, Turn};
use crate::wire::json::{self, Arr, Obj, Str};
use crate::wire::seal::Seal;
use crate::wire_object;

/// Between the id and what is kept behind it.
const JOINT: &str = "-weirtool1-";
/// What a seal begins with; it is the same behind each joint.
const SEAL_MARK: &str = "weirseal1-";
/// A client that comes back later has lost its place.
const SECONDS: u64 = 24 * 60 * 60;
/// Of each result: an id is no place for more.
const MOST_RESULT_BYTES: usize = 8 * 1024;

wire_object! {
    struct Kept<'a> { tenant: Str<'a>, until: u64, done: Vec<One<'a>> }
}

wire_object! {
    struct One<'a> { id: Str<'a>, name: Str<'a>, arguments: Str<'a>, text: Str<'a>, error: bool }
}

/// Who keeps, for whom, and when.
#[derive(Debug, Clone, Copy)]
pub struct Keeper<'k> {
    pub seal: &'k Seal,
    pub tenant: &'k str,
    pub unix_seconds: u64,
}

impl Keeper<'_> {
    /// The id of a client's call, with all of these behind it.
    pub fn close(&self, id: &Str<'_>, done: &[Done]) -> Str<'static> {
        let mut payload = Vec::with_capacity(256);
        {
            let mut obj = Obj::new(&mut payload);
            obj.text("tenant", self.tenant).num("until", self.unix_seconds.saturating_add(SECONDS));
            let mut list: Arr<'_> = obj.arr("done");
            for Done { call, text, is_error } in done {
                let most = text.floor_char_boundary(MOST_RESULT_BYTES);
                let mut one = list.obj();
                one.str("id", &call.id).text("name", &call.name).text("arguments", &call.arguments);
                one.text("text", text.get(..most).unwrap_or_default()).bool("error", *is_error);
            }
        }
        let sealed = self.seal.close(&payload);
        let sealed = sealed.strip_prefix(SEAL_MARK).unwrap_or_default();
        Str::from_text(&format!("{}{JOINT}{sealed}", id.text()))
    }

    fn open(&self, sealed: &str) -> Vec<Done> {
        let opened = self.seal.open(&format!("{SEAL_MARK}{sealed}"));
        let Some(payload) = opened.and_then(|opened| String::from_utf8(opened.payload).ok()) else { return Vec::new() };
        let Ok(kept) = json::parse::<Kept<'_>>(&payload) else { return Vec::new() };
        let is_theirs = kept.tenant.is_some_and(|tenant| tenant.is(self.tenant));
        if !is_theirs || kept.until.is_none_or(|until| until < self.unix_seconds) {
            return Vec::new();
        }
        kept.done.unwrap_or_default().into_iter().filter_map(one).collect()
    }
}

fn one(it: One<'_>) -> Option<Done> {
    let text = |text: Option<Str<'_>>| Some(text?.text().into_owned());
    let call = Call { id: it.id?.into_owned(), name: text(it.name)?, arguments: text(it.arguments)? };
    Some(Done { call, text: text(it.text)?, is_error: it.error.unwrap_or_default() })
}

/// Whether a request's body may have such an id: cheap, and never wrong with `false`.
pub fn may_be_in(body: &[u8]) -> bool {
    memchr::memmem::find(body, JOINT.as_bytes()).is_some()
}

/// Puts turns together again of which the client has only its own part.
pub(super) fn restore(request: &mut Request<'_>, keeper: Keeper<'_>) {
    let mut waiting: Vec<Done> = Vec::new();
    let mut turns = Vec::with_capacity(request.turns.len());
    for mut turn in std::mem::take(&mut request.turns) {
        if turn.role != Role::Assistant && !waiting.is_empty() {
            results(&mut turn, &mut turns, &std::mem::take(&mut waiting));
        }
        let mut calls = Vec::new();
        for part in &mut turn.parts {
            if let Some(sealed) = plain_id(part) {
                calls.extend(keeper.open(&sealed));
            }
        }
        turn.parts.extend(calls.iter().map(|done| call(&done.call)));
        waiting.extend(calls);
        turns.push(turn);
    }
    request.turns = turns;
}

/// Where the client's results stand, ours stand before them.
fn results<'a>(turn: &mut Turn<'a>, turns: &mut Vec<Turn<'a>>, done: &[Done]) {
    let parts: Vec<Part<'static>> = done.iter().map(result).collect();
    match turn.role {
        Role::Tool => _ = turn.parts.splice(..0, parts),
        // Anthropic's clients give results as a user.
        _ if turn.parts.iter().any(|part| matches!(part.kind, PartKind::ToolResult { .. })) => {
            turn.parts.splice(..0, parts);
        }
        _ => turns.push(Turn { role: Role::Tool, at: turn.at, parts, name: None, rest: Vec::new() }),
    }
}

/// Makes the id the client's own again; gives back what was behind that of a call.
fn plain_id(part: &mut Part<'_>) -> Option<String> {
    let (PartKind::ToolCall { id, .. } | PartKind::ToolResult { id, .. }) = &mut part.kind else { return None };
    let whole = id.text().into_owned();
    let (plain, sealed) = whole.rsplit_once(JOINT)?;
    *id = Str::from_text(plain);
    matches!(part.kind, PartKind::ToolCall { .. }).then(|| sealed.to_owned())
}
