//! What of a row an export has, under the names that records have.

use crate::ledger::Row;

/// What a column holds, for formats that want to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A JSON list of texts.
    List,
    /// RFC 3339.
    Moment,
    Count,
    Truth,
    /// Milliseconds with three digits behind the point.
    Ms,
}

/// One column: its name and kind, and a row's text there, if it has one.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) of: fn(&Row) -> Option<String>,
}

macro_rules! columns {
    ($( $name:ident: $kind:ident = |$row:ident| $of:expr; )*) => {
        &[$( Column { name: stringify!($name), kind: Kind::$kind, of: |$row: &Row| $of } ),*]
    };
}

/// The contract's, in its order; then what records have besides.
pub(super) const COLUMNS: &[Column] = columns! {
    request_id: Text = |row| Some(row.request_id.clone());
    started_at: Moment = |row| Some(row.started_at.clone());
    tenant: Text = |row| row.tenant.clone();
    key_id: Text = |row| row.key_id.clone();
    tags: List = |row| list(&row.tags);
    format: Text = |row| Some(row.format.clone());
    route: Text = |row| row.route.clone();
    model: Text = |row| row.model.clone();
    provider: Text = |row| row.provider.clone();
    upstream_model: Text = |row| row.upstream_model.clone();
    stream: Truth = |row| Some(row.stream.to_string());
    status: Count = |row| Some(row.status.to_string());
    outcome: Text = |row| Some(row.outcome.clone());
    attempts: Count = |row| Some(row.attempts.to_string());
    fallback: Truth = |row| Some(row.fallback.to_string());
    input_tokens: Count = |row| number(row.input_tokens);
    output_tokens: Count = |row| number(row.output_tokens);
    cached_tokens: Count = |row| number(row.cached_tokens);
    cache_write_tokens: Count = |row| number(row.cache_write_tokens);
    reasoning_tokens: Count = |row| number(row.reasoning_tokens);
    usage_source: Text = |row| row.usage_source.clone();
    cost_pico_usd: Count = |row| row.cost_pico_usd.map(|pico| pico.to_string());
    cost_usd: Text = |row| row.cost_usd.as_ref().map(|usd| usd.get().to_owned());
    price_version: Text = |row| row.price_version.clone();
    duration_ms: Ms = |row| Some(row.duration_ms.get().to_owned());
    ttft_ms: Ms = |row| row.ttft_ms.as_ref().map(|ms| ms.get().to_owned());
    overhead_ms: Ms = |row| Some(row.overhead_ms.get().to_owned());
    dropped: List = |row| list(&row.dropped);
    client_request_id: Text = |row| row.client_request_id.clone();
    response_model: Text = |row| row.response_model.clone();
    trace_id: Text = |row| row.trace_id.clone();
    user: Text = |row| row.user.clone();
    service_tier: Text = |row| row.service_tier.clone();
    due_pico_usd: Count = |row| row.due_pico_usd.map(|pico| pico.to_string());
    error: Text = |row| row.error.clone();
};

fn number(count: Option<u64>) -> Option<String> {
    count.map(|count| count.to_string())
}

fn list(texts: &[String]) -> Option<String> {
    if texts.is_empty() { None } else { serde_json::to_string(texts).ok() }
}
