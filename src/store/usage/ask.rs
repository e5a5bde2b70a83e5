//! Questions as a URL asks them, and the lines of answers as JSON.

use percent_encoding::percent_decode_str;

use super::super::columns::usd_text;
use super::super::time::moment_ms;
use super::{By, UsageQuery, UsageRow, Used};
use crate::limit::clock::unix_ms;
use crate::wire::json::Obj;

/// Lines of an answer, where nothing else is said.
const USUAL: u32 = 1_000;
const MOST: u32 = 10_000;

/// The members of a query, decoded, each once: of two that are said nobody knows which is meant.
pub(crate) fn members(query: &str) -> Result<Vec<(&str, String)>, String> {
    let member = |part| {
        let (name, value): (&str, &str) =
            str::split_once(part, '=').ok_or_else(|| format!("`{part}`: expected `name=value`"))?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().map_err(|_| format!("`{name}` is not UTF-8"))?;
        if value.contains('\0') {
            return Err(format!("`{name}` holds a NUL"));
        }
        Ok((name, value.into_owned()))
    };
    let mut all: Vec<(&str, String)> = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = member(part)?;
        if all.iter().any(|(known, _)| *known == name) {
            return Err(format!("`{name}` is there twice"));
        }
        all.push((name, value));
    }
    Ok(all)
}

impl UsageQuery {
    /// `by=tenant,model&since=7d&until=2026-11-28&tenant=acme&limit=100&cursor=100`. What is not grouped by
    /// anything is one sum.
    pub(crate) fn read(query: &str) -> Result<Self, String> {
        Self::read_with(query, |_| true)
    }

    /// The same of what one key used: others are no filters, and are not offered as such.
    pub(crate) fn read_own(query: &str) -> Result<Self, String> {
        Self::read_with(query, |by| !matches!(by, By::Tenant | By::Key))
    }

    fn read_with(query: &str, offers: fn(By) -> bool) -> Result<Self, String> {
        let mut asked = Self { limit: USUAL, ..Self::default() };
        for (name, value) in members(query)? {
            let wrong = |expected: &str| format!("`{name}`: expected {expected}");
            let moment = || {
                let ms = moment_ms(&value, unix_ms());
                ms.map(|ms| ms.div_euclid(1_000))
                    .ok_or_else(|| wrong("a time in UTC like 2026-11-28T22:54:00Z, or how long ago, like 7d"))
            };
            match name {
                "by" => asked.by = By::list(&value).map_err(|why| format!("`by`: {why}"))?,
                "since" => asked.since_s = Some(moment()?),
                "until" => asked.until_s = Some(moment()?),
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                    asked.limit = limit.ok_or_else(|| wrong("1 to 10000"))?;
                }
                "cursor" => {
                    let offset: u32 = value.parse().map_err(|_| wrong("the `next_cursor` of an answer"))?;
                    asked.offset = offset.into();
                }
                _ => match By::ALL.into_iter().find(|by| by.as_str() == name && !by.is_time()) {
                    Some(by) => asked.filters.push((by, value)),
                    None => return Err(unknown(name, offers)),
                },
            }
        }
        match asked.wrong() {
            Some(wrong) => Err(wrong),
            None => Ok(asked),
        }
    }

    /// Takes a page of an answer, of which one more line was asked for than is shown, and writes its lines
    /// and where the next page begins.
    pub(crate) fn write(&self, rows: &[UsageRow], name: &str, out: &mut Obj<'_>) {
        let shown = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let mut list = out.arr(name);
        for row in rows.iter().take(shown) {
            row.write(&self.by, &mut list.obj());
        }
        drop(list);
        match rows.len() > shown {
            true => out.text("next_cursor", &(self.offset + u64::from(self.limit)).to_string()),
            false => out.null("next_cursor"),
        };
    }

    /// The same question, with one line more.
    pub(crate) fn and_one_more(&self) -> Self {
        Self { limit: self.limit.saturating_add(1), ..self.clone() }
    }
}

fn unknown(name: &str, offers: fn(By) -> bool) -> String {
    let filters =
        By::ALL.into_iter().filter(|by| !by.is_time() && offers(*by)).map(By::as_str).collect::<Vec<_>>().join(", ");
    format!("`{name}` is not known: by, since, until, limit, cursor, {filters}")
}

impl Used {
    /// As members of an object.
    pub(crate) fn write(&self, out: &mut Obj<'_>) {
        out.num("requests", self.requests).num("failed", self.failed).num("unpriced", self.unpriced);
        out.num("input_tokens", self.input_tokens).num("output_tokens", self.output_tokens);
        out.num("cached_tokens", self.cached_tokens).num("cache_write_tokens", self.cache_write_tokens);
        out.num("reasoning_tokens", self.reasoning_tokens);
        match self.known_cost() {
            Some(cost) => out.raw("cost_pico_usd", &cost.to_string()).raw("cost_usd", &usd_text(cost)),
            None => out.null("cost_pico_usd").null("cost_usd"),
        };
    }

    /// `None` where nothing of it has a price and something has none: that is no zero.
    fn known_cost(&self) -> Option<i128> {
        (self.cost.0 != 0 || self.unpriced == 0).then_some(self.cost.0)
    }
}

impl UsageRow {
    /// As members of an object: its names, then what was used.
    pub(crate) fn write(&self, by: &[By], out: &mut Obj<'_>) {
        for (by, name) in by.iter().zip(&self.names) {
            match name {
                Some(name) => out.text(by.as_str(), name),
                None => out.null(by.as_str()),
            };
        }
        self.used.write(out);
    }

    /// As an exact decimal, where it is known.
    pub(crate) fn cost_usd(&self) -> Option<String> {
        self.used.known_cost().map(usd_text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::price::PicoUsd;

    #[test]
    fn a_query_is_read() {
        let text = "by=tenant,day&since=2026-11-28&model=openai%2Fgpt+5&limit=5&cursor=10";
        let asked = UsageQuery::read(text).unwrap();
        let expected = UsageQuery {
            by: vec![By::Tenant, By::Day],
            filters: vec![(By::Model, "openai/gpt 5".into())],
            since_s: Some(1_795_824_000),
            until_s: None,
            limit: 5,
            offset: 10,
        };
        assert_eq!(asked, expected);
        assert_eq!(UsageQuery::read("").unwrap().limit, 1_000);
        for (bad, part) in [
            ("by=x", "`by`"),
            ("limit=0", "`limit`"),
            ("day=2026-11-28", "`day` is not known"),
            ("since=later", "`since`"),
            ("tag=%00", "NUL"),
            ("by=tag&user=x", "together"),
        ] {
            assert!(UsageQuery::read(bad).unwrap_err().contains(part), "{bad}");
        }
        assert!(
            UsageQuery::read("x=1")
                .unwrap_err()
                .ends_with("cursor, tenant, key, user, tag, route, model, provider, upstream_model")
        );
        assert!(
            UsageQuery::read_own("x=1")
                .unwrap_err()
                .ends_with("cursor, user, tag, route, model, provider, upstream_model")
        );
    }

    #[test]
    fn a_cost_that_nobody_knows_is_no_zero() {
        let shown = |requests: u64, unpriced: u64, pico: i128| {
            let used = Used { requests, unpriced, cost: PicoUsd(pico), ..Used::default() };
            let mut out = Vec::new();
            used.write(&mut Obj::new(&mut out));
            let text = String::from_utf8(out).unwrap();
            let cost = text.split_once("\"cost_pico_usd\":").unwrap().1.to_owned();
            (cost, UsageRow { names: Vec::new(), used }.cost_usd())
        };
        assert_eq!(shown(2, 2, 0), ("null,\"cost_usd\":null}".to_owned(), None));
        assert_eq!(shown(2, 0, 0).1.as_deref(), Some("0.0"), "what is free is known");
        assert_eq!(shown(2, 1, 1_000_000).1.as_deref(), Some("0.000001"));
    }
}
