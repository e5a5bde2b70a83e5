//! Debug capture: started, ended, and read. All of it is on the chain of changes, reading too: there are
//! prompts in it.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use uuid::Uuid;

use super::query::Query;
use super::{Answer, Asked};
use crate::capture::{NotShown, NotStarted, Wanted};
use crate::config::capture::Redact;
use crate::config::read::{Period, Scalar as _};
use crate::limit::clock::unix_ms;
use crate::wire::json::Obj;

const USUAL_PERIOD: Duration = Duration::from_secs(15 * 60);
const USUAL_MOST: u32 = 100;
const MOST_RULES: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    tenant: Option<String>,
    key: Option<String>,
    #[serde(rename = "for")]
    period: Option<String>,
    most: Option<u32>,
    #[serde(default)]
    redact: Vec<String>,
}

/// `{"data": [capture, ...], "has_key": true, "bytes": 0, "max_bytes": 268435456}`
pub(super) fn list(asked: &Asked<'_>) -> Answer {
    match Query::read(&asked.query, &[]) {
        Ok(_) => Answer::json(StatusCode::OK, asked.backend.captures().list()),
        Err(refused) => refused,
    }
}

/// `{"tenant": "acme", "key": "acme-dev", "for": "15m", "most": 100, "redact": ["emails"]}`: one of `tenant`
/// and `key` at least.
pub(super) fn start(asked: &Asked<'_>) -> Answer {
    let wanted = match wanted(asked) {
        Ok(wanted) => wanted,
        Err(why) => return invalid(&why),
    };
    let running = match asked.backend.captures().start(wanted, &asked.asker.name) {
        Ok(running) => running,
        Err(NotStarted::NoKey) => return no_key(),
        Err(NotStarted::TooMany) => {
            let text = "too many captures run already: end one of them";
            return Answer::error(StatusCode::CONFLICT, "too_many_captures", text);
        }
    };
    let mut body = Vec::new();
    running.write(&mut Obj::new(&mut body), &[], unix_ms());
    let detail = String::from_utf8_lossy(&body).into_owned();
    asked.backend.record(&asked.asker.name, "capture.start", &running.wanted.tenant, detail);
    Answer::json(StatusCode::CREATED, body)
}

fn wanted(asked: &Asked<'_>) -> Result<Wanted, String> {
    let expected = r#"expected {"tenant": "...", "key": "...", "for": "15m", "most": 100, "redact": [...]}"#;
    let body: Body = serde_json::from_slice(asked.body).map_err(|error| format!("{expected}: {error}"))?;
    let period = match body.period {
        Some(text) => Period::parse(&text).map_err(|expected| format!("`for`: expected {expected}"))?.0,
        None => USUAL_PERIOD,
    };
    if period > Wanted::LONGEST {
        return Err("`for`: expected at most 24h".to_owned());
    }
    let most = body.most.unwrap_or(USUAL_MOST);
    if !(1..=Wanted::MOST).contains(&most) {
        return Err(format!("`most`: expected 1 to {}", Wanted::MOST));
    }
    if body.redact.len() > MOST_RULES {
        return Err(format!("`redact`: expected at most {MOST_RULES} rules"));
    }
    let rule = |text: &String| Redact::parse(text).map_err(|expected| format!("`redact`: expected {expected}"));
    let redact = body.redact.iter().map(rule).collect::<Result<_, _>>()?;
    let tenant = tenant(asked, body.tenant, body.key.as_deref())?;
    Ok(Wanted { tenant, key: body.key, period, most, redact })
}

/// Whose the exchanges are. A key that is named without its tenant is one that is known.
fn tenant(asked: &Asked<'_>, tenant: Option<String>, key: Option<&str>) -> Result<String, String> {
    let runtime = asked.backend.runtime();
    match (tenant, key) {
        (Some(tenant), key) if runtime.tenants.iter().any(|known| known.id == tenant) => {
            let configured = runtime.keys.values().filter(|known| Some(&*known.id) == key);
            let stored = asked.backend.stored_keys();
            let stored = stored.iter().filter(|held| Some(&*held.row.id) == key).map(|held| &held.row.tenant);
            let mut owners = configured.map(|known| &known.tenant.id).chain(stored).peekable();
            // Keys of tokens are on no list.
            match owners.peek().is_none() || owners.any(|owner| *owner == tenant) {
                true => Ok(tenant),
                false => Err(format!("`key`: that key is not of the tenant `{tenant}`")),
            }
        }
        (Some(tenant), _) => Err(format!("`tenant`: the configuration has no tenant `{tenant}`")),
        (None, None) => Err("`tenant` or `key` is missing: whose exchanges?".to_owned()),
        (None, Some(key)) => {
            let configured = runtime.keys.values().find(|known| known.id == key).map(|known| known.tenant.id.clone());
            let stored = || {
                let all = asked.backend.stored_keys();
                all.iter().find(|held| held.row.id == key).map(|held| held.row.tenant.clone())
            };
            configured.or_else(stored).ok_or_else(|| format!("`key`: no key has the id `{key}`; name its `tenant` too"))
        }
    }
}

/// Ends it. What it has kept goes, but with `keep=true`.
pub(super) fn end(asked: &Asked<'_>) -> Answer {
    let keep = match Query::read(&asked.query, &["keep"]).map(|mut query| query.take("keep")) {
        Ok(None) => false,
        Ok(Some(text)) if text == "true" || text == "false" => text == "true",
        Ok(Some(_)) => return Query::refused("`keep`: expected true or false"),
        Err(refused) => return refused,
    };
    let Ok(id) = asked.name.parse::<Uuid>() else { return unknown() };
    match asked.backend.captures().end(id, keep) {
        Ok(Some(())) => {
            let detail = format!("{{\"kept\":{keep}}}");
            asked.backend.record(&asked.asker.name, "capture.end", &id.hyphenated().to_string(), detail);
            Answer::nothing()
        }
        Ok(None) => unknown(),
        Err(error) => failed(&error),
    }
}

/// The exchange of a request.
pub(super) fn one(asked: &Asked<'_>) -> Answer {
    let missing = || {
        let text = "nothing was captured of this request, or it is not kept any more";
        Answer::error(StatusCode::NOT_FOUND, "not_captured", text)
    };
    let Ok(id) = asked.name.parse::<Uuid>() else { return missing() };
    match asked.backend.captures().read(id) {
        Ok(document) => {
            let target = id.hyphenated().to_string();
            asked.backend.record(&asked.asker.name, "capture.read", &target, "{}".to_owned());
            Answer::json(StatusCode::OK, document)
        }
        Err(NotShown::Unknown) => missing(),
        Err(NotShown::NoKey) => no_key(),
        Err(NotShown::Unreadable(why)) => {
            Answer::error(StatusCode::CONFLICT, "capture_unreadable", &format!("it cannot be read: {why}"))
        }
        Err(NotShown::Disk(error)) => failed(&error),
    }
}

fn invalid(why: &str) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, "invalid_capture", why)
}

fn unknown() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "unknown_capture", "no capture has this id")
}

fn no_key() -> Answer {
    let text = "the configuration has no `telemetry.capture.key`: captures are only kept encrypted. Make one with \
        `openssl rand -base64 32`";
    Answer::error(StatusCode::CONFLICT, "capture_not_configured", text)
}

fn failed(error: &std::io::Error) -> Answer {
    tracing::error!("captured exchanges: {error}");
    Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "disk_failed", "the disk refused; see the log")
}
