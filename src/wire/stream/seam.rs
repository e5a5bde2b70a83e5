//! Where the text of a second answer meets that of the first.
//!
//! Models repeat some of what they were told to go on from, and some APIs all of it. What is repeated
//! word for word is left out, and so are the blanks that the client has and the model was not told of.

use super::record::Said;
use crate::wire::json::Str;

/// Fewer characters than this may come again by chance.
const LEAST_REPEATED_CHARS: usize = 20;
/// Longer repeats are those of the whole.
const MOST_REPEATED_CHARS: usize = 200;

/// Holds the beginning of the second text until it is known what of it is new.
#[derive(Debug)]
pub(super) struct Seam {
    told: String,
    blanks: String,
    /// Where in `told` the repeat may have begun, of which all so far is part.
    alive: Vec<usize>,
    /// The longest repeat up to the end of `told`.
    repeated_bytes: usize,
    /// The text so far, and the same between the quotes, still escaped.
    text: String,
    escaped: String,
}

impl Seam {
    /// `echoes`: the API gives back what it was told, however short.
    pub(super) fn new(said: &Said, echoes: bool) -> Self {
        let told = said.told();
        let ends = told.char_indices().rev().map(|(at, _)| at);
        let mut alive: Vec<usize> = ends.take(MOST_REPEATED_CHARS).skip(LEAST_REPEATED_CHARS - 1).collect();
        if (echoes || !alive.is_empty()) && !alive.contains(&0) && !told.is_empty() {
            alive.push(0);
        }
        Self {
            told: told.to_owned(),
            blanks: said.blanks().to_owned(),
            alive,
            repeated_bytes: 0,
            text: String::new(),
            escaped: String::new(),
        }
    }

    /// Takes a fragment. What is new of all fragments so far, once it is known: the rest passes.
    pub(super) fn push(&mut self, fragment: &Str<'_>) -> Option<Str<'static>> {
        let (seen_bytes, more) = (self.text.len(), fragment.text());
        self.text.push_str(&more);
        self.escaped.push_str(fragment.escaped());
        let Self { told, alive, repeated_bytes, .. } = self;
        alive.retain(|start| {
            let due = told.get(start + seen_bytes..).unwrap_or_default();
            if more.len() < due.len() {
                return due.starts_with(more.as_ref());
            }
            if more.starts_with(due) {
                *repeated_bytes = (*repeated_bytes).max(told.len() - start);
            }
            false
        });
        let blanks_bytes = self.blanks_again();
        let is_open = self.repeated_bytes + blanks_bytes == self.text.len() && blanks_bytes < self.blanks.len();
        (self.alive.is_empty() && !is_open).then(|| self.rest())
    }

    /// Text is held.
    pub(super) fn has_begun(&self) -> bool {
        !self.text.is_empty()
    }

    /// The text ended before it was known: what is new of it.
    pub(super) fn rest(&self) -> Str<'static> {
        match self.repeated_bytes + self.blanks_again() {
            0 => Str::from_escaped(&self.escaped),
            old_bytes => Str::from_text(self.text.get(old_bytes..).unwrap_or_default()),
        }
    }

    /// Bytes of the blanks that come again behind the repeat.
    fn blanks_again(&self) -> usize {
        let new = self.text.get(self.repeated_bytes..).unwrap_or_default();
        let same = new.chars().zip(self.blanks.chars()).take_while(|(a, b)| a == b);
        same.map(|(c, _)| c.len_utf8()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is new of a text in all ways it may be cut into two fragments.
    fn new_of(said: &str, echoes: bool, text: &str) -> String {
        let mut all = text.char_indices().map(|(at, _)| {
            let mut seam = Seam::new(&Said::new(said), echoes);
            let (head, tail) = text.split_at(at);
            let (mut out, mut is_settled) = (String::new(), false);
            for piece in [head, tail] {
                let piece = Str::from_text(piece);
                match is_settled {
                    true => out.push_str(&piece.text()),
                    false => {
                        let new = seam.push(&piece);
                        is_settled = new.is_some();
                        out.extend(new.map(|new| new.text().into_owned()));
                    }
                }
            }
            if is_settled { out } else { out + &seam.rest().text() }
        });
        let first = all.next().unwrap();
        assert!(all.all(|other| other == first), "{text} depends on the cut");
        first
    }

    const SAID: &str = "Once upon a time there was a queen who had a daughter";

    #[test]
    fn what_does_not_come_again_stays() {
        assert_eq!(new_of(SAID, false, ", and she was fair."), ", and she was fair.");
        assert_eq!(new_of(SAID, false, " Once upon"), " Once upon");
        // Too short to be no chance.
        assert_eq!(new_of(SAID, false, "a daughter"), "a daughter");
        assert_eq!(new_of("ha", false, "ha ha"), "ha ha");
        assert_eq!(new_of(SAID, false, "Once upon a time there was a king"), "Once upon a time there was a king");
    }

    #[test]
    fn what_comes_again_is_left_out() {
        assert_eq!(new_of(SAID, false, "a queen who had a daughter, Snow"), ", Snow");
        assert_eq!(new_of(SAID, false, &format!("{SAID}.")), ".");
        assert_eq!(new_of("ha", true, "ha ha"), " ha");
        let long = format!("{} {SAID}", "é".repeat(500));
        assert_eq!(new_of(&long, false, &format!("{long}!")), "!");
        assert_eq!(new_of(&long, false, &format!("{SAID}!")), "!");
    }

    #[test]
    fn blanks_are_not_doubled() {
        assert_eq!(new_of("One.\n\n", false, "\n\nTwo"), "Two");
        assert_eq!(new_of("One.\n\n", false, "\nTwo"), "Two");
        assert_eq!(new_of("One.\n\n", false, "\n\n  Two"), "  Two");
        assert_eq!(new_of("One. ", false, "Two"), "Two");
        assert_eq!(new_of(" ", false, " Two"), "Two");
        let said = format!("{SAID} ");
        assert_eq!(new_of(&said, false, "a queen who had a daughter and"), "and");
    }
}
