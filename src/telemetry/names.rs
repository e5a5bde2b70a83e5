//! Every metric: its name, what it says, its labels. Nothing is registered that is not on this list.

use std::borrow::Cow;

/// What kind of number it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    /// Counts in fractions.
    FloatCounter,
    Gauge,
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    pub name: &'static str,
    pub help: &'static str,
    pub labels: &'static [&'static str],
    pub kind: Kind,
}

/// Seconds of whole requests: OpenTelemetry's buckets for GenAI operations, and longer ones.
const OPERATION: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36];
/// Seconds to the first token: OpenTelemetry's buckets, and slow thinkers.
const FIRST_TOKEN: &[f64] =
    &[0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];
/// OpenTelemetry's buckets, and none but those.
const GEN_AI_SECONDS: &[f64] = OPERATION.split_at(14).0;
const GEN_AI_FIRST_TOKEN: &[f64] = FIRST_TOKEN.split_at(16).0;
/// Seconds for each token: OpenTelemetry's buckets.
const PER_TOKEN: &[f64] = &[0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5];
/// Seconds spent here: from 50 microseconds.
const OVERHEAD: &[f64] = &[0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0];
/// Seconds in line: from nothing to longer than anybody waits.
const IN_LINE: &[f64] = &[0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Tokens: OpenTelemetry's buckets.
const TOKENS: &[f64] = &[
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1_024.0,
    4_096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];

/// Seconds of a call of the store: from a tenth of a millisecond to its deadline.
const STORE: &[f64] = &[0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25];

const GEN_AI: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model"];

/// `error_type` is nothing where all went well.
const GEN_AI_ERROR: &[&str] = &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "error_type"];
const GEN_AI_MODALITY: &[&str] =
    &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_modality"];

const ENDPOINT: &[&str] = &["provider", "endpoint"];

macro_rules! metrics {
    ($( $(#[$doc:meta])* $variant:ident = $name:literal, $kind:expr, $labels:expr, $help:literal; )*) => {
        /// See the module documentation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Metric { $( $(#[$doc])* $variant, )* }

        impl Metric {
            /// All of them, in the order of the list.
            pub const ALL: &'static [Self] = &[$( Self::$variant, )*];

            pub const fn spec(self) -> Spec {
                match self {
                    $( Self::$variant => Spec { name: $name, help: $help, labels: $labels, kind: $kind }, )*
                }
            }
        }
    };
}

metrics! {
    Requests = "weir_requests_total", Kind::Counter, &["tenant", "route", "provider", "model", "status"],
        "Requests by what the client saw.";
    RequestDuration = "weir_request_duration_seconds", Kind::Histogram(OPERATION), &["provider", "model"],
        "From the first byte of a request to the last of its answer.";
    Overhead = "weir_overhead_seconds", Kind::Histogram(OVERHEAD), &[],
        "Time spent in the gateway itself, without waiting for the upstream.";
    TimeToFirstToken = "weir_time_to_first_token_seconds", Kind::Histogram(FIRST_TOKEN), &["provider", "model"],
        "To the first byte of an answer for the client.";
    Tokens = "weir_tokens_total", Kind::Counter, &["tenant", "provider", "model", "type"],
        "Tokens; input includes cached and cache_write, output includes reasoning.";
    CostUsd = "weir_cost_usd_total", Kind::FloatCounter, &["tenant", "provider", "model"],
        "Cost of requests whose price is known.";
    Unpriced = "weir_unpriced_requests_total", Kind::Counter, &["provider", "model"],
        "Requests that used tokens whose price is unknown: not in weir_cost_usd_total.";
    UnknownUsage = "weir_unknown_usage_total", Kind::Counter, &["provider", "model"],
        "Requests whose usage the upstream did not report in full, so that it was estimated.";
    Throttled = "weir_throttled_total", Kind::Counter, &["tenant", "limit"],
        "Requests refused by a limit.";
    CompressionSaved = "weir_compression_saved_tokens_total", Kind::Counter, &["tenant", "strategy"],
        "Tokens that compression took from requests, by what saved them.";
    CompressionTime = "weir_compression_seconds", Kind::Histogram(OVERHEAD), &[],
        "Time that compression took for a request.";
    BudgetRemaining = "weir_budget_remaining_ratio", Kind::Gauge, &["tenant", "budget"],
        "What of a tenant's budget another request may use: 1 is all of it, 0 is nothing.";
    BudgetCrossed = "weir_budget_crossed_total", Kind::Counter, &["tenant", "scope", "budget", "percent"],
        "Times that what is spent of a budget passed one of its `warn_at`; scope is what it stands on.";
    BudgetSaveFailures = "weir_budget_save_failures_total", Kind::Counter, &[],
        "Attempts that failed to keep on disk what was spent and what limits counted.";
    LedgerBytes = "weir_ledger_bytes", Kind::Gauge, &[],
        "Size of the ledger's log: what is not yet in the database, and what has not ended.";
    LedgerLag = "weir_ledger_lag_seconds", Kind::Gauge, &[],
        "For how long rows have been waiting for the database.";
    LedgerOpen = "weir_ledger_open_requests", Kind::Gauge, &[],
        "Requests on record that have not ended.";
    LedgerFolded = "weir_ledger_rows_total", Kind::Counter, &[],
        "Final rows that the database took.";
    LedgerRecovered = "weir_ledger_recovered_total", Kind::Counter, &[],
        "Requests that were open when an earlier process was killed, closed by this one.";
    LedgerRefused = "weir_ledger_refused_total", Kind::Counter, &[],
        "Requests that were refused because they could not be recorded.";
    LedgerLost = "weir_ledger_lost_total", Kind::Counter, &[],
        "Records that could not be kept: each is a request whose row may be missing or incomplete.";
    LedgerWriteErrors = "weir_ledger_write_errors_total", Kind::Counter, &[],
        "Writes to the ledger's log that failed.";
    LedgerDamaged = "weir_ledger_damaged_bytes_total", Kind::Counter, &[],
        "Bytes of the ledger's log that could not be read.";
    DatabaseUp = "weir_database_up", Kind::Gauge, &[],
        "1 while the database takes what it is given.";
    StoreUp = "weir_store_up", Kind::Gauge, &[],
        "1 while the store of shared limits answers, 0 while it is gone; nothing where none is configured.";
    StoreCall = "weir_store_call_seconds", Kind::Histogram(STORE), &[],
        "Calls of the store of shared limits that were answered; a call may serve many requests.";
    StoreErrors = "weir_store_errors_total", Kind::Counter, &["reason"],
        "Calls of the store of shared limits that failed, and attempts to reach it.";
    StoreDraws = "weir_store_draws_total", Kind::Counter, &["result"],
        "Requests by how they came by shared limits: leased, granted by a call, refused; without the store: without, closed.";
    Attempts = "weir_attempts_total", Kind::Counter, &["provider", "outcome"],
        "Attempts at upstreams by how they ended, in the words of the record's timeline.";
    Fallbacks = "weir_fallbacks_total", Kind::Counter, &["from", "to", "reason"],
        "Requests that went on to another provider.";
    RetriesRefused = "weir_retries_refused_total", Kind::Counter, &[],
        "Second attempts that were not made because the retry budget was used up.";
    Inflight = "weir_inflight_requests", Kind::Gauge, &[],
        "Requests between their first byte in and their last byte out.";
    UpstreamHealthy = "weir_upstream_healthy", Kind::Gauge, &["provider"],
        "1 where an endpoint of the provider may be asked.";
    EndpointHealthy = "weir_endpoint_healthy", Kind::Gauge, ENDPOINT,
        "1 where the endpoint may be asked: not drained, its credential taken, some model of it not out.";
    EndpointState = "weir_endpoint_state", Kind::Gauge, &["provider", "endpoint", "state"],
        "1 for what keeps all of an endpoint out: drained, check_failed, credential_refused.";
    EndpointInflight = "weir_endpoint_inflight", Kind::Gauge, ENDPOINT,
        "Attempts that run at the endpoint.";
    EndpointWaiting = "weir_endpoint_waiting", Kind::Gauge, ENDPOINT,
        "Requests that wait for a place at the endpoint.";
    EndpointPlaces = "weir_endpoint_places", Kind::Gauge, ENDPOINT,
        "Requests the endpoint takes at a time, where there is a limit.";
    EndpointQuota = "weir_endpoint_quota_remaining", Kind::Gauge, &["provider", "endpoint", "type"],
        "What the endpoint's last answers said is left of its limits; the least of its models.";
    BreakerOpened = "weir_breaker_opened_total", Kind::Counter, ENDPOINT,
        "Times that a model's breaker opened at the endpoint.";
    QueueWait = "weir_queue_wait_seconds", Kind::Histogram(IN_LINE), &[],
        "How long requests waited for their place at an endpoint whose places have a limit.";
    Keepalives = "weir_keepalives_total", Kind::Counter, &[],
        "Signs of life that clients got while they waited for the next piece of a stream.";
    Hedges = "weir_hedges_total", Kind::Counter, &["route", "outcome"],
        "Second attempts beside a late first one: won, lost, or failed.";
    Continuations = "weir_continuations_total", Kind::Counter, &["route", "outcome"],
        "Attempts to go on with a stream that broke, by how they ended.";
    RouteChoices = "weir_route_choices_total", Kind::Counter, &["route", "provider", "model"],
        "Which target a route's requests were sent to first.";
    RouteInput = "weir_route_input_tokens_total", Kind::Counter, &["route"],
        "Input tokens by route; direct is none.";
    RouteCached = "weir_route_cached_tokens_total", Kind::Counter, &["route"],
        "Input tokens that came from a provider's cache, by route: what affinity saves.";
    CredentialRefreshFailures = "weir_credential_refresh_failures_total", Kind::Counter, &["provider"],
        "Attempts to fetch a provider's credential that failed; while the old one lives, it stays in use.";
    StoredKeys = "weir_stored_keys", Kind::Gauge, &[],
        "Keys that were made at run time, those that were revoked too.";
    KeysAge = "weir_keys_age_seconds", Kind::Gauge, &[],
        "Since the database was last asked for changed keys; -1 is not since the start.";
    KeySyncFailures = "weir_key_sync_failures_total", Kind::Counter, &[],
        "Attempts to ask the database for changed keys that failed; those that are known stay in use.";
    IssuerFailures = "weir_issuer_refresh_failures_total", Kind::Counter, &[],
        "Attempts to fetch the public keys of an issuer of tokens that failed; the last ones stay in use.";
    AuditLost = "weir_audit_lost_total", Kind::Counter, &[],
        "Changes that are in the log only: the database was away for so long, or to the end of the process.";
    GuardDecisions = "weir_guard_decisions_total", Kind::Counter, &["tenant", "guard", "action"],
        "What guards found, by what was done about it; repair is an answer that was mended, error that there was no judgement.";
    CacheRequests = "weir_cache_requests_total", Kind::Counter, &["tenant", "result"],
        "Requests where answers are kept: hit, miss, or bypass.";
    CacheEntries = "weir_cache_entries", Kind::Gauge, &[],
        "Answers that this process keeps.";
    CacheBytes = "weir_cache_bytes", Kind::Gauge, &[],
        "Bytes of the answers that this process keeps.";
    CacheCompared = "weir_cache_compared_total", Kind::Counter, &["tenant", "result"],
        "Questions that were compared with those whose answers are kept: same, other, or failed where they could not be embedded.";
    CacheQuestionsBytes = "weir_cache_questions_bytes", Kind::Gauge, &[],
        "Bytes of the questions that are found by what they mean.";
    CacheStoreFailures = "weir_cache_store_failures_total", Kind::Counter, &[],
        "Answers that could not be looked for or kept in the store of all replicas.";
    DroppedFields = "weir_dropped_fields_total", Kind::Counter, &["provider", "model"],
        "Request members that the target could not express.";
    ConfigReloadFailures = "weir_config_reload_failures_total", Kind::Counter, &[],
        "Reloads that were refused; the old configuration stayed.";
    ConfigLastReload = "weir_config_last_reload_success_timestamp_seconds", Kind::Gauge, &[],
        "When the configuration in force was loaded.";
    ConfigInfo = "weir_config_info", Kind::Gauge, &["hash"],
        "1 for the configuration in force.";
    BuildInfo = "weir_build_info", Kind::Gauge, &["version"],
        "1 for the version that runs.";
    AccessLogDropped = "weir_access_log_dropped_total", Kind::Counter, &[],
        "Access lines that were lost because the writer could not keep up or failed.";
    Alerts = "weir_alerts_total", Kind::Counter, &["kind"],
        "Alerts that were raised, each once in alerts.repeat_after.";
    AlertDeliveries = "weir_alert_deliveries_total", Kind::Counter, &["webhook", "result"],
        "Alerts by webhook: delivered, retried (a try that failed and is made again), failed (given up), dropped.";
    AlertsDropped = "weir_alerts_dropped_total", Kind::Counter, &[],
        "Alerts that were not told because there were too many.";
    Captured = "weir_captured_total", Kind::Counter, &[],
        "Exchanges that a debug capture has kept.";
    CaptureDropped = "weir_capture_dropped_total", Kind::Counter, &[],
        "Exchanges that a debug capture wanted and could not keep: too many at once, or the disk refused.";
    CapturesRunning = "weir_captures_running", Kind::Gauge, &[],
        "Debug captures that run: bodies of requests are kept.";
    ToolCalls = "weir_tool_calls_total", Kind::Counter, &["tenant", "tool", "outcome"],
        "Calls of tools that the gateway ran: ok, error (the tool said so), timeout, limited.";
    ToolSeconds = "weir_tool_call_seconds", Kind::Histogram(OPERATION), &["tool"],
        "How long they took.";
    OtlpExported = "weir_otlp_exported_total", Kind::Counter, &["signal"],
        "What a collector took: requests (traces, logs), readings (metrics).";
    OtlpDropped = "weir_otlp_dropped_total", Kind::Counter, &["signal"],
        "The same that no collector got: too much was waiting, it was tried too often, or it was refused.";
    OtlpFailures = "weir_otlp_failures_total", Kind::Counter, &["signal"],
        "Calls of a collector that failed; what they carried may be tried again.";
    GenAiDuration = "gen_ai_client_operation_duration_seconds", Kind::Histogram(GEN_AI_SECONDS), GEN_AI_ERROR,
        "OpenTelemetry: duration of GenAI operations.";
    GenAiFirstChunk = "gen_ai_client_operation_time_to_first_chunk_seconds", Kind::Histogram(GEN_AI_SECONDS), GEN_AI,
        "OpenTelemetry: time to the first piece of a stream.";
    GenAiTokens = "gen_ai_client_token_usage", Kind::Histogram(TOKENS),
        &["gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_token_type"],
        "OpenTelemetry: tokens per operation.";
    GenAiInput = "gen_ai_client_inference_operation_input_tokens", Kind::Histogram(TOKENS), GEN_AI,
        "OpenTelemetry: input tokens per operation.";
    GenAiOutput = "gen_ai_client_inference_operation_output_tokens", Kind::Histogram(TOKENS), GEN_AI,
        "OpenTelemetry: output tokens per operation.";
    GenAiUsedInput = "gen_ai_client_inference_usage_input_tokens_total", Kind::Counter, GEN_AI_MODALITY,
        "OpenTelemetry: input tokens; unknown is what no provider puts under a modality.";
    GenAiUsedOutput = "gen_ai_client_inference_usage_output_tokens_total", Kind::Counter, GEN_AI_MODALITY,
        "OpenTelemetry: output tokens.";
    GenAiCacheRead = "gen_ai_client_inference_usage_cache_read_input_tokens_total", Kind::Counter, GEN_AI_MODALITY,
        "OpenTelemetry: input tokens that came from a provider's cache.";
    GenAiCacheWrite = "gen_ai_client_inference_usage_cache_write_input_tokens_total", Kind::Counter, GEN_AI_MODALITY,
        "OpenTelemetry: input tokens that went into a provider's cache.";
    GenAiReasoning = "gen_ai_client_inference_usage_reasoning_output_tokens_total", Kind::Counter, GEN_AI_MODALITY,
        "OpenTelemetry: output tokens of reasoning.";
    GenAiServed = "gen_ai_server_request_duration_seconds", Kind::Histogram(GEN_AI_SECONDS), GEN_AI_ERROR,
        "OpenTelemetry: duration of requests, as a server sees them.";
    GenAiPerToken = "gen_ai_server_time_per_output_token_seconds", Kind::Histogram(PER_TOKEN), GEN_AI,
        "OpenTelemetry: time for each output token of a stream after the first.";
    GenAiFirstToken = "gen_ai_server_time_to_first_token_seconds", Kind::Histogram(GEN_AI_FIRST_TOKEN), GEN_AI,
        "OpenTelemetry: time to the first token.";
}

/// Name and unit in OTLP of a metric of /metrics: OpenTelemetry's own names have dots there and no unit in
/// them; ours are the same in both.
pub fn otel(name: &str) -> (&str, &'static str) {
    match name {
        "gen_ai_client_operation_duration_seconds" => ("gen_ai.client.operation.duration", "s"),
        "gen_ai_client_operation_time_to_first_chunk_seconds" => ("gen_ai.client.operation.time_to_first_chunk", "s"),
        "gen_ai_client_token_usage" => ("gen_ai.client.token.usage", "{token}"),
        "gen_ai_client_inference_operation_input_tokens" => {
            ("gen_ai.client.inference.operation.input_tokens", "{token}")
        }
        "gen_ai_client_inference_operation_output_tokens" => {
            ("gen_ai.client.inference.operation.output_tokens", "{token}")
        }
        "gen_ai_client_inference_usage_input_tokens_total" => ("gen_ai.client.inference.usage.input_tokens", "{token}"),
        "gen_ai_client_inference_usage_output_tokens_total" => {
            ("gen_ai.client.inference.usage.output_tokens", "{token}")
        }
        "gen_ai_client_inference_usage_cache_read_input_tokens_total" => {
            ("gen_ai.client.inference.usage.cache_read.input_tokens", "{token}")
        }
        "gen_ai_client_inference_usage_cache_write_input_tokens_total" => {
            ("gen_ai.client.inference.usage.cache_write.input_tokens", "{token}")
        }
        "gen_ai_client_inference_usage_reasoning_output_tokens_total" => {
            ("gen_ai.client.inference.usage.reasoning.output_tokens", "{token}")
        }
        "gen_ai_server_request_duration_seconds" => ("gen_ai.server.request.duration", "s"),
        "gen_ai_server_time_per_output_token_seconds" => ("gen_ai.server.time_per_output_token", "s"),
        "gen_ai_server_time_to_first_token_seconds" => ("gen_ai.server.time_to_first_token", "s"),
        own => (own, unit(own)),
    }
}

fn unit(own: &str) -> &'static str {
    match own.trim_end_matches("_total").rsplit('_').next() {
        Some("seconds") => "s",
        Some("bytes") => "By",
        Some("ratio") => "1",
        _ => "",
    }
}

/// A label as an attribute.
pub fn otel_label(label: &str) -> Cow<'_, str> {
    match label.strip_prefix("gen_ai_") {
        Some(rest) => Cow::Owned(format!("gen_ai.{}", rest.replace('_', "."))),
        None if label == "error_type" => Cow::Borrowed("error.type"),
        None => Cow::Borrowed(label),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_opentelemetrys_own_has_its_name_there() {
        for spec in Metric::ALL.iter().map(|metric| metric.spec()).filter(|spec| spec.name.starts_with("gen_ai_")) {
            let (name, unit) = otel(spec.name);
            assert!(name.starts_with("gen_ai.") && matches!(unit, "s" | "{token}"), "{}: {name}", spec.name);
            // As an exporter for Prometheus makes a name of it.
            let suffix = match (unit, spec.kind) {
                (_, Kind::Counter) => "_total",
                ("s", _) => "_seconds",
                _ => "",
            };
            assert_eq!(format!("{}{suffix}", name.replace('.', "_")), spec.name);
            assert!(spec.labels.iter().all(|label| otel_label(label).contains('.')), "{}", spec.name);
        }
        assert_eq!(otel("weir_ledger_lag_seconds"), ("weir_ledger_lag_seconds", "s"));
        assert_eq!(otel("weir_ledger_damaged_bytes_total"), ("weir_ledger_damaged_bytes_total", "By"));
        assert_eq!((otel("weir_requests_total").1, otel("weir_budget_remaining_ratio").1), ("", "1"));
        assert_eq!(
            (otel_label("gen_ai_provider_name"), otel_label("tenant")),
            ("gen_ai.provider.name".into(), "tenant".into())
        );
    }
}
