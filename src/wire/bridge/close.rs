//! State on its way to a client of another format: sealed, into the slots that format has.
//!
//! - Anthropic and Responses clients give a slot back where it stood: each proof has its own.
//! - Chat clients keep the ids of calls; those that know `reasoning_details` keep these too. Both get
//!   all of it.
//! - Gemini clients keep what rides on a call; without a call it rides on an empty text at the end.
//!   Thoughts themselves are not given back by some of them, so the text is sealed as well.

use super::state::{self, Entry, Maker, Place, Proof};
use crate::wire::Dialect;
use crate::wire::ir::{At, Part, PartKind};
use crate::wire::json::Str;
use crate::wire::seal::Seal;

/// Most bytes that are sealed into one id: ids travel in every later request.
const ID_STATE_BYTES_MAX: usize = 64 * 1024;

/// Where a client's format has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slots {
    /// In each piece of thinking.
    Own,
    /// In each piece of thinking, and behind the ids of calls.
    OwnAndIds,
    /// On the next call, or at the end.
    Riding,
}

impl Slots {
    pub(super) const fn of(client: Dialect) -> Self {
        match client {
            Dialect::OpenAiChat => Self::OwnAndIds,
            Dialect::Gemini => Self::Riding,
            Dialect::Anthropic | Dialect::Responses | Dialect::Converse | Dialect::Cohere => Self::Own,
        }
    }
}

/// Seals for one client.
#[derive(Debug, Clone)]
pub(super) struct Closer {
    pub(super) slots: Slots,
    pub(super) maker: Maker,
    pub(super) seal: Seal,
}

/// How far one choice is.
#[derive(Debug, Default)]
pub(super) struct Track {
    pub(super) place: Place,
    /// What the next call has to carry.
    pub(super) waiting: Vec<Entry<'static>>,
}

impl Closer {
    /// The parts of an answer, with what is opaque in them sealed.
    pub(super) fn parts<'p>(&self, parts: Vec<Part<'p>>) -> Vec<Part<'p>> {
        let (mut out, mut track) = (Vec::with_capacity(parts.len() + 1), Track::default());
        for (proof, part) in joined(parts) {
            match proof {
                Some(proof) => out.extend(self.thought(proof, part, &mut track)),
                None => self.said(part, &mut track, &mut out),
            }
        }
        out.extend(self.riding(&mut track));
        out
    }

    /// A piece of thinking with its proof; nothing, where the client has no slot and there is nothing
    /// to be shown.
    fn thought<'p>(&self, proof: Proof<'static>, mut part: Part<'p>, track: &mut Track) -> Option<Part<'p>> {
        match &mut part.kind {
            PartKind::Reasoning { text, signature } => {
                *signature = self.slot(proof, text.clone().into_owned(), track);
                (signature.is_some() || !text.is_empty()).then_some(part)
            }
            PartKind::RedactedReasoning { data } => {
                *data = self.slot(proof, Str::from_text(""), track)?;
                Some(part)
            }
            _ => Some(part),
        }
    }

    fn said<'p>(&self, mut part: Part<'p>, track: &mut Track, out: &mut Vec<Part<'p>>) {
        if let PartKind::ToolCall { id, .. } = &mut part.kind {
            if let Some(sealed) = self.id(id, track) {
                *id = sealed;
            }
            out.extend(self.riding(track));
        }
        track.place.behind(&part.kind);
        out.push(part);
    }

    /// What stands in the slot of a piece of thinking; `None` where it has none.
    pub(super) fn slot(&self, proof: Proof<'static>, text: Str<'static>, track: &mut Track) -> Option<Str<'static>> {
        let alone = matches!(proof, Proof::Signature(_)) && text.is_empty();
        let mut entry = Entry { proof, text: Some(text), place: Some(track.place) };
        match self.slots {
            Slots::Riding => {
                track.waiting.push(entry);
                return None;
            }
            Slots::OwnAndIds => track.waiting.push(entry.clone()),
            Slots::Own => entry.place = None,
        }
        if !alone {
            entry.text = None;
        }
        Some(state::close(&self.seal, self.maker, &[entry]))
    }

    /// The id of a call with what waits sealed behind it, where the client keeps it there.
    pub(super) fn id(&self, id: &Str<'_>, track: &mut Track) -> Option<Str<'static>> {
        if self.slots != Slots::OwnAndIds || track.waiting.is_empty() {
            return None;
        }
        let payload = state::payload(self.maker, &std::mem::take(&mut track.waiting));
        (payload.len() <= ID_STATE_BYTES_MAX).then(|| Str::from_text(&self.seal.close_id(&id.text(), &payload)))
    }

    /// What rides on the next part.
    pub(super) fn riding(&self, track: &mut Track) -> Option<Part<'static>> {
        let signature = self.rider(track)?;
        let kind = PartKind::Reasoning { text: Str::from_text(""), signature: Some(signature) };
        Some(Part::new(At::default(), kind))
    }

    pub(super) fn rider(&self, track: &mut Track) -> Option<Str<'static>> {
        if self.slots != Slots::Riding || track.waiting.is_empty() {
            return None;
        }
        Some(state::close(&self.seal, self.maker, &std::mem::take(&mut track.waiting)))
    }
}

/// A part of an answer, and the proof that was in it.
type Piece<'p> = (Option<Proof<'static>>, Part<'p>);

/// Takes the proofs out. A chat vendor's list proves the thinking beside it: both become one piece.
fn joined(parts: Vec<Part<'_>>) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = parts.into_iter().map(taken).collect();
    let is_list = |(proof, _): &Piece<'_>| matches!(proof, Some(Proof::Details(_)));
    let is_unproven = |(proof, part): &Piece<'_>| proof.is_none() && matches!(part.kind, PartKind::Reasoning { .. });
    let (list, thought) = (pieces.iter().position(is_list), pieces.iter().position(is_unproven));
    if let (Some(list), Some(thought)) = (list, thought) {
        let proof = pieces.get_mut(list).and_then(|piece| piece.0.take());
        pieces.iter_mut().skip(thought).take(1).for_each(|piece| piece.0 = proof.clone());
        pieces.remove(list);
    }
    pieces
}

fn taken(mut part: Part<'_>) -> Piece<'_> {
    let proof = match &mut part.kind {
        PartKind::Reasoning { signature, .. } => signature.take().map(|s| Proof::Signature(s.into_owned())),
        PartKind::RedactedReasoning { data } => Some(Proof::Redacted(data.clone().into_owned())),
        PartKind::ReasoningDetails { details } => {
            let list = details.clone().into_owned();
            part.kind = PartKind::Reasoning { text: Str::from_text(""), signature: None };
            Some(Proof::Details(list))
        }
        _ => None,
    };
    (proof, part)
}
