//! What servers say of themselves: their models, asked in the background, and what a model can do,
//! asked by `weir probe`.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::gateway::{Gateway, full_config, new_dir};
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::until;

fn lab(upstream: &Upstream, more: &str) -> String {
    let nobody = Upstream::nobody();
    full_config("", nobody, nobody, "", "").replace(
        "tenants:",
        &format!("  lab: {{kind: vllm, base_url: \"http://{}\"{more}}}\ntenants:", upstream.address),
    )
}

#[test]
fn a_servers_own_models_are_listed_and_found_by_their_bare_names() {
    let upstream = Upstream::start(|request: &Request, conn: &mut Conn| match request.method.as_str() {
        "GET" => {
            conn.json(200, r#"{"object":"list","data":[{"id":"house-model","max_model_len":4096},{"id":"a b"}]}"#);
        }
        _ => {
            conn.json(
                200,
                r#"{"id":"c","object":"chat.completion","created":1,"model":"house-model","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#,
            );
        }
    });
    let gateway = Gateway::start(&lab(&upstream, ", discover: true"));
    let listed = until("the model to be listed", || {
        let list = gateway.call("GET", "/v1/models", &Value::Null).json();
        list["data"].as_array().unwrap().iter().find(|m| m["id"] == "lab/house-model").cloned()
    });
    assert_eq!(listed["context_window"], 4096);
    let list = gateway.call("GET", "/v1/models", &Value::Null).json().to_string();
    assert!(!list.contains("a b"), "a name that cannot be one");
    let answer = gateway.post("/v1/chat/completions", &json!({"model": "house-model", "messages": []}));
    assert_eq!((answer.status(), answer.header("x-weir-provider")), (200, "lab"));
    assert_eq!(upstream.requests().iter().find(|r| r.method == "GET").unwrap().path, "/v1/models");
}

#[test]
fn nobody_is_asked_who_should_not_be() {
    let upstream = Upstream::json(200, "{}");
    let gateway = Gateway::start(&lab(&upstream, ""));
    assert_eq!(gateway.call("GET", "/v1/models", &Value::Null).status(), 200);
    assert_eq!(upstream.requests().len(), 0);
}

#[test]
fn capabilities_of_the_configuration_are_shown() {
    let upstream = Upstream::json(200, "{}");
    let more = ", models: {small: {upstream: s, context: 1000, capabilities: {images: false, tools: true}}}";
    let gateway = Gateway::start(&lab(&upstream, more));
    let model = gateway.call("GET", "/v1/models/lab/small", &Value::Null).json();
    assert_eq!(model["capabilities"], json!({"images": false, "tools": true}));
}

/// Takes plain chat, tools one at a time, and no images, in the manner of a server of one's own.
fn modest(request: &Request, conn: &mut Conn) {
    let body = request.json();
    let text = body.to_string();
    let refusal = |why: &str| json!({"error": {"message": why, "type": "BadRequestError", "code": 400}}).to_string();
    let call = json!({"id": "c1", "type": "function", "function": {"name": body["tools"][0]["function"]["name"], "arguments": "{}"}});
    let mut message = json!({"role": "assistant", "content": "hi"});
    if text.contains("image_url") {
        return conn.json(400, &refusal("this model takes no images"));
    }
    if text.contains("developer") {
        return conn.json(400, &refusal("Unexpected message role."));
    }
    if body["tools"].is_array() {
        message = json!({"role": "assistant", "content": null, "tool_calls": [call]});
    }
    if body["response_format"].is_object() {
        message["content"] = json!("{\"colour_name\":\"red\"}");
    }
    if body["stream"] == true {
        conn.sse_head();
        conn.data(json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]}));
        conn.data(json!({"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}));
        conn.data("[DONE]");
        conn.end();
        return;
    }
    let answer = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}});
    conn.json(200, &answer.to_string());
}

#[test]
fn a_probe_prints_what_a_model_can_do() {
    let upstream = Upstream::start(modest);
    let dir = new_dir();
    let file = dir.join("weir.yaml");
    std::fs::write(&file, lab(&upstream, "").replace("@DIR@", &dir.display().to_string())).unwrap();
    let run = |extra: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.arg("probe").arg("lab/m").arg("-c").arg(&file).args(extra).env_clear().output().unwrap()
    };
    let output = run(&[]);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}");
    assert_eq!(
        out,
        "providers:\n  lab:\n    quirks: {reasoning_effort: true, stream_options: true, strict_tools: true}\n    models:\n      \"m\":\n        \
         capabilities: {system: true, developer_role: false, tools: true, parallel_tools: false, json_schema: true, images: false}\n"
    );
    assert!(err.contains("capabilities.images") && err.contains("no (this model takes no images)"), "{err}");
    let rows: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 9);
    // The printed part is configuration.
    let models = out.split_once("models:").unwrap().1;
    let config = lab(&upstream, "").replace(
        "kind: vllm",
        &format!(
            "kind: vllm, models: {{{}}}",
            models.trim().replace(":\n        capabilities", ": {capabilities") + "}"
        ),
    );
    Gateway::start(&config);
}
