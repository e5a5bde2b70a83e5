//! Protocol buffers, as far as OTLP's messages need them: what is exported is written straight into the
//! buffer that goes out, each number and text once. <https://protobuf.dev/programming-guides/encoding/>
//!
//! A member begins with a byte: its number, times 8, and in the lowest bits what follows. The numbers are
//! those of <https://github.com/open-telemetry/opentelemetry-proto> (1.9).

/// Bits of a number in each of its bytes but the last.
const GROUP: u32 = 7;
/// A number has at most so many bytes.
const MOST_BYTES: usize = 10;
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

    pub(super) fn varint(&mut self, mut value: u64) {
        while value >= 1 << GROUP {
            self.0.push(low_bits(value) | 0x80);
            value >>= GROUP;
        }
        self.0.push(low_bits(value));
    }

    /// A member and how long it is; the caller writes it.
    pub(super) fn length(&mut self, tag: u8, length: usize) {
        let value = length as u64;
        if value < 1 << GROUP {
            self.raw(&[tag, low_bits(value)]);
        } else {
            self.0.push(tag);
            self.varint(value);
        }
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
        let (mut digits, room) = ([0; MOST_BYTES], from - LENGTH_BYTES..from);
        let length = varint(&mut digits, (self.0.len() - from) as u64);
        match self.0.get_mut(room.clone()).filter(|room| room.len() == length.len()) {
            Some(room) => room.copy_from_slice(length),
            None => drop(self.0.splice(room, length.iter().copied())),
        }
    }
}

fn low_bits(value: u64) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

/// A number as bytes.
fn varint(room: &mut [u8; MOST_BYTES], mut value: u64) -> &[u8] {
    let mut count = 0;
    for byte in room.iter_mut() {
        count += 1;
        *byte = low_bits(value);
        value >>= GROUP;
        if value == 0 {
            break;
        }
        *byte |= 0x80;
    }
    room.get(..count).unwrap_or_default()
}

/// How many bytes a number takes.
pub(super) const fn varint_len(value: u64) -> usize {
    // A 0 takes one too.
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(GROUP) as usize
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
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..u64::BITS).step_by(GROUP as usize) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

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
        let head = self.varint()?;
        let value = match head & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
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
    fn numbers_are_as_long_as_is_said() {
        let lengths =
            [(0, 1), (1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)];
        for (value, length) in lengths {
            let mut written = Vec::new();
            Out(&mut written).varint(value);
            assert_eq!((written.len(), varint_len(value)), (length, length), "{value}");
            assert_eq!(varint(&mut [0; MOST_BYTES], value), written);
            assert_eq!(Members(&written).varint(), Some(value));
        }
    }

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
            let shortest = 3 + 1 + varint_len(length as u64) + length + 9;
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
