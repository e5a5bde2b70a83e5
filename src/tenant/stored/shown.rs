//! A stored key, as it is shown: its settings as they were written, and how it stands.

use std::time::{Duration, SystemTime};

use super::{Held, Standing};
use crate::limit::clock::Rfc3339;
use crate::wire::json::Obj;

/// Its members into an object.
pub fn write(held: &Held, standing: Standing, row: &mut Obj<'_>) {
    let key = &held.row;
    row.text("id", &key.id).text("tenant", &key.tenant).text("source", "stored").text("state", standing.as_str());
    row.text("key", &format!("weir_{}_...", key.handle));
    row.text("created_at", &moment(key.created_at_ms));
    match key.revoked_at_ms {
        Some(at_ms) => row.text("revoked_at", &moment(at_ms)),
        None => row.null("revoked_at"),
    };
    match key.previous {
        Some(previous) => row.text("previous_until", &moment(previous.until_ms)),
        None => row.null("previous_until"),
    };
    for (name, value) in super::made::members(key.settings.as_bytes()).unwrap_or_default() {
        row.raw(&name, value.get());
    }
}

/// A moment in milliseconds since 1970.
pub fn moment(at_ms: u64) -> String {
    Rfc3339(SystemTime::UNIX_EPOCH + Duration::from_millis(at_ms)).to_string()
}
