//! Counters of users and tags: names that clients make up, so their number is bounded.
//!
//! Each tenant has room for [`MOST_MEMBERS`] users, and for as many tags of each pattern. Where there is
//! no more, those that were not seen for the longest time and have nothing running make room; what they
//! had used is forgotten with them. Where all have something running, whoever comes shares one set of
//! counters with all others who came too late, until there is room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::budget::{Account, Accounts, Purse};
use super::earlier::Earlier;
use super::gate::{Gate, Post, Rules};
use super::scope::Scope;
use crate::config::budget::Budget;

/// Of one tenant's users, or of one pattern's tags.
pub(super) const MOST_MEMBERS: usize = 10_000;

/// Where there is room for nobody, it is looked for again at each so manieth newcomer.
const LOOK_AGAIN: u64 = 64;

/// What a scope has to offer a request: limits, budgets, or both.
#[derive(Debug, Clone, Default)]
pub(super) struct Seat {
    pub(super) gate: Option<Arc<Gate>>,
    pub(super) purse: Option<Arc<Purse>>,
}

/// All users of a tenant, or all tags of a pattern. They belong to the process.
#[derive(Debug)]
pub(super) struct Members {
    /// Those who share counters; its name is empty.
    others: Arc<Member>,
    accounts: Arc<Accounts>,
    earlier: Arc<Earlier>,
    known: RwLock<HashMap<Box<str>, Arc<Member>>>,
    /// Counts those who come, to tell who was seen last.
    turns: AtomicU64,
    turned_away: AtomicU64,
}

#[derive(Debug)]
struct Member {
    post: Arc<Post>,
    account: Arc<Account>,
    seen: AtomicU64,
}

/// Those, with what the present configuration gives each of them.
#[derive(Debug)]
pub(super) struct Crowd {
    pub(super) members: Arc<Members>,
    pub(super) rules: Option<Arc<Rules>>,
    pub(super) budgets: Arc<[Budget]>,
}

impl Member {
    fn new(scope: Scope, accounts: &Accounts, earlier: &Earlier) -> Arc<Self> {
        let account = accounts.account(&scope);
        Arc::new(Self { post: Arc::new(earlier.post(scope)), account, seen: AtomicU64::new(0) })
    }

    /// A request holds on to it. The account is also in the list of all.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.post) > 1 || Arc::strong_count(&self.account) > 2
    }
}

impl Members {
    /// `others` is the scope of those without a name. What is known of earlier ones is taken over.
    pub(super) fn new(others: Scope, accounts: &Arc<Accounts>, earlier: &Arc<Earlier>) -> Self {
        let known = accounts.behind(&others);
        let members = Self {
            others: Member::new(others, accounts, earlier),
            accounts: Arc::clone(accounts),
            earlier: Arc::clone(earlier),
            known: RwLock::default(),
            turns: AtomicU64::new(1),
            turned_away: AtomicU64::new(0),
        };
        let of_these = known.into_iter().filter(|scope| scope.name_made_up().is_some() && members.are(scope));
        let mut all = members.known.write().unwrap_or_else(PoisonError::into_inner);
        for scope in of_these {
            let Some(name) = scope.name_made_up().map(Box::from) else { continue };
            if all.len() < MOST_MEMBERS {
                let member = Member::new(scope, accounts, earlier);
                // Each at a time of its own, or all of them would have to leave at once.
                member.seen.store(members.turns.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                all.insert(name, member);
            } else {
                accounts.forget(std::iter::once(&scope));
            }
        }
        drop(all);
        members
    }

    /// Calls `each` with the counters of every one, one after the other: nobody who comes waits longer for that,
    /// and nobody is held on to.
    pub(super) fn each_post(&self, mut each: impl FnMut(&Post)) {
        each(&self.others.post);
        let names: Vec<Box<str>> = self.read().keys().cloned().collect();
        for name in names {
            if let Some(member) = self.read().get(&name) {
                each(&member.post);
            }
        }
    }

    /// Whether it is the scope of one of these.
    fn are(&self, scope: &Scope) -> bool {
        scope.name_made_up().is_some_and(|name| self.scope(name) == *scope)
    }

    fn scope(&self, name: &str) -> Scope {
        self.others.post.scope.called(name)
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Box<str>, Arc<Member>>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `seat` with the one of that name while nobody can take its place.
    fn with<T>(&self, name: &str, seat: impl Fn(&Member) -> T) -> T {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        let sit = |member: &Member| {
            member.seen.store(turn, Ordering::Relaxed);
            seat(member)
        };
        if let Some(known) = self.read().get(name) {
            return sit(known);
        }
        let mut all = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(name) {
            return sit(known);
        }
        if all.len() >= MOST_MEMBERS {
            // Looking through all of them costs a while, and it was in vain a moment ago.
            let in_vain = self.turned_away.load(Ordering::Relaxed);
            if in_vain.is_multiple_of(LOOK_AGAIN) {
                self.make_room(&mut all);
            }
            if all.len() >= MOST_MEMBERS {
                self.turned_away.store(in_vain.wrapping_add(1), Ordering::Relaxed);
                return seat(&self.others);
            }
            self.turned_away.store(0, Ordering::Relaxed);
        }
        let new = Member::new(self.scope(name), &self.accounts, &self.earlier);
        let seated = sit(&new);
        all.insert(name.into(), new);
        seated
    }

    /// Lets go of a sixteenth at once, so that room is made rarely.
    fn make_room(&self, all: &mut HashMap<Box<str>, Arc<Member>>) {
        let idle = all.values().filter(|member| !member.is_busy());
        let mut idle: Vec<u64> = idle.map(|member| member.seen.load(Ordering::Relaxed)).collect();
        let leave = (MOST_MEMBERS / 16).min(idle.len());
        let Some(last) = leave.checked_sub(1) else { return };
        let (_, last, _) = idle.select_nth_unstable(last);
        let last = *last;
        let mut left = Vec::with_capacity(leave);
        all.retain(|_, member| {
            let stays = member.is_busy() || member.seen.load(Ordering::Relaxed) > last;
            if !stays {
                left.push(Arc::clone(member));
            }
            stays
        });
        self.accounts.forget(left.iter().map(|member| &member.post.scope));
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.read().len()
    }
}

impl Crowd {
    /// What the one of that name has.
    pub(super) fn seat(&self, name: &str, unix_ms: u64) -> Seat {
        self.members.with(name, |member| self.seat_of(member, unix_ms))
    }

    /// The same, if it was ever seen.
    pub(super) fn known(&self, name: &str, unix_ms: u64) -> Option<Seat> {
        self.members.read().get(name).map(|member| self.seat_of(member, unix_ms))
    }

    fn seat_of(&self, member: &Member, unix_ms: u64) -> Seat {
        let gate = self.rules.as_ref().map(|rules| Arc::new(Gate::new(Arc::clone(&member.post), Arc::clone(rules))));
        let purse = || {
            let (scope, budgets) = (member.post.scope.clone(), Arc::clone(&self.budgets));
            Accounts::purse(scope, budgets, Arc::clone(&member.account), unix_ms)
        };
        Seat { gate, purse: (!self.budgets.is_empty()).then(purse) }
    }
}
