//! How stored keys are made and changed: what is asked for, checked, and what the chain is told. Where it
//! is kept, others know.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{PreviousSecret, StoredKey};
use crate::config::access::JWT;
use crate::config::load;
use crate::config::read::{ALLOW_ALL, Name, Period, Scalar as _};
use crate::config::runtime::Runtime;
use crate::limit::clock::whole_ms;
use crate::secret::{Secret, minted};
use crate::tenant::audit::Change;
use crate::wire::json::Obj;

/// How long the secret before is honoured where nobody says.
pub const GRACE: Duration = Duration::from_secs(24 * 3_600);

/// The members of a JSON object, as they stand.
pub type Members = BTreeMap<String, Box<RawValue>>;

/// A secret that nobody has seen yet.
#[derive(Debug)]
pub struct New {
    pub secret: Secret,
    handle: String,
    sha256: [u8; 32],
}

impl New {
    pub fn mint() -> Result<Self, String> {
        let secret = minted::mint().ok_or("the system gives no random numbers")?;
        let handle = minted::handle(&secret).unwrap_or_default().to_owned();
        let sha256 = Sha256::digest(secret.expose()).into();
        Ok(Self { secret, handle, sha256 })
    }
}

/// A JSON object. Nothing at all is an empty one; a member that comes twice is a mistake, whichever was meant.
pub fn members(body: &[u8]) -> Result<Members, String> {
    if body.trim_ascii().is_empty() {
        return Ok(Members::new());
    }
    let Once(members) = serde_json::from_slice(body).map_err(|error| format!("expected a JSON object: {error}"))?;
    Ok(members)
}

/// Members none of which comes twice.
struct Once(Members);

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(OnceVisitor).map(Self)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Members::new();
        while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            members.insert(name, value);
        }
        Ok(members)
    }
}

/// A key as it is asked for: `tenant`, `id` (or a name is made of the tenant's and the secret's), and what
/// a key of the configuration may have.
pub fn key(mut asked: Members, new: &New, now_ms: u64) -> Result<StoredKey, String> {
    let tenant = text(&mut asked, "tenant")?.ok_or("`tenant` is missing: whose key is it?")?;
    let id = text(&mut asked, "id")?.unwrap_or_else(|| format!("{tenant}-{}", new.handle));
    Name::check(&tenant).map_err(|expected| format!("`tenant`: expected {expected}"))?;
    Name::check(&id).map_err(|expected| format!("`id`: expected {expected}"))?;
    if id.starts_with(JWT) {
        return Err("`id`: expected one that does not begin with `jwt:`, as those of tokens do".to_owned());
    }
    asked.retain(|_, value| value.get() != "null");
    asked.iter().try_for_each(|(name, value)| plain(name, value))?;
    Ok(StoredKey {
        id,
        tenant,
        handle: new.handle.clone(),
        sha256: new.sha256,
        previous: None,
        created_at_ms: now_ms,
        revoked_at_ms: None,
        settings: settings(&asked)?,
        changed: 0,
    })
}

/// The settings with some of them changed; `null` takes one away.
pub fn merged(settings_before: &str, asked: Members) -> Result<String, String> {
    let mut all = members(settings_before.as_bytes())?;
    for (name, value) in asked {
        if matches!(name.as_str(), "id" | "tenant") {
            return Err(format!("`{name}` of a key cannot be changed"));
        }
        plain(&name, &value)?;
        if value.get() == "null" {
            all.remove(&name)
        } else {
            all.insert(name, value)
        };
    }
    settings(&all)
}

/// Gives it a new secret. The one it had is honoured for as long; one before that no more.
pub fn rotate(key: &mut StoredKey, new: &New, grace: Duration, now_ms: u64) {
    let until_ms = now_ms.saturating_add(whole_ms(grace));
    key.previous = (!grace.is_zero()).then_some(PreviousSecret { sha256: key.sha256, until_ms });
    (key.sha256, key.handle) = (new.sha256, new.handle.clone());
}

/// `grace`: a duration, or `0`.
pub fn grace(text: Option<&str>) -> Result<Duration, String> {
    match text {
        None => Ok(GRACE),
        Some("0" | "0s") => Ok(Duration::ZERO),
        Some(text) => {
            Period::parse(text).map(|period| period.0).map_err(|why| format!("`grace`: expected `0`, or {why}"))
        }
    }
}

/// Takes out a member that has to be a text.
pub fn text(asked: &mut Members, name: &str) -> Result<Option<String>, String> {
    let Some(value) = asked.remove(name).filter(|value| value.get() != "null") else { return Ok(None) };
    serde_json::from_str(value.get()).map(Some).map_err(|_| format!("`{name}`: expected a text"))
}

/// What the chain is told of a change to a key.
pub fn change(action: &'static str, who: &str, key: &StoredKey, now_ms: u64) -> Change {
    let mut detail = Vec::new();
    {
        let mut all = Obj::new(&mut detail);
        all.text("tenant", &key.tenant).text("handle", &key.handle).raw("settings", &key.settings);
        if let Some(previous) = key.previous {
            all.num("previous_until_ms", previous.until_ms);
        }
    }
    Change {
        at_ms: now_ms,
        who: who.to_owned(),
        action,
        target: key.id.clone(),
        detail: String::from_utf8_lossy(&detail).into_owned(),
    }
}

/// What would be stored as it stands, and means something else to who wrote it: an empty list allows everything, and
/// to who reads it back `"false"` is true. Keys that were made when it was no mistake stay what they are.
fn plain(name: &str, value: &RawValue) -> Result<(), String> {
    let members = || serde_json::from_str::<Members>(value.get()).unwrap_or_default();
    match name {
        "models" | "allowed_addresses" => {
            let items = serde_json::from_str::<Vec<&RawValue>>(value.get());
            match items.is_ok_and(|items| items.is_empty()) {
                true => Err(format!("`{name}`: an empty list: {ALLOW_ALL}")),
                false => Ok(()),
            }
        }
        "limits" => members().iter().try_for_each(|(name, value)| typed(name, value)),
        "budgets" => {
            let budgets = serde_json::from_str::<Vec<Members>>(value.get()).unwrap_or_default();
            budgets.iter().flatten().try_for_each(|(name, value)| typed(name, value))
        }
        _ => typed(name, value),
    }
}

/// The file knows no types; JSON does.
fn typed(name: &str, value: &RawValue) -> Result<(), String> {
    let expected = match name {
        "active" | "soft" | "stop" => "`true` or `false`",
        name if matches!(name, "concurrency" | "tokens" | "reset") || name.contains("_per_") => "a whole number",
        _ => return Ok(()),
    };
    match value.get().starts_with('"') {
        true => Err(format!("`{name}`: expected {expected}, not a text")),
        false => Ok(()),
    }
}

/// A pattern that matches no model, or what the tenant may not use, is a mistake as it is in the file; so is a limit or
/// a budget above the tenant's.
pub fn reaching(asked: &Members, tenant: &str, runtime: &Runtime) -> Result<(), String> {
    let held = |name: &str| matches!(name, "models" | "limits" | "budgets");
    let mut text = Vec::new();
    {
        let mut object = Obj::new(&mut text);
        for (name, value) in asked.iter().filter(|(name, value)| held(name) && value.get() != "null") {
            object.raw(name, value.get());
        }
    }
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    load::stored_fits(&text, tenant, runtime).map_err(|report| report.to_string())
}

/// One text, and one that can be read.
fn settings(all: &Members) -> Result<String, String> {
    let mut out = Vec::new();
    {
        let mut object = Obj::new(&mut out);
        for (name, value) in all {
            object.raw(name, value.get());
        }
    }
    let text = String::from_utf8(out).map_err(|error| error.to_string())?;
    load::stored_key(&text).map_err(|report| report.to_string())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Table;

    fn made(body: &str) -> Result<StoredKey, String> {
        key(members(body.as_bytes())?, &New::mint()?, 1_000)
    }

    #[test]
    fn a_member_that_comes_twice_is_refused() {
        for body in [r#"{"tenant": "acme", "tenant": "other"}"#, r#"{"id": "a", "\u0069d": "a"}"#] {
            assert!(made(body).unwrap_err().contains("is there twice"), "{body}");
        }
    }

    #[test]
    fn a_key_is_what_was_asked_for() {
        let key = made(r#"{"tenant": "acme", "id": "k", "limits": {"concurrency": 2}, "note": null}"#).unwrap();
        assert_eq!((key.id.as_str(), key.tenant.as_str()), ("k", "acme"));
        assert_eq!((key.settings.as_str(), key.created_at_ms), (r#"{"limits":{"concurrency": 2}}"#, 1_000));
        let named = made(r#"{"tenant": "acme"}"#).unwrap();
        assert_eq!(named.id, format!("acme-{}", named.handle));
    }

    #[test]
    fn what_cannot_be_is_said() {
        for (body, said) in [
            ("", "`tenant` is missing"),
            ("[]", "expected a JSON object"),
            (r#"{"tenant": 7}"#, "expected a text"),
            (r#"{"tenant": "a b"}"#, "letters, digits"),
            (r#"{"tenant": "acme", "id": ""}"#, "a name"),
            (r#"{"tenant": "acme", "id": "jwt:login:alice"}"#, "does not begin with `jwt:`"),
            (r#"{"tenant": "acme", "limit": {}}"#, "did you mean `limits`?"),
            (r#"{"tenant": "acme", "secret": "abcdefgh"}"#, "unknown key `secret`"),
        ] {
            let error = made(body).unwrap_err();
            assert!(error.contains(said) && !error.contains("abcdefgh"), "{body}: {error}");
        }
    }

    #[test]
    fn settings_are_changed_one_by_one() {
        let before = r#"{"note":"a","limits":{"concurrency":2}}"#;
        let merge = |patch: &str| merged(before, members(patch.as_bytes()).unwrap());
        assert_eq!(
            merge(r#"{"note": null, "active": false}"#).unwrap(),
            r#"{"active":false,"limits":{"concurrency":2}}"#
        );
        assert_eq!(merge("{}").unwrap(), r#"{"limits":{"concurrency":2},"note":"a"}"#);
        assert!(merge(r#"{"id": "other"}"#).unwrap_err().contains("cannot be changed"));
        assert!(merge(r#"{"limits": {"concurrency": 0}}"#).unwrap_err().contains("refuses everything"));
    }

    #[test]
    fn an_empty_list_of_what_is_allowed_is_no_list_of_everything() {
        for member in [r#""models": []"#, r#""models": [ ]"#, r#""allowed_addresses": []"#] {
            let error = made(&format!(r#"{{"tenant": "acme", {member}}}"#)).unwrap_err();
            assert!(error.contains("leave it out to allow all"), "{member}: {error}");
            assert!(merged("{}", members(format!("{{{member}}}").as_bytes()).unwrap()).is_err(), "{member}");
        }
        let before = r#"{"models":[]}"#;
        assert_eq!(merged(before, members(br#"{"models": null}"#).unwrap()).unwrap(), "{}");
        assert!(merged(before, members(br#"{"note": "x"}"#).unwrap()).is_ok(), "it was made before");
    }

    #[test]
    fn a_text_is_no_number_and_no_truth() {
        for (member, said) in [
            (r#""active": "false""#, "`active`: expected `true` or `false`"),
            (r#""limits": {"requests_per_minute": "600"}"#, "`requests_per_minute`: expected a whole number"),
            (r#""limits": {"concurrency": "2"}"#, "`concurrency`: expected a whole number"),
            (r#""budgets": [{"tokens": "9", "per": "day"}]"#, "`tokens`: expected a whole number"),
            (r#""budgets": [{"usd": 9, "per": "day", "soft": "true"}]"#, "`soft`: expected `true` or `false`"),
        ] {
            let error = made(&format!(r#"{{"tenant": "acme", {member}}}"#)).unwrap_err();
            assert!(error.contains(said), "{member}: {error}");
            assert!(merged("{}", members(format!("{{{member}}}").as_bytes()).unwrap()).is_err(), "{member}");
        }
        assert!(made(r#"{"tenant": "acme", "budgets": [{"usd": "0.15", "per": "day"}]}"#).is_ok(), "exact");
    }

    #[test]
    fn models_of_a_key_are_some_that_it_can_reach() {
        let text = "providers: {simulator: {base_url: 'http://h'}, openai: {api_key: k}}\n\
                    routes: {fast: {targets: [{model: simulator/a}]}}\n\
                    tenants: {acme: {keys: [{id: k, secret: kkkk}]}, few: {models: [fast], keys: [{id: l, secret: llll}]}}\n";
        let runtime = load::from_text(text, "x", &Table::default()).unwrap();
        let reached = |tenant: &str, models: &str| {
            reaching(&members(format!("{{\"models\": {models}}}").as_bytes()).unwrap(), tenant, &runtime)
        };
        for good in ["null", r#"["fast"]"#, r#"["simulator/*", "openai/any"]"#, r#"["*"]"#] {
            assert_eq!(reached("acme", good), Ok(()), "{good}");
        }
        assert!(reached("acme", r#"["nope/*"]"#).unwrap_err().contains("`nope/*` matches no model"));
        assert!(reached("few", r#"["simulator/a"]"#).unwrap_err().contains("the tenant may not use `simulator/a`"));
        assert_eq!(reached("few", r#"["fast"]"#), Ok(()));
        assert_eq!(reaching(&Members::new(), "acme", &runtime), Ok(()));
    }

    #[test]
    fn limits_and_budgets_of_a_key_are_within_its_tenants() {
        let text = "providers: {simulator: {base_url: 'http://h'}}\n\
                    tenants: {acme: {limits: {requests_per_minute: 100}, budgets: [{usd: 1, per: day}], keys: [{id: k, secret: kkkk}]}}\n";
        let runtime = load::from_text(text, "x", &Table::default()).unwrap();
        let reached = |body: &str| reaching(&members(body.as_bytes()).unwrap(), "acme", &runtime);
        for good in [
            r#"{"limits": {"requests_per_minute": 100}, "budgets": [{"usd": 1, "per": "day"}]}"#,
            r#"{"limits": {"tokens_per_minute": 9000}, "budgets": [{"usd": 5, "per": "month"}]}"#,
            r#"{"limits": null, "budgets": null, "note": "x"}"#,
        ] {
            assert_eq!(reached(good), Ok(()), "{good}");
        }
        let error = reached(r#"{"limits": {"requests_per_minute": 1000}}"#).unwrap_err();
        assert!(error.contains("a limit that is never reached") && error.contains("at most 100"), "{error}");
        let error = reached(r#"{"budgets": [{"usd": 5, "per": "day"}]}"#).unwrap_err();
        assert!(error.contains("a budget that is never used up"), "{error}");
    }

    #[test]
    fn a_rotation_leaves_the_old_secret_for_a_while() {
        let mut key = made(r#"{"tenant": "acme"}"#).unwrap();
        let (first, new) = (key.sha256, New::mint().unwrap());
        rotate(&mut key, &new, Duration::from_secs(60), 5_000);
        assert_eq!(key.previous, Some(PreviousSecret { sha256: first, until_ms: 65_000 }));
        assert_eq!(key.sha256, <[u8; 32]>::from(Sha256::digest(new.secret.expose())));
        rotate(&mut key, &New::mint().unwrap(), Duration::ZERO, 6_000);
        assert_eq!(key.previous, None);
        assert_eq!(grace(None).unwrap(), GRACE);
        assert_eq!(
            (grace(Some("0")).unwrap(), grace(Some("1h")).unwrap()),
            (Duration::ZERO, Duration::from_secs(3_600))
        );
        assert!(grace(Some("soon")).unwrap_err().contains("`grace`"));
    }

    #[test]
    fn the_chain_is_told_everything_but_the_secret() {
        let new = New::mint().unwrap();
        let key = key(members(br#"{"tenant": "acme", "note": "x"}"#).unwrap(), &new, 7).unwrap();
        let change = change("key.create", "root", &key, 7);
        assert_eq!(
            (change.action, change.who.as_str(), change.target.as_str()),
            ("key.create", "root", key.id.as_str())
        );
        assert!(change.detail.contains(r#""settings":{"note":"x"}"#), "{}", change.detail);
        let random = new.secret.expose().get(14..).unwrap();
        assert!(!change.detail.contains(random) && !change.detail.contains(&hex::encode(key.sha256)));
    }
}
