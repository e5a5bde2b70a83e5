//! What could not be carried, and what is only nearly the same, each with its line.

use serde::Serialize;

use super::source::Source;
use crate::config::yaml::Place;

/// One of either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Note {
    pub(super) file: String,
    pub(super) line: usize,
    /// As the source names it.
    pub(super) what: String,
    pub(super) why: String,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Notes {
    /// Not in the new configuration.
    pub(super) lost: Vec<Note>,
    /// In it, and not quite the same.
    pub(super) changed: Vec<Note>,
}

impl Notes {
    pub(super) fn lost(&mut self, source: &Source, place: Place, what: impl Into<String>, why: impl Into<String>) {
        self.lost.push(note(source, place, what, why));
    }

    pub(super) fn changed(&mut self, source: &Source, place: Place, what: impl Into<String>, why: impl Into<String>) {
        self.changed.push(note(source, place, what, why));
    }

    /// By their lines.
    pub(super) fn sort(&mut self) {
        for notes in [&mut self.lost, &mut self.changed] {
            notes.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
            notes.dedup();
        }
    }
}

fn note(source: &Source, place: Place, what: impl Into<String>, why: impl Into<String>) -> Note {
    Note { file: source.name.clone(), line: source.line(place), what: what.into(), why: why.into() }
}

/// Why a setting was not carried, where nothing better is known.
pub(super) fn reason(name: &str) -> &'static str {
    match name {
        "cache" | "cache_params" | "cache_responses" | "cache_kwargs" => {
            "answers are kept by `cache`, which is written otherwise: switch it on there"
        }
        "callbacks" | "success_callback" | "failure_callback" | "service_callback" | "audit_log_callbacks" => {
            "traces, logs and records are sent by `telemetry.otlp`, what calls for somebody by `alerts`"
        }
        "guardrails" | "guardrail" | "policies" => {
            "what is looked for in prompts and answers is written under `guards`"
        }
        "mcp_servers" | "mcp_tools" | "search_tools" => "servers of MCP, pages and APIs are written under `tools`",
        "prompts" | "vector_store_registry" | "agent_list" => "there is no such thing here",
        "allowed_fails" | "cooldown_time" | "allowed_fails_policy" | "disable_cooldowns" => {
            "an endpoint is judged by its failures; there is nothing to set"
        }
        "retry_policy" | "model_group_retry_policy" => {
            "what is tried again follows from the cause of a failure; there is one number, `retries`"
        }
        "max_retries" | "num_retries" => "how often is tried again is `retries` of `defaults` and of routes",
        "store_model_in_db" => {
            "models that are kept in its database are in no file: write them under `providers` and `routes`"
        }
        "redis_ssl" | "ssl" | "redis_db" | "db" | "redis_username" | "username" => {
            "of a store that is given as a URL the URL says it: `redis://user:password@host/database`, `rediss://` with TLS"
        }
        "team_id" => "a model of one team: here every tenant that has no list of `models` may use it",
        "content_policy_fallbacks" => "a refusal by content goes to no other model",
        "mock_response" => "no answer is made up here; `weir demo` has a simulated provider to try things with",
        "pass_through_endpoints" => "other paths are passed by their own rules",
        "custom_auth" | "jwt_auth" | "litellm_jwtauth" | "enable_jwt_auth" => "see `auth.jwt`",
        "max_parallel_requests" | "global_max_parallel_requests" => {
            "write `limits: {concurrency: ...}` on tenants, or `max_concurrency` on providers"
        }
        "temperature"
        | "top_p"
        | "max_tokens"
        | "max_completion_tokens"
        | "seed"
        | "stop"
        | "reasoning_effort"
        | "thinking"
        | "extra_body"
        | "extra_query"
        | "response_format"
        | "tools"
        | "top_k" => "requests are not changed: clients say it",
        "rpm" | "tpm" | "itpm" | "otpm" | "rpd" | "tpd" => {
            "what a deployment may take is learnt from the provider's own headers"
        }
        _ => "nothing here corresponds to it",
    }
}
