//! Budgets in tokens and in USD: exact, seen, and there again after a restart.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, check_stream, chunk, held, message, streamed, with};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, PROVIDER_KEY, config, full_config, new_dir};
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};

/// What [`chat_answer`] says it used.
const USED_TOKENS: u64 = 18;

fn answering() -> Upstream {
    Upstream::json(200, chat_answer("hi"))
}

fn with_tenant(upstream: &Upstream, tenant: &str) -> String {
    full_config("", upstream.address, upstream.address, tenant, "")
}

/// The model `m` costs 1 USD per million tokens of input and 2 of output: [`chat_answer`] 0.000025.
fn priced(text: &str, upstream: &Upstream) -> String {
    let plain = format!("\"http://{}/v1\", api_key: \"{PROVIDER_KEY}\"", upstream.address);
    assert!(text.contains(&plain));
    text.replace(&plain, &format!("{plain}, models: {{m: {{price: {{input: 1, output: 2}}}}}}"))
}

/// A small request to OpenAI: some 3 tokens of input, at most 20 of output.
fn ask(gateway: &Gateway) -> Answer {
    gateway.post(CHAT, &with(chat("openai/m", "hi"), json!({"max_tokens": 20})))
}

fn as_key(gateway: &Gateway, key: &str) -> Answer {
    let body = with(chat("openai/m", "hi"), json!({"max_tokens": 20})).to_string();
    gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer()
}

/// The first budget of `GET /v1/limits`.
fn budget(gateway: &Gateway) -> Value {
    gateway.call("GET", "/v1/limits", &Value::Null).json()["budgets"][0].clone()
}

fn message_of(answer: &Answer) -> String {
    answer.json()["error"]["message"].as_str().unwrap().to_owned()
}

fn check_refusal(answer: &Answer) {
    assert_eq!(answer.status(), 429, "{}", answer.text());
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!((answer.head.find("retry-after"), answer.head.find("retry-after-ms")), (None, None));
}

#[test]
fn a_budget_of_tokens_runs_out_with_all_the_429_needs_in_both_formats() {
    let upstream = answering();
    let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 50, per: day}]"));
    assert_eq!((ask(&gateway).status(), ask(&gateway).status()), (200, 200));
    let openai = ask(&gateway);
    check_refusal(&openai);
    let error = openai.json()["error"].clone();
    assert_eq!((&error["type"], &error["code"]), (&json!("insufficient_quota"), &json!("insufficient_quota")));
    let said = message_of(&openai);
    assert!(said.contains("the budget of the tenant `acme` is too small for this request"), "{said}");
    assert!(
        said.contains("50 tokens per day, of which 36 are spent") && said.contains("it begins anew on 20"),
        "{said}"
    );
    let anthropic = gateway.post(MESSAGES, &with(message("openai/m", "hi"), json!({"max_tokens": 20})));
    check_refusal(&anthropic);
    assert_eq!(anthropic.json()["error"]["type"], "rate_limit_error");
    assert_eq!(upstream.requests().len(), 2, "a refused request is not sent");
    assert_eq!(gateway.metric("weir_throttled_total", &["tenant=\"acme\"", "limit=\"tenant_budget_tokens\""]), 2.0);
    let ratio = gateway.metric("weir_budget_remaining_ratio", &["tenant=\"acme\"", "budget=\"tokens_day\""]);
    assert!((ratio - 0.28).abs() < 1e-9, "{ratio}");
}

#[test]
fn a_smaller_bound_beside_the_one_that_holds_passes_no_budget() {
    let upstream = answering();
    let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 1000, per: day}]"));
    let decoy = |decoy: &str, bound: &str| json!({decoy: 1, bound: 2000});
    let said = json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    for (path, body) in [
        (MESSAGES, with(message("openai/m", "hi"), decoy("max_completion_tokens", "max_tokens"))),
        (CHAT, with(chat("openai/m", "hi"), decoy("max_output_tokens", "max_tokens"))),
        (CHAT, with(chat("openai/m", "hi"), decoy("max_tokens", "max_completion_tokens"))),
        (CHAT, with(chat("openai/m", "hi"), json!({"max_tokens": "2000"}))),
        (
            "/v1/responses",
            with(json!({"model": "openai/m", "input": "hi"}), decoy("max_completion_tokens", "max_output_tokens")),
        ),
        (
            "/v1beta/models/openai/m:generateContent",
            json!({"contents": said, "generationConfig": {"maxOutputTokens": 1}, "generation_config": {"maxOutputTokens": 2000}}),
        ),
        ("/v1/completions", json!({"model": "openai/m", "prompt": ["a", "b", "c", "d"], "max_tokens": 300})),
        ("/v1/completions", json!({"model": "openai/m", "prompt": vec![17; 1500], "max_tokens": 1})),
    ] {
        let answer = gateway.post(path, &body);
        assert_eq!(answer.status(), 429, "{path} {body}: {}", answer.text());
    }
    assert!(upstream.requests().is_empty());
}

#[test]
fn a_key_has_budgets_of_its_own() {
    let upstream = answering();
    let tenant = "      - {id: small, secret: \"wk-small-key-0\", budgets: [{tokens: 40, per: total}, {tokens: 1000, per: week}]}\n    \
                  budgets: [{tokens: 45, per: total}, {tokens: 1000, per: day, soft: true}]";
    let gateway = Gateway::start(&with_tenant(&upstream, tenant));
    assert_eq!(as_key(&gateway, "wk-small-key-0").status(), 200);
    let refused = as_key(&gateway, "wk-small-key-0");
    check_refusal(&refused);
    assert!(message_of(&refused).contains("the budget of the key `small`"), "{}", refused.text());
    assert!(!message_of(&refused).contains("anew"), "a total never begins anew");
    assert_eq!(ask(&gateway).status(), 200, "the other key has only the tenant's");
    let refused = ask(&gateway);
    check_refusal(&refused);
    assert!(message_of(&refused).contains("the tenant `acme`"), "{}", refused.text());
    assert_eq!(gateway.metric("weir_throttled_total", &["limit=\"key_budget_tokens\""]), 1.0);
    let small = gateway.client().request("GET", "/v1/usage", &[("x-api-key", "wk-small-key-0")], b"").answer().json();
    assert_eq!((&small["data"][0]["day"]["tokens"], &small["data"][1]["day"]["tokens"]), (&json!(36), &json!(18)));
    let tenants = gateway.admin("GET", "/admin/v1/tenants").json();
    let acme = &tenants["data"][0];
    assert_eq!((&acme["budgets"][0]["spent"], &acme["budgets"][0]["remaining"]), (&json!(36), &json!(9)));
    let small = acme["keys"].as_array().unwrap().iter().find(|key| key["id"] == "small").unwrap();
    assert_eq!((&small["budgets"][0]["limit"], &small["budgets"][0]["spent"]), (&json!(40), &json!(18)));
}

#[test]
fn a_soft_budget_warns_and_serves() {
    let upstream = answering();
    let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 30, per: month, soft: true}]"));
    for _ in 0..4 {
        assert_eq!(ask(&gateway).status(), 200);
    }
    let warning = "the soft budget of the tenant `acme` is used up: 30 tokens per month";
    until("the warning", || gateway.stderr().contains(warning).then_some(()));
    assert_eq!(gateway.stderr().matches(warning).count(), 1);
    assert_eq!(gateway.metric("weir_budget_remaining_ratio", &["budget=\"tokens_month_soft\""]), 0.0);
    assert_eq!((&budget(&gateway)["remaining"], &budget(&gateway)["spent"]), (&json!(0), &json!(72)));
}

#[test]
fn money_is_counted_to_the_last_digit() {
    let upstream = answering();
    let text = with_tenant(&upstream, "    budgets: [{usd: 0.0001, per: month}]");
    let gateway = Gateway::start(&priced(&text, &upstream));
    let served = (0..9).take_while(|_| ask(&gateway).status() == 200).count();
    assert_eq!(served, 3, "each costs 0.000025 and reserves more than 0.00004");
    let refused = ask(&gateway);
    check_refusal(&refused);
    assert!(message_of(&refused).contains("0.0001 USD per month, of which 0.000075 are spent"), "{}", refused.text());
    let said = gateway.call("GET", "/v1/limits", &Value::Null).text();
    assert!(said.contains(r#""limit":0.0001,"spent":0.000075,"reserved":0,"remaining":0.000025"#), "{said}");
    let usage = gateway.call("GET", "/v1/usage", &Value::Null);
    assert!(usage.text().contains(r#""tokens":54,"cost_usd":0.000075}"#), "{}", usage.text());
    let scopes: Vec<Value> = usage.json()["data"].as_array().unwrap().iter().map(|row| row["scope"].clone()).collect();
    assert_eq!(scopes, ["tenant", "key"]);
    assert_eq!(gateway.metric("weir_throttled_total", &["limit=\"tenant_budget_usd\""]), 2.0);
    // What has no price costs nothing that is known.
    let free = gateway.post(CHAT, &with(chat("openai/nobody-knows", "hi"), json!({"max_tokens": 20})));
    assert_eq!(free.status(), 200, "{}", free.text());
}

#[test]
fn of_fifty_at_once_exactly_those_are_admitted_that_the_budget_is_for() {
    let (gate, reserved) = (Gate::default(), Arc::new(AtomicU64::new(0)));
    let _opens = Opens(gate.clone());
    let says = Arc::clone(&reserved);
    let at = gate.clone();
    let upstream = Upstream::start(move |_, conn| {
        at.pass();
        let output = says.load(Ordering::SeqCst) - 11;
        let answer = chat_answer("hi").replace("\"completion_tokens\":7", &format!("\"completion_tokens\":{output}"));
        conn.json(200, &answer.replace("\"total_tokens\":18", &format!("\"total_tokens\":{}", output + 11)));
    });
    // What one reserves, seen while it runs.
    let probe = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 1000, per: total}]"));
    std::thread::scope(|scope| {
        let running = scope.spawn(|| ask(&probe).status());
        let one = until("a reservation", || budget(&probe)["reserved"].as_u64().filter(|held| *held > 0));
        reserved.store(one, Ordering::SeqCst);
        gate.open();
        assert_eq!(running.join().unwrap(), 200);
        assert_eq!((&budget(&probe)["reserved"], &budget(&probe)["spent"]), (&json!(0), &json!(one)));
    });
    let one = reserved.load(Ordering::SeqCst);
    let tenant = format!("    budgets: [{{tokens: {}, per: total}}]", 10 * one);
    let gateway = Gateway::start(&with_tenant(&upstream, &tenant));
    let before = upstream.requests().len();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(|| ask(&gateway).status())).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 40);
    assert_eq!(upstream.requests().len() - before, 10);
    assert_eq!((&budget(&gateway)["spent"], &budget(&gateway)["remaining"]), (&json!(10 * one), &json!(0)));
    assert!(message_of(&ask(&gateway)).contains("is used up"));
}

#[test]
fn what_failed_gives_back_what_it_held() {
    let upstream = Upstream::json(400, r#"{"error":{"message":"no","type":"invalid_request_error"}}"#);
    let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 50, per: day}]"));
    for _ in 0..5 {
        assert_eq!(ask(&gateway).status(), 400);
    }
    assert_eq!((&budget(&gateway)["spent"], &budget(&gateway)["reserved"]), (&json!(0), &json!(0)));
}

#[test]
fn what_a_lost_attempt_used_is_spent_too() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let silent = Upstream::start(move |_, _| gate.pass());
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 11, "output_tokens": 7},
    });
    let good = Upstream::json(200, answer.to_string());
    let more =
        "routes: {r: {targets: [{model: openai/m}, {model: anthropic/m}]}}\ndefaults: {timeouts: {first_token: 300ms}}";
    let tenant = "    budgets: [{tokens: 1000, per: day}]";
    let gateway = Gateway::start(&full_config("", silent.address, good.address, tenant, more));
    let answer = gateway.post(CHAT, &with(chat("r", "hi"), json!({"max_tokens": 20})));
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let spent = budget(&gateway)["spent"].as_u64().unwrap();
    gateway.record(1);
    let lost = gateway.metric("weir_tokens_total", &["provider=\"openai\"", "type=\"input\""]);
    assert!(lost > 0.0 && spent > USED_TOKENS, "{lost} lost, {spent} spent");
    assert_eq!(lost, (spent - USED_TOKENS) as f64);
}

#[test]
fn a_reload_keeps_what_was_spent_and_may_bring_a_budget() {
    let upstream = answering();
    let gateway = Gateway::start(&config(upstream.address, upstream.address, ""));
    assert_eq!(ask(&gateway).status(), 200);
    assert_eq!(budget(&gateway), Value::Null);
    std::fs::create_dir_all(gateway.dir.join("data")).unwrap();
    assert!(!gateway.dir.join("data/budgets.json").exists());
    let reload = |tokens: u64| {
        gateway.write_config(&with_tenant(&upstream, &format!("    budgets: [{{tokens: {tokens}, per: month}}]")));
        until("the reload", || (budget(&gateway)["limit"] == tokens).then_some(()));
    };
    reload(1_000);
    assert_eq!(budget(&gateway)["spent"], USED_TOKENS, "of this month, from before there was a budget");
    assert_eq!(ask(&gateway).status(), 200);
    reload(40);
    assert_eq!(budget(&gateway)["spent"], 2 * USED_TOKENS);
    check_refusal(&ask(&gateway));
}

/// A directory in which an earlier process left this.
fn left(kept: &str) -> PathBuf {
    let dir = new_dir();
    std::fs::create_dir_all(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/budgets.json"), kept).unwrap();
    dir
}

#[test]
fn a_restart_keeps_what_was_spent() {
    let upstream = answering();
    let text = with_tenant(&upstream, "    budgets: [{tokens: 70, per: month}]");
    let mut drained = Gateway::start(&text);
    assert_eq!(ask(&drained).status(), 200);
    drained.signal("TERM");
    assert!(drained.wait_exit().success());
    let mut killed = Gateway::start_in(drained.dir.clone(), &text, &[]);
    assert_eq!(budget(&killed)["spent"], USED_TOKENS);
    assert_eq!(ask(&killed).status(), 200);
    killed.signal("KILL");
    killed.wait_exit();
    let third = Gateway::start_in(drained.dir.clone(), &text, &[]);
    assert_eq!(budget(&third)["spent"], 2 * USED_TOKENS);
    let usage = third.call("GET", "/v1/usage", &Value::Null).json();
    assert_eq!(usage["data"][1]["month"]["tokens"], 2 * USED_TOKENS);
    assert_eq!(ask(&third).status(), 200);
    check_refusal(&ask(&third));
}

/// A search of the web without a price makes the cost of a request unknown, and not the price of its tokens:
/// a budget is charged with that, after a restart too.
#[test]
fn a_budget_is_charged_with_what_is_known_of_a_cost() {
    let counted = r#""total_tokens":18"#;
    let searched =
        chat_answer("hi").replace(counted, &format!("{counted},\"server_tool_use\":{{\"web_search_requests\":2}}"));
    let upstream = Upstream::json(200, searched);
    let text = priced(&with_tenant(&upstream, "    budgets: [{usd: 0.00009, per: month}]"), &upstream);
    let mut killed = Gateway::start(&text);
    let first = ask(&killed);
    assert_eq!((first.status(), first.head.find("x-weir-cost-usd")), (200, None));
    let record = killed.record(1);
    assert_eq!((&record["cost_pico_usd"], &record["due_pico_usd"]), (&Value::Null, &json!(25_000_000)), "{record}");
    assert_eq!(budget(&killed)["spent"], 0.000_025);
    killed.signal("KILL");
    killed.wait_exit();
    let second = Gateway::start_in(killed.dir.clone(), &text, &[]);
    assert_eq!(budget(&second)["spent"], 0.000_025, "out of the ledger");
    assert_eq!(ask(&second).status(), 200);
    assert_eq!(budget(&second)["spent"], 0.000_05);
    check_refusal(&ask(&second));
}

#[test]
fn a_restart_keeps_what_limits_have_counted() {
    let upstream = answering();
    let limits =
        "    limits: {requests_per_day: 4, tokens_per_hour: 10000}\n    users: {limits: {requests_per_hour: 2}}";
    let text = with_tenant(&upstream, limits);
    let of_user = |gateway: &Gateway, user: &str| {
        gateway.post(CHAT, &with(chat("openai/m", "hi"), json!({"max_tokens": 20, "user": user})))
    };
    let mut drained = Gateway::start(&text);
    assert_eq!(of_user(&drained, "ada").status(), 200);
    drained.signal("TERM");
    assert!(drained.wait_exit().success());
    let mut killed = Gateway::start_in(drained.dir.clone(), &text, &[]);
    assert_eq!(of_user(&killed, "ada").status(), 200);
    let refused = of_user(&killed, "ada");
    assert_eq!(refused.status(), 429);
    assert!(refused.text().contains("has reached its limit of 2 requests per hour"), "{}", refused.text());
    until("the file to say so", || {
        let text = std::fs::read_to_string(drained.dir.join("data/limits.json")).ok()?;
        let kept: Value = serde_json::from_str(&text).unwrap();
        let of_day = kept["windows"].as_array()?.iter().find(|it| it["limit"] == "requests_per_day")?;
        (of_day["charges"].as_array()?.len() == 2).then_some(())
    });
    killed.signal("KILL");
    killed.wait_exit();
    let third = Gateway::start_in(drained.dir.clone(), &text, &[]);
    assert_eq!(of_user(&third, "ada").status(), 429);
    assert_eq!((of_user(&third, "bob").status(), of_user(&third, "bob").status()), (200, 200));
    let refused = of_user(&third, "eve");
    assert!(refused.text().contains("has reached its limit of 4 requests per day"), "{}", refused.text());
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((86_000..=86_400).contains(&wait), "from when the first process let one in: {wait}");
}

/// The process before still runs when the one in its place counts: its books must not be the last that are written.
#[test]
fn what_was_spent_after_a_hand_over_outlives_the_end_of_the_process_before() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let upstream = held(&gate);
    let text =
        with_tenant(&upstream, "    users: {budgets: [{tokens: 1000, per: day}], limits: {requests_per_day: 100}}");
    let of_user =
        |members: Value| with(with(chat("openai/m", "hi"), json!({"max_tokens": 20, "user": "ada"})), members);
    let mut old = Gateway::start(&text);
    let mut stream = old.stream(CHAT, &of_user(json!({"stream": true})));
    assert!(stream.piece().is_some());
    let mut new = old.hand_over(&text);
    for _ in 0..3 {
        assert_eq!(new.post(CHAT, &of_user(json!({}))).status(), 200);
    }
    let data = old.dir.join("data");
    let kept = |name: &str| std::fs::read_to_string(data.join(name)).unwrap_or_default();
    until("the new books", || kept("budgets.json").contains("\"tokens\":54").then_some(()));
    gate.open();
    stream.until_closed();
    assert!(old.wait_exit().success());
    new.signal("KILL");
    new.wait_exit();
    assert!(kept("budgets.json").contains("\"tokens\":54"), "{}", kept("budgets.json"));
}

#[test]
fn limits_that_cannot_be_read_are_moved_aside() {
    let upstream = answering();
    let dir = new_dir();
    std::fs::create_dir_all(dir.join("data")).unwrap();
    std::fs::write(dir.join("data/limits.json"), "{\"version\":9,\"windows\":[]}").unwrap();
    let gateway = Gateway::start_in(dir, &with_tenant(&upstream, "    limits: {requests_per_day: 4}"), &[]);
    assert!(gateway.stderr().contains("what limits had counted cannot be read"), "{}", gateway.stderr());
    assert!(gateway.dir.join("data/limits.json.broken").exists());
    assert_eq!(ask(&gateway).status(), 200);
}

/// Where there is no ledger to be asked, there is the file.
#[test]
fn without_a_ledger_a_file_keeps_what_was_spent() {
    let upstream = answering();
    let text = without_ledger(&with_tenant(&upstream, "    budgets: [{tokens: 70, per: month}]"));
    let file = |gateway: &Gateway| std::fs::read_to_string(gateway.dir.join("data/budgets.json")).unwrap_or_default();
    let mut killed = Gateway::start(&text);
    assert_eq!(ask(&killed).status(), 200);
    until("the file to say so", || file(&killed).contains("\"tokens\":18").then_some(()));
    killed.signal("KILL");
    killed.wait_exit();
    let mut second = Gateway::start_in(left(&file(&killed)), &text, &[]);
    assert_eq!(budget(&second)["spent"], USED_TOKENS);
    assert_eq!(ask(&second).status(), 200);
    second.signal("INT");
    second.wait_exit();
    assert!(file(&second).contains("\"tokens\":36"), "{}", file(&second));
}

fn without_ledger(config: &str) -> String {
    config.replace("state:\n", "state:\n  ledger: {enabled: false}\n")
}

#[test]
fn a_broken_file_is_moved_aside() {
    let upstream = answering();
    let text = without_ledger(&with_tenant(&upstream, "    budgets: [{tokens: 60, per: month}]"));
    let gateway = Gateway::start_in(left("{\"version\":1,\"spent\":[{"), &text, &[]);
    assert!(gateway.stderr().contains("what was spent cannot be read"), "{}", gateway.stderr());
    assert!(gateway.dir.join("data/budgets.json.broken").exists());
    assert_eq!((ask(&gateway).status(), &budget(&gateway)["spent"]), (200, &json!(USED_TOKENS)));
}

#[test]
fn a_directory_that_cannot_be_written_is_said_once_and_counted() {
    let upstream = answering();
    let dir = new_dir();
    // Where the directory should be, there is a file.
    std::fs::write(dir.join("data"), "").unwrap();
    let text = without_ledger(&with_tenant(&upstream, "    budgets: [{tokens: 600, per: month}]"));
    let gateway = Gateway::start_in(dir, &text, &[]);
    assert_eq!(ask(&gateway).status(), 200);
    until("two failures", || (gateway.metric("weir_budget_save_failures_total", &[]) >= 2.0).then_some(()));
    assert_eq!(gateway.stderr().matches("what was spent or counted cannot be kept over a restart").count(), 1);
    assert_eq!(ask(&gateway).status(), 200);
}

/// Streams four words at a time for as long as somebody listens; says so when nobody does any more.
fn endless() -> (Upstream, Arc<AtomicBool>) {
    let left = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&left);
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": ""}), None));
        let words = chunk(&json!({"content": " and so on then"}), None);
        while conn.data(&words) {}
        says.store(true, Ordering::SeqCst);
        conn.close();
    });
    (upstream, left)
}

#[test]
fn a_stream_ends_when_a_budget_that_stops_has_nothing_left() {
    for path in [CHAT, MESSAGES] {
        let (upstream, left) = endless();
        let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 2000, per: total, stop: true}]"));
        let body = if path == CHAT { chat("openai/m", "hi") } else { message("openai/m", "hi") };
        let body = with(body, json!({"max_tokens": 100}));
        let events = gateway.post(path, &streamed(body)).events();
        until("the provider to be left", || left.load(Ordering::SeqCst).then_some(()));
        let last = events.iter().rev().find(|event| event.data != "[DONE]").unwrap().json();
        let said = last["error"]["message"].as_str().unwrap();
        assert_eq!(said, "the budget of the tenant `acme` ran out in the middle of the answer: 2000 tokens in total");
        let kind = if path == CHAT { "insufficient_quota" } else { "rate_limit_error" };
        assert_eq!(last["error"]["type"], kind, "{last}");
        let record = gateway.record(1);
        assert_eq!(
            (&record["outcome"], &record["error"]),
            (&json!("failed"), &json!("insufficient_quota")),
            "{record}"
        );
        assert_eq!(record["timeline"][0]["outcome"], "cancelled", "the provider is not to blame");
        let spent = budget(&gateway)["spent"].as_u64().unwrap();
        assert!((2_001..2_000 + MOST_OVER).contains(&spent), "{spent}");
        assert_eq!(budget(&gateway)["reserved"], 0);
        check_refusal(&ask(&gateway));
        assert_eq!(upstream.requests().len(), 1);
    }
}

/// What one read brings, in tokens.
const MOST_OVER: u64 = 20_000;

#[test]
fn nobody_goes_on_with_a_stream_that_a_budget_ended() {
    let (upstream, left) = endless();
    let more = "routes: {r: {targets: [{model: openai/m}, {model: anthropic/m}], continuation: true}}";
    let tenant = "    budgets: [{tokens: 2000, per: total, stop: true}]";
    let other = answering();
    let gateway = Gateway::start(&full_config("", upstream.address, other.address, tenant, more));
    let events = gateway.post(CHAT, &streamed(with(chat("r", "hi"), json!({"max_tokens": 100})))).events();
    until("the provider to be left", || left.load(Ordering::SeqCst).then_some(()));
    assert!(events.iter().any(|event| event.data.contains("ran out in the middle")), "{:?}", events.last());
    assert_eq!(other.requests().len(), 0);
}

#[test]
fn a_stream_goes_on_where_the_budget_does_not_stop_it_or_has_enough() {
    let events = |budget: &str| {
        let upstream = Upstream::start(|_, conn| {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": ""}), None));
            for _ in 0..200 {
                conn.data(chunk(&json!({"content": " and so on then"}), None));
            }
            conn.data(chunk(&json!({}), Some("stop")));
            conn.data("[DONE]");
            conn.end();
        });
        let gateway = Gateway::start(&with_tenant(&upstream, &format!("    budgets: [{budget}]")));
        let events = gateway.post(CHAT, &streamed(with(chat("openai/m", "hi"), json!({"max_tokens": 100})))).events();
        check_stream(CHAT, &events);
        (events.len(), gateway.record(1)["outcome"].clone())
    };
    let whole = events("{tokens: 300, per: total}");
    assert_eq!(whole.1, "finished", "it is exceeded");
    assert_eq!(events("{tokens: 100000, per: total, stop: true}"), whole);
}

#[test]
fn each_mark_of_a_budget_is_said_and_counted_once() {
    let upstream = answering();
    let tenant = "    budgets: [{tokens: 100, per: month, time_zone: Asia/Tokyo, warn_at: [50, 90]}]\n    \
                  users: {budgets: [{tokens: 1000, per: day, warn_at: [1]}]}";
    let gateway = Gateway::start(&with_tenant(&upstream, tenant));
    let ask = || {
        gateway.call_with(
            "POST",
            CHAT,
            &[("x-weir-user", "ada")],
            &with(chat("openai/m", "hi"), json!({"max_tokens": 5})),
        )
    };
    let crossed = |percent: &str| {
        gateway.metric("weir_budget_crossed_total", &["budget=\"tokens_month\"", "tenant=\"acme\"", percent])
    };
    for used in [18, 36] {
        assert_eq!(ask().status(), 200, "{used}");
    }
    assert_eq!(crossed("percent="), 0.0);
    for used in [54, 72, 90] {
        assert_eq!(ask().status(), 200, "{used}");
    }
    assert_eq!((crossed("percent=\"50\""), crossed("percent=\"90\""), crossed("percent=")), (1.0, 1.0, 2.0));
    assert_eq!(gateway.metric("weir_budget_crossed_total", &["scope=\"user\"", "percent=\"1\""]), 1.0);
    until("the warnings", || {
        gateway.stderr().contains("the budget of the tenant `acme` is used to 90 %: 100 tokens per month").then_some(())
    });
    assert_eq!(gateway.stderr().matches("is used to 50 %").count(), 1);
    let refused = ask();
    check_refusal(&refused);
    let said = message_of(&refused);
    assert!(said.contains("it begins anew on 20") && said.contains("-01 (Asia/Tokyo)"), "{said}");
    let shown = budget(&gateway);
    assert_eq!(
        (&shown["time_zone"], &shown["warn_at"], &shown["stop"]),
        (&json!("Asia/Tokyo"), &json!([50, 90]), &json!(false))
    );
    // Midnight in Tokyo.
    assert!(shown["resets_at"].as_str().unwrap().ends_with("T15:00:00.000Z"), "{shown}");
}

#[test]
fn users_tags_and_models_have_budgets_that_outlive_the_process() {
    let upstream = answering();
    let tenant = "    users: {budgets: [{tokens: 60, per: total}]}\n    \
                  tags: {\"team=*\": {budgets: [{tokens: 100, per: month}]}, nightly: {budgets: [{tokens: 90, per: week}]}}\n    \
                  model_budgets: {\"openai/*\": [{tokens: 1000, per: day}]}";
    let text = with_tenant(&upstream, tenant);
    let body = with(chat("openai/m", "hi"), json!({"max_tokens": 20}));
    let who = [("x-weir-user", "ada"), ("x-weir-tags", "team=search,nightly")];
    let spent = |gateway: &Gateway| {
        let all = gateway.call_with("GET", "/v1/limits", &who, &Value::Null).json();
        let rows = all["budgets"].as_array().unwrap().iter();
        let rows = rows.filter(|row| row["name"] != "*" && row["name"] != "team=*");
        rows.map(|row| (row["scope"].as_str().unwrap().to_owned(), row["spent"].as_u64().unwrap())).collect::<Vec<_>>()
    };
    let all = |spent: u64| ["model", "tag", "user", "tag"].map(|scope| (scope.to_owned(), spent)).to_vec();
    let mut first = Gateway::start(&text);
    let ask = |gateway: &Gateway, user: &str| {
        gateway.call_with("POST", CHAT, &[("x-weir-user", user), ("x-weir-tags", "team=search,nightly")], &body)
    };
    assert_eq!((ask(&first, "ada").status(), ask(&first, "ada").status()), (200, 200));
    assert_eq!(spent(&first), all(2 * USED_TOKENS));
    first.signal("TERM");
    assert!(first.wait_exit().success());
    let second = Gateway::start_in(first.dir.clone(), &text, &[]);
    // Of users and tags it knows as soon as the ledger was asked about them.
    until("what was spent", || (spent(&second) == all(2 * USED_TOKENS)).then_some(()));
    let refused = ask(&second, "ada");
    check_refusal(&refused);
    assert!(message_of(&refused).starts_with("the budget of the user `ada` is too small"), "{}", refused.text());
    assert_eq!(ask(&second, "bob").status(), 200);
    assert_eq!(second.metric("weir_throttled_total", &["limit=\"user_budget_tokens\""]), 1.0);
    let acme = second.admin("GET", "/admin/v1/tenants").json()["data"][0].clone();
    assert_eq!(acme["model_budgets"][0]["budgets"][0]["spent"], 3 * USED_TOKENS, "{acme}");
    assert_eq!(
        (&acme["tags"][1]["tag"], &acme["tags"][1]["budgets"][0]["spent"]),
        (&json!("nightly"), &json!(3 * USED_TOKENS))
    );
    assert_eq!(acme["users"]["budgets"][0]["limit"], 60);
}

/// Row 39: what is reserved is what the request may cost where it goes, by the prices for its size and its
/// tier.
#[test]
fn row_39_the_price_that_is_reserved_is_that_of_the_size_and_of_the_tier() {
    let price = "{input: 1, output: 2, tiers: [{above: 1000, input: 10, output: 20}], service: {priority: {input: 100, output: 200}}}";
    let reserved = |body: Value| {
        let gate = Gate::default();
        let _opens = Opens(gate.clone());
        let at = gate.clone();
        let provider = Upstream::start(move |_, conn| {
            at.pass();
            conn.json(200, &chat_answer("hi"));
        });
        let text = with_tenant(&provider, "    budgets: [{usd: 1000, per: month}]");
        let plain = format!("\"http://{}/v1\", api_key: \"{PROVIDER_KEY}\"", provider.address);
        let gateway = Gateway::start(&text.replace(&plain, &format!("{plain}, models: {{m: {{price: {price}}}}}")));
        std::thread::scope(|scope| {
            let running = scope.spawn(|| gateway.post(CHAT, &body).status());
            let held = until("a reservation", || budget(&gateway)["reserved"].as_f64().filter(|held| *held > 0.0));
            gate.open();
            assert_eq!(running.join().unwrap(), 200);
            held * 1e6
        })
    };
    let small = reserved(with(chat("openai/m", "hi"), json!({"max_tokens": 1000})));
    assert!((2_000.0..2_100.0).contains(&small), "{small}");
    let large = reserved(with(chat("openai/m", &"word ".repeat(2_000)), json!({"max_tokens": 1000})));
    assert!(large > 20_000.0 + 10.0 * 1_500.0, "{large}");
    let tiered = reserved(with(chat("openai/m", "hi"), json!({"max_tokens": 1000, "service_tier": "priority"})));
    assert!(tiered > 200_000.0, "{tiered}");
    let many = reserved(with(chat("openai/m", "hi"), json!({"max_tokens": 1000, "n": 3})));
    assert!((6_000.0..6_100.0).contains(&many), "{many}");
}

/// The same of one on a model, of what rows say that no sum has yet.
#[test]
fn a_reload_may_bring_a_budget_on_a_model() {
    let upstream = answering();
    let gateway = Gateway::start(&config(upstream.address, upstream.address, ""));
    assert_eq!(ask(&gateway).status(), 200);
    let other = with(chat("openai/other", "hi"), json!({"max_tokens": 20}));
    assert_eq!(gateway.post(CHAT, &other).status(), 200);
    gateway.wait_records(2);
    let budgets = "    model_budgets: {\"openai/m\": [{tokens: 1000, per: month}]}";
    gateway.write_config(&with_tenant(&upstream, budgets));
    until("the reload", || (budget(&gateway)["limit"] == 1_000).then_some(()));
    until("what was spent", || (budget(&gateway)["spent"] == USED_TOKENS).then_some(()));
}

/// A provider may say anything of what was used: nobody's budget is gone for that.
#[test]
fn a_count_that_nobody_can_have_meant_is_cut() {
    let absurd = chat_answer("hi").replace("\"prompt_tokens\":11", "\"prompt_tokens\":18446744073709551615");
    let upstream = Upstream::json(200, absurd);
    let text = priced(&with_tenant(&upstream, "    budgets: [{usd: 5000000, per: month}]"), &upstream);
    let gateway = Gateway::start(&text);
    assert_eq!(ask(&gateway).status(), 200);
    assert_eq!(budget(&gateway)["spent"].as_f64(), Some(1_000_000.0), "{}", budget(&gateway));
}

/// By whatever name a model is asked for, what stands on it holds.
#[test]
fn a_budget_on_a_renamed_model_holds_for_routes_to_it() {
    for pattern in ["openai/small", "openai/gpt-*"] {
        let upstream = answering();
        let tenant = format!("    model_budgets: {{\"{pattern}\": [{{tokens: 30, per: month}}]}}");
        let routes = "routes:\n  fast: {targets: [{model: openai/small}]}\n  spare: {targets: [{model: anthropic/x}, {model: openai/small}]}\n";
        let text = full_config("", upstream.address, Upstream::nobody(), &tenant, routes);
        let plain = format!("\"http://{}/v1\", api_key: \"{PROVIDER_KEY}\"", upstream.address);
        let text = text.replace(&plain, &format!("{plain}, models: {{small: gpt-small}}"));
        let gateway = Gateway::start(&text);
        let ask = |model: &str| gateway.post(CHAT, &with(chat(model, "hi"), json!({"max_tokens": 5}))).status();
        assert_eq!((ask("fast"), budget(&gateway)["spent"].as_u64()), (200, Some(USED_TOKENS)), "{pattern}");
        assert_eq!((ask("spare"), budget(&gateway)["spent"].as_u64()), (200, Some(2 * USED_TOKENS)), "{pattern}");
        assert_eq!((ask("fast"), ask("openai/small")), (429, 429), "{pattern}");
    }
}

/// The provider has worked on it, and says how much.
#[test]
fn an_answer_that_broke_off_and_was_counted_is_charged() {
    let broken = r#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"error","error":{"code":429,"message":"slow down"}}],"usage":{"prompt_tokens":900,"completion_tokens":30,"total_tokens":930}}"#;
    let upstream = Upstream::json(200, broken);
    let gateway = Gateway::start(&with_tenant(&upstream, "    budgets: [{tokens: 100000, per: month}]"));
    assert_ne!(ask(&gateway).status(), 200);
    let record = gateway.record(1);
    assert_eq!((&record["input_tokens"], &record["output_tokens"]), (&json!(900), &json!(30)), "{record}");
    assert!(budget(&gateway)["spent"].as_u64().unwrap() >= 930);
}
