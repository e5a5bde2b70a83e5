-- One row for each request. `rest` has what nobody filters by or sums up, as JSON.
CREATE TABLE weir_requests (
    request_id TEXT COLLATE "C" PRIMARY KEY,
    started_ms BIGINT NOT NULL,
    tenant TEXT, key_id TEXT, end_user TEXT, tags TEXT,
    format TEXT NOT NULL, route TEXT, model TEXT, provider TEXT, upstream_model TEXT,
    stream BIGINT NOT NULL, status BIGINT NOT NULL, outcome TEXT NOT NULL,
    attempts BIGINT NOT NULL, fallback BIGINT NOT NULL,
    input_tokens BIGINT, output_tokens BIGINT, cached_tokens BIGINT,
    cache_write_tokens BIGINT, reasoning_tokens BIGINT, usage_source TEXT,
    cost_pico_usd BIGINT, price_version TEXT,
    duration_us BIGINT, ttft_us BIGINT, overhead_us BIGINT,
    error TEXT, rest TEXT
);
CREATE INDEX weir_requests_started ON weir_requests (started_ms);
CREATE INDEX weir_requests_tenant ON weir_requests (tenant, started_ms);
CREATE INDEX weir_requests_key ON weir_requests (key_id, started_ms);

-- Sums over quarter-hours (`bucket` is their beginning, in seconds since 1970), and the same over days.
-- The cost is cost_micro_usd + cost_rest_pico_usd / 1000000 millionths of a USD. '' is none.
CREATE TABLE weir_usage (
    bucket BIGINT NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT NULL, end_user TEXT NOT NULL,
    route TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL,
    requests BIGINT NOT NULL, failed BIGINT NOT NULL, unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL, cost_rest_pico_usd BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, key_id, end_user, route, model, provider, upstream_model)
);
CREATE TABLE weir_usage_days (
    bucket BIGINT NOT NULL, tenant TEXT NOT NULL, key_id TEXT NOT NULL, end_user TEXT NOT NULL,
    route TEXT NOT NULL, model TEXT NOT NULL, provider TEXT NOT NULL, upstream_model TEXT NOT NULL,
    requests BIGINT NOT NULL, failed BIGINT NOT NULL, unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL, cost_rest_pico_usd BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, key_id, end_user, route, model, provider, upstream_model)
);

-- The same by tag: a request stands here once for each of its tags, so these do not add up.
CREATE TABLE weir_usage_tags (
    bucket BIGINT NOT NULL, tenant TEXT NOT NULL, tag TEXT NOT NULL, key_id TEXT NOT NULL,
    model TEXT NOT NULL, provider TEXT NOT NULL,
    requests BIGINT NOT NULL, failed BIGINT NOT NULL, unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL, cost_rest_pico_usd BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, tag, key_id, model, provider)
);
CREATE TABLE weir_usage_tag_days (
    bucket BIGINT NOT NULL, tenant TEXT NOT NULL, tag TEXT NOT NULL, key_id TEXT NOT NULL,
    model TEXT NOT NULL, provider TEXT NOT NULL,
    requests BIGINT NOT NULL, failed BIGINT NOT NULL, unpriced BIGINT NOT NULL,
    input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL,
    cost_micro_usd BIGINT NOT NULL, cost_rest_pico_usd BIGINT NOT NULL,
    PRIMARY KEY (bucket, tenant, tag, key_id, model, provider)
);

-- How far each stream of lines has been folded.
CREATE TABLE weir_streams (stream TEXT PRIMARY KEY, seq BIGINT NOT NULL);

-- What is known of the tables: `kept_from_ms`, since when they hold every row.
CREATE TABLE weir_facts (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
