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
    /// What stood around it in the stream, if that is known.
    before: Vec<u8>,
    behind: Vec<u8>,
}

impl Alike {
    /// The text of an event, if the rest of it is as in the last one.
    pub(super) fn text(&self, event: &str) -> Option<TextCount> {
        self.begin(event.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(text, _)| text)
    }

    /// The same of the event that a stream goes on with, and what is left of the stream.
    pub(super) fn next<'e>(&self, stream: &'e [u8]) -> Option<(TextCount, &'e [u8])> {
        let (text, rest) = self.begin(self.inner(stream)?)?;
        Some((text, rest.strip_prefix(self.behind.as_slice())?))
    }

    /// What is behind all that stands before an event in the stream.
    fn inner<'e>(&self, stream: &'e [u8]) -> Option<&'e [u8]> {
        // An event that ends with its line's end has been given out, so one like it will be.
        let is_whole = self.behind.last() == Some(&b'\n');
        stream.strip_prefix(self.before.as_slice()).filter(|_| is_whole)
    }

    fn begin<'e>(&self, bytes: &'e [u8]) -> Option<(TextCount, &'e [u8])> {
        let (mut text, mut pieces) = (TextCount::default(), TextCount::default());
        let rest = self.strings(bytes, |string, escapes, counts| match counts {
            Counts::Text => text.add(string, escapes),
            Counts::Piece => pieces.add(string, escapes),
            Counts::No | Counts::Number => {}
        })?;
        Some((if text.is_empty() { pieces } else { text }, rest))
    }

    /// The same as it stands, where it is in one string.
    pub(in crate::wire) fn literal<'e>(&self, event: &'e str) -> Option<Str<'e>> {
        self.begin_literal(event.as_bytes()).filter(|(_, rest)| rest.is_empty()).map(|(text, _)| text)
    }

    /// The same of the event that a stream goes on with, and what is left of the stream.
    pub(in crate::wire) fn next_literal<'e>(&self, stream: &'e [u8]) -> Option<(Str<'e>, &'e [u8])> {
        let (text, rest) = self.begin_literal(self.inner(stream)?)?;
        Some((text, rest.strip_prefix(self.behind.as_slice())?))
    }

    fn begin_literal<'e>(&self, bytes: &'e [u8]) -> Option<(Str<'e>, &'e [u8])> {
        let (mut found, mut number) = (0..0, 0);
        let rest = self.strings(bytes, |string, _, counts| {
            if counts != Counts::No {
                number += 1;
                let at = string.as_ptr().addr().saturating_sub(bytes.as_ptr().addr());
                found = at.saturating_sub(1)..at + string.len() + 1;
            }
        })?;
        let literal = simdutf8::basic::from_utf8(bytes.get(found).filter(|_| number == 1)?).ok()?;
        Some((Str::from_raw(literal)?, rest))
    }

    /// The strings of the event at the beginning of some bytes that differ, if the rest of it is as in the last
    /// one; gives back what is behind it.
    fn strings<'e>(&self, bytes: &'e [u8], mut each: impl FnMut(&'e [u8], Escapes, Counts)) -> Option<&'e [u8]> {
        let (mut rest, mut behind) = (bytes, 0);
        for (at, counts) in self.holes.get(..self.number).filter(|holes| !holes.is_empty())? {
            let value = rest.strip_prefix(self.fixed.get(behind..*at)?)?;
            (rest, behind) = match counts {
                Counts::Number => (behind_digits(value)?, *at),
                _ => {
                    let (tail, escapes) = scan::string(value).ok()?;
                    let string = value.get(..value.len() - tail.len() - 1)?;
                    // What is no text is mended where frames are read.
                    if !string.is_ascii() {
                        simdutf8::basic::from_utf8(string).ok()?;
                    }
                    each(string, escapes, *counts);
                    (tail, *at)
                }
            };
        }
        // The closing quote belongs to the string.
        rest.strip_prefix(self.fixed.get(behind..)?)
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
        self.behind.clear();
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

    /// The same of an event in a stream, for [`next`](Self::next): `raw` is all that stands for it there.
    pub(in crate::wire) fn learn_in(&mut self, raw: &[u8], event: &str, glance: &Glance) {
        self.learn(event, glance);
        let from = event.as_ptr().addr().checked_sub(raw.as_ptr().addr());
        // What was put together of several lines, or mended, is elsewhere.
        let around = from.and_then(|from| Some((raw.get(..from)?, raw.get(from + event.len()..)?)));
        let Some((before, behind)) = around.filter(|_| self.number > 0) else { return };
        self.before.clear();
        self.before.extend_from_slice(before);
        self.behind.clear();
        self.behind.extend_from_slice(behind);
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
    fn the_next_events_of_a_stream_are_told_as_they_stand() {
        let event = |text: &str| format!("event: delta\r\ndata: {{\"delta\":\"{text}\"}}\r\n\r\n");
        let known = |raw: &str| {
            let data = raw.get(raw.find('{').unwrap()..raw.find('}').unwrap() + 1).unwrap();
            let mut alike = Alike::default();
            alike.learn_in(raw.as_bytes(), data, &Glance::at(data));
            alike
        };
        let first = event("a");
        let alike = known(&first);
        let stream = event("one") + &event(r#"t\"wo"#) + "data: {}\n\n";
        let (text, rest) = alike.next(stream.as_bytes()).unwrap();
        assert_eq!((text, rest.len()), (Glance::at(r#"{"delta":"one"}"#).text, stream.len() - event("one").len()));
        let (_, rest) = alike.next(rest).unwrap();
        assert_eq!(rest, b"data: {}\n\n");
        assert!(alike.next(rest).is_none() && alike.next(b"").is_none());
        for end in 0..first.len() {
            assert!(alike.next(&first.as_bytes()[..end]).is_none(), "{end}");
        }
        let broken: Vec<u8> = event("*").bytes().map(|byte| if byte == b'*' { 0xff } else { byte }).collect();
        assert!(alike.next(&broken).is_none() && alike.next_literal(&broken).is_none());
        assert!(alike.next(event("\u{e9}").as_bytes()).is_some());
        // Its end may go on with the next byte, or was none; or the event stood elsewhere.
        assert!(known(&first.replace('\n', "")).next(first.replace('\n', "").as_bytes()).is_none());
        let mut elsewhere = Alike::default();
        elsewhere.learn_in(b"data: x\n\n", &first, &Glance::at(&first));
        assert!(elsewhere.next(first.as_bytes()).is_none());
        // What was learnt without its surroundings is not found by those of the one before.
        let mut alike = known(&first);
        alike.learn(r#"{"delta":"a"}"#, &Glance::at(r#"{"delta":"a"}"#));
        assert!(alike.next(first.as_bytes()).is_none());
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
