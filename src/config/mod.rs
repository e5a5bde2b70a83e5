//! Configuration: what was written, what it means, and how the one becomes the other.
//!
//! [`yaml`] gives text as a tree with places; [`raw`] declares what may be written (and is the
//! source of the schema); [`read`] takes the one into the other; `resolve` checks it all together
//! and builds the [`runtime`]; [`load`] is the way through. Every problem is found before any is
//! reported ([`report`]).

pub mod access;
pub mod alerts;
pub mod attempts;
pub mod budget;
pub mod cache;
pub mod capture;
pub mod database;
pub mod discovered;
pub mod dump;
pub mod env;
pub mod guards;
pub mod limits;
pub mod load;
pub mod raw;
pub mod read;
#[cfg(feature = "proxy")]
pub mod reload;
pub mod report;
mod resolve;
pub mod runtime;
pub mod schema;
pub mod telemetry;
pub mod tools;
pub mod yaml;
