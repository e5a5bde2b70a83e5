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
    let of = |id: &str| list["data"].as_array().unwrap().iter().find(|model| model["id"] == id).unwrap();
    // Every key that the vendor's SDK has, and none of ours.
    let can = &of("anthropic/claude-haiku-4-5")["capabilities"];
    let keys: Vec<&String> = can.as_object().unwrap().keys().collect();
    let mut wanted =
        ["batch", "citations", "code_execution", "context_management", "effort", "image_input", "pdf_input"].to_vec();
    wanted.extend(["server_tools", "structured_outputs", "thinking"]);
    assert_eq!(keys, wanted);
    assert_eq!(can["image_input"], json!({"supported": true}));
    assert_eq!(can["thinking"]["types"]["enabled"], json!({"supported": true}));
    assert_eq!(can["effort"]["high"], json!({"supported": false}), "nobody knows");
    let openai = gateway.call("GET", "/v1/models/openai/gpt-4o-mini", &Value::Null).json();
    assert_eq!(openai["capabilities"]["images"], true, "{openai}");
}

#[test]
fn only_what_the_key_may_use_is_listed() {
    let gateway = gateway("    models: [\"anthropic/*\", fast]");
    let ids = ids(&gateway.call("GET", "/v1/models", &Value::Null).json());
    assert!(ids.contains(&"fast".to_owned()));
    assert!(ids.iter().all(|id| id == "fast" || id.starts_with("anthropic/")), "{ids:?}");
    assert_ne!(gateway.call("GET", "/v1/models/openai/gpt-4o-mini", &Value::Null).status(), 200);
}

/// As the official SDKs go through a list, page by page.
#[test]
fn pages_of_anthropics_list_are_the_list() {
    let gateway = gateway("");
    let get = |query: &str| {
        let answer = gateway.call_with(
            "GET",
            &format!("/v1/models?{query}"),
            &[("anthropic-version", "2023-06-01")],
            &Value::Null,
        );
        (answer.status(), answer.json())
    };
    let all = ids(&get("").1);
    let mut paged = Vec::new();
    let mut query = "limit=50".to_owned();
    loop {
        let (status, page) = get(&query);
        assert_eq!(status, 200, "{page}");
        paged.extend(ids(&page));
        if page["has_more"] == json!(false) {
            break;
        }
        assert_eq!(page["data"].as_array().unwrap().len(), 50);
        query = format!("limit=50&after_id={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(paged, all);
    let (_, before) = get(&format!("limit=2&before_id={}", all[5]));
    assert_eq!((ids(&before), &before["has_more"]), (all[3..5].to_vec(), &json!(true)));
    assert_eq!(get("limit=1000").0, 200);
    let (status, refused) = get("limit=0");
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_request_error")), "{refused}");
    let haiku = get("limit=1000").1["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["id"] == "anthropic/claude-haiku-4-5")
        .cloned()
        .unwrap();
    assert_eq!((&haiku["max_input_tokens"], &haiku["max_tokens"]), (&json!(200_000), &json!(64_000)), "{haiku}");
}

#[test]
fn pages_of_googles_list_are_the_list() {
    let gateway = gateway("");
    let get = |query: &str| gateway.call("GET", &format!("/v1beta/models?{query}"), &Value::Null).json();
    let names = |page: &Value| -> Vec<String> {
        page["models"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = get("");
    assert!(all.get("nextPageToken").is_none());
    let mut paged = Vec::new();
    let mut query = "pageSize=100".to_owned();
    loop {
        let page = get(&query);
        paged.extend(names(&page));
        let Some(token) = page["nextPageToken"].as_str() else { break };
        query = format!("pageSize=100&pageToken={}", token.replace('/', "%2F"));
    }
    assert_eq!(paged, names(&all));
    let find = |name: &str| all["models"].as_array().unwrap().iter().find(|m| m["name"] == name).cloned().unwrap();
    let chat = find("models/openai/gpt-4o-mini");
    assert_eq!(
        (&chat["displayName"], &chat["inputTokenLimit"]),
        (&json!("openai/gpt-4o-mini"), &json!(128_000)),
        "{chat}"
    );
    assert_eq!(chat["supportedGenerationMethods"][0], "generateContent");
    let embeds = find("models/openai/text-embedding-3-small");
    assert_eq!(embeds["supportedGenerationMethods"], json!(["embedContent", "batchEmbedContents"]));
    assert!(embeds["pricing"]["input"].is_string() && chat["context_window"].is_u64(), "{embeds}");
}

/// Every way to spell a model finds it: the list's, the author's, one that is pinned, a bare name, a route.
#[test]
fn a_model_is_found_by_every_name_it_has() {
    let gateway = gateway("");
    for (id, found) in [
        ("openai/gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("openai/gpt-4o-mini:openai", "openai/gpt-4o-mini"),
        ("anthropic%2Fclaude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("fast", "fast"),
    ] {
        let one = gateway.call("GET", &format!("/v1/models/{id}"), &Value::Null);
        assert_eq!((one.status(), &one.json()["id"]), (200, &json!(found)), "{id}");
        let version = [("anthropic-version", "2023-06-01")];
        let one = gateway.call_with("GET", &format!("/v1/models/{id}"), &version, &Value::Null);
        assert_eq!((&one.json()["id"], &one.json()["type"]), (&json!(found), &json!("model")), "{id}");
        let one = gateway.call("GET", &format!("/v1beta/models/{id}"), &Value::Null).json();
        assert_eq!(one["name"], json!(format!("models/{found}")), "{id}");
    }
    let missing = gateway.call("GET", "/v1beta/models/nobody/nothing", &Value::Null);
    assert_eq!((missing.status(), &missing.json()["error"]["status"]), (404, &json!("NOT_FOUND")));
    let fast = gateway.call("GET", "/v1/models/fast", &Value::Null).json();
    assert!(fast["context_window"].is_u64() && fast["pricing"]["input"].is_string(), "{fast}");
}
