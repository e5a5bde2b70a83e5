//! Streams: what is forwarded when, and how they end when an end is not planned.

use serde_json::json;

use crate::ask::{
    CHAT, MESSAGES, both, chat, check_stream, chunk, message, sse, stream_text, streamed, usage_chunk, with,
};
use crate::support::client::Event;
use crate::support::gateway::{Gateway, config};
use crate::support::simulated::Simulated;
use crate::support::upstream::Upstream;
use crate::support::wait::{Gate, Opens};

#[test]
fn all_four_cells_stream_the_same_text() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for provider in ["openai", "anthropic"] {
        for model in ["sim-1", "sim-pace-1", "sim-think"] {
            for (path, body) in both(&format!("{provider}/{model}"), "héllo 👋 wörld") {
                let events = gateway.post(path, &streamed(body)).events();
                assert_eq!(stream_text(&events), "You said: héllo 👋 wörld", "{path} {provider}/{model}");
                check_stream(path, &events);
            }
        }
    }
}

/// Row 25: characters and line ends split anywhere.
#[test]
fn characters_split_between_chunks_stay_whole() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    let text = "日本語 ñandú 👩‍👩‍👧 \u{10348} ÿ";
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-drip"), text) {
            let events = gateway.post(path, &streamed(body)).events();
            assert_eq!(stream_text(&events), format!("You said: {text}"), "{path} {provider}");
            check_stream(path, &events);
        }
    }
}

/// Row 26: the first event reaches the client before the second exists.
#[test]
fn events_are_forwarded_before_the_next_one_is_made() {
    for path in [CHAT, MESSAGES] {
        let gate = Gate::default();
        let opens = Opens(gate.clone());
        let upstream = Upstream::start(move |_, conn| {
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": "first"}), None));
            gate.pass();
            conn.data(chunk(&json!({"content": " second"}), None));
            conn.data(chunk(&json!({}), Some("stop")));
            conn.data("[DONE]");
            conn.end();
        });
        let gateway = Gateway::with(upstream.address);
        let body = if path == CHAT { chat("openai/gpt-4o-mini", "hi") } else { message("openai/gpt-4o-mini", "hi") };
        let mut client = gateway.stream(path, &streamed(body));
        let mut events = client.events();
        let mut seen = Vec::new();
        while stream_text(&seen) != "first" {
            seen.push(events.next().expect("the first text while the second is held back"));
        }
        drop(opens);
        seen.extend(events);
        assert_eq!(stream_text(&seen), "first second");
    }
}

/// How a scripted stream dies, after its first text has reached the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    Close,
    Reset,
    ErrorEvent,
    /// The body ends properly, the answer does not.
    EarlyEnd,
}

/// An upstream of one format: text, then it waits at the gate, then it dies.
fn dying(provider: &'static str, death: Death, gate: Gate) -> Upstream {
    let frames: Vec<String> = match provider {
        "openai" => vec![format!("data: {}\n\n", chunk(&json!({"role": "assistant", "content": "first"}), None))],
        _ => [
            json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
                "content": [], "stop_reason": null, "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "first"}}),
        ]
        .iter()
        .map(|data| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()))
        .collect(),
    };
    let error = match provider {
        "openai" => {
            "data: {\"error\":{\"message\":\"overload\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n\n"
        }
        _ => {
            "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"overload\"}}\n\n"
        }
    };
    Upstream::start(move |_, conn| {
        conn.sse_head();
        for frame in &frames {
            conn.chunk(frame);
        }
        gate.pass();
        match death {
            Death::Close => conn.close(),
            Death::Reset => conn.reset(),
            Death::EarlyEnd => conn.end(),
            Death::ErrorEvent => {
                conn.chunk(error);
                conn.end();
            }
        }
    })
}

#[test]
fn an_upstream_that_dies_in_a_stream_ends_it_with_an_error_event() {
    for death in [Death::Close, Death::Reset, Death::ErrorEvent, Death::EarlyEnd] {
        for provider in ["openai", "anthropic"] {
            for (path, body) in both(&format!("{provider}/some-model"), "hi") {
                let gate = Gate::default();
                let opens = Opens(gate.clone());
                let upstream = dying(provider, death, gate);
                let gateway = Gateway::with(upstream.address);
                let mut client = gateway.stream(path, &streamed(body));
                let mut events = client.events();
                let mut seen = Vec::new();
                while stream_text(&seen) != "first" {
                    seen.push(events.next().expect("the first text"));
                }
                drop(opens);
                // Reading to the proper end of the chunked body is what the reader asserts.
                seen.extend(events);
                let is_error = |e: &&Event| e.data != "[DONE]" && e.json()["error"]["message"].is_string();
                let errors: Vec<_> = seen.iter().filter(is_error).collect();
                assert_eq!(errors.len(), 1, "{death:?} {path} {provider}: {seen:?}");
                assert_eq!(stream_text(&seen), "first");
                if path == MESSAGES {
                    assert_eq!((errors[0].name.as_str(), &errors[0].json()["type"]), ("error", &json!("error")));
                    assert_eq!(seen.last(), Some(errors[0]), "nothing after it");
                }
                let record = gateway.record(1);
                assert!(record["outcome"] == "upstream_cut" || record["outcome"] == "failed", "{death:?}: {record}");
                assert!(record["output_tokens"].as_u64().unwrap() > 0, "what was read is accounted: {record}");
            }
        }
    }
}

/// Row 23: a client that leaves stops the upstream, and is billed for what it got.
#[test]
fn a_client_that_leaves_closes_the_upstream_and_is_accounted() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (nth, (provider, path)) in
        [("openai", CHAT), ("openai", MESSAGES), ("anthropic", CHAT), ("anthropic", MESSAGES)].into_iter().enumerate()
    {
        let model = format!("{provider}/sim-1-slow");
        let text = "count to 5000";
        let body = if path == CHAT { chat(&model, text) } else { message(&model, text) };
        let mut client = gateway.stream(path, &streamed(body));
        let seen: Vec<_> = client.events().take(6).collect();
        assert!(!seen.is_empty());
        drop(client);
        assert_eq!(sim.last()["outcome"], "client_gone", "{provider} {path}");
        let record = gateway.record(nth + 1);
        assert_eq!(record["outcome"], "client_cut", "{record}");
        assert!(record["output_tokens"].as_u64().unwrap() > 0, "{record}");
        assert!(record["input_tokens"].as_u64().unwrap() > 0, "{record}");
        assert!(record["usage_source"] == "partial" || record["usage_source"] == "estimated", "{record}");
    }
    assert!(!gateway.stderr().contains("ERROR"), "nothing is wrong: {}", gateway.stderr());
}

#[test]
fn a_client_that_leaves_before_the_first_byte_closes_the_upstream() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (path, body) in both("openai/sim-hang", "hi") {
        let bearer = format!("Bearer {}", crate::support::gateway::KEY);
        let mut client = gateway.client();
        client.request("POST", path, &[("authorization", &bearer)], body.to_string().as_bytes());
        crate::support::wait::until("the request upstream", || {
            sim.log().iter().any(|e| e["outcome"] == "open").then_some(())
        });
        drop(client);
        assert_eq!(sim.last()["outcome"], "client_gone", "{path}");
    }
}

#[test]
fn a_stream_that_stalls_ends_at_the_idle_timeout() {
    let sim = Simulated::start();
    let more = "defaults: {timeouts: {idle: 1s}}\n";
    let gateway = Gateway::start(&config(sim.address, sim.address, more));
    for (path, body) in both("openai/sim-stall", "hi") {
        let answer = gateway.post(path, &streamed(body));
        assert_eq!(answer.status(), 200);
        let last = answer.events().into_iter().rfind(|e| e.data != "[DONE]").unwrap();
        assert!(last.json()["error"]["message"].is_string(), "{last:?}");
        assert_eq!(sim.last()["outcome"], "client_gone");
    }
}

/// Only counts could still come: a provider that stalls or breaks there takes nothing from the answer.
#[test]
fn an_answer_whose_model_has_stopped_is_whole() {
    let gate = Gate::default();
    let _opens = Opens(gate.clone());
    let held = gate;
    let events = sse(&[chunk(&json!({"content": "all of it"}), None), chunk(&json!({}), Some("stop"))]);
    let events = events.replace("data: [DONE]\n\n", "");
    let upstream = Upstream::start(move |request, conn| {
        conn.sse_head();
        _ = conn.chunk(&events);
        if request.json()["model"] == "stalls" {
            held.pass();
        }
        conn.close();
    });
    let gateway = Gateway::start(&config(upstream.address, upstream.address, "defaults: {timeouts: {idle: 1s}}\n"));
    for model in ["openai/stalls", "openai/breaks"] {
        for (path, body) in both(model, "hi") {
            let answer = gateway.post(path, &streamed(body));
            let text = answer.text();
            assert!(text.contains("all of it") && !text.contains("error"), "{model}: {text}");
        }
    }
    for record in gateway.wait_records(4) {
        assert_eq!(
            (&record["outcome"], &record["usage_source"]),
            (&json!("finished"), &json!("estimated")),
            "{record}"
        );
        assert!(record["output_tokens"].as_u64() > Some(0), "{record}");
    }
}

/// Row 20: an error in place of the first event is a failed attempt, not an answer.
#[test]
fn an_error_before_the_first_event_of_a_200_falls_back() {
    let sim = Simulated::start();
    let more = "routes:\n  fast:\n    strategy: fallback\n    targets: [{model: openai/sim-stream-error}, {model: anthropic/sim-1}]\n";
    let gateway = Gateway::start(&config(sim.address, sim.address, more));
    for (path, body) in both("fast", "hi there") {
        for body in [body.clone(), streamed(body)] {
            let answer = gateway.post(path, &body);
            assert_eq!(answer.status(), 200, "{}", answer.text());
            assert_eq!(answer.header("x-weir-fallback-used"), "1");
            assert_eq!((answer.header("x-weir-provider"), answer.header("x-weir-attempts")), ("anthropic", "2"));
            assert!(!answer.text().contains("error"), "{}", answer.text());
        }
    }
    assert_eq!(gateway.metric("weir_fallbacks_total", &["from=\"openai\"", "to=\"anthropic\""]), 4.0);
}

#[test]
fn without_a_fallback_that_error_is_the_answer_with_its_status() {
    let sim = Simulated::start();
    let gateway = Gateway::start(&config(sim.address, sim.address, "defaults: {retries: 0}\n"));
    for provider in ["openai", "anthropic"] {
        for (path, body) in both(&format!("{provider}/sim-stream-error"), "hi") {
            let answer = gateway.post(path, &streamed(body));
            assert!(answer.status() >= 500, "{path} {provider}: {} {}", answer.status(), answer.text());
            assert!(answer.json()["error"]["message"].is_string());
        }
    }
}

/// Row 27: a client that reads slowly gets everything, and nothing is lost or reordered.
#[test]
fn a_long_stream_arrives_whole_at_a_slow_reader() {
    let sim = Simulated::start();
    let gateway = Gateway::with(sim.address);
    for (path, body) in both("openai/sim-1", "count to 20000") {
        let body = with(body, json!({"max_tokens": 50_000}));
        let mut client = gateway.stream(path, &streamed(body));
        let text = stream_text(&client.events().collect::<Vec<_>>());
        assert_eq!(text.split(' ').count(), 20_000, "{path}");
        assert!(text.ends_with(" 19999 20000"));
    }
}

/// Found by `make soak`: who was to go on with a stream and broke while it repeated what the client had
/// left it without an end.
#[test]
fn who_breaks_with_nothing_new_leaves_a_stream_as_it_was() {
    const TEXT: &str = "once upon a time there was a gateway that ";
    for (targets, is_mended) in [(2, false), (3, true)] {
        let upstream = Upstream::start(|request, conn| {
            let breaks = request.number < 2;
            let text = if breaks { TEXT } else { "went on" };
            conn.sse_head();
            conn.data(chunk(&json!({"role": "assistant", "content": text}), None));
            if breaks {
                return conn.close();
            }
            conn.data(chunk(&json!({}), Some("stop")));
            conn.data("[DONE]");
            conn.end();
        });
        let models: Vec<_> = (0..targets).map(|n| format!("{{model: openai/m{n}}}")).collect();
        let rules = format!("continuation: true, resend: true, retries: {}", targets - 1);
        let more = format!("routes: {{going: {{targets: [{}], {rules}}}}}\n", models.join(", "));
        let gateway = Gateway::start(&config(upstream.address, upstream.address, &more));
        // Reading to the proper end of the chunked body is what the reader asserts.
        let events: Vec<Event> = gateway.stream(CHAT, &streamed(chat("going", "hi"))).events().collect();
        assert_eq!(upstream.requests().len(), targets);
        let errors = events.iter().filter(|e| e.data != "[DONE]" && e.json()["error"]["message"].is_string()).count();
        assert_eq!(errors, usize::from(!is_mended), "{events:?}");
        assert_eq!(stream_text(&events), if is_mended { format!("{TEXT}went on") } else { TEXT.to_owned() });
    }
}

/// What it used comes behind all that the client wanted of it.
#[test]
fn counts_that_come_when_the_client_has_left_are_its_own() {
    let gate = Gate::default();
    let waits = gate.clone();
    let upstream = Upstream::start(move |_, conn| {
        conn.sse_head();
        conn.data(chunk(&json!({"role": "assistant", "content": "all"}), Some("stop")));
        waits.pass();
        conn.data(usage_chunk(&json!({"prompt_tokens": 11, "completion_tokens": 50_000, "total_tokens": 50_011})));
        conn.data("[DONE]");
        conn.end();
    });
    let gateway = Gateway::with(upstream.address);
    let mut client = gateway.stream(CHAT, &streamed(chat("openai/gpt-4o-mini", "hi")));
    assert!(client.events().next().is_some());
    drop(client);
    gate.open();
    let record = gateway.record(1);
    assert_eq!((&record["output_tokens"], &record["usage_source"]), (&json!(50_000), &json!("reported")), "{record}");
}
