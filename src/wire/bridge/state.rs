//! What proves thinking to its maker, in the form in which it is sealed.
//!
//! A payload is one letter for the maker and a JSON list of entries:
//! `{"s": signature | "r": redacted data | "d": reasoning_details, "t": text, "c": calls, "n": texts}`.
//! `t` is the text it proves, where the slot does not show it; `c` and `n` say where it stood: behind
//! so many calls, and so many characters of text after the last of them. (Not so many texts: clients
//! join what they got in pieces.)

use crate::wire::Dialect;
use crate::wire::ir::{At, Part, PartKind};
use crate::wire::json::{Arr, Obj, Raw, Str};
use crate::wire::seal::{Opened, Seal};
use crate::wire_object;

/// Who can check the proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// Anthropic's own models: their signatures hold at every seller of theirs.
    Claude,
    /// Another that speaks Anthropic's format.
    Messages,
    Chat,
    Responses,
    Google,
    Converse,
    Cohere,
}

impl Maker {
    const ALL: [Self; 7] =
        [Self::Claude, Self::Messages, Self::Chat, Self::Responses, Self::Google, Self::Converse, Self::Cohere];

    pub(super) fn of(dialect: Dialect, model: &str) -> Self {
        match dialect {
            Dialect::Anthropic | Dialect::Converse if model.contains("claude") => Self::Claude,
            Dialect::Anthropic => Self::Messages,
            Dialect::OpenAiChat => Self::Chat,
            Dialect::Responses => Self::Responses,
            Dialect::Gemini => Self::Google,
            Dialect::Converse => Self::Converse,
            Dialect::Cohere => Self::Cohere,
        }
    }

    /// The maker of what stands unsealed in a client's own format.
    pub(super) fn native_to(client: Dialect) -> Self {
        match client {
            // The format of `reasoning_details` that is read apart, and `thinking_blocks`.
            Dialect::OpenAiChat | Dialect::Anthropic => Self::Claude,
            other => Self::of(other, ""),
        }
    }

    const fn letter(self) -> u8 {
        match self {
            Self::Claude => b'a',
            Self::Messages => b'm',
            Self::Chat => b'x',
            Self::Responses => b'o',
            Self::Google => b'g',
            Self::Converse => b'b',
            Self::Cohere => b'c',
        }
    }

    /// Whether it can check what this maker's model proved, both at one deployment or not.
    fn checks(self, proof_of: Self, is_own: bool) -> bool {
        let speaks_messages = |maker| matches!(maker, Self::Claude | Self::Messages);
        match is_own {
            true => self == proof_of || speaks_messages(self) && speaks_messages(proof_of),
            false => self == Self::Claude && proof_of == Self::Claude,
        }
    }

    /// Whether it can check what stands unsealed in a request of this client's format.
    pub(super) fn checks_unsealed(self, client: Dialect) -> bool {
        let native = Self::native_to(client);
        self == native || (self, native) == (Self::Messages, Self::Claude)
    }

    /// Whether the text must come back with the proof.
    fn needs_text(self) -> bool {
        // The encrypted content of an item of reasoning is all that is read of it.
        self != Self::Responses
    }
}

/// Where in a turn something stood: behind so many calls, and so many characters of text after the
/// last of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub(super) calls: u64,
    pub(super) chars: u64,
}

impl Place {
    pub(super) fn behind(&mut self, kind: &PartKind<'_>) {
        match kind {
            PartKind::ToolCall { .. } => self.behind_call(),
            PartKind::Text { text, .. } => self.behind_text(text),
            _ => {}
        }
    }

    pub(super) fn behind_call(&mut self) {
        *self = Self { calls: self.calls.saturating_add(1), chars: 0 };
    }

    pub(super) fn behind_text(&mut self, text: &Str<'_>) {
        self.chars = self.chars.saturating_add(chars(text));
    }
}

/// How long a text is.
pub(super) fn chars(text: &Str<'_>) -> u64 {
    u64::try_from(text.chars()).unwrap_or(u64::MAX)
}

#[derive(Debug, Clone)]
pub(super) enum Proof<'p> {
    Signature(Str<'p>),
    Redacted(Str<'p>),
    /// A chat vendor's list.
    Details(Raw<'p>),
}

/// One piece of thinking, as its maker needs it back.
#[derive(Debug, Clone)]
pub(super) struct Entry<'e> {
    pub(super) proof: Proof<'e>,
    /// `None`: what the slot shows.
    pub(super) text: Option<Str<'e>>,
    /// `None`: where the slot is.
    pub(super) place: Option<Place>,
}

wire_object! {
    struct Stored<'a> { s: Str<'a>, r: Str<'a>, d: Raw<'a>, t: Str<'a>, c: u64, n: u64 }
}

impl Entry<'_> {
    fn write(&self, maker: Maker, mut it: Obj<'_>) {
        match &self.proof {
            Proof::Signature(signature) => it.str("s", signature),
            Proof::Redacted(data) => it.str("r", data),
            Proof::Details(list) => it.raw("d", list.get()),
        };
        if let Some(text) = &self.text
            && (text.is_empty() || maker.needs_text())
        {
            it.str("t", text);
        }
        if let Some(place) = self.place {
            it.num("c", place.calls).num("n", place.chars);
        }
    }

    /// The parts it stands for, with the text that was shown.
    pub(super) fn parts(self, at: At, shown: Option<&Str<'_>>) -> Vec<Part<'static>> {
        let text = self.text.or_else(|| shown.cloned()).map_or_else(|| Str::from_text(""), Str::into_owned);
        let part = |kind| Part::new(at, kind);
        match self.proof {
            Proof::Signature(signature) => {
                vec![part(PartKind::Reasoning { text, signature: Some(signature.into_owned()) })]
            }
            Proof::Redacted(data) => vec![part(PartKind::RedactedReasoning { data: data.into_owned() })],
            Proof::Details(list) => {
                let details = part(PartKind::ReasoningDetails { details: list.into_owned() });
                if text.is_empty() {
                    return vec![details];
                }
                vec![part(PartKind::Reasoning { text, signature: None }), details]
            }
        }
    }
}

/// The payload of a seal.
pub(super) fn payload(maker: Maker, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = vec![maker.letter()];
    {
        let mut list = Arr::new(&mut out);
        entries.iter().for_each(|entry| entry.write(maker, list.obj()));
    }
    out
}

/// Seals entries into a slot.
pub(super) fn close(seal: &Seal, maker: Maker, entries: &[Entry<'_>]) -> Str<'static> {
    Str::from_text(&seal.close(&payload(maker, entries)))
}

/// What an opened seal holds for this maker; empty for another's, and for a seal that holds nothing.
pub(super) fn read(opened: Option<Opened>, maker: Maker) -> Vec<Entry<'static>> {
    let Some(Opened { is_own, payload }) = opened else { return Vec::new() };
    let Some((letter, json)) = payload.split_first() else { return Vec::new() };
    let owner = Maker::ALL.into_iter().find(|owner| owner.letter() == *letter);
    if !owner.is_some_and(|owner| maker.checks(owner, is_own)) {
        return Vec::new();
    }
    let stored: Vec<Stored<'_>> = serde_json::from_slice(json).unwrap_or_default();
    stored.into_iter().filter_map(entry).collect()
}

fn entry(stored: Stored<'_>) -> Option<Entry<'static>> {
    let proof = match (stored.s, stored.r, stored.d) {
        (Some(signature), ..) => Proof::Signature(signature.into_owned()),
        (_, Some(data), _) => Proof::Redacted(data.into_owned()),
        (.., details) => Proof::Details(details?.into_owned()),
    };
    let place = stored.c.map(|calls| Place { calls, chars: stored.n.unwrap_or(0) });
    Some(Entry { proof, text: stored.t.map(Str::into_owned), place })
}

/// The first bytes of a hash, in hexadecimal.
pub(super) fn hex<const N: usize>(hash: impl IntoIterator<Item = u8>) -> String {
    hash.into_iter().take(N).map(|byte| format!("{byte:02x}")).collect()
}
