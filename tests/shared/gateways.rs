//! Whole gateways on one store: real processes, each with its own directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::replica::BOUND;
use crate::server::{Between, Server, on_each};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY, full_config};
use crate::support::upstream::{Conn, Upstream};
use crate::support::wait::{Gate, Opens, until};

const CHAT: &str = "/v1/chat/completions";
/// What a request of [`ask`] holds until it is settled (six of input, by the estimate, and all output that
/// it allows), and what [`upstream`] says it used.
const TOKENS: u64 = 26;

fn body() -> Value {
    json!({"model": "openai/m", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]})
}

fn answer() -> String {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": TOKENS - 20, "completion_tokens": 20, "total_tokens": TOKENS},
    })
    .to_string()
}

fn upstream() -> Upstream {
    Upstream::json(200, answer())
}

/// That many gateways of a tenant with these settings, which all know of each other.
fn fleet(store: &str, upstream: &Upstream, tenant: &str, count: usize) -> Vec<Gateway> {
    fleet_with(store, upstream, tenant, "", count)
}

fn fleet_with(store: &str, upstream: &Upstream, tenant: &str, more: &str, count: usize) -> Vec<Gateway> {
    let config = full_config("", upstream.address, upstream.address, tenant, more);
    let shared = format!("state:\n  shared: \"{store}\"\n");
    let config = config.replacen("state:\n", &shared, 1);
    assert!(config.contains(store));
    let fleet: Vec<Gateway> = (0..count).map(|_| Gateway::start(&config)).collect();
    for gateway in &fleet {
        until("the store to be reached", || (gateway.metric("weir_store_up", &[]) > 0.5).then_some(()));
    }
    fleet
}

fn ask(gateway: &Gateway, user: &str) -> Answer {
    let headers = [("authorization", format!("Bearer {KEY}")), ("x-weir-user", user.to_owned())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    gateway.client().request("POST", CHAT, &headers, body().to_string().as_bytes()).answer()
}

/// `count` requests at once, spread over the fleet; their status. A machine that is too busy to ask the
/// store in time is a store that is gone, and says so: then they come again, as clients do.
fn crowd(fleet: &[Gateway], user: &str, count: usize) -> Vec<u16> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..count)
            .map(|n| {
                let gateway = &fleet[n % fleet.len()];
                scope.spawn(move || patient(gateway, user))
            })
            .collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn patient(gateway: &Gateway, user: &str) -> u16 {
    until("an answer of the store", || Some(ask(gateway, user).status()).filter(|status| *status != 503))
}

fn admitted(statuses: &[u16]) -> usize {
    assert!(statuses.iter().all(|status| [200, 429].contains(status)), "{statuses:?}");
    statuses.iter().filter(|status| **status == 200).count()
}

#[test]
fn row_35_two_and_four_gateways_keep_to_one_limit() {
    on_each(|server| {
        for count in [2, 4] {
            server.command(&["FLUSHALL"]);
            let upstream = upstream();
            let limits = format!("    limits: {{requests_per_hour: 300, tokens_per_hour: {}}}", 450 * TOKENS);
            let fleet = fleet(&server.url(), &upstream, &limits, count);
            let all: usize = (0..6).map(|_| admitted(&crowd(&fleet, "u", 100))).sum();
            assert_eq!((all, upstream.requests().len()), (300, 300), "{count} gateways");
            let answer = ask(&fleet[0], "u");
            assert_eq!(answer.status(), 429);
            assert!(answer.text().contains("has reached its limit of 300 requests per hour"), "{}", answer.text());
            assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=3_661).contains(&wait), "{wait}");
        }
    });
}

/// A call of a tool from outside: whether it was run.
fn is_run(gateway: &Gateway) -> bool {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "order", "arguments": {}}});
    let headers = [("authorization", format!("Bearer {KEY}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = gateway.client().request("POST", "/mcp", &headers, call.to_string().as_bytes()).answer();
    assert_eq!(answer.status(), 200, "{}", answer.text());
    answer.json()["result"]["isError"] == false
}

#[test]
fn calls_of_a_tool_are_counted_by_all() {
    on_each(|server| {
        let upstream = Upstream::json(200, "{}");
        let tools = format!(
            "tools:\n  order: {{description: Orders, url: \"http://{}/\", schema: {{type: object}}, limits: {{calls_per_minute: 10}}}}\n",
            upstream.address
        );
        let fleet = fleet_with(&server.url(), &upstream, "    edge_tools: {tools: [order]}\n", &tools, 2);
        let (mut asked, mut run) = (0, 0);
        // A store that is not asked in time refuses.
        until("ten calls", || {
            asked += 1;
            run += usize::from(is_run(&fleet[asked % 2]));
            (run == 10).then_some(())
        });
        assert!(!fleet.iter().any(is_run));
        assert_eq!(upstream.requests().len(), 10);
    });
}

#[test]
fn gateways_keep_to_one_limit_of_tokens() {
    on_each(|server| {
        let upstream = upstream();
        let limits = format!("    limits: {{tokens_per_hour: {}}}", 200 * TOKENS + 5);
        let fleet = fleet(&server.url(), &upstream, &limits, 4);
        let all: usize = (0..4).map(|_| admitted(&crowd(&fleet, "u", 100))).sum();
        let answer = ask(&fleet[0], "u");
        assert_eq!(all, 200, "{}", answer.text());
    });
}

/// What a request asks for beyond what a limit can owe is not charged, so it is not given back either.
#[test]
fn a_large_bound_leaves_what_was_used_charged() {
    on_each(|server| {
        let used = json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2});
        let mut said: Value = serde_json::from_str(&answer()).unwrap();
        said["usage"] = used;
        let upstream = Upstream::json(200, said.to_string());
        let fleet = fleet(&server.url(), &upstream, "    limits: {tokens_per_hour: 10}", 2);
        assert_eq!(patient(&fleet[0], "u"), 200);
        until("the rest to be given back", || {
            // Whoever asks has it called back.
            assert_eq!(patient(&fleet[1], "u"), 429);
            let mut asks = redis::cmd("HMGET");
            asks.arg("weir:acme/tenant/tokens_per_hour").arg("u").arg("d");
            let [used, owed]: [u64; 2] = asks.query(&mut server.connection()).unwrap();
            ((used, owed) == (2, 0)).then_some(())
        });
        assert_eq!(upstream.requests().len(), 1);
    });
}

#[test]
fn gateways_run_no_more_at_a_time_than_all_of_them_may() {
    on_each(|server| {
        let (gate, running) = (Gate::default(), Arc::new(AtomicUsize::new(0)));
        let _opens = Opens(gate.clone());
        let (held, seen) = (gate.clone(), Arc::clone(&running));
        let upstream = Upstream::start(move |_, conn| {
            seen.fetch_add(1, Ordering::SeqCst);
            held.pass();
            conn.json(200, &answer());
        });
        let fleet = fleet(&server.url(), &upstream, "    limits: {concurrency: 8}", 4);
        std::thread::scope(|scope| {
            let all: Vec<_> = (0..40)
                .map(|n| {
                    let gateway = &fleet[n % 4];
                    scope.spawn(move || patient(gateway, "u"))
                })
                .collect();
            until("all but eight to be refused", || {
                (all.iter().filter(|it| it.is_finished()).count() == 32).then_some(())
            });
            until("the eight to arrive", || (running.load(Ordering::SeqCst) == 8).then_some(()));
            gate.open();
            let statuses: Vec<u16> = all.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(admitted(&statuses), 8);
        });
        // And all of them come back, to any.
        until("the places to come back", || (ask(&fleet[3], "u").status() == 200).then_some(()));
    });
}

#[test]
fn a_budget_for_fifty_requests_admits_fifty_of_two_hundred_through_gateways() {
    on_each(|server| {
        let rounds = 100;
        for count in [2, 4] {
            let upstream = upstream();
            let users = format!("    users: {{budgets: [{{tokens: {}, per: month}}]}}", 50 * TOKENS);
            let fleet = fleet(&server.url(), &upstream, &users, count);
            for round in 0..rounds {
                let user = format!("{count}-{round}");
                assert_eq!(admitted(&crowd(&fleet, &user, 200)), 50, "round {round} of {count} gateways");
            }
            let all = upstream.requests().len();
            assert_eq!(all, 50 * rounds);
            // Everybody sees what everybody has spent.
            let headers = [("authorization", format!("Bearer {KEY}")), ("x-weir-user", format!("{count}-0"))];
            let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let limits = fleet[0].client().request("GET", "/v1/limits", &headers, b"").answer().json();
            let own = limits["budgets"].as_array().unwrap().iter().find(|it| it["name"] == headers[1].1).unwrap();
            assert_eq!(own["spent"], json!(50 * TOKENS), "{limits}");
        }
    });
}

/// A request while the store is gone, and how long it took at most.
fn ask_within_bound(gateway: &Gateway, user: &str) -> Answer {
    let began = Instant::now();
    let answer = ask(gateway, user);
    assert!(began.elapsed() < BOUND * 2, "{:?}", began.elapsed());
    answer
}

fn policy_is_seen(what: &str, break_it: impl Fn(&mut Server), mend: impl Fn(&mut Server)) {
    on_each(|server| {
        let upstream = upstream();
        let tenant =
            "    limits: {requests_per_hour: 20}\n    users: {limits: {requests_per_minute: 5, on_store_loss: closed}}";
        let keyed = "      - {id: free, secret: \"wk-free-key-0001\"}\n";
        let with_users = fleet(&server.url(), &upstream, &format!("{keyed}{tenant}"), 1);
        let plain = fleet(&server.url(), &upstream, "    limits: {requests_per_hour: 20}", 1);
        until("both to know of each other", || {
            let mut connection = server.connection();
            let count: usize = redis::cmd("HLEN").arg("weir:replicas").query(&mut connection).unwrap();
            (count >= 4).then_some(())
        });
        break_it(server);
        let began = Instant::now();
        until("the alarm", || (plain[0].metric("weir_store_up", &[]) < 0.5).then_some(()));
        assert!(began.elapsed() < Duration::from_secs(2), "{what}: the alarm came after {:?}", began.elapsed());
        until("the line in the log", || plain[0].stderr().contains("of limits and budgets is gone").then_some(()));
        // Two replicas: each has half of the limit.
        let all: Vec<u16> = (0..15).map(|_| ask_within_bound(&plain[0], "u").status()).collect();
        assert_eq!(admitted(&all), 10, "{what}");
        until("the other's alarm", || (with_users[0].metric("weir_store_up", &[]) < 0.5).then_some(()));
        let refused = ask_within_bound(&with_users[0], "u");
        assert_eq!((refused.status(), refused.header("retry-after")), (503, "1"), "{}", refused.text());
        assert_eq!(refused.json()["error"]["code"], "limits_unavailable");
        mend(server);
        let began = Instant::now();
        until("the end of the alarm", || (plain[0].metric("weir_store_up", &[]) > 0.5).then_some(()));
        assert!(began.elapsed() < Duration::from_secs(4), "{what}: back after {:?}", began.elapsed());
        // What was admitted meanwhile is charged: ten are left of twenty, for both together.
        until("what was used to be charged", || {
            let mut connection = server.connection();
            let key = "weir:acme/tenant/requests_per_hour";
            let used: Option<u64> = redis::cmd("HGET").arg(key).arg("u").query(&mut connection).unwrap();
            (used == Some(10)).then_some(())
        });
        let all: Vec<u16> = (0..15).map(|n| ask_within_bound(&plain[0], &format!("n{n}")).status()).collect();
        assert_eq!(admitted(&all), 10, "{what}");
    });
}

#[test]
fn gateways_go_on_without_a_store_that_was_killed_as_their_policy_says() {
    policy_is_seen("killed", Server::kill, Server::start_again);
}

#[test]
fn gateways_go_on_beside_a_store_that_stands_still_as_their_policy_says() {
    policy_is_seen("stopped", |server| server.signal("STOP"), |server| server.signal("CONT"));
}

/// A route with a hedge that has to find room at the store first, which says nothing: its first target is late
/// until the store is asked for that, and then does what `then` says, which may let the store go on. What the
/// client gets, how often the second target was asked, and how often the store, until something came of it.
fn beside_a_waiting_hedge(server: &Server, then: fn(&mut Conn, &Gate)) -> (Answer, usize, f64) {
    let between = Between::new(server.address());
    let (asked, goes_on) = between.hold("anthropic");
    let _opens = [Opens(asked.clone()), Opens(goes_on.clone())];
    let is_late = Arc::new(AtomicBool::new(false));
    let late = Arc::clone(&is_late);
    let first = Upstream::start(move |_, conn| match late.load(Ordering::SeqCst) {
        true => {
            asked.pass();
            then(conn, &goes_on);
        }
        false => conn.json(200, &answer()),
    });
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 6, "output_tokens": 20},
    });
    let second = Upstream::json(200, message.to_string());
    let limits = "    model_limits: {\"anthropic/*\": {requests_per_minute: 50}}";
    let route = "routes: {r: {hedge: true, targets: [{model: openai/m}, {model: anthropic/m}]}}";
    let config = full_config("", first.address, second.address, limits, route);
    let shared = format!("state:\n  shared: \"{}\"\n", between.url());
    let gateway = Gateway::start(&config.replacen("state:\n", &shared, 1));
    until("the store to be reached", || (gateway.metric("weir_store_up", &[]) > 0.5).then_some(()));
    let request = json!({"model": "r", "messages": [{"role": "user", "content": "hi"}]});
    // Fewer say nothing of what is late.
    for _ in 0..20 {
        assert_eq!(gateway.post(CHAT, &request).status(), 200);
    }
    assert_eq!(second.requests().len(), 0);
    is_late.store(true, Ordering::SeqCst);
    let answer = gateway.post(CHAT, &request);
    (answer, second.requests().len(), gateway.metric("weir_store_draws_total", &[]))
}

/// The first attempt answers meanwhile: its answer goes out, and nobody else is asked.
#[test]
fn a_hedge_that_waits_for_the_store_keeps_no_answer_waiting() {
    on_each(|server| {
        let (answer, asked, drawn) = beside_a_waiting_hedge(server, |conn, _| conn.json(200, &answer()));
        assert_eq!((answer.status(), answer.header("x-weir-provider"), asked), (200, "openai", 0));
        assert!(drawn < 0.5, "the store was waited for: {drawn}");
    });
}

/// The first attempt fails meanwhile: whoever was to be asked beside it has not had a chance yet.
#[test]
fn a_hedge_that_waited_for_the_store_in_vain_may_still_be_asked() {
    on_each(|server| {
        let (answer, asked, drawn) = beside_a_waiting_hedge(server, |conn, goes_on| {
            conn.json_with(500, &[("connection", "close")], r#"{"error":{"message":"no"}}"#);
            // The gateway closes once it has read that.
            assert!(conn.take(1).is_none());
            goes_on.open();
        });
        assert_eq!((answer.status(), asked), (200, 1), "{}", answer.text());
        assert!((0.5..1.5).contains(&drawn), "once for the fallback: {drawn}");
        assert_eq!((answer.header("x-weir-provider"), answer.header("x-weir-fallback-used")), ("anthropic", "1"));
    });
}

#[test]
fn the_password_of_the_store_is_nowhere() {
    on_each(|server| {
        let password = "store-canary-7d1c";
        server.command(&["CONFIG", "SET", "requirepass", password]);
        let url = server.url().replace("redis://", &format!("redis://:{password}@"));
        let upstream = upstream();
        let fleet = fleet(&url, &upstream, "    limits: {requests_per_hour: 20}", 1);
        assert_eq!(ask(&fleet[0], "u").status(), 200);
        server.kill();
        until("the alarm", || (fleet[0].metric("weir_store_up", &[]) < 0.5).then_some(()));
        until("the line in the log", || fleet[0].stderr().contains("of limits and budgets is gone").then_some(()));
        let config = fleet[0].admin("GET", "/admin/v1/config").text();
        for text in [fleet[0].stderr(), fleet[0].stdout(), fleet[0].metrics(), config] {
            assert!(!text.contains(password), "{text}");
        }
    });
}

#[test]
fn a_gateway_that_ends_gives_back_what_it_has_leased() {
    on_each(|server| {
        let upstream = upstream();
        let tenant = "    budgets: [{tokens: 1000000, per: total}]";
        let mut fleet = fleet(&server.url(), &upstream, tenant, 1);
        let mut connection = server.connection();
        let mut used = || -> u64 {
            redis::cmd("HGET").arg("weir:acme/tenant/tokens:total:1:UTC:0").arg("u").query(&mut connection).unwrap_or(0)
        };
        let mut sent = 0;
        until("a lease", || {
            assert_eq!(ask(&fleet[0], "u").status(), 200);
            sent += 1;
            (used() > sent * TOKENS).then_some(())
        });
        fleet[0].signal("TERM");
        fleet[0].wait_exit();
        assert_eq!(used(), sent * TOKENS);
    });
}
