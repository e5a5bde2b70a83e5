//! The characters that notes are told by: those that the text itself does not have, so that nothing in
//! it has to be escaped and nothing can be taken for a note.

/// Begin the lines that are notes; the one behind each stands for values beside it.
const SIGILS: [char; 6] = ['§', '¶', '†', '‡', '¤', '¦'];
/// Stand for sequences of a terminal.
const LETTERS: [char; 12] = ['α', 'β', 'γ', 'δ', 'ε', 'ζ', 'η', 'θ', 'κ', 'λ', 'μ', 'π'];

/// What a folded text begins with, behind its sigil.
const OPENING: &str = " weir folded this text, nothing is lost";

/// Characters that are free in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signs {
    pub(super) sigil: char,
    /// Where a value stands in a template.
    pub(super) hole: char,
    /// Those that are free; of a folded text all.
    pub(super) letters: Vec<char>,
}

impl Signs {
    /// `None` where the text has nearly all of them.
    pub(super) fn free_in(text: &str) -> Option<Self> {
        let is_plain = text.is_ascii();
        let is_free = |c: char| is_plain || !text.contains(c);
        let [sigil, hole] = SIGILS.array_windows().find(|[sigil, hole]| is_free(*sigil) && is_free(*hole))?;
        let letters = LETTERS.into_iter().filter(|c| is_free(*c)).collect();
        Some(Self { sigil: *sigil, hole: *hole, letters })
    }

    /// What a text begins with that is folded with these.
    pub(super) fn opening(&self) -> String {
        format!("{}{OPENING}", self.sigil)
    }

    /// Those of a folded text, and what follows its opening.
    pub(super) fn of_folded(text: &str) -> Option<(Self, &str)> {
        let sigil = text.chars().next()?;
        let rest = text.get(sigil.len_utf8()..)?.strip_prefix(OPENING)?;
        let [sigil, hole] = SIGILS.array_windows().find(|[own, _]| *own == sigil)?;
        Some((Self { sigil: *sigil, hole: *hole, letters: LETTERS.to_vec() }, rest))
    }
}
