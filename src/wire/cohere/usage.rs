//! Token counts of this format.

use crate::usage::tokens::Usage;
use crate::wire::Quirks;

/// The counts of a whole answer.
pub fn in_body(_body: &str, _quirks: &Quirks) -> Option<Usage> {
    None
}
