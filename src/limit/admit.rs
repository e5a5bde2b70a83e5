//! Admission: all limits and budgets of a request looked at together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Crossed, Exhausted, Purse, Purses, Reservation, Spend};
use super::clock::Moment;
use super::crowd::{Crowd, Seat};
use super::denial::{Denial, Refusal};
use super::gate::{Gate, Load, Short, Standing, State};
use super::learned::Outputs;
use super::scope::Scope;
use crate::config::runtime::{ModelPattern, pattern_matches};
use crate::usage::price::PicoUsd;

/// All that limits one key, resolved: no names are looked up when a request comes, but those that
/// clients make up.
#[derive(Debug, Default)]
pub struct KeyLimits {
    pub(super) tenant: Option<Arc<Gate>>,
    /// In an order that a reload does not change (see [`Self::admit`]).
    pub(super) models: Arc<[(ModelPattern, Seat)]>,
    pub(super) key: Option<Arc<Gate>>,
    pub(super) users: Option<Arc<Crowd>>,
    /// By pattern.
    pub(super) tags: Arc<[(ModelPattern, TagRule)]>,
    pub(super) purses: Purses,
    pub(super) outputs: Arc<Outputs>,
    pub(super) has_limits: bool,
    pub(super) has_budgets: bool,
}

/// What a tag has.
#[derive(Debug)]
pub(super) enum TagRule {
    /// The one of that name.
    One(Seat),
    /// Each that matches.
    Each(Arc<Crowd>),
}

/// A request that wants to go on.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The name of the model that the client used.
    pub model: &'a str,
    /// `provider/model` of the target that is asked first: one name a line, where it has several.
    pub target: &'a str,
    pub user: Option<&'a str>,
    pub tags: &'a [String],
    pub want: Want,
}

/// What a request may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Want {
    pub input_tokens: u64,
    /// What is likely, for limits of tokens.
    pub output_tokens: u64,
    /// What it may come to, for budgets.
    pub most_output_tokens: u64,
    /// Of that.
    pub cost: PicoUsd,
}

/// Whether a pattern is of a target that has these names, one a line.
fn stands_on(pattern: &str, names: &str) -> bool {
    names.lines().any(|name| pattern_matches(pattern, name))
}

/// What was used at one target.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used<'a> {
    /// `provider/model`
    pub target: &'a str,
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// As far as it is known.
    pub cost: PicoUsd,
}

/// A request that may go on. Dropping it ends its concurrency.
#[derive(Debug)]
pub struct Admission {
    pub(super) held: Mutex<Held>,
    /// The client's name of the model, where anything stands on models.
    model: Box<str>,
    settled: bool,
    /// Some budget of it ends streams.
    pub(super) may_stop: AtomicBool,
    standing: Standing,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) places: Vec<Place>,
    /// Where the request runs already that this one is a part of.
    whole: Vec<Arc<Gate>>,
    pub(super) reservation: Reservation,
    /// The same at the store that all replicas share.
    #[cfg(feature = "proxy")]
    pub(super) claims: super::fleet::Claims,
    /// How the limits stand there.
    #[cfg(feature = "proxy")]
    pub(super) seen: Option<Standing>,
}

/// A request's place in one scope.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) gate: Arc<Gate>,
    pub(super) reserved: Load,
    pub(super) booked_ms: u64,
    /// It is one of those that run there: not where the request that it is a part of is one already.
    pub(super) runs: bool,
}

impl Place {
    fn new(gate: Arc<Gate>, reserved: Load, booked_ms: u64, whole: &[Arc<Gate>]) -> Self {
        let runs = !whole.iter().any(|known| known.is_same(&gate));
        Self { gate, reserved, booked_ms, runs }
    }

    /// What held the place is over; counts once.
    pub(super) fn leave(&mut self) {
        if std::mem::take(&mut self.runs) {
            self.gate.post.leave();
        }
    }
}

impl Held {
    fn new(places: Vec<Place>, reservation: Reservation, whole: Vec<Arc<Gate>>) -> Self {
        Self {
            places,
            whole,
            reservation,
            #[cfg(feature = "proxy")]
            claims: super::fleet::Claims::default(),
            #[cfg(feature = "proxy")]
            seen: None,
        }
    }
}

impl Want {
    const fn load(&self) -> Load {
        Load { input_tokens: self.input_tokens, output_tokens: self.output_tokens }
    }

    const fn spend(&self) -> Spend {
        Spend { tokens: self.input_tokens.saturating_add(self.most_output_tokens), cost: self.cost }
    }
}

impl Used<'_> {
    const fn load(&self) -> Load {
        Load { input_tokens: self.input_tokens, output_tokens: self.output_tokens }
    }
}

/// What was used of all parts that count.
fn sum(parts: &[Used<'_>], counts: impl Fn(&Used<'_>) -> bool) -> (Load, Spend) {
    let parts = parts.iter().filter(|part| counts(part));
    let add = |(load, cost): (Load, PicoUsd), part: &Used<'_>| (load.plus(part.load()), cost.saturating_add(part.cost));
    let (load, cost) = parts.fold((Load::default(), PicoUsd::default()), add);
    (load, Spend { tokens: load.tokens(), cost })
}

impl KeyLimits {
    /// Reserves one request, its tokens and a place among the running, in every scope that has limits
    /// or budgets for it: in all of them or in none.
    ///
    /// A limit on a model holds under the name the client used and under its target's. Locks are taken
    /// in the order tenant, models, key, user, tags, then those of the budgets, the same for everyone,
    /// and all are held until all are charged.
    pub fn admit(&self, ask: &Ask<'_>, at: Moment) -> Result<Admission, Refusal> {
        self.admit_within(ask, None, at)
    }

    /// The same for a request that is a part of another one, which waits for it: where that one has a place
    /// among the running, this one needs none.
    pub fn admit_within(&self, ask: &Ask<'_>, whole: Option<&Admission>, at: Moment) -> Result<Admission, Refusal> {
        if self.are_none() {
            let reservation = self.purses.reserve(Vec::new(), ask.want.spend(), at.unix_ms).map_err(Refusal::Budget)?;
            let held = Mutex::new(Held::new(Vec::new(), reservation, Vec::new()));
            let (model, standing) = (Box::default(), Standing::default());
            return Ok(Admission { held, model, settled: false, may_stop: AtomicBool::new(false), standing });
        }
        let (gates, more) = self.scopes(ask, at.unix_ms);
        let whole = whole.map(|whole| whole.held().places.iter().map(|place| Arc::clone(&place.gate)).collect());
        let whole: Vec<Arc<Gate>> = whole.unwrap_or_default();
        let place = |gate| Place::new(gate, ask.want.load(), at.now_ms, &whole);
        let places: Vec<Place> = gates.into_iter().map(place).collect();
        let mut states = lock(&places);
        if let Some((gate, short)) = worst(&places, &mut states) {
            let standing = Standing::over(&places, &mut states);
            return Err(Refusal::Limit(Denial::new(&gate.post.scope, short, standing)));
        }
        let reservation = self.purses.reserve(more, ask.want.spend(), at.unix_ms).map_err(Refusal::Budget)?;
        charge(&places, &mut states);
        let standing = Standing::over(&places, &mut states);
        drop(states);
        let may_stop = AtomicBool::new(reservation.may_stop());
        let held = Held::new(places, reservation, whole);
        let model = if self.models.is_empty() { Box::default() } else { ask.model.into() };
        Ok(Admission { held: Mutex::new(held), model, settled: false, may_stop, standing })
    }

    /// What the request has to find room in.
    fn scopes(&self, ask: &Ask<'_>, unix_ms: u64) -> (Vec<Arc<Gate>>, Vec<Arc<Purse>>) {
        let (mut gates, mut purses) = (Vec::new(), Vec::new());
        gates.extend(self.tenant.iter().cloned());
        // What asks for no model has nothing to do with theirs, also where they stand for all.
        let models = self.models.iter().filter(|_| !ask.model.is_empty());
        for (_, seat) in models.filter(|(it, _)| it.matches(ask.model) || stands_on(&it.0, ask.target)) {
            gates.extend(seat.gate.iter().cloned());
            purses.extend(seat.purse.iter().cloned());
        }
        gates.extend(self.key.iter().cloned());
        let user = self.users.as_ref().zip(ask.user).map(|(users, user)| users.seat(user, unix_ms));
        let tags = if self.tags.is_empty() { Vec::new() } else { self.tagged(ask.tags, unix_ms) };
        for seat in user.into_iter().chain(tags) {
            gates.extend(seat.gate);
            purses.extend(seat.purse);
        }
        (gates, purses)
    }

    /// What the tags have, in the order of their scopes, and nothing twice.
    fn tagged(&self, tags: &[String], unix_ms: u64) -> Vec<Seat> {
        let mut seats: Vec<(Scope, Seat)> = Vec::new();
        let mut add = |seat: Seat| {
            let scope = seat.gate.as_ref().map(|gate| &gate.post.scope);
            let scope = scope.or_else(|| seat.purse.as_ref().map(|purse| purse.scope())).cloned();
            seats.extend(scope.map(|scope| (scope, seat)));
        };
        for tag in tags {
            self.tag_rules(tag).for_each(|rule| match rule {
                TagRule::One(seat) => add(seat.clone()),
                TagRule::Each(crowd) => add(crowd.seat(tag, unix_ms)),
            });
        }
        seats.sort_by(|(a, _), (b, _)| a.cmp(b));
        seats.dedup_by(|(a, _), (b, _)| a == b);
        seats.into_iter().map(|(_, seat)| seat).collect()
    }

    /// Its own rule, or those of all patterns that match.
    pub(super) fn tag_rules<'s>(&'s self, tag: &'s str) -> impl Iterator<Item = &'s TagRule> {
        let own = self.tags.iter().any(|(pattern, rule)| matches!(rule, TagRule::One(_)) && pattern.0 == tag);
        let rules = self.tags.iter().filter(move |(pattern, rule)| match rule {
            TagRule::One(_) => pattern.0 == tag,
            TagRule::Each(_) => !own && pattern.matches(tag),
        });
        rules.map(|(_, rule)| rule)
    }

    /// Complete, but for what it is to know of itself.
    pub(super) fn complete(mut self) -> Self {
        let own = [self.tenant.is_some(), self.key.is_some()];
        let seats = || {
            let models = self.models.iter().map(|(_, seat)| (seat.gate.is_some(), seat.purse.is_some()));
            let of_all = |crowd: &Crowd| (crowd.rules.is_some(), !crowd.budgets.is_empty());
            let tags = self.tags.iter().map(move |(_, rule)| match rule {
                TagRule::One(seat) => (seat.gate.is_some(), seat.purse.is_some()),
                TagRule::Each(crowd) => of_all(crowd),
            });
            models.chain(self.users.as_deref().map(of_all)).chain(tags)
        };
        let has_limits = own.contains(&true) || seats().any(|(limits, _)| limits);
        let has_budgets = self.purses.are_bounded() || seats().any(|(_, budgets)| budgets);
        (self.has_limits, self.has_budgets) = (has_limits, has_budgets);
        self
    }

    /// Whether a budget may ask what a request costs.
    pub const fn are_bounded(&self) -> bool {
        self.has_budgets
    }

    /// Whether there is nothing to have room in.
    pub const fn are_none(&self) -> bool {
        !self.has_limits && !self.has_budgets
    }

    /// What every request of this key is paid from: its tenant's purse, and its own.
    pub fn purses(&self) -> &Purses {
        &self.purses
    }

    /// The output that is to be expected of a model, once enough of its answers were seen.
    pub fn expected_output(&self, target: &str) -> Option<u64> {
        self.outputs.p95(target)
    }

    /// A model has finished an answer.
    pub fn learn_output(&self, target: &str, output_tokens: u64) {
        self.outputs.learn(target, output_tokens);
    }
}

fn lock(places: &[Place]) -> Vec<MutexGuard<'_, State>> {
    places.iter().map(|place| place.gate.post.lock()).collect()
}

/// The gate that the request would have to wait for longest.
fn worst<'p>(places: &'p [Place], states: &mut [MutexGuard<'_, State>]) -> Option<(&'p Gate, Short)> {
    let mut worst: Option<(&Gate, Short)> = None;
    for (place, state) in places.iter().zip(states) {
        let Some(short) = place.gate.refusal(state, place) else { continue };
        if worst.as_ref().is_none_or(|(_, known)| known.wait_ms < short.wait_ms) {
            worst = Some((&place.gate, short));
        }
    }
    worst
}

/// Takes what [`worst`] had nothing against.
fn charge(places: &[Place], states: &mut [MutexGuard<'_, State>]) {
    places.iter().zip(states).for_each(|(place, state)| place.gate.charge(state, place));
}

impl Admission {
    /// As the limits stood right after this request was admitted.
    pub fn standing(&self) -> Standing {
        self.standing
    }

    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // Every update is whole before anything can panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another target may be asked: takes places in what stands on its model and not on the ones
    /// before, and holds its price, should it cost more, but not in what stands on a model that was left.
    /// All or nothing; the error says what has no room.
    pub fn also(&self, limits: &KeyLimits, target: &str, want: Want, at: Moment) -> Result<(), Refusal> {
        let mut held = self.held();
        let Held { places, whole, reservation, .. } = &mut *held;
        let seats = || limits.models.iter().filter(|(pattern, _)| stands_on(&pattern.0, target)).map(|(_, seat)| seat);
        let is_new = |gate: &&Arc<Gate>| !places.iter().any(|place| place.gate.is_same(gate));
        let gates = seats().filter_map(|seat| seat.gate.as_ref()).filter(is_new).cloned();
        let more: Vec<Place> = gates.map(|gate| Place::new(gate, want.load(), at.now_ms, whole)).collect();
        let purses = seats().filter_map(|seat| seat.purse.clone()).collect();
        let mut states = lock(&more);
        if let Some((gate, short)) = worst(&more, &mut states) {
            return Err(Refusal::Limit(Denial::new(&gate.post.scope, short, self.standing)));
        }
        let part = |scope: &Scope| match scope {
            Scope::Model { pattern, .. } if !pattern_matches(pattern, &self.model) && !stands_on(pattern, target) => {
                Spend::default()
            }
            _ => want.spend(),
        };
        reservation.raise(purses, want.spend(), part, at.unix_ms).map_err(Refusal::Budget)?;
        self.may_stop.store(reservation.may_stop(), Ordering::Relaxed);
        charge(&more, &mut states);
        drop(states);
        places.extend(more);
        Ok(())
    }

    /// Whether one of its budgets ends streams when it runs out ([`Self::keep_up`]).
    pub fn may_stop(&self) -> bool {
        self.may_stop.load(Ordering::Relaxed)
    }

    /// Whether so much is held in all of its budgets, so that [`Self::keep_up`] has nothing to do.
    pub fn covers(&self, used: Spend) -> bool {
        self.held().reservation.covers(used)
    }

    /// So much was used so far by an answer that runs at this target, and by what was lost before it: holds
    /// it, should it be more than was held. The error is a budget that has nothing left and ends streams;
    /// one that stands on another model does not end this one.
    pub fn keep_up(&self, target: &str, parts: &[Used<'_>], at: Moment) -> Result<(), Box<Exhausted>> {
        let (_, all) = sum(parts, |_| true);
        let part = |scope: &Scope| match scope {
            Scope::Model { pattern, .. } if !pattern_matches(pattern, &self.model) => {
                let is_served = stands_on(pattern, target);
                sum(parts, |part| is_served && stands_on(pattern, part.target)).1
            }
            _ => all,
        };
        let mut held = self.held();
        held.reservation.keep_up(all, part, at.unix_ms)?;
        #[cfg(feature = "proxy")]
        held.keep_up_claims(part, at.unix_ms)?;
        Ok(())
    }

    #[cfg(feature = "proxy")]
    pub(super) const fn set_settled(&mut self) {
        self.settled = true;
    }

    /// Whether it was settled.
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Gives back its places under `concurrency`: nobody waits for an answer any more.
    pub fn leave(&mut self) {
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        held.places.iter_mut().for_each(Place::leave);
        #[cfg(feature = "proxy")]
        held.leave_claims();
    }

    /// Puts real usage in the place of the estimate, and says which marks of budgets that passed. What
    /// stands on a model is charged with what was used at targets of that model. Where no upstream did
    /// any work that is nothing, and all is given back but the request itself, or a client could fail
    /// without limit. Counts once.
    pub fn settle(&mut self, parts: &[Used<'_>], at: Moment) -> Vec<Crossed> {
        if std::mem::replace(&mut self.settled, true) {
            return Vec::new();
        }
        let held = self.held.get_mut().unwrap_or_else(PoisonError::into_inner);
        let all = sum(parts, |_| true);
        let model = &self.model;
        let part = |scope: &Scope| match scope {
            Scope::Model { pattern, .. } if !pattern_matches(pattern, model) => {
                sum(parts, |part| stands_on(pattern, part.target))
            }
            _ => all,
        };
        for place in &mut held.places {
            let (used, _) = part(&place.gate.post.scope);
            place.gate.settle(place.reserved, place.booked_ms, used, at.now_ms);
            // Whoever has its answer may ask again at once.
            place.leave();
        }
        let (_, spent) = all;
        #[cfg(feature = "proxy")]
        {
            held.settle_claims(part, spent);
            held.leave_claims();
        }
        held.reservation.settle(spent, |scope| part(scope).1, at.unix_ms)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.leave();
    }
}
