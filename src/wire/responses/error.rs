//! Errors of this format.

use crate::error::Error;
use crate::wire::openai_chat;

/// Reads an error body.
pub fn decode(status: u16, body: &str) -> Error {
    openai_chat::error::decode(status, body)
}

/// Reads an error that came inside a stream, or inside a 200.
pub fn decode_in_band(data: &str) -> Error {
    openai_chat::error::decode_in_band(data)
}

/// Writes an error body; gives back its status.
pub fn encode(error: &Error, request_id: &str, out: &mut Vec<u8>) -> u16 {
    openai_chat::error::encode(error, request_id, out)
}

/// Writes the error as the last event of a stream.
pub fn encode_event(error: &Error, request_id: &str, out: &mut Vec<u8>) {
    openai_chat::error::encode_event(error, request_id, out);
}
