//! The configuration as lists to read. Nothing secret is in any of them: keys by id, credentials as
//! whether there is one.

use super::Backend;
use crate::config::budget::Amount;
use crate::config::runtime::{Key, Limits, ModelPattern, Runtime, Share, Tenant};
use crate::limit::Scope;
use crate::limit::clock::Rfc3339;
use crate::wire::json::{Arr, Obj};

/// `{"data": [{id, models, limits, budgets, model_limits, model_budgets, users, tags, strict, keys: [...]}]}`
pub(super) fn tenants(backend: &dyn Backend, only: Option<&str>) -> Vec<u8> {
    let runtime = backend.runtime();
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    let mut list = root.arr("data");
    for tenant in runtime.tenants.iter().filter(|tenant| only.is_none_or(|only| tenant.id == only)) {
        write_tenant(&mut list.obj(), tenant, &runtime, backend);
    }
    drop(list);
    drop(root);
    body
}

/// One of them.
pub(super) fn tenant(backend: &dyn Backend, id: &str) -> Option<Vec<u8>> {
    let runtime = backend.runtime();
    let tenant = runtime.tenants.iter().find(|tenant| tenant.id == id)?;
    let mut body = Vec::new();
    write_tenant(&mut Obj::new(&mut body), tenant, &runtime, backend);
    Some(body)
}

fn write_tenant(row: &mut Obj<'_>, tenant: &Tenant, runtime: &Runtime, backend: &dyn Backend) {
    let mut keys: Vec<&Key> =
        runtime.keys.values().map(AsRef::as_ref).filter(|key| key.tenant.id == tenant.id).collect();
    keys.sort_by(|a, b| a.id.cmp(&b.id));
    row.text("id", &tenant.id);
    write_models(row, &tenant.models);
    write_limits(row, tenant.limits);
    write_budgets(row, &Scope::Tenant(tenant.id.clone()), backend);
    let mut models = row.arr("model_limits");
    for (pattern, limits) in &tenant.model_limits {
        let mut one = models.obj();
        one.text("model", &pattern.0);
        write_limits(&mut one, *limits);
    }
    drop(models);
    let mut models = row.arr("model_budgets");
    for (pattern, _) in &tenant.model_budgets {
        let mut one = models.obj();
        one.text("model", &pattern.0);
        write_budgets(&mut one, &Scope::Model { tenant: tenant.id.clone(), pattern: pattern.0.clone() }, backend);
    }
    drop(models);
    write_share(&mut row.obj("users"), &tenant.users);
    write_tags(row, tenant, backend);
    row.bool("strict", tenant.strict);
    let mut list = row.arr("keys");
    for key in keys {
        write_key(&mut list, key, backend);
    }
}

fn write_key(list: &mut Arr<'_>, key: &Key, backend: &dyn Backend) {
    let mut row = list.obj();
    row.text("id", &key.id).bool("active", key.active);
    match key.expires {
        Some(expires) => row.text("expires", &Rfc3339(expires).to_string()),
        None => row.null("expires"),
    };
    write_models(&mut row, &key.models);
    write_limits(&mut row, key.limits);
    let scope = Scope::Key { tenant: key.tenant.id.clone(), key: key.id.clone() };
    write_budgets(&mut row, &scope, backend);
}

fn write_budgets(row: &mut Obj<'_>, scope: &Scope, backend: &dyn Backend) {
    let mut list = row.arr("budgets");
    for balance in backend.balances(scope) {
        balance.write(&mut list.obj());
    }
}

/// What each tag has; one that has budgets by its name has spent something of them.
fn write_tags(row: &mut Obj<'_>, tenant: &Tenant, backend: &dyn Backend) {
    let mut tags = row.arr("tags");
    for (pattern, share) in &tenant.tags {
        let mut one = tags.obj();
        one.text("tag", &pattern.0);
        if pattern.0.contains('*') {
            write_share(&mut one, share);
            continue;
        }
        write_limits(&mut one, share.limits);
        let (tenant, pattern, tag) = (tenant.id.clone(), pattern.0.clone(), pattern.0.clone());
        write_budgets(&mut one, &Scope::Tag { tenant, pattern, tag }, backend);
    }
}

/// What each of many has, without what any of them used.
fn write_share(row: &mut Obj<'_>, share: &Share) {
    write_limits(row, share.limits);
    let mut list = row.arr("budgets");
    for budget in &share.budgets {
        let mut one = list.obj();
        one.text("budget", &budget.name()).text("unit", budget.unit.as_str());
        one.text("per", budget.period.per.as_str()).bool("soft", budget.soft);
        one.raw("limit", &Amount(budget.unit, budget.most).to_string());
    }
}

pub(super) fn write_models(row: &mut Obj<'_>, models: &[ModelPattern]) {
    let mut list = row.arr("models");
    for pattern in models {
        list.text(&pattern.0);
    }
}

pub(super) fn write_limits(row: &mut Obj<'_>, limits: Limits) {
    let mut object = row.obj("limits");
    for (limited, limit) in limits.iter() {
        object.num(limited.as_str(), limit);
    }
}
