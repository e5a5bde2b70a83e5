//! `routes`.

use schemars::{Schema, json_schema};

use crate::config::read::{Scalar, one_of, settings};
use crate::config::runtime::Strategy;

settings! {
    /// A virtual model.
    Route in "a route" {
        /// `fallback`: targets in their order, the next where one fails. `weighted`: a target by
        /// chance of its weight, the others after it.
        strategy: StrategyWord = "fallback",
        /// The models behind it.
        targets: Vec<Target>,
        /// Attempts after the first failed one. Default: `defaults.retries`.
        retries: u32,
    }

    /// One model behind a route.
    Target in "a target" {
        /// `provider/model`.
        model: String,
        /// Its share under `weighted`, against the sum of all. 0 is asked only after the others.
        weight: u32 = "1",
    }
}

/// `fallback` or `weighted`.
#[derive(Debug, Clone, Copy)]
pub struct StrategyWord(pub Strategy);

impl Scalar for StrategyWord {
    fn parse(text: &str) -> Result<Self, String> {
        if ["latency", "least_busy", "cost", "auto"].contains(&text) {
            return Err("`fallback` or `weighted`: this version has no other strategy".to_owned());
        }
        one_of(text, &[("fallback", Strategy::Fallback), ("weighted", Strategy::Weighted)]).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": ["fallback", "weighted"]})
    }
}
