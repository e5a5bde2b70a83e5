use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use pingora_core::apps::HttpServerApp as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::runtime::{self, BaseUrl, Deployment, Key, Limits, ModelPattern, Share, Tenant};
use crate::secret::Secret;

#[expect(clippy::disallowed_types, reason = "a test reads the answers")]
type Json = serde_json::Value;

struct Fake {
    runtime: Arc<Runtime>,
    draining: AtomicBool,
    reload: Result<String, String>,
}

impl Backend for Fake {
    fn runtime(&self) -> Arc<Runtime> {
        Arc::clone(&self.runtime)
    }
    fn config_json(&self) -> String {
        r#"{"server":{}}"#.to_owned()
    }
    fn reload(&self) -> Result<String, String> {
        self.reload.clone()
    }
    fn metrics(&self) -> String {
        "weir_up 1\n".to_owned()
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
    fn drain(&self, endpoint: &str, drained: bool) -> bool {
        self.draining.store(drained, Ordering::Relaxed);
        endpoint == "lab#1"
    }
    fn balances(&self, scope: &Scope) -> Vec<Balance> {
        let budget = Budget::hard(Unit::Usd, 100_500_000_000_000, Period::plain(Per::Month));
        let balance = Balance { budget, spent: 1, reserved: 500_000_000_000, resets_at_ms: Some(0) };
        if scope.kind() == "tenant" { vec![balance] } else { Vec::new() }
    }
    fn requests(&self) -> Arc<Kept> {
        Arc::default()
    }
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
        admin: runtime::Admin { listen: ([127, 0, 0, 1], 0).into(), token: token.map(Secret::new) },
        deployments: vec![deployment()],
        tenants: vec![tenant],
        keys: HashMap::from([([7; 32], Arc::new(key))]),
        ..Runtime::default()
    }
}

fn fake(token: Option<&str>) -> Fake {
    let runtime = Arc::new(runtime(token));
    Fake { runtime, draining: AtomicBool::new(false), reload: Ok("def456".into()) }
}

fn admin(token: Option<&str>) -> Admin {
    Admin::new(Arc::new(fake(token)))
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
}

fn get(admin: &Admin, path: &str, pairs: &[(&'static str, &str)]) -> (u16, Json) {
    let answer = admin.answer(&Method::GET, &path.parse().unwrap(), &headers(pairs));
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or_default())
}

/// A path with something for the name in braces.
fn filled(path: &str) -> Uri {
    path.replace("{id}", "lab%231").replace("{request_id}", "none").parse().unwrap()
}

const BEARER: &[(&str, &str)] = &[("authorization", "Bearer letmein")];

#[test]
fn only_health_probes_answer_without_the_token() {
    let admin = admin(Some("letmein"));
    for route in routes::ROUTES {
        let method: Method = route.method.parse().unwrap();
        let uri = filled(route.path);
        let ask = |pairs: &[(&'static str, &str)]| admin.answer(&method, &uri, &headers(pairs)).status.as_u16();
        let open = matches!(route.path, "/livez" | "/readyz");
        assert_eq!(ask(&[]), if open { 200 } else { 401 }, "{}", route.path);
        for wrong in ["Bearer letmei", "Bearer letmeinn", "Bearer ", "Basic letmein", "letmein", "Bearer LETMEIN"] {
            assert_eq!(ask(&[("authorization", wrong)]), if open { 200 } else { 401 }, "{} {wrong}", route.path);
        }
        let found = if route.path.ends_with("/{request_id}") { 404 } else { 200 };
        assert_eq!(ask(BEARER), found, "{}", route.path);
    }
    let (status, body) = get(&admin, "/no/such/path", &[]);
    assert_eq!((status, &body["error"]["code"]), (401, &json!("invalid_token")), "paths are not told to strangers");
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
    assert_eq!(get(&admin, "/livez", &[("host", "evil.example")]).0, 200);
}

#[test]
fn readiness_follows_the_drain() {
    let fake = Arc::new(fake(None));
    let admin = Admin::new(Arc::clone(&fake) as Arc<dyn Backend>);
    assert_eq!(get(&admin, "/readyz", &[]).0, 200);
    fake.draining.store(true, Ordering::Relaxed);
    assert_eq!(get(&admin, "/readyz", &[]), (503, json!({"status": "draining"})));
    assert_eq!(get(&admin, "/livez", &[]).0, 200, "alive while it drains");
}

#[test]
fn unknown_paths_and_methods_are_json() {
    let admin = admin(None);
    let (status, body) = get(&admin, "/v1/chat/completions", &[]);
    assert_eq!((status, &body["error"]["code"]), (404, &json!("unknown_url")));
    let refused = admin.answer(&Method::GET, &Uri::from_static("/admin/v1/reload"), &HeaderMap::new());
    assert_eq!((refused.status.as_u16(), refused.extra), (405, Some((header::ALLOW, "POST"))));
    assert_eq!(admin.answer(&Method::DELETE, &Uri::from_static("/metrics"), &HeaderMap::new()).status.as_u16(), 405);
    assert_eq!(admin.answer(&Method::HEAD, &Uri::from_static("/livez/"), &HeaderMap::new()).status.as_u16(), 200);
}

#[test]
fn a_reload_tells_how_it_went() {
    let post = |fake: Fake| {
        let answer =
            Admin::new(Arc::new(fake)).answer(&Method::POST, &Uri::from_static("/admin/v1/reload"), &HeaderMap::new());
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
        let body = admin.answer(&route.method.parse().unwrap(), &filled(route.path), &HeaderMap::new()).body;
        assert!(!String::from_utf8(body).unwrap().contains("secret\""), "{}", route.path);
    }
}

#[test]
fn endpoints_are_drained_by_their_ids() {
    let admin = admin(None);
    let post = |path: &str| {
        let answer = admin.answer(&Method::POST, &path.parse().unwrap(), &HeaderMap::new());
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
    assert_eq!(get(&admin, "/admin/v1/requests?limit=3", &[]), (200, json!({"data": [], "next_cursor": null})));
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
    let served = routes::ROUTES.iter().map(|r| (r.path.to_owned(), r.method.to_owned(), r.open)).collect();
    assert_eq!(described, served);
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
