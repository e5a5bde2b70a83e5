//! How much may be done: requests and tokens in a second, a minute, an hour, a day, and requests at the
//! same time; on a tenant, on a key, on a tenant's model pattern, and on each of its users and tags. All
//! of them hold, and the one that has to be waited for longest is named. Budgets are in [`budget`].
//!
//! # How it counts
//! A sliding window for each limit, never one for two. *In no stretch of the limit's length are more than
//! `limit` requests (or reserved tokens) admitted*; nothing is approximated by hashing, so other keys
//! cannot be felt. Up to a limit of 64 every charge is remembered by the millisecond, and nothing is
//! refused that an exact log would admit. Above, charges of one slot (a sixtieth of the length, a fiftieth
//! of a second) share an entry that leaves with its last: a unit counts for at most one slot longer (2 %).
//!
//! Tokens are reserved by estimate at admission and settled on real usage: what was too much is
//! given back, what was too little is charged at once, into debt where the window is full, and paid
//! from the room that comes free. So the overshoot within a window is at most what the requests
//! in flight use beyond their estimates, and it is repaid (up to ten minutes' worth, or one window). A
//! request whose estimate exceeds the whole limit is admitted by an unused window, and leaves such a
//! debt. Output is estimated by what the model's answers were like ([`KeyLimits::expected_output`]).
//!
//! # Cost
//! A scope's counters are one lock and about 200 bytes at rest; a window in full use adds at most
//! 1 KiB. 10,000 busy keys with two limits stay under 25 MB. The path of a request holds no lock
//! that another scope's requests need: it locks the scopes that have limits for it in one order (tenant,
//! models, key, user, tags), checks all and then charges all. A refused request charges nothing. Names of
//! users and tags are the clients': a tenant has room for 10,000 users, and as many tags of each pattern
//! (`crowd`).
//!
//! # How to wire it
//! - One [`Limiter`] and one [`clock::Clock`] for the process. At load and at each reload:
//!   `let bound = limiter.bind_with(&runtime, roster.keys());` with the keys that are in no file, then
//!   `tenant::keys::Keyring::new(&runtime, roster, &bound)`, and swap the keyring with the runtime. Counters
//!   stay, new limits hold at once.
//! - Per request, when the model is known: `caller.limits.admit(&ask, clock.moment())`, which looks at
//!   limits and budgets. Keep the [`Admission`] in the request's context; its drop gives the concurrency
//!   back. [`Admission::also`] before another target is asked; [`Admission::keep_up`] while a stream runs.
//!   Call [`Admission::settle`] with what was used at each target at the end, nothing if no upstream did
//!   any work. Without that the estimate stays charged.
//! - [`headers::write`] puts `admission.standing()` (or `denial.standing`) on the answer;
//!   [`headers::retry_after`] does what `Error::retry_after` asks for.
//! - [`Limiter::restore`] before the first configuration is bound, and [`Limiter::changes`] now and again: the
//!   text is what to keep over a restart.
//! - `Door` guards against floods and guessing; see there.

mod admit;
pub mod budget;
pub mod clock;
mod crowd;
mod denial;
#[cfg(feature = "proxy")]
pub mod door;
mod earlier;
#[cfg(feature = "proxy")]
mod fleet;
mod gate;
pub mod headers;
mod learned;
mod limiter;
mod named;
mod scope;
#[cfg(feature = "proxy")]
pub mod shared;
mod shown;
#[cfg(test)]
mod tests;
mod window;

pub use admit::{Admission, Ask, KeyLimits, Used, Want};
pub use denial::{Denial, Lost, Refusal};
pub use gate::Standing;
pub use limiter::{Bound, Limiter};
pub use scope::{CounterId, Scope};
pub use shown::{Shown, Who};
pub use window::Level;
