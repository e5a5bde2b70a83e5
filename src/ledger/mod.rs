//! What every admitted request used and cost, one final row each, whatever happened to it.

mod row;

pub use row::{Attempt, Classes, Row};
