use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pingora_core::apps::HttpServerApp as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::access::AdminToken;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::capture::{Capture, CaptureKey};
use crate::config::runtime::{self, BaseUrl, Deployment, Key, Limits, ModelPattern, Share, Tenant};
use crate::record::Record;
use crate::secret::Secret;
use crate::store::Refused;
use crate::tenant::audit::Change;
use crate::tenant::stored::made;

impl Admin {
    /// As [`Admin::answer`], without an event loop.
    fn answer_here(&self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Answer {
        match self.question(method, uri, headers) {
            Ok(question) => self.serve(question, body),
            Err(refused) => refused,
        }
    }
}

#[expect(clippy::disallowed_types, reason = "a test reads the answers")]
type Json = serde_json::Value;

struct Fake {
    runtime: Arc<Runtime>,
    draining: AtomicBool,
    known: AtomicBool,
    kept: Arc<Kept>,
    running: Arc<Running>,
    reload: Result<String, String>,
    database: Option<Arc<Database>>,
    captures: Captures,
}

impl Backend for Fake {
    fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }
    fn config_json(&self) -> String {
        r#"{"server":{}}"#.to_owned()
    }
    fn reload(&self, _: &str) -> Result<String, String> {
        self.reload.clone()
    }
    fn metrics(&self) -> String {
        "weir_up 1\n".to_owned()
    }
    fn in_flight(&self) -> u64 {
        3
    }
    fn throttled(&self) -> u64 {
        2
    }
    fn draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
    fn providers_json(&self) -> Vec<u8> {
        br#"{"data":["providers"]}"#.to_vec()
    }
    fn routes_json(&self) -> Vec<u8> {
        br#"{"data":["routes"]}"#.to_vec()
    }
    fn models_json(&self) -> Vec<u8> {
        br#"{"object":"list","data":[]}"#.to_vec()
    }
    fn alerts_json(&self) -> Vec<u8> {
        br#"{"data":["alerts"]}"#.to_vec()
    }
    fn tools_json(&self) -> Vec<u8> {
        br#"{"data":["tools"]}"#.to_vec()
    }
    fn drain(&self, _: &str, endpoint: &str, drained: bool) -> bool {
        self.draining.store(drained, Ordering::Relaxed);
        endpoint == "lab#1"
    }
    fn balances(&self, scope: &Scope) -> Vec<Balance> {
        let budget = Budget::hard(Unit::Usd, 100_500_000_000_000, Period::plain(Per::Month));
        let balance = Balance { budget, spent: 1, reserved: 500_000_000_000, resets_at_ms: Some(0) };
        if scope.kind() == "tenant" { vec![balance] } else { Vec::new() }
    }
    fn requests(&self) -> Arc<Kept> {
        Arc::clone(&self.kept)
    }
    fn running(&self) -> Arc<Running> {
        Arc::clone(&self.running)
    }
    fn database(&self) -> Option<Arc<Database>> {
        self.database.clone()
    }
    fn stored_keys(&self) -> Vec<Arc<Held>> {
        let settings = r#"{"limits":{"concurrency":2},"note":"for tests"}"#;
        ["acme", "other", "gone"].iter().map(|tenant| Arc::new(Held::new(stored(tenant, settings)))).collect()
    }
    fn keys_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }
    fn keys_age(&self) -> Option<Duration> {
        None
    }
    fn create_key(&self, _: &str, asked: Members) -> Result<(StoredKey, Secret), Failure> {
        let new = made::New::mint().unwrap();
        Ok((made::key(asked, &new, 0).map_err(Failure::Invalid)?, new.secret))
    }
    fn change_key(&self, _: &str, id: &str, asked: &[u8]) -> Result<StoredKey, Failure> {
        let members = made::members(asked).map_err(Failure::Invalid)?;
        let settings = made::merged("{}", members).map_err(Failure::Invalid)?;
        Ok(stored(known(id)?, &settings))
    }
    fn rotate_key(&self, _: &str, id: &str, _: Duration) -> Result<(StoredKey, Secret), Failure> {
        Ok((stored(known(id)?, "{}"), Secret::new("weir_fresh")))
    }
    fn revoke_key(&self, _: &str, id: &str) -> Result<StoredKey, Failure> {
        Ok(StoredKey { revoked_at_ms: Some(0), ..stored(known(id)?, "{}") })
    }
    fn captures(&self) -> &Captures {
        &self.captures
    }
    fn playground(&self) -> &dyn Playground {
        self
    }
    fn record(&self, _: &str, _: &'static str, _: &str, _: String) {}
    fn audit(&self, page: AuditPage) -> Result<Vec<Entry>, StoreError> {
        let change =
            Change { at_ms: 0, who: "root".into(), action: "key.create", target: "k".into(), detail: "{}".into() };
        let all = (5..8).rev().map(|seq| Entry::after((seq, [7; 32]), &change));
        Ok(all.filter(|entry| page.before.is_none_or(|before| entry.seq < before)).take(page.limit as usize).collect())
    }
}

#[async_trait]
impl Playground for Fake {
    async fn send(&self, _: playground::Trial) -> Result<Box<dyn playground::Played>, String> {
        Err("this one has no gateway".to_owned())
    }
}

fn stored(tenant: &str, settings: &str) -> StoredKey {
    StoredKey {
        id: format!("{tenant}-stored"),
        tenant: tenant.into(),
        handle: "abcdefgh".into(),
        sha256: [3; 32],
        previous: None,
        created_at_ms: 0,
        revoked_at_ms: None,
        settings: settings.into(),
        changed: 1,
    }
}

fn known(id: &str) -> Result<&str, Failure> {
    id.strip_suffix("-stored").ok_or(Failure::Refused(Refused::Missing))
}

fn deployment() -> Arc<Deployment> {
    let base = BaseUrl {
        tls: true,
        host: "api.example".into(),
        port: 443,
        path: "/v1".into(),
        authority: "api.example".into(),
    };
    let headers = vec![("x-extra".into(), Secret::new("header-secret"))];
    let api_key = Some(Secret::new("sk-upstream-secret"));
    Arc::new(Deployment { base, api_key, headers, ..Deployment::simulated("lab") })
}

fn tenant() -> Arc<Tenant> {
    let limits = Limits { requests_per_minute: Some(600), ..Limits::default() };
    let share = |limits| Share { limits, budgets: Vec::new() };
    let model_limits = vec![(ModelPattern("openai/*".into()), Limits { concurrency: Some(4), ..Limits::default() })];
    Arc::new(Tenant {
        id: "acme".into(),
        models: vec![ModelPattern("fast".into())],
        limits,
        model_limits,
        users: share(Limits { requests_per_day: Some(5), ..Limits::default() }),
        tags: vec![(ModelPattern("team=*".into()), share(Limits { tokens_per_hour: Some(6), ..Limits::default() }))],
        ..Tenant::default()
    })
}

fn runtime(token: Option<&str>) -> Runtime {
    let expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(86_400));
    let tenant = tenant();
    let key = Key { id: "acme-dev".into(), tenant: Arc::clone(&tenant), expires, ..Key::default() };
    Runtime {
        hash: "abc123".into(),
        admin: runtime::Admin { listen: ([127, 0, 0, 1], 0).into(), tokens: tokens(token) },
        deployments: vec![deployment()],
        tenants: vec![tenant],
        keys: HashMap::from([([7; 32], Arc::new(key))]),
        ..Runtime::default()
    }
}

/// `letmein` of an admin, and one of each other role.
fn tokens(token: Option<&str>) -> Vec<AdminToken> {
    let Some(token) = token else { return Vec::new() };
    let of = |name: &str, secret: &str, role, tenant: Option<&str>| AdminToken {
        name: name.into(),
        sha256: Sha256::digest(secret).into(),
        role,
        tenant: tenant.map(str::to_owned),
    };
    vec![
        of("admin", token, Role::Admin, None),
        of("looks", "viewer", Role::Viewer, None),
        of("own", "own", Role::TenantAdmin, Some("acme")),
        of("foreign", "foreign", Role::TenantAdmin, Some("other")),
    ]
}

fn fake(token: Option<&str>) -> Fake {
    let runtime = Arc::new(runtime(token));
    let kept = Arc::default();
    Fake {
        runtime,
        draining: AtomicBool::new(false),
        known: AtomicBool::new(true),
        kept,
        running: Arc::default(),
        reload: Ok("def456".into()),
        database: None,
        captures: Captures::new(Path::new("no-such-directory"), capturing()),
    }
}

/// With a key, so that something can be started.
fn capturing() -> Arc<Capture> {
    Arc::new(Capture { key: CaptureKey::parse(&"0".repeat(64)), ..Capture::default() })
}

fn admin(token: Option<&str>) -> Admin {
    Admin::new(Arc::new(fake(token)))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
}

fn get(admin: &Admin, path: &str, pairs: &[(&'static str, &str)]) -> (u16, Json) {
    let answer = admin.answer_here(&Method::GET, &path.parse().unwrap(), &headers(pairs), b"");
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// A body that can be read, where one is.
fn body_of(route: &Route) -> &'static [u8] {
    match (route.method, route.path) {
        ("POST", "/admin/v1/keys" | "/admin/v1/captures") => br#"{"tenant": "acme"}"#,
        _ => b"{}",
    }
}

/// A path with something for the name in braces.
fn filled(path: &str) -> Uri {
    let id = match path {
        path if path.contains("/keys/") => "acme-stored",
        path if path.contains("/tenants/") => "acme",
        _ => "lab%231",
    };
    path.replace("{id}", id).replace("{request_id}", "none").replace("{file...}", "js/app.js").parse().unwrap()
}

const BEARER: &[(&str, &str)] = &[("authorization", "Bearer letmein")];

#[test]
fn only_health_probes_answer_without_the_token() {
    let admin = admin(Some("letmein"));
    for route in routes::ROUTES {
        let method: Method = route.method.parse().unwrap();
        let uri = filled(route.path);
        let ask = |pairs: &[(&'static str, &str)]| {
            admin.answer_here(&method, &uri, &headers(pairs), body_of(route)).status.as_u16()
        };
        let open = route.access == guard::Access::Open;
        let (good, stranger) = (good(route), if open { good(route) } else { 401 });
        assert_eq!(ask(&[]), stranger, "{}", route.path);
        for wrong in ["Bearer letmei", "Bearer letmeinn", "Bearer ", "Basic letmein", "letmein", "Bearer LETMEIN"] {
            assert_eq!(ask(&[("authorization", wrong)]), stranger, "{} {wrong}", route.path);
        }
        assert_eq!(ask(BEARER), good, "{}", route.path);
    }
    let (status, body) = get(&admin, "/no/such/path", &[]);
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_token")), "paths are not told to strangers");
}

/// What it answers who may.
fn good(route: &Route) -> u16 {
    match (route.method, route.path) {
        (_, "/admin/v1/requests/{request_id}" | "/admin/v1/requests/{request_id}/capture") => 404,
        ("DELETE", "/admin/v1/captures/{id}") => 404,
        // There is no database.
        (_, "/admin/v1/usage" | "/admin/v1/overview") => 503,
        // An empty body has no token; and a stream is no answer.
        ("POST", "/admin/v1/session") | (_, "/admin/v1/requests/live" | "/admin/v1/playground") => 400,
        ("DELETE", "/admin/v1/session") => 204,
        ("POST", "/admin/v1/keys" | "/admin/v1/captures") => 201,
        _ => 200,
    }
}

/// Row I5: every route, and everybody who could ask. What belongs to a tenant is `acme`'s.
#[test]
fn every_route_answers_those_who_may_and_nobody_else() {
    use guard::Access::{Change, ChangeOwn, Look, LookOwn, Open};
    let admin = admin(Some("letmein"));
    for route in routes::ROUTES {
        let (method, uri) = (route.method.parse().unwrap(), filled(route.path));
        let ask = |token: &str| {
            let bearer = format!("Bearer {token}");
            let pairs = if token.is_empty() { Vec::new() } else { vec![("authorization", bearer.as_str())] };
            admin.answer_here(&method, &uri, &headers(&pairs), body_of(route)).status.as_u16()
        };
        let good = good(route);
        let is_one = route.path.contains('{');
        let own = [LookOwn, ChangeOwn].contains(&route.access);
        for (token, expected) in [
            ("", if route.access == Open { good } else { 401 }),
            ("a-tenants-key", if route.access == Open { good } else { 401 }),
            ("letmein", good),
            ("viewer", if [Open, Look, LookOwn].contains(&route.access) { good } else { 403 }),
            ("own", if route.access == Open || own { good } else { 403 }),
            // Of another tenant: what is found by its id is not there, lists are another's, and a key for
            // `acme` is not made.
            (
                "foreign",
                match (route.access, route.method, is_one) {
                    (Open, ..) => good,
                    (Look | Change, ..) => 403,
                    (_, _, true) => 404,
                    (_, "POST", false) => 403,
                    _ => good,
                },
            ),
        ] {
            assert_eq!(ask(token), expected, "{} {} with {token:?}", route.method, route.path);
        }
        // Signing in and out changes nothing but the browser.
        let looks = [Open, Look, LookOwn].contains(&route.access) && route.path != "/admin/v1/session";
        assert!(route.method == "GET" || !looks, "{}", route.path);
    }
}

#[test]
fn a_tenants_admin_sees_the_tenants_own_in_every_list() {
    let admin = admin(Some("letmein"));
    let ids = |token: &str, path: &str| -> Vec<String> {
        let bearer = format!("Bearer {token}");
        let (status, body) = get(&admin, path, &[("authorization", &bearer)]);
        assert_eq!(status, 200, "{body}");
        body["data"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("letmein", "/admin/v1/keys"), ["acme-dev", "acme-stored", "gone-stored", "other-stored"]);
    assert_eq!(ids("viewer", "/admin/v1/keys?tenant=other"), ["other-stored"]);
    assert_eq!(ids("own", "/admin/v1/keys"), ["acme-dev", "acme-stored"]);
    assert_eq!(ids("own", "/admin/v1/keys?tenant=acme&limit=1"), ["acme-dev"]);
    assert_eq!(ids("foreign", "/admin/v1/keys"), ["other-stored"]);
    assert_eq!((ids("own", "/admin/v1/tenants"), ids("foreign", "/admin/v1/tenants").len()), (vec!["acme".into()], 0));
    let refused = get(&admin, "/admin/v1/keys?tenant=other", &[("authorization", "Bearer own")]);
    assert_eq!((refused.0, &refused.1["error"]["code"]), (403, &json!("not_allowed")));
    let theirs = br#"{"tenant": "other"}"#;
    let path = Uri::from_static("/admin/v1/keys");
    let refused = admin.answer_here(&Method::POST, &path, &headers(&[("authorization", "Bearer own")]), theirs);
    assert_eq!(refused.status.as_u16(), 403);
    let made = admin.answer_here(&Method::POST, &path, &headers(&[("authorization", "Bearer own")]), b"{}");
    let made: Json = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(made["tenant"], "acme", "the token says whose");
}

#[test]
fn a_key_is_shown_with_its_settings_and_its_secret_once() {
    let admin = admin(None);
    let ask = |method: Method, path: &str, body: &str| {
        let answer = admin.answer_here(&method, &path.parse().unwrap(), &HeaderMap::new(), body.as_bytes());
        (answer.status.as_u16(), serde_json::from_slice::<Json>(&answer.body).unwrap())
    };
    let (status, made) = ask(Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "id": "k", "note": "n"}"#);
    assert_eq!((status, &made["id"], &made["note"], &made["state"]), (201, &json!("k"), &json!("n"), &json!("active")));
    assert!(made["secret"].as_str().unwrap().starts_with("weir_"));
    assert_eq!(ask(Method::POST, "/admin/v1/keys/acme-stored/rotate", "").1["secret"], "weir_fresh");
    let (_, shown) = ask(Method::GET, "/admin/v1/keys/acme-stored", "");
    let expected = json!({
        "id": "acme-stored", "tenant": "acme", "source": "stored", "state": "active", "key": "weir_abcdefgh_...",
        "created_at": "1970-01-01T00:00:00.000Z", "revoked_at": null, "previous_until": null,
        "limits": {"concurrency": 2}, "note": "for tests", "balances": [],
    });
    assert_eq!(shown, expected);
    assert_eq!(ask(Method::GET, "/admin/v1/keys/gone-stored", "").1["state"], "no_tenant");
    assert_eq!(ask(Method::DELETE, "/admin/v1/keys/acme-stored", "").1["state"], "revoked");
    for (method, path, body, status, code) in [
        (Method::POST, "/admin/v1/keys", "{}", 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "nobody"}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "sekret": 1}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "models": []}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "models": ["nope/*"]}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "active": "false"}"#, 400, "invalid_key"),
        (Method::PATCH, "/admin/v1/keys/acme-stored", r#"{"models": []}"#, 400, "invalid_key"),
        (Method::PATCH, "/admin/v1/keys/acme-stored", r#"{"models": ["nope/*"]}"#, 400, "invalid_key"),
        (Method::PATCH, "/admin/v1/keys/acme-stored", r#"{"limits": {"concurrency": "2"}}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys", r#"{"tenant": "acme", "id": "acme-dev"}"#, 409, "key_exists"),
        (Method::PATCH, "/admin/v1/keys/acme-stored", r#"{"tenant": "other"}"#, 400, "invalid_key"),
        (Method::PATCH, "/admin/v1/keys/nobody", "{}", 404, "unknown_key"),
        (Method::PATCH, "/admin/v1/keys/acme-dev", "{}", 409, "key_is_configured"),
        (Method::POST, "/admin/v1/keys/acme-stored/rotate", r#"{"grace": "soon"}"#, 400, "invalid_key"),
        (Method::POST, "/admin/v1/keys/acme-stored/rotate", r#"{"grade": "1h"}"#, 400, "invalid_key"),
        (Method::GET, "/admin/v1/keys?tenants=x", "", 400, "invalid_query"),
    ] {
        let (is, answer) = ask(method.clone(), path, body);
        assert_eq!((is, &answer["error"]["code"]), (status, &json!(code)), "{method} {path} {body}: {answer}");
    }
}

#[test]
fn lists_go_on_behind_their_cursor() {
    let admin = admin(None);
    let (_, first) = get(&admin, "/admin/v1/keys?limit=3", &[]);
    assert_eq!(first["next_cursor"], "gone-stored");
    let (_, rest) = get(&admin, "/admin/v1/keys?limit=3&cursor=gone-stored", &[]);
    assert_eq!((&rest["data"][0]["id"], &rest["next_cursor"]), (&json!("other-stored"), &Json::Null));
    let (_, audit) = get(&admin, "/admin/v1/audit?limit=2&since=1970-01-01", &[]);
    assert_eq!((audit["data"].as_array().unwrap().len(), &audit["next_cursor"]), (2, &json!("7")));
    assert_eq!(audit["data"][0]["prev_hash"], hex::encode([7; 32]));
    let (_, rest) = get(&admin, "/admin/v1/audit?limit=2&cursor=7", &[]);
    assert_eq!((&rest["data"][0]["seq"], &rest["next_cursor"]), (&json!(6), &Json::Null));
    for bad in ["/admin/v1/audit?since=yesterday", "/admin/v1/audit?cursor=x", "/admin/v1/audit?tenant=acme"] {
        assert_eq!(get(&admin, bad, &[]).0, 400, "{bad}");
    }
}

#[test]
fn without_a_token_pages_and_foreign_names_get_nothing() {
    let admin = admin(None);
    let config = |pairs: &[(&'static str, &str)]| get(&admin, "/admin/v1/config", pairs).0;
    for host in ["127.0.0.1:8081", "localhost:8081", "[::1]:8081", "LOCALHOST"] {
        assert_eq!(config(&[("host", host)]), 200, "{host}");
        assert_eq!(config(&[("host", host), ("sec-fetch-site", "cross-site")]), 403, "{host}");
    }
    assert_eq!(config(&[("host", "127.0.0.1"), ("sec-fetch-site", "same-origin")]), 200);
    assert_eq!(config(&[("host", "evil.example:8081")]), 403);
    for (origin, status) in [
        ("http://127.0.0.1:8081", 200),
        ("https://evil.example", 403),
        ("http://127.0.0.1", 403),
        ("null", 403),
        ("", 403),
    ] {
        assert_eq!(config(&[("host", "127.0.0.1:8081"), ("origin", origin)]), status, "{origin}");
    }
    assert_eq!(get(&admin, "/livez", &[("host", "evil.example")]).0, 200);
}

/// A browser signs in with a token and shows a cookie from then on.
#[test]
fn a_browser_signs_in_and_out() {
    let admin = admin(Some("letmein"));
    let ask = |method: Method, path: &str, pairs: &[(&'static str, &str)], body: &str| {
        admin.answer_here(&method, &path.parse().unwrap(), &headers(pairs), body.as_bytes())
    };
    let sign_in = |body: &str| ask(Method::POST, "/admin/v1/session", &[], body);
    for (body, status) in [(r#"{"token": "letmei"}"#, 401), (r#"{"token": ""}"#, 401), ("{}", 400), ("[", 400)] {
        let answer = sign_in(body);
        assert_eq!((answer.status.as_u16(), answer.extra.is_some()), (status, false), "{body}");
    }
    let (_, set) = sign_in(r#"{"token": "own"}"#).extra.unwrap();
    let cookie = set.split(';').next().unwrap();
    let (status, session) = get(&admin, "/admin/v1/session", &[("cookie", cookie)]);
    assert_eq!((status, session), (200, json!({"role": "tenant-admin", "tenant": "acme", "open": false})));
    assert_eq!(get(&admin, "/admin/v1/config", &[("cookie", cookie)]).0, 403, "it is the token's role");
    let create = |pairs: &[(&'static str, &str)]| {
        let all: Vec<_> = [("cookie", cookie)].iter().chain(pairs).copied().collect();
        ask(Method::POST, "/admin/v1/keys", &all, r#"{"tenant": "acme"}"#).status.as_u16()
    };
    assert_eq!(create(&[]), 403, "a form of another site could do this");
    assert_eq!(create(&[("x-weir-csrf", "1"), ("sec-fetch-site", "cross-site")]), 403);
    assert_eq!(create(&[("x-weir-csrf", "1"), ("sec-fetch-site", "same-origin")]), 201);
    assert_eq!(get(&admin, "/admin/v1/keys", &[("cookie", cookie), ("authorization", "Bearer nobody")]).0, 401);
    assert_eq!(ask(Method::DELETE, "/admin/v1/session", &[("cookie", cookie)], "").status.as_u16(), 204);
    assert_eq!(get(&admin, "/admin/v1/session", &[("cookie", cookie)]).0, 401);
}

#[test]
fn readiness_follows_the_drain() {
    let fake = Arc::new(fake(None));
    let admin = Admin::new(Arc::clone(&fake) as Arc<dyn Backend>);
    assert_eq!(get(&admin, "/readyz", &[]).0, 200);
    fake.draining.store(true, Ordering::Relaxed);
    assert_eq!(get(&admin, "/readyz", &[]), (503, json!({"status": "draining"})));
    assert_eq!(get(&admin, "/livez", &[]).0, 200, "alive while it drains");
    fake.draining.store(false, Ordering::Relaxed);
    fake.known.store(false, Ordering::Relaxed);
    assert_eq!(get(&admin, "/readyz", &[]), (503, json!({"status": "waiting_for_keys"})), "row 33");
}

/// What watches over the process does not wait behind what asks the database, and that not for ever.
#[tokio::test(start_paused = true)]
async fn signs_of_life_wait_for_nothing() {
    let admin = admin(None);
    let all = u32::try_from(AT_A_TIME).unwrap();
    let _taken = Arc::clone(&admin.places).acquire_many_owned(all).await.unwrap();
    let ask = async |path: &'static str| {
        let began = tokio::time::Instant::now();
        let answer =
            admin.answer(admin.question(&Method::GET, &Uri::from_static(path), &HeaderMap::new()), Vec::new()).await;
        (answer.status.as_u16(), began.elapsed())
    };
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(ask(path).await, (200, Duration::ZERO), "{path}");
    }
    let (status, waited) = ask("/admin/v1/audit").await;
    assert_eq!(status, 504);
    assert!(waited >= PATIENCE && waited < PATIENCE * 2, "{waited:?}");
}

#[test]
fn unknown_paths_and_methods_are_json() {
    let admin = admin(None);
    let (status, body) = get(&admin, "/v1/chat/completions", &[]);
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_url")));
    let refused = admin.answer_here(&Method::GET, &Uri::from_static("/admin/v1/reload"), &HeaderMap::new(), b"");
    assert_eq!((refused.status.as_u16(), refused.extra), (405, Some((header::ALLOW, "POST".into()))));
    assert_eq!(
        admin.answer_here(&Method::DELETE, &Uri::from_static("/metrics"), &HeaderMap::new(), b"").status.as_u16(),
        405
    );
    assert_eq!(
        admin.answer_here(&Method::HEAD, &Uri::from_static("/livez/"), &HeaderMap::new(), b"").status.as_u16(),
        200
    );
}

#[test]
fn a_reload_tells_how_it_went() {
    let post = |fake: Fake| {
        let answer = Admin::new(Arc::new(fake)).answer_here(
            &Method::POST,
            &Uri::from_static("/admin/v1/reload"),
            &HeaderMap::new(),
            b"",
        );
        (answer.status.as_u16(), serde_json::from_slice::<Json>(&answer.body).unwrap())
    };
    assert_eq!(post(fake(None)), (200, json!({"status": "reloaded", "config_hash": "def456"})));
    let (status, body) = post(Fake { reload: Err("weir.yaml:3:1: unknown key \"x\"".into()), ..fake(None) });
    assert_eq!((status, &body["error"]["message"]), (400, &json!("weir.yaml:3:1: unknown key \"x\"")));
}

#[test]
fn tenants_and_providers_show_what_is_configured_and_no_secret() {
    let admin = admin(None);
    let (_, tenants) = get(&admin, "/admin/v1/tenants", &[]);
    let key = json!({"id": "acme-dev", "active": true, "expires": "1970-01-02T00:00:00.000Z", "models": [], "limits": {}, "budgets": []});
    let budget = json!({
        "budget": "usd_month", "unit": "usd", "per": "month", "soft": false, "limit": 100.5, "spent": 1e-12,
        "reserved": 0.5, "remaining": 99.999_999_999_999, "resets_at": "1970-01-01T00:00:00.000Z",
        "time_zone": "UTC", "warn_at": [80, 100], "stop": false,
    });
    let expected = json!({"data": [{
        "id": "acme", "models": ["fast"], "limits": {"requests_per_minute": 600}, "budgets": [budget],
        "model_limits": [{"model": "openai/*", "limits": {"concurrency": 4}}], "model_budgets": [],
        "users": {"limits": {"requests_per_day": 5}, "budgets": []},
        "tags": [{"tag": "team=*", "limits": {"tokens_per_hour": 6}, "budgets": []}], "strict": false, "keys": [key],
    }]});
    assert_eq!(tenants, expected);
    assert_eq!(get(&admin, "/admin/v1/providers", &[]).1, json!({"data": ["providers"]}));
    assert_eq!(get(&admin, "/admin/v1/routes", &[]).1, json!({"data": ["routes"]}));
    for route in routes::ROUTES {
        let body = admin.answer_here(&route.method.parse().unwrap(), &filled(route.path), &HeaderMap::new(), b"").body;
        let shows_its_own = route.path.ends_with("/rotate") || route.path.ends_with("/openapi.json");
        let is_page = !route.path.starts_with("/admin");
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(shows_its_own || is_page || !text.contains("secret\""), "{}", route.path);
    }
}

#[test]
fn endpoints_are_drained_by_their_ids() {
    let admin = admin(None);
    let post = |path: &str| {
        let answer = admin.answer_here(&Method::POST, &path.parse().unwrap(), &HeaderMap::new(), b"");
        (answer.status.as_u16(), serde_json::from_slice::<Json>(&answer.body).unwrap())
    };
    assert_eq!(post("/admin/v1/endpoints/lab%231/drain"), (200, json!({"endpoint": "lab#1", "drained": true})));
    assert_eq!(post("/admin/v1/endpoints/lab%231/undrain"), (200, json!({"endpoint": "lab#1", "drained": false})));
    for unknown in ["lab", "lab%232", "lab%2F1"] {
        let (status, body) = post(&format!("/admin/v1/endpoints/{unknown}/drain"));
        assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_endpoint")), "{unknown}");
    }
    for path in ["/admin/v1/endpoints//drain", "/admin/v1/endpoints/a/b/drain", "/admin/v1/endpoints/drain"] {
        assert_eq!(post(path).1["error"]["code"], "unknown_url", "{path}");
    }
    assert_eq!(get(&admin, "/admin/v1/endpoints/lab%231/drain", &[]).0, 405);
}

#[test]
fn finished_requests_are_a_list_and_a_wrong_query_is_refused() {
    let admin = admin(None);
    assert_eq!(
        get(&admin, "/admin/v1/requests?limit=3", &[]),
        (200, json!({"data": [], "next_cursor": null, "source": "memory"}))
    );
    let (status, body) = get(&admin, "/admin/v1/requests?limit=x", &[]);
    assert_eq!((status, &body["error"]["code"]), (400, &json!("invalid_query")));
    assert_eq!(get(&admin, "/admin/v1/requests/none", &[]).1["error"]["code"], "unknown_request");
}

#[test]
fn the_openapi_document_describes_exactly_what_is_served() {
    let document: Json = serde_json::from_str(routes::OPENAPI).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            described.insert((path.clone(), method.to_uppercase(), operation.get("security") == Some(&json!([]))));
        }
    }
    let open = |r: &Route| r.access == guard::Access::Open;
    let served = routes::ROUTES.iter().map(|r| (r.path.to_owned(), r.method.to_owned(), open(r))).collect();
    assert_eq!(described, served);
}

/// Whoever asks, and whatever: the document says that it may be answered so. Where a schema lists members, an
/// answer has all that are required and no others.
#[test]
fn every_answer_is_in_the_openapi_document() {
    let document: Json = serde_json::from_str(routes::OPENAPI).unwrap();
    let mut wrong = BTreeSet::new();
    for admin in [admin(None), admin(Some("letmein"))] {
        for route in routes::ROUTES {
            let responses = &document["paths"][route.path][route.method.to_lowercase()]["responses"];
            assert_eq!(responses.get("504").is_some(), matches!(route.serve, Serve::Beside(_)), "{}", route.path);
            let (path, method) = (filled(route.path), route.method.parse::<Method>().unwrap());
            let foreign: &[(&str, &str)] = &[("host", "evil.example")];
            for headers in
                [&[], BEARER, &[("authorization", "Bearer own")], &[("authorization", "Bearer foreign")], foreign]
            {
                for (more, body) in [("", body_of(route)), ("?no=such", body_of(route)), ("", b"[")] {
                    let uri = format!("{path}{more}").parse().unwrap();
                    let answer = admin.answer_here(&method, &uri, &self::headers(headers), body);
                    let what = format!("{method} {}: {}", route.path, answer.status);
                    let response = found(&document, &responses[answer.status.as_str()]);
                    if !response.is_object() {
                        wrong.insert(what.clone());
                    }
                    let Ok(body) = serde_json::from_slice::<Json>(&answer.body) else { continue };
                    let schema = &response["content"]["application/json"]["schema"];
                    compare((&document, schema), &body, &what, &mut wrong);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What a reference is to.
fn found<'d>(document: &'d Json, part: &'d Json) -> &'d Json {
    match part["$ref"].as_str() {
        Some(to) => found(document, document.pointer(to.strip_prefix('#').unwrap()).unwrap()),
        None => part,
    }
}

fn compare((document, schema): (&Json, &Json), body: &Json, what: &str, wrong: &mut BTreeSet<String>) {
    let schema = found(document, schema);
    // Where it says nothing of members, they may be any.
    if let (Some(properties), Some(members)) = (schema["properties"].as_object(), body.as_object()) {
        for (name, value) in members {
            match properties.get(name) {
                Some(schema) => compare((document, schema), value, what, wrong),
                None => _ = wrong.insert(format!("{what}: `{name}` is not in the document")),
            }
        }
        let required = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap());
        for name in required.filter(|name| !members.contains_key(*name)) {
            wrong.insert(format!("{what}: `{name}` is missing"));
        }
    }
    for row in body.as_array().into_iter().flatten() {
        compare((document, &schema["items"]), row, what, wrong);
    }
}

#[tokio::test]
async fn it_speaks_http() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (_stop, shutdown) = tokio::sync::watch::channel(true);
    let admin = Arc::new(admin(None));
    let serve = async {
        admin.process_new_http(ServerSession::new_http1(Box::new(server)), &shutdown).await;
    };
    let ask = async {
        client.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let ((), answer) = tokio::join!(serve, ask);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let head = head.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-length: 10"), "{head}");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4") && head.contains("cache-control: no-store"),
        "{head}"
    );
    assert_eq!(body, "weir_up 1\n");
}

/// A client that reads what it is sent: the record that ends while it follows, and none before.
#[tokio::test]
async fn requests_are_sent_as_they_end() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (stop, shutdown) = tokio::sync::watch::channel(false);
    let fake = Arc::new(fake(None));
    let kept = Arc::clone(&fake.kept);
    let row = |model: &'static str, tenant: &'static str| {
        let nothing = Record::new(uuid::Uuid::nil(), std::time::UNIX_EPOCH, "chat");
        Record { model: Some(model), tenant: Some(tenant), ..nothing }.pack()
    };
    kept.push(row("before", "acme"));
    let admin = Arc::new(Admin::new(fake));
    let serve = async {
        admin.process_new_http(ServerSession::new_http1(Box::new(server)), &shutdown).await;
    };
    let ask = async {
        let head = b"GET /admin/v1/requests/live?tenant=acme HTTP/1.1\r\nhost: localhost\r\n\r\n";
        client.write_all(head).await.unwrap();
        let (mut text, mut piece) = (String::new(), [0; 4096]);
        while !text.contains("\"one\"") {
            let count = client.read(&mut piece).await.unwrap();
            assert!(count > 0, "it broke off: {text}");
            text.push_str(std::str::from_utf8(&piece[..count]).unwrap());
            if text.contains(": following") && !text.contains("event:") {
                kept.push(row("other", "globex"));
                kept.push(row("one", "acme"));
            }
        }
        stop.send(true).unwrap();
        text
    };
    let ((), text) = tokio::join!(serve, ask);
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("text/event-stream"), "{text}");
    assert!(text.contains("event: request\ndata: {") && !text.contains("before") && !text.contains("globex"), "{text}");
}

/// Signed out, nothing more comes.
#[tokio::test(start_paused = true)]
async fn who_has_signed_out_follows_no_more() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let (_stop, shutdown) = tokio::sync::watch::channel(false);
    let admin = Arc::new(admin(Some("letmein")));
    let digest: [u8; 32] = Sha256::digest(b"letmein").into();
    let set = admin.sessions.begin(digest).unwrap();
    let cookie = set.split(';').next().unwrap().to_owned();
    let serve = async {
        admin.process_new_http(ServerSession::new_http1(Box::new(server)), &shutdown).await;
    };
    let ask = async {
        let head = format!("GET /admin/v1/requests/live HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut piece = [0; 4096];
        assert!(client.read(&mut piece).await.unwrap() > 0);
        admin.sessions.end(&headers(&[("cookie", &cookie)]));
        while client.read(&mut piece).await.is_ok_and(|count| count > 0) {}
    };
    tokio::join!(serve, ask);
}
