//! Requests of this format: <https://ai.google.dev/api/generate-content#request-body>.
//!
//! [`decode`] reads what clients send; model and streaming stand in the path. [`encode`] writes for
//! an upstream: a request of this format goes out as it came, one of another is arranged so that it
//! is accepted (`turns`), and what cannot be said is dropped by name.

mod decode;
mod encode;
mod thinking;
mod tools;
mod turns;

pub use decode::decode;
pub use encode::encode;

#[cfg(test)]
mod tests;
