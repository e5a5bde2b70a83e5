//! Reload, shutdown, and the hand-over to a new process.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use crate::ask::{CHAT, MESSAGES, chat, chat_answer, chunk, held, message, stream_text, streamed};
use crate::support::gateway::{Gateway, KEY, config, full_config, new_dir};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens, until};
use serde_json::json;

const NEW_KEY: &str = "wk-a-second-key-77";

fn status_with(gateway: &Gateway, key: &str) -> u16 {
    let body = chat("openai/sim-1", "hi").to_string();
    gateway.client().request("POST", CHAT, &[("x-api-key", key)], body.as_bytes()).answer().status()
}

#[test]
fn sighup_takes_up_the_new_file() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let gateway = Gateway::start(&text);
    assert_eq!(status_with(&gateway, NEW_KEY), 401);
    gateway.write_config(&text.replace(KEY, NEW_KEY));
    gateway.signal("HUP");
    until("the new key to work", || (status_with(&gateway, NEW_KEY) == 200).then_some(()));
    assert_eq!(status_with(&gateway, KEY), 401, "the old one is gone");
}

#[test]
fn a_changed_file_is_taken_up_without_a_signal() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let gateway = Gateway::start(&text);
    gateway.write_config(&text.replace(KEY, NEW_KEY));
    until("the new key to work", || (status_with(&gateway, NEW_KEY) == 200).then_some(()));
}

#[test]
fn a_bad_file_leaves_the_old_configuration_in_force() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let mut gateway = Gateway::start(&text);
    gateway.write_config(&(text.clone() + "\nnonsense: true\n"));
    gateway.signal("HUP");
    until("the failure to be counted", || {
        (gateway.metric("weir_config_reload_failures_total", &[]) >= 1.0).then_some(())
    });
    assert_eq!(status_with(&gateway, KEY), 200);
    assert!(gateway.is_running());
    assert!(gateway.stderr().contains("nonsense"), "the error is in the log");
    gateway.write_config(&text.replace(KEY, NEW_KEY));
    until("the repaired file to be taken", || (status_with(&gateway, NEW_KEY) == 200).then_some(()));
}

#[test]
fn the_admin_api_reloads_too() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let gateway = Gateway::start(&text);
    gateway.write_config(&text.replace(KEY, NEW_KEY));
    let answer = gateway.admin("POST", "/admin/v1/reload");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(status_with(&gateway, NEW_KEY), 200);
}

#[test]
fn a_reload_keeps_counters_and_running_streams() {
    let sim = Simulated::start();
    let tenant = "    limits: {requests_per_minute: 2}";
    let text = full_config("", sim.address, sim.address, tenant, "");
    let gateway = Gateway::start(&text);
    assert_eq!(status_with(&gateway, KEY), 200);
    let mut running = gateway.stream(CHAT, &streamed(chat("openai/sim-1-slow", "count to 6")));
    let hash = |g: &Gateway| g.admin("GET", "/admin/v1/config").json()["hash"].clone();
    let before = hash(&gateway);
    gateway.write_config(&(text + "\n# the same, to another hash\n"));
    gateway.signal("HUP");
    until("the reload", || (hash(&gateway) != before).then_some(()));
    assert_eq!(status_with(&gateway, KEY), 429, "two requests were counted before");
    let events: Vec<_> = running.events().collect();
    assert_eq!(stream_text(&events), "1 2 3 4 5 6");
}

#[test]
fn sigterm_lets_a_running_stream_finish_and_then_ends() {
    let gate = Gate::default();
    let opens = Opens(gate.clone());
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "first "}), None));
        gate.pass();
        conn.data(chunk(&json!({"content": "last"}), None));
        conn.data(chunk(&json!({}), Some("stop")));
        conn.data("[DONE]");
        conn.end();
    });
    let mut gateway = Gateway::with(upstream.address);
    let mut client = gateway.stream(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi")));
    let mut events = client.events();
    let mut seen = vec![events.next().expect("the first event")];
    gateway.signal("TERM");
    until("the gateway to drain", || (!gateway.is_ready()).then_some(()));
    assert!(gateway.is_running(), "a stream is running");
    drop(opens);
    seen.extend(events);
    assert_eq!(stream_text(&seen), "first last");
    assert_eq!(seen.last().map(|e| e.data.as_str()), Some("[DONE]"));
    assert!(gateway.wait_exit().success());
}

/// A stream runs and requests come in one after the other: none is refused, none is cut.
#[test]
fn sigquit_hands_the_sockets_to_a_new_process() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let upstream = held(&gate);
    let text = config(upstream.address, upstream.address, "");
    let mut old = Gateway::start(&text);
    let body = chat("openai/gpt-4o-mini", "hi");
    let mut stream = old.stream(CHAT, &streamed(body.clone()));
    let first = stream.piece().expect("it runs");
    let (done, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let new = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                assert_eq!(old.post(CHAT, &body).status(), 200);
                asked.fetch_add(1, Ordering::SeqCst);
            }
        });
        let new = old.hand_over(&text);
        let before = asked.load(Ordering::SeqCst);
        until("requests at the new one", || (asked.load(Ordering::SeqCst) > before + 20).then_some(()));
        done.store(true, Ordering::SeqCst);
        asking.join().unwrap();
        new
    });
    assert_eq!((new.address, new.admin), (old.address, old.admin));
    assert!(new.metric("weir_requests_total", &[]) >= 20.0, "the new one answers");
    assert!(old.is_running(), "the old one has a stream to end");
    gate.open();
    let rest = stream.until_closed();
    assert!(String::from_utf8_lossy(&[first, rest].concat()).contains(" two"));
    assert!(old.wait_exit().success());
    let rows = until("all rows", || {
        let sum = new.admin("GET", "/admin/v1/usage").json()["data"][0]["requests"].as_u64()?;
        (sum == asked.load(Ordering::SeqCst) as u64 + 1).then_some(sum)
    });
    assert!(rows > 20);
}

#[test]
fn sigquit_without_a_new_process_changes_nothing() {
    let sim = Simulated::start();
    let mut gateway = Gateway::start(&config(sim.address, sim.address, ""));
    gateway.signal("QUIT");
    until("it to be said", || gateway.stderr().contains("no new process took the sockets").then_some(()));
    assert_eq!(status_with(&gateway, KEY), 200);
    assert!(gateway.is_running());
}

/// One of its addresses is another program's: it ends, and the one before serves as ever.
#[test]
fn a_new_process_that_cannot_begin_leaves_the_old_one_serving() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let mut old = Gateway::start(&text);
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let more = text.replacen("listen: 127.0.0.1:0", &format!("listen: [127.0.0.1:0, \"{taken}\"]"), 1);
    assert!(!old.hand_over_in_vain(&more).success());
    until("it to be said", || old.stderr().contains("the new process ended before it was ready").then_some(()));
    assert_eq!(status_with(&old, KEY), 200);
    assert!(old.is_running() && old.is_ready());
    // And the next one may.
    let new = old.hand_over(&text);
    assert!(old.wait_exit().success());
    assert_eq!(status_with(&new, KEY), 200);
}

/// A load balancer that asks has to be told, on a connection of its own.
#[test]
fn what_drains_says_so_to_whoever_asks() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let passed = gate.clone();
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"content": "one"}), None));
        passed.pass();
        conn.data("[DONE]");
        conn.end();
    });
    let mut gateway = Gateway::with(upstream.address);
    let mut stream = gateway.stream(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi")));
    assert!(stream.piece().is_some());
    gateway.signal("TERM");
    let ready = until("readiness to end", || Some(gateway.admin("GET", "/readyz")).filter(|it| it.status() != 200));
    assert_eq!((ready.status(), &ready.json()["status"]), (503, &json!("draining")));
    assert_eq!(gateway.admin("GET", "/livez").status(), 200);
    assert_eq!(gateway.metric("weir_inflight_requests", &[]), 1.0);
    gate.open();
    stream.until_closed();
    assert!(gateway.wait_exit().success());
}

#[test]
fn sigterm_ends_an_idle_gateway_long_before_its_grace_period() {
    let upstream = Upstream::json(200, chat_answer("ok"));
    let mut gateway = Gateway::with(upstream.address);
    assert_eq!(gateway.post(CHAT, &chat("openai/gpt-4o-mini", "hi")).status(), 200);
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success(), "ten minutes of grace are not slept through");
    assert_eq!(gateway.records().len(), 1);
}

#[test]
fn liveness_and_readiness_are_told() {
    let gateway = Gateway::with(Upstream::nobody());
    assert_eq!(gateway.admin("GET", "/livez").status(), 200);
    assert_eq!(gateway.admin("GET", "/readyz").status(), 200);
    assert_eq!(gateway.call("GET", "/status", &Value::Null).status(), 200);
}

#[test]
fn the_admin_api_wants_its_token_where_one_is_set() {
    let nobody = Upstream::nobody();
    let text = config(nobody, nobody, "").replace("admin:\n", "admin:\n  token: wt-admin-canary-3\n");
    let gateway = Gateway::start(&text);
    assert_eq!(gateway.admin("GET", "/admin/v1/config").status(), 401);
    let mut client = crate::support::client::Client::connect(gateway.admin);
    let headers = [("authorization", "Bearer wt-admin-canary-3")];
    assert_eq!(client.request("GET", "/admin/v1/config", &headers, b"").answer().status(), 200);
    assert_eq!(gateway.admin("GET", "/livez").status(), 200, "health needs no token");
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_does_without_huge_pages() {
    let sim = Simulated::start();
    // Nothing, where the kernel does not say.
    let said = |pid: u32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        status.lines().find_map(|line| line.strip_prefix("THP_enabled:")).map(|said| said.trim().to_owned())
    };
    let own = said(std::process::id());
    let config = config(sim.address, sim.address, "");
    let gateway = Gateway::start(&config);
    assert_eq!(said(gateway.pid()), own.as_ref().map(|_| "0".to_owned()));
    let gateway = Gateway::start_in(new_dir(), &config, &[("MIMALLOC_ALLOW_THP", "1")]);
    assert_eq!(said(gateway.pid()), own);
}

/// Nothing ends without a word, and nothing without its row, because the time to drain is over.
#[test]
fn what_runs_at_the_end_of_the_grace_period_is_told_and_recorded() {
    let upstream = Upstream::start(|request, conn| {
        if request.json()["stream"] == true {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": "first"}), None));
        }
        conn.take(1);
    });
    let server = "  grace_period: 3s";
    let mut gateway = Gateway::start(&full_config(server, upstream.address, upstream.address, "", ""));
    let mut clients = [(CHAT, chat("openai/gpt-4o-mini", "hi")), (MESSAGES, message("openai/gpt-4o-mini", "hi"))]
        .map(|(path, body)| gateway.stream(path, &streamed(body)));
    clients.iter_mut().for_each(|client| assert!(client.piece().is_some()));
    let (mut whole, bearer) = (gateway.client(), format!("Bearer {KEY}"));
    let body = chat("openai/gpt-4o-mini", "hi").to_string();
    whole.request("POST", CHAT, &[("authorization", &bearer)], body.as_bytes());
    until("all to be upstream", || (upstream.requests().len() == 3).then_some(()));
    gateway.signal("TERM");
    for client in &mut clients {
        let rest = String::from_utf8(client.body()).unwrap();
        assert!(rest.contains("shutting down"), "{rest}");
    }
    let answer = whole.answer();
    assert_eq!((answer.status(), &answer.json()["error"]["code"]), (503, &json!("shutting_down")));
    assert!(gateway.wait_exit().success());
    assert!(gateway.stderr().contains("what still runs is ended"), "{}", gateway.stderr());
    let records = gateway.wait_records(3);
    for record in &records {
        assert_eq!((&record["outcome"], &record["error"]), (&json!("failed"), &json!("shutting_down")), "{record}");
        assert!(record["input_tokens"].as_u64().is_some_and(|n| n > 0), "{record}");
    }
}

/// What passes has no word for it; that the gateway ended it is on record all the same.
#[test]
fn speech_that_the_end_of_the_grace_period_cuts_is_not_its_providers_doing() {
    let upstream = Upstream::start(|_, conn| {
        conn.raw("HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n4\r\nfirs\r\n");
        conn.take(1);
    });
    let mut gateway = Gateway::start(&full_config("  grace_period: 1s", upstream.address, upstream.address, "", ""));
    let (mut client, bearer) = (gateway.client(), format!("Bearer {KEY}"));
    let body = json!({"model": "openai/tts-1", "input": "hello", "voice": "alloy"}).to_string();
    client.request("POST", "/v1/audio/speech", &[("authorization", &bearer)], body.as_bytes());
    assert_eq!(client.any_head().status, 200);
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
    let record = gateway.record(1);
    assert_eq!((&record["outcome"], &record["error"]), (&json!("failed"), &json!("shutting_down")), "{record}");
}
