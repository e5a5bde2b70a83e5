//! Which endpoint is a conversation's own, and which come after it.
//!
//! Rendezvous hashing: every endpoint draws a lot from its name and the conversation's key, and the
//! best lot wins. If an endpoint goes, only its own conversations move, each to a place of its own; if
//! one comes, it takes its share from all others alike. Lots are weighted so that an endpoint gets
//! conversations in proportion to its weight.
//!
//! Loads are bounded: an endpoint that has far more to do than its share is passed over until it has
//! less. A cache is worth a wait, but not a long one.

use super::super::log2::{FRACTION_BITS, log2};
use super::hash::Hash;

/// An endpoint that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// See [`id`].
    pub id: u64,
    /// Its share, relative to the others'. Zero: only when no other is left.
    pub weight: u32,
    /// Requests it is busy with.
    pub in_flight: u32,
    /// Not failing, not at a limit.
    pub available: bool,
}

/// The number of what has this name, of one or more parts: the same in every process.
pub fn id(name: &[&str]) -> u64 {
    let mut hash = Hash::new();
    name.iter().for_each(|part| hash.add(part.as_bytes()));
    hash.end()
}

/// Another number, that tells nothing of the first and depends on nothing else.
pub fn scattered(number: u64) -> u64 {
    let mut hash = Hash::new();
    hash.number(number);
    hash.end()
}

/// Writes to `out` the places of all members in the list, in the order to try them: the available by
/// their lots, then those with more than their share of work, then the others.
pub fn order(key: u64, members: &[Member], out: &mut Vec<usize>) {
    let crowd = Crowd::of(members);
    let rank = |place: &usize| members.get(*place).map(|member| (crowd.class(member), lot(key, member), member.id));
    out.clear();
    out.extend(0..members.len());
    out.sort_by_cached_key(rank);
}

/// Smaller is better. The logarithm of a number drawn evenly, divided by the weight: whose quotient is
/// the smallest is distributed as the weights are.
fn lot(key: u64, member: &Member) -> u128 {
    let mut hash = Hash::new();
    hash.number(key);
    hash.number(member.id);
    let drawn = (64_u64 << FRACTION_BITS).saturating_sub(log2(hash.end()));
    // Shifted so that no weight rounds it away.
    (u128::from(drawn) << 64).checked_div(member.weight.into()).unwrap_or(u128::MAX)
}

/// What the available members have to do together.
struct Crowd {
    in_flight: u64,
    weight: u64,
}

impl Crowd {
    fn of(members: &[Member]) -> Self {
        let available = || members.iter().filter(|member| member.available);
        Self {
            in_flight: available().map(|member| u64::from(member.in_flight)).sum(),
            weight: available().map(|member| u64::from(member.weight)).sum(),
        }
    }

    fn class(&self, member: &Member) -> u8 {
        match member.available {
            true => u8::from(self.is_over(member)),
            false => 2,
        }
    }

    /// More than one above five quarters of its share of all that is in flight.
    fn is_over(&self, member: &Member) -> bool {
        let [in_flight, weight] = [self.in_flight, self.weight].map(u128::from);
        let above = u128::from(member.in_flight.saturating_sub(1));
        above * weight * 4 > in_flight * u128::from(member.weight) * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(weights: &[u32]) -> Vec<Member> {
        let member = |(n, weight): (usize, &u32)| Member {
            id: id(&[&format!("endpoint-{n}")]),
            weight: *weight,
            in_flight: 0,
            available: true,
        };
        weights.iter().enumerate().map(member).collect()
    }

    fn ordered(key: u64, members: &[Member]) -> Vec<usize> {
        let mut out = vec![7];
        order(key, members, &mut out);
        out
    }

    #[test]
    fn shares_are_as_the_weights() {
        let list = members(&[1, 2, 3, 10, 0, 100]);
        let mut first = [0_u32; 6];
        (0..116_000).for_each(|key| first[ordered(key, &list)[0]] += 1);
        for (count, weight) in first.iter().zip([1, 2, 3, 10, 0, 100]) {
            let expected = f64::from(weight) * 1_000.0;
            assert!((f64::from(*count) - expected).abs() <= expected.sqrt() * 4.0, "{first:?}");
        }
        assert!((0..100).all(|key| ordered(key, &list)[5] == 4), "weight zero comes last");
    }

    #[test]
    fn when_one_goes_only_its_own_move_and_they_spread() {
        let whole = members(&[1; 8]);
        let (mut gone, mut shorter) = (whole.clone(), whole.clone());
        gone[3].available = false;
        shorter.remove(3);
        let mut heirs = [0_u32; 8];
        for key in 0..8_000 {
            let [before, after] = [ordered(key, &whole), ordered(key, &gone)];
            assert_eq!(after[7], 3, "the unavailable comes last");
            let rest: Vec<usize> = before.iter().copied().filter(|n| *n != 3).collect();
            assert_eq!(after[..7], rest, "the others keep their order");
            let names = |list: &[Member], order: &[usize]| order.iter().map(|n| list[*n].id).collect::<Vec<_>>();
            assert_eq!(names(&shorter, &ordered(key, &shorter)), names(&whole, &rest), "wherever they stand");
            if before[0] == 3 {
                heirs[after[0]] += 1;
            }
        }
        assert!(heirs.iter().enumerate().all(|(n, count)| n == 3 || (100..190).contains(count)), "{heirs:?}");
    }

    #[test]
    fn a_crowded_one_is_passed_over_but_not_forgotten() {
        let mut list = members(&[1, 1, 2]);
        let key = (0..).find(|key| ordered(*key, &list)[0] == 0).unwrap();
        let alone = ordered(key, &list);
        let load = |list: &mut Vec<Member>, loads: [u32; 3]| {
            list.iter_mut().zip(loads).for_each(|(member, load)| member.in_flight = load);
        };
        // Five quarters of a share of 25 are 31.25, and one more is allowed.
        load(&mut list, [32, 18, 50]);
        assert_eq!(ordered(key, &list), alone);
        load(&mut list, [33, 17, 50]);
        assert_eq!(ordered(key, &list), [alone[1], alone[2], 0]);
        // Twice the weight may do twice as much.
        load(&mut list, [20, 18, 62]);
        assert_eq!(ordered(key, &list), alone);
        // A few requests crowd nobody, and where all are, none is.
        load(&mut list, [1, 0, 0]);
        assert_eq!(ordered(key, &list), alone);
        load(&mut list, [u32::MAX; 3]);
        assert_eq!(ordered(key, &list).len(), 3);
        // What the unavailable has in flight is nobody's share.
        load(&mut list, [4, 4, 1_000]);
        list[2].available = false;
        assert_eq!(ordered(key, &list).last(), Some(&2));
        assert!(ordered(1, &[]).is_empty());
    }
}
