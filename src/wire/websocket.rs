//! Reads the messages that a WebSocket server sends (RFC 6455), beside the bytes that pass: for what a
//! realtime session used. Nothing is changed, and nothing is kept beyond [`MAX_MESSAGE_BYTES`].
//!
//! A server's frames are not masked, and compression is never negotiated here, so a text message is
//! its bytes. Usage comes in `response.done` (and of transcriptions, in
//! `conversation.item.input_audio_transcription.completed`), one for each answer of the session:
//! <https://platform.openai.com/docs/api-reference/realtime-server-events/response/done>.

use super::{Quirks, responses, scan};
use crate::usage::tokens::Usage;

/// Longer messages are passed over: the ones with counts hold text, not sound.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
const TEXT: u8 = 1;
const CONTINUATION: u8 = 0;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Reader {
    /// The head of a frame that is not yet complete.
    head: Vec<u8>,
    /// Bytes of the frame's payload still to come.
    left: u64,
    /// The message so far; `None` while one is passed over.
    message: Option<Vec<u8>>,
    /// The frame belongs to the message, and ends it.
    takes: bool,
    ends: bool,
    usage: Option<Usage>,
}

impl Reader {
    /// What the session has used so far, as far as it was reported.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Takes bytes of the server, however they were cut.
    pub fn push(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left == 0 {
                let Some((first, rest)) = bytes.split_first() else { return };
                bytes = rest;
                self.head.push(*first);
                self.begin();
                continue;
            }
            let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
            let (payload, rest) = bytes.split_at_checked(here).unwrap_or((bytes, &[]));
            bytes = rest;
            self.left -= u64::try_from(payload.len()).unwrap_or(self.left);
            self.keep(payload);
            if self.left == 0 {
                self.end();
            }
        }
    }

    /// A frame begins once its head is whole.
    fn begin(&mut self) {
        let Some((opcode, is_last, length)) = head(&self.head) else { return };
        self.head.clear();
        // Control frames come between the frames of a message, and are not part of it.
        self.takes = opcode == TEXT || opcode == CONTINUATION;
        self.ends = is_last;
        if opcode == TEXT {
            self.message = Some(Vec::new());
        } else if self.takes && self.message.is_none() || opcode == 2 {
            self.takes = false;
            self.message = None;
        }
        self.left = length;
        if length == 0 {
            self.end();
        }
    }

    fn keep(&mut self, payload: &[u8]) {
        let Some(message) = self.message.as_mut().filter(|_| self.takes) else { return };
        if message.len() + payload.len() > MAX_MESSAGE_BYTES {
            self.message = None;
        } else {
            message.extend_from_slice(payload);
        }
    }

    fn end(&mut self) {
        if !(self.takes && self.ends) {
            return;
        }
        let message = self.message.take().unwrap_or_default();
        if let Some(usage) = std::str::from_utf8(&message).ok().and_then(counted) {
            self.usage = Some(self.usage.unwrap_or_default().plus(&usage));
        }
    }
}

/// Opcode, whether it is the last of its message, and the payload's length, of a head that is whole.
fn head(bytes: &[u8]) -> Option<(u8, bool, u64)> {
    let [first, second, rest @ ..] = bytes else { return None };
    let masked = second & 0x80 != 0;
    let (length, rest) = match second & 0x7f {
        126 => rest.split_first_chunk::<2>().map(|(n, rest)| (u64::from(u16::from_be_bytes(*n)), rest))?,
        127 => rest.split_first_chunk::<8>().map(|(n, rest)| (u64::from_be_bytes(*n), rest))?,
        short => (u64::from(short), rest),
    };
    let mask_bytes = if masked { 4 } else { 0 };
    (rest.len() >= mask_bytes).then_some((first & 0x0f, first & 0x80 != 0, length))
}

/// The counts of an event that has them.
fn counted(message: &str) -> Option<Usage> {
    let kind = scan::member(message, "type")?;
    match kind.trim_matches('"') {
        "response.done" => {
            let response = scan::member(message, "response")?;
            responses::usage::in_body(response, &Quirks::NONE)
        }
        "conversation.item.input_audio_transcription.completed" => responses::usage::in_body(message, &Quirks::NONE),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ ..126 => out.push(u8::try_from(n).unwrap()),
            n @ ..65536 => {
                out.push(126);
                out.extend(u16::try_from(n).unwrap().to_be_bytes());
            }
            n => {
                out.push(127);
                out.extend(u64::try_from(n).unwrap().to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    fn done(input: u64, output: u64, filler: usize) -> String {
        let text = "x".repeat(filler);
        format!(
            r#"{{"type":"response.done","response":{{"output":[{{"text":"{text}"}}],"usage":{{"input_tokens":{input},"output_tokens":{output}}}}}}}"#
        )
    }

    fn read(bytes: &[u8], cut: usize) -> Option<(u64, u64)> {
        let mut reader = Reader::default();
        for piece in bytes.chunks(cut) {
            reader.push(piece);
        }
        reader.usage().map(|u| (u.input_tokens(), u.output_tokens()))
    }

    #[test]
    fn counts_of_all_answers_add_up_however_the_bytes_are_cut() {
        let (first, second) = (done(10, 5, 300), done(7, 3, 0));
        let (head, tail) = second.as_bytes().split_at(20);
        let stream = [
            frame(0x81, br#"{"type":"session.created"}"#),
            frame(0x82, &[0; 200]),
            frame(0x81, first.as_bytes()),
            frame(0x01, head),
            frame(0x89, b"ping"),
            frame(0x80, tail),
            frame(0x81, b""),
            frame(0x88, b""),
        ]
        .concat();
        for cut in [1, 2, 3, 7, 64, stream.len()] {
            assert_eq!(read(&stream, cut), Some((17, 8)), "{cut}");
        }
    }

    #[test]
    fn what_is_too_long_is_passed_over_and_the_next_is_read() {
        let stream =
            [frame(0x81, done(1, 1, MAX_MESSAGE_BYTES).as_bytes()), frame(0x81, done(2, 3, 70_000).as_bytes())]
                .concat();
        assert_eq!(read(&stream, 4096), Some((2, 3)));
        assert_eq!(read(&frame(0x80, done(2, 3, 0).as_bytes()), 9), None);
        assert_eq!(read(&[0x81, 127, 255, 255, 255, 255, 255, 255, 255, 255, 1, 2], 3), None);
    }
}
