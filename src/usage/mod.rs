//! What a request used, and what that costs.

pub mod tokens;
