//! `tenants`.

use super::{Budget, Caching, Compression, EdgeTools, OnStoreLossWord, Promise};
use crate::config::read::{Allowed, At, Day, Map, Name, Network, SecretText, Sha256Hex, settings};

settings! {
    /// A customer, a team, an application: whoever is limited and accounted on its own.
    Tenant in "a tenant" {
        /// Its keys. `weir keys create --print` makes one. Keys that are made at run time are not here.
        keys: Vec<Key>,
        /// Models it may use: names of routes and models, where `*` stands for any text
        /// (`openai/*`). Default: all.
        models: Allowed<At<String>> = "[]",
        /// Limits on all its keys together.
        limits: Limits = "{}",
        /// Limits on one model, by its name or a pattern.
        model_limits: Map<Limits> = "{}",
        /// What all its keys together may use in a day, a week, a month, or ever.
        budgets: Vec<Budget> = "[]",
        /// Budgets of one model, by its name or a pattern.
        model_budgets: Map<Vec<Budget>> = "{}",
        /// What each of its users has alone, whatever the key. Who that is, the request says: in the
        /// header `x-weir-user`, in `user` or `safety_identifier`, or in `metadata.user_id`.
        users: Share = "{}",
        /// What a tag has, by its name (`team=search`). In a pattern (`team=*`) a star stands for any
        /// text, and each tag that matches has it alone, unless its own name stands here too.
        tags: Map<Share> = "{}",
        /// Refuse what the chosen provider cannot express. Default: `defaults.strict`.
        strict: bool,
        /// Providers that may serve it, whatever the model or route. Default: all.
        providers: Allowed<At<String>> = "[]",
        /// Regions that it may be served in (`eu-*`), by the `region` of providers. Default: all.
        regions: Allowed<At<String>> = "[]",
        /// What providers that serve it must promise: `no_training`, `zero_retention`.
        require: Vec<At<Promise>> = "[]",
        /// Its share of the places at an endpoint where requests wait for one.
        weight: u32 = "1",
        /// Fewer tokens in what tools gave back. What a key or a route says comes first. Default: off.
        compression: Compression,
        /// Answers are given again to who asks the same. What a key or a route says comes first. Default: off.
        cache: Caching,
        /// Guards that look at what its requests say, and are answered.
        guards: Vec<At<String>> = "[]",
        /// Tools that the gateway runs for it. Default: none.
        edge_tools: EdgeTools,
    }

    /// A credential of a tenant: `secret` or `sha256`, one of them.
    Key in "a key" {
        /// Its name in records, metrics and answers; no two keys may share one.
        id: Name,
        /// What the client sends.
        secret: SecretText,
        /// The SHA-256 of what the client sends, in hexadecimal, so that this file holds no secret.
        sha256: Sha256Hex,
        /// Refused from this moment on: a day (its beginning in UTC) or `2027-06-30T12:00:00Z`.
        /// Default: never.
        expires: Day,
        /// `false` switches it off.
        active: bool = "true",
        /// Narrows the tenant's models. Default: nothing is narrowed.
        models: Allowed<At<String>> = "[]",
        /// Limits on this key alone.
        limits: Limits = "{}",
        /// Budgets of this key alone.
        budgets: Vec<Budget> = "[]",
        /// Addresses that it may be used from: `10.0.0.0/8`, `::1`. Default: all.
        allowed_addresses: Allowed<At<Network>> = "[]",
        /// What the client sent before the secret was changed, honoured for a while.
        previous: PreviousSecret,
        /// Fewer tokens in what tools gave back, in place of what the route and the tenant say.
        compression: Compression,
        /// Answers are given again, in place of what the route and the tenant say.
        cache: Caching,
        /// Guards of this key, beside the tenant's.
        guards: Vec<At<String>> = "[]",
        /// Tools that the gateway runs for it. Default: those of the route, or of the tenant.
        edge_tools: EdgeTools,
    }

    /// The secret that a key had before: `secret` or `sha256`, one of them.
    PreviousSecret in "`previous`" {
        /// What the client sent.
        secret: SecretText,
        /// Its SHA-256.
        sha256: Sha256Hex,
        /// Refused from this moment on.
        until: Day,
    }

    /// What is said of a key that is made at run time: kept as text, and read as a key of the file is.
    StoredKey in "a key" {
        /// For people: who has it, what it is for.
        note: String,
        /// Refused from this moment on: a day (its beginning in UTC) or `2027-06-30T12:00:00Z`.
        /// Default: never.
        expires: Day,
        /// `false` switches it off.
        active: bool = "true",
        /// Narrows the tenant's models. Default: nothing is narrowed.
        models: Vec<At<String>> = "[]",
        /// Limits on this key alone.
        limits: Limits = "{}",
        /// Budgets of this key alone.
        budgets: Vec<Budget> = "[]",
        /// Addresses that it may be used from: `10.0.0.0/8`, `::1`. Default: all.
        allowed_addresses: Vec<At<Network>> = "[]",
        /// Fewer tokens in what tools gave back, in place of what the route and the tenant say.
        compression: Compression,
    }

    /// What each of many may use.
    Share in "what each may use" {
        /// Limits on each alone.
        limits: Limits = "{}",
        /// Budgets of each alone.
        budgets: Vec<Budget> = "[]",
    }

    /// What may be used at most; what is not said is not limited. All of the limits on tenant, key,
    /// model, user and tags hold. Each counts in a window of its own that slides: a limit per hour
    /// holds in any 60 minutes.
    Limits in "`limits`" {
        /// Requests in any second.
        requests_per_second: u64,
        /// Requests in any minute.
        requests_per_minute: u64,
        /// Requests in any hour.
        requests_per_hour: u64,
        /// Requests in any 24 hours.
        requests_per_day: u64,
        /// Tokens of prompts in any second.
        input_tokens_per_second: u64,
        /// Tokens of prompts in any minute.
        input_tokens_per_minute: u64,
        /// Tokens of prompts in any hour.
        input_tokens_per_hour: u64,
        /// Tokens of prompts in any 24 hours.
        input_tokens_per_day: u64,
        /// Tokens of answers in any second.
        output_tokens_per_second: u64,
        /// Tokens of answers in any minute.
        output_tokens_per_minute: u64,
        /// Tokens of answers in any hour.
        output_tokens_per_hour: u64,
        /// Tokens of answers in any 24 hours.
        output_tokens_per_day: u64,
        /// Tokens in any second, input and output together.
        tokens_per_second: u64,
        /// Tokens in any minute, input and output together.
        tokens_per_minute: u64,
        /// Tokens in any hour, input and output together.
        tokens_per_hour: u64,
        /// Tokens in any 24 hours, input and output together.
        tokens_per_day: u64,
        /// Requests at the same time.
        concurrency: u64,
        /// What holds for these while the store of `state.shared` is gone. Default:
        /// `state.on_store_loss`.
        on_store_loss: OnStoreLossWord,
    }
}
