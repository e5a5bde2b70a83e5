//! `auth`.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::config::access::{AdminToken, Algorithm, Auth, Claims, Issuer, KeySource, Role};
use crate::config::raw::{self, Config};
use crate::config::read::{At, Context, Name, SecretText, Sha256Hex, nearest};
use crate::config::yaml::Place;

/// Signatures that are taken where nothing is said.
const USUAL: [Algorithm; 3] = [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

pub(super) fn auth(config: &Config, cx: &mut Context<'_>) -> Auth {
    let mut all: Vec<Issuer> = Vec::new();
    for raw in &config.auth.jwt.value {
        let Some(issuer) = issuer(raw, config, cx) else { continue };
        if all.iter().any(|known| known.name == issuer.name) {
            cx.say(raw.place, format!("two issuers are called `{}`", issuer.name))
                .label("expected another `name`")
                .help("they may have one `issuer`, with another audience or other claims");
        }
        all.push(issuer);
    }
    Auth { jwt: all }
}

fn issuer(raw: &raw::Issuer, config: &Config, cx: &mut Context<'_>) -> Option<Issuer> {
    let named = need(raw.issuer.as_ref(), raw, "issuer", "expected `issuer: https://...`", cx);
    let audiences = need(raw.audience.as_ref(), raw, "audience", "expected `audience: ...`", cx);
    let name = raw.name.as_ref().map(|name| name.0.clone()).or_else(|| named.map(|issuer| host(issuer)));
    let keys = keys(raw, cx);
    if let Some(name) = raw.name.as_ref().filter(|name| name.0.contains(':')) {
        cx.say(name.place, "an issuer's name with a `:`")
            .label("expected none: in key ids (`jwt:NAME:...`) it ends the name");
    }
    check_tenants(raw, config, cx);
    let algorithms = raw.algorithms.as_ref().map(|list| list.iter().map(|word| word.value.0).collect::<Vec<_>>());
    Some(Issuer {
        name: name?,
        issuer: named?.value.clone(),
        audiences: audiences?.0.iter().map(|one| one.value.clone()).collect(),
        keys: keys?,
        algorithms: algorithms.filter(|list| !list.is_empty()).unwrap_or_else(|| USUAL.to_vec()),
        claims: claims(&raw.claims),
        tenant: raw.tenant.as_ref().map(|tenant| tenant.value.clone()),
        tenants: raw
            .tenants
            .entries
            .iter()
            .map(|(claim, to)| (claim.value.clone(), to.clone()))
            .collect::<HashMap<_, _>>(),
        leeway: raw.leeway.0,
    })
}

fn need<'r, T>(
    given: Option<&'r At<T>>,
    raw: &raw::Issuer,
    name: &'static str,
    expected: &str,
    cx: &mut Context<'_>,
) -> Option<&'r At<T>> {
    if given.is_none() && !raw.written.contains(&name) {
        cx.say(raw.place, format!("an issuer of tokens without `{name}`")).label(expected);
    }
    given
}

/// Safe in logs, metrics and key ids.
fn host(issuer: &str) -> String {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let is_plain = |c: &char| *c != ':' && Name::check(&c.to_string()).is_ok();
    let plain: String = host.chars().map(|c| if is_plain(&c) { c } else { '-' }).collect();
    plain.chars().take(100).collect()
}

fn claims(raw: &raw::Claims) -> Claims {
    let text = |given: &Option<At<String>>| given.as_ref().map(|name| name.value.clone());
    Claims { tenant: text(&raw.tenant), key: text(&raw.key), user: text(&raw.user), models: text(&raw.models) }
}

fn keys(raw: &raw::Issuer, cx: &mut Context<'_>) -> Option<KeySource> {
    let mut found = Vec::new();
    if let Some(url) = &raw.jwks_url {
        if !is_safe(url) {
            cx.say(url.place, "keys that are fetched where others can change them")
                .label("expected `https://...`, or `http://` on this machine");
        }
        found.push(KeySource::Url(url.value.clone()));
    }
    if let Some(path) = &raw.jwks_file {
        match cx.env.read(path) {
            Ok(text) => found.push(KeySource::Set(text)),
            Err(error) => {
                cx.say(path.place, format!("cannot read the file `{}`", path.display())).label(error.to_string());
                return None;
            }
        }
    }
    found.extend(raw.public_key.as_ref().map(|pem| KeySource::Pem(pem.0.clone())));
    let written = ["jwks_url", "jwks_file", "public_key"].iter().filter(|name| raw.written.contains(name)).count();
    if written != 1 {
        cx.say(raw.place, "an issuer of tokens needs its public keys in one place")
            .label("expected one of `jwks_url`, `jwks_file`, `public_key`");
        return None;
    }
    found.pop()
}

/// Whether nobody on the way can put keys of their own there.
fn is_safe(url: &str) -> bool {
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let ends = |rest: &str| rest.is_empty() || rest.starts_with([':', '/']);
    url.starts_with("https://") || local.iter().any(|own| url.strip_prefix(own).is_some_and(ends))
}

fn check_tenants(raw: &raw::Issuer, config: &Config, cx: &mut Context<'_>) {
    match (&raw.claims.tenant, &raw.tenant) {
        (Some(_), Some(tenant)) => {
            cx.say(tenant.place, "an issuer with both `tenant` and `claims.tenant`").label("expected one of them");
        }
        (None, None) if !raw.claims.written.contains(&"tenant") && !raw.written.contains(&"tenant") => {
            cx.say(raw.place, "an issuer whose tokens belong to nobody")
                .label("expected `tenant: NAME`, or `claims: {tenant: CLAIM}`");
        }
        _ => {}
    }
    if raw.claims.tenant.is_none()
        && !raw.claims.written.contains(&"tenant")
        && let Some((first, _)) = raw.tenants.entries.first()
    {
        cx.say(first.place, "tenants by a claim that is not named").label("expected `claims: {tenant: CLAIM}` beside");
    }
    if let Some(tenant) = &raw.tenant {
        known_tenant(&tenant.value, tenant.place, config, cx);
    }
    for (claim, tenant) in &raw.tenants.entries {
        known_tenant(tenant, claim.place, config, cx);
    }
}

fn known_tenant(name: &str, place: Place, config: &Config, cx: &mut Context<'_>) {
    let known = || config.tenants.entries.iter().map(|(name, _)| name.as_str());
    if !config.tenants_lost() && !known().any(|known| known == name) {
        cx.say(place, format!("no tenant is named `{name}`"))
            .label("expected one of `tenants`")
            .did_you_mean(nearest(name, known()));
    }
}

/// `admin.token` and `admin.tokens`.
pub(super) fn tokens(config: &Config, cx: &mut Context<'_>) -> Vec<AdminToken> {
    let raw = &config.admin;
    let first = raw.token.as_ref().map(|token| AdminToken {
        name: "admin".to_owned(),
        sha256: Sha256::digest(token.0.expose()).into(),
        role: Role::Admin,
        tenant: None,
    });
    let mut all: Vec<AdminToken> = first.into_iter().collect();
    for one in &raw.tokens.value {
        let Some(token) = token(one, config, cx) else { continue };
        if all.iter().any(|known| known.name == token.name) {
            cx.say(one.place, format!("two admin tokens are called `{}`", token.name))
                .label("expected another name (`admin` is that of `admin.token`)");
        }
        if all.iter().any(|known| known.sha256 == token.sha256) {
            cx.say(one.place, "two admin tokens are the same").label("expected a secret of its own for each");
        }
        all.push(token);
    }
    all
}

fn token(raw: &raw::AdminToken, config: &Config, cx: &mut Context<'_>) -> Option<AdminToken> {
    if raw.name.is_none() && !raw.written.contains(&"name") {
        cx.say(raw.place, "an admin token without a name").label("expected `name: ...`");
    }
    if raw.role.is_none() && !raw.written.contains(&"role") {
        cx.say(raw.place, "an admin token without a role").label("expected `admin`, `viewer` or `tenant-admin`");
    }
    let secret =
        Written { token: raw.token.as_ref(), sha256: raw.sha256.as_ref(), written: &raw.written, place: raw.place };
    let sha256 = secret.hash("an admin token", "token", cx).map(|(hash, _)| hash);
    let role = raw.role.as_ref()?.value.0;
    match (&raw.tenant, role) {
        (Some(tenant), Role::TenantAdmin) => known_tenant(&tenant.value, tenant.place, config, cx),
        (None, Role::TenantAdmin) if !raw.written.contains(&"tenant") => {
            cx.say(raw.place, "a tenant's admin without a tenant").label("expected `tenant: NAME`");
        }
        (Some(tenant), Role::Admin | Role::Viewer) => {
            cx.say(tenant.place, "only a `tenant-admin` has a tenant").label("expected none");
        }
        _ => {}
    }
    let tenant = raw.tenant.as_ref().map(|tenant| tenant.value.clone());
    Some(AdminToken { name: raw.name.as_ref()?.0.clone(), sha256: sha256?, role, tenant })
}

/// A secret, as it is written: itself, or its hash.
pub(super) struct Written<'r> {
    pub(super) token: Option<&'r At<SecretText>>,
    pub(super) sha256: Option<&'r At<Sha256Hex>>,
    pub(super) written: &'r [&'static str],
    pub(super) place: Place,
}

impl Written<'_> {
    /// The hash of the one that is there. `member` is what the secret itself is called.
    pub(super) fn hash(&self, what: &str, member: &str, cx: &mut Context<'_>) -> Option<([u8; 32], Place)> {
        match (self.token, self.sha256) {
            (Some(secret), None) => Some((Sha256::digest(secret.0.expose()).into(), secret.place)),
            (None, Some(sha256)) => Some((sha256.0, sha256.place)),
            (Some(_), Some(sha256)) => {
                cx.say(sha256.place, format!("{what} with both `{member}` and `sha256`")).label("expected one of them");
                None
            }
            (None, None) => {
                if !self.written.contains(&member) && !self.written.contains(&"sha256") {
                    cx.say(self.place, format!("{what} without a secret"))
                        .label(format!("expected `{member}` or `sha256`"))
                        .help("`weir keys create --print` makes both: one for the client, one for this file");
                }
                None
            }
        }
    }
}
