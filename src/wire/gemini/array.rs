//! The stream as one JSON array, which this API sends unless asked for server-sent events.

use crate::error::{Error, Result};
use crate::wire::sse::Frame;

/// Cuts the array into its items.
#[derive(Debug, Default)]
pub struct Framer {}

impl Framer {
    pub fn push(&mut self, _chunk: &[u8], _sink: &mut dyn FnMut(Frame<'_>)) -> Result<()> {
        Err(Error::internal("no array"))
    }

    pub fn finish(&mut self, _sink: &mut dyn FnMut(Frame<'_>)) {}
}
