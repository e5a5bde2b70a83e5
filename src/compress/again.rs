//! A result that was there before, word for word, becomes a reference to it. Both stand in the same
//! conversation, so nothing is lost.

const BEGIN: &str = "[weir: the same as tool result ";
const END: &str = " above, word for word]";

/// What stands in its place: the number of the earlier one among all results, from 1 on.
pub(super) fn note(number: usize) -> String {
    format!("{BEGIN}{number}{END}")
}

/// The number, if a text is such a note and nothing else.
pub(super) fn number(text: &str) -> Option<usize> {
    text.strip_prefix(BEGIN)?.strip_suffix(END)?.parse().ok()
}
