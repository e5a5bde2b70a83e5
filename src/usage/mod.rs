//! What a request used, and what that costs.

pub mod price;
pub mod tokens;
