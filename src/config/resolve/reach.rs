//! Which names of models lead anywhere: a pattern that matches none of them is a mistake. Allow-lists
//! and limits see the name of the route, or else `provider/model` (`stage::route`).

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::raw::Config;
use crate::config::read::{At, Context, nearest};
use crate::config::runtime::{Deployment, ModelPattern, Runtime};
use crate::usage::price::PriceTable;

#[derive(Debug)]
pub(super) struct Reach<'r> {
    /// Routes and listed models.
    names: Vec<String>,
    /// `openai/`: any name after it.
    open: Vec<String>,
    /// Not all names are known, for some could not be read.
    lost: bool,
    deployments: &'r [Arc<Deployment>],
    prices: &'r PriceTable,
    /// What was found for a pattern: thousands of tenants share a few.
    known: HashMap<String, bool>,
}

impl<'r> Reach<'r> {
    pub(super) fn new(raw: &Config, deployments: &'r [Arc<Deployment>], prices: &'r PriceTable) -> Self {
        let mut names: Vec<String> = raw.routes.entries.iter().map(|(name, _)| name.value.clone()).collect();
        let mut open = Vec::new();
        for (provider, _) in &raw.providers.entries {
            let prefix = format!("{}/", provider.value);
            let deployment = deployments.iter().find(|d| d.name == provider.value);
            names.extend(deployment.iter().flat_map(|d| d.models.keys()).map(|model| format!("{prefix}{model}")));
            // One with something wrong has been reported; what refers to it may be right.
            if deployment.is_none_or(|d| !d.models_only) {
                open.push(prefix);
            }
        }
        let lost = raw.providers_lost() || raw.routes_lost();
        Self { names, open, lost, deployments, prices, known: HashMap::new() }
    }

    /// Of a configuration that is in force.
    pub(super) fn of(runtime: &'r Runtime) -> Self {
        let deployments = runtime.deployments.as_slice();
        let listed = deployments.iter().flat_map(|d| d.models.keys().map(|model| format!("{}/{model}", d.name)));
        let names = runtime.routes.keys().cloned().chain(listed).collect();
        let open = deployments.iter().filter(|d| !d.models_only).map(|d| format!("{}/", d.name)).collect();
        Self { names, open, lost: false, deployments, prices: &runtime.prices, known: HashMap::new() }
    }

    /// Whether any name matches.
    fn leads_anywhere(&mut self, pattern: &ModelPattern) -> bool {
        if let Some(known) = self.known.get(&pattern.0) {
            return *known;
        }
        let (literal, star) = match pattern.0.split_once('*') {
            Some((literal, _)) => (literal, true),
            None => (pattern.0.as_str(), false),
        };
        let opens = |prefix: &String| {
            (literal.starts_with(prefix.as_str()) && (star || literal.len() > prefix.len()))
                || (star && prefix.starts_with(literal))
        };
        let leads = self.open.iter().any(opens) || self.names.iter().any(|name| pattern.matches(name));
        self.known.insert(pattern.0.clone(), leads);
        leads
    }

    /// The patterns of a list, each checked.
    pub(super) fn patterns(&mut self, raw: &[At<String>], cx: &mut Context<'_>) -> Vec<ModelPattern> {
        raw.iter().map(|text| self.pattern(text, cx)).collect()
    }

    /// One pattern, checked.
    pub(super) fn pattern(&mut self, text: &At<String>, cx: &mut Context<'_>) -> ModelPattern {
        let pattern = ModelPattern(text.value.clone());
        if !self.lost && !self.leads_anywhere(&pattern) {
            let near = self.near(text);
            cx.say(text.place, format!("`{}` matches no model", text.value))
                .label("expected a route, or `provider/model` or `provider/*` of a provider above")
                .did_you_mean(near.as_deref());
        }
        pattern
    }

    fn near(&self, text: &str) -> Option<String> {
        let Some((prefix, rest)) = text.split_once('/') else {
            // A bare name reaches a model, but lists see it with its provider.
            let holder = self
                .deployments
                .iter()
                .find(|d| d.models.contains_key(text) || self.prices.find(d.provider.catalogue, text).is_some());
            let names = self.names.iter().map(String::as_str);
            return holder.map(|d| format!("{}/{text}", d.name)).or_else(|| nearest(text, names).map(str::to_owned));
        };
        let near = nearest(prefix, self.open.iter().map(|o| o.trim_end_matches('/'))).filter(|near| *near != prefix);
        let near = near.map(|near| format!("{near}/{rest}"));
        near.or_else(|| nearest(text, self.names.iter().map(String::as_str)).map(str::to_owned))
    }
}
