//! The life of a request, one verb a file, in this order:
//!
//! ```text
//! accept -> authenticate -> parse -> route -> limit -> ( translate request -> upstream -> translate response ) -> account -> respond
//! ```
//!
//! The bracket repeats per attempt, always from the client's untouched bytes (`proxy::relay`).

pub mod accept;
pub mod account;
pub mod answer;
pub mod authenticate;
pub mod beside;
mod bounds;
pub mod choose;
pub mod compress;
pub mod guard;
pub mod models;
pub mod parse;
pub mod pass;
pub mod passed;
pub mod redact;
pub mod respond;
pub mod route;
pub mod select;
pub mod translate;
pub mod user;
