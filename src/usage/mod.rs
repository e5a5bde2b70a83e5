//! What a request used, and what that costs.

pub mod decimal;
pub mod estimate;
pub mod price;
pub mod tokens;
