//! Names of other authors' models at the clouds that sell them: `anthropic/claude-sonnet-4-5` is
//! `eu.anthropic.claude-sonnet-4-5-20250929-v1:0` at Bedrock in Europe.

use std::collections::HashMap;

use crate::provider::Provider;
use crate::usage::price::PriceTable;

/// `author/model` to the provider's own name, for the catalogues that need it.
pub(super) fn names(
    provider: &Provider,
    vars: &[(&'static str, String)],
    prices: &PriceTable,
) -> HashMap<String, String> {
    let region = vars.iter().find(|(name, _)| *name == "region").map_or("", |(_, region)| region.as_str());
    let read: fn(&str, &str) -> Option<(String, u8)> = match provider.catalogue {
        "bedrock" => bedrock,
        "vertex" => vertex,
        _ => return HashMap::new(),
    };
    let mut best: HashMap<String, (u8, String)> = HashMap::new();
    for (own, _) in prices.askable(provider.catalogue) {
        let Some((name, rank)) = read(own, region) else { continue };
        let candidate = (rank, own.to_owned());
        // Of several dates of one model the latest, which sorts last.
        match best.get_mut(&name) {
            Some(known) if known.0 > candidate.0 || (known.0 == candidate.0 && known.1 > candidate.1) => {}
            Some(known) => *known = candidate,
            None => _ = best.insert(name, candidate),
        }
    }
    best.into_iter().map(|(name, (_, own))| (name, own)).collect()
}

/// `[eu.]anthropic.claude-sonnet-4-5-20250929-v1:0`. An inference profile of the region is preferred
/// (newer models have no other way), then the model itself, then the worldwide profile, which may
/// process a request anywhere.
fn bedrock(own: &str, region: &str) -> Option<(String, u8)> {
    let (prefix, rest) = match own.split_once('.') {
        Some((prefix, rest)) if is_profile(prefix) => (prefix, rest),
        _ => ("", own),
    };
    let rank = match prefix {
        "global" => 1,
        "" => 2,
        prefix if serves(prefix, region) => 3,
        _ => return None,
    };
    let (author, model) = rest.split_once('.')?;
    let model = model.split_once(':').map_or(model, |(model, _)| model);
    let model = match model.rsplit_once("-v") {
        Some((model, version)) if version.bytes().all(|b| b.is_ascii_digit()) => model,
        _ => model,
    };
    Some((format!("{author}/{}", undated(model)), rank))
}

fn is_profile(prefix: &str) -> bool {
    matches!(prefix, "global" | "us" | "eu" | "apac" | "jp" | "au" | "ca" | "in" | "us-gov")
}

/// Whether a geographic inference profile can be called in this region.
fn serves(prefix: &str, region: &str) -> bool {
    match prefix {
        "us" => region.starts_with("us-") && !region.starts_with("us-gov-"),
        "us-gov" => region.starts_with("us-gov-"),
        "eu" => region.starts_with("eu-"),
        "apac" => region.starts_with("ap-"),
        "jp" => matches!(region, "ap-northeast-1" | "ap-northeast-3"),
        "au" => matches!(region, "ap-southeast-2" | "ap-southeast-4"),
        "ca" => region.starts_with("ca-"),
        "in" => matches!(region, "ap-south-1" | "ap-south-2"),
        _ => false,
    }
}

/// `claude-sonnet-4-5@20250929`, `gemini-2.5-pro`, `meta/llama-...-maas`.
fn vertex(own: &str, _: &str) -> Option<(String, u8)> {
    let plain = own.split_once('@').map_or(own, |(model, _)| model);
    if let Some((author, model)) = plain.split_once('/') {
        return Some((format!("{author}/{}", model.strip_suffix("-maas").unwrap_or(model)), 1));
    }
    let author = match plain {
        _ if plain.starts_with("claude-") => "anthropic",
        _ if plain.starts_with("gemini-") => "google",
        _ => return None,
    };
    Some((format!("{author}/{plain}"), 1))
}

/// Without `-20250929`.
fn undated(model: &str) -> &str {
    match model.rsplit_once('-') {
        Some((base, date)) if date.len() == 8 && date.starts_with("20") && date.bytes().all(|b| b.is_ascii_digit()) => {
            base
        }
        _ => model,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_clouds_are_read() {
        let sonnet = || "anthropic/claude-sonnet-4-5".to_owned();
        assert_eq!(bedrock("anthropic.claude-sonnet-4-5-20250929-v1:0", "eu-west-1"), Some((sonnet(), 2)));
        assert_eq!(bedrock("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "eu-west-1"), Some((sonnet(), 3)));
        assert_eq!(bedrock("eu.anthropic.claude-sonnet-4-5-20250929-v1:0", "us-east-1"), None);
        assert_eq!(bedrock("global.anthropic.claude-opus-4-7", "x"), Some(("anthropic/claude-opus-4-7".to_owned(), 1)));
        assert_eq!(bedrock("openai.gpt-5.4", ""), Some(("openai/gpt-5.4".to_owned(), 2)));
        assert_eq!(vertex("claude-sonnet-4-5@20250929", ""), Some((sonnet(), 1)));
        assert_eq!(vertex("meta/llama-4-maas", ""), Some(("meta/llama-4".to_owned(), 1)));
        assert_eq!(vertex("gemini-2.5-pro", ""), Some(("google/gemini-2.5-pro".to_owned(), 1)));
    }
}
