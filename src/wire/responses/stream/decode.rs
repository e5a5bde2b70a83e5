//! An upstream's stream, read.

use super::super::request::proof;
use super::super::response::{Item, call_id, name, parts_of, stop_of, thought};
use super::super::{error, usage};
use crate::error::{Error, Kind};
use crate::wire::ir::{Arguments, Delta, Event, Part, PartKind, PartStart};
use crate::wire::json::{self, Json, Raw, Str};
use crate::wire::lenient::{Value, count, filled, items, read, text};
use crate::wire::{Decode, Quirks};
use crate::wire_object;

wire_object! {
    struct Data<'a> {
        kind: Json<'a> = "type",
        response: Json<'a>,
        item: Json<'a>,
        output_index: Json<'a>,
        content_index: Json<'a>,
        summary_index: Json<'a>,
        delta: Json<'a>,
        text: Json<'a>,
        refusal: Json<'a>,
        arguments: Json<'a>,
        input: Json<'a>,
        annotation: Raw<'a>,
    }
}

wire_object! {
    struct Answer<'a> {
        id: Json<'a>,
        model: Json<'a>,
        created_at: Json<'a>,
        service_tier: Json<'a>,
        status: Json<'a>,
        incomplete_details: Json<'a>,
        output: Json<'a>,
        usage: Json<'a>,
    }
}

wire_object! {
    struct Incomplete<'a> { reason: Json<'a> }
}

type Sink<'s> = dyn FnMut(&Event<'_>) + 's;

/// What a part says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Text,
    Refusal,
    Thought,
    Call { custom: bool },
}

/// A part that has begun and not ended.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// The item's number at the upstream.
    item: u64,
    /// The part's number in it: of a message's content, or of a summary.
    piece: u64,
    ours: u32,
    what: What,
    /// Something of it has been given out.
    said: bool,
}

impl Open {
    fn is_call(&self) -> bool {
        matches!(self.what, What::Call { .. })
    }
}

/// Reads the events of one stream.
#[derive(Debug, Default)]
pub struct Decoder {
    started: bool,
    over: bool,
    open: Vec<Open>,
    next_index: u32,
    /// Items and parts of which something has been given out already: what closes them repeats it.
    told: Vec<(u64, u64)>,
    /// The item of reasoning that was opened last: its number and its id, as JSON.
    thinking: Option<(u64, String)>,
    /// The last service tier that was named.
    tier: Option<String>,
    has_call: bool,
    has_refusal: bool,
    /// What is said while a call is unfinished waits until it is whole: events, each with its kind.
    held: Vec<(String, String)>,
}

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self::default()
    }

    fn start(&mut self, answer: Option<&Answer<'_>>, sink: &mut Sink<'_>) {
        self.tier = answer
            .and_then(|it| text(it.service_tier))
            .map(|tier| tier.text().into_owned())
            .or_else(|| self.tier.take());
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        sink(&Event::Start {
            id: answer.and_then(|it| text(it.id)),
            model: answer.and_then(|it| filled(it.model)),
            created: answer.and_then(|it| count(it.created_at)),
            usage: None,
            service_tier: answer.and_then(|it| text(it.service_tier)),
        });
    }

    /// The part's place among the open ones; begins it where it is not.
    fn part(&mut self, (item, piece): (u64, u64), what: What, part: PartStart<'_>, sink: &mut Sink<'_>) -> usize {
        let found = self.open.iter().position(|open| (open.item, open.piece, open.what) == (item, piece, what));
        found.unwrap_or_else(|| self.begin((item, piece), what, part, sink))
    }

    fn begin(&mut self, (item, piece): (u64, u64), what: What, part: PartStart<'_>, sink: &mut Sink<'_>) -> usize {
        self.start(None, sink);
        // Calls may overlap, nothing else may.
        let calls = matches!(what, What::Call { .. });
        self.close(|open| !(calls && matches!(open.what, What::Call { .. })), sink);
        let ours = self.next_index;
        self.next_index = ours.saturating_add(1);
        sink(&Event::PartStart { index: ours, choice: 0, part });
        self.open.push(Open { item, piece, ours, what, said: false });
        self.tell(item, piece);
        if let Some((_, id)) = self.thinking.as_ref().filter(|(of, _)| what == What::Thought && *of == item) {
            // Its own format has to call it so: what proves it is tied to that.
            sink(&Event::Delta { index: ours, delta: Delta::Other(Raw::owned(format!("{{\"id\":{id}}}"))) });
        }
        self.open.len() - 1
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool, sink: &mut Sink<'_>) {
        self.open.retain(|open| {
            if which(open) {
                sink(&Event::PartEnd { index: open.ours });
            }
            !which(open)
        });
    }

    fn tell(&mut self, item: u64, piece: u64) {
        if !self.told.contains(&(item, piece)) {
            self.told.push((item, piece));
        }
    }

    fn was_told(&self, item: u64) -> bool {
        self.told.iter().any(|(told, _)| *told == item)
    }

    fn give(&mut self, at: usize, delta: Delta<'_>, sink: &mut Sink<'_>) {
        if let Some(open) = self.open.get_mut(at) {
            open.said = true;
            sink(&Event::Delta { index: open.ours, delta });
        }
    }

    /// A fragment of a message or of a thought.
    fn fragment(&mut self, what: What, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(fragment) = filled(data.delta) else { return };
        self.piece(what, place(data, what), fragment, sink);
    }

    /// The whole of a message's part or of a thought's; its fragments may have said it all.
    fn whole(&mut self, what: What, data: &Data<'_>, sink: &mut Sink<'_>) {
        let said = if what == What::Refusal { data.refusal } else { data.text };
        let at = place(data, what);
        match filled(said).filter(|_| !self.told.contains(&at)) {
            Some(all) => self.piece(what, at, all, sink),
            None => self.tell(at.0, at.1),
        }
    }

    fn piece(&mut self, what: What, (item, piece): (u64, u64), said: Str<'_>, sink: &mut Sink<'_>) {
        self.has_refusal |= what == What::Refusal;
        match what {
            What::Text => {
                let at = self.part((item, piece), what, PartStart::Text, sink);
                self.give(at, Delta::Text(said), sink);
            }
            What::Refusal => {
                let at = self.part((item, piece), what, PartStart::Refusal, sink);
                self.give(at, Delta::Refusal(said), sink);
            }
            What::Thought => self.thought(item, piece, said, sink),
            What::Call { .. } => {}
        }
    }

    /// All pieces of a summary are one part, with a blank line between them.
    fn thought(&mut self, item: u64, piece: u64, said: Str<'_>, sink: &mut Sink<'_>) {
        let found = self.open.iter().position(|open| open.item == item && open.what == What::Thought);
        let at = found.unwrap_or_else(|| self.begin((item, piece), What::Thought, PartStart::Reasoning, sink));
        let Some(open) = self.open.get_mut(at) else { return };
        let is_next = open.said && std::mem::replace(&mut open.piece, piece) != piece;
        self.tell(item, piece);
        if is_next {
            self.give(at, Delta::Reasoning(Str::from_escaped("\\n\\n")), sink);
        }
        self.give(at, Delta::Reasoning(said), sink);
    }

    fn item_added(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(item) = read::<Item<'_>>(data.item) else { return };
        let custom = match text(item.kind).as_ref().map(Str::escaped) {
            Some("function_call") => false,
            Some("custom_tool_call") => true,
            Some("reasoning") => return self.thinks(number(data.output_index), &item),
            _ => return,
        };
        let part = PartStart::ToolCall { id: call_id(&item), name: name(&item), custom };
        self.begin((number(data.output_index), 0), What::Call { custom }, part, sink);
        self.has_call = true;
    }

    fn thinks(&mut self, theirs: u64, item: &Item<'_>) {
        self.thinking = filled(item.id).map(|id| (theirs, id.raw().to_owned()));
    }

    fn call_fragment(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let theirs = number(data.output_index);
        let Some(at) = self.open.iter().position(|open| open.item == theirs) else { return };
        let (Some(fragment), Some(open)) = (filled(data.delta), self.open.get(at)) else { return };
        let delta = match open.what {
            What::Call { custom: false } => Delta::Arguments(fragment),
            What::Call { custom: true } => Delta::Input(fragment),
            _ => return,
        };
        self.give(at, delta, sink);
    }

    /// The whole input of a call: nothing more of it follows, but its item, perhaps much later.
    fn call_whole(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let theirs = number(data.output_index);
        let Some(at) = self.open.iter().position(|open| open.item == theirs && open.is_call()) else { return };
        let Some(open) = self.open.get(at).copied() else { return };
        let custom = open.what == What::Call { custom: true };
        match filled(if custom { data.input } else { data.arguments }) {
            _ if open.said => {}
            Some(input) if custom => self.give(at, Delta::Input(input), sink),
            Some(json) => self.give(at, Delta::Arguments(json), sink),
            None => return,
        }
        self.close(|open| open.item == theirs, sink);
    }

    /// Whether an event has to wait: only calls may overlap, and nothing follows the end of one.
    fn must_wait(&self, kind: &str, data: &Data<'_>) -> bool {
        let is_prose = match kind.strip_prefix("response.") {
            Some("output_item.done") => read::<Item<'_>>(data.item).is_some_and(|item| !is_call(&item)),
            Some(rest) => ["output_text.", "refusal.", "reasoning_"].iter().any(|begin| rest.starts_with(begin)),
            None => false,
        };
        is_prose && self.open.iter().any(Open::is_call)
    }

    /// Takes what waited, once no call is open any more.
    fn take_held(&mut self, sink: &mut Sink<'_>) {
        if self.open.iter().any(Open::is_call) {
            return;
        }
        for (kind, raw) in std::mem::take(&mut self.held) {
            if let Ok(data) = json::parse::<Data<'_>>(&raw) {
                self.dispatch(&kind, &raw, &data, sink);
            }
        }
    }

    /// An item is complete: gives what was not told of it, and closes it.
    fn item_done(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let Some(raw) = data.item else { return };
        self.done(number(data.output_index), raw, sink);
    }

    fn done(&mut self, theirs: u64, raw: Json<'_>, sink: &mut Sink<'_>) {
        let Some(item) = read::<Item<'_>>(Some(raw)) else { return };
        match text(item.kind).as_ref().map(Str::escaped) {
            Some("reasoning") => self.thought_done(theirs, &item, sink),
            Some("function_call" | "custom_tool_call") => self.call_done(theirs, &item, raw, sink),
            _ if self.was_told(theirs) => {}
            _ => parts_of(&item, raw).iter().for_each(|part| self.tell_whole(theirs, part, sink)),
        }
        self.tell(theirs, 0);
        self.close(|open| open.item == theirs, sink);
    }

    fn thought_done(&mut self, theirs: u64, item: &Item<'_>, sink: &mut Sink<'_>) {
        self.thinks(theirs, item);
        let proof = proof(filled(item.id), filled(item.encrypted_content));
        let said = thought(item).filter(|_| !self.was_told(theirs));
        if let Some(said) = said {
            self.thought(theirs, 0, said, sink);
        }
        if let Some(proof) = proof {
            let open = self.open.iter().position(|open| open.item == theirs && open.what == What::Thought);
            let at = open.unwrap_or_else(|| self.begin((theirs, 0), What::Thought, PartStart::Reasoning, sink));
            self.give(at, Delta::Signature(proof), sink);
        }
    }

    fn call_done(&mut self, theirs: u64, item: &Item<'_>, raw: Json<'_>, sink: &mut Sink<'_>) {
        let is_open = |open: &Open| open.item == theirs && matches!(open.what, What::Call { .. });
        let open = self.open.iter().find(|open| is_open(open)).copied();
        if open.is_some_and(|open| open.said) || open.is_none() && self.was_told(theirs) {
            return;
        }
        for part in &parts_of(item, raw) {
            let PartKind::ToolCall { id, name, arguments } = &part.kind else { continue };
            let custom = matches!(arguments, Arguments::Text(_));
            let start = PartStart::ToolCall { id: id.clone(), name: name.clone(), custom };
            let at = self.open.iter().position(is_open);
            let at = at.unwrap_or_else(|| self.begin((theirs, 0), What::Call { custom }, start, sink));
            self.has_call = true;
            match arguments {
                Arguments::Text(input) if input.is_empty() => {}
                Arguments::Text(input) => self.give(at, Delta::Input(input.clone()), sink),
                Arguments::Encoded(json) if json.is_empty() => {}
                Arguments::Encoded(json) => self.give(at, Delta::Arguments(json.clone()), sink),
                Arguments::Object(json) => self.give(at, Delta::Arguments(Str::from_text(json.get())), sink),
            }
        }
    }

    /// A part nobody told anything of before.
    fn tell_whole(&mut self, theirs: u64, part: &Part<'_>, sink: &mut Sink<'_>) {
        match &part.kind {
            PartKind::Text { text, citations } if !text.is_empty() => {
                self.piece(What::Text, (theirs, u64::from(self.next_index)), text.clone(), sink);
                let citations = citations.as_ref().and_then(|list| list.read::<Vec<Raw<'_>>>()).unwrap_or_default();
                let at = self.open.len().saturating_sub(1);
                citations.into_iter().for_each(|citation| self.give(at, Delta::Citation(citation), sink));
            }
            PartKind::Refusal { text } => {
                self.piece(What::Refusal, (theirs, u64::from(self.next_index)), text.clone(), sink);
            }
            PartKind::Other { tag, json } => {
                self.start(None, sink);
                self.close(|_| true, sink);
                let index = self.next_index;
                self.next_index = index.saturating_add(1);
                let part = PartStart::Other { tag: tag.clone(), json: json.clone() };
                sink(&Event::PartStart { index, choice: 0, part });
                sink(&Event::PartEnd { index });
            }
            _ => {}
        }
    }

    fn annotation(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let (item, piece) = place(data, What::Text);
        let open = |open: &Open| (open.item, open.piece, open.what) == (item, piece, What::Text);
        if let (Some(at), Some(annotation)) = (self.open.iter().position(open), &data.annotation) {
            self.give(at, Delta::Citation(annotation.reborrow()), sink);
        }
    }

    /// The last event: it holds the whole answer.
    fn end(&mut self, data: &Data<'_>, sink: &mut Sink<'_>) {
        let answer: Answer<'_> = read(data.response).unwrap_or_default();
        self.start(Some(&answer), sink);
        self.close(Open::is_call, sink);
        self.take_held(sink);
        // Some servers say nothing before.
        if self.told.is_empty() {
            for (index, raw) in items(answer.output).into_iter().enumerate() {
                self.done(u64::try_from(index).unwrap_or(u64::MAX), raw, sink);
            }
        }
        self.close(|_| true, sink);
        let reason = read::<Incomplete<'_>>(answer.incomplete_details).and_then(|it| text(it.reason));
        let stop = stop_of(text(answer.status).as_ref(), reason, self.has_call, self.has_refusal);
        sink(&Event::Stop { choice: 0, stop });
        let text = data.response.map_or("", |response| response.get());
        usage::of_answer(answer.usage, text).into_iter().for_each(|usage| sink(&Event::Usage(usage)));
        self.over = true;
        sink(&Event::End);
    }

    /// It failed, and may have counts all the same.
    fn failed(&mut self, data: &Data<'_>, raw: &str, sink: &mut Sink<'_>) {
        let answer: Answer<'_> = read(data.response).unwrap_or_default();
        self.start(Some(&answer), sink);
        let text = data.response.map_or("", |response| response.get());
        usage::of_answer(answer.usage, text).into_iter().for_each(|usage| sink(&Event::Usage(usage)));
        self.fail(error::decode_in_band(raw), sink);
    }

    fn fail(&mut self, error: Error, sink: &mut Sink<'_>) {
        self.over = true;
        sink(&Event::Error(error));
    }

    fn dispatch(&mut self, kind: &str, raw: &str, data: &Data<'_>, sink: &mut Sink<'_>) {
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(read(data.response).as_ref(), sink);
            }
            "response.output_item.added" => self.item_added(data, sink),
            "response.output_item.done" => self.item_done(data, sink),
            "response.output_text.delta" => self.fragment(What::Text, data, sink),
            "response.output_text.done" => self.whole(What::Text, data, sink),
            "response.output_text.annotation.added" => self.annotation(data, sink),
            "response.refusal.delta" => self.fragment(What::Refusal, data, sink),
            "response.refusal.done" => self.whole(What::Refusal, data, sink),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.fragment(What::Thought, data, sink);
            }
            "response.reasoning_summary_text.done" | "response.reasoning_text.done" => {
                self.whole(What::Thought, data, sink);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.call_fragment(data, sink);
            }
            "response.function_call_arguments.done" | "response.custom_tool_call_input.done" => {
                self.call_whole(data, sink);
            }
            "response.completed" | "response.incomplete" | "response.cancelled" => self.end(data, sink),
            "response.failed" => self.failed(data, raw, sink),
            "error" => self.fail(error::decode_in_band(raw), sink),
            // Parts are opened by what they say; tools of the provider's are told by their item.
            _ => {}
        }
    }
}

impl Decode for Decoder {
    fn event(&mut self, name: &str, data: &str, sink: &mut dyn FnMut(&Event<'_>)) {
        let text = data.trim();
        if self.over || text.is_empty() || text == "[DONE]" {
            return;
        }
        match json::parse::<Data<'_>>(text) {
            Ok(fields) => {
                let kind = filled(fields.kind);
                let kind = kind.as_ref().map_or(name, Str::escaped);
                if self.must_wait(kind, &fields) {
                    return self.held.push((kind.to_owned(), text.to_owned()));
                }
                self.dispatch(kind, text, &fields, sink);
                self.take_held(sink);
            }
            Err(e) => {
                let error = Error::new(Kind::UpstreamFailed, "the provider's stream cannot be read");
                self.fail(error.with_unreadable(&e), sink);
            }
        }
    }

    fn service_tier(&self) -> Option<&str> {
        self.tier.as_deref()
    }

    fn repeats(&self) -> bool {
        true
    }

    fn finish(&mut self, sink: &mut dyn FnMut(&Event<'_>)) {
        if !self.over {
            self.fail(Error::new(Kind::UpstreamFailed, "the provider cut the stream"), sink);
        }
    }
}

fn is_call(item: &Item<'_>) -> bool {
    matches!(text(item.kind).as_ref().map(Str::escaped), Some("function_call" | "custom_tool_call"))
}

fn number(value: Value<'_>) -> u64 {
    count(value).unwrap_or(0)
}

/// Where a fragment belongs: its item, and the part of it.
fn place(data: &Data<'_>, what: What) -> (u64, u64) {
    let piece = match what {
        What::Thought => data.summary_index.or(data.content_index),
        _ => data.content_index,
    };
    (number(data.output_index), number(piece))
}
