//! The chain of changes, newest first.

use http::StatusCode;

use super::query::{Query, page_limit};
use super::{Answer, Asked};
use crate::config::read::{Day, Scalar as _};
use crate::store::AuditPage;
use crate::tenant::audit::Entry;
use crate::tenant::stored::shown::moment;
use crate::wire::json::Obj;

/// `{"data": [entry, ...], "next_cursor": "..." or null}`
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    let page = match page(&asked.query) {
        Ok(page) => page,
        Err(refused) => return refused,
    };
    // One more than is wanted tells whether there are more.
    let found = match asked.backend.audit(AuditPage { limit: page.limit.saturating_add(1), ..page }) {
        Ok(found) => found,
        Err(error) => {
            tracing::error!("the chain of changes cannot be read: {error}");
            let text = "the database does not answer";
            return Answer::error(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", text);
        }
    };
    let most = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    let mut rows = root.arr("data");
    found.iter().take(most).for_each(|entry| write(entry, &mut rows.obj()));
    drop(rows);
    match most.checked_sub(1).and_then(|last| found.get(last)).filter(|_| found.len() > most) {
        Some(last) => root.text("next_cursor", &last.seq.to_string()),
        None => root.null("next_cursor"),
    };
    drop(root);
    Answer::json(StatusCode::OK, body)
}

fn write(entry: &Entry, row: &mut Obj<'_>) {
    row.num("seq", entry.seq).text("at", &moment(entry.at_ms)).text("who", &entry.who);
    row.text("action", &entry.action).text("target", &entry.target).raw("detail", &entry.detail);
    row.text("prev_hash", &hex::encode(entry.previous)).text("hash", &hex::encode(entry.hash));
}

fn page(query: &str) -> Result<AuditPage, Answer> {
    let mut wanted = Query::read(query, &["since", "limit", "cursor"])?;
    let limit = page_limit(wanted.take("limit").as_deref())?;
    let wrong = |name: &str, expected: &str| Query::refused(&format!("`{name}`: expected {expected}"));
    let since_ms = match wanted.take("since") {
        Some(text) => {
            let day = Day::parse(&text).map_err(|expected| wrong("since", &expected))?;
            u64::try_from(day.unix_seconds).unwrap_or_default().saturating_mul(1_000)
        }
        None => 0,
    };
    let before = match wanted.take("cursor") {
        Some(text) => Some(text.parse().map_err(|_| wrong("cursor", "the `next_cursor` of a list"))?),
        None => None,
    };
    Ok(AuditPage { since_ms, before, limit: u32::try_from(limit).unwrap_or(u32::MAX) })
}
