//! Sealed state that a client gives back: opened where the target can check it, else left out.
//!
//! What a slot held goes back in its place; what was sealed behind an id, or into a slot that stands
//! elsewhere, says where it belongs. A forged, broken or foreign seal opens to nothing and is no
//! error: the thinking is then unproven, and encoders treat it as such.

use super::state::{self, Entry, Maker, Place};
use crate::wire::Dialect;
use crate::wire::ir::{Part, PartKind, Request, Role, Turn};
use crate::wire::json::{Raw, Str};
use crate::wire::seal::Seal;
use crate::wire_object;

/// Who opens, and for whom.
pub(super) struct Opener<'o> {
    pub(super) client: Dialect,
    pub(super) upstream: Dialect,
    pub(super) maker: Maker,
    pub(super) seal: &'o Seal,
}

/// State whose place is not its slot's.
type Floating = Vec<(Place, Vec<Part<'static>>)>;

impl Opener<'_> {
    /// Opens all of a request; says whether there was anything to open.
    pub(super) fn request(&self, request: &mut Request<'_>) -> bool {
        let mut is_changed = false;
        request.turns.retain_mut(|turn| {
            let was_empty = turn.parts.is_empty();
            match turn.role {
                Role::Assistant => is_changed |= self.turn(turn),
                _ => turn.parts.iter_mut().for_each(|part| is_changed |= plain_id(part)),
            }
            was_empty || !turn.parts.is_empty()
        });
        is_changed
    }

    fn turn(&self, turn: &mut Turn<'_>) -> bool {
        let mut is_changed = false;
        let (mut kept, mut shown_only) = (Vec::with_capacity(turn.parts.len()), Vec::new());
        let (mut floating, mut behind_ids) = (Floating::new(), Floating::new());
        let mut is_proven = false;
        for mut part in std::mem::take(&mut turn.parts) {
            // Streams end with such, clients keep them, and most formats refuse them.
            if !self.is_same() && is_empty_text(&part) {
                continue;
            }
            match self.slot(&part) {
                Slot::Holds(entries) => {
                    (is_proven, is_changed) = (true, true);
                    for entry in entries {
                        match entry.place {
                            Some(place) => floating.push((place, entry.parts(part.at, text_of(&part)))),
                            None => kept.extend(entry.parts(part.at, text_of(&part))),
                        }
                    }
                }
                Slot::Unproven => {
                    is_changed = true;
                    shown_only.push(kept.len());
                    kept.extend(self.unproven(part));
                }
                Slot::Untouched => {
                    if let Some(found) = self.behind_id(&mut part) {
                        is_changed = true;
                        behind_ids.extend(found);
                    }
                    if matches!(part.kind, PartKind::Reasoning { signature: None, .. }) {
                        shown_only.push(kept.len());
                    }
                    kept.push(part);
                }
            }
        }
        // A client that keeps both gives the same twice.
        if !is_proven {
            floating = behind_ids;
        }
        if (is_proven || !floating.is_empty()) && !self.is_same() {
            // What the client was shown of the thinking is in the proof.
            let mut index = 0;
            kept.retain(|_| {
                index += 1;
                shown_only.binary_search(&(index - 1)).is_err()
            });
        }
        turn.parts = set_down(kept, floating);
        if self.client == Dialect::Gemini && !self.is_same() {
            join_texts(&mut turn.parts);
        }
        is_changed
    }

    fn is_same(&self) -> bool {
        self.client == self.upstream
    }

    /// What is sealed behind the id of a call, which becomes the upstream's own again; `None` where nothing is.
    fn behind_id(&self, part: &mut Part<'_>) -> Option<Floating> {
        let at = part.at;
        let PartKind::ToolCall { id, .. } = &mut part.kind else { return None };
        if !Seal::may_be_in(id.raw().as_bytes()) {
            return None;
        }
        let whole = id.text().into_owned();
        let (plain, opened) = self.seal.open_id(&whole);
        *id = Str::from_text(plain);
        let entries = state::read(opened, self.maker);
        Some(entries.into_iter().map(|entry| (entry.place.unwrap_or_default(), entry.parts(at, None))).collect())
    }

    fn slot(&self, part: &Part<'_>) -> Slot {
        let held = match &part.kind {
            PartKind::Reasoning { signature: Some(held), .. } => held,
            PartKind::RedactedReasoning { data } => data,
            PartKind::ReasoningDetails { details } if !self.is_same() => return self.details(details),
            _ => return Slot::Untouched,
        };
        if !Seal::is_sealed(held.escaped()) {
            let fits = self.is_same() || self.maker.checks_unsealed(self.client);
            return if fits { Slot::Untouched } else { Slot::Unproven };
        }
        let entries = state::read(self.seal.open(&held.text()), self.maker);
        if entries.is_empty() { Slot::Unproven } else { Slot::Holds(entries) }
    }

    /// A reseller's list may hold Claude's own proofs; to any other format it means nothing.
    fn details(&self, details: &Raw<'_>) -> Slot {
        let found = match self.maker {
            Maker::Claude | Maker::Messages => claudes(details),
            _ => Vec::new(),
        };
        if found.is_empty() { Slot::Unproven } else { Slot::Holds(found) }
    }

    /// What is left of thinking that its proof is taken from: the text, where another format may show
    /// it to the model. Its own format takes no thinking without proof.
    fn unproven<'p>(&self, mut part: Part<'p>) -> Option<Part<'p>> {
        match &mut part.kind {
            PartKind::Reasoning { text, signature } if !self.is_same() && !text.is_empty() => {
                *signature = None;
                Some(part)
            }
            _ => None,
        }
    }
}

enum Slot {
    Untouched,
    Unproven,
    Holds(Vec<Entry<'static>>),
}

fn text_of<'p>(part: &'p Part<'_>) -> Option<&'p Str<'p>> {
    match &part.kind {
        PartKind::Reasoning { text, .. } => Some(text),
        _ => None,
    }
}

fn is_empty_text(part: &Part<'_>) -> bool {
    matches!(&part.kind, PartKind::Text { text, .. } if text.is_empty())
}

/// Makes the id of a result the upstream's own again; says whether it was another.
fn plain_id(part: &mut Part<'_>) -> bool {
    let PartKind::ToolResult { id, .. } = &mut part.kind else { return false };
    if !Seal::may_be_in(id.raw().as_bytes()) {
        return false;
    }
    *id = Str::from_text(Seal::plain_id(&id.text()));
    true
}

/// Puts each piece where it stood, between two texts too that the client has joined.
fn set_down<'p>(parts: Vec<Part<'p>>, mut floating: Floating) -> Vec<Part<'p>> {
    if floating.is_empty() {
        return parts;
    }
    floating.sort_by_key(|(place, _)| *place);
    let mut floating = floating.into_iter().peekable();
    let (mut out, mut here) = (Vec::new(), Place::default());
    for mut part in parts {
        if let PartKind::Text { text, .. } = &part.kind {
            let end = Place { chars: here.chars.saturating_add(state::chars(text)), ..here };
            while let Some((place, pieces)) = floating.next_if(|(place, _)| *place < end) {
                if let Some(head) = split(&mut part, place.chars.saturating_sub(here.chars)) {
                    here = place;
                    out.push(head);
                }
                out.extend(pieces);
            }
            here = end;
        } else {
            let is_call = matches!(part.kind, PartKind::ToolCall { .. });
            while let Some((_, pieces)) = floating.next_if(|(place, _)| is_call && place.calls <= here.calls) {
                out.extend(pieces);
            }
            // Each picture has its own, and all that stand behind the same text are at the same place.
            let is_picture = matches!(part.kind, PartKind::Image { .. });
            out.extend(floating.next_if(|(place, _)| is_picture && *place <= here).into_iter().flat_map(|(_, it)| it));
            here.behind(&part.kind);
        }
        out.push(part);
    }
    out.extend(floating.flat_map(|(_, pieces)| pieces));
    out
}

/// Cuts so many characters off the beginning of a text; nothing where there are none to cut.
fn split<'p>(part: &mut Part<'p>, chars: u64) -> Option<Part<'p>> {
    let PartKind::Text { text, .. } = &mut part.kind else { return None };
    let whole = text.text().into_owned();
    let at = whole.char_indices().nth(usize::try_from(chars).ok()?)?.0;
    let (head, tail) = whole.split_at_checked(at).filter(|(head, _)| !head.is_empty())?;
    *text = Str::from_text(tail);
    Some(Part::new(part.at, PartKind::Text { text: Str::from_text(head), citations: None }))
}

/// Texts in a row are one, where nothing but their words is in them: streams are kept in pieces.
fn join_texts(parts: &mut Vec<Part<'_>>) {
    let is_plain = |part: &Part<'_>| {
        matches!(part.kind, PartKind::Text { citations: None, .. }) && part.cache.is_none() && part.rest.is_empty()
    };
    parts.dedup_by(|next, last| {
        let are = is_plain(last) && is_plain(next);
        if let (true, PartKind::Text { text: more, .. }, PartKind::Text { text, .. }) =
            (are, &next.kind, &mut last.kind)
        {
            text.append(more);
        }
        are
    });
}

wire_object! {
    struct Detail<'a> { kind: Str<'a> = "type", text: Str<'a>, data: Str<'a>, signature: Str<'a>, format: Str<'a> }
}

/// The proofs in `reasoning_details` where a reseller passed Claude's through (`format` begins with
/// `anthropic`).
fn claudes(details: &Raw<'_>) -> Vec<Entry<'static>> {
    let list: Vec<Detail<'_>> = details.read().unwrap_or_default();
    list.into_iter().filter_map(claude).collect()
}

fn claude(detail: Detail<'_>) -> Option<Entry<'static>> {
    if !detail.format?.escaped().starts_with("anthropic") {
        return None;
    }
    let (proof, text) = match detail.kind?.escaped() {
        "reasoning.text" => {
            let signature = detail.signature.filter(|s| !s.is_empty() && !Seal::is_sealed(s.escaped()))?;
            (state::Proof::Signature(signature.into_owned()), detail.text)
        }
        "reasoning.encrypted" => {
            (state::Proof::Redacted(detail.data.filter(|d| !Seal::is_sealed(d.escaped()))?.into_owned()), None)
        }
        _ => return None,
    };
    let text = Some(text.map_or_else(|| Str::from_text(""), Str::into_owned));
    Some(Entry { proof, text, place: None })
}
