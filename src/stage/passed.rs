//! The answer to what passes: its bytes as they come, and what is read or sealed of them.

use super::account;
use super::pass::Passage;
use super::redact::Lines;
use crate::error::{Error, Result};
use crate::secret::Secret;
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::json::{self, Json};
use crate::wire::owned::{Events, Owner};
use crate::wire::sse::Framer;
use crate::wire::{Quirks, openai_chat, responses, scan};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue};

/// What the provider's head says that the client gets too.
#[derive(Debug)]
pub struct Head {
    pub status: u16,
    pub content_type: Option<HeaderValue>,
    pub disposition: Option<HeaderValue>,
    /// Of what is not held, where the provider knows it.
    pub length: Option<HeaderValue>,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Passed {
    head: Head,
    mode: Mode,
    counts: bool,
    lists_images: bool,
    usage: Option<Usage>,
    /// What is known of it without the answer's word.
    assumed: Option<Usage>,
    /// Events on their way to the client, where they are looked at for credentials.
    lines: Option<Lines>,
}

#[derive(Debug)]
enum Mode {
    /// JSON: whole or not at all.
    Whole { held: BytesMut, max_bytes: usize, owner: Option<Owner> },
    /// Server-sent events.
    Events { watch: Option<Framer>, sealed: Option<Events> },
    /// Sound, text, files.
    Bytes,
}

impl Passed {
    /// For an answer with that head.
    pub fn new(passage: &Passage, status: u16, headers: &HeaderMap, owner: Option<Owner>, max_bytes: usize) -> Self {
        let get = |name| headers.get(&name).cloned();
        let begins = |with: &[u8]| headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(with));
        let is_empty = status == 204 || headers.get(CONTENT_LENGTH).is_some_and(|length| length == "0");
        let mode = if is_empty || begins(b"application/json") && !passage.is_raw {
            Mode::Whole { held: BytesMut::new(), max_bytes, owner }
        } else if begins(b"text/event-stream") {
            Mode::Events { watch: passage.counts.then(Framer::default), sealed: owner.map(Events::new) }
        } else {
            Mode::Bytes
        };
        // Chunks win over a length, which may be another.
        let is_chunked = headers.contains_key(TRANSFER_ENCODING);
        let length = get(CONTENT_LENGTH).filter(|_| matches!(mode, Mode::Bytes) && !is_chunked);
        let head = Head { status, content_type: get(CONTENT_TYPE), disposition: get(CONTENT_DISPOSITION), length };
        let characters = passage.characters.filter(|_| (200..300).contains(&status));
        let assumed = characters.map(|characters| Usage { characters, ..Usage::default() });
        let (counts, lists_images) = (passage.counts, passage.lists_images);
        Self { head, mode, counts, lists_images, usage: None, assumed, lines: None }
    }

    /// Takes these out of the head and of events, should the provider say them there.
    pub fn without(mut self, secrets: Vec<Secret>) -> Self {
        let secrets = account::unmistakable(secrets);
        for said in [&mut self.head.content_type, &mut self.head.disposition] {
            said.take_if(|value| secrets.iter().any(|secret| account::is_in_answer(secret, value.as_bytes())));
        }
        if matches!(self.mode, Mode::Events { .. }) && !secrets.is_empty() {
            self.lines = Some(Lines::new(secrets));
        }
        self
    }

    pub fn head(&self) -> &Head {
        &self.head
    }

    pub fn is_stream(&self) -> bool {
        !matches!(self.mode, Mode::Whole { .. })
    }

    /// What the answer says was used, else what is known without it.
    pub fn usage(&self) -> Option<(Usage, UsageSource)> {
        let characters = self.assumed.map_or(0, |assumed| assumed.characters);
        let said = self.usage.map(|usage| (Usage { characters, ..usage }, UsageSource::Reported));
        said.or_else(|| Some((self.assumed?, UsageSource::Estimated)))
    }

    /// Takes an upstream chunk, leaves the client's.
    pub fn chunk(&mut self, chunk: &mut Option<Bytes>, end: bool) -> Result<()> {
        match &mut self.mode {
            Mode::Bytes => {}
            Mode::Events { watch, sealed } => {
                let bytes = chunk.as_deref().unwrap_or_default();
                if let Some(framer) = watch {
                    let usage = &mut self.usage;
                    let mut look = |data: Option<&str>| *usage = data.and_then(counted_event).or(*usage);
                    let read = framer.push(bytes, &mut |frame| look(frame.data));
                    if end {
                        framer.finish(&mut |frame| look(frame.data));
                    }
                    // An event of a size that nobody can read has no counts for us either.
                    if read.is_err() {
                        *watch = None;
                    }
                }
                if let Some(events) = sealed {
                    let mut out = Vec::with_capacity(bytes.len());
                    events.push(bytes, &mut out)?;
                    if end {
                        events.finish(&mut out);
                    }
                    *chunk = (!out.is_empty()).then(|| Bytes::from(out));
                }
                if let Some(lines) = &mut self.lines {
                    let mut out = Vec::with_capacity(chunk.as_ref().map_or(0, Bytes::len));
                    lines.push(chunk.as_deref().unwrap_or_default(), end, &mut out);
                    *chunk = (!out.is_empty()).then(|| Bytes::from(out));
                }
            }
            Mode::Whole { held, max_bytes, owner } => {
                let piece = chunk.take().unwrap_or_default();
                if held.len() + piece.len() > *max_bytes {
                    return Err(Error::answer_too_long());
                }
                held.extend_from_slice(&piece);
                if end {
                    let body = std::mem::take(held).freeze();
                    let text = simdutf8::basic::from_utf8(&body).unwrap_or_default();
                    self.usage = if self.counts { counted(text) } else { None };
                    let images = if self.lists_images { made(text) } else { 0 };
                    if images > 0 {
                        self.usage = Some(Usage { images, ..self.usage.unwrap_or_default() });
                    }
                    let sealed = owner.as_ref().and_then(|owner| owner.close(text));
                    *chunk = Some(sealed.map_or(body, Bytes::from));
                }
            }
        }
        Ok(())
    }
}

/// The images of an answer that lists them.
fn made(json: &str) -> u64 {
    let list = scan::member(json, "data").and_then(|list| json::parse::<Vec<Json<'_>>>(list).ok());
    list.and_then(|list| u64::try_from(list.len()).ok()).unwrap_or(0)
}

/// Images and transcriptions count as Responses do, moderations as chat.
fn counted(json: &str) -> Option<Usage> {
    // Most events are pieces of an image or of a sound.
    memchr::memmem::find(json.as_bytes(), b"\"usage\"")?;
    responses::usage::in_body(json, &Quirks::NONE).or_else(|| openai_chat::usage::in_body(json, &Quirks::NONE))
}

/// The same of an event, which does not say what its output is made of: its name does.
fn counted_event(json: &str) -> Option<Usage> {
    let usage = counted(json)?;
    let said = usage.image_output_tokens > 0 || usage.audio_output_tokens > 0;
    let kind = scan::member(json, "type").unwrap_or_default().trim_matches('"');
    let output = usage.visible_output_tokens;
    Some(match kind {
        _ if said => usage,
        "image_generation.completed" | "image_edit.completed" => {
            Usage { image_output_tokens: output, visible_output_tokens: 0, ..usage }
        }
        "speech.audio.done" => Usage { audio_output_tokens: output, visible_output_tokens: 0, ..usage },
        _ => usage,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_made_is_told_by_its_name() {
        let of = |kind: &str, more: &str| {
            let usage = format!(r#"{{"total_tokens":15,"input_tokens":5,"output_tokens":10{more}}}"#);
            let usage = counted_event(&format!(r#"{{"type":"{kind}","usage":{usage}}}"#)).unwrap();
            [usage.visible_output_tokens, usage.image_output_tokens, usage.audio_output_tokens]
        };
        assert_eq!(of("image_generation.completed", ""), [0, 10, 0]);
        assert_eq!(of("image_edit.completed", ""), [0, 10, 0]);
        assert_eq!(of("speech.audio.done", ""), [0, 0, 10]);
        assert_eq!(of("transcript.text.done", ""), [10, 0, 0]);
        let details = r#","output_tokens_details":{"image_tokens":8,"text_tokens":2}"#;
        assert_eq!(of("image_generation.completed", details), [2, 8, 0]);
        assert_eq!(counted_event(r#"{"type":"image_generation.partial_image","b64_json":"aGk="}"#), None);
    }
}
