//! Thinking that has to come back as it was given.

use crate::wire::ir::PartKind;

/// Whether a part is thinking that its maker can check. What another's was is taken out before (see
/// [`crate::wire::bridge`]).
pub(super) fn is_signed(kind: &PartKind<'_>) -> bool {
    match kind {
        PartKind::Reasoning { signature: Some(signature), .. } => !signature.is_empty(),
        PartKind::RedactedReasoning { .. } => true,
        _ => false,
    }
}
