//! The life of a request, one verb a file, in this order:
//!
//! ```text
//! accept -> authenticate -> parse -> route -> limit -> ( translate request -> upstream -> translate response ) -> account -> respond
//! ```
//!
//! The bracket repeats per attempt, always from the client's untouched bytes (`proxy::relay`).

pub mod accept;
