//! LiteLLM's price file (`model_prices_and_context_window.json`) as an operator's overrides.
//!
//! One JSON object: the name of a model to its row, of which the members that are prices are read, in
//! USD per single token, second, image or query. Numbers are read as decimals, never as floats; those
//! finer than 10^-12 USD (7.000000000000001e-07 is seen) are rounded to it. `null` says nothing. What
//! looks like a price and has no class here is counted, for `weir check` to tell; it is no error, nor is
//! a row without any price, which leaves the model's price as it was (members as seen 2026-11).
//!
//! `input_cost_per_token_above_200k_tokens_priority` is a rate, a prompt size and a service tier:
//! `Member` takes such names apart. Names of models lose the prefix that LiteLLM routes by.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use super::raw::{FileError, Overrides, newest_first};
use super::{Column, FACTOR_ONE, Price, Rates};
use crate::usage::decimal;

/// A member's name to its class; a longer name comes before the one that it begins with.
const CLASSES: [(&str, &str); 17] = [
    ("input_cost_per_token_cache_hit", "cached"),
    ("input_cost_per_token", "input"),
    ("cache_read_input_token_cost", "cached"),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h"),
    ("cache_creation_input_token_cost", "cache_write"),
    ("output_cost_per_token", "output"),
    ("output_cost_per_reasoning_token", "reasoning"),
    ("input_cost_per_audio_token", "audio_input"),
    ("output_cost_per_audio_token", "audio_output"),
    ("input_cost_per_image_token", "image_input"),
    ("output_cost_per_image_token", "image_output"),
    ("output_cost_per_image", "image"),
    ("input_cost_per_second", "second"),
    ("input_cost_per_character", "character"),
    ("input_cost_per_query", "request"),
    ("input_cost_per_request", "request"),
    ("search_context_cost_per_query", "web_search"),
];

/// Members that multiply the whole, and the region they do it in.
const FACTORS: [(&str, &str); 4] = [
    ("regional_processing_uplift_multiplier_eu", "eu"),
    ("regional_processing_uplift_multiplier_us", "us"),
    ("fedramp_uplift_multiplier", "fedramp"),
    ("regional_endpoint_uplift_multiplier", "regional"),
];

/// LiteLLM's word for a provider and ours for its catalogue, where they differ.
const CATALOGUES: [(&str, &str); 15] = [
    ("text-completion-openai", "openai"),
    ("azure_text", "azure"),
    ("azure_ai", "azure"),
    ("bedrock_converse", "bedrock"),
    ("bedrock_mantle", "bedrock"),
    ("codestral", "mistral"),
    ("text-completion-codestral", "mistral"),
    ("cohere_chat", "cohere"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("fireworks_ai-embedding-models", "fireworks"),
    ("nvidia_nim", "nvidia"),
    ("jina_ai", "jina"),
    ("hosted_vllm", "vllm"),
    ("lm_studio", "lmstudio"),
];

/// What a price file of LiteLLM's held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Models with a price.
    pub priced: usize,
    /// Models without: theirs are as if they were not in the file.
    pub unpriced: usize,
    /// Numbers finer than the smallest amount, rounded to it.
    pub rounded: usize,
    /// Members that look like prices and were left out, and how often each is there.
    pub unknown: BTreeMap<String, usize>,
}

impl Found {
    /// For a person, in one line.
    pub fn summary(&self) -> String {
        format!(
            "the price file is LiteLLM's: {} models priced, {} without a price, {} numbers rounded to 10^-12 USD, {} kinds of \
             prices that have no use here",
            self.priced,
            self.unpriced,
            self.rounded,
            self.unknown.len()
        )
    }

    /// The same, with a line for each kind that has no use.
    pub fn lines(&self) -> Vec<String> {
        let head = self.summary();
        let left = self.unknown.iter().map(|(name, times)| format!("not used of it: {name} ({times} times)"));
        std::iter::once(head).chain(left).collect()
    }
}

pub(super) struct Listed {
    pub prices: Overrides,
    pub found: Found,
}

/// A row by its members' names.
pub type Members<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The price of a row that stands beside a model instead of in a file, if it says any, and which of its
/// members have no use here.
pub fn price_of(row: &Members<'_>) -> (Option<Price>, Found) {
    let mut found = Found::default();
    let price = Reader { row, found: &mut found }.price();
    (price.filter(|price| price.standard.rates.is_usable()), found)
}

/// Reads it; `None` where the text is of another shape.
pub(super) fn read(text: &str) -> Result<Option<Listed>, FileError> {
    if !text.trim_start_matches('\u{feff}').trim_start().starts_with('{') {
        return Ok(None);
    }
    let text = text.trim_start_matches('\u{feff}');
    let rows: BTreeMap<String, &RawValue> = match serde_json::from_str(text) {
        Ok(rows) => rows,
        // A mapping of YAML may begin with a brace too.
        Err(error) if text.contains("litellm_provider") => return Err(json_error(&error)),
        Err(_) => return Ok(None),
    };
    let is_row = |row: &&RawValue| row.get().starts_with('{');
    if rows.is_empty() || !rows.values().any(is_row) {
        return Ok(None);
    }
    let mut listed = Listed { prices: Overrides::new(), found: Found::default() };
    for (name, row) in &rows {
        let row = members(row);
        // Another name of a model.
        let target = row.get("alias_of").and_then(|to| text_of(to)).and_then(|to| rows.get(to.as_ref()));
        let row = target.map_or(row, |target| members(target));
        if name != "sample_spec" {
            listed.take(name, &row);
        }
    }
    Ok(Some(listed))
}

fn members<'a>(row: &'a RawValue) -> Members<'a> {
    serde_json::from_str(row.get()).unwrap_or_default()
}

fn text_of(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Cow<'_, str>>(raw.get()).ok()
}

fn json_error(error: &serde_json::Error) -> FileError {
    let place = |n: usize| u64::try_from(n).unwrap_or(0);
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default().to_owned();
    FileError { line: place(error.line()), column: place(error.column()).max(1), message }
}

impl Listed {
    fn take(&mut self, name: &str, row: &Members<'_>) {
        let provider = row.get("litellm_provider").and_then(|raw| text_of(raw)).unwrap_or_default();
        let price = Reader { row, found: &mut self.found }.price();
        match price.filter(|price| is_price(name, &price.standard)) {
            Some(price) if !provider.is_empty() => {
                let (catalogue, model) = named(&provider, name);
                let mut prices = vec![price];
                let _ = newest_first(&mut prices);
                self.prices.entry(catalogue.into()).or_default().insert(model.into(), prices);
                self.found.priced += 1;
            }
            _ => self.found.unpriced += 1,
        }
    }
}

/// A row whose every price is zero says that nobody knows, but for what is free by its name.
fn is_price(name: &str, standard: &Column) -> bool {
    let rates = standard.rates;
    let some = Rates::CLASSES.iter().filter_map(|class| rates.get(class)).any(|rate| rate > 0);
    rates.is_usable() && (some || name.ends_with(":free") || name.starts_with("ollama"))
}

/// The catalogue, and the provider's own name of the model.
pub fn named<'n>(provider: &'n str, name: &'n str) -> (&'n str, &'n str) {
    let catalogue = catalogue_of(provider);
    let is_prefix = |prefix: &str| prefix == provider || catalogue_of(prefix) == catalogue;
    let model = match name.split_once('/') {
        Some((prefix, model)) if is_prefix(prefix) && !model.is_empty() => model,
        _ => name,
    };
    (catalogue, model.strip_prefix("accounts/fireworks/models/").unwrap_or(model))
}

/// Our catalogue of LiteLLM's provider: its own word where there is no other.
pub fn catalogue_of(provider: &str) -> &str {
    if provider.starts_with("vertex_ai") {
        return "vertex";
    }
    CATALOGUES.iter().find(|(theirs, _)| *theirs == provider).map_or(provider, |(_, ours)| ours)
}

/// The name of a member, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Member<'n> {
    class: &'static str,
    /// For prompts of more tokens.
    above: Option<u64>,
    service: Option<&'n str>,
}

impl<'n> Member<'n> {
    fn of(name: &'n str) -> Option<Self> {
        let (rest, class) = CLASSES.iter().find_map(|(theirs, ours)| {
            let rest = name.strip_prefix(theirs)?;
            (rest.is_empty() || rest.starts_with('_')).then_some((rest, *ours))
        })?;
        let (above, rest) = match rest.strip_prefix("_above_") {
            Some(above) => {
                let (thousands, rest) = above.split_once("k_tokens")?;
                (Some(thousands.parse::<u64>().ok()?.checked_mul(1_000)?), rest)
            }
            None => (None, rest),
        };
        let service = match rest {
            "" => None,
            rest => Some(rest.strip_prefix('_').filter(|word| word.bytes().all(|b| b.is_ascii_lowercase()))?),
        };
        let service = service.map(|word| if word == "batches" { "batch" } else { word });
        Some(Self { class, above, service })
    }
}

struct Reader<'r, 'a> {
    row: &'r Members<'a>,
    found: &'r mut Found,
}

impl Reader<'_, '_> {
    fn price(&mut self) -> Option<Price> {
        let mut price = Price::default();
        for (name, value) in self.row {
            if value.get() == "null" {
                continue;
            }
            let known = match (FACTORS.iter().find(|(theirs, _)| theirs == name), Member::of(name)) {
                (Some((_, region)), _) => self.factor(value).map(|f| price.regions.push(((*region).into(), f))),
                (None, Some(member)) => {
                    let member = self.fee(member);
                    self.rate(&member, value).map(|rate| put(&mut price, &member, rate))
                }
                (None, None) => (!is_pricelike(name) || self.is_read_apart(name)).then_some(()),
            };
            if known.is_none() {
                *self.found.unknown.entry(name.clone().into_owned()).or_default() += 1;
            }
        }
        self.listen(&mut price);
        self.speeds(&mut price);
        settle(&mut price);
        (!price.standard.rates.is_empty()).then_some(price)
    }

    /// Perplexity's models search for every request, and that is what is billed.
    fn fee<'n>(&self, member: Member<'n>) -> Member<'n> {
        let is_perplexity = self.row.get("litellm_provider").is_some_and(|name| name.get() == "\"perplexity\"");
        let class = if is_perplexity && member.class == "web_search" { "request" } else { member.class };
        Member { class, ..member }
    }

    fn rate(&mut self, member: &Member<'_>, value: &RawValue) -> Option<i64> {
        if !value.get().starts_with('{') {
            return self.number(value);
        }
        // By how much of what is found is read; each vendor has its default.
        let sizes = members(value);
        let size = match member.class {
            "web_search" => "search_context_size_medium",
            "request" => "search_context_size_low",
            _ => return None,
        };
        self.number(sizes.get(size)?)
    }

    /// In pico-USD. Some files have numbers as text.
    fn number(&mut self, value: &RawValue) -> Option<i64> {
        let number = decimal::scaled(value.get().trim_matches('"'), 12)?;
        self.found.rounded += usize::from(!number.is_exact);
        Some(number.units)
    }

    /// In millionths.
    fn factor(&mut self, value: &RawValue) -> Option<u32> {
        let number = decimal::scaled(value.get().trim_matches('"'), 6)?;
        u32::try_from(number.units).ok().filter(|factor| *factor > 0)
    }

    fn is_read_apart(&self, name: &str) -> bool {
        name == "output_cost_per_second" && self.listens() || name == "provider_specific_entry"
    }

    fn listens(&self) -> bool {
        self.row.get("mode").is_some_and(|mode| mode.get() == "\"audio_transcription\"")
    }

    /// Of transcriptions both members mean the audio; elsewhere the second is a video's.
    fn listen(&mut self, price: &mut Price) {
        let rates = price.standard.rates;
        if self.listens() && rates.second.is_none_or(|rate| rate == 0) {
            let heard = self.row.get("output_cost_per_second").copied();
            price.standard.rates.second = heard.and_then(|value| self.number(value)).or(rates.second);
        }
    }

    /// `provider_specific_entry: {fast: 2.0}`: all at so many times the price.
    fn speeds(&mut self, price: &mut Price) {
        let Some(entry) = self.row.get("provider_specific_entry").copied() else { return };
        for (name, value) in members(entry) {
            let times = self.factor(value).filter(|_| name == "fast");
            let Some(times) = times else {
                *self.found.unknown.entry(format!("provider_specific_entry.{name}")).or_default() += 1;
                continue;
            };
            let column = dearer(&price.standard, times);
            if !price.service.iter().any(|(service, _)| **service == *name) {
                price.service.push((name.as_ref().into(), column));
            }
        }
    }
}

fn dearer(column: &Column, millionths: u32) -> Column {
    let scale = |rates: &Rates| {
        let mut scaled = *rates;
        for class in Rates::CLASSES.iter().filter(|class| Rates::unit(class) == Some(super::Unit::Million)) {
            let times = |rate: i64| i128::from(rate) * i128::from(millionths) / i128::from(FACTOR_ONE);
            if let Some(rate) = rates.get(class).and_then(|rate| i64::try_from(times(rate)).ok()) {
                scaled.put(class, rate);
            }
        }
        scaled
    };
    Column { rates: scale(&column.rates), tiers: column.tiers.iter().map(|(above, r)| (*above, scale(r))).collect() }
}

fn put(price: &mut Price, member: &Member<'_>, rate: i64) {
    let column = match member.service {
        None => &mut price.standard,
        Some(name) => {
            let known = price.service.iter().position(|(service, _)| **service == *name);
            if known.is_none() {
                price.service.push((name.into(), Column::default()));
            }
            let at = known.unwrap_or_else(|| price.service.len().saturating_sub(1));
            let Some((_, column)) = price.service.get_mut(at) else { return };
            column
        }
    };
    let rates = match member.above {
        None => &mut column.rates,
        Some(above) => {
            let known = column.tiers.iter().position(|(tier, _)| *tier == above);
            if known.is_none() {
                column.tiers.push((above, Rates::default()));
            }
            let at = known.unwrap_or_else(|| column.tiers.len().saturating_sub(1));
            let Some((_, rates)) = column.tiers.get_mut(at) else { return };
            rates
        }
    };
    rates.put(member.class, rate);
}

/// Puts tiers in order, and leaves out what says nothing: a cache write that costs nothing is said of
/// vendors that do not charge more for one.
fn settle(price: &mut Price) {
    let columns = std::iter::once(&mut price.standard).chain(price.service.iter_mut().map(|(_, column)| column));
    for column in columns {
        column.tiers.sort_by_key(|(above, _)| *above);
        let rates = std::iter::once(&mut column.rates).chain(column.tiers.iter_mut().map(|(_, rates)| rates));
        for rates in rates.filter(|rates| rates.input.is_some_and(|rate| rate > 0)) {
            rates.cache_write = rates.cache_write.filter(|rate| *rate > 0);
        }
    }
}

/// A member that has to do with money.
pub fn is_pricelike(name: &str) -> bool {
    let words = ["cost", "pric", "multiplier", "provider_specific_entry"];
    let about = ["max_cost", "pricing_source"];
    words.iter().any(|word| name.contains(word)) && !about.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_members_are_taken_apart() {
        let of = |name| Member::of(name).map(|m| (m.class, m.above, m.service));
        for (name, expected) in [
            ("input_cost_per_token", ("input", None, None)),
            ("input_cost_per_token_above_200k_tokens", ("input", Some(200_000), None)),
            ("output_cost_per_token_above_272k_tokens_priority", ("output", Some(272_000), Some("priority"))),
            ("cache_creation_input_token_cost_above_1hr", ("cache_write_1h", None, None)),
            ("cache_creation_input_token_cost_above_1hr_above_200k_tokens", ("cache_write_1h", Some(200_000), None)),
            ("cache_creation_input_token_cost_batches", ("cache_write", None, Some("batch"))),
            ("cache_read_input_token_cost_flex", ("cached", None, Some("flex"))),
            ("input_cost_per_token_ultrafast", ("input", None, Some("ultrafast"))),
            ("output_cost_per_image_token_batches", ("image_output", None, Some("batch"))),
            ("output_cost_per_image", ("image", None, None)),
        ] {
            assert_eq!(of(name), Some(expected), "{name}");
        }
        assert_eq!(of("input_cost_per_token_cache_hit"), Some(("cached", None, None)));
        for name in [
            "output_cost_per_image_1K",
            "cache_creation_input_token_cost_above_12hr",
            "output_cost_per_second_720p",
            "input_cost_per_tokens",
            "max_tokens",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    /// Perplexity's bills every request for its search, at the low search context where nothing is said;
    /// others bill searches, at the medium one.
    #[test]
    fn a_search_is_a_request_where_every_request_searches() {
        let fee = |provider: &str| {
            let sizes = r#"{"search_context_size_low":0.005,"search_context_size_medium":0.008,"search_context_size_high":0.012}"#;
            let text = format!(
                r#"{{"{provider}/m":{{"litellm_provider":"{provider}","input_cost_per_token":1e-06,"output_cost_per_token":1e-06,"search_context_cost_per_query":{sizes}}}}}"#
            );
            let listed = read(&text).unwrap().unwrap();
            let rates = listed.prices[provider]["m"][0].standard.rates;
            (rates.request, rates.web_search, listed.found.unknown.len())
        };
        assert_eq!(fee("perplexity"), (Some(5_000_000_000), None, 0));
        assert_eq!(fee("openai"), (None, Some(8_000_000_000), 0));
    }

    #[test]
    fn names_of_models_lose_the_prefix_of_their_provider() {
        for (provider, name, expected) in [
            ("openai", "gpt-4o", ("openai", "gpt-4o")),
            ("azure", "azure/gpt-4o", ("azure", "gpt-4o")),
            ("azure_ai", "azure_ai/gpt-image-2", ("azure", "gpt-image-2")),
            ("vertex_ai-language-models", "gemini-2.5-pro", ("vertex", "gemini-2.5-pro")),
            ("vertex_ai-llama_models", "vertex_ai/meta/llama-4-maas", ("vertex", "meta/llama-4-maas")),
            ("bedrock_converse", "us.amazon.nova-pro-v1:0", ("bedrock", "us.amazon.nova-pro-v1:0")),
            ("bedrock", "bedrock/eu-west-1/x.y", ("bedrock", "eu-west-1/x.y")),
            ("together_ai", "together_ai/openai/gpt-oss-120b", ("together", "openai/gpt-oss-120b")),
            ("openrouter", "openrouter/openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
            ("fireworks_ai", "fireworks_ai/accounts/fireworks/models/x", ("fireworks", "x")),
            ("novita", "novita/deepseek/v3", ("novita", "deepseek/v3")),
        ] {
            assert_eq!(named(provider, name), expected, "{name}");
        }
    }
}
