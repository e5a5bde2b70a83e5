//! Counting tokens without asking for an answer.

use serde_json::{Value, json};

use crate::ask::{chat, message};
use crate::support::gateway::Gateway;
use crate::support::simulated::Simulated;

#[test]
fn the_upstreams_own_count_is_passed_on() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mut body = message("anthropic/claude-sonnet-4-5", "one two three");
    body.as_object_mut().unwrap().remove("max_tokens");
    let answer = gateway.post("/v1/messages/count_tokens", &body);
    assert_eq!((answer.status(), answer.json()), (200, json!({"input_tokens": 3})), "{}", answer.text());
}

#[test]
fn without_one_the_gateway_counts_itself_and_says_so() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let mut body = message("openai/gpt-4o-mini", "one two three");
    body.as_object_mut().unwrap().remove("max_tokens");
    let answer = gateway.post("/v1/messages/count_tokens", &body);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert!(answer.json()["input_tokens"].as_u64().unwrap() >= 3);
    assert_eq!(answer.header("x-weir-usage-source"), "estimated");
    assert!(sim.log().is_empty(), "counted locally");
}

#[test]
fn any_format_and_model_can_be_counted_locally() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for model in ["openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"] {
        for body in [chat(model, "one two three"), message(model, "one two three")] {
            let answer = gateway.post("/v1/count_tokens", &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            let tokens = answer.json()["input_tokens"].as_u64().unwrap();
            assert!((3..40).contains(&tokens), "{tokens}");
            assert_eq!(answer.header("x-weir-usage-source"), "estimated");
        }
    }
}

#[test]
fn the_count_grows_with_the_text() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let count = |text: &str| -> u64 {
        let answer = gateway.post("/v1/count_tokens", &chat("openai/gpt-4o-mini", text)).json();
        answer.get("input_tokens").and_then(Value::as_u64).unwrap()
    };
    assert!(count(&"lorem ipsum dolor ".repeat(100)) > count("lorem ipsum dolor ") + 200);
}
