//! Weir, a self-hosted AI gateway.
//!
//! The modules in the order of a request:
//! - `proxy` knows Pingora: listeners, hooks, the attempt loop, connections;
//! - `stage` is the life of a request, one verb a file;
//! - `tenant`, `limit`, `route` decide who may, how much, and where to;
//! - [`tools`] are what models call and the gateway runs itself;
//! - [`wire`] translates: formats to meaning and back;
//! - [`provider`] is what is known of each vendor, as data;
//! - [`usage`] counts and prices tokens, [`record`] is what is known of a request, [`ledger`] keeps what
//!   became of every one, `store` is its database;
//! - `telemetry`, `admin` show it, [`alert`] tells those who do not look, `otlp` tells collectors,
//!   [`capture`] keeps whole exchanges;
//! - [`secret`] is text that cannot be printed, `whole` writes files that are never there half;
//! - `cache` keeps answers that are given again;
//! - [`guard`] finds in texts what may not pass, and hides it;
//! - [`config`] is read at start and on reload; `cli` is the command line; `simulator` is the
//!   provider that needs no network.

#[cfg(feature = "proxy")]
pub mod admin;
#[cfg(feature = "proxy")]
pub mod alert;
#[cfg(feature = "proxy")]
pub mod cache;
#[cfg(feature = "proxy")]
pub mod capture;
#[cfg(feature = "proxy")]
pub mod cli;
pub mod compress;
pub mod config;
pub mod error;
pub mod guard;
pub mod ledger;
pub mod limit;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod provider;
#[cfg(feature = "proxy")]
mod proxy;
pub mod record;
pub mod route;
pub mod secret;
#[cfg(feature = "proxy")]
pub mod simulator;
#[cfg(feature = "proxy")]
pub mod stage;
#[cfg(feature = "proxy")]
pub mod store;
#[cfg(feature = "proxy")]
pub mod telemetry;
pub mod tenant;
#[cfg(feature = "proxy")]
pub mod tools;
pub mod usage;
mod whole;
pub mod wire;
