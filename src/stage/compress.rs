//! Fewer tokens in what tools gave back and in the list of tools, where that is configured: once for a request, before its limits
//! are reserved, so that all its attempts send the same.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::compress::{self, Compressed, How, Rules, Savings, Tier};
use crate::config::runtime::{Key, Route};
use crate::error::{Error, Result};
use crate::stage::route::Target;
use crate::usage::price::{PicoUsd, Usd};
use crate::wire::Dialect;
use crate::wire::envelope::Envelope;
use crate::wire::json::Obj;
use crate::wire::leaves::cache_points;
use crate::wire::splice::Splice;

/// What a request asks for; and on its answer, what was done.
pub const COMPRESSION: HeaderName = HeaderName::from_static("x-weir-compression");

/// A request that takes so many times as long as its rules reckon with is let go.
const PATIENCE: u32 = 10;

/// The name of what saves money rather than tokens.
const PROMPT_CACHE: &str = "prompt_cache";
/// Shorter prompts are not kept by anybody.
const LEAST_KEPT_TOKENS: u64 = 1_024;

/// What was done to a request.
#[derive(Debug)]
pub struct Done {
    pub savings: Savings,
    /// The names of what was done, with commas between.
    pub names: String,
    /// Tokens of the request before.
    pub before_tokens: u64,
    pub took: Duration,
    /// The request asked for it itself.
    pub is_asked: bool,
}

/// What holds for a request: the key's, else the route's, else the tenant's.
pub fn rules<'r>(key: &'r Key, route: Option<&'r Arc<Route>>) -> Option<&'r Rules> {
    let of_route = || route.and_then(|route| route.compression.as_ref());
    key.compression.as_ref().or_else(of_route).or(key.tenant.compression.as_ref())
}

/// What the request's head asks for, if it does.
pub fn asked(headers: &HeaderMap) -> Result<Option<Tier>> {
    let Some(value) = headers.get(COMPRESSION) else { return Ok(None) };
    let tier = value.to_str().ok().and_then(Tier::of);
    let expected = || Error::invalid("x-weir-compression", "expected `off`, `lossless` or `lossy`");
    tier.map(Some).ok_or_else(expected)
}

/// A request's text, and how it is to be compressed.
pub struct Ask<'a> {
    pub dialect: Dialect,
    pub body: &'a [u8],
    pub rules: &'a Rules,
    pub asked: Option<Tier>,
    pub before_tokens: u64,
    pub count: &'a compress::Count<'a>,
    pub keep: &'a dyn Fn(&str) -> Option<String>,
    /// Tools that are never left out.
    pub stays: &'a dyn Fn(&str) -> bool,
}

impl std::fmt::Debug for Ask<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ask").field("rules", self.rules).field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// The body in place of the client's, if there is one, and what was done. `None`: nothing was to be done.
pub fn run(ask: &Ask<'_>) -> Option<(Option<Vec<u8>>, Done)> {
    let allowed = ask.rules.tier();
    let tier = ask.asked.map_or(allowed, |asked| asked.min(allowed));
    // The model cannot read of a tool that is left out: whoever asks for no loss has all of them.
    let trims = ask.rules.trim_tools && ask.asked.is_none_or(|asked| asked == Tier::Lossy);
    if tier == Tier::Off && !trims {
        return None;
    }
    let body = std::str::from_utf8(ask.body).ok()?;
    let began = Instant::now();
    let until = began.checked_add(Duration::from_micros(ask.rules.max_micros).saturating_mul(PATIENCE));
    let how = How { rules: ask.rules, tier, count: ask.count, keep: ask.keep, until };
    let mut savings = Savings::default();
    let mut change = |change: Option<Compressed>| {
        let change = change?;
        savings += change.savings;
        String::from_utf8(change.body).ok()
    };
    let folded = change(if tier == Tier::Off { None } else { compress::compress(ask.dialect, body, &how) });
    let trim = |body: &str| compress::trim_tools(ask.dialect, body, ask.rules, ask.count, ask.stays);
    let trimmed = change(if trims { trim(folded.as_deref().unwrap_or(body)) } else { None });
    let body = trimmed.or(folded).map(String::into_bytes);
    let (names, took) = (savings.names(), began.elapsed());
    let is_asked = ask.asked.is_some();
    Some((body, Done { savings, names, before_tokens: ask.before_tokens, took, is_asked }))
}

impl Done {
    /// Where nothing was to be done.
    pub fn nothing(asked: Option<Tier>) -> Self {
        let (savings, names, took) = (Savings::default(), String::new(), Duration::ZERO);
        Self { savings, names, before_tokens: 0, took, is_asked: asked.is_some() }
    }

    /// Marks for a prompt cache were set.
    pub fn marked(&mut self) {
        self.names.push_str(if self.names.is_empty() { PROMPT_CACHE } else { ",prompt_cache" });
    }

    /// The answer's header.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("saved={}; strategies={}", self.savings.total(), self.names)).ok()
    }

    /// The member `compression` of an answer. `worth` is what the tokens would have cost.
    pub fn write(&self, worth: Option<PicoUsd>, out: &mut Vec<u8>) {
        let saved = self.savings.total();
        let mut it = Obj::new(out);
        it.num("saved_tokens", saved);
        it.raw("reduction", &part(saved, self.before_tokens));
        match worth {
            Some(worth) => it.raw("cost_savings_usd", &Usd(worth).to_string()),
            None => it.null("cost_savings_usd"),
        };
        let micros = self.took.as_micros();
        it.raw("time_ms", &format!("{}.{:03}", micros / 1_000, micros % 1_000));
        let mut strategies = it.arr("strategies");
        self.names.split(',').filter(|name| !name.is_empty()).for_each(|name| _ = strategies.text(name));
    }

    /// A body with that member added; as it was where it is no object.
    pub fn told(&self, worth: Option<PicoUsd>, body: &[u8]) -> Option<Vec<u8>> {
        let envelope = Envelope::parse(body).ok()?;
        let mut json = Vec::with_capacity(128);
        self.write(worth, &mut json);
        let mut splice = Splice::new(&envelope);
        splice.set("compression", String::from_utf8(json).ok()?);
        Some(splice.write())
    }
}

/// A share of all with four digits, at most 1.
fn part(some: u64, all: u64) -> String {
    const ONE: u64 = 10_000;
    let of_ten_thousand = some.saturating_mul(ONE).checked_div(all).unwrap_or(0).min(ONE);
    format!("{}.{:04}", of_ten_thousand / ONE, of_ten_thousand % ONE)
}

/// The body with marks for the prompt cache, where all that may be asked has one that goes by marks.
pub fn marked(dialect: Dialect, body: &[u8], input_tokens: u64, targets: &[Target]) -> Option<Vec<u8>> {
    let keeps = |target: &Target| match target.deployment.provider.dialect() {
        Dialect::Anthropic => true,
        Dialect::Converse => target.model.contains("claude"),
        _ => false,
    };
    if dialect != Dialect::Anthropic || input_tokens < LEAST_KEPT_TOKENS || !targets.iter().all(keeps) {
        return None;
    }
    Some(cache_points(std::str::from_utf8(body).ok()?)?.write(body))
}

/// Which format a body is in that comes without saying so: by the members that only one has, then by the
/// shapes of messages.
pub fn dialect_of(body: &str, speaks_anthropic: bool) -> Result<Dialect> {
    let envelope = Envelope::parse_str(body)?;
    let has = |name: &str| envelope.present(name).is_some();
    Ok(match () {
        () if has("contents") => Dialect::Gemini,
        () if has("input") && !has("messages") => Dialect::Responses,
        () if speaks_anthropic || has("system") || has("anthropic_version") => Dialect::Anthropic,
        () if envelope.present("messages").is_some_and(has_blocks) => Dialect::Anthropic,
        () if envelope.present("tools").is_some_and(|tools| tools.contains("\"input_schema\"")) => Dialect::Anthropic,
        () => Dialect::OpenAiChat,
    })
}

/// Whether messages have blocks that only Anthropic's have. Looks at names and words outside of texts only:
/// inside a literal each quote has a backslash before it.
fn has_blocks(messages: &str) -> bool {
    let types = ["tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use", "document"];
    memchr::memmem::find_iter(messages.as_bytes(), b"\"type\"").any(|at| {
        let is_name = !messages.get(..at).unwrap_or_default().ends_with('\\');
        let rest = messages.get(at + 6..).unwrap_or_default().trim_start();
        let value = rest.strip_prefix(':').map(str::trim_start).and_then(|value| value.strip_prefix('"'));
        let word = value.and_then(|value| value.split('"').next()).unwrap_or_default();
        is_name && types.contains(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { min_bytes: 64, max_micros: 1_000, ..Rules::ASKED };

    fn headers(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(COMPRESSION, HeaderValue::from_static(value))])
    }

    fn done(rules: &Rules, tier: Option<Tier>) -> Option<(Option<Vec<u8>>, Done)> {
        let noise = "the same line, over and over again\\n".repeat(30);
        let body = format!(r#"{{"messages":[{{"role":"tool","tool_call_id":"c","content":"{noise}"}}]}}"#);
        let count = |text: &str| u64::try_from(text.len() / 4).unwrap();
        let (keep, stays) = (|_: &str| None, |_: &str| false);
        let (dialect, body) = (Dialect::OpenAiChat, body.as_bytes());
        run(&Ask { dialect, body, rules, asked: tier, before_tokens: 300, count: &count, keep: &keep, stays: &stays })
    }

    #[test]
    fn a_request_may_ask_for_less_and_not_for_more() {
        assert_eq!(asked(&HeaderMap::new()).unwrap(), None);
        assert_eq!(asked(&headers("Lossy")).unwrap(), Some(Tier::Lossy));
        assert!(asked(&headers("all")).is_err());
        assert!(done(&RULES, Some(Tier::Off)).is_none());
        assert!(done(&Rules { lossless: false, ..RULES }, Some(Tier::Lossless)).is_none());
        let (body, done) = done(&RULES, Some(Tier::Lossy)).unwrap();
        assert!(body.is_some() && done.is_asked && done.names == "repeats", "{done:?}");
        assert!(done.header().unwrap().to_str().unwrap().ends_with("; strategies=repeats"));
    }

    #[test]
    fn what_was_done_is_told_in_a_member() {
        let done = done(&RULES, None).unwrap().1;
        let told = done.told(Some(PicoUsd(1_500_000)), br#"{"a": 1e400}"#).unwrap();
        let told = String::from_utf8(told).unwrap();
        let saved = done.savings.total();
        assert!(
            told.starts_with(&format!(r#"{{"a": 1e400,"compression":{{"saved_tokens":{saved},"reduction":0."#)),
            "{told}"
        );
        assert!(
            told.contains(r#""cost_savings_usd":0.0000015,"time_ms":"#)
                && told.ends_with(r#""strategies":["repeats"]}}"#),
            "{told}"
        );
        assert!(done.told(None, b"[1]").is_none());
        assert_eq!((part(1, 3), part(5, 4), part(1, 0)), ("0.3333".into(), "1.0000".into(), "0.0000".into()));
    }

    #[test]
    fn formats_are_told_apart_by_what_only_they_have() {
        for (body, dialect) in [
            (r#"{"contents":[]}"#, Dialect::Gemini),
            (r#"{"input":"x"}"#, Dialect::Responses),
            (r#"{"system":"x","messages":[]}"#, Dialect::Anthropic),
            (
                r#"{"messages":[{"role":"user","content":[{"type" : "tool_result","content":"x"}]}]}"#,
                Dialect::Anthropic,
            ),
            (r#"{"messages":[],"tools":[{"name":"f","input_schema":{}}]}"#, Dialect::Anthropic),
            (r#"{"messages":[{"role":"user","content":"{\"type\":\"tool_result\"}"}]}"#, Dialect::OpenAiChat),
            (r#"{"messages":[{"role":"user","content":"x"}]}"#, Dialect::OpenAiChat),
        ] {
            assert_eq!(dialect_of(body, false).unwrap(), dialect, "{body}");
        }
        assert_eq!(dialect_of(r#"{"messages":[]}"#, true).unwrap(), Dialect::Anthropic);
        assert!(dialect_of("[]", false).is_err());
    }
}
