//! Where a request goes, and what is done when that fails: decided here, carried out by `proxy`.
//!
//! Pure state and arithmetic. Nothing in here reads a clock, sleeps or draws lots: moments, chance and
//! load are numbers handed in, and names are hashed the same way in every process, so replicas agree
//! without talking to each other.
//!
//! - [`board`] is what is known, for as long as the process lives; [`vital`] of one model at one
//!   endpoint, [`quota`] what its answers say is left.
//! - [`pick`] puts targets in the order to try them, by a route's strategy and by [`affinity`];
//!   [`auto`] by what a request needs.
//! - [`cause`] says why an attempt failed, [`attempts`] what follows from it, [`budget`] how often.
//! - [`fair`] is the queue before an endpoint whose [`places`] are taken.

pub mod affinity;
pub mod attempts;
pub mod auto;
pub mod board;
pub mod budget;
pub mod cause;
pub mod fair;
mod latency;
mod log2;
pub mod pick;
pub mod places;
pub mod quota;
pub mod vital;
