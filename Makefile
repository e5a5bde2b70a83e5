# What one does with Weir. `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench bench-streams instructions instructions-write soak prove-ledger prove-rows fuzz fuzz-smoke compress semantic docs sdk mcp clients ops dashboard

help:            ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:           ## install what a build needs beyond Rust
	@scripts/setup

demo: setup      ## build, start the gateway with the simulated provider, show it at work, serve
	cargo run --release --quiet -- demo

test:            ## everything that CI runs
	@scripts/test

check:           ## the quick part: format, lints, unit tests of the translation core
	cargo fmt --all --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo test --quiet --no-default-features --lib

bench: setup     ## one table: each feature's CPU, latency, system calls, allocations, memory, beside a bare pass-through
	cargo bench --profile dist --bench load

bench-streams: setup ## 1,000 and 9,500 streams at once: memory of each, that all end whole, how late events are
	cargo bench --profile dist --bench load -- streams

instructions:    ## instructions that the parts of a request's way take, under valgrind: none over what is recorded (in `make test` too)
	@scripts/setup test
	@scripts/instructions

instructions-write: ## record them anew
	@scripts/setup test
	@scripts/instructions --write

soak:            ## a quarter of an hour of production with faults: memory, connections and threads stay flat (SOAK_SECONDS)
	cargo build --profile dist
	cargo bench --profile dist --bench soak

prove-ledger:    ## 100,000 mixed requests and 20 times kill -9: one exact row each
	cargo build --profile dist
	cargo bench --profile dist --bench prove

prove-rows:      ## 1,000,000 rows in SQLite and in Postgres: by tenant and month in less than 200 ms
	@scripts/setup test
	WEIR_STORE_ROWS=1000000 cargo test --profile dist --test postgres many -- --nocapture

fuzz:            ## fuzz every target for an hour each
	scripts/fuzz 3600

fuzz-smoke:      ## fuzz every target for a million executions
	scripts/fuzz smoke

compress:        ## a million texts folded and unfolded again; what compression costs for 100 KB
	WEIR_CASES=1000000 cargo test --release --no-default-features --lib compress::fold -- --nocapture
	cargo bench --profile dist --bench compress

semantic:        ## how well questions are told apart that mean the same and that do not (WEIR_EMBEDDINGS: with which model)
	@scripts/semantic

docs:            ## the library's documentation
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

sdk:             ## the official SDKs against the real binary
	@scripts/setup test
	@scripts/sdk-tests

mcp:             ## real servers and a real client of the Model Context Protocol, with the real binary between them
	@scripts/setup test
	@scripts/mcp-tests

clients:         ## real clients and coding agents against the real binary (`scripts/clients --write`: table into README)
	@scripts/setup test
	@scripts/clients

ops:             ## rules, dashboards, units, manifests: linters, promtool, and a real Prometheus that scrapes the real binary
	@scripts/setup test
	cargo build --quiet
	WEIR_BIN=$${CARGO_TARGET_DIR:-target}/debug/weir scripts/ops-check

dashboard:       ## the dashboard in a real browser against the real binary (`scripts/dashboard-test --write`: pictures into docs)
	@scripts/setup test
	@scripts/dashboard-test
