//! A hash that is the same in every process and every release, and costs little: replicas that know
//! nothing of each other send one conversation to the same place. It does not resist someone who looks
//! for collisions; all that can be won by one is a place in an order of preference.

/// Odd numbers with irregular bits (the fractions of the square roots of 2, 3 and 5).
const FIRST: u64 = 0x6a09_e667_f3bc_c909;
const SECOND: u64 = 0xbb67_ae85_84ca_a73b;
const THIRD: u64 = 0x3c6e_f372_fe94_f82b;

/// What was hashed so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    pub(super) const fn new() -> Self {
        Self(FIRST)
    }

    /// Adds bytes, and that they end here: `ab` and `c` are not `a` and `bc`.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let (pairs, rest) = bytes.as_chunks::<16>();
        for pair in pairs {
            let [low, high] = halves(pair);
            self.0 = fold(low ^ self.0, high ^ SECOND);
        }
        let mut last = [0; 16];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let [low, high] = halves(&last);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.0 = fold(low ^ self.0, high ^ THIRD).wrapping_add(fold(length ^ SECOND, FIRST));
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0 = fold(self.0 ^ THIRD, number ^ SECOND);
    }

    pub(super) fn end(self) -> u64 {
        fold(fold(self.0, THIRD) ^ self.0, FIRST)
    }
}

/// One multiplication, both halves of it used: every bit of the result depends on all bits.
fn fold(a: u64, b: u64) -> u64 {
    let (low, high) = a.carrying_mul(b, 0);
    low ^ high
}

fn halves(pair: &[u8; 16]) -> [u64; 2] {
    let both = u128::from_le_bytes(*pair);
    let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    [half(both), half(both >> 64)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(parts: &[&[u8]]) -> u64 {
        let mut hash = Hash::new();
        parts.iter().for_each(|part| hash.add(part));
        hash.end()
    }

    /// Replicas of different releases run side by side: these numbers must never change.
    #[test]
    fn it_is_the_same_in_every_release() {
        let hashes = [of(&[]), of(&[b"weir"]), of(&[b"a conversation of some length", b""])];
        assert_eq!(hashes, [0x868a_c0e0_1f7a_c1e3, 0x3e63_3bbe_ee0a_cde3, 0x7fd1_1ca0_bd58_02c1]);
    }

    #[test]
    fn where_parts_end_counts() {
        let all = [
            of(&[b"abc"]),
            of(&[b"ab", b"c"]),
            of(&[b"a", b"bc"]),
            of(&[b"abc", b""]),
            of(&[b"abc\0"]),
            of(&[&[0; 16]]),
            of(&[&[0; 15]]),
            of(&[&[0; 32]]),
            of(&[&[0; 8], &[0; 8]]),
            of(&[b""]),
            of(&[]),
        ];
        let different: std::collections::BTreeSet<u64> = all.into_iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn one_bit_changes_half_of_them() {
        let base: Vec<u8> = (0..100).collect();
        let mut flipped = 0;
        for at in 0..800_usize {
            let mut other = base.clone();
            other[at / 8] ^= 1 << (at % 8);
            flipped += (of(&[&base]) ^ of(&[&other])).count_ones();
        }
        assert!((31.0..33.0).contains(&(f64::from(flipped) / 800.0)), "{flipped}");
    }
}
