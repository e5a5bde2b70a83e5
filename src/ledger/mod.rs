//! What every admitted request used and cost, one final row each, whatever happened to it.
//!
//! # How it is kept
//! A [`Log`] is written ahead of everything: before a provider is asked for the first time, before each
//! further attempt, now and then while an answer streams, and before the client has the whole answer.
//! Every record is the whole row as far as it is known then, so that the last one of a request is its
//! row whatever happens next. A record is handed to the system before the request goes on: it survives
//! the death of the process. All records since the last time are synced to the disk together, every
//! [`sync`](Log::sync): what a power cut may take.
//!
//! A [`Folder`] reads the log and brings rows into a store, each once, and finishes the logs of
//! processes that were killed. Segments that are folded and have no open request are removed.
//!
//! # Cost
//! A request takes the lock of its own thread's stream three times, which nobody else wants but the
//! beats, and makes two writes to the page cache.
//!
//! # When a disk is full
//! A request whose first record cannot be written is refused before anything was asked of a provider
//! ([`Unwritable`]), unless the operator wants to serve unrecorded. Later records of requests that run
//! wait in memory, bounded, and are written as soon as that is possible.

mod files;
mod fold;
mod frame;
mod log;
mod rerate;
mod row;
mod stream;
mod tail;
#[cfg(test)]
mod tests;
mod verify;

pub use fold::{Folded, Folder, Store};
pub use log::{Counts, Entry, Log, Options, Unwritable};
pub use rerate::{Asked, Priced, rerate};
pub use row::{Attempt, Classes, Row};
pub use tail::Damage;
pub use verify::{Verified, verify};

/// Under `state.dir`.
const DIRECTORY: &str = "ledger";

/// A stream, and up to which of its records all that ended is in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub stream: String,
    pub seq: u64,
}
