//! What providers say was used. The shapes are those of OpenAI's Usage and Costs API and of Anthropic's
//! Usage and Cost API, as they were in November 2026; members that nobody needs here are left alone.
//!
//! <https://platform.openai.com/docs/api-reference/usage>,
//! <https://docs.anthropic.com/en/api/usage-cost-api>

use std::borrow::Cow;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::money::pico;
use crate::limit::clock::Rfc3339;

const DAY_SECONDS: u64 = 86_400;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    OpenAiUsage,
    OpenAiCosts,
    AnthropicUsage,
    AnthropicCosts,
    Csv,
}

/// Counts; `None` is not said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) requests: Option<u64>,
    /// All of it, cached and cache-written included.
    pub(super) input: Option<u64>,
    pub(super) cached: Option<u64>,
    pub(super) written: Option<u64>,
    pub(super) output: Option<u64>,
    /// In pico-USD.
    pub(super) cost: Option<i128>,
}

/// What was used of a model on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fact {
    pub(super) day: String,
    /// `None`: all of that day together.
    pub(super) model: Option<String>,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) facts: Vec<Fact>,
    pub(super) has_more: bool,
}

#[derive(Debug, Deserialize)]
struct Page<B> {
    data: Vec<B>,
    #[serde(default)]
    has_more: bool,
}

/// A file holds one page, a list of them, or one after the other.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Pages<B> {
    Many(Vec<Page<B>>),
    One(Page<B>),
}

#[derive(Debug, Deserialize)]
struct OpenAiBucket<R> {
    start_time: u64,
    end_time: u64,
    results: Vec<R>,
}

#[derive(Debug, Deserialize)]
struct OpenAiUsage {
    model: Option<String>,
    input_tokens: u64,
    /// What only reads (embeddings) has none.
    #[serde(default)]
    output_tokens: u64,
    input_cached_tokens: Option<u64>,
    num_model_requests: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct OpenAiCost {
    amount: Amount,
    line_item: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Amount {
    value: Decimal,
    currency: String,
}

/// A number, or one in quotes, as it is written.
#[derive(Debug)]
struct Decimal(String);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Number(serde_json::Number),
        }
        Ok(match Either::deserialize(from)? {
            Either::Text(text) => Self(text),
            Either::Number(number) => Self(number.to_string()),
        })
    }
}

#[derive(Debug, Deserialize)]
struct AnthropicBucket<R> {
    starting_at: String,
    ending_at: String,
    results: Vec<R>,
}

#[derive(Debug, Deserialize)]
struct AnthropicUsage {
    model: Option<String>,
    uncached_input_tokens: u64,
    #[serde(default)]
    cache_creation: Written,
    #[serde(default)]
    cache_read_input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Written {
    ephemeral_1h_input_tokens: u64,
    ephemeral_5m_input_tokens: u64,
}

#[derive(Debug, Deserialize)]
struct AnthropicCost {
    model: Option<String>,
    /// In cents.
    amount: Decimal,
    currency: String,
}

pub(super) fn read(shape: Shape, text: &str) -> Result<Found, String> {
    let nothing = Counts { input: Some(0), cached: Some(0), output: Some(0), ..Counts::default() };
    let no_cost = Counts { cost: Some(0), ..Counts::default() };
    match shape {
        Shape::OpenAiUsage => pages(text, openai_usage, Counts { requests: Some(0), ..nothing }),
        Shape::OpenAiCosts => pages(text, openai_costs, no_cost),
        Shape::AnthropicUsage => pages(text, anthropic_usage, Counts { written: Some(0), ..nothing }),
        Shape::AnthropicCosts => pages(text, anthropic_costs, no_cost),
        Shape::Csv => csv(text),
    }
}

/// `each` puts in the facts of a bucket and gives its day; `nothing` is what one without any says.
fn pages<B: DeserializeOwned>(
    text: &str,
    each: fn(B, &mut Vec<Fact>) -> Result<String, String>,
    nothing: Counts,
) -> Result<Found, String> {
    let mut found = Found::default();
    let mut any = false;
    for part in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let part = part.map_err(|error| format!("not JSON: {error}"))?;
        let pages: Pages<B> = serde_json::from_str(part.get()).map_err(|_| {
            "not of this shape: expected a page with `data`, a list of buckets with `results`".to_owned()
        })?;
        let pages = match pages {
            Pages::Many(pages) => pages,
            Pages::One(page) => vec![page],
        };
        for page in pages {
            any = true;
            found.has_more = page.has_more;
            for bucket in page.data {
                let before = found.facts.len();
                let day = each(bucket, &mut found.facts)?;
                if found.facts.len() == before {
                    // A day of which they have nothing says that it was nothing.
                    found.facts.push(Fact { day, model: None, counts: nothing });
                }
            }
        }
    }
    if any { Ok(found) } else { Err("it is empty".to_owned()) }
}

/// Of a bucket that begins and ends then: seconds since 1970.
fn day_of(start: u64, end: u64) -> Result<String, String> {
    let day = |at: u64| at / DAY_SECONDS;
    if end > start && day(end - 1) != day(start) {
        return Err("a bucket goes over the end of a day in UTC: ask for `bucket_width=1d` or less".to_owned());
    }
    let moment = Rfc3339(UNIX_EPOCH + Duration::from_secs(start)).to_string();
    Ok(moment.get(..10).unwrap_or_default().to_owned())
}

fn openai_usage(bucket: OpenAiBucket<OpenAiUsage>, facts: &mut Vec<Fact>) -> Result<String, String> {
    let day = day_of(bucket.start_time, bucket.end_time)?;
    facts.extend(bucket.results.into_iter().map(|result| Fact {
        day: day.clone(),
        model: result.model,
        counts: Counts {
            requests: result.num_model_requests,
            input: Some(result.input_tokens),
            cached: result.input_cached_tokens,
            output: Some(result.output_tokens),
            ..Counts::default()
        },
    }));
    Ok(day)
}

fn dollars(amount: &Decimal, currency: &str, cents: bool) -> Result<i128, String> {
    if !currency.eq_ignore_ascii_case("usd") {
        return Err(format!("amounts in {currency}: only USD can be compared"));
    }
    pico(&amount.0, cents).ok_or_else(|| "an amount that is no number".to_owned())
}

fn openai_costs(bucket: OpenAiBucket<OpenAiCost>, facts: &mut Vec<Fact>) -> Result<String, String> {
    let day = day_of(bucket.start_time, bucket.end_time)?;
    for result in bucket.results {
        let cost = dollars(&result.amount.value, &result.amount.currency, false)?;
        // `gpt-5-mini-2025-08-07, cached input`
        let model =
            result.line_item.as_deref().and_then(|item| item.split_once(", ")).map(|(model, _)| model.to_owned());
        facts.push(Fact { day: day.clone(), model, counts: Counts { cost: Some(cost), ..Counts::default() } });
    }
    Ok(day)
}

fn anthropic_day(starting_at: &str, ending_at: &str) -> Result<String, String> {
    let day = starting_at.get(..10).filter(|day| is_day(day)).ok_or("a bucket without a day")?;
    if !starting_at.ends_with('Z') {
        return Err("times that are not in UTC".to_owned());
    }
    let midnight = ending_at.get(10..19) == Some("T00:00:00");
    let over = ending_at.get(..10).is_some_and(|end| end != day);
    // A whole day ends with the beginning of the next one; that of two ends a day later.
    let is_next = |end: &str| next_day(day).as_deref() == end.get(..10);
    if over && !(midnight && is_next(ending_at)) {
        return Err("a bucket goes over the end of a day in UTC: ask for `bucket_width=1d` or less".to_owned());
    }
    Ok(day.to_owned())
}

fn next_day(day: &str) -> Option<String> {
    let date: jiff::civil::Date = day.parse().ok()?;
    date.tomorrow().ok().map(|next| next.to_string())
}

fn anthropic_usage(bucket: AnthropicBucket<AnthropicUsage>, facts: &mut Vec<Fact>) -> Result<String, String> {
    let day = anthropic_day(&bucket.starting_at, &bucket.ending_at)?;
    facts.extend(bucket.results.into_iter().map(|result| {
        let Written { ephemeral_1h_input_tokens: hour, ephemeral_5m_input_tokens: minutes } = result.cache_creation;
        let written = hour.saturating_add(minutes);
        let (fresh, cached) = (result.uncached_input_tokens, result.cache_read_input_tokens);
        let counts = Counts {
            input: Some(fresh.saturating_add(cached).saturating_add(written)),
            cached: Some(cached),
            written: Some(written),
            output: Some(result.output_tokens),
            ..Counts::default()
        };
        Fact { day: day.clone(), model: result.model, counts }
    }));
    Ok(day)
}

fn anthropic_costs(bucket: AnthropicBucket<AnthropicCost>, facts: &mut Vec<Fact>) -> Result<String, String> {
    let day = anthropic_day(&bucket.starting_at, &bucket.ending_at)?;
    for result in bucket.results {
        let cost = Some(dollars(&result.amount, &result.currency, true)?);
        facts.push(Fact { day: day.clone(), model: result.model, counts: Counts { cost, ..Counts::default() } });
    }
    Ok(day)
}

/// What columns may be called, by what they are.
const COLUMNS: [(&str, &[&str]); 8] = [
    ("day", &["day", "date", "usage_date", "start_date"]),
    ("model", &["model", "model_name", "model_version"]),
    ("requests", &["requests", "num_model_requests", "request_count"]),
    ("input", &["input_tokens", "prompt_tokens", "usage_input_tokens"]),
    ("cached", &["cached_tokens", "input_cached_tokens", "cache_read_tokens", "usage_input_tokens_cache_read"]),
    ("written", &["cache_write_tokens", "cache_creation_tokens"]),
    ("output", &["output_tokens", "completion_tokens", "usage_output_tokens"]),
    ("cost", &["cost_usd", "cost", "amount_usd", "amount"]),
];

fn csv(text: &str) -> Result<Found, String> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let heads = reader.headers().map_err(|error| error.to_string())?.clone();
    let column = |what: &str| {
        let names = COLUMNS.iter().find(|(name, _)| *name == what).map_or(&[][..], |(_, names)| names);
        let plain = |head: &str| head.trim_start_matches('\u{feff}').to_ascii_lowercase().replace([' ', '-'], "_");
        heads.iter().position(|head| names.contains(&plain(head).as_str()))
    };
    let day = column("day").ok_or("no column `day`")?;
    let model = column("model");
    let places = ["requests", "input", "cached", "written", "output"].map(column);
    let cost = column("cost");
    if places.iter().all(Option::is_none) && cost.is_none() {
        return Err("no column to compare: requests, input_tokens, output_tokens, cost_usd ...".to_owned());
    }
    let mut found = Found::default();
    for (at, record) in reader.records().enumerate() {
        let record = record.map_err(|error| error.to_string())?;
        let wrong = |what: &str| format!("line {}: {what}", at + 2);
        let cell = |place: Option<usize>| place.and_then(|at| record.get(at)).filter(|cell| !cell.is_empty());
        let date = cell(Some(day)).and_then(|cell| cell.get(..10)).filter(|day| is_day(day));
        let number = |place: Option<usize>| {
            cell(place).map(|cell| cell.parse().map_err(|_| wrong(&format!("`{cell}` is no count")))).transpose()
        };
        let [requests, input, cached, written, output] = places;
        let amount = cell(cost).map(|cell| pico(cell, false).ok_or_else(|| wrong("a cost that is no number")));
        let counts = Counts {
            requests: number(requests)?,
            input: number(input)?,
            cached: number(cached)?,
            written: number(written)?,
            output: number(output)?,
            cost: amount.transpose()?,
        };
        let day = date.ok_or_else(|| wrong("no day like 2026-11-28"))?.to_owned();
        found.facts.push(Fact { day, model: cell(model).map(str::to_owned), counts });
    }
    Ok(found)
}

/// `2026-11-28`
pub(super) fn is_day(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

/// A model without the day of its version, so that `gpt-5-mini` and `gpt-5-mini-2025-08-07` are one.
pub(super) fn plain(model: &str) -> Cow<'_, str> {
    let lower = || model.to_ascii_lowercase();
    let model = if model.bytes().any(|b| b.is_ascii_uppercase()) { Cow::Owned(lower()) } else { Cow::Borrowed(model) };
    let digits = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.chars().zip(shape.chars()).all(|(own, of)| if of == '0' { own.is_ascii_digit() } else { own == of })
    };
    for shape in ["-0000-00-00", "-00000000", "@00000000", "-latest"] {
        let Some(at) = model.len().checked_sub(shape.len()) else { continue };
        if let Some((before, end)) = model.split_at_checked(at)
            && !before.is_empty()
            && digits(end, shape)
        {
            return Cow::Owned(before.to_owned());
        }
    }
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(shape: Shape, text: &str) -> Vec<Fact> {
        read(shape, text).unwrap().facts
    }

    #[test]
    fn openai_pages_are_read_one_after_the_other() {
        let page = |day: u64, more: bool| {
            format!(
                r#"{{"object":"page","data":[{{"object":"bucket","start_time":{},"end_time":{},"results":[{{"object":"organization.usage.completions.result","input_tokens":1000,"output_tokens":500,"input_cached_tokens":800,"input_audio_tokens":0,"num_model_requests":5,"project_id":null,"model":"gpt-5-mini-2025-08-07","batch":null,"service_tier":"default"}}]}}],"has_more":{more},"next_page":null}}"#,
                day * DAY_SECONDS,
                (day + 1) * DAY_SECONDS
            )
        };
        let counts =
            Counts { requests: Some(5), input: Some(1_000), cached: Some(800), output: Some(500), ..Counts::default() };
        let fact = |day: &str| Fact { day: day.into(), model: Some("gpt-5-mini-2025-08-07".into()), counts };
        let text = page(20_786, true) + "\n" + &page(20_787, false);
        assert_eq!(facts(Shape::OpenAiUsage, &text), [fact("2026-11-29"), fact("2026-11-30")]);
        let list = format!("[{},{}]", page(20_786, true), page(20_787, true));
        let found = read(Shape::OpenAiUsage, &list).unwrap();
        assert_eq!((found.facts.len(), found.has_more), (2, true));
        for (text, why) in [("", "empty"), ("{", "not JSON"), ("{\"a\":1}", "not of this shape")] {
            assert!(read(Shape::OpenAiUsage, text).unwrap_err().contains(why), "{text}");
        }
        let week =
            page(20_786, false).replace(&(20_787 * DAY_SECONDS).to_string(), &(20_793 * DAY_SECONDS).to_string());
        assert!(read(Shape::OpenAiUsage, &week).unwrap_err().contains("bucket_width"));
    }

    #[test]
    fn a_day_without_results_says_that_nothing_was_used() {
        let bucket = r#"{"data":[{"start_time":1795910400,"end_time":1795996800,"results":[]}],"has_more":false}"#;
        let fact = |counts| Fact { day: "2026-11-29".into(), model: None, counts };
        let none = Counts { requests: Some(0), input: Some(0), cached: Some(0), output: Some(0), ..Counts::default() };
        assert_eq!(facts(Shape::OpenAiUsage, bucket), [fact(none)]);
        assert_eq!(facts(Shape::OpenAiCosts, bucket), [fact(Counts { cost: Some(0), ..Counts::default() })]);
        let bucket =
            r#"{"data":[{"starting_at":"2026-11-29T00:00:00Z","ending_at":"2026-11-30T00:00:00Z","results":[]}]}"#;
        assert_eq!(facts(Shape::AnthropicUsage, bucket), [fact(Counts { requests: None, written: Some(0), ..none })]);
        let embeddings = r#"{"data":[{"start_time":1795910400,"end_time":1795996800,"results":[{"input_tokens":7,"num_model_requests":1,"model":"text-embedding-3-small"}]}]}"#;
        assert_eq!(facts(Shape::OpenAiUsage, embeddings)[0].counts.output, Some(0));
    }

    #[test]
    fn openai_costs_name_the_model_in_their_line_items() {
        let text = r#"{"object":"page","data":[{"object":"bucket","start_time":1795910400,"end_time":1795996800,"results":[
            {"object":"organization.costs.result","amount":{"value":0.06,"currency":"usd"},"line_item":"gpt-5-mini-2025-08-07, cached input","project_id":null},
            {"object":"organization.costs.result","amount":{"value":"1.25e-05","currency":"usd"},"line_item":null,"project_id":"p"}]}],"has_more":false}"#;
        let found = facts(Shape::OpenAiCosts, text);
        let shown: Vec<_> = found.iter().map(|f| (f.day.as_str(), f.model.as_deref(), f.counts.cost)).collect();
        assert_eq!(
            shown,
            [
                ("2026-11-29", Some("gpt-5-mini-2025-08-07"), Some(60_000_000_000)),
                ("2026-11-29", None, Some(12_500_000))
            ]
        );
        assert!(read(Shape::OpenAiCosts, &text.replace("\"usd\"", "\"eur\"")).unwrap_err().contains("only USD"));
    }

    #[test]
    fn anthropic_counts_classes_apart_and_money_in_cents() {
        let usage = r#"{"data":[{"starting_at":"2026-11-29T00:00:00Z","ending_at":"2026-11-30T00:00:00Z","results":[{"uncached_input_tokens":1500,"cache_creation":{"ephemeral_1h_input_tokens":1000,"ephemeral_5m_input_tokens":500},"cache_read_input_tokens":200,"output_tokens":500,"server_tool_use":{"web_search_requests":10},"api_key_id":null,"workspace_id":null,"model":"claude-sonnet-4-5-20250929","service_tier":"standard","context_window":"0-200k"}]}],"has_more":false,"next_page":null}"#;
        let counts = Counts {
            input: Some(3_200),
            cached: Some(200),
            written: Some(1_500),
            output: Some(500),
            ..Counts::default()
        };
        let fact = Fact { day: "2026-11-29".into(), model: Some("claude-sonnet-4-5-20250929".into()), counts };
        assert_eq!(facts(Shape::AnthropicUsage, usage), [fact]);
        let costs = r#"{"data":[{"starting_at":"2026-11-29T00:00:00Z","ending_at":"2026-11-30T00:00:00Z","results":[{"currency":"USD","amount":"123.78912","workspace_id":null,"description":"Claude Sonnet 4.5 Usage - Input Tokens","cost_type":"tokens","context_window":"0-200k","model":"claude-sonnet-4-5-20250929","service_tier":"standard","token_type":"uncached_input_tokens"}]}],"has_more":false}"#;
        assert_eq!(facts(Shape::AnthropicCosts, costs)[0].counts.cost, Some(1_237_891_200_000));
        for (from, to) in [("2026-11-30T", "2026-12-01T"), ("29T00:00:00Z", "29T00:00:00+02:00")] {
            assert!(read(Shape::AnthropicUsage, &usage.replace(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn a_csv_is_read_by_the_names_of_its_columns() {
        let text = "Date,Model,Requests,Prompt Tokens,completion_tokens,Cost USD,other\n2026-11-29T00:00:00Z,a,3,10,5,0.5,x\n2026-11-30,b,,7,,,y\n";
        let found = facts(Shape::Csv, text);
        let first = Counts {
            requests: Some(3),
            input: Some(10),
            output: Some(5),
            cost: Some(500_000_000_000),
            ..Counts::default()
        };
        assert_eq!((found[0].day.as_str(), found[0].counts), ("2026-11-29", first));
        assert_eq!(found[1].counts, Counts { input: Some(7), ..Counts::default() });
        for (text, why) in [
            ("model,requests\na,1\n", "no column `day`"),
            ("day,model\n2026-11-29,a\n", "no column to compare"),
            ("day,requests\nyesterday,1\n", "line 2"),
            ("day,requests\n2026-11-29,many\n", "`many` is no count"),
        ] {
            assert!(read(Shape::Csv, text).unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn versions_of_a_model_are_one() {
        for (model, expected) in [
            ("gpt-5-mini-2025-08-07", "gpt-5-mini"),
            ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4-5@20250929", "claude-sonnet-4-5"),
            ("mistral-large-latest", "mistral-large"),
            ("GPT-4o", "gpt-4o"),
            ("gpt-4o", "gpt-4o"),
            ("-latest", "-latest"),
            ("", ""),
        ] {
            assert_eq!(plain(model), expected);
        }
    }
}
