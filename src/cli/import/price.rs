//! Prices beside a model: read as those of LiteLLM's price file are, and written as ours.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::source::{Fields, entries, items};
use super::yaml::{Map, Yaml};
use crate::config::yaml::{Kind, Node};
use crate::provider::Provider;
use crate::usage::price::amount::UsdPerMillion;
use crate::usage::price::litellm::{self, Members};
use crate::usage::price::{Column, PicoUsd, Price, Rates, Unit};

/// Takes the prices of a model of that provider out of a mapping; those that have no use here stay in it.
pub(super) fn take(fields: &mut Fields<'_>, provider: &Provider) -> Map {
    let named = fields.named(|name| litellm::is_pricelike(name) || name == "mode");
    let row: Vec<(&str, Box<RawValue>)> =
        named.into_iter().filter_map(|(name, node)| Some((name, RawValue::from_string(json(node)).ok()?))).collect();
    let kind = RawValue::from_string(format!("\"{}\"", provider.kind)).unwrap_or_default();
    let mut members: Members<'_> = row.iter().map(|(name, value)| (Cow::Borrowed(*name), &**value)).collect();
    members.insert(Cow::Borrowed("litellm_provider"), &kind);
    let (price, found) = litellm::price_of(&members);
    let is_lost = |name: &str| {
        let of_it =
            |unknown: &str| unknown.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        name != "mode" && (price.is_none() || found.unknown.keys().any(|unknown| of_it(unknown)))
    };
    let used: Vec<&str> = row.iter().map(|(name, _)| *name).filter(|name| !is_lost(name)).collect();
    fields.skip(&used);
    price.map(|price| written(&price)).unwrap_or_default()
}

/// A node as JSON. Scalars are texts: numbers are read by their digits.
fn json(node: &Node) -> String {
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    match &node.kind {
        Kind::Null => "null".to_owned(),
        Kind::Scalar(scalar) => text(scalar),
        Kind::List(_) => format!("[{}]", items(node).iter().map(json).collect::<Vec<_>>().join(",")),
        Kind::Map(_) => {
            let members = entries(node).iter().map(|entry| format!("{}:{}", text(&entry.name), json(&entry.value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    }
}

/// A price as `price` of a model has it.
fn written(price: &Price) -> Map {
    let mut map = column(&price.standard);
    let mut service = Map::default();
    for (name, rates) in &price.service {
        service.set(name, column(rates));
    }
    let mut regions = Map::default();
    for (name, factor) in &price.regions {
        regions.set(name, UsdPerMillion(i64::from(*factor)).to_string());
    }
    map.set("service", service).set("regions", regions);
    map
}

fn column(column: &Column) -> Map {
    let mut map = rates(&column.rates);
    let tier = |(above, more): &(u64, Rates)| {
        let mut map = Map::default();
        map.set("above", above.to_string());
        rates(more).entries().for_each(|(name, rate)| _ = map.set(name, rate.clone()));
        Yaml::from(map)
    };
    map.set("tiers", Yaml::List(column.tiers.iter().map(tier).collect()));
    map
}

/// Rates by their classes.
pub(super) fn rates(rates: &Rates) -> Map {
    let mut map = Map::default();
    for class in Rates::CLASSES {
        let Some(rate) = rates.get(class) else { continue };
        let text = match Rates::unit(class) {
            Some(Unit::Each) => PicoUsd(rate.into()).to_string(),
            Some(Unit::Million) | None => UsdPerMillion(rate).to_string(),
        };
        map.set(class, text);
    }
    map
}
