//! In which order to try targets: a route's strategy among them, then the endpoints of each.
//!
//! A target that is out stays in the list, behind all others: somebody has to be asked if everybody is.

use std::sync::Arc;

use super::affinity::{self, Member as Place};
use super::vital::{Standing, Vital};
use crate::config::runtime::{Group, Member, Strategy};

/// One endpoint of a target.
#[derive(Debug)]
pub struct Seat {
    /// Its place among the endpoints of its provider.
    pub place: usize,
    pub vital: Arc<Vital>,
    pub standing: Standing,
    pub weight: u32,
}

/// A target as strategies see it.
#[derive(Debug)]
pub struct Choice {
    /// A hash of its name: the same in every process.
    pub id: u64,
    /// At least one.
    pub seats: Vec<Seat>,
    /// What this request would cost there.
    pub cost: Option<i128>,
}

/// What of the request the order depends on.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    pub now_ms: u64,
    /// A number by chance.
    pub chance: u64,
    /// Of the conversation, where it should stay.
    pub affinity: Option<u64>,
    /// Whether that holds among targets too, and not only among the endpoints of one.
    pub among_targets: bool,
}

impl Choice {
    fn rank(&self) -> u8 {
        self.seats.iter().map(|seat| seat.standing.rank()).min().unwrap_or(u8::MAX)
    }

    fn in_flight(&self) -> u32 {
        self.seats.iter().map(|seat| seat.vital.in_flight()).sum()
    }

    /// Of the endpoint that answers soonest. What was never asked is asked at once, but not by all: each
    /// that it is busy with counts as a second.
    fn load(&self, now_ms: u64) -> u64 {
        let load = |vital: &Vital| vital.load(now_ms).unwrap_or_else(|| u64::from(vital.in_flight()) * 1_000);
        self.seats.iter().map(|seat| load(&seat.vital)).min().unwrap_or(u64::MAX)
    }
}

/// The targets of a route (places in `choices`), in the order to try them.
pub fn targets(group: &Group, choices: &[Choice], ask: &Ask) -> Vec<usize> {
    let mut next = 0;
    let mut order = Vec::with_capacity(choices.len());
    for member in ranked(leaves(group, &mut next), group, choices, ask) {
        order.extend(member);
    }
    sorted_by_rank(order, choices)
}

/// The same for targets that `auto` has put in order.
pub fn sorted_by_rank(mut order: Vec<usize>, choices: &[Choice]) -> Vec<usize> {
    order.sort_by_key(|index| choices.get(*index).map_or(u8::MAX, Choice::rank));
    order
}

/// The endpoints of one target, in the order to try them.
pub fn seats(choice: &Choice, ask: &Ask) -> Vec<usize> {
    if choice.seats.len() < 2 {
        return (0..choice.seats.len()).collect();
    }
    let places: Vec<Place> = choice.seats.iter().map(place).collect();
    let mut order = Vec::with_capacity(places.len());
    // Without a conversation to keep, any number will do for one.
    affinity::order(ask.affinity.unwrap_or(ask.chance), &places, &mut order);
    order.sort_by_key(|index| choice.seats.get(*index).map_or(u8::MAX, |seat| seat.standing.rank()));
    order
}

fn place(seat: &Seat) -> Place {
    Place {
        id: seat.vital.endpoint.number,
        weight: seat.weight,
        in_flight: seat.vital.endpoint.in_flight(),
        available: !seat.standing.is_out(),
    }
}

/// What stands behind a member of a group: one target, or those of a group.
enum Leaf<'g> {
    Target(usize),
    Group(&'g Group, Vec<Leaf<'g>>),
}

/// Numbers the targets as [`crate::config::runtime::Route::targets`] does.
fn leaves<'g>(group: &'g Group, next: &mut usize) -> Vec<Leaf<'g>> {
    let mut leaf = |member: &'g Member| match member {
        Member::Target(_) => {
            *next += 1;
            Leaf::Target(*next - 1)
        }
        Member::Group { group, .. } => Leaf::Group(group, leaves(group, next)),
    };
    group.members.iter().map(&mut leaf).collect()
}

/// The members of a group in order, each as the targets behind it in order.
fn ranked(leaves: Vec<Leaf<'_>>, group: &Group, choices: &[Choice], ask: &Ask) -> Vec<Vec<usize>> {
    let weights: Vec<u32> = group.members.iter().map(Member::weight).collect();
    // A group inside draws for itself: by the same number it would always draw the same with it.
    let inside = Ask { chance: affinity::scattered(ask.chance), ..*ask };
    let members: Vec<Vec<usize>> = leaves
        .into_iter()
        .map(|leaf| match leaf {
            Leaf::Target(index) => vec![index],
            Leaf::Group(inner, leaves) => sorted_by_rank(ranked(leaves, inner, choices, &inside).concat(), choices),
        })
        .collect();
    let first = |member: usize| members.get(member).and_then(|targets| choices.get(*targets.first()?));
    let order = match group.strategy {
        // `auto` is decided elsewhere; what comes here of it is in its order.
        Strategy::Fallback | Strategy::Auto => (0..members.len()).collect(),
        Strategy::Cost => by(members.len(), |member| first(member).and_then(|choice| choice.cost).unwrap_or(i128::MAX)),
        _ if ask.affinity.is_some() && ask.among_targets => kept(&members, &weights, choices, ask),
        Strategy::Weighted => weighted(&weights, ask.chance, |member| first(member).is_some_and(|c| c.rank() < 2)),
        Strategy::LeastBusy => {
            let shift = usize::try_from(ask.chance).unwrap_or(0);
            by(members.len(), |member| {
                let weight = u64::from(weights.get(member).copied().unwrap_or(1)).max(1);
                let busy = u64::from(members.get(member).map_or(0, |targets| in_flight(targets, choices)))
                    .saturating_mul(1_000)
                    / weight;
                (busy, (member + shift) % members.len())
            })
        }
        Strategy::Latency => latency(members.len(), ask, first),
    };
    order.into_iter().filter_map(|member| members.get(member).cloned()).collect()
}

/// Of all targets of a member.
fn in_flight(targets: &[usize], choices: &[Choice]) -> u32 {
    targets.iter().filter_map(|target| choices.get(*target)).map(Choice::in_flight).sum()
}

fn by<K: Ord>(count: usize, key: impl Fn(usize) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_cached_key(|member| key(*member));
    order
}

/// Where the conversation belongs, then where it would belong next.
fn kept(members: &[Vec<usize>], weights: &[u32], choices: &[Choice], ask: &Ask) -> Vec<usize> {
    let place = |(targets, weight): (&Vec<usize>, &u32)| {
        // Whichever of a group is first just now, the group is the same; and it is not the target.
        let named = targets.iter().min().and_then(|first| choices.get(*first)).map_or(0, |choice| choice.id);
        let others = u64::try_from(targets.len().saturating_sub(1)).unwrap_or(0);
        let first = targets.first().and_then(|first| choices.get(*first));
        Place {
            id: named.wrapping_add(others),
            weight: *weight,
            in_flight: in_flight(targets, choices),
            available: first.is_some_and(|choice| choice.rank() < 2),
        }
    };
    let places: Vec<Place> = members.iter().zip(weights).map(place).collect();
    let mut order = Vec::with_capacity(places.len());
    affinity::order(ask.affinity.unwrap_or_default(), &places, &mut order);
    order
}

/// One by chance of its weight among those that are well, then the others by theirs.
fn weighted(weights: &[u32], chance: u64, is_well: impl Fn(usize) -> bool) -> Vec<usize> {
    let mut order = by(weights.len(), |member| std::cmp::Reverse(weights.get(member).copied().unwrap_or(0)));
    let well: Vec<usize> = (0..weights.len()).filter(|member| is_well(*member)).collect();
    let weight = |member: &usize| u64::from(weights.get(*member).copied().unwrap_or(0));
    let total: u64 = well.iter().map(weight).sum();
    let Some(mut ticket) = chance.checked_rem(total) else { return order };
    let chosen = well.iter().find(|member| match ticket.checked_sub(weight(member)) {
        Some(left) => {
            ticket = left;
            false
        }
        None => true,
    });
    if let Some(chosen) = chosen {
        order.retain(|member| member != chosen);
        order.insert(0, *chosen);
    }
    order
}

/// The better of two by chance, so that not all rush to one; then the others, the best first.
fn latency<'c>(count: usize, ask: &Ask, first: impl Fn(usize) -> Option<&'c Choice>) -> Vec<usize> {
    let load = |member: usize| first(member).map_or((u8::MAX, u64::MAX), |c| (c.rank(), c.load(ask.now_ms)));
    let mut order = by(count, load);
    let well = order.iter().filter(|member| first(**member).is_some_and(|choice| choice.rank() < 2)).count();
    if well > 2 {
        let well = u64::try_from(well).unwrap_or(u64::MAX);
        let one = ask.chance % well;
        let other = (one + 1 + (ask.chance / well) % (well - 1)) % well;
        // They stand in order of their load, so the better of two is the one further ahead.
        let better = usize::try_from(one.min(other)).unwrap_or(0);
        if better < order.len() {
            let chosen = order.remove(better);
            order.insert(0, chosen);
        }
    }
    order
}

#[cfg(test)]
mod tests;
