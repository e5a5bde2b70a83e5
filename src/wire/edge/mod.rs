//! Tools that the gateway offers to a model and runs itself.
//!
//! A model that calls them is asked again, with what it said and what they gave as two more turns. They
//! stand in the request as if the client had sent them: with ids and proofs as the client would have
//! got them, which the [`bridge`](super::bridge) opens like any it gets back. The client sees one
//! answer, without these calls.
//!
//! Where a model calls the client's tools in the same turn, the client gets its own calls, and the others
//! with their results travel sealed behind the id of its first one ([`kept`]): when that comes back, the
//! turn is put together again.
//!
//! An answer that was not the JSON that was asked for ([`form`]) is a round too: what the model said and what is
//! wrong with it are two more turns, and the client sees the answer to those.

pub mod form;
pub mod kept;
mod stream;

use std::sync::Arc;

use self::form::{Again, Judged};
use self::kept::Keeper;
pub use self::stream::Rounds;
use super::ir::{
    Arguments, At, Choice, Part, PartKind, Request, Response, Role, Setting, SettingKind, Stop, StopReason, Tool,
    ToolChoice, ToolKind, Turn,
};
use super::json::{Raw, Rest, Str};
use super::seal::Seal;
use super::{Dialect, resume};
use crate::guard::Form;
use crate::usage::tokens::Usage;

/// A tool, as the model is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub name: String,
    pub description: String,
    /// Of its arguments.
    pub schema: String,
}

/// A call of one of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// As the client would have got it.
    pub id: Str<'static>,
    pub name: String,
    /// JSON, unless the model broke off.
    pub arguments: String,
}

/// A call with what it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub call: Call,
    pub text: String,
    pub is_error: bool,
}

/// What a model said in a turn in which it called tools of the gateway's.
#[derive(Debug, Clone)]
pub struct Pending {
    /// All of it, these calls too.
    pub said: Vec<Part<'static>>,
    pub calls: Vec<Call>,
    /// It called tools of the client's as well, who has to answer first.
    pub is_mixed: bool,
}

/// What an answer waits for that is over for its provider and not for the client.
#[derive(Debug, Clone)]
pub enum Waits {
    Tools(Pending),
    /// The model's answer to a complaint.
    Repair(Again),
}

/// Such a turn, and what came of it.
#[derive(Debug, Clone)]
pub struct Round {
    pub said: Vec<Part<'static>>,
    pub done: Vec<Done>,
}

/// What a request is asked with beside what the client sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Extra<'e> {
    pub offers: &'e [Offer],
    pub rounds: &'e [Round],
    /// What it said last, where that has to be mended.
    pub again: Option<&'e Again>,
    /// The model has to answer now.
    pub is_last: bool,
    /// For whom, and when: what was kept is for nobody else, and not for long.
    pub tenant: &'e str,
    pub unix_seconds: u64,
}

impl<'e> Extra<'e> {
    pub fn keeper(&self, seal: &'e Seal) -> Keeper<'e> {
        Keeper { seal, tenant: self.tenant, unix_seconds: self.unix_seconds }
    }
}

/// What of an answer is not the client's.
#[derive(Debug, Clone, Default)]
pub struct Own {
    pub names: Arc<[String]>,
    /// What the client was told to have used by the rounds before.
    pub earlier: Usage,
    /// What they said, for an answer that comes in one piece.
    pub said: Arc<[Part<'static>]>,
    /// What the answer has to be. Then no text of the rounds before it is the client's.
    pub form: Option<Form>,
}

impl Own {
    fn has(&self, name: &Str<'_>) -> bool {
        let name = name.text();
        self.names.iter().any(|own| *own == *name)
    }

    /// What of earlier rounds is the client's.
    fn said_before<'a>(&self) -> Vec<Part<'a>> {
        let is_clients = |part: &&Part<'_>| match part.kind {
            PartKind::ToolCall { .. } => false,
            PartKind::Text { .. } => self.form.is_none(),
            _ => true,
        };
        self.said.iter().filter(is_clients).cloned().collect()
    }
}

/// Adds the tools, and the turns there have been.
pub fn request<'a>(request: &mut Request<'a>, extra: &Extra<'a>, seal: &'a Seal) {
    kept::restore(request, extra.keeper(seal));
    request.options.retain(|option| option.name != MEMBER);
    if matches!(request.tool_choice, Some(ToolChoice::None)) && extra.rounds.is_empty() {
        return;
    }
    for offer in extra.offers {
        // A tool of the client's keeps its name.
        if !request.tools.iter().any(|tool| is_called(tool, &offer.name)) {
            request.tools.push(tool(offer));
        }
    }
    for round in extra.rounds {
        turns(request, round);
    }
    prove(request);
    if let Some(again) = extra.again {
        resume::append(request, Role::Assistant, &again.said);
        resume::append(request, Role::User, &again.complaint);
    }
    match extra.is_last {
        // A choice of no tools at all would be refused.
        true if request.tools.is_empty() => {}
        true => request.tool_choice = Some(ToolChoice::None),
        // Else the model could never come to its answer.
        false if !extra.rounds.is_empty() && request.tool_choice.is_some() => {
            request.tool_choice = Some(ToolChoice::Auto);
        }
        false => {}
    }
}

/// Reasoning of an answer that nobody keeps has to come back with the next round, which its own format gives only
/// who asks for it.
fn prove(request: &mut Request<'_>) {
    const ASKED: &str = "[\"reasoning.encrypted_content\"]";
    let is = |kind| move |option: &&Setting<'_>| option.kind == kind;
    let is_kept = request.options.iter().find(is(SettingKind::Store)).is_none_or(|store| store.value.get() != "false");
    if request.dialect == Dialect::Responses
        && !is_kept
        && !request.options.iter().any(|it| is(SettingKind::Include)(&it))
    {
        let (name, value) = ("include".into(), Raw::new(ASKED));
        request.options.push(Setting { kind: SettingKind::Include, name, value });
    }
}

/// The member of a request's body that asks for tools of the gateway's.
pub const MEMBER: &str = "weir_tools";
/// The member of its answer that names those that were run.
pub const EXECUTED: &str = "weir_tools_executed";

fn is_called(tool: &Tool<'_>, name: &str) -> bool {
    match &tool.kind {
        ToolKind::Function { name: own, .. } | ToolKind::Custom { name: own, .. } => own.is(name),
        ToolKind::Other { .. } => false,
    }
}

fn tool(offer: &Offer) -> Tool<'_> {
    let kind = ToolKind::Function {
        name: Str::from_text(&offer.name),
        description: Some(Str::from_text(&offer.description)),
        schema: Some(Raw::new(&offer.schema)),
        strict: None,
    };
    Tool { at: At::member(MEMBER), kind, cache: None, rest: Rest::new(), item: None }
}

fn turns<'a>(request: &mut Request<'a>, round: &'a Round) {
    let at = At::member(MEMBER);
    let turn = |role, parts| Turn { role, at, parts, name: None, rest: Rest::new() };
    request.turns.push(turn(Role::Assistant, round.said.clone()));
    request.turns.push(turn(Role::Tool, round.done.iter().map(result).collect()));
}

fn result(done: &Done) -> Part<'static> {
    let at = At::member(MEMBER);
    let text = PartKind::Text { text: Str::from_text(&done.text), citations: None };
    let kind =
        PartKind::ToolResult { id: done.call.id.clone(), content: vec![Part::new(at, text)], is_error: done.is_error };
    Part::new(at, kind)
}

fn call(call: &Call) -> Part<'static> {
    let arguments = Arguments::Encoded(Str::from_text(&call.arguments));
    let kind = PartKind::ToolCall { id: call.id.clone(), name: Str::from_text(&call.name), arguments };
    Part::new(At::member(MEMBER), kind)
}

/// What is to be done with a whole answer.
#[derive(Debug)]
pub enum Told {
    /// It is the client's.
    Same,
    /// The same, with something else in it than its provider said.
    Changed,
    Waits(Waits),
}

/// Takes these calls out of a whole answer, and holds it against what was asked for. Where there is nothing to
/// wait for the answer is the client's, with what was said before it and the counts of all rounds.
pub fn response(response: &mut Response<'_>, own: &Own) -> Told {
    let pending = response.choices.first_mut().and_then(|choice| take(choice, own));
    let judged = match &own.form {
        Some(form) if pending.is_none() => form::response(response, form),
        _ => Judged::Same,
    };
    add_earlier(response, own);
    match (pending, judged) {
        (Some(pending), _) => Told::Waits(Waits::Tools(pending)),
        (None, Judged::Again(again)) => Told::Waits(Waits::Repair(again)),
        (None, Judged::Changed) => Told::Changed,
        (None, Judged::Same) => Told::Same,
    }
}

/// Ends an answer that nobody mends.
pub fn settle(response: &mut Response<'_>, own: &Own) {
    if let Some(form) = &own.form {
        form::give_up(response, form);
    }
    add_earlier(response, own);
}

fn add_earlier(response: &mut Response<'_>, own: &Own) {
    response.usage = response.usage.map(|usage| own.earlier.plus(&usage));
    if let Some(choice) = response.choices.first_mut() {
        choice.parts.splice(..0, own.said_before());
    }
}

/// Ends such an answer with the calls that are the client's: what was done beside them goes with the first.
pub fn release(response: &mut Response<'_>, done: &[Done], keeper: Keeper<'_>) {
    let Some(choice) = response.choices.first_mut() else { return };
    let first = choice.parts.iter_mut().find_map(|part| match &mut part.kind {
        PartKind::ToolCall { id, .. } => Some(id),
        _ => None,
    });
    match first {
        Some(id) if !done.is_empty() => *id = keeper.close(id, done),
        Some(_) => {}
        None => choice.stop = Some(Stop::of(StopReason::EndTurn)),
    }
}

fn take(choice: &mut Choice<'_>, own: &Own) -> Option<Pending> {
    let is_own = |part: &Part<'_>| matches!(&part.kind, PartKind::ToolCall { name, .. } if own.has(name));
    if !choice.parts.iter().any(is_own) {
        return None;
    }
    let said: Vec<Part<'static>> = choice.parts.iter().filter_map(owned).collect();
    choice.parts.retain(|part| !is_own(part));
    if choice.stop.as_ref().is_none_or(|stop| stop.reason != StopReason::ToolUse) {
        // It was cut off in its call.
        return None;
    }
    let calls = said.iter().filter(|part| is_own(part)).filter_map(called).collect();
    let is_mixed = choice.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    Some(Pending { said, calls, is_mixed })
}

fn called(part: &Part<'static>) -> Option<Call> {
    let PartKind::ToolCall { id, name, arguments } = &part.kind else { return None };
    let arguments = match arguments {
        Arguments::Object(raw) => raw.get().to_owned(),
        Arguments::Encoded(text) | Arguments::Text(text) => text.text().into_owned(),
    };
    Some(Call { id: id.clone(), name: name.text().into_owned(), arguments })
}

/// Of what a model says, what it has to be told again.
fn owned(part: &Part<'_>) -> Option<Part<'static>> {
    let text = |text: &Str<'_>| text.clone().into_owned();
    let kind = match &part.kind {
        PartKind::Text { text: said, .. } => PartKind::Text { text: text(said), citations: None },
        PartKind::ToolCall { id, name, arguments } => PartKind::ToolCall {
            id: text(id),
            name: text(name),
            arguments: match arguments {
                Arguments::Object(raw) => Arguments::Object(raw.clone().into_owned()),
                Arguments::Encoded(json) => Arguments::Encoded(text(json)),
                Arguments::Text(input) => Arguments::Text(text(input)),
            },
        },
        PartKind::Reasoning { text: thought, signature } => {
            PartKind::Reasoning { text: text(thought), signature: signature.as_ref().map(text) }
        }
        PartKind::RedactedReasoning { data } => PartKind::RedactedReasoning { data: text(data) },
        PartKind::ReasoningDetails { details } => PartKind::ReasoningDetails { details: details.clone().into_owned() },
        PartKind::Refusal { text: said } => PartKind::Refusal { text: text(said) },
        PartKind::Other { tag, json } => PartKind::Other { tag: text(tag), json: json.clone().into_owned() },
        PartKind::Image { media, .. } => PartKind::Image { media: media.clone().into_owned(), detail: None },
        PartKind::Document { .. } | PartKind::Audio { .. } | PartKind::ToolResult { .. } => return None,
    };
    Some(Part { item: part.item.clone().map(Raw::into_owned), ..Part::new(part.at, kind) })
}

#[cfg(test)]
mod tests;
