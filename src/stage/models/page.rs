//! Which part of the list a client asks for: Anthropic's `limit`, `after_id` and `before_id`
//! <https://docs.claude.com/en/api/models-list>, Google's `pageSize` and `pageToken`
//! <https://ai.google.dev/api/models#method:-models.list>.
//!
//! Who names no size gets the whole list: clients that read one page alone would miss the rest.

use crate::error::{Error, Result};
use crate::stage::accept::percent_decode;
use crate::wire::Dialect;

/// More on one page is for nobody.
const MOST: usize = 1_000;

/// A part of the list, and whether there is more of it in the direction that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page<'n> {
    pub(super) names: &'n [String],
    pub(super) has_more: bool,
}

impl<'n> Page<'n> {
    pub(super) fn of(dialect: Dialect, query: Option<&str>, names: &'n [String]) -> Result<Self> {
        let size = |name: &'static str| {
            let whole = || Error::invalid(name, format!("`{name}` must be a whole number from 1 to {MOST}"));
            parameter(query, name).map(|size| size.parse::<usize>().map_err(|_| whole())).transpose()
        };
        let place = |name: &'static str| {
            let unknown = || Error::invalid(name, format!("`{name}` names no model of this list"));
            let id = parameter(query, name).filter(|id| !id.is_empty());
            id.map(|id| names.iter().position(|name| *name == id).ok_or_else(unknown)).transpose()
        };
        match dialect {
            Dialect::Anthropic => {
                let limit = size("limit")?;
                if limit.is_some_and(|limit| !(1..=MOST).contains(&limit)) {
                    return Err(Error::invalid("limit", format!("`limit` must be from 1 to {MOST}")));
                }
                match (place("after_id")?, place("before_id")?) {
                    (None, Some(before)) => Ok(Self::last(names.get(..before).unwrap_or_default(), limit)),
                    (None, None) => Ok(Self::first(names, limit)),
                    (Some(after), None) => Ok(Self::first(names.get(after + 1..).unwrap_or_default(), limit)),
                    (Some(_), Some(_)) => {
                        Err(Error::invalid("before_id", "one of `after_id` and `before_id` at a time"))
                    }
                }
            }
            Dialect::Gemini => {
                let limit = size("pageSize")?.filter(|size| *size > 0).map(|size| size.min(MOST));
                let from = place("pageToken")?.map_or(0, |last| last + 1);
                Ok(Self::first(names.get(from..).unwrap_or_default(), limit))
            }
            _ => Ok(Self::first(names, None)),
        }
    }

    fn first(names: &'n [String], limit: Option<usize>) -> Self {
        let (page, rest) = names.split_at(limit.unwrap_or(names.len()).min(names.len()));
        Self { names: page, has_more: !rest.is_empty() }
    }

    fn last(names: &'n [String], limit: Option<usize>) -> Self {
        let (rest, page) = names.split_at(names.len().saturating_sub(limit.unwrap_or(names.len())));
        Self { names: page, has_more: !rest.is_empty() }
    }
}

fn parameter(query: Option<&str>, wanted: &str) -> Option<String> {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(name, _)| *name == wanted).map(|(_, value)| percent_decode(value).into_owned());
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["a/1", "b/2", "c/3", "d/4"].map(str::to_owned).to_vec()
    }

    fn page(dialect: Dialect, query: &str) -> Result<(Vec<String>, bool)> {
        let names = names();
        Page::of(dialect, Some(query), &names).map(|page| (page.names.to_vec(), page.has_more))
    }

    #[test]
    fn pages_follow_one_another() {
        for (dialect, query, expected, more) in [
            (Dialect::Anthropic, "", 0..4, false),
            (Dialect::Anthropic, "limit=1000", 0..4, false),
            (Dialect::Anthropic, "limit=3", 0..3, true),
            (Dialect::Anthropic, "limit=2&after_id=b%2F2", 2..4, false),
            (Dialect::Anthropic, "after_id=d/4&limit=2", 4..4, false),
            (Dialect::Anthropic, "limit=2&before_id=d/4", 1..3, true),
            (Dialect::Anthropic, "before_id=b/2", 0..1, false),
            (Dialect::Gemini, "pageSize=3", 0..3, true),
            (Dialect::Gemini, "pageSize=3&pageToken=c%2F3", 3..4, false),
            (Dialect::Gemini, "pageSize=0", 0..4, false),
            (Dialect::Gemini, "pageSize=5000&pageToken=", 0..4, false),
            (Dialect::OpenAiChat, "limit=1&pageSize=1", 0..4, false),
        ] {
            assert_eq!(page(dialect, query).unwrap(), (names()[expected].to_vec(), more), "{query}");
        }
    }

    #[test]
    fn odd_questions_are_refused() {
        for (dialect, query, param) in [
            (Dialect::Anthropic, "limit=0", "limit"),
            (Dialect::Anthropic, "limit=1001", "limit"),
            (Dialect::Anthropic, "limit=many", "limit"),
            (Dialect::Anthropic, "after_id=x", "after_id"),
            (Dialect::Anthropic, "after_id=a/1&before_id=b/2", "before_id"),
            (Dialect::Gemini, "pageSize=-1", "pageSize"),
            (Dialect::Gemini, "pageToken=x", "pageToken"),
        ] {
            let error = page(dialect, query).unwrap_err();
            assert_eq!((error.status(), error.param()), (400, Some(param)), "{query}");
        }
    }
}
