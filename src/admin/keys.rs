//! Keys: all of them to look at, those that were made at run time to make, change, rotate and revoke.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use http::StatusCode;

use super::query::{Query, page_limit};
use super::{Answer, Asked, views};
use crate::config::access::Role;
use crate::config::runtime::{Key, Runtime};
use crate::limit::Scope;
use crate::limit::clock::Rfc3339;
use crate::secret::Secret;
use crate::store::{Failure, Refused};
use crate::tenant::stored::{Configured, Held, Standing, StoredKey, made, shown};
use crate::wire::json::Obj;

/// A key, wherever it comes from.
enum Known {
    Configured(Arc<Key>),
    Stored(Arc<Held>),
}

impl Known {
    fn tenant(&self) -> &str {
        match self {
            Self::Configured(key) => &key.tenant.id,
            Self::Stored(held) => &held.row.tenant,
        }
    }
}

/// `{"data": [key, ...], "next_cursor": "..." or null}`, in the order of their ids.
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    let mut wanted = match Query::read(&asked.query, &["tenant", "state", "limit", "cursor"]) {
        Ok(wanted) => wanted,
        Err(refused) => return refused,
    };
    let limit = match page_limit(wanted.take("limit").as_deref()) {
        Ok(limit) => limit,
        Err(refused) => return refused,
    };
    let state = wanted.take("state");
    if let Some(word) = state.as_deref().filter(|word| !Standing::ALL.iter().any(|known| known.as_str() == *word)) {
        let known = Standing::ALL.map(Standing::as_str).join(", ");
        return Query::refused(&format!("`state`: no key is `{word}`; expected one of {known}"));
    }
    let (tenant, after) = (wanted.take("tenant"), wanted.take("cursor"));
    let (runtime, now) = (asked.backend.runtime(), SystemTime::now());
    let configured = Configured::of(&runtime);
    let all = all(asked, &runtime).into_iter();
    let behind = all.filter(|((id, _), _)| after.as_ref().is_none_or(|after| id > after));
    let of_tenant = behind.filter(|(_, key)| tenant.as_deref().is_none_or(|tenant| key.tenant() == tenant));
    let mut found = of_tenant.filter(|(_, key)| state.as_deref().is_none_or(|s| standing(key, &configured, now) == s));
    let mut body = Vec::new();
    let mut root = Obj::new(&mut body);
    let mut rows = root.arr("data");
    let mut last = None;
    for ((id, _), key) in found.by_ref().take(limit) {
        write(&key, &configured, asked, now, &mut rows.obj());
        last = Some(id);
    }
    drop(rows);
    match last.filter(|_| found.next().is_some()) {
        Some(last) => root.text("next_cursor", &last),
        None => root.null("next_cursor"),
    };
    drop(root);
    Answer::json(StatusCode::OK, body)
}

/// By id, those of the configuration first.
fn all(asked: &Asked<'_>, runtime: &Runtime) -> BTreeMap<(String, bool), Known> {
    let own = runtime.keys.values().map(|key| ((key.id.clone(), false), Known::Configured(Arc::clone(key))));
    let stored = asked.backend.stored_keys().into_iter();
    let stored = stored.map(|held| ((held.row.id.clone(), true), Known::Stored(held)));
    own.chain(stored).collect()
}

pub(super) fn one(asked: &Asked<'_>) -> Answer {
    let runtime = asked.backend.runtime();
    let all = all(asked, &runtime);
    // The configuration's, as with requests.
    let found = [false, true].into_iter().find_map(|stored| all.get(&(asked.name.to_owned(), stored)));
    match found.filter(|key| asked.sees(Some(key.tenant()))) {
        Some(key) => {
            let mut body = Vec::new();
            write(key, &Configured::of(&runtime), asked, SystemTime::now(), &mut Obj::new(&mut body));
            Answer::json(StatusCode::OK, body)
        }
        None => unknown(),
    }
}

/// The key, with its secret: the only time that it is shown.
pub(super) fn create(asked: &Asked<'_>) -> Answer {
    let mut members = match made::members(asked.body) {
        Ok(members) => members,
        Err(why) => return invalid(&why),
    };
    let given = match made::text(&mut members, "tenant") {
        Ok(given) => given.or_else(|| asked.asker.tenant.clone()),
        Err(why) => return invalid(&why),
    };
    let Some(tenant) = given else { return invalid("`tenant` is missing: whose key is it?") };
    let runtime = asked.backend.runtime();
    if !asked.sees(Some(&tenant)) {
        return Answer::error(StatusCode::FORBIDDEN, "not_allowed", "this admin token is for another tenant");
    }
    if !runtime.tenants.iter().any(|known| known.id == tenant) {
        return invalid(&format!("`tenant`: the configuration has no tenant `{tenant}`"));
    }
    if let Ok(Some(id)) = made::text(&mut members_of(asked.body), "id")
        && runtime.keys.values().any(|key| key.id == id)
    {
        return Answer::error(StatusCode::CONFLICT, "key_exists", "the configuration has a key of this id");
    }
    if let Err(why) = made::reaching(&members, &tenant, &runtime) {
        return invalid(&why);
    }
    members.insert("tenant".to_owned(), quoted(&tenant));
    match asked.backend.create_key(&asked.asker.name, members) {
        Ok(made) => with_secret(StatusCode::CREATED, asked, made),
        Err(failure) => failed(&failure, asked),
    }
}

/// What may be done with it, changed member by member; `null` takes one away.
pub(super) fn change(asked: &Asked<'_>) -> Answer {
    if let Err(refused) = own(asked) {
        return refused;
    }
    let stored_keys = asked.backend.stored_keys();
    let tenant = stored_keys.iter().find(|held| held.row.id == asked.name).map(|held| held.row.tenant.as_str());
    if let Some(tenant) = tenant
        && let Err(why) = made::reaching(&members_of(asked.body), tenant, &asked.backend.runtime())
    {
        return invalid(&why);
    }
    match asked.backend.change_key(&asked.asker.name, asked.name, asked.body) {
        Ok(key) => stored(StatusCode::OK, asked, key, None),
        Err(failure) => failed(&failure, asked),
    }
}

/// A second secret, shown this once; the first is honoured for as long as `grace` says.
pub(super) fn rotate(asked: &Asked<'_>) -> Answer {
    if let Err(refused) = own(asked) {
        return refused;
    }
    let grace = made::members(asked.body).and_then(|mut members| {
        let grace = made::grace(made::text(&mut members, "grace")?.as_deref())?;
        match members.keys().next() {
            Some(name) => Err(format!("`{name}` is not known: `grace` is all that can be said")),
            None => Ok(grace),
        }
    });
    let grace = match grace {
        Ok(grace) => grace,
        Err(why) => return invalid(&why),
    };
    match asked.backend.rotate_key(&asked.asker.name, asked.name, grace) {
        Ok(made) => with_secret(StatusCode::OK, asked, made),
        Err(failure) => failed(&failure, asked),
    }
}

/// For good.
pub(super) fn revoke(asked: &Asked<'_>) -> Answer {
    if let Err(refused) = own(asked) {
        return refused;
    }
    match asked.backend.revoke_key(&asked.asker.name, asked.name) {
        Ok(key) => stored(StatusCode::OK, asked, key, None),
        Err(failure) => failed(&failure, asked),
    }
}

/// Whether the asker sees the key of that id at all.
fn own(asked: &Asked<'_>) -> Result<(), Answer> {
    if asked.asker.role != Role::TenantAdmin {
        return Ok(());
    }
    let stored = asked.backend.stored_keys();
    let found = stored.iter().find(|held| held.row.id == asked.name);
    if found.is_some_and(|held| asked.sees(Some(&held.row.tenant))) { Ok(()) } else { Err(unknown()) }
}

fn members_of(body: &[u8]) -> made::Members {
    made::members(body).unwrap_or_default()
}

/// A text as JSON.
fn quoted(text: &str) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(text).unwrap_or_default()
}

fn with_secret(status: StatusCode, asked: &Asked<'_>, (key, secret): (StoredKey, Secret)) -> Answer {
    stored(status, asked, key, Some(&secret))
}

fn stored(status: StatusCode, asked: &Asked<'_>, key: StoredKey, secret: Option<&Secret>) -> Answer {
    let mut body = Vec::new();
    {
        let mut row = Obj::new(&mut body);
        if let Some(secret) = secret {
            row.text("secret", secret.expose());
        }
        let known = Known::Stored(Arc::new(Held::new(key)));
        write(&known, &Configured::of(&asked.backend.runtime()), asked, SystemTime::now(), &mut row);
    }
    Answer::json(status, body)
}

fn standing(key: &Known, configured: &Configured<'_>, now: SystemTime) -> &'static str {
    match key {
        Known::Stored(held) => held.standing(Some(configured), now).as_str(),
        Known::Configured(key) if !key.active => "inactive",
        Known::Configured(key) if key.expires.is_some_and(|at| at <= now) => "expired",
        Known::Configured(_) => "active",
    }
}

fn write(key: &Known, configured: &Configured<'_>, asked: &Asked<'_>, now: SystemTime, row: &mut Obj<'_>) {
    let id = match key {
        Known::Stored(held) => {
            shown::write(held, held.standing(Some(configured), now), row);
            &held.row.id
        }
        Known::Configured(own) => {
            write_configured(own, standing(key, configured, now), row);
            &own.id
        }
    };
    let scope = Scope::Key { tenant: key.tenant().to_owned(), key: id.clone() };
    let mut balances = row.arr("balances");
    for balance in asked.backend.balances(&scope) {
        balance.write(&mut balances.obj());
    }
}

fn write_configured(key: &Key, standing: &str, row: &mut Obj<'_>) {
    row.text("id", &key.id).text("tenant", &key.tenant.id).text("source", "config").text("state", standing);
    row.bool("active", key.active);
    match key.expires {
        Some(expires) => row.text("expires", &Rfc3339(expires).to_string()),
        None => row.null("expires"),
    };
    match key.previous {
        Some(previous) => row.text("previous_until", &Rfc3339(previous.until).to_string()),
        None => row.null("previous_until"),
    };
    views::write_models(row, &key.models);
    views::write_limits(row, key.limits);
    let mut networks = row.arr("allowed_addresses");
    for network in &key.allowed_addresses {
        networks.text(&network.to_string());
    }
}

fn unknown() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "unknown_key", "no key has this id")
}

fn invalid(why: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, "invalid_key", why.trim_end())
}

fn failed(failure: &Failure, asked: &Asked<'_>) -> Answer {
    let text = failure.to_string();
    match failure {
        Failure::Invalid(why) => invalid(why),
        Failure::Refused(Refused::Missing) => {
            let configured = asked.backend.runtime().keys.values().any(|key| key.id == asked.name);
            match configured {
                true => {
                    let text = "this key is in the configuration: it is changed there";
                    Answer::error(StatusCode::CONFLICT, "key_is_configured", text)
                }
                false => unknown(),
            }
        }
        Failure::Refused(Refused::Taken) => Answer::error(StatusCode::CONFLICT, "key_exists", &text),
        Failure::Refused(Refused::Revoked) => Answer::error(StatusCode::CONFLICT, "key_revoked", &text),
        Failure::Store(error) => {
            tracing::error!("the database of keys: {error}");
            let text = "the database does not answer: nothing was changed";
            Answer::error(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", text)
        }
    }
}
