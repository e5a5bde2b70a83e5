//! What the simulator answers, in the words of a format.

use super::Ask;
use crate::simulator::app::Frame;
use crate::simulator::cache::Input;
use crate::simulator::chat::CREATED;
use crate::simulator::prompt::Prompt;
use crate::simulator::reply::{Call, Finish, Reply, Thinking, pieces, redact, sign};
use crate::usage::tokens::Usage;
use crate::wire::ir::{Arguments, At, Choice, Delta, Event, Part, PartKind, PartStart, Response, Stop, StopReason};
use crate::wire::json::Str;
use crate::wire::seal::Seal;
use crate::wire::{Client, Dialect, encode_response, stream_encoder};

/// What an answer is written from.
pub(in crate::simulator) struct Said<'s> {
    pub(in crate::simulator) ask: &'s Ask,
    pub(in crate::simulator) body: &'s str,
    pub(in crate::simulator) prompt: &'s Prompt,
    pub(in crate::simulator) reply: &'s Reply,
    pub(in crate::simulator) id: &'s str,
    pub(in crate::simulator) input: Option<&'s Input>,
}

impl Said<'_> {
    fn with_client<T>(&self, then: impl FnOnce(&Client<'_>) -> T) -> T {
        let seal = Seal::new("simulator", b"");
        then(&Client { created: CREATED, request: self.body, ..Client::of(&self.prompt.model, self.id, &seal) })
    }

    fn usage(&self) -> Option<Usage> {
        let input = self.input?;
        let reasoning_tokens = self.reply.reasoning_tokens();
        Some(Usage {
            fresh_input_tokens: input.input - input.read - input.write_5m - input.write_1h,
            cached_tokens: input.read,
            cache_write_tokens: input.write_5m,
            cache_write_1h_tokens: input.write_1h,
            visible_output_tokens: self.reply.output_tokens() - reasoning_tokens,
            reasoning_tokens,
            ..Usage::default()
        })
    }

    fn stop(&self) -> Stop<'static> {
        let (reason, sequence) = match &self.reply.finish {
            Finish::Stop => (StopReason::EndTurn, None),
            Finish::StopSequence(sequence) => (StopReason::StopSequence, Some(Str::from_text(sequence))),
            Finish::Length => (StopReason::MaxTokens, None),
            Finish::ToolCalls => (StopReason::ToolUse, None),
        };
        Stop { sequence, ..Stop::of(reason) }
    }

    /// The parts of the answer, in order.
    fn parts(&self) -> Vec<PartKind<'static>> {
        let mut parts = Vec::new();
        let thought = self.reply.thinking.as_ref();
        parts.extend(thought.map(|thought| reasoning(thought, self.ask.dialect)));
        if !self.reply.text.is_empty() {
            parts.push(PartKind::Text { text: Str::from_text(&self.reply.text), citations: None });
        }
        // This format proves a thought by the call that follows it, or at the end of the text.
        if let (Dialect::Gemini, Some(thought)) = (self.ask.dialect, thought) {
            let signature = Some(Str::from_text(&redact(&thought.text)));
            parts.push(PartKind::Reasoning { text: Str::from_text(""), signature });
        }
        parts.extend(self.reply.calls.iter().map(call));
        parts
    }
}

fn reasoning(thought: &Thinking, dialect: Dialect) -> PartKind<'static> {
    if thought.redacted && dialect != Dialect::Gemini {
        return PartKind::RedactedReasoning { data: Str::from_text(&redact(&thought.text)) };
    }
    let signature = match dialect {
        Dialect::Gemini | Dialect::Cohere => None,
        Dialect::Responses => Some(redact(&thought.text)),
        _ => Some(sign(&thought.text)),
    };
    PartKind::Reasoning { text: Str::from_text(&thought.text), signature: signature.map(|s| Str::from_text(&s)) }
}

fn call(call: &Call) -> PartKind<'static> {
    PartKind::ToolCall {
        id: Str::from_text(&format!("call_{}", call.id)),
        name: Str::from_text(&call.name),
        arguments: Arguments::Encoded(Str::from_text(&call.arguments)),
    }
}

pub(in crate::simulator) fn whole(said: &Said<'_>) -> Vec<u8> {
    let parts = said.parts().into_iter().map(|kind| Part::new(At::default(), kind)).collect();
    let response = Response {
        model: Some(Str::from_text(&said.prompt.model)),
        created: Some(CREATED),
        choices: vec![Choice { parts, stop: Some(said.stop()), logprobs: None }],
        usage: said.usage(),
        ..Response::default()
    };
    let mut out = Vec::new();
    said.with_client(|client| encode_response(said.ask.dialect, &response, client, &mut out));
    out
}

/// The events of a stream, one write each.
pub(in crate::simulator) fn frames(said: &Said<'_>) -> Vec<Frame> {
    let mut encoder = said.with_client(|client| stream_encoder(said.ask.dialect, client));
    let mut frames = Vec::new();
    let mut write = |event: &Event<'_>| {
        let mut bytes = Vec::new();
        encoder.event(event, &mut bytes);
        if !bytes.is_empty() {
            frames.push(Frame { bytes, is_content: matches!(event, Event::Delta { .. }) });
        }
    };
    let model = Some(Str::from_text(&said.prompt.model));
    write(&Event::Start { id: None, model, created: Some(CREATED), usage: None, service_tier: None });
    for (index, part) in (0_u32..).zip(said.parts()) {
        let (start, deltas) = streamed(part);
        write(&Event::PartStart { index, choice: 0, part: start });
        deltas.into_iter().for_each(|delta| write(&Event::Delta { index, delta }));
        write(&Event::PartEnd { index });
    }
    write(&Event::Stop { choice: 0, stop: said.stop() });
    said.usage().into_iter().for_each(|usage| write(&Event::Usage(usage)));
    write(&Event::End);
    frames
}

fn streamed(part: PartKind<'static>) -> (PartStart<'static>, Vec<Delta<'static>>) {
    let words =
        |text: &Str<'_>| -> Vec<Str<'static>> { pieces(&text.text()).into_iter().map(Str::from_text).collect() };
    match part {
        PartKind::Reasoning { text, signature } => {
            let mut deltas: Vec<_> = words(&text).into_iter().map(Delta::Reasoning).collect();
            deltas.extend(signature.map(Delta::Signature));
            (PartStart::Reasoning, deltas)
        }
        PartKind::RedactedReasoning { data } => (PartStart::RedactedReasoning { data }, Vec::new()),
        PartKind::ToolCall { id, name, arguments: Arguments::Encoded(json) } => {
            let letters: Vec<char> = json.text().chars().collect();
            let fragments = letters.chunks(6).map(|f| Str::from_text(&f.iter().collect::<String>()));
            (PartStart::ToolCall { id, name, custom: false }, fragments.map(Delta::Arguments).collect())
        }
        PartKind::Text { text, .. } => (PartStart::Text, words(&text).into_iter().map(Delta::Text).collect()),
        _ => (PartStart::Text, Vec::new()),
    }
}
