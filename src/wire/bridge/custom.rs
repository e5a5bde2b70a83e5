//! The arguments of a function that stands for a custom tool, on their way to its free text: what is
//! inside the string of `{"input": "..."}` is given on as it comes. What has another form is held, and
//! given whole at the end.

use crate::wire::ir::Arguments;
use crate::wire::json::Str;

/// One call.
#[derive(Debug, Default)]
pub(super) struct Call {
    /// JSON text that is not given on yet.
    held: String,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the text.
    #[default]
    Head,
    Text,
    /// Behind it.
    Done,
    /// Not of the form.
    Odd,
}

type Sink<'s> = dyn FnMut(Str<'_>) + 's;

impl Call {
    /// Takes a fragment of the arguments' JSON text.
    pub(super) fn push(&mut self, json: &Str<'_>, sink: &mut Sink<'_>) {
        self.held.push_str(&json.text());
        if self.state == State::Head {
            match behind_head(&self.held) {
                Head::Open => {}
                Head::Other => self.state = State::Odd,
                Head::Over(at) => {
                    self.held.drain(..at);
                    self.state = State::Text;
                }
            }
        }
        if self.state == State::Text {
            self.text(sink);
        }
    }

    /// The arguments ended.
    pub(super) fn finish(self, sink: &mut Sink<'_>) {
        if matches!(self.state, State::Head | State::Odd) && !self.held.trim().is_empty() {
            let input = Arguments::Encoded(Str::from_text(&self.held)).input();
            if !input.is_empty() {
                sink(input);
            }
        }
    }

    /// Gives on what is complete of the text; a piece of an escape waits for the rest of it.
    fn text(&mut self, sink: &mut Sink<'_>) {
        let mut given = String::with_capacity(self.held.len());
        let mut rest = self.held.as_str();
        while let Some(c) = rest.chars().next() {
            match c {
                '"' => {
                    self.state = State::Done;
                    break;
                }
                '\\' => match escape(rest) {
                    Escape::Whole(bytes) => {
                        let (escape, behind) = rest.split_at_checked(bytes).unwrap_or((rest, ""));
                        given.push_str(escape);
                        rest = behind;
                        continue;
                    }
                    Escape::Open => break,
                    // A backslash that escapes nothing stands for itself.
                    Escape::None => given.push_str("\\\\"),
                },
                // Models write these as they are.
                c if c < ' ' => given.push_str(Str::from_text(c.encode_utf8(&mut [0; 4])).escaped()),
                c => given.push(c),
            }
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        }
        let left = if self.state == State::Done { String::new() } else { rest.to_owned() };
        self.held = left;
        if !given.is_empty() {
            sink(Str::from_escaped(&given));
        }
    }
}

enum Head {
    /// More has to come.
    Open,
    /// Where the text begins.
    Over(usize),
    Other,
}

/// Reads `{"input":"`, with white space anywhere in it.
fn behind_head(json: &str) -> Head {
    let mut rest = json;
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start();
        match rest.strip_prefix(token) {
            Some(behind) => rest = behind,
            None if token.starts_with(rest) => return Head::Open,
            None => return Head::Other,
        }
    }
    Head::Over(json.len() - rest.len())
}

enum Escape {
    /// So many bytes.
    Whole(usize),
    Open,
    None,
}

/// The escape that a text begins with. Both halves of a pair of surrogates are one.
fn escape(text: &str) -> Escape {
    match text.as_bytes().get(1) {
        None => Escape::Open,
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Escape::Whole(2),
        Some(b'u') => match unit(text) {
            Unit::Open => Escape::Open,
            Unit::None => Escape::None,
            Unit::Of(0xd800..=0xdbff) => match text.get(6..).unwrap_or_default() {
                "" | "\\" => Escape::Open,
                low if low.starts_with("\\u") => match unit(low) {
                    Unit::Open => Escape::Open,
                    Unit::Of(0xdc00..=0xdfff) => Escape::Whole(12),
                    _ => Escape::Whole(6),
                },
                _ => Escape::Whole(6),
            },
            Unit::Of(_) => Escape::Whole(6),
        },
        Some(_) => Escape::None,
    }
}

enum Unit {
    Of(u32),
    Open,
    None,
}

/// The four digits behind `\u`.
fn unit(text: &str) -> Unit {
    let digits: String = text.chars().skip(2).take(4).take_while(char::is_ascii_hexdigit).collect();
    match digits.len() {
        4 => u32::from_str_radix(&digits, 16).map_or(Unit::None, Unit::Of),
        n if text.len() <= 2 + n => Unit::Open,
        _ => Unit::None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The text, and in how many pieces it came.
    fn text_of(fragments: &[&str]) -> (String, usize) {
        let (mut call, mut text, mut pieces) = (Call::default(), String::new(), 0);
        let mut sink = |piece: Str<'_>| {
            text.push_str(&piece.text());
            pieces += 1;
        };
        fragments.iter().for_each(|fragment| call.push(&Str::from_text(fragment), &mut sink));
        call.finish(&mut sink);
        (text, pieces)
    }

    #[test]
    fn the_text_comes_as_it_is_written() {
        assert_eq!(text_of(&["{ \"inp", "ut\" :", " \"a\\", "nb", "\\u00e", "9\" }"]), ("a\nb\u{e9}".to_owned(), 3));
        assert_eq!(text_of(&["{\"input\":\"\"}"]).0, "");
        assert_eq!(text_of(&["{\"input\":\"cut in the mid"]).0, "cut in the mid");
    }

    #[test]
    fn what_is_not_of_the_form_is_given_whole() {
        assert_eq!(text_of(&["{\"pat", "ch\":1}"]), ("{\"patch\":1}".to_owned(), 1));
        assert_eq!(text_of(&["{\"x\":1,\"input\":\"a\"}"]).0, "a");
        assert_eq!(text_of(&["*** Begin", " Patch"]).0, "*** Begin Patch");
        assert_eq!(text_of(&["{\"inp"]).0, "{\"inp");
        assert_eq!(text_of(&[]), (String::new(), 0));
    }

    #[test]
    fn what_models_forget_to_escape_is_escaped() {
        assert_eq!(text_of(&["{\"input\":\"a\nb\\d\\u00g0\"}"]).0, "a\nb\\d\\u00g0");
    }

    proptest! {
        /// However it is cut: the same text comes out, and no piece is broken.
        #[test]
        fn any_text_survives_any_cut(text in "\\PC{0,24}", at in proptest::collection::vec(0_usize..200, 0..8), ascii in any::<bool>()) {
            let mut literal = Str::from_text(&text).raw().to_owned();
            if ascii {
                literal = literal.encode_utf16().map(|unit| match unit {
                    0x20..=0x7e => char::from_u32(u32::from(unit)).unwrap().to_string(),
                    unit => format!("\\u{unit:04x}"),
                }).collect();
            }
            let json = format!("{{\"input\": {literal}}}");
            let mut cuts: Vec<usize> = at.into_iter().filter(|at| json.is_char_boundary(*at)).collect();
            cuts.push(json.len());
            cuts.sort_unstable();
            let mut from = 0;
            let pieces: Vec<&str> = cuts.iter().map(|to| json.get(std::mem::replace(&mut from, *to)..*to).unwrap()).collect();
            prop_assert_eq!(text_of(&pieces).0, text);
        }
    }
}
