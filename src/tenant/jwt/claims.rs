//! What a token says of its bearer.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::access::{Issuer, JWT};
use crate::config::runtime::ModelPattern;
use crate::error::{Error, Kind, Result};

/// Longer names of callers and users are refused: they are kept, counted and written to every record.
const MOST_NAME_BYTES: usize = 256;
/// More models than this nobody lists.
const MOST_MODELS: usize = 1_000;

/// The claims, as they stand.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Given(HashMap<String, Box<RawValue>>);

/// A token whose signature is good.
#[derive(Debug)]
pub struct Verified {
    /// Which issuer of the configuration.
    pub(super) issuer: usize,
    pub issuer_name: String,
    /// The tenant's id; whether there is one, others know.
    pub tenant: String,
    /// `jwt:ISSUER`, or `jwt:ISSUER:NAME`: whatever the issuer writes, it is the id of no key, and of no other
    /// issuer's bearer.
    pub key_id: String,
    pub user: Option<String>,
    /// What the token narrows its bearer to; empty narrows nothing.
    pub models: Vec<ModelPattern>,
    /// With the issuer's leeway.
    pub expires_at: SystemTime,
}

impl Given {
    /// Without a look at the signature: for who is asked about it.
    pub(super) fn of(token: &[u8]) -> Option<Self> {
        let payload = token.split(|byte| *byte == b'.').nth(1)?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
    }

    pub(super) fn is_from(&self, issuer: &str) -> bool {
        self.text("iss").is_some_and(|iss| iss == issuer)
    }

    pub(super) fn begins_after(&self, now: SystemTime) -> bool {
        self.0.get("nbf").is_some_and(|nbf| moment(nbf.get()).is_none_or(|nbf| nbf > now))
    }

    /// A claim by its name, or by the JSON pointer to it.
    fn get(&self, name: &str) -> Option<&str> {
        let Some(pointer) = name.strip_prefix('/') else { return self.0.get(name).map(|raw| raw.get()) };
        let mut parts = pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
        let mut at = self.0.get(&parts.next()?)?.get();
        for part in parts {
            let inside: HashMap<String, &RawValue> = serde_json::from_str(at).ok()?;
            at = inside.get(&part)?.get();
        }
        Some(at)
    }

    /// A text, or a number as text.
    fn text(&self, name: &str) -> Option<String> {
        let raw = self.get(name)?;
        serde_json::from_str::<String>(raw)
            .ok()
            .or_else(|| serde_json::from_str::<u64>(raw).ok().map(|n| n.to_string()))
    }

    /// A text that may stand in records.
    fn name(&self, name: &str) -> Option<String> {
        let good =
            |text: &String| !text.is_empty() && text.len() <= MOST_NAME_BYTES && !text.chars().any(char::is_control);
        self.text(name).filter(good)
    }

    /// A list of texts, or one with spaces between.
    fn list(&self, name: &str) -> Option<Result<Vec<String>, &'static str>> {
        let raw = self.get(name).filter(|raw| *raw != "null")?;
        let one = || serde_json::from_str::<String>(raw).map(|text| text.split(' ').map(str::to_owned).collect());
        let all = serde_json::from_str::<Vec<String>>(raw).or_else(|_| one());
        Some(all.ok().filter(|all| all.len() <= MOST_MODELS).ok_or("its list of models cannot be read"))
    }
}

impl Verified {
    /// What the claims mean by the issuer's settings, or why they mean nothing.
    pub(super) fn new(given: &Given, config: &Issuer, issuer: usize) -> Result<Self, &'static str> {
        let expires_at = given.0.get("exp").and_then(|exp| moment(exp.get())).ok_or("it never ends")?;
        let key_id = match &config.claims.key {
            Some(claim) => {
                let name = given.name(claim).ok_or("it does not name its bearer")?;
                format!("{JWT}{}:{name}", config.name)
            }
            None => format!("{JWT}{}", config.name),
        };
        let user = match &config.claims.user {
            Some(claim) => Some(given.name(claim).ok_or("it does not name its user")?),
            None => None,
        };
        let models = match config.claims.models.as_ref().and_then(|claim| given.list(claim)) {
            Some(list) => narrowed(list?),
            None => Vec::new(),
        };
        let tenant = tenant(given, config)?;
        Ok(Self { issuer, issuer_name: config.name.clone(), tenant, key_id, user, models, expires_at })
    }

    /// Whether it has not ended.
    pub(super) fn admit(&self, now: SystemTime) -> Result<()> {
        match self.expires_at > now {
            true => Ok(()),
            false => Err(Error::new(Kind::KeyExpired, "this token has expired")),
        }
    }
}

fn tenant(given: &Given, config: &Issuer) -> Result<String, &'static str> {
    if let Some(tenant) = &config.tenant {
        return Ok(tenant.clone());
    }
    let named = config.claims.tenant.as_ref().and_then(|claim| given.name(claim)).ok_or("it names no tenant")?;
    match config.tenants.is_empty() {
        true => Ok(named),
        false => config.tenants.get(&named).cloned().ok_or("its tenant is not one of those that are known"),
    }
}

/// A list that allows nothing is not one that says nothing.
fn narrowed(list: Vec<String>) -> Vec<ModelPattern> {
    let some: Vec<_> = list.into_iter().filter(|name| !name.is_empty()).map(ModelPattern).collect();
    if some.is_empty() { vec![ModelPattern(String::new())] } else { some }
}

/// Seconds since 1970, with or without a fraction.
fn moment(raw: &str) -> Option<SystemTime> {
    let seconds = raw.parse::<f64>().ok().filter(|seconds| (0.0..1e11).contains(seconds))?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}
