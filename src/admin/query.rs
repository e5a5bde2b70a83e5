//! The query of a list: names that are known, each once.

use std::collections::BTreeMap;

use http::StatusCode;
use percent_encoding::percent_decode_str;

use super::Answer;

const USUAL: usize = 100;
const MOST: usize = 1_000;

/// What is asked for, by name.
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Refuses names that are not known, rather than answer another question.
    pub(super) fn read(query: &str, known: &[&str]) -> Result<Self, Answer> {
        let mut all = BTreeMap::new();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            if !known.contains(&name) {
                return Err(Self::refused(&format!("`{name}` is not known: {}", known.join(", "))));
            }
            let value = value.replace('+', " ");
            let value = percent_decode_str(&value).decode_utf8();
            let value = value.map_err(|_| Self::refused(&format!("`{name}` is not UTF-8")))?.into_owned();
            if all.insert(name.to_owned(), value).is_some() {
                return Err(Self::refused(&format!("`{name}` is there twice")));
            }
        }
        Ok(Self(all))
    }

    pub(super) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    pub(super) fn refused(why: &str) -> Answer {
        Answer::error(StatusCode::BAD_REQUEST, "invalid_query", why)
    }
}

/// How many are wanted.
pub(super) fn page_limit(given: Option<&str>) -> Result<usize, Answer> {
    let Some(text) = given else { return Ok(USUAL) };
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| Query::refused("`limit`: expected 1 to 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_understood_or_refused() {
        let mut query = Query::read("tenant=a%20b&limit=5&", &["tenant", "limit"]).unwrap_or(Query(BTreeMap::new()));
        assert_eq!((query.take("tenant").as_deref(), query.take("limit").as_deref()), (Some("a b"), Some("5")));
        for bad in ["tenants=a", "limit=1&limit=2", "tenant=%ff"] {
            assert!(Query::read(bad, &["tenant", "limit"]).is_err(), "{bad}");
        }
        assert_eq!(page_limit(None).ok(), Some(100));
        assert!(["0", "1001", "x", "-1"].iter().all(|bad| page_limit(Some(bad)).is_err()));
    }
}
