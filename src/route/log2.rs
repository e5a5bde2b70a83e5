//! Logarithms to the base 2 in whole numbers, the same to the last bit on every machine.

/// Bits behind the point of a result.
pub(super) const FRACTION_BITS: u32 = 16;

/// `log2(number) * 2^16`, rounded down; that of 0 is taken for that of 1.
pub(super) fn log2(number: u64) -> u64 {
    let number = number.max(1);
    let whole = number.ilog2();
    let mut result = u64::from(whole);
    // Between 1 and 2, with 63 bits behind the point: each squaring brings out one bit more.
    let mut mantissa = u128::from(number << (63 - whole));
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 63;
        let bit = u64::from(mantissa >> 64 != 0);
        mantissa >>= bit;
        result = (result << 1) | bit;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_floats_say() {
        let exact = |number: u64| (number as f64).log2() * f64::from(1 << FRACTION_BITS);
        for number in (0..64).map(|n| 1_u64 << n).chain((1..10_000).map(|n| n * n * 977)) {
            let error = exact(number) - log2(number) as f64;
            assert!((-0.1..1.1).contains(&error), "{number}: {error}");
        }
        assert_eq!((log2(0), log2(1), log2(2)), (0, 0, 1 << FRACTION_BITS));
        assert!(log2(u64::MAX) < 64 << FRACTION_BITS);
    }
}
