//! `cache`, of the process and of tenants, keys and routes.

use schemars::{Schema, json_schema};

use super::telemetry::Fraction;
use crate::config::cache;
use crate::config::read::{At, Period, Scalar, Size, one_of, settings};

settings! {
    /// Where answers are kept, of those for whom `cache` is switched on. Needs a restart to change.
    Shelf in "`cache`" {
        /// How much of them, in the memory of this process; the least wanted go first.
        memory: Size = "64MiB",
        /// Keep them in the store of `state.shared` too, for all replicas.
        shared: bool = "false",
        /// How much memory the questions take that are found by what they mean (`semantic`), beside that.
        questions: Size = "32MiB",
    }

    /// Answers are kept and given again to who asks the same, within one tenant. A request says
    /// otherwise in the header `x-weir-cache`: `skip`, `refresh` or `use`.
    Caching in "`cache`" {
        /// How long an answer is given again.
        ttl: Period = "10m",
        /// Also answers that chance has a part in. Otherwise only those to requests with a temperature of
        /// 0 or a seed, and embeddings.
        any: bool = "false",
        /// Longer answers are not kept.
        max_entry: Size = "1MiB",
        /// What an answer from here costs its tenant, in percent of its price: 0 to 100.
        share: u32 = "0",
        /// Answers are only found with the same one: to keep routes or keys of a tenant apart.
        namespace: String,
        /// Members of requests that make no difference: `user`, `metadata`, `safety_identifier`,
        /// `prompt_cache_key`.
        ignore: Vec<At<IgnoreWord>> = "[]",
        /// Answers are also given to who asks the same in other words. Default: off.
        semantic: Semantic,
    }

    /// Two requests that differ in nothing but the text of their last message, which means the same. What
    /// numbers, names, negations and the like say is compared word for word all the same.
    Semantic in "`semantic`" {
        /// What embeds the texts: `provider/model`, or a route. The request's caller pays for it, and need not be
        /// allowed to use it otherwise.
        model: String,
        /// How near two texts have to be: the cosine of the angle between their vectors.
        threshold: Fraction = "0.95",
        /// How long a request waits for vectors. What is late is a miss.
        timeout: Period = "1s",
    }
}

/// One of `ignore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IgnoreWord(pub &'static str);

impl Scalar for IgnoreWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &cache::Caching::IGNORABLE).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": cache::Caching::IGNORABLE.map(|(word, _)| word)})
    }
}
