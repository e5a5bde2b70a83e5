//! Where a request goes, and what is done when that fails: decided here, carried out by `proxy`.
//!
//! Pure state and arithmetic. Nothing in here reads a clock, sleeps or draws lots: moments are
//! numbers handed in, and names are hashed the same way in every process, so replicas agree without
//! talking to each other.

pub mod affinity;
pub mod budget;
mod log2;
pub mod quota;
