//! `weir_original`: what the lossy tier of compression took away.

use serde::Deserialize;

use super::read;
use crate::tools::{Caller, Outcome};

pub(super) const SPEC: (&str, &str, &str) = (
    "weir_original",
    "Gives back the whole of an output that was shortened and says `the whole is kept as weir:...`.",
    concat!(
        r#"{"type":"object","properties":{"handle":{"type":"string","description":"For example weir:0123456789abcdef"},"#,
        r#""from_line":{"type":"integer","minimum":1,"description":"Where to begin. Default: 1"}},"#,
        r#""required":["handle"],"additionalProperties":false}"#
    ),
);

/// What is given at once.
const MOST_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Arguments {
    handle: String,
    #[serde(default = "first")]
    from_line: usize,
}

fn first() -> usize {
    1
}

pub(super) fn call(arguments: &str, caller: &Caller) -> Outcome {
    let arguments = match read::<Arguments>(arguments) {
        Ok(arguments) => arguments,
        Err(outcome) => return outcome,
    };
    let original = caller.originals.as_ref().and_then(|originals| originals(arguments.handle.trim()));
    match original {
        Some(text) => Outcome::done(part(&text, arguments.from_line.max(1))),
        None => Outcome::failed("Nothing is kept by that name: run the command again."),
    }
}

/// As many lines from there as may be given at once, and where to go on.
fn part(text: &str, from_line: usize) -> String {
    let mut out = String::new();
    for (at, line) in text.split_inclusive('\n').enumerate().skip(from_line - 1) {
        let is_first = out.is_empty();
        if !is_first && out.len() + line.len() > MOST_BYTES {
            out.push_str(&format!("[cut off: go on with from_line {}]", at + 1));
            return out;
        }
        // A line that is too long by itself is all there is.
        out.push_str(line.get(..line.floor_char_boundary(MOST_BYTES)).unwrap_or_default());
    }
    if out.is_empty() { "[there is nothing from that line on]".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_long_one_is_given_in_parts_that_make_the_whole() {
        let text: String = (1..=20_000).map(|n| format!("line {n}\n")).collect();
        let caller = Caller {
            originals: Some(Arc::new({
                let text: Arc<str> = text.as_str().into();
                move |handle| (handle == "weir:1").then(|| Arc::clone(&text))
            })),
            ..Caller::default()
        };
        let (mut whole, mut from_line) = (String::new(), 1);
        loop {
            let outcome = call(&format!("{{\"handle\":\"weir:1\",\"from_line\":{from_line}}}"), &caller);
            assert!(!outcome.is_error && outcome.text.len() < MOST_BYTES + 100);
            match outcome.text.rsplit_once("[cut off: go on with from_line ") {
                Some((part, next)) => {
                    whole += part;
                    from_line = next.trim_end_matches(']').parse().unwrap();
                }
                None => {
                    whole += &outcome.text;
                    break;
                }
            }
        }
        assert_eq!(whole, text);
        assert!(call("{\"handle\":\"weir:2\"}", &caller).is_error);
        assert!(!call("{\"handle\":\"weir:1\",\"from_line\":99999}", &caller).is_error);
        assert!(call("{\"handle\":\"weir:1\"}", &Caller::default()).is_error);
    }
}
