//! The request body: checked once, and the few members that routing and limits need.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::accept::{Endpoint, gemini_call};
use super::bounds::Bounds;
use super::{beside, user};
use crate::config::attempts::Patience;
use crate::config::read::{Period, Scalar as _};
use crate::config::runtime::Prefer;
use crate::error::{Error, Result};
use crate::usage::estimate::estimate_request;
use crate::usage::tokens::Usage;
use crate::wire::Dialect;
use crate::wire::embeddings::given_tokens;
use crate::wire::envelope::{Envelope, Outline};
use crate::wire::json::Str;
use crate::wire::scan;

/// What later stages need to know of the body.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// As the client spelled it, unescaped.
    pub model: String,
    pub stream: bool,
    /// The client asked for usage at the end of its stream.
    pub stream_usage: bool,
    /// Other models that may answer in place of the one that is asked.
    pub others: Vec<String>,
    /// The client takes its stream as one array (Gemini without `alt=sse`).
    pub array: bool,
    /// Answers wanted.
    pub choices: u64,
    /// Answers that are made, the best of which are given: the bound on output holds for each.
    pub drafts: u64,
    /// Input tokens by a quick local count.
    pub input_estimate_tokens: u64,
    /// The bound on output the client set.
    pub max_output_tokens: Option<u64>,
    /// What the body's metadata calls it.
    pub tags: Vec<String>,
    /// Whom the body says it is for.
    pub user: Option<String>,
    /// The tier of prices that it asks for; of Anthropic's, a speed is one.
    pub service_tier: Option<String>,
    /// Images that are to be made.
    pub images: u64,
    /// Characters that are to be spoken.
    pub characters: u64,
    /// Where the members stand, for the edits of each attempt.
    pub outline: Outline,
}

/// How long a client has patience, in place of what the route says.
const TIMEOUT: HeaderName = HeaderName::from_static("x-weir-timeout");

const PREFER: HeaderName = HeaderName::from_static("x-weir-prefer");
const STRICT: HeaderName = HeaderName::from_static("x-weir-strict");
const TAGS: HeaderName = HeaderName::from_static("x-weir-tags");
const MOST_MODEL_BYTES: usize = 512;
const MOST_TAGS: usize = 16;
const MOST_TAG_BYTES: usize = 64;

/// Output reserved for a request that sets no bound of its own. Settled on what was really used.
const ASSUMED_OUTPUT_TOKENS: u64 = 512;
/// The same for budgets of money, which rather refuse than exceed.
const ASSUMED_PRICED_TOKENS: u64 = 1_024;

/// A name that stands in records, and that no vendor's comes near.
pub fn check_model(model: &str) -> Result<()> {
    match model.len() {
        0..=MOST_MODEL_BYTES => Ok(()),
        _ => Err(Error::invalid("model", format!("the model's name is longer than {MOST_MODEL_BYTES} bytes"))),
    }
}

impl Parsed {
    /// What the request may use, as providers count it: its input and the output it allows itself.
    pub fn reserve_tokens(&self) -> u64 {
        let output = self.max_output_tokens.unwrap_or(ASSUMED_OUTPUT_TOKENS);
        self.input_estimate_tokens.saturating_add(output)
    }

    /// The output to reserve for limits of tokens: what the model's answers are like, if that is known,
    /// and no more than the request allows.
    pub fn likely_output_tokens(&self, expected_tokens: Option<u64>) -> u64 {
        let most_tokens = self.max_output_tokens.unwrap_or(u64::MAX);
        let likely_tokens = expected_tokens.or(self.max_output_tokens).unwrap_or(ASSUMED_OUTPUT_TOKENS);
        likely_tokens.min(most_tokens).saturating_mul(self.drafts)
    }

    /// The same for budgets of tokens: all that the request allows, where it says so.
    pub fn most_output_tokens(&self, expected_tokens: Option<u64>) -> u64 {
        let most_tokens = self.max_output_tokens.or(expected_tokens).unwrap_or(ASSUMED_OUTPUT_TOKENS);
        most_tokens.saturating_mul(self.drafts)
    }

    /// The same to be priced: nothing from a cache, and all output.
    pub fn reserve_usage(&self, expected_tokens: Option<u64>) -> Usage {
        let most_tokens = self.max_output_tokens.or(expected_tokens).unwrap_or(ASSUMED_PRICED_TOKENS);
        Usage {
            fresh_input_tokens: self.input_estimate_tokens,
            visible_output_tokens: most_tokens.saturating_mul(self.drafts),
            images: self.images,
            characters: self.characters,
            ..Usage::default()
        }
    }
}

/// Reads the body of a request to `endpoint`. Gemini's path and query say what other formats have in
/// the body.
pub fn parse(endpoint: Endpoint, path: &str, query: Option<&str>, body: &[u8]) -> Result<Parsed> {
    if body.is_empty() {
        return Err(Error::new(crate::error::Kind::InvalidJson, "the request has no body: a JSON object is expected"));
    }
    let envelope = Envelope::parse(body)?;
    let call = if endpoint.dialect() == Dialect::Gemini { gemini_call(path) } else { None };
    let model = match &call {
        Some(call) => call.model.clone().into_owned(),
        None => envelope.model()?.text().into_owned(),
    };
    let stream = match &call {
        Some(call) => call.verb == "streamGenerateContent",
        None => envelope.stream()?,
    };
    let generates = endpoint.generation().is_some() || endpoint == Endpoint::Completions;
    let required: &[&'static str] = match endpoint {
        Endpoint::Chat | Endpoint::Messages => &["messages"],
        Endpoint::Generate => &["contents"],
        Endpoint::Embeddings => &["input"],
        Endpoint::Embed => &["content"],
        Endpoint::EmbedMany => &["requests"],
        Endpoint::Rerank => &["query", "documents"],
        _ => &[],
    };
    if let Some(missing) = required.iter().find(|name| envelope.present(name).is_none()) {
        return Err(Error::invalid(*missing, format!("the member `{missing}` is required")));
    }
    // Token numbers are no text, so the estimate has not seen them.
    let token_input = match endpoint {
        Endpoint::Embeddings => envelope.present("input").map_or(0, given_tokens),
        Endpoint::Completions => envelope.present("prompt").map_or(0, given_tokens),
        _ => 0,
    };
    let bounds = Bounds::of(endpoint, &envelope);
    Ok(Parsed {
        model,
        stream: generates && stream,
        stream_usage: endpoint.dialect() != Dialect::OpenAiChat || envelope.stream_usage()?,
        others: beside::others(&envelope)?,
        array: call.is_some() && stream && !asks_for_events(query),
        choices: bounds.choices,
        drafts: bounds.drafts,
        input_estimate_tokens: estimate_request(&envelope).saturating_add(token_input),
        tags: envelope.present("metadata").map(metadata_tags).unwrap_or_default(),
        user: user::of_body(&envelope),
        service_tier: service_tier(endpoint, &envelope),
        images: 0,
        characters: 0,
        outline: envelope.outline(),
        max_output_tokens: if generates { bounds.max_output_tokens } else { Some(0) },
    })
}

/// What an answer names its tier by is asked for in one of two members.
fn service_tier(endpoint: Endpoint, envelope: &Envelope<'_>) -> Option<String> {
    let speed = || envelope.string("speed").filter(|_| endpoint == Endpoint::Messages);
    let tier = speed().or_else(|| envelope.string("service_tier"))?;
    Some(tier.text().into_owned())
}

/// `alt=sse`, or `$alt=sse`, as any of the parameters.
fn asks_for_events(query: Option<&str>) -> bool {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().any(|(name, value)| matches!(name, "alt" | "$alt" | "%24alt") && value.starts_with("sse"))
}

/// Whether this request asks for refusal where a member cannot be expressed.
pub fn strict(headers: &HeaderMap) -> Result<bool> {
    let Some(value) = headers.get(STRICT) else { return Ok(false) };
    let said = value.to_str().unwrap_or_default().trim();
    let is = |words: [&str; 2]| words.iter().any(|word| word.eq_ignore_ascii_case(said));
    match (is(["true", "1"]), is(["false", "0"])) {
        (false, false) => Err(Error::invalid("x-weir-strict", "expected `true` or `false`")),
        (strict, _) => Ok(strict),
    }
}

/// `x-weir-timeout`: `30s`, `500ms`, a number of seconds; or several by name, `total=30s,
/// first_token=5s`.
pub fn patience(headers: &HeaderMap) -> Result<Patience> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(Patience::default()) };
    let wrong = || {
        let text =
            "expected a duration like `30s` or `500ms`, or some of `total=30s, first_token=5s, idle=10s, connect=1s`";
        Error::invalid("x-weir-timeout", text)
    };
    let mut patience = Patience::default();
    for part in value.to_str().map_err(|_| wrong())?.split(',') {
        let (name, text) = part.split_once('=').unwrap_or(("total", part));
        let text = text.trim();
        let period = Period::parse(text).ok().map(|period| period.0);
        let period = period.or_else(|| seconds(text)).ok_or_else(wrong)?;
        let said = match name.trim() {
            "total" => &mut patience.total,
            "first_token" => &mut patience.first_token,
            "idle" => &mut patience.idle,
            "connect" => &mut patience.connect,
            _ => return Err(wrong()),
        };
        *said = Some(period);
    }
    Ok(patience)
}

/// `30` or `0.5`.
fn seconds(text: &str) -> Option<Duration> {
    let period = Duration::try_from_secs_f64(text.parse().ok()?).ok()?;
    (!period.is_zero() && period <= Period::LONGEST).then_some(period)
}

/// `"metadata": {"team": "search"}` is the tag `team=search`.
fn metadata_tags(json: &str) -> Vec<String> {
    let tag = |(name, value): (&str, &str)| Some(format!("{name}={}", Str::from_raw(value)?.text()));
    let tags = scan::members(json).filter_map(tag).filter(|tag| tag.len() <= MOST_TAG_BYTES);
    tags.take(MOST_TAGS).collect()
}

/// What `auto` should weigh most (`x-weir-prefer`).
pub fn prefer(headers: &HeaderMap) -> Result<Option<Prefer>> {
    let Some(value) = headers.get(PREFER) else { return Ok(None) };
    let word = Prefer::WORDS.iter().find(|(word, _)| value.as_bytes() == word.as_bytes());
    match word {
        Some((_, prefer)) => Ok(Some(*prefer)),
        None => Err(Error::invalid("x-weir-prefer", "expected `balanced`, `cost`, `quality` or `latency`")),
    }
}

/// `x-weir-tags`: `team=search, nightly`. Tags are for records and rules, so more than a few or long
/// ones are left out.
pub fn tags(headers: &HeaderMap) -> Vec<String> {
    let all = headers.get_all(TAGS).iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    let tags = all.map(str::trim).filter(|tag| !tag.is_empty() && tag.len() <= MOST_TAG_BYTES);
    tags.take(MOST_TAGS).map(str::to_owned).collect()
}
