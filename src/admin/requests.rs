//! Finished requests, newest first, and one by its id: from the database, and from memory what has not
//! come there yet. Where there is no database, or it does not answer, the last ones from memory.

use http::StatusCode;

use super::{Answer, Asked};
use crate::limit::clock::{Rfc3339, unix_ms};
use crate::store::{Cursor, Wanted, members, moment_ms, read_ms};
use crate::telemetry::kept;
use crate::wire::json::Obj;

const USUAL: u32 = 100;
const MOST: u32 = 1_000;

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// What began last.
    Started,
    /// What ended last, of what this process remembers: for who follows what ends.
    Ended,
}

/// A row, and where it stands.
type Placed = (Cursor, Vec<u8>);

/// `{"data": [record, ...], "next_cursor": "..." or null, "source": "database" or "memory"}`
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    let (wanted, order) = match wanted(&asked.query) {
        Ok(found) => found,
        Err(why) => return Answer::error(StatusCode::BAD_REQUEST, "invalid_query", &why),
    };
    if order == Order::Ended {
        let rows: Vec<_> = in_memory(asked, &wanted).take(most(&wanted)).collect();
        return listed(&rows, None, "memory");
    }
    // Memory first: a row that moves meanwhile is then seen twice, not missed.
    let remembered: Vec<Placed> = in_memory(asked, &wanted).collect();
    let stored = stored(asked, &wanted);
    let source = if stored.is_some() { "database" } else { "memory" };
    // Of the same row the database's comes first: it may have been priced again.
    let (more, mut rows) = stored.unwrap_or_default();
    rows.extend(remembered);
    rows.sort_by(|(a, _), (b, _)| place(b).cmp(&place(a)));
    rows.dedup_by(|(a, _), (b, _)| a == b);
    let more = more || rows.len() > most(&wanted);
    rows.truncate(most(&wanted));
    let last = rows.last().filter(|_| more).map(|(last, _)| last.to_string());
    listed(&rows, last, source)
}

fn most(wanted: &Wanted) -> usize {
    usize::try_from(wanted.limit).unwrap_or(usize::MAX)
}

fn listed(rows: &[Placed], next_cursor: Option<String>, source: &str) -> Answer {
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    let mut data = root.arr("data");
    rows.iter().for_each(|(_, row)| data.item().extend_from_slice(row));
    drop(data);
    match next_cursor {
        Some(next) => root.text("next_cursor", &next),
        None => root.null("next_cursor"),
    };
    root.text("source", source);
    drop(root);
    Answer::json(StatusCode::OK, body)
}

/// The record, as the list has it.
pub(super) fn one(asked: &Asked<'_>) -> Answer {
    if let Some(line) = asked.backend.requests().one(asked.name, |tenant| asked.sees(tenant)) {
        return Answer::json(StatusCode::OK, line);
    }
    let found = asked.backend.database().map(|database| database.request(asked.name));
    match found {
        Some(Ok(Some(row))) if asked.sees(row.tenant.as_deref()) => match row.line() {
            Ok(line) => Answer::json(StatusCode::OK, line),
            Err(error) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "unreadable_row", &error.to_string()),
        },
        Some(Ok(_)) => Answer::error(StatusCode::NOT_FOUND, "unknown_request", "there is no such request"),
        Some(Err(error)) => Answer::unavailable(&error.to_string()),
        None => Answer::error(StatusCode::NOT_FOUND, "unknown_request", "this request is not among the last ones"),
    }
}

/// The newest first.
fn place(cursor: &Cursor) -> (i64, &str) {
    (cursor.started_ms, &cursor.request_id)
}

/// Those that ended last come first.
fn in_memory(asked: &Asked<'_>, wanted: &Wanted) -> impl Iterator<Item = Placed> {
    let since = wanted.since_ms.and_then(|ms| u64::try_from(ms).ok()).map(std::time::Duration::from_millis);
    let some = kept::Wanted {
        tenant: wanted.tenant.clone(),
        key: wanted.key.clone(),
        model: wanted.model.clone(),
        status: wanted.status,
        since: since.map(|since| Rfc3339(std::time::UNIX_EPOCH + since).to_string()),
    };
    let placed = move |line: kept::Line| {
        let cursor = Cursor { started_ms: i64::try_from(line.started_ms).ok()?, request_id: line.request_id };
        let is_after = wanted.after.as_ref().is_none_or(|after| place(&cursor) < place(after));
        is_after.then_some((cursor, line.line))
    };
    asked.backend.requests().some(&some).into_iter().filter_map(placed)
}

/// The rows, and whether there are more. `None`: nobody to ask.
fn stored(asked: &Asked<'_>, wanted: &Wanted) -> Option<(bool, Vec<Placed>)> {
    let page = match asked.backend.database()?.requests(wanted) {
        Ok(page) => page,
        Err(error) => {
            tracing::warn!("requests are listed from memory: {error}");
            return None;
        }
    };
    let placed = |row: &crate::ledger::Row| {
        let cursor = Cursor { started_ms: read_ms(&row.started_at)?, request_id: row.request_id.clone() };
        Some((cursor, row.line().ok()?))
    };
    Some((page.next.is_some(), page.rows.iter().filter_map(placed).collect()))
}

fn wanted(query: &str) -> Result<(Wanted, Order), String> {
    let (mut wanted, mut order) = (Wanted { limit: USUAL, ..Wanted::default() }, Order::Started);
    for (name, value) in members(query)? {
        let wrong = |expected: &str| format!("`{name}`: expected {expected}");
        match name {
            "tenant" => wanted.tenant = Some(value),
            "key" => wanted.key = Some(value),
            "model" => wanted.model = Some(value),
            "status" => wanted.status = Some(value.parse().map_err(|_| wrong("a status like 200"))?),
            "since" => {
                let since = moment_ms(&value, unix_ms());
                let expected = "a time in UTC like 2026-11-28T22:54:00Z, or how long ago, like 12h";
                wanted.since_ms = Some(since.ok_or_else(|| wrong(expected))?);
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                wanted.limit = limit.ok_or_else(|| wrong("1 to 1000"))?;
            }
            "cursor" => wanted.after = Some(value.parse().map_err(|()| wrong("the `next_cursor` of a list"))?),
            "order" if value == "started" => order = Order::Started,
            "order" if value == "ended" => order = Order::Ended,
            "order" => return Err(wrong("`started` or `ended`")),
            _ => return Err(format!("`{name}` is not known: tenant, key, model, status, since, limit, cursor, order")),
        }
    }
    if order == Order::Ended && wanted.after.is_some() {
        return Err("`cursor`: expected none with `order=ended`, which is one page".to_owned());
    }
    Ok((wanted, order))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_wanted() {
        let all = "tenant=a%20b&key=k&model=openai%2Fgpt&status=429&since=2026-11-28T22:54:00Z&limit=5&cursor=17.r-1";
        let expected = Wanted {
            tenant: Some("a b".into()),
            key: Some("k".into()),
            model: Some("openai/gpt".into()),
            status: Some(429),
            since_ms: Some(1_795_906_440_000),
            limit: 5,
            after: Some(Cursor { started_ms: 17, request_id: "r-1".into() }),
        };
        assert_eq!(wanted(all), Ok((expected, Order::Started)));
        assert_eq!(wanted("order=ended"), Ok((Wanted { limit: 100, ..Wanted::default() }, Order::Ended)));
        assert_eq!(wanted("&limit=100&order=started"), wanted(""));
        assert_eq!(wanted("tenant=a+b").unwrap().0.tenant.as_deref(), Some("a b"));
    }

    #[test]
    fn what_it_cannot_say_is_named() {
        for (query, name) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("status=ok", "status"),
            ("since=yesterday", "since"),
            ("since=2026-11-28T22:54:00%2B02:00", "since"),
            ("cursor=x", "cursor"),
            ("tenants=a", "tenants"),
            ("tenant=a&tenant=b", "twice"),
            ("tenant=%ff", "tenant"),
            ("limit", "limit"),
            ("tenant=a&cursor", "cursor"),
            ("order=asked", "order"),
            ("order=ended&cursor=17.r-1", "cursor"),
        ] {
            assert!(wanted(query).unwrap_err().contains(name), "{query}");
        }
    }
}
