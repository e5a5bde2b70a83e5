//! Protocol buffers, as far as OTLP's messages need them: what is exported is written straight into the
//! buffer that goes out, each number and text once. <https://protobuf.dev/programming-guides/encoding/>
//!
//! A member begins with a byte: its number, times 8, and in the lowest bits what follows. The numbers are
//! those of <https://github.com/open-telemetry/opentelemetry-proto> (1.9).

use crate::record::varint;

/// Room for the length of a message whose end is not known: enough for most.
const LENGTH_BYTES: usize = 2;

/// The byte before a member of that number: a whole number follows; 8 or 4 bytes; or a length and as much.
pub(super) const fn number(member: u8) -> u8 {
    member << 3
}

pub(super) const fn fixed64(member: u8) -> u8 {
    member << 3 | 1
}

pub(super) const fn bytes(member: u8) -> u8 {
    member << 3 | 2
}

pub(super) const fn fixed32(member: u8) -> u8 {
    member << 3 | 5
}

/// What is written.
#[derive(Debug)]
pub(super) struct Out<'o>(pub(super) &'o mut Vec<u8>);

impl Out<'_> {
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn varint(&mut self, value: u64) {
        varint::write(self.0, value);
    }

    /// A member and how long it is; the caller writes it.
    pub(super) fn length(&mut self, tag: u8, length: usize) {
        self.number(tag, length as u64);
    }

    pub(super) fn bytes(&mut self, tag: u8, bytes: &[u8]) {
        self.length(tag, bytes.len());
        self.raw(bytes);
    }

    /// Nothing where it is empty, which is as much.
    pub(super) fn text(&mut self, tag: u8, text: &str) {
        if !text.is_empty() {
            self.bytes(tag, text.as_bytes());
        }
    }

    pub(super) fn number(&mut self, tag: u8, value: u64) {
        self.0.push(tag);
        self.varint(value);
    }

    pub(super) fn fixed64(&mut self, tag: u8, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
        self.raw(&[tag, a, b, c, d, e, f, g, h]);
    }

    pub(super) fn double(&mut self, tag: u8, value: f64) {
        self.fixed64(tag, value.to_bits());
    }

    /// A message whose length is known once it is written.
    pub(super) fn message(&mut self, tag: u8, write: impl FnOnce(&mut Out<'_>)) {
        self.raw(&[tag, 0, 0]);
        let from = self.0.len();
        write(&mut Out(self.0));
        let (mut length, room) = (Vec::with_capacity(LENGTH_BYTES), from - LENGTH_BYTES..from);
        varint::write(&mut length, (self.0.len() - from) as u64);
        match self.0.get_mut(room.clone()).filter(|room| room.len() == length.len()) {
            Some(room) => room.copy_from_slice(&length),
            None => drop(self.0.splice(room, length)),
        }
    }
}

/// What is left to read.
#[derive(Debug)]
pub(super) struct Members<'b>(pub(super) &'b [u8]);

/// What a member holds; numbers that say nothing here are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'b> {
    Number(u64),
    Bytes(&'b [u8]),
    Fixed,
}

impl<'b> Members<'b> {
    fn take(&mut self, count: u64) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(count).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

/// Ends where what follows is no member.
impl<'b> Iterator for Members<'b> {
    type Item = (u64, Value<'b>);

    fn next(&mut self) -> Option<Self::Item> {
        let head = varint::take(&mut self.0)?;
        let value = match head & 7 {
            0 => Value::Number(varint::take(&mut self.0)?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint::take(&mut self.0)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((head >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_any_length_is_read_again() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let (mut written, inner) = (Vec::new(), vec![7; length]);
            let mut out = Out(&mut written);
            out.number(number(1), 300);
            out.message(bytes(2), |out| out.raw(&inner));
            out.fixed64(fixed64(3), 9);
            let all: Vec<_> = Members(&written).collect();
            assert_eq!(
                all,
                [(1, Value::Number(300)), (2, Value::Bytes(inner.as_slice())), (3, Value::Fixed)],
                "{length}"
            );
            let shortest = 3 + 1 + varint::length(length as u64) + length + 9;
            assert_eq!(written.len(), shortest, "no byte more than it takes");
        }
    }

    #[test]
    fn what_is_cut_off_ends() {
        for bytes in [&[0x80_u8][..], &[0x08], &[0x0a, 5, 1], &[0x09, 1], &[0x0d, 1, 2, 3], &[0x0b], &[0xff; 12]] {
            assert_eq!(Members(bytes).next(), None, "{bytes:?}");
        }
    }
}
