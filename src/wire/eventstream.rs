//! Amazon's event stream: binary messages with headers, payload and checksums.
//!
//! <https://smithy.io/2.0/aws/amazon-eventstream.html>

use crate::error::{Error, Result};
use crate::wire::sse::Frame;

/// Cuts a byte stream into messages, given out as [`Frame`]s: the event type as name, the payload as
/// data.
#[derive(Debug)]
pub struct Framer {
    /// Events are wrapped once more: `{"bytes": "<base64 of the event>"}`.
    unwrap: bool,
}

impl Framer {
    pub fn new(unwrap: bool) -> Self {
        Self { unwrap }
    }

    pub fn push(&mut self, _chunk: &[u8], _sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        Err(Error::internal(if self.unwrap { "no event stream" } else { "no event stream yet" }))
    }

    pub fn finish(&mut self, _sink: &mut dyn FnMut(Frame<'_>)) {}
}
