//! Whole numbers in groups of seven bits, the lowest first, as protocol buffers have them.

/// Bits in each byte but the last.
const GROUP: u32 = 7;
/// Appends a number.
pub(crate) fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 1 << GROUP {
        out.push(low_bits(value) | 0x80);
        value >>= GROUP;
    }
    out.push(low_bits(value));
}

/// How many bytes a number takes.
#[cfg(feature = "otlp")]
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
            assert_eq!(written.len(), expected, "{value}");
            #[cfg(feature = "otlp")]
            assert_eq!(length(value), expected, "{value}");
            assert_eq!(take(&mut written.as_slice()), Some(value));
        }
        assert_eq!(take(&mut [0x80].as_slice()), None);
        assert_eq!(take(&mut [0xff; 12].as_slice()), None);
    }
}
