//! Credentials taken out of events that pass as they come.

use crate::secret::Secret;

use super::account;

/// A line that is longer is an image or a sound, and passes as it comes.
const MOST_LINE_BYTES: usize = 64 * 1024;

/// Events on their way to the client, line by line: of one that has not ended nobody can make use yet.
#[derive(Debug)]
pub struct Lines {
    secrets: Vec<Secret>,
    /// The beginning of a line.
    held: Vec<u8>,
    /// The line is too long to be looked at.
    is_long: bool,
}

impl Lines {
    /// Without these.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self { secrets, held: Vec::new(), is_long: false }
    }

    /// Takes what the provider sends, leaves what the client gets.
    pub fn push(&mut self, bytes: &[u8], end: bool, out: &mut Vec<u8>) {
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ends = piece.ends_with(b"\n") || piece.ends_with(b"\r");
            if self.is_long {
                out.extend_from_slice(piece);
                self.is_long = !ends;
                continue;
            }
            self.held.extend_from_slice(piece);
            if ends {
                self.give(out);
            } else if self.held.len() > MOST_LINE_BYTES {
                out.append(&mut self.held);
                self.is_long = true;
            }
        }
        if end {
            self.give(out);
        }
    }

    fn give(&mut self, out: &mut Vec<u8>) {
        let says = |secret: &Secret| account::is_in_answer(secret, &self.held);
        match self.secrets.iter().any(says) || account::has_letters_escaped(&self.held) {
            true => {
                let text = String::from_utf8_lossy(&self.held);
                out.extend_from_slice(account::redact(&text, &self.secrets).as_bytes());
            }
            false => out.extend_from_slice(&self.held),
        }
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_taken_out_of_events_wherever_they_are_cut() {
        let said = |key: &str| {
            let long = "A".repeat(2 * MOST_LINE_BYTES);
            format!(
                "event: error\r\ndata: {{\"error\":\"bad {key}\"}}\r\n\ndata: {long}\n\n: é\ndata: {{\"k\":\"{key}\"}}"
            )
        };
        for key in ["sk-upstream/0123456789", r"\u0073k-upstream\/0123456789"] {
            for size in [1, 7, 1 << 20] {
                let mut lines = Lines::new(vec![Secret::new("sk-upstream/0123456789")]);
                let mut out = Vec::new();
                said(key).as_bytes().chunks(size).for_each(|piece| lines.push(piece, false, &mut out));
                lines.push(b"", true, &mut out);
                assert!(out == said("[redacted]").as_bytes(), "{key} by {size}");
            }
        }
    }

    #[test]
    fn a_line_that_has_ended_waits_for_nothing() {
        let mut lines = Lines::new(vec![Secret::new("sk-upstream/0123456789")]);
        let mut out = Vec::new();
        lines.push(b"data: a\n\nda", false, &mut out);
        assert_eq!(out, b"data: a\n\n");
        lines.push(b"ta: b\r", false, &mut out);
        assert_eq!(out, b"data: a\n\ndata: b\r");
    }
}
