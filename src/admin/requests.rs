//! Finished requests: the last of them, newest first, and one by its id.

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::{Answer, Asked};
use crate::telemetry::kept::Wanted;
use crate::wire::json::Obj;

const USUAL: usize = 100;
const MOST: usize = 1_000;

/// `{"data": [record, ...], "next_cursor": "..." or null}`
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    let wanted = match wanted(&asked.query) {
        Ok(wanted) => wanted,
        Err(why) => return Answer::error(StatusCode::BAD_REQUEST, "invalid_query", &why),
    };
    let page = asked.backend.requests().page(&wanted);
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    let mut rows = root.arr("data");
    page.rows.iter().for_each(|row| rows.item().extend_from_slice(row));
    drop(rows);
    match page.next {
        Some(number) => root.text("next_cursor", &number.to_string()),
        None => root.null("next_cursor"),
    };
    drop(root);
    Answer::json(StatusCode::OK, body)
}

/// The record, as the list has it.
pub(super) fn one(asked: &Asked<'_>) -> Answer {
    match asked.backend.requests().one(asked.name).filter(|row| asked.sees(tenant_of(row).as_deref())) {
        Some(row) => Answer::json(StatusCode::OK, row.to_vec()),
        None => Answer::error(StatusCode::NOT_FOUND, "unknown_request", "this request is not among the last ones"),
    }
}

/// Whose it was.
fn tenant_of(row: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Row {
        tenant: Option<String>,
    }
    serde_json::from_slice::<Row>(row).ok()?.tenant
}

fn wanted(query: &str) -> Result<Wanted, String> {
    let mut wanted = Wanted { limit: USUAL, ..Wanted::default() };
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').ok_or_else(|| format!("`{part}`: expected `name=value`"))?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().map_err(|_| format!("`{name}` is not UTF-8"))?;
        let wrong = |expected: &str| format!("`{name}`: expected {expected}");
        match name {
            "tenant" => wanted.tenant = Some(value.into_owned()),
            "key" => wanted.key = Some(value.into_owned()),
            "model" => wanted.model = Some(value.into_owned()),
            "status" => wanted.status = Some(value.parse().map_err(|_| wrong("a status like 200"))?),
            "since" => wanted.since = Some(moment(&value).ok_or_else(|| wrong("a time in UTC: 2026-11-28T22:54:00Z"))?),
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                wanted.limit = limit.ok_or_else(|| wrong("1 to 1000"))?;
            }
            "cursor" => wanted.before = Some(value.parse().map_err(|_| wrong("the `next_cursor` of a list"))?),
            _ => return Err(format!("`{name}` is not known: tenant, key, model, status, since, limit, cursor")),
        }
    }
    Ok(wanted)
}

/// A moment as records write it, or its beginning: `2026-11-28`, `2026-11-28T22:54:00Z`.
fn moment(text: &str) -> Option<String> {
    const SHAPE: &str = "0000-00-00T00:00:00.000";
    let text = text.strip_suffix('Z').unwrap_or(text);
    let fits = |(own, shape): (char, char)| if shape == '0' { own.is_ascii_digit() } else { own == shape };
    let is_one = (10..=SHAPE.len()).contains(&text.len()) && text.chars().zip(SHAPE.chars()).all(fits);
    is_one.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_is_wanted() {
        let all = "tenant=a%20b&key=k&model=openai%2Fgpt&status=429&since=2026-11-28T22:54:00Z&limit=5&cursor=17";
        let expected = Wanted {
            tenant: Some("a b".into()),
            key: Some("k".into()),
            model: Some("openai/gpt".into()),
            status: Some(429),
            since: Some("2026-11-28T22:54:00".into()),
            limit: 5,
            before: Some(17),
        };
        assert_eq!(wanted(all), Ok(expected));
        assert_eq!(wanted(""), Ok(Wanted { limit: 100, ..Wanted::default() }));
        assert_eq!(wanted("&limit=100&"), wanted(""));
        assert_eq!(wanted("tenant=a+b").unwrap().tenant.as_deref(), Some("a b"));
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
            ("tenant=%ff", "tenant"),
            ("limit", "limit"),
            ("tenant=a&cursor", "cursor"),
        ] {
            assert!(wanted(query).unwrap_err().contains(name), "{query}");
        }
        assert_eq!(moment("2026-11-28").as_deref(), Some("2026-11-28"));
    }
}
