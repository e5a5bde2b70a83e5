//! From what is written to what it means. Every check that needs more than one setting is here;
//! each goes on after a problem, so that all are found at once.

mod alerts;
mod attempts;
mod auth;
mod authored;
mod aws;
mod azure;
mod base_url;
mod budget;
mod cache;
mod capture;
mod compression;
mod endpoints;
mod google;
mod guard;
mod limits;
mod openapi;
mod price;
mod provider;
mod reach;
mod route;
mod server;
mod telemetry;
mod tenant;
mod tools;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::env::Env;
use super::raw::{self, Config, StoredKey};
use super::read::{Context, Read as _};
use super::report::Report;
use super::runtime::{Key, Runtime, State};
use super::yaml::Node;

/// Builds the runtime. `None`, or problems in `cx` or `report`: the configuration is refused.
/// Problems of files that the configuration names go to `report`, its own to `cx`.
pub(super) fn resolve(raw: &Config, hash: String, cx: &mut Context<'_>, report: &mut Report) -> Option<Runtime> {
    if raw.version.value != 1 {
        cx.say(raw.version.place, "unknown version of the format").label("expected 1");
    }
    let prices = Arc::new(price::table(raw, cx, report));
    let server = server::server(&raw.server, cx);
    let tokens = auth::tokens(raw, cx);
    let admin = server::admin(&raw.admin, tokens, &raw.server, cx);
    let deployments = provider::deployments(raw, &prices, cx);
    let guards = guard::guards(raw, cx);
    let routes = route::routes(raw, &deployments, &guards, cx);
    let any = route::any(raw, &deployments, &routes);
    let state = server::state(&raw.state, server.workers(), cx);
    limits::losses(raw, cx);
    let tenants_and_keys = tenant::tenants(raw, &mut reach::Reach::new(raw, &deployments, &prices), &guards, cx);
    Some(Runtime {
        hash,
        loaded_at: SystemTime::now(),
        server,
        admin: admin?,
        state,
        deployments,
        routes,
        any,
        attempts: attempts::defaults(&raw.defaults, cx),
        retry_budget: attempts::budget(&raw.defaults.retry_budget, cx),
        tenants: tenants_and_keys.0,
        keys: tenants_and_keys.1,
        auth: auth::auth(raw, cx),
        guards: guards.in_order(),
        cache: cache::shelf(raw, cx),
        prices,
        telemetry: telemetry::telemetry(&raw.telemetry, cx),
        alerts: Arc::new(alerts::alerts(raw, cx)),
        tools: tools::tools(raw, cx),
    })
}

/// The operator's address, where it can be read.
pub(super) fn admin_address(node: &Node, env: &dyn Env) -> Option<SocketAddr> {
    let mut cx = Context::new(env);
    let admin = raw::Admin::read(node, &mut cx)?;
    (!cx.failed()).then_some(admin.listen.0)
}

/// Where the state is, where that can be read.
pub(super) fn where_state_is(node: &Node, env: &dyn Env) -> Option<State> {
    let mut cx = Context::new(env);
    let raw = raw::State::read(node, &mut cx)?;
    let state = server::state(&raw, 1, &mut cx);
    (!cx.failed()).then_some(state)
}

/// What a key that is made at run time may do. Whose it is, and what it is called, others know.
pub(super) fn stored_key(raw: &StoredKey, cx: &mut Context<'_>) -> Key {
    tenant::stored_key(raw, cx)
}

/// Its `models`, held against what there is, and its limits and budgets against its tenant's.
pub(super) fn stored_fits(raw: &StoredKey, tenant: &str, runtime: &Runtime, cx: &mut Context<'_>) {
    tenant::stored_models(raw, tenant, runtime, cx);
    if let Some(tenant) = runtime.tenants.iter().find(|known| known.id == tenant) {
        limits::Found::read(&raw.limits, &raw.budgets, cx).within(&limits::Found::of(tenant), cx);
    }
}
