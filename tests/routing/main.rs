//! Fleets on a clock that is only a number: thousands of requests through the real pieces of routing,
//! against endpoints that fail, limit, slow down and remember prompts. Every test has a control that
//! shows that it could fail.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test may fail by panic")]

mod caches;
mod fleet;
mod shares;
mod storms;
