//! How the events of a streamed answer are cut out of its bytes.

use super::sse::{Frame, Sink};
use super::{eventstream, gemini, sse};
use crate::error::Result;

/// A way of framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// Amazon's event stream.
    EventStream,
    /// Amazon's event stream, around another vendor's events (InvokeModel).
    InvokeStream,
    /// One JSON array whose items are the events (Gemini without `alt=sse`).
    JsonArray,
}

/// Cuts bytes into frames. Frames of other framings than [`Framing::Sse`] have, as `raw`, what
/// they would be as server-sent events.
#[derive(Debug)]
pub enum Frames {
    Sse(sse::Framer),
    EventStream(Box<eventstream::Framer>),
    JsonArray(Box<gemini::array::Framer>),
}

impl Default for Frames {
    fn default() -> Self {
        Self::Sse(sse::Framer::default())
    }
}

impl From<sse::Framer> for Frames {
    fn from(framer: sse::Framer) -> Self {
        Self::Sse(framer)
    }
}

impl Frames {
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::default(),
            Framing::EventStream => Self::EventStream(Box::new(eventstream::Framer::new(false))),
            Framing::InvokeStream => Self::EventStream(Box::new(eventstream::Framer::new(true))),
            Framing::JsonArray => Self::JsonArray(Box::default()),
        }
    }

    /// Gives every frame that is complete now to `sink`. Fails, for good, when one cannot be read.
    pub fn push(&mut self, chunk: &[u8], sink: &mut impl FnMut(Frame<'_>)) -> Result<()> {
        match self {
            Self::Sse(framer) => framer.push(chunk, sink),
            Self::EventStream(framer) => framer.push(chunk, sink),
            Self::JsonArray(framer) => framer.push(chunk, sink),
        }
    }

    /// The same, but for those that `sink` knows.
    pub fn push_to(&mut self, chunk: &[u8], sink: &mut impl Sink) -> Result<()> {
        match self {
            Self::Sse(framer) => framer.push_to(chunk, sink),
            Self::EventStream(_) | Self::JsonArray(_) => self.push(chunk, &mut |frame| sink.frame(frame)),
        }
    }

    /// The stream ended: what is left that may still be whole is given out.
    pub fn finish(&mut self, sink: &mut impl FnMut(Frame<'_>)) {
        match self {
            Self::Sse(framer) => framer.finish(sink),
            Self::EventStream(framer) => framer.finish(sink),
            Self::JsonArray(framer) => framer.finish(sink),
        }
    }
}
