//! Answers that go on as they came, of a provider that says nothing of what they used: what was counted here is
//! put in, in the answer's own format.

use super::super::envelope::Envelope;
use super::super::splice::Splice;
use super::super::{Dialect, anthropic, gemini, openai_chat, responses, scan};
use super::has_no_choice;
use crate::usage::tokens::Usage;

/// The same answer with counts, where it is one that could have some.
pub fn with_usage(dialect: Dialect, body: &str, usage: &Usage) -> Option<Vec<u8>> {
    let mut counts = Vec::new();
    let name = match dialect {
        Dialect::OpenAiChat => {
            openai_chat::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Anthropic => {
            anthropic::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Responses => {
            responses::usage::encode(usage, &mut counts);
            "usage"
        }
        Dialect::Gemini => {
            gemini::usage::encode(usage, None, &mut counts);
            "usageMetadata"
        }
        // No client speaks these.
        Dialect::Converse | Dialect::Cohere => return None,
    };
    let envelope = Envelope::parse_str(body).ok()?;
    let mut splice = Splice::new(&envelope);
    splice.set(name, String::from_utf8(counts).ok()?);
    Some(splice.write())
}

/// The last chunk of a stream of Chat Completions whose client asked for counts.
#[derive(Debug)]
pub(super) struct LastChunk {
    input_estimate_tokens: u64,
    /// What all chunks begin with.
    head: String,
    is_sure: bool,
}

impl LastChunk {
    pub(super) fn new(input_estimate_tokens: u64) -> Self {
        Self { input_estimate_tokens, head: String::new(), is_sure: false }
    }

    /// Takes note of what chunks begin with: of the first that is of an answer (Azure sends another before it).
    pub(super) fn see(&mut self, data: &str) {
        if self.is_sure {
            return;
        }
        self.is_sure = !has_no_choice(data);
        self.head.clear();
        let names = ["id", "object", "created", "model"];
        for (name, value) in names.iter().zip(scan::several(data, names)) {
            if let Some(value) = value {
                self.head.push_str(&format!("\"{name}\":{value},"));
            }
        }
    }

    /// What a local count of the prompt says.
    pub(super) fn input_estimate_tokens(&self) -> u64 {
        self.input_estimate_tokens
    }

    pub(super) fn write(&self, usage: &Usage, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("data: {{{}\"choices\":[],\"usage\":", self.head).as_bytes());
        openai_chat::usage::encode(usage, out);
        out.extend_from_slice(b"}\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::whole;
    use super::*;
    use crate::wire::Quirks;

    #[test]
    fn counts_are_put_into_an_answer_of_any_format_and_read_again() {
        let usage = Usage { fresh_input_tokens: 7, visible_output_tokens: 3, ..Usage::default() };
        for (dialect, body) in [
            (Dialect::OpenAiChat, r#"{"id":"c","choices":[{"message":{"content":"hi"}}],"x":1e400}"#),
            (Dialect::OpenAiChat, r#"{"id":"c","choices":[],"usage":null}"#),
            (Dialect::Anthropic, r#"{"type":"message","content":[]}"#),
            (Dialect::Responses, r#"{"object":"response","output":[],"usage":null}"#),
            (Dialect::Gemini, r#"{"candidates":[]}"#),
        ] {
            let told = String::from_utf8(with_usage(dialect, body, &usage).unwrap()).unwrap();
            let seen = whole(dialect, &told, &Quirks::NONE).unwrap().usage.unwrap();
            assert_eq!((seen.input_tokens(), seen.output_tokens()), (7, 3), "{told}");
            assert!(told.starts_with(body.split(",\"usage\"").next().unwrap().trim_end_matches('}')), "{told}");
        }
    }
}
