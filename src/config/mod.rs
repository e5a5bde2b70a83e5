//! Configuration: what was written (raw types), what it means ([`runtime`]), and how the one
//! becomes the other (load, check, reload).

pub mod runtime;
pub mod secret;
