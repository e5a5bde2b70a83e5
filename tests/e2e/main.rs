//! The real binary on real sockets: what `CONTRACT`-level promises look like from outside.
//!
//! Upstreams are scripted (every byte decided by the test) or the built-in simulator (answers like
//! the vendors). Regression tests for failures known from elsewhere carry the row of the list they
//! come from in their documentation.
#![expect(clippy::disallowed_types, reason = "tests look into JSON of any shape")]

#[cfg(test)]
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with the other tests of the whole program, which use other parts of it")]
mod support;

#[cfg(test)]
use support::grammar::{contents, items};

#[cfg(test)]
mod admin;
#[cfg(test)]
mod alerts;
#[cfg(test)]
mod ask;
#[cfg(test)]
mod auth;
#[cfg(test)]
mod auto;
#[cfg(feature = "aws")]
#[cfg(test)]
mod aws_chain;
#[cfg(test)]
mod azure;
#[cfg(test)]
mod bedrock;
#[cfg(test)]
mod bodies;
#[cfg(test)]
mod budgets;
#[cfg(test)]
mod cache;
#[cfg(test)]
mod capture;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod clouds;
#[cfg(test)]
mod cohere;
#[cfg(test)]
mod compression;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod count;
#[cfg(test)]
mod day;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod edge_tools;
#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod errors;
#[cfg(test)]
mod formed;
#[cfg(test)]
mod gemini;
#[cfg(test)]
mod guarded_tools;
#[cfg(test)]
mod guards;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod http1;
#[cfg(test)]
mod jwt;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod ledger;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod live;
#[cfg(test)]
mod mcp;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod models;
#[cfg(test)]
mod others;
#[cfg(feature = "otlp")]
#[cfg(test)]
mod otlp;
#[cfg(test)]
mod packed;
#[cfg(test)]
mod passing;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod playground;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod prices;
#[cfg(test)]
mod realtime;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod rounds;
#[cfg(test)]
mod routing;
#[cfg(test)]
mod second;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod semantic;
#[cfg(test)]
mod stored;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod systemd;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod translate;
#[cfg(test)]
mod upstreams;
#[cfg(test)]
mod usage;
#[cfg(test)]
mod vertex;
