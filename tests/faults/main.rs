//! The real binary before upstreams that fail in every way there is: what the client gets, who is
//! asked how often, what the record and the metrics say of it. One file each:
//! - `voice`: the formats of upstreams, good answers and errors;
//! - `format`: the formats of clients, how they ask and what they may get;
//! - `fault`: what can go wrong, how it is played on the socket, what has to come of it;
//! - `table`: many cases side by side against one gateway;
//! - `matrix`: the tables;
//! - `again`: asking the same target again;
//! - `rows`: failures known from elsewhere that are no line of a table.
#![expect(clippy::disallowed_types, reason = "tests look into JSON of any shape")]

#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use more of it")]
mod support;

#[cfg(test)]
mod again;
#[cfg(test)]
mod fault;
#[cfg(test)]
mod format;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod table;
#[cfg(test)]
mod voice;
