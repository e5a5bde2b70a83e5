//! Ids that belong to a tenant.
//!
//! What a provider keeps (files, batches, stored responses) lies in one account that all tenants
//! share, so an id must not work for whoever knows it. The ids in answers are sealed for the caller's
//! tenant ([`Seal::close_owned`]); a request gives them back, and only its own open. Nothing is
//! remembered here: any replica can tell whose an id is.
//!
//! References: <https://platform.openai.com/docs/api-reference/files>, `/batch`, `/responses`,
//! `/conversations`; <https://docs.claude.com/en/api/creating-message-batches>.

use std::ops::Range;

use super::envelope::Envelope;
use super::json::Str;
use super::scan::{self, Escapes};
use super::seal::Seal;
use super::splice::Splice;
use super::sse::{Frame, Framer};
use super::stream::{Pipe, Rewrite};
use crate::error::Result;

/// The tenant that asks, at the deployment that answers.
#[derive(Debug, Clone)]
pub struct Owner {
    pub seal: Seal,
    pub tenant: String,
}

/// Members of an answer that hold ids of kept things. `conversation` is an object with an `id`.
const GIVEN: [&str; 5] = ["id", "previous_response_id", "input_file_id", "output_file_id", "error_file_id"];
/// Members of a request that do, at whatever depth.
const TAKEN: [&str; 5] = ["previous_response_id", "conversation", "input_file_id", "file_id", "file_ids"];
/// Anthropic's address of a batch's results; its SDKs take it relative to the base URL too.
const RESULTS_URL: &str = "results_url";

impl Owner {
    /// A whole answer with its ids sealed; `None` where it has none (or is no JSON object).
    pub fn close(&self, object: &str) -> Option<String> {
        let envelope = Envelope::parse_str(object).ok()?;
        let mut splice = Splice::new(&envelope);
        for name in GIVEN {
            if let Some(id) = envelope.string(name).filter(|id| !id.is_empty()) {
                splice.set_text(name, &self.seal.close_owned(&id.text(), &self.tenant));
            }
        }
        if let Some(conversation) = envelope.present("conversation").and_then(|inner| self.close(inner)) {
            splice.replace("conversation", conversation);
        }
        if let (Some(id), Some(_)) = (envelope.string("id"), envelope.string(RESULTS_URL)) {
            let sealed = self.seal.close_owned(&id.text(), &self.tenant);
            splice.set_text(RESULTS_URL, &format!("/v1/messages/batches/{sealed}/results"));
        }
        if splice.is_empty() {
            return None;
        }
        String::from_utf8(splice.write()).ok()
    }

    /// The same for a stored response inside an event of a stream.
    fn event(&self, frame: Frame<'_>, out: &mut Vec<u8>) {
        let edited = frame.data.and_then(|data| {
            let object = scan::member(data, "response")?;
            Some((data, object, self.close(object)?))
        });
        let Some((data, object, sealed)) = edited else { return out.extend_from_slice(frame.raw) };
        match memchr::memmem::find(frame.raw, object.as_bytes()) {
            Some(at) => {
                out.extend_from_slice(frame.raw.get(..at).unwrap_or_default());
                out.extend_from_slice(sealed.as_bytes());
                out.extend_from_slice(frame.raw.get(at + object.len()..).unwrap_or_default());
            }
            // Data in several lines: the line ends between them are not part of it.
            None => {
                let data = data.replacen(object, &sealed, 1).replace('\n', "\ndata: ");
                let name = if frame.name.is_empty() { String::new() } else { format!("event: {}\n", frame.name) };
                out.extend_from_slice(format!("{name}data: {data}\n\n").as_bytes());
            }
        }
    }
}

/// A stream of events whose responses get their ids sealed; every other byte stays.
#[derive(Debug)]
pub struct Events {
    owner: Owner,
    frames: Framer,
}

impl Events {
    pub fn new(owner: Owner) -> Self {
        Self { owner, frames: Framer::default() }
    }

    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let owner = &self.owner;
        self.frames.push(bytes, &mut |frame| owner.event(frame, out))
    }

    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let owner = &self.owner;
        self.frames.finish(&mut |frame| owner.event(frame, out));
    }
}

impl Rewrite for Events {
    fn write(&mut self, events: &[u8], inner: &dyn Pipe, out: &mut Vec<u8>) {
        // The inner pipe has cut the same events already, and refused what is too big.
        let _ = self.push(events, out);
        if !inner.is_open() {
            self.finish(out);
        }
    }
}

/// A sealed id in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken<'b> {
    /// The member it stands in.
    pub name: &'b str,
    pub id: &'b str,
    /// Where the id stands, without its quotes.
    pub place: Range<usize>,
}

/// The ids in a request's body that look sealed for a tenant. A bare `id` is one of a conversation, or
/// of a call with state of its own: it counts only if it opens.
pub fn taken(body: &str) -> Vec<Taken<'_>> {
    let mut finder = Finder { body, found: Vec::new() };
    // What is not JSON is refused where it is parsed.
    let _ = scan::value(scan::blank(body.as_bytes()), b"", 0, &mut finder);
    finder.found
}

struct Finder<'b> {
    body: &'b str,
    found: Vec<Taken<'b>>,
}

impl scan::Tally for Finder<'_> {
    fn text(&mut self, name: &[u8], escaped: &[u8], escapes: Escapes) {
        let is_ours = !escapes.any() && (name == b"id" || TAKEN.iter().any(|taken| taken.as_bytes() == name));
        if !is_ours || !Seal::may_be_in(escaped) {
            return;
        }
        let place = |part: &[u8]| scan::span(self.body.as_bytes(), part);
        if let (Some(name), Some(place)) = (place(name), place(escaped))
            && let (Some(name), Some(id)) = (self.body.get(name), self.body.get(place.clone()))
        {
            self.found.push(Taken { name, id, place });
        }
    }

    fn name(&mut self, _: &[u8]) {}
}

/// A body with other ids in place of those found in it, in their order.
pub fn replaced<'r>(body: &str, ids: impl IntoIterator<Item = (&'r Range<usize>, &'r str)>) -> String {
    let mut out = String::with_capacity(body.len());
    let mut from = 0;
    for (place, id) in ids {
        out.push_str(body.get(from..place.start).unwrap_or_default());
        out.push_str(id);
        from = place.end;
    }
    out.push_str(body.get(from..).unwrap_or_default());
    out
}

/// The id that a member is, or holds as all that is in it.
pub fn id_in(json: &str) -> Option<String> {
    let mut members = scan::members(json);
    let json = match (members.next(), members.next()) {
        (Some(("id", id)), None) => id,
        (Some(_), _) => return None,
        (None, _) => json,
    };
    Str::from_raw(json).map(|id| id.text().into_owned())
}

/// Whether the provider is asked to keep the answer: it does unless told not to.
pub fn is_stored(envelope: &Envelope<'_>) -> bool {
    envelope.present("store") != Some("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner { seal: Seal::new("openai", b"k"), tenant: "acme".to_owned() }
    }

    fn sealed(id: &str) -> String {
        owner().seal.close_owned(id, "acme")
    }

    #[test]
    fn only_ids_of_kept_things_change_and_every_other_byte_stays() {
        let closed =
            owner().close(r#"{ "id" : "resp_1","big":1e400, "output":[{"id":"msg_1"}], "previous_response_id":null }"#);
        let expected = format!(
            r#"{{ "id" : "{}","big":1e400, "output":[{{"id":"msg_1"}}], "previous_response_id":null }}"#,
            sealed("resp_1")
        );
        assert_eq!(closed.unwrap(), expected);
        let batch = owner().close(r#"{"id":"b","input_file_id":"f","output_file_id":null,"error_file_id":"e"}"#);
        let expected = format!(
            r#"{{"id":"{}","input_file_id":"{}","output_file_id":null,"error_file_id":"{}"}}"#,
            sealed("b"),
            sealed("f"),
            sealed("e")
        );
        assert_eq!(batch.unwrap(), expected);
        let talk = owner().close(r#"{"id":"r","conversation":{"id":"conv_1"}}"#).unwrap();
        assert!(talk.contains(&format!(r#""conversation":{{"id":"{}"}}"#, sealed("conv_1"))), "{talk}");
        let claude =
            owner().close(r#"{"id":"msgbatch_1","results_url":"https://x/v1/messages/batches/msgbatch_1/results"}"#);
        assert!(claude.unwrap().ends_with(&format!(r#""/v1/messages/batches/{}/results"}}"#, sealed("msgbatch_1"))));
        assert_eq!((owner().close("[]"), owner().close("{}"), owner().close("x")), (None, None, None));
    }

    const STREAM: &str = concat!(
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"output\":[]}}\n\n",
        ": a comment\n\n",
        "event: response.output_item.added\r\ndata: {\"type\":\"x\",\"item\":{\"id\":\"msg_1\"}}\r\n\r\n",
        "data: {\"type\":\"response.completed\",\ndata: \"response\":{\"id\":\ndata: \"resp_1\"}}\n\n",
    );

    #[test]
    fn events_are_edited_however_they_are_cut() {
        let (mut whole, id) = (Vec::new(), sealed("resp_1"));
        let mut events = Events::new(owner());
        events.push(STREAM.as_bytes(), &mut whole).unwrap();
        events.finish(&mut whole);
        let text = String::from_utf8(whole.clone()).unwrap();
        assert!(text.starts_with(&STREAM.split("resp_1").next().unwrap().to_owned()));
        assert_eq!((text.matches(&id).count(), text.matches("\"resp_1\"").count()), (2, 0), "{text}");
        assert!(text.contains(": a comment\n\nevent: response.output_item.added\r\ndata: {\"type\":\"x\",\"item\":{\"id\":\"msg_1\"}}\r\n\r\n"));
        for cut in 0..STREAM.len() {
            let (mut events, mut out) = (Events::new(owner()), Vec::new());
            let (head, tail) = STREAM.as_bytes().split_at(cut);
            events.push(head, &mut out).unwrap();
            events.push(tail, &mut out).unwrap();
            events.finish(&mut out);
            assert_eq!(out, whole, "cut at {cut}");
        }
    }

    #[test]
    fn sealed_ids_of_a_request_are_found_where_they_stand() {
        let (file, previous) = (sealed("file-1"), sealed("resp_1"));
        let body = format!(
            r#"{{"input":[{{"file_id":"{file}"}},{{"text":"{file}"}},{{"call_id":"{file}"}}],"previous_response_id":"{previous}","x":{{"file_ids":["{file}","plain"]}}}}"#
        );
        let found = taken(&body);
        let names: Vec<&str> = found.iter().map(|t| t.name).collect();
        assert_eq!(names, ["file_id", "previous_response_id", "file_ids"]);
        let plain: Vec<&str> = found.iter().map(|t| owner().seal.open_owned(t.id, "acme").unwrap()).collect();
        let opened = replaced(&body, found.iter().map(|t| &t.place).zip(plain));
        assert_eq!(
            opened,
            format!(
                r#"{{"input":[{{"file_id":"file-1"}},{{"text":"{file}"}},{{"call_id":"{file}"}}],"previous_response_id":"resp_1","x":{{"file_ids":["file-1","plain"]}}}}"#
            )
        );
        assert!(taken(r#"{"file_id":"plain"}"#).is_empty());
    }

    #[test]
    fn an_object_that_holds_more_than_an_id_is_none() {
        assert_eq!(id_in(r#""c\u005f1""#).as_deref(), Some("c_1"));
        assert_eq!(id_in(r#"{ "id":"c_1" }"#).as_deref(), Some("c_1"));
        for other in ["1", "{}", r#"{"id":"a","id":"b"}"#, r#"{"id":"a","i\u0064":"b"}"#, r#"["a"]"#] {
            assert_eq!(id_in(other), None, "{other}");
        }
    }
}
