//! Whole numbers in groups of seven bits, the lowest first, as protocol buffers have them.

/// Bits in each byte but the last.
const GROUP: u32 = 7;
/// A number has at most so many bytes.
pub(crate) const MOST_BYTES: usize = 10;

/// A number as bytes, in that room.
pub(crate) fn encode(room: &mut [u8; MOST_BYTES], mut value: u64) -> &[u8] {
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

/// Appends a number.
pub(crate) fn write(out: &mut Vec<u8>, value: u64) {
    // Most are small.
    match value {
        0..0x80 => out.push(low_bits(value)),
        _ => out.extend_from_slice(encode(&mut [0; MOST_BYTES], value)),
    }
}

/// How many bytes a number takes.
pub(crate) const fn length(value: u64) -> usize {
    // A 0 takes one too.
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(GROUP) as usize
}

/// Takes a number off the beginning.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..u64::BITS).step_by(GROUP as usize) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The lowest group.
pub(super) fn low_bits(value: u64) -> u8 {
    (value & 0x7f).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_long_as_is_said() {
        let lengths =
            [(0, 1), (1, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX >> 1, 9), (u64::MAX, 10)];
        for (value, expected) in lengths {
            let mut written = Vec::new();
            write(&mut written, value);
            assert_eq!((written.len(), length(value)), (expected, expected), "{value}");
            assert_eq!(encode(&mut [0; MOST_BYTES], value), written);
            assert_eq!(take(&mut written.as_slice()), Some(value));
        }
        assert_eq!(take(&mut [0x80].as_slice()), None);
        assert_eq!(take(&mut [0xff; 12].as_slice()), None);
    }
}
