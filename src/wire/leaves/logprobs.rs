//! Log probabilities of a whole answer: they tell its text once more, token by token, which nobody can look into.

use super::edit::Edits;
use super::tape::{Node, Tape, WHOLE};

/// Takes those of every format out: `null`, or a list without any where its clients expect a list.
pub fn leave_out_logprobs(body: &str, edits: &mut Edits) {
    let Ok(tape) = Tape::of(body, depth) else { return };
    for (name, value) in tape.root().members() {
        match &*name {
            "choices" => value.items().for_each(|choice| each(choice, "logprobs", "null", edits)),
            "candidates" => value.items().for_each(|candidate| each(candidate, "logprobsResult", "null", edits)),
            "output" => {
                let contents = value.items().flat_map(Node::members).filter(|(name, _)| name == "content");
                let parts = contents.flat_map(|(_, parts)| parts.items());
                parts.for_each(|part| each(part, "logprobs", "[]", edits));
            }
            _ => {}
        }
    }
}

fn depth(member: &str) -> u32 {
    match member {
        "choices" | "candidates" | "output" => WHOLE,
        _ => 0,
    }
}

fn each(node: Node<'_, '_>, name: &str, instead: &str, edits: &mut Edits) {
    let found = node.members().filter(|(found, value)| found == name && value.raw() != "null");
    found.for_each(|(_, value)| edits.replace_raw(value.span(), instead.as_bytes().to_vec()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_else_is_taken_out() {
        for (body, expected) in [
            (
                r#"{"choices":[{"logprobs":{"content":[{"token":"a"}]},"index":0},{"logprobs":null}],"logprobs":1}"#,
                r#"{"choices":[{"logprobs":null,"index":0},{"logprobs":null}],"logprobs":1}"#,
            ),
            (
                r#"{"output":[{"content":[{"text":"a","logprobs":[{"token":"a"}]}]},{"type":"reasoning"}]}"#,
                r#"{"output":[{"content":[{"text":"a","logprobs":[]}]},{"type":"reasoning"}]}"#,
            ),
            (
                r#"{"candidates":[{"logprobsResult":{"chosenCandidates":[{"token":"a"}]},"avgLogprobs":-1}]}"#,
                r#"{"candidates":[{"logprobsResult":null,"avgLogprobs":-1}]}"#,
            ),
            (r#"{"content":[{"text":"logprobs"}]}"#, r#"{"content":[{"text":"logprobs"}]}"#),
        ] {
            let mut edits = Edits::new();
            leave_out_logprobs(body, &mut edits);
            assert_eq!(String::from_utf8(edits.write(body.as_bytes())).unwrap(), expected);
        }
    }
}
