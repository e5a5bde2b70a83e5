//! How much a key may do: requests per minute, tokens per minute, requests at the same time; on a
//! tenant, on a key, and on a tenant's model pattern. All of them hold, and the tightest is named.
//!
//! # How it counts
//! A sliding window of 60 seconds per limit. *In no window of 60 seconds are more than `limit`
//! requests (or reserved tokens) admitted*; nothing is approximated by hashing, so other keys cannot
//! be felt. Up to a limit of 64 every charge is remembered by the millisecond, and nothing is refused
//! that an exact log would admit. Above, charges of one second share an entry that leaves with its
//! last: a unit counts for at most one second longer (1.7 %).
//!
//! Tokens are reserved by estimate at admission and settled on real usage: what was too much is
//! given back, what was too little is charged at once, into debt where the window is full, and paid
//! from the room that comes free. So the overshoot within a window is at most what the requests
//! in flight use beyond their estimates, and it is repaid (up to ten windows' worth). A request whose
//! estimate exceeds the whole limit is admitted by an unused window, and leaves such a debt.
//!
//! # Cost
//! A scope's counters are one lock and about 200 bytes at rest; a window in full use adds at most
//! 1 KiB. 10,000 busy keys with both limits stay under 25 MB. The path of a request holds no lock
//! that another scope's requests need: it locks the tenant (only where it has limits), then matching
//! model patterns, then the key, always in this order, checks all and then charges all. A refused
//! request charges nothing.
//!
//! # How to wire it
//! - One [`Limiter`] and one [`clock::Clock`] for the process. At load and at each reload:
//!   `let bound = limiter.bind(&runtime); let keyring = tenant::keys::Keyring::new(&runtime, &bound);`
//!   and swap the keyring with the runtime. Counters stay, new limits hold at once.
//! - Per request, when the model is known: `caller.limits.admit(&[client_name, "provider/model"],
//!   estimate, clock.moment())`, which looks at limits and budgets. Keep the [`Admission`] in the
//!   request's context; its drop gives the concurrency back. Call [`Admission::settle`] with all tokens
//!   and their cost at the end, nothing if no upstream did any work. Without that the estimate stays
//!   charged.
//! - [`headers::write`] puts `admission.standing()` (or `denial.standing`) on the answer;
//!   [`headers::retry_after`] does what `Error::retry_after` asks for.
//! - `Door` guards against floods and guessing; see there.

pub mod budget;
pub mod clock;
#[cfg(feature = "proxy")]
pub mod door;
mod gate;
pub mod headers;
mod limiter;
#[cfg(feature = "proxy")]
pub mod shared;
mod window;

pub use gate::{Admission, Denial, KeyLimits, Limited, Refusal, Scope, Standing};
pub use limiter::{Bound, Limiter};
pub use window::{Level, WINDOW_MS};
