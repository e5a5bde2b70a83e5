//! Events of a stream that differ from the one before by their text alone.
//!
//! Most do: what stands around the text of a chunk, and around its number, is the same a thousand times. Where
//! it is, there is nothing to be seen in an event but the text, so that it is compared with the last one and
//! not read.

use super::Glance;
use crate::usage::estimate::TextCount;
use crate::wire::json::Str;
use crate::wire::scan::{self, Escapes};

/// A text, what a vendor writes beside it to hide its length (`obfuscation`), and the event's number.
const MOST_HOLES: usize = 3;
/// Where no event was like the one before so many times, none will be.
const MOST_TRIES: u8 = 16;

/// How a value counts that is another one in each event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Counts {
    Text,
    Piece,
    #[default]
    No,
    /// It is a number, with no quotes around it.
    Number,
}

/// Where values stand that differ, in their order: addresses, since who is told of them has no more.
#[derive(Debug, Default)]
pub(super) struct Holes {
    at: [(usize, usize, Counts); MOST_HOLES],
    number: usize,
}

impl Holes {
    pub(super) fn add(&mut self, value: &[u8], counts: Counts) {
        if let Some(hole) = self.at.get_mut(self.number) {
            *hole = (value.as_ptr().addr(), value.len(), counts);
        }
        self.number += 1;
    }
}

/// The last event, without the values that differ.
#[derive(Debug, Default)]
pub(in crate::wire) struct Alike {
    fixed: Vec<u8>,
    /// Where they were, and how they count.
    holes: [(usize, Counts); MOST_HOLES],
    number: usize,
    tries: u8,
}

impl Alike {
    /// The text of an event, if the rest of it is as in the last one.
    pub(super) fn text(&self, event: &str) -> Option<TextCount> {
        let (mut text, mut pieces) = (TextCount::default(), TextCount::default());
        self.strings(event, |string, escapes, counts| match counts {
            Counts::Text => text.add(string, escapes),
            Counts::Piece => pieces.add(string, escapes),
            Counts::No | Counts::Number => {}
        })?;
        Some(if text.is_empty() { pieces } else { text })
    }

    /// The same as it stands, where it is in one string.
    pub(in crate::wire) fn literal<'e>(&self, event: &'e str) -> Option<Str<'e>> {
        let (mut found, mut number) = (0..0, 0);
        self.strings(event, |string, _, counts| {
            if counts != Counts::No {
                number += 1;
                let at = string.as_ptr().addr().saturating_sub(event.as_ptr().addr());
                found = at.saturating_sub(1)..at + string.len() + 1;
            }
        })?;
        Str::from_raw(event.get(found).filter(|_| number == 1)?)
    }

    /// The strings of an event that differ, if the rest of it is as in the last one.
    fn strings<'e>(&self, event: &'e str, mut each: impl FnMut(&'e [u8], Escapes, Counts)) -> Option<()> {
        let (mut rest, mut behind) = (event.as_bytes(), 0);
        for (at, counts) in self.holes.get(..self.number).filter(|holes| !holes.is_empty())? {
            let value = rest.strip_prefix(self.fixed.get(behind..*at)?)?;
            (rest, behind) = match counts {
                Counts::Number => (behind_digits(value)?, *at),
                _ => {
                    let (tail, escapes) = scan::string(value).ok()?;
                    each(value.get(..value.len() - tail.len() - 1)?, escapes, *counts);
                    (tail, *at)
                }
            };
        }
        // The closing quote belongs to the string.
        (self.fixed.get(behind..) == Some(rest)).then_some(())
    }

    /// Whether it is of use to [`learn`](Self::learn) more.
    pub(in crate::wire) fn may_learn(&self) -> bool {
        self.tries < MOST_TRIES
    }

    /// The next event is not told by the last one.
    pub(in crate::wire) fn forget(&mut self) {
        self.number = 0;
    }

    /// Takes an event for the next ones, in which nothing was seen but its text.
    pub(in crate::wire) fn learn(&mut self, event: &str, glance: &Glance) {
        let holes = &glance.holes;
        if holes.number == 0 || holes.number > MOST_HOLES || !self.may_learn() {
            return;
        }
        self.tries += 1;
        self.fixed.clear();
        self.number = 0;
        let (bytes, mut from) = (event.as_bytes(), 0);
        for ((address, length, counts), hole) in holes.at.iter().take(holes.number).zip(&mut self.holes) {
            let Some(at) = address.checked_sub(bytes.as_ptr().addr()) else { return };
            let Some(before) = bytes.get(from..at) else { return };
            self.fixed.extend_from_slice(before);
            *hole = (self.fixed.len(), *counts);
            from = at + length + usize::from(*counts != Counts::Number);
        }
        self.fixed.extend_from_slice(bytes.get(from..).unwrap_or_default());
        self.number = holes.number;
    }
}

fn behind_digits(value: &[u8]) -> Option<&[u8]> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    value.get(digits..).filter(|_| digits > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learnt(event: &str) -> Alike {
        let mut alike = Alike::default();
        alike.learn(event, &Glance::at(event));
        alike
    }

    #[test]
    fn an_event_that_differs_by_its_text_is_told_by_the_one_before() {
        let chunk = |text: &str, hidden: &str| {
            format!(
                r#"{{"id":"c","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}],"usage":null,"obfuscation":"{hidden}"}}"#
            )
        };
        let alike = learnt(&chunk("", "abc"));
        for text in ["Hello", "", r" w\u00f6rld", r#"\"quoted\"\n"#, r#"{\"usage\":{}}"#, "d\u{e9}j\u{e0}"] {
            let event = chunk(text, "x");
            let expected = Glance::at(&event).text;
            assert_eq!(alike.text(&event), Some(expected), "{event}");
        }
        let pieces =
            |text: &str| format!(r#"{{"type":"content_block_delta","delta":{{"type":"text_delta","text":"{text}"}}}}"#);
        let next = pieces(r"two \n words");
        assert_eq!(learnt(&pieces("one")).text(&next), Some(Glance::at(&next).text));
    }

    #[test]
    fn events_are_numbered() {
        let delta = |number: &str, text: &str| {
            format!(
                r#"{{"type":"response.output_text.delta","sequence_number":{number},"item_id":"m","delta":"{text}","obfuscation":"x"}}"#
            )
        };
        let alike = learnt(&delta("9", "a"));
        for (number, text) in [("10", "b"), ("123456", r"c\n"), ("0", "")] {
            let event = delta(number, text);
            assert_eq!(alike.text(&event), Some(Glance::at(&event).text), "{event}");
            assert_eq!(alike.literal(&event).unwrap().escaped(), text);
        }
        for number in ["", "-1", "1.5", "null", r#""7""#] {
            assert!(alike.text(&delta(number, "a")).is_none(), "{number}");
        }
    }

    #[test]
    fn any_other_difference_is_looked_at() {
        let chunk = r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null}"#;
        let alike = learnt(chunk);
        assert!(alike.text(chunk).is_some());
        for other in [
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":{"prompt_tokens":1}}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null,"error":{}}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a"},"finish_reason":null}],"usage":null"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a","refusal":"b"},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c","choices":[{"delta":{"content":"a},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c","choices":[{"delta":{"content":null},"finish_reason":null}],"usage":null}"#,
            "",
        ] {
            assert!(alike.text(other).is_none(), "{other}");
        }
    }

    #[test]
    fn nothing_is_learnt_of_events_with_no_text_or_many() {
        let many = r#"{"choices":[{"delta":{"content":"a","reasoning":"b","refusal":"c","text":"d"}}]}"#;
        for event in [r#"{"choices":[]}"#, many] {
            assert!(learnt(event).text(event).is_none());
        }
        let mut alike = Alike::default();
        for n in 0..u32::from(MOST_TRIES) + 5 {
            let event = format!(r#"{{"n":{n},"content":"a"}}"#);
            alike.learn(&event, &Glance::at(&event));
        }
        assert!(alike.text(&format!(r#"{{"n":{},"content":"b"}}"#, MOST_TRIES - 1)).is_some());
        assert!(alike.text(&format!(r#"{{"n":{},"content":"b"}}"#, MOST_TRIES)).is_none());
    }
}
