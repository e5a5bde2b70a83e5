//! Automatic selection: what a request needs decides, and the answer says why.

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, function, message, text, with};
use crate::routing::{named, server, start, timeline};
use crate::support::client::Answer;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

const PNG: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

fn with_image(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": [
        {"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": PNG}},
    ]}]})
}

/// A cheap model that reads short texts, and a dear one that sees, thinks far and calls tools.
fn two(route: &str) -> (Gateway, [Upstream; 2]) {
    let all = [named("cheap"), named("dear")];
    let cheap = ", models: {m: {context: 8000, max_output: 2000, capabilities: {images: false, tools: false}, price: {input: 0.1, output: 0.2}}}";
    let dear = ", models: {m: {context: 200000, max_output: 32000, capabilities: {images: true, tools: true}, price: {input: 5, output: 15}}}";
    let gateway = start(&(server("cheap", &all[0], cheap) + &server("dear", &all[1], dear)), "", route);
    (gateway, all)
}

const AUTO: &str = "routes: {r: {strategy: auto, prefer: cost, targets: [{model: cheap/m, quality: 40}, {model: dear/m, quality: 95}]}}";

fn whose(answer: &Answer) -> String {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    text(&answer.json()).to_owned()
}

#[test]
fn what_a_request_needs_decides() {
    let (gateway, _all) = two(AUTO);
    let plain = gateway.post(CHAT, &chat("r", "hi"));
    assert_eq!(whose(&plain), "cheap");
    assert!(plain.header("x-weir-route-reason").starts_with("auto: prefer=cost; cheap/m scored "), "{:?}", plain.head);
    let image = gateway.post(CHAT, &with_image("r"));
    assert_eq!(whose(&image), "dear");
    assert!(image.header("x-weir-route-reason").contains("excluded: cheap/m ("), "{:?}", image.head);
    let tools = gateway.post(CHAT, &with(chat("r", "hi"), json!({"tools": [function("get")]})));
    assert_eq!(whose(&tools), "dear");
    let long = gateway.post(CHAT, &chat("r", &"so many words ".repeat(4_000)));
    assert_eq!(whose(&long), "dear");
    let much = gateway.post(MESSAGES, &with(message("r", "hi"), json!({"max_tokens": 16_000})));
    assert_eq!(whose(&much), "dear");
}

#[test]
fn a_preference_of_the_requests_own_comes_first() {
    let (gateway, _all) = two(AUTO);
    let ask = |prefer: &str| gateway.call_with("POST", CHAT, &[("x-weir-prefer", prefer)], &chat("r", "hi"));
    let quality = ask("quality");
    assert_eq!(whose(&quality), "dear");
    assert!(quality.header("x-weir-route-reason").contains("prefer=quality"), "{:?}", quality.head);
    assert_eq!(whose(&ask("cost")), "cheap");
    let wrong = ask("beauty");
    assert_eq!((wrong.status(), &wrong.json()["error"]["param"]), (400, &json!("x-weir-prefer")));
}

#[test]
fn rules_narrow_by_tags_and_by_what_a_request_is() {
    let rules =
        "rules: [{when: {tags: [team=law]}, to: [dear/m]}, {when: {tokens_over: 500}, to: [dear/m]}, {to: [cheap/m]}]";
    for strategy in ["auto", "fallback"] {
        let targets = "targets: [{model: cheap/m}, {model: dear/m}]";
        let (gateway, _all) =
            two(&format!("routes: {{r: {{strategy: {strategy}, prefer: cost, {rules}, {targets}}}}}"));
        let law = gateway.call_with("POST", CHAT, &[("x-weir-tags", "team=law")], &chat("r", "hi"));
        assert_eq!(whose(&law), "dear", "{strategy}");
        let metadata = gateway.post(CHAT, &with(chat("r", "hi"), json!({"metadata": {"team": "law"}})));
        assert_eq!(whose(&metadata), "dear", "{strategy}");
        assert_eq!(whose(&gateway.post(CHAT, &chat("r", &"words ".repeat(2_000)))), "dear", "{strategy}");
        let other = gateway.call_with("POST", CHAT, &[("x-weir-tags", "team=sales")], &chat("r", "hi"));
        assert_eq!(whose(&other), "cheap", "{strategy}");
        if strategy == "auto" {
            assert!(law.header("x-weir-route-reason").starts_with("auto: rule 1; "), "{:?}", law.head);
        }
    }
}

#[test]
fn auto_is_a_model_without_a_route() {
    let (gateway, _all) = two("");
    assert_eq!(whose(&gateway.post(CHAT, &with_image("auto"))), "dear");
    let cheap = gateway.call_with("POST", CHAT, &[("x-weir-prefer", "cost")], &chat("auto", "hi"));
    assert_eq!(whose(&cheap), "cheap");
    assert!(cheap.header("x-weir-route-reason").starts_with("auto: "), "{:?}", cheap.head);
}

#[test]
fn a_request_that_nobody_can_serve_is_told_why() {
    let one = "routes: {r: {strategy: auto, targets: [{model: cheap/m}]}, both: {strategy: auto, targets: [{model: cheap/m}, {model: cheap/m2}]}}";
    let upstream = named("cheap");
    let blind = "{capabilities: {images: false}}";
    let gateway = start(&server("cheap", &upstream, &format!(", models: {{m: {blind}, m2: {blind}}}")), "", one);
    for route in ["r", "both"] {
        let answer = gateway.post(CHAT, &with_image(route));
        assert_eq!(answer.status(), 400, "{route}: {}", answer.text());
        let error = answer.json()["error"].clone();
        assert_eq!(error["param"], "model", "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("no model fits") && message.contains("cheap/m"), "{message}");
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn one_that_fails_leaves_it_to_the_next_that_fits() {
    let (bad, good) = (Upstream::json(503, "{}"), named("good"));
    let models = ", models: {m: {price: {input: 1, output: 1}}}";
    let more = "routes: {r: {strategy: auto, targets: [{model: bad/m, quality: 90}, {model: good/m, quality: 50}], prefer: quality}}";
    let gateway = start(&(server("bad", &bad, models) + &server("good", &good, models)), "", more);
    assert_eq!(whose(&gateway.post(CHAT, &chat("r", "hi"))), "good");
    assert_eq!(timeline(&gateway.record(1)), ["bad first overloaded", "good fallback ok"]);
    (0..9).for_each(|_| assert_eq!(whose(&gateway.post(CHAT, &chat("r", "hi"))), "good"));
    assert_eq!(bad.requests().len(), 1, "one that has just failed is no good choice, before any breaker opens");
}
