//! Whom to ask: what is known of endpoints, how one is chosen among targets, and what to do after an
//! attempt that failed. Time, chance and load are numbers handed in, so all of it is tested without a
//! clock, and no future waits in it.
//!
//! - [`board`] is what is known, for as long as the process lives; [`vital`] of one model at one endpoint.
//! - [`pick`] puts targets in the order to try them, by a route's strategy and by [`affinity`];
//!   [`auto`] by what a request needs.
//! - [`cause`] says why an attempt failed, [`attempts`] what follows from it, [`budget`] how often.
//! - [`fair`] is the queue before an endpoint whose places are taken.

pub mod affinity;
pub mod attempts;
//AUTO
pub mod board;
pub mod budget;
pub mod cause;
//FAIR
mod latency;
mod log2;
pub mod pick;
pub mod quota;
pub mod vital;
