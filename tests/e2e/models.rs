//! The list of models, in both shapes.

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, full_config};
use crate::support::upstream::Upstream;

fn gateway(tenant: &str) -> Gateway {
    let nobody = Upstream::nobody();
    let routes = "routes:\n  fast: {strategy: fallback, targets: [{model: openai/gpt-4o-mini}]}\n";
    Gateway::start(&full_config("", nobody, nobody, tenant, routes))
}

fn ids(list: &Value) -> Vec<String> {
    list["data"].as_array().unwrap().iter().map(|m| m["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn openai_clients_get_openais_list() {
    let gateway = gateway("");
    let answer = gateway.call("GET", "/v1/models", &Value::Null);
    let list = answer.json();
    assert_eq!((answer.status(), &list["object"]), (200, &json!("list")), "{list}");
    let ids = ids(&list);
    assert!(ids.contains(&"fast".to_owned()) && ids.contains(&"openai/gpt-4o-mini".to_owned()), "{ids:?}");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["object"], "model");
        assert!(model["created"].is_u64() && model["owned_by"].is_string(), "{model}");
    }
    let one = gateway.call("GET", "/v1/models/openai/gpt-4o-mini", &Value::Null);
    assert_eq!((one.status(), &one.json()["id"]), (200, &json!("openai/gpt-4o-mini")));
    assert_eq!(gateway.call("GET", "/v1/models/openai%2Fgpt-4o-mini", &Value::Null).status(), 200);
    assert_eq!(gateway.call("GET", "/v1/models/nobody/nothing", &Value::Null).status(), 404);
}

#[test]
fn anthropic_clients_get_anthropics_list() {
    let gateway = gateway("");
    let version = [("anthropic-version", "2023-06-01")];
    let answer = gateway.call_with("GET", "/v1/models?limit=1000", &version, &Value::Null);
    let list = answer.json();
    assert_eq!(answer.status(), 200, "{list}");
    assert_eq!(list["has_more"], json!(false));
    let ids = ids(&list);
    assert_eq!((&list["first_id"], &list["last_id"]), (&json!(ids.first()), &json!(ids.last())));
    assert!(ids.iter().any(|id| id.starts_with("anthropic/claude")), "{ids:?}");
    for model in list["data"].as_array().unwrap() {
        assert_eq!(model["type"], "model");
        assert!(model["display_name"].is_string() && model["created_at"].is_string(), "{model}");
    }
}

#[test]
fn only_what_the_key_may_use_is_listed() {
    let gateway = gateway("    models: [\"anthropic/*\", fast]");
    let ids = ids(&gateway.call("GET", "/v1/models", &Value::Null).json());
    assert!(ids.contains(&"fast".to_owned()));
    assert!(ids.iter().all(|id| id == "fast" || id.starts_with("anthropic/")), "{ids:?}");
    assert_ne!(gateway.call("GET", "/v1/models/openai/gpt-4o-mini", &Value::Null).status(), 200);
}
