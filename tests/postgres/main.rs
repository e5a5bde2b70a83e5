//! The database of the ledger on a real Postgres, and the same on SQLite: both have to say the same.
//!
//! `WEIR_STORE_ROWS=1000000` makes the test of many rows as large as it is meant to be.

#![cfg_attr(test, expect(clippy::string_slice, reason = "a test that cannot go on fails"))]
#![expect(clippy::disallowed_types, reason = "tests look into JSON of any shape")]

#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use more of it")]
mod support;

#[cfg(test)]
mod gateways;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod many;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod server;
#[cfg(test)]
mod shared;
#[cfg(test)]
mod the_same;
