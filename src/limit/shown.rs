//! A key's limits and budgets as they stand, for who asks (`GET /v1/limits`).

use std::sync::Arc;

use super::admit::{KeyLimits, TagRule};
use super::budget::Balance;
use super::clock::Moment;
use super::crowd::{Crowd, Seat};
use super::window::Level;
use crate::config::limits::Limited;

/// Who asks, beside the key.
#[derive(Debug, Clone, Copy, Default)]
pub struct Who<'a> {
    pub user: Option<&'a str>,
    pub tags: &'a [String],
}

/// A limit or a budget, and whom it stands on: its kind and its name. What each user or tag has alone
/// has the pattern for a name (`*` for users) and is unused; who asks finds their own beside it.
#[derive(Debug, Clone)]
pub struct Shown<T> {
    pub scope: &'static str,
    pub name: String,
    pub it: T,
}

impl KeyLimits {
    pub fn levels(&self, who: &Who<'_>, at: Moment) -> Vec<Shown<(Limited, Level)>> {
        let mut all = Vec::new();
        let seats = self.seats(who, at.unix_ms);
        let own = self.tenant.iter().chain(&self.key);
        for gate in own.chain(seats.iter().filter_map(|seat| seat.gate.as_ref())) {
            gate.levels(at.now_ms, |scope, limited, level| {
                all.push(Shown { scope: scope.kind(), name: scope.name().to_owned(), it: (limited, level) });
            });
        }
        for (scope, name, crowd) in self.crowds() {
            let unused = crowd.rules.iter().flat_map(|rules| rules.unused());
            all.extend(unused.map(|it| Shown { scope, name: name.to_owned(), it }));
        }
        all
    }

    pub fn balances(&self, who: &Who<'_>, unix_ms: u64) -> Vec<Shown<Balance>> {
        let mut all = Vec::new();
        let seats = self.seats(who, unix_ms);
        for purse in self.purses.iter().chain(seats.iter().filter_map(|seat| seat.purse.as_ref())) {
            let (scope, name) = (purse.scope().kind(), purse.scope().name());
            all.extend(purse.balances(unix_ms).into_iter().map(|it| Shown { scope, name: name.to_owned(), it }));
        }
        for (scope, name, crowd) in self.crowds() {
            let unused = crowd.budgets.iter().map(|budget| Balance::unused(budget, unix_ms));
            all.extend(unused.map(|it| Shown { scope, name: name.to_owned(), it }));
        }
        all
    }

    /// Those of models and of tags by their name, and of the user and the tags that ask, if they were
    /// ever seen.
    fn seats(&self, who: &Who<'_>, unix_ms: u64) -> Vec<Seat> {
        let mut seats: Vec<Seat> = self.models.iter().map(|(_, seat)| seat.clone()).collect();
        seats.extend(self.tags.iter().filter_map(|(_, rule)| match rule {
            TagRule::One(seat) => Some(seat.clone()),
            TagRule::Each(_) => None,
        }));
        seats.extend(self.users.as_ref().zip(who.user).and_then(|(users, user)| users.known(user, unix_ms)));
        for tag in who.tags {
            seats.extend(self.tag_rules(tag).filter_map(|rule| match rule {
                TagRule::One(_) => None,
                TagRule::Each(crowd) => crowd.known(tag, unix_ms),
            }));
        }
        seats
    }

    fn crowds(&self) -> impl Iterator<Item = (&'static str, &str, &Arc<Crowd>)> {
        let tags = self.tags.iter().filter_map(|(pattern, rule)| match rule {
            TagRule::Each(crowd) => Some(("tag", pattern.0.as_str(), crowd)),
            TagRule::One(_) => None,
        });
        self.users.iter().map(|crowd| ("user", "*", crowd)).chain(tags)
    }
}
