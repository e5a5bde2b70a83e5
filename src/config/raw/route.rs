//! `routes`.

use schemars::{Schema, json_schema};

use super::{Caching, Compression, EdgeTools, Timeouts};
use crate::config::read::{At, Period, PeriodOrOff, Scalar, one_of, settings};
use crate::config::runtime::{Prefer, Strategy};

settings! {
    /// A virtual model.
    Route in "a route" {
        /// How a target is chosen; the others come after it. `fallback`: in their order. `weighted`:
        /// by chance of their weight. `latency`: the soonest first token. `least_busy`: the fewest
        /// requests in flight. `cost`: the cheapest for this request. `auto`: by what the request
        /// needs, and `prefer`.
        strategy: StrategyWord = "fallback",
        /// The models behind it, or groups of them with a strategy of their own.
        targets: Vec<Target>,
        /// Attempts after the first failed one, fallbacks included. Default: `defaults.retries`.
        retries: u32,
        /// Patience with its targets, in place of theirs; `total` holds for all attempts together.
        timeouts: Timeouts = "{}",
        /// The wait before a target is asked again. Default: `defaults.backoff`.
        backoff: Period,
        /// The longest wait for a target that says when to come back. Default: `defaults.max_wait`.
        max_wait: Period,
        /// Ask a target again also where it may have worked on the request, and bill it twice.
        /// Default: `defaults.resend`.
        resend: bool,
        /// The longest silence of a stream. Default: `defaults.keepalive`.
        keepalive: PeriodOrOff,
        /// Where a target says that the context is too long: ask one with a longer window.
        longer_context: bool = "false",
        /// A stream that breaks goes on from another target, which is told what the client has got.
        /// Not behind a call of a tool or a refusal, not for several choices or JSON output, not for
        /// answers that the provider keeps, and not after 1 MiB of text. Such streams are always
        /// translated.
        continuation: bool = "false",
        /// Ask a second target where the first token is later than 95 of 100 on this route, and take
        /// whichever answers first. Costs tokens twice.
        hedge: bool = "false",
        /// Keep a conversation at the target that has its prompt cached. Default: where several
        /// endpoints serve one model.
        affinity: bool,
        /// What `auto` weighs most: `balanced`, `cost`, `quality` or `latency`. A request's header
        /// `x-weir-prefer` comes first.
        prefer: PreferWord = "balanced",
        /// The first that holds narrows the targets.
        rules: Vec<Rule> = "[]",
        /// Fewer tokens in what tools gave back, in place of what the tenant says; a key's own comes
        /// first.
        compression: Compression,
        /// Answers are given again, in place of what the tenant says; a key's own comes first.
        cache: Caching,
        /// Guards of requests by this route, beside those of tenant and key.
        guards: Vec<At<String>> = "[]",
        /// Tools that the gateway runs for its requests. Default: those of the tenant.
        edge_tools: EdgeTools,
    }

    /// One model behind a route, or a group of targets with a strategy of its own.
    Target in "a target" {
        /// `provider/model`.
        model: String,
        /// Its share under `weighted`, against the sum of all. 0 is asked only after the others.
        weight: u32 = "1",
        /// How good its answers are, 0 to 100, for `auto`. Default: judged by its price.
        quality: u32,
        /// Of a group, in place of `model`.
        strategy: StrategyWord,
        /// Of a group.
        targets: Vec<Target>,
    }

    /// What some requests are narrowed to.
    Rule in "a rule" {
        /// Which requests: all that is said must be so.
        when: When = "{}",
        /// The targets that remain, as `provider/model`. Default: all.
        to: Vec<At<String>> = "[]",
        /// What `auto` weighs most for them. Default: the route's `prefer`.
        prefer: PreferWord,
    }

    /// Which requests a rule is about.
    When in "`when`" {
        /// Prompts of more tokens, by the estimate made on arrival.
        tokens_over: u64,
        /// Prompts of fewer tokens.
        tokens_under: u64,
        /// Whether tools come with it.
        tools: bool,
        /// Whether images come with it.
        images: bool,
        /// Tags that it carries, all of them (`team=search`).
        tags: Vec<At<String>> = "[]",
    }
}

/// How a target is chosen.
#[derive(Debug, Clone, Copy)]
pub struct StrategyWord(pub Strategy);

const STRATEGIES: [(&str, Strategy); 6] = [
    ("fallback", Strategy::Fallback),
    ("weighted", Strategy::Weighted),
    ("latency", Strategy::Latency),
    ("least_busy", Strategy::LeastBusy),
    ("cost", Strategy::Cost),
    ("auto", Strategy::Auto),
];

impl Scalar for StrategyWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &STRATEGIES).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": STRATEGIES.map(|(word, _)| word)})
    }
}

/// What `auto` weighs most.
#[derive(Debug, Clone, Copy)]
pub struct PreferWord(pub Prefer);

impl Scalar for PreferWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Prefer::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Prefer::WORDS.map(|(word, _)| word)})
    }
}
