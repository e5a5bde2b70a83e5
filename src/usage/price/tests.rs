//! Costs by hand, properties, the built-in table and an operator's file.

use proptest::prelude::*;

use super::amount::{Invalid, UsdPerMillion, day, each, per_million};
use super::raw::{RawPrice, Unusable};
use super::*;
use crate::usage::tokens::Details;

const TODAY: &str = "2026-11-22";

fn today() -> i64 {
    day(TODAY).unwrap()
}

fn usage(input: u64, output: u64, details: Details) -> Usage {
    Usage::from_totals(input, output, details)
}

fn plain(input: u64, output: u64) -> Usage {
    usage(input, output, Details::default())
}

/// Of rates, where all that was used has one.
trait Cost {
    fn cost(&self, usage: &Usage) -> Option<PicoUsd>;
}

impl Cost for Rates {
    fn cost(&self, usage: &Usage) -> Option<PicoUsd> {
        self.charge(usage).cost()
    }
}

/// The cost by the built-in table, as text.
fn cost(catalogue: &str, model: &str, usage: &Usage, tier: Option<&str>) -> String {
    let table = PriceTable::builtin();
    let info = table.find(catalogue, model).unwrap_or_else(|| panic!("{catalogue}/{model} is not in the table"));
    info.cost(usage, tier, today(), None).map_or_else(|| "unknown".to_owned(), |cost| cost.to_string())
}

#[test]
fn decimals_are_exact() {
    for (text, pico) in [
        ("0.15", 150_000),
        ("3", 3_000_000),
        ("3.", 3_000_000),
        (".5", 500_000),
        ("0.003625", 3_625),
        ("0.000001", 1),
        ("1.250000000", 1_250_000),
        ("0", 0),
    ] {
        assert_eq!(per_million(text), Ok(pico), "{text}");
    }
    assert_eq!(each("0.005"), Ok(5_000_000_000));
    assert_eq!(per_million("0.0000001"), Err(Invalid::TooFine { digits: 6 }));
    assert_eq!(per_million("99999999999999"), Err(Invalid::TooLarge));
    assert_eq!(per_million("99999999999999999999"), Err(Invalid::TooLarge));
    for text in ["", ".", "-1", "+1", "1e-3", "0,15", "1.2.3", "0x1", " 1", "NaN", "1_000", "\u{661}"] {
        assert_eq!(per_million(text), Err(Invalid::Number), "{text:?}");
    }
}

#[test]
fn amounts_print_without_trailing_zeros() {
    for (pico, text) in [
        (0, "0"),
        (12_340_000, "0.00001234"),
        (1, "0.000000000001"),
        (1_000_000_000_000, "1"),
        (1_500_000_000_000, "1.5"),
        (-50_000_000_000, "-0.05"),
        (123_456_789_000_000_000_000_010, "123456789000.00000000001"),
    ] {
        assert_eq!(PicoUsd(pico).to_string(), text);
    }
    assert_eq!(PicoUsd(i128::MIN).to_string().len(), 41);
    assert_eq!(UsdPerMillion(75_000).to_string(), "0.075");
}

#[test]
fn days_are_counted_from_1970() {
    for (text, days) in [("1970-01-01", 0), ("1972-02-29", 789), ("2000-03-01", 11_017), ("2024-07-18", 19_922)] {
        assert_eq!(day(text), Ok(days), "{text}");
    }
    for text in ["2023-02-29", "1900-02-29", "2024-13-01", "2024-00-10", "2024-1-01", "2024-01-32", "2024-01", "x"] {
        assert_eq!(day(text), Err(Invalid::Day), "{text}");
    }
    let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(19_922 * 86_400 + 86_399);
    assert_eq!(amount::day_of(moment), 19_922);
}

/// Hand-computed, from the vendors' price lists.
#[test]
fn well_known_models_cost_what_their_lists_say() {
    let cached = |n| Details { cached: n, ..Details::default() };
    let table: &[(&str, &str, Usage, Option<&str>, &str)] = &[
        // 1000 x 0.15 + 500 x 0.60 per million
        ("openai", "gpt-4o-mini", plain(1_000, 500), None, "0.00045"),
        ("openai", "gpt-4o-mini-2024-07-18", plain(1_000, 500), Some("default"), "0.00045"),
        // 400 x 0.15 + 600 x 0.075 + 500 x 0.60
        ("openai", "gpt-4o-mini", usage(1_000, 500, cached(600)), None, "0.000405"),
        ("openai", "gpt-4o-mini", plain(1_000, 500), Some("batch"), "0.000225"),
        ("openai", "gpt-4o-mini", plain(1_000, 500), Some("priority"), "0.00075"),
        ("openai", "gpt-4o", plain(1_000_000, 1_000_000), None, "12.5"),
        // reasoning is output, once
        ("openai", "o3", usage(10, 1_000, Details { reasoning: 900, ..Details::default() }), None, "0.00802"),
        // 1000 x 3 + 200 x 0.30 + 100 x 3.75 + 50 x 6 + 10 x 15
        (
            "anthropic",
            "claude-sonnet-4-5-20250929",
            usage(1_350, 10, Details { cached: 200, cache_write: 100, cache_write_1h: 50, ..Details::default() }),
            Some("standard"),
            "0.003885",
        ),
        ("anthropic", "claude-3-haiku-20240307", plain(1_000_000, 1_000_000), None, "1.5"),
        ("anthropic", "claude-opus-4-8", plain(1_000_000, 1_000_000), None, "30"),
        ("gemini", "gemini-2.5-pro", plain(200_000, 1_000), None, "0.26"),
        // one token more, and all of it costs double
        ("gemini", "gemini-2.5-pro", plain(200_001, 1_000), None, "0.5150025"),
        ("deepseek", "deepseek-chat", plain(1_000_000, 0), None, "0.28"),
        ("groq", "llama-3.3-70b-versatile", plain(1_000_000, 1_000_000), Some("on_demand"), "1.38"),
        // and a fee per request
        ("perplexity", "sonar-pro", plain(1_000, 1_000), None, "0.024"),
        ("simulator", "sim-1", usage(1_000, 100, cached(500)), None, "0.00075"),
    ];
    for (catalogue, model, usage, tier, expected) in table {
        assert_eq!(cost(catalogue, model, usage, *tier), *expected, "{catalogue}/{model} {tier:?} {usage:?}");
    }
}

/// Row 13 of the known failures: cache reads charged at the full rate and again at their own.
#[test]
fn cached_tokens_are_charged_once() {
    // 10,000 of prompt, 9,000 of them from the cache: 1,000 x 0.15 + 9,000 x 0.075 USD per million.
    let openai = usage(10_000, 0, Details { cached: 9_000, ..Details::default() });
    assert_eq!(cost("openai", "gpt-4o-mini", &openai, None), "0.000825");
    // Anthropic's counts, disjoint on the wire: 21 fresh, 9,000 read, 1,000 written.
    let claude = Usage {
        fresh_input_tokens: 21,
        cached_tokens: 9_000,
        cache_write_tokens: 1_000,
        visible_output_tokens: 100,
        ..Usage::default()
    };
    // 21 x 3 + 9,000 x 0.30 + 1,000 x 3.75 + 100 x 15
    assert_eq!(cost("anthropic", "claude-sonnet-4-5", &claude, None), "0.008013");
    assert_eq!(claude.input_tokens(), 10_021);
    // All of it cached, and cheaper than fresh, never dearer.
    let all = usage(10_000, 0, Details { cached: 10_000, ..Details::default() });
    assert_eq!(cost("openai", "gpt-4o-mini", &all, None), "0.00075");
}

#[test]
fn an_unknown_price_is_none_and_never_zero() {
    let nothing = ModelInfo::default();
    assert_eq!(nothing.cost(&plain(1, 1), None, today(), None), None);
    let only_input = Rates { input: Some(1_000_000), ..Rates::default() };
    assert_eq!(only_input.cost(&plain(5, 0)), Some(PicoUsd(5_000_000)));
    assert_eq!(only_input.cost(&plain(5, 1)), None, "output has no rate");
    assert_eq!(Rates::default().cost(&plain(0, 0)), None);
    let table = PriceTable::builtin();
    assert!(table.find("openai", "no-such-model").is_none());
    assert!(table.find("no-such-catalogue", "gpt-4o-mini").is_none());
    assert!(PriceTable::default().find("openai", "gpt-4o-mini").is_none());
}

#[test]
fn classes_without_a_rate_fall_back_as_documented() {
    let rates = Rates { input: Some(10), output: Some(100), cache_write: Some(12), ..Rates::default() };
    let one = |details| rates.cost(&usage(1, 1, details)).map(|c| c.0);
    assert_eq!(one(Details { cached: 1, ..Details::default() }), Some(10 + 100));
    assert_eq!(one(Details { cache_write: 1, ..Details::default() }), Some(12 + 100));
    assert_eq!(one(Details { cache_write_1h: 1, ..Details::default() }), Some(12 + 100));
    assert_eq!(one(Details { audio_input: 1, audio_output: 1, ..Details::default() }), Some(10 + 100));
    assert_eq!(one(Details { reasoning: 1, ..Details::default() }), Some(10 + 100));
    let audio = Rates { audio_output: Some(7), reasoning: Some(9), cache_write: None, ..rates };
    assert_eq!(audio.cost(&usage(1, 1, Details { audio_output: 1, ..Details::default() })), Some(PicoUsd(17)));
    assert_eq!(
        audio.cost(&usage(1, 1, Details { cache_write_1h: 1, reasoning: 1, ..Details::default() })),
        Some(PicoUsd(19))
    );
}

#[test]
fn a_price_holds_from_its_day_on() {
    let info = ModelInfo {
        prices: raw(
            "- {from: 2026-01-01, input: 2, output: 4}\n- {input: 1, output: 2}\n- {from: 2026-06-01, input: 3, output: 6}",
        ),
        ..ModelInfo::default()
    };
    let on = |text: &str| info.cost(&plain(1, 0), None, day(text).unwrap(), None).map(|c| c.0);
    assert_eq!(on("1970-01-01"), Some(1_000_000));
    assert_eq!(on("2025-12-31"), Some(1_000_000));
    assert_eq!(on("2026-01-01"), Some(2_000_000));
    assert_eq!(on("2026-05-31"), Some(2_000_000));
    assert_eq!(on("2099-01-01"), Some(3_000_000));
    let later = ModelInfo { prices: raw("- {from: 2030-01-01, input: 1, output: 1}"), ..ModelInfo::default() };
    assert_eq!(later.cost(&plain(1, 0), None, today(), None), None, "not yet priced");
}

#[test]
fn the_whole_prompt_picks_the_tier_and_the_tier_holds_for_all() {
    let info = ModelInfo {
        prices: raw(
            "- {input: 1, cached: 0.1, output: 2, tiers: [{above: 100, input: 10, output: 20}, {above: 200, input: 100}], \
              service: {batch: {input: 0.5, output: 1, tiers: [{above: 100, input: 5}]}}}",
        ),
        ..ModelInfo::default()
    };
    let of = |input, cached, tier| {
        let usage = usage(input, 1, Details { cached, ..Details::default() });
        info.cost(&usage, tier, today(), None).map(|c| c.0)
    };
    assert_eq!(of(100, 0, None), Some(100_000_000 + 2_000_000));
    assert_eq!(of(101, 0, None), Some(1_010_000_000 + 20_000_000));
    // Cached tokens count for the size; their own rate is as below where the tier does not say.
    assert_eq!(of(101, 100, None), Some(10_000_000 + 10_000_000 + 20_000_000));
    // What the upper tier does not say is as in the one below it.
    assert_eq!(of(201, 0, None), Some(20_100_000_000 + 20_000_000));
    assert_eq!(of(100, 0, Some("batch")), Some(50_000_000 + 1_000_000));
    assert_eq!(of(101, 0, Some("BATCH")), Some(505_000_000 + 1_000_000));
    assert_eq!(of(100, 0, Some("default")), of(100, 0, None));
}

fn raw(yaml: &str) -> Vec<Price> {
    let raw: Vec<RawPrice> = serde_saphyr::from_str(yaml).unwrap();
    raw::resolve_prices(&raw).unwrap()
}

#[test]
fn dated_tagged_and_regional_names_fall_back() {
    let table = PriceTable::builtin();
    let same = |catalogue: &str, name: &str, base: &str| {
        let (found, base) = (table.find(catalogue, name), table.find(catalogue, base));
        assert!(found.zip(base).is_some_and(|(a, b)| std::sync::Arc::ptr_eq(a, b)), "{catalogue}/{name}");
    };
    same("openai", "gpt-4o-mini-2024-07-18", "gpt-4o-mini");
    same("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5");
    same("anthropic", "claude-sonnet-4-5-latest", "claude-sonnet-4-5");
    same("anthropic", "claude-3-5-haiku-20241022", "claude-3-5-haiku-latest");
    same("vertex", "claude-sonnet-4-5@20250929", "claude-sonnet-4-5");
    same("openrouter", "openai/gpt-4o-mini:nitro", "openai/gpt-4o-mini");
    same("fireworks", "accounts/fireworks/models/deepseek-v4-pro", "deepseek-v4-pro");
    same("gemini", "models/gemini-2.5-pro", "gemini-2.5-pro");
    same("openai", "ft:gpt-4o-mini-2024-07-18:acme::abc123", "ft:gpt-4o-mini-2024-07-18");
    assert!(table.find("openai", "ft:gpt-2:acme::abc123").is_none(), "a tuned model never costs as its base");
    for name in ["", ":", "@", "-latest", "models/", "-2024-07-18", "é-2024-07-1é"] {
        assert!(table.find("openai", name).is_none(), "{name:?}");
    }
}

#[test]
fn the_built_in_table_is_read_whole() {
    let text = include_str!("../../../conf/models.tsv");
    let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with(['#', '[']) && !l.starts_with("version\t"));
    let table = PriceTable::builtin();
    let read: usize = table.catalogues().iter().map(|c| table.models(c).len()).sum();
    assert_eq!(read, lines.clone().count(), "a line is malformed, or a name is there twice");
    assert!(read > 3_000, "{read}");
    assert!(table.built_on().is_some(), "{}", table.version);
    let headers: Vec<&str> = text.lines().filter(|l| l.starts_with('[')).collect();
    assert_eq!(headers.len(), table.catalogues().len());
    assert!(text.lines().take(3).any(|l| l.contains("genai-prices")), "sources are named");
}

/// What the contract promises: the current models of these vendors, and older ones still callable.
#[test]
fn current_and_older_models_are_priced() {
    let table = PriceTable::builtin();
    for name in [
        "openai/gpt-5.2 openai/gpt-5-mini openai/gpt-4o openai/gpt-4o-mini openai/gpt-4.1 openai/o3 openai/gpt-3.5-turbo",
        "openai/text-embedding-3-small openai/gpt-3.5-turbo-instruct openai/gpt-6-sol",
        "anthropic/claude-sonnet-4-5 anthropic/claude-opus-4-8 anthropic/claude-haiku-4-5 anthropic/claude-3-haiku",
        "anthropic/claude-opus-5-5 anthropic/claude-sonnet-5-5 anthropic/claude-haiku-5-5 anthropic/claude-3-7-sonnet",
        "gemini/gemini-2.5-flash gemini/gemini-2.5-pro vertex/gemini-2.5-pro vertex/claude-sonnet-4-5",
        "mistral/mistral-large-latest mistral/codestral-latest deepseek/deepseek-v4-pro xai/grok-4.7 xai/grok-4",
        "groq/llama-3.3-70b-versatile groq/openai/gpt-oss-120b cohere/command-a-03-2025 cohere/command-r-plus-08-2024",
        "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0 bedrock/amazon.nova-pro-v1:0 azure/gpt-4o-mini azure/gpt-5.2",
        "openrouter/openai/gpt-4o-mini openrouter/anthropic/claude-sonnet-4.5 together/openai/gpt-oss-120b",
        "fireworks/gpt-oss-120b cerebras/gpt-oss-120b perplexity/sonar-pro moonshot/kimi-k3 simulator/sim-1",
    ]
    .join(" ")
    .split(' ')
    {
        let (catalogue, model) = name.split_once('/').unwrap();
        let info = table.find(catalogue, model).unwrap_or_else(|| panic!("{name} is missing"));
        let cost = info.cost(&plain(1_000, 0), None, today(), None);
        assert!(cost.is_some_and(|c| c.0 > 0), "{name} has no price");
    }
}

/// Amazon's profiles are no models of their own, unless the table says so; some regions are dearer.
#[test]
fn profiles_and_regions_of_amazons_are_found() {
    let table = PriceTable::builtin();
    let input = |info: Option<&std::sync::Arc<ModelInfo>>| info.and_then(|i| i.price_on(today())?.standard.rates.input);
    let nova = input(table.find("bedrock", "amazon.nova-lite-v1:0"));
    assert!(nova.is_some());
    for name in ["jp.amazon.nova-lite-v1:0", "arn:aws:bedrock:us-east-1:1:foundation-model/amazon.nova-lite-v1:0"] {
        assert_eq!(input(table.find("bedrock", name)), nova, "{name}");
    }
    assert!(table.find("bedrock", "arn:aws:bedrock:us-east-1:1:application-inference-profile/1arbu5").is_none());
    let regional = |table: &PriceTable, region| input(table.find_in("gov", "bedrock", region, "amazon.nova-lite-v1:0"));
    assert_eq!(regional(&table, None), nova);
    assert_eq!(regional(&table, Some("us-east-1")), nova);
    assert!(regional(&table, Some("us-gov-west-1")) > nova);
    let own = PriceTable::builtin().with_overrides("bedrock/amazon.nova-lite-v1:0: [{input: 9}]").unwrap();
    assert_eq!(regional(&own, Some("us-gov-west-1")), Some(9_000_000), "what the operator says holds everywhere");
}

/// Encoders of Anthropic's format need the ceiling of `max_tokens` and the way to ask for thinking.
#[test]
fn every_claude_has_a_ceiling_and_a_way_of_thinking() {
    let table = PriceTable::builtin();
    let how = |model: &str| table.find("anthropic", model).map(|info| info.thinking);
    assert_eq!(how("claude-3-5-sonnet-20241022"), Some(Thinking::None));
    assert_eq!(how("claude-3-7-sonnet-20250219"), Some(Thinking::Budget));
    assert_eq!(how("claude-opus-4-1-20250805"), Some(Thinking::Budget));
    assert_eq!(how("claude-sonnet-4-5"), Some(Thinking::Budget));
    assert_eq!(how("claude-opus-4-6"), Some(Thinking::Adaptive));
    assert_eq!(how("claude-sonnet-5-5"), Some(Thinking::Adaptive));
    for (name, info) in table.models("anthropic") {
        assert_ne!(info.thinking, Thinking::Unknown, "{name}");
        // The newest are priced before their limits are listed.
        assert!(info.max_output_tokens.is_some() || info.thinking == Thinking::Adaptive, "{name}");
    }
    let info = table.find("openai", "gpt-4o-mini").unwrap();
    let can = Capabilities { reasoning: false, vision: true, tools: true, json_schema: true };
    assert_eq!((info.context_tokens, info.max_output_tokens), (Some(128_000), Some(16_384)));
    assert_eq!(info.capabilities, Some(can));
}

#[test]
fn no_built_in_rate_is_absurd() {
    let table = PriceTable::builtin();
    for catalogue in table.catalogues() {
        for (name, info) in table.models(catalogue) {
            for price in &info.prices {
                let rates = price.standard.rates;
                for class in Rates::CLASSES {
                    let most = match Rates::unit(class).unwrap() {
                        Unit::Million => 1_000_000_000,
                        Unit::Each => 10_000_000_000_000,
                    };
                    assert!(rates.get(class).is_none_or(|r| r <= most), "{catalogue}/{name}: {class} is absurd");
                }
                let is_kept_apart = rates.image.is_none() || rates.image_output.is_none();
                assert!(is_kept_apart, "{catalogue}/{name}: images are billed twice");
                assert!(raw::check(price).is_ok(), "{catalogue}/{name}");
                if let (Some(cached), Some(input)) = (rates.cached, rates.input) {
                    assert!(cached <= input, "{catalogue}/{name}: reading the cache costs more than not having one");
                }
            }
            assert!(info.prices.windows(2).all(|pair| pair[0].from_day > pair[1].from_day), "{catalogue}/{name}");
        }
    }
}

#[test]
fn an_operators_prices_replace_the_built_in_ones() {
    let file = "openai/gpt-4o-mini:\n  - {from: 2024-07-18, input: 0.10, cached: 0.05, output: 0.40}\nlab/own-model:\n  - {input: 1, output: 1}\n";
    let table = PriceTable::builtin().with_overrides(file).unwrap();
    let mini = table.find("openai", "gpt-4o-mini-2024-07-18").unwrap();
    assert_eq!(mini.cost(&plain(1_000_000, 0), None, today(), None).unwrap().to_string(), "0.1");
    assert_eq!(mini.context_tokens, Some(128_000), "what else is known of it stays");
    assert!(table.find_in("lab", "vllm", None, "own-model").is_some());
    assert!(table.find("vllm", "own-model").is_none());
    assert_eq!(table.find_in("lab", "openai", None, "gpt-4o").unwrap().context_tokens, Some(128_000));
    assert!(table.catalogues().contains(&"lab"));
    assert_eq!(table.models("lab").len(), 1);
    let (built_in, hash) = table.version.split_once('+').unwrap();
    assert_eq!(built_in, PriceTable::builtin().version);
    assert_eq!(hash.len(), 12);
}

#[test]
fn mistakes_in_a_price_file_are_told_with_their_line() {
    let error = |text: &str| PriceTable::builtin().with_overrides(text).unwrap_err();
    let line_of = |text: &str, line: u64, part: &str| {
        let error = error(text);
        assert_eq!(error.line, line, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    };
    line_of("a/b:\n  - {input: cheap, output: 1}\n", 2, "expected an amount in USD");
    line_of("a/b:\n  - {input: -1, output: 1}\n", 2, "`-1`");
    line_of("a/b:\n  - input: 1\n    output: 1e-3\n", 3, "`1e-3`");
    line_of("a/b:\n  - {input: 0.00000001, output: 1}\n", 2, "at most 6 digits");
    line_of("a/b:\n  - {from: yesterday, input: 1, output: 1}\n", 2, "expected a day");
    line_of("a/b:\n  - {inputs: 1}\n", 2, "inputs");
    line_of("a/b:\n  - {tiers: [{input: 1}], input: 1}\n", 2, "above");
    line_of("a/b:\n  - {cached: 1}\n", 2, "needs at least");
    line_of(
        "x/y:\n  - {input: 1, output: 1}\na/b:\n  - {input: 1, output: 1}\n  - {input: 2, output: 2}\n",
        4,
        "same day",
    );
    line_of("a/b:\n  - {input: 1, tiers: [{above: 2, input: 1}, {above: 2, input: 1}]}\n", 2, "ascend");
    line_of("nameless:\n  - {input: 1, output: 1}\n", 2, "nameless");
    line_of("a/b: []\n", 1, "a/b");
    line_of("a/b:\n  - {input: 1, output: 1}\na/b:\n  - {input: 1, output: 1}\n", 3, "a/b");
    assert!(error("").to_string().contains("line 1"));
    assert_eq!(raw::newest_first(&mut [Price::default(), Price::default()]), Err(Unusable::Twice));
}

/// OpenAI refuses an effort that is sent to a model of its own that does not think; whoever else has a
/// model by such a name is not in these catalogues.
#[test]
fn models_of_openais_that_do_not_think_are_known() {
    let table = PriceTable::builtin();
    let how = |catalogue: &str, model: &str| table.find(catalogue, model).map(|info| info.thinking);
    for model in ["gpt-3.5-turbo", "gpt-4", "gpt-4-turbo-2024-04-09", "gpt-4o-mini-2024-07-18", "gpt-4.1-nano"] {
        assert_eq!(how("openai", model), Some(Thinking::None), "{model}");
    }
    for model in ["gpt-5-chat-latest", "chatgpt-4o-latest", "ft:gpt-4o-2024-08-06:acme::id"] {
        assert_eq!(how("openai", model), Some(Thinking::None), "{model}");
    }
    assert_eq!(how("azure", "gpt-4o"), Some(Thinking::None));
    for model in ["gpt-5", "gpt-5-mini", "gpt-5.1", "o3", "o4-mini"] {
        assert_eq!(how("openai", model), Some(Thinking::Unknown), "{model}");
    }
}

/// A hash is a part of the version: two tables of one day are told apart.
#[test]
fn the_version_says_which_table_it_is() {
    use sha2::{Digest as _, Sha256};
    let text = include_str!("../../../conf/models.tsv");
    let (head, body) = text.split_once("\n[").unwrap();
    let hash = hex::encode(Sha256::digest(format!("[{body}")));
    let (day, said) = head.rsplit_once('\t').unwrap().1.rsplit_once('-').unwrap();
    assert!(said.len() == 8 && hash.starts_with(said), "conf/models.tsv was changed by hand");
    assert_eq!(PriceTable::builtin().version, format!("{day}-{said}"));
    let with = |text: &str| PriceTable::builtin().with_overrides(text).unwrap();
    let (one, other) = (with("a/b: [{input: 1}]"), with("a/b: [{input: 2}]"));
    assert_ne!(one.version, other.version);
    assert_eq!(one.version, with("a/b: [{input: 1}]").version);
    let mut stamped = with("a/b: [{input: 1}]");
    stamped.stamp("lab/m: 3");
    assert_ne!(stamped.version, one.version, "prices written with the providers count too");
    assert!(stamped.version.starts_with(&PriceTable::builtin().version) && stamped.built_on().is_some());
}

/// Every class and every tier by hand, in pico-USD: 1 USD per million is 1,000,000 each.
#[test]
fn every_class_costs_what_its_rate_says() {
    let rates = Rates {
        input: Some(1),
        cached: Some(20),
        cache_write: Some(300),
        cache_write_1h: Some(4_000),
        output: Some(50_000),
        reasoning: Some(600_000),
        audio_input: Some(7_000_000),
        audio_output: Some(80_000_000),
        image_input: Some(900_000_000),
        image_output: Some(1_000_000_000),
        image: None,
        second: Some(11),
        character: Some(13),
        web_search: Some(17),
        request: Some(5),
    };
    let none = Usage::default();
    for (usage, expected) in [
        (none, 5),
        (Usage { fresh_input_tokens: 3, ..none }, 5 + 3),
        (Usage { cached_tokens: 3, ..none }, 5 + 60),
        (Usage { cache_write_tokens: 3, ..none }, 5 + 900),
        (Usage { cache_write_1h_tokens: 3, ..none }, 5 + 12_000),
        (Usage { visible_output_tokens: 3, ..none }, 5 + 150_000),
        (Usage { reasoning_tokens: 3, ..none }, 5 + 1_800_000),
        (Usage { audio_input_tokens: 3, ..none }, 5 + 21_000_000),
        (Usage { audio_output_tokens: 3, ..none }, 5 + 240_000_000),
        (Usage { image_input_tokens: 3, ..none }, 5 + 2_700_000_000),
        (Usage { image_output_tokens: 3, ..none }, 5 + 3_000_000_000),
        (Usage { image_output_tokens: 3, images: 2, ..none }, 5 + 3_000_000_000),
        (Usage { audio_seconds: 3, ..none }, 5 + 33),
        (Usage { characters: 3, ..none }, 5 + 39),
        (Usage { web_searches: 3, ..none }, 5 + 51),
        (Usage { fresh_input_tokens: 1, web_searches: 1, charged_pico_usd: 9, ..none }, 5 + 1 + 17),
    ] {
        assert_eq!(rates.cost(&usage), Some(PicoUsd(expected)), "{usage:?}");
    }
}

#[test]
fn images_of_the_input_and_the_output_fall_back_to_text() {
    let rates = Rates { input: Some(10), output: Some(100), ..Rates::default() };
    let usage = Usage { image_input_tokens: 1, image_output_tokens: 1, ..Usage::default() };
    assert_eq!(rates.cost(&usage), Some(PicoUsd(110)));
}

/// Whoever bills by another unit does not bill for the tokens behind it, unless they have a rate.
#[test]
fn other_units_pay_for_the_tokens_behind_them() {
    let by_image = Rates { image: Some(40), ..Rates::default() };
    let drawn = Usage { images: 2, fresh_input_tokens: 9, image_output_tokens: 500, ..Usage::default() };
    assert_eq!(by_image.cost(&drawn), Some(PicoUsd(80)));
    assert_eq!(Rates { input: Some(1), ..by_image }.cost(&drawn), Some(PicoUsd(89)), "a prompt with a price");
    // Where images are billed by tokens, the price of each holds for answers that count none.
    let either = Rates { image_output: Some(3), output: Some(2), input: Some(1), ..by_image };
    assert_eq!(either.cost(&drawn), Some(PicoUsd(9 + 1_500)));
    assert_eq!(either.cost(&Usage { images: 2, ..Usage::default() }), Some(PicoUsd(80)));
    let by_token = Rates { image: None, ..either };
    assert_eq!(by_token.cost(&Usage { images: 2, ..Usage::default() }), None, "nothing was counted");

    let by_second = Rates { second: Some(100), input: Some(1), output: Some(2), ..Rates::default() };
    let heard = Usage { audio_seconds: 3, audio_input_tokens: 375, fresh_input_tokens: 9, ..Usage::default() };
    assert_eq!(by_second.cost(&heard), Some(PicoUsd(300 + 9)), "as Mistral bills its Voxtral");
    assert_eq!(Rates { audio_input: Some(1), ..by_second }.cost(&heard), Some(PicoUsd(300 + 9 + 375)));
    let by_token = Rates { second: None, ..by_second };
    assert_eq!(by_token.cost(&heard), Some(PicoUsd(9 + 375)));
    assert_eq!(by_token.cost(&Usage { audio_seconds: 3, ..Usage::default() }), None);

    let spoken = Usage { characters: 7, ..Usage::default() };
    assert_eq!(Rates { character: Some(2), ..Rates::default() }.cost(&spoken), Some(PicoUsd(14)));
    assert_eq!(by_second.cost(&spoken), None, "billed by something that nobody counted");
}

#[test]
fn a_search_without_a_price_makes_the_cost_unknown() {
    let rates = Rates { input: Some(1), ..Rates::default() };
    let usage = Usage { fresh_input_tokens: 1, web_searches: 1, ..Usage::default() };
    assert_eq!(rates.cost(&usage), None);
    // What has a price is due all the same, in the region too.
    let charge = rates.charge(&usage);
    assert_eq!((charge.cost(), charge.due()), (None, Some(PicoUsd(1))));
    let standard = Column { rates, ..Column::default() };
    let price = Price { standard, regions: vec![("eu".into(), 3 * FACTOR_ONE)], ..Price::default() };
    let info = ModelInfo { prices: vec![price], ..ModelInfo::default() };
    assert_eq!(info.charge(&usage, None, today(), Some("eu")).due(), Some(PicoUsd(3)));
    // And nothing is due where there is no price at all, nor beside a cost.
    assert_eq!(Rates::default().charge(&usage).due(), None);
    assert_eq!(rates.charge(&plain(7, 0)).due(), None);
    // 21 x 3 + 100 x 15 per million, and two searches at a cent.
    let claude = Usage { fresh_input_tokens: 21, visible_output_tokens: 100, web_searches: 2, ..Usage::default() };
    assert_eq!(cost("anthropic", "claude-sonnet-4-5", &claude, None), "0.021563");
}

/// Hand-computed, of what is billed by other units than tokens.
#[test]
fn other_well_known_models_cost_what_their_lists_say() {
    let none = Usage::default();
    for (catalogue, model, usage, expected) in [
        // 0.006 a minute
        ("openai", "whisper-1", Usage { audio_seconds: 60, ..none }, "0.006"),
        ("openai", "tts-1", Usage { characters: 1_000_000, ..none }, "15"),
        // 14 x 5 + 46 x 10 + 272 x 40 per million
        (
            "openai",
            "gpt-image-1",
            Usage { fresh_input_tokens: 14, image_input_tokens: 46, image_output_tokens: 272, images: 1, ..none },
            "0.01141",
        ),
        ("cohere", "rerank-v3.5", Usage { search_units: 2, ..none }, "0.004"),
        ("anthropic", "claude-opus-4-8", Usage { visible_output_tokens: 1_000_000, ..none }, "25"),
    ] {
        assert_eq!(cost(catalogue, model, &usage, None), expected, "{catalogue}/{model}");
    }
    let opus = Usage { visible_output_tokens: 1_000_000, ..none };
    assert_eq!(cost("anthropic", "claude-opus-4-8", &opus, Some("fast")), "50");
}

#[test]
fn a_region_multiplies_the_whole() {
    let info = ModelInfo {
        prices: raw(
            "- {input: 0.000003, output: 2, request: 1, regions: {eu: 1.1, eu-west: 1.2, regional: 1.5, at: 0.5}}",
        ),
        ..ModelInfo::default()
    };
    let of = |region| info.cost(&plain(5, 0), None, today(), region).unwrap().0;
    let plain = 1_000_000_000_015;
    assert_eq!(of(None), plain);
    assert_eq!(of(Some("global")), plain);
    assert_eq!(of(Some("eu")), 1_100_000_000_017, "16.5 is rounded up");
    assert_eq!(of(Some("eu-central-1")), 1_100_000_000_017);
    assert_eq!(of(Some("eu-west-1")), 1_200_000_000_018);
    assert_eq!(of(Some("europe-west4")), 1_500_000_000_023, "no beginning of a word");
    assert_eq!(of(Some("at")), 500_000_000_008);
    let table = PriceTable::builtin();
    let astra = |region| table.find("openai", "gpt-6-astra").unwrap().cost(&opus(), None, today(), region).unwrap();
    assert_eq!(astra(Some("eu")).0 * 10, astra(None).0 * 11);
    for bad in ["{eu: 0}", "{eu: 11}", "{eu: -1}", "{eu: x}"] {
        let read: Result<Vec<RawPrice>, _> = serde_saphyr::from_str(&format!("- {{input: 1, regions: {bad}}}"));
        assert!(read.is_err() || raw::resolve_prices(&read.unwrap()) == Err(Unusable::Factor), "{bad}");
    }
}

fn opus() -> Usage {
    plain(1_000, 10)
}

/// A price file of LiteLLM's, with its own names and in its own spelling.
const LITELLM: &str = include_str!("fixtures/litellm.json");

#[test]
fn a_price_file_of_litellms_is_read_exactly() {
    let table = PriceTable::builtin().with_overrides(LITELLM).unwrap();
    let of = |catalogue: &str, model: &str| {
        let prices = &table.exact(catalogue, model).unwrap_or_else(|| panic!("{catalogue}/{model}")).prices;
        assert_eq!(prices.len(), 1);
        prices[0].clone()
    };
    let nova = of("openai", "nova-mini");
    // 1.5e-07 USD each are 150,000 pico-USD, not 149,999.99.
    let expected = Rates { input: Some(150_000), cached: Some(75_000), output: Some(600_000), ..Rates::default() };
    assert_eq!(nova.standard.rates, Rates { web_search: Some(25_000_000_000), ..expected });
    assert_eq!(nova.rates(1, Some("batch")).output, Some(300_000));
    assert_eq!(nova.rates(1, Some("priority")).input, Some(250_000));
    assert_eq!(nova.rates(1, Some("ultrafast")).input, Some(900_000), "any word is a tier");
    assert_eq!(nova.regions, [("eu".into(), 1_100_000), ("us".into(), 1_100_000)]);
    let sonnet = of("anthropic", "sonata-5");
    assert_eq!(sonnet.rates(200_000, None).cache_write_1h, Some(6_000_000));
    assert_eq!(sonnet.rates(200_001, None).cache_write_1h, Some(12_000_000));
    assert_eq!(sonnet.rates(200_001, None).output, Some(22_500_000));
    assert_eq!(sonnet.rates(200_001, Some("fast")).output, Some(45_000_000), "twice as much, in every tier");
    let flash = of("vertex", "lightning-2");
    assert_eq!((flash.standard.rates.audio_input, flash.standard.rates.reasoning), (Some(1_000_000), Some(2_500_000)));
    assert_eq!(flash.rates(300_000, Some("flex")).input, Some(625_000));
    assert_eq!((flash.factor(Some("europe-west4")), flash.factor(Some("global"))), (1_100_000, 1_000_000));
    assert_eq!(of("openai", "paint-1").standard.rates.image_output, Some(40_000_000));
    assert_eq!(of("xai", "sketch").standard.rates.image, Some(70_000_000_000));
    assert_eq!(of("openai", "listen-1").standard.rates.second, Some(100_000_000));
    assert_eq!(of("groq", "listen-2").standard.rates.second, Some(30_830_000));
    assert_eq!(of("openai", "speak-1").standard.rates.character, Some(15_000_000));
    assert_eq!(of("cohere", "sort-3").standard.rates.request, Some(2_000_000_000));
    assert_eq!(of("fireworks", "deep-v3").standard.rates.cache_write, None, "no surcharge is no rate of nothing");
    assert_eq!(of("novita", "acme/own").standard.rates.input, Some(700_000), "binary noise is rounded away");
    assert_eq!(of("openai", "nova-mini-latest").standard, nova.standard, "another name of it");
    assert_eq!(of("openrouter", "acme/gift:free").standard.rates.input, Some(0));
    // What says nothing leaves things as they were.
    assert!(
        table.exact("openai", "gpt-4o-mini").unwrap().prices.iter().any(|p| p.standard.rates.input == Some(150_000))
    );
    assert!(table.exact("openai", "mystery").is_none() && table.exact("openai", "sample_spec").is_none());
    let found = table.found().unwrap();
    assert_eq!((found.priced, found.unpriced, found.rounded), (16, 4, 1));
    let unknown: Vec<_> = found.unknown.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(
        unknown,
        [
            ("cache_creation_input_token_cost_above_12hr", 2),
            ("input_cost_per_token", 2),
            ("ocr_cost_per_page", 1),
            ("output_cost_per_second", 1),
            ("provider_specific_entry.us", 1)
        ]
    );
}

#[test]
fn what_is_no_price_file_of_litellms_is_said() {
    let error = |text: &str| PriceTable::builtin().with_overrides(text).unwrap_err();
    let broken = error("{\n  \"a\": {\"litellm_provider\": \"openai\",}\n}");
    assert_eq!(broken.line, 2, "{broken}");
    assert!(error("{}").to_string().contains("names no model"));
    assert!(error("[1]").line > 0);
    // A mapping of YAML may be written with braces, and is ours.
    assert!(PriceTable::builtin().with_overrides("{a/b: [{input: 1}]}").unwrap().found().is_none());
    assert!(PriceTable::builtin().with_overrides(r#"{"a/b": [{"input": 1}]}"#).unwrap().found().is_none());
}

/// Peers row 43: what a price file says never changes which models there are.
#[test]
fn row_43_prices_make_no_models() {
    let table = PriceTable::builtin().with_overrides(LITELLM).unwrap();
    assert!(table.find("openai", "nova-mini").is_some() && !table.lists("openai", "nova-mini"));
    assert!(table.lists("openai", "gpt-4o-mini-2024-07-18"));
    let names = |table: &PriceTable| table.askable("openai").map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&table), names(&PriceTable::builtin()));
}

fn rates() -> impl Strategy<Value = Rates> {
    let rate = || 0_i64..200_000_000;
    let some = || prop::option::of(rate());
    let text = (rate(), some(), some(), rate(), some());
    (text, some(), some(), some(), rate()).prop_map(
        |((input, cached, cache_write, output, reasoning), audio_input, image_input, image_output, web_search)| Rates {
            input: Some(input),
            cached,
            cache_write,
            output: Some(output),
            reasoning,
            audio_input,
            image_input,
            image_output,
            web_search: Some(web_search),
            ..Rates::default()
        },
    )
}

fn any_usage() -> impl Strategy<Value = Usage> {
    prop::array::uniform12(0_u64..2_000_000).prop_map(|[a, b, c, d, e, f, g, h, i, j, k, _]| Usage {
        fresh_input_tokens: a,
        cached_tokens: b,
        cache_write_tokens: c,
        cache_write_1h_tokens: d,
        audio_input_tokens: e,
        visible_output_tokens: f,
        reasoning_tokens: g,
        audio_output_tokens: h,
        image_input_tokens: i,
        image_output_tokens: j,
        web_searches: k,
        ..Usage::default()
    })
}

/// Every class alone.
fn split(usage: &Usage) -> [Usage; 11] {
    let none = Usage::default();
    [
        Usage { fresh_input_tokens: usage.fresh_input_tokens, ..none },
        Usage { cached_tokens: usage.cached_tokens, ..none },
        Usage { cache_write_tokens: usage.cache_write_tokens, ..none },
        Usage { cache_write_1h_tokens: usage.cache_write_1h_tokens, ..none },
        Usage { audio_input_tokens: usage.audio_input_tokens, ..none },
        Usage { visible_output_tokens: usage.visible_output_tokens, ..none },
        Usage { reasoning_tokens: usage.reasoning_tokens, ..none },
        Usage { audio_output_tokens: usage.audio_output_tokens, ..none },
        Usage { image_input_tokens: usage.image_input_tokens, ..none },
        Usage { image_output_tokens: usage.image_output_tokens, ..none },
        Usage { web_searches: usage.web_searches, ..none },
    ]
}

#[test]
fn search_units_cost_requests_and_nothing_else() {
    let mut rates = Rates { request: Some(2_000_000_000), ..Rates::default() };
    let usage = Usage { fresh_input_tokens: 500, search_units: 3, ..Usage::default() };
    assert_eq!(rates.cost(&usage), Some(PicoUsd(6_000_000_000)));
    rates.request = None;
    rates.input = Some(1);
    assert_eq!(rates.cost(&usage), None, "a price by tokens is not its price");
}

proptest! {
    #[test]
    fn a_cost_is_the_sum_of_its_classes(rates in rates(), usage in any_usage()) {
        let whole = rates.cost(&usage).unwrap();
        let parts = split(&usage).iter().fold(PicoUsd(0), |sum, part| sum.saturating_add(rates.cost(part).unwrap()));
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn more_tokens_never_cost_less(rates in rates(), usage in any_usage(), more in any_usage()) {
        for part in split(&more) {
            let bigger = usage.plus(&part);
            prop_assert!(rates.cost(&bigger) >= rates.cost(&usage));
        }
    }

    /// One token under the edge costs the lower tier, one over it the upper, whatever the classes.
    #[test]
    fn tiers_change_right_above_their_edge(lower in rates(), upper in rates(), usage in any_usage(), above in 1_u64..10_000_000) {
        let price = Price { standard: Column { rates: lower, tiers: vec![(above, upper)] }, ..Price::default() };
        let expected = if usage.input_tokens() > above { upper.over(lower) } else { lower };
        prop_assert_eq!(price.rates(usage.input_tokens(), None), expected);
        prop_assert_eq!(price.rates(above, None), lower);
        prop_assert_eq!(price.rates(above + 1, None), upper.over(lower));
    }

    /// Past what fits there is no price, never a wrong one.
    #[test]
    fn the_largest_counts_do_not_wrap(rate in 0_i64.., tokens in 0_u64..) {
        let rates = Rates { input: Some(rate), output: Some(rate), ..Rates::default() };
        let usage = Usage { fresh_input_tokens: tokens, cached_tokens: tokens, visible_output_tokens: tokens, ..Usage::default() };
        let exact = i128::from(rate).checked_mul(i128::from(tokens)).and_then(|one| one.checked_mul(3));
        prop_assert_eq!(rates.cost(&usage), exact.map(PicoUsd));
    }

    #[test]
    fn a_decimal_survives_the_way_there_and_back(pico in 0_i64..) {
        let text = UsdPerMillion(pico).to_string();
        prop_assert_eq!(per_million(&text), Ok(pico));
        prop_assert_eq!(each(&PicoUsd(i128::from(pico)).to_string()), Ok(pico));
    }

    #[test]
    fn no_name_is_too_odd_to_look_up(name in "\\PC{0,24}|(ft:|us\\.|models/)?[a-z:@/-]{0,12}(-latest|-20250101|-2025-01-01|@1|:x){0,3}") {
        // Ends, and never finds what is not there.
        prop_assert!(PriceTable::builtin().find("nobody", &name).is_none());
        let _ = PriceTable::builtin().find("cerebras", &name);
    }
}

#[test]
fn prices_by_region_are_no_names_to_ask_for() {
    let table = PriceTable::builtin();
    let has = |wanted: &str| table.askable("bedrock").any(|(name, _)| name == wanted);
    assert!(has("anthropic.claude-3-5-haiku-20241022-v1:0"));
    assert!(!table.askable("bedrock").any(|(name, _)| name.contains('/') || name.starts_with("regional.")));
    assert!(table.askable("openrouter").any(|(name, _)| name.contains('/')), "elsewhere a slash is part of a name");
}

#[test]
fn a_part_of_a_charge_is_known_where_all_of_it_is_or_it_is_nothing() {
    let whole = Charge::whole(PicoUsd(999));
    assert_eq!([0, 25, 100].map(|percent| whole.part(percent).cost()), [0, 249, 999].map(|cost| Some(PicoUsd(cost))));
    let partial = Charge { floor: PicoUsd(400), is_whole: false };
    assert_eq!((partial.part(50).cost(), partial.part(50).due()), (None, Some(PicoUsd(200))));
    assert_eq!(partial.part(0).cost(), Some(PicoUsd(0)), "nothing costs nothing, whatever the price");
}
