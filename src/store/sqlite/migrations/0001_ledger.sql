-- One row for each request. `rest` has what nobody filters by or sums up, as JSON.
CREATE TABLE weir_requests (
    request_id TEXT PRIMARY KEY,
    started_ms INTEGER NOT NULL,
    tenant TEXT, key_id TEXT, end_user TEXT, tags TEXT,
    format TEXT NOT NULL, route TEXT, model TEXT, provider TEXT, upstream_model TEXT,
    stream INTEGER NOT NULL, status INTEGER NOT NULL, outcome TEXT NOT NULL,
    attempts INTEGER NOT NULL, fallback INTEGER NOT NULL,
    input_tokens INTEGER, output_tokens INTEGER, cached_tokens INTEGER,
    cache_write_tokens INTEGER, reasoning_tokens INTEGER, usage_source TEXT,
    cost_pico_usd INTEGER, price_version TEXT,
    duration_us INTEGER, ttft_us INTEGER, overhead_us INTEGER,
    error TEXT, rest TEXT
);
CREATE INDEX weir_requests_started ON weir_requests (started_ms);
CREATE INDEX weir_requests_tenant ON weir_requests (tenant, started_ms);
CREATE INDEX weir_requests_key ON weir_requests (key_id, started_ms);

-- Sums over quarter-hours (`bucket` is their beginning, in seconds since 1970), and the same over days.
-- The cost is cost_micro_usd + cost_rest_pico_usd / 1000000 millionths of a USD. '' is none.
CREATE TABLE weir_usage (
    bucket INTEGER NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT NULL, end_user TEXT NOT NULL,
    route TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL,
    requests INTEGER NOT NULL, failed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL, cost_rest_pico_usd INTEGER NOT NULL,
    PRIMARY KEY (bucket, tenant, key_id, end_user, route, model, provider, upstream_model)
) WITHOUT ROWID;
CREATE TABLE weir_usage_days (
    bucket INTEGER NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT NULL, end_user TEXT NOT NULL,
    route TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL,
    requests INTEGER NOT NULL, failed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL, cost_rest_pico_usd INTEGER NOT NULL,
    PRIMARY KEY (bucket, tenant, key_id, end_user, route, model, provider, upstream_model)
) WITHOUT ROWID;

-- The same by tag: a request stands here once for each of its tags, so these do not add up.
CREATE TABLE weir_usage_tags (
    bucket INTEGER NOT NULL, tenant TEXT NOT NULL, tag TEXT NOT NULL, key_id TEXT NOT NULL,
    model TEXT NOT NULL, provider TEXT NOT NULL,
    requests INTEGER NOT NULL, failed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL, cost_rest_pico_usd INTEGER NOT NULL,
    PRIMARY KEY (bucket, tenant, tag, key_id, model, provider)
) WITHOUT ROWID;
CREATE TABLE weir_usage_tag_days (
    bucket INTEGER NOT NULL, tenant TEXT NOT NULL, tag TEXT NOT NULL, key_id TEXT NOT NULL,
    model TEXT NOT NULL, provider TEXT NOT NULL,
    requests INTEGER NOT NULL, failed INTEGER NOT NULL, unpriced INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
    cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL, cost_rest_pico_usd INTEGER NOT NULL,
    PRIMARY KEY (bucket, tenant, tag, key_id, model, provider)
) WITHOUT ROWID;

-- How far each stream of lines has been folded.
CREATE TABLE weir_streams (stream TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;

-- What is known of the tables: `kept_from_ms`, since when they hold every row.
CREATE TABLE weir_facts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
