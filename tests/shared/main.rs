//! Limits and budgets that several replicas share, on a real store that is a child of the test. One file
//! each:
//! - `server`: Redis or Valkey on a free port, and what can happen to it;
//! - `script`: the store's script against a model of it;
//! - `replica`: what stands for a replica in one process;
//! - `limits`: what several of them admit together;
//! - `loss`: what they do without the store, and when it is back;
//! - `gateways`: the same of real processes;
//! - `kept`: answers that they give each other.
//!
//! With Valkey installed everything runs on both. Without either nothing runs, but in CI that fails.
#![cfg(feature = "proxy")]
#![expect(clippy::disallowed_types, reason = "tests look into JSON of any shape")]

#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use more of it")]
mod support;

#[cfg(test)]
mod gateways;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod loss;
#[cfg(test)]
mod replica;
#[cfg(test)]
mod script;
#[cfg(test)]
mod server;
