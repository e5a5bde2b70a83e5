//! The conversation as a provider of any other format takes it. Calls and results are paired: behind a
//! turn with calls comes the result of each, and no result stands without its call.
//!
//! - A result that came later than the next turn of anyone's is moved to its call.
//! - A result without a call becomes plain content of its turn: what it says is kept.
//! - A call without a result gets the text `no result`, marked as an error. Clients leave such behind
//!   when a turn was broken off.

use crate::wire::Dialect;
use crate::wire::ir::{At, Part, PartKind, Request, Role, Turn};
use crate::wire::json::Str;

const NO_RESULT: &str = "no result";

/// A call that waits for its result.
struct Open {
    /// The turn it was made in.
    turn: usize,
    at: At,
    id: Str<'static>,
}

/// Leaves out what chat's requests say again: the name of the function beside its result, and the whole of
/// a custom call. None of it is lost where it cannot be written.
pub(super) fn forget_repetitions(request: &mut Request<'_>) {
    if request.dialect != Dialect::OpenAiChat {
        return;
    }
    let says_names = request.turns.iter().any(|turn| turn.role == Role::Tool && turn.name.is_some());
    let mut names: Vec<(Str<'static>, Str<'static>)> = Vec::new();
    for turn in &mut request.turns {
        for part in &mut turn.parts {
            match &part.kind {
                PartKind::ToolCall { id, name, .. } => {
                    if says_names {
                        names.push((id.clone().into_owned(), name.clone().into_owned()));
                    }
                    part.rest.retain(|(member, _)| member != "custom");
                }
                PartKind::ToolResult { id, .. } if turn.role == Role::Tool => {
                    let called = names.iter().rev().find(|(own, _)| own == id).map(|(_, name)| name);
                    turn.name = turn.name.take().filter(|name| Some(name) != called);
                }
                _ => {}
            }
        }
    }
}

/// Pairs all of a conversation.
pub(super) fn pair(request: &mut Request<'_>) {
    if is_paired(&request.turns) {
        return;
    }
    let turns = std::mem::take(&mut request.turns);
    let (mut open, mut late) = (Vec::<Open>::new(), Vec::new());
    // The last turn with calls, while nothing but results has followed it.
    let mut last_call_turn = None;
    let mut kept: Vec<Turn<'_>> = Vec::with_capacity(turns.len() + 1);
    for (index, mut turn) in turns.into_iter().enumerate() {
        if turn.role == Role::Assistant {
            let calls = turn.parts.iter().filter_map(|part| call(part, index));
            open.extend(calls);
            last_call_turn = Some(index);
        } else {
            for part in std::mem::take(&mut turn.parts) {
                let found = result(&part).and_then(|id| latest(&open, id));
                match (found.map(|found| open.remove(found)), part.kind) {
                    (Some(call), kind) => {
                        let part = Part { kind, ..part };
                        if Some(call.turn) == last_call_turn {
                            turn.parts.push(part);
                        } else {
                            late.push((call.turn, part));
                        }
                    }
                    (None, PartKind::ToolResult { content, .. }) => {
                        turn.parts.extend(content);
                        if turn.role == Role::Tool {
                            turn.role = Role::User;
                        }
                    }
                    (None, kind) => turn.parts.push(Part { kind, ..part }),
                }
            }
            if !is_results(&turn) {
                last_call_turn = None;
            }
        }
        kept.push(turn);
    }
    late.extend(open.into_iter().map(|call| (call.turn, missing(&call))));
    request.turns = with(kept, late);
}

fn call(part: &Part<'_>, turn: usize) -> Option<Open> {
    match &part.kind {
        PartKind::ToolCall { id, .. } => Some(Open { turn, at: part.at, id: id.clone().into_owned() }),
        _ => None,
    }
}

fn result<'p>(part: &'p Part<'_>) -> Option<&'p Str<'p>> {
    match &part.kind {
        PartKind::ToolResult { id, .. } => Some(id),
        _ => None,
    }
}

fn is_results(turn: &Turn<'_>) -> bool {
    turn.parts.iter().all(|part| result(part).is_some())
}

fn missing(call: &Open) -> Part<'static> {
    let text = PartKind::Text { text: Str::from_text(NO_RESULT), citations: None };
    let content = vec![Part::new(call.at, text)];
    Part::new(call.at, PartKind::ToolResult { id: call.id.clone(), content, is_error: true })
}

/// Whether nothing has to be done.
fn is_paired(turns: &[Turn<'_>]) -> bool {
    let mut open: Vec<&Str<'_>> = Vec::new();
    let mut is_interrupted = false;
    for turn in turns {
        if turn.role == Role::Assistant {
            is_interrupted = false;
            if !open.is_empty() {
                return false;
            }
            open.extend(turn.parts.iter().filter_map(|part| match &part.kind {
                PartKind::ToolCall { id, .. } => Some(id),
                _ => None,
            }));
            continue;
        }
        for id in turn.parts.iter().filter_map(result) {
            match open.iter().position(|known| *known == id) {
                Some(at) if !is_interrupted => _ = open.remove(at),
                _ => return false,
            }
        }
        is_interrupted |= !is_results(turn);
    }
    open.is_empty()
}

/// The call that a result answers: ids may come again in later turns, and twice in one.
fn latest(open: &[Open], id: &Str<'_>) -> Option<usize> {
    let turn = open.iter().rfind(|call| call.id == *id)?.turn;
    open.iter().position(|call| call.turn == turn && call.id == *id)
}

/// Puts results that were missing or late behind the turns of their calls, and behind those results
/// that were there.
fn with<'p>(turns: Vec<Turn<'p>>, results: Vec<(usize, Part<'p>)>) -> Vec<Turn<'p>> {
    let mut all: Vec<Turn<'p>> = Vec::with_capacity(turns.len() + results.len());
    let mut results: Vec<(usize, Option<Part<'p>>)> =
        results.into_iter().map(|(turn, part)| (turn, Some(part))).collect();
    let mut due: Vec<Part<'p>> = Vec::new();
    for (index, mut turn) in turns.into_iter().enumerate() {
        let (role, at) = (turn.role, turn.at);
        if !due.is_empty() {
            match turn.parts.iter().rposition(|part| result(part).is_some()) {
                Some(last) => _ = turn.parts.splice(last + 1..last + 1, due.drain(..)),
                None => all.push(results_turn(at, std::mem::take(&mut due))),
            }
        }
        if !turn.parts.is_empty() || role == Role::Assistant {
            all.push(turn);
        }
        due = results.iter_mut().filter(|(of, _)| *of == index).filter_map(|(_, part)| part.take()).collect();
    }
    if !due.is_empty() {
        let at = all.last().map(|turn| turn.at).unwrap_or_default();
        all.push(results_turn(at, due));
    }
    all
}

fn results_turn(at: At, parts: Vec<Part<'_>>) -> Turn<'_> {
    Turn { role: Role::Tool, at, parts, name: None, rest: Vec::new() }
}
