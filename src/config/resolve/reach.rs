//! Which names of models lead anywhere: a pattern that matches none of them is a mistake.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::raw::Config;
use crate::config::read::{At, Context, nearest};
use crate::config::runtime::{Deployment, ModelPattern};
use crate::usage::price::PriceTable;

/// All names, as far as they are known.
#[derive(Debug)]
pub(super) struct Reach {
    /// Routes and models.
    names: Vec<String>,
    /// `openai/`: any name after it.
    open: Vec<String>,
    /// Not all names are known, for some could not be read.
    broken: bool,
    /// What was found for a pattern: thousands of tenants share a few.
    known: HashMap<String, bool>,
}

impl Reach {
    pub(super) fn new(raw: &Config, deployments: &[Arc<Deployment>], prices: &PriceTable) -> Self {
        let mut names: Vec<String> = raw.routes.entries.iter().map(|(name, _)| name.value.clone()).collect();
        let mut open = Vec::new();
        for deployment in deployments {
            let prefix = format!("{}/", deployment.name);
            for model in deployment.models.keys() {
                names.push(format!("{prefix}{model}"));
                names.push(model.clone());
            }
            if !deployment.models_only {
                for (model, _) in prices.models(deployment.provider.catalogue) {
                    names.push(model.to_owned());
                    names.push(format!("{}/{model}", deployment.provider.catalogue));
                }
                open.push(prefix);
            }
        }
        // A provider with something wrong has been reported; what refers to it may be right.
        let wrong = raw.providers.entries.iter().filter(|(name, _)| !deployments.iter().any(|d| d.name == name.value));
        open.extend(wrong.map(|(name, _)| format!("{}/", name.value)));
        let broken = raw.providers_lost() || raw.routes_lost();
        Self { names, open, broken, known: HashMap::new() }
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
        if !self.broken && !self.leads_anywhere(&pattern) {
            let names = self.names.iter().chain(&self.open).map(String::as_str);
            let near = match text.split_once('/') {
                Some((prefix, rest)) => nearest(prefix, self.open.iter().map(|o| o.trim_end_matches('/')))
                    .filter(|near| *near != prefix)
                    .map(|near| format!("{near}/{rest}")),
                None => None,
            };
            let near = near.or_else(|| nearest(text, names).map(str::to_owned));
            cx.say(text.place, format!("`{}` matches no model", text.value))
                .label("expected a route, `provider/model` or `provider/*` of a provider above")
                .did_you_mean(near.as_deref());
        }
        pattern
    }
}
