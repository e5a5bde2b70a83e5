//! Where a request goes: what is known of the targets, and the choice among them.

pub mod quota;
