//! What stands between the events of a client's stream and is none of them.
//!
//! Google's SDKs break on comments, so a Gemini client gets blank lines instead, and no notes.

use crate::wire::Dialect;

/// Keeps a connection awake. To be written between events, also before the first.
pub fn keep_alive(client: Dialect, out: &mut Vec<u8>) {
    out.extend_from_slice(match client {
        Dialect::Anthropic => b"event: ping\ndata: {\"type\": \"ping\"}\n\n",
        Dialect::Gemini => b"\r\n",
        Dialect::OpenAiChat | Dialect::Responses | Dialect::Converse | Dialect::Cohere => b": keep-alive\n\n",
    });
}

/// A word to whoever reads the bytes, as a comment of one line.
pub fn note(client: Dialect, text: &str, out: &mut Vec<u8>) {
    if client == Dialect::Gemini {
        return;
    }
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    out.extend_from_slice(format!(": {line}\n\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_stays_a_comment_whatever_it_says() {
        let mut out = Vec::new();
        note(Dialect::Anthropic, "continued on a\r\ndata: b\n\nc", &mut out);
        assert_eq!(String::from_utf8_lossy(&out), ": continued on a  data: b  c\n\n");
        out.clear();
        note(Dialect::Gemini, "continued on a/b", &mut out);
        assert!(out.is_empty());
    }
}
