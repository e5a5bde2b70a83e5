//! A streamed answer of this format.

use crate::wire::ir::Event;
use crate::wire::{Client, Decode, Encode, Quirks};

#[derive(Debug)]
pub struct Decoder;

impl Decoder {
    pub fn new(_quirks: &Quirks) -> Self {
        Self
    }
}

impl Decode for Decoder {
    fn event(&mut self, _name: &str, _data: &str, _sink: &mut dyn FnMut(&Event<'_>)) {}

    fn finish(&mut self, _sink: &mut dyn FnMut(&Event<'_>)) {}
}

#[derive(Debug)]
pub struct Encoder;

impl Encoder {
    pub fn new(_client: &Client<'_>) -> Self {
        Self
    }
}

impl Encode for Encoder {
    fn event(&mut self, _event: &Event<'_>, _out: &mut Vec<u8>) {}
}
