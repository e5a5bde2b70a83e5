//! TLS and HTTP/2 towards clients.

use bytes::Bytes;
use serde_json::Value;

use crate::ask::{CHAT, MESSAGES, chat, message, streamed};
use crate::support::gateway::{Gateway, KEY, config, new_dir};
use crate::support::h2::{calls, certificate};
use crate::support::simulated::Simulated;

fn post(path: &str, body: &Value) -> (http::Request<()>, Bytes) {
    let request = http::Request::post(format!("https://localhost{path}"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .body(())
        .unwrap();
    (request, Bytes::from(body.to_string()))
}

#[test]
fn several_requests_share_one_http2_connection() {
    let sim = Simulated::start();
    let dir = new_dir();
    let (cert, _) = certificate(&dir);
    let text = config(sim.address, sim.address, "").replace(
        "listen: 127.0.0.1:0\n  threads",
        "listen: [{address: 127.0.0.1:0, cert: \"@DIR@/tls.crt\", key: \"@DIR@/tls.key\"}]\n  threads",
    );
    let gateway = Gateway::start_in(dir, &text, &[]);
    // 60 KB, and over the first flow-control window.
    let long = "word ".repeat(12_000);
    let requests = vec![
        post(CHAT, &chat("openai/sim-1", "hello")),
        post(MESSAGES, &streamed(message("openai/sim-1", "hello"))),
        post(CHAT, &streamed(chat("anthropic/sim-1-slow", "hello"))),
        post(CHAT, &chat("openai/sim-1", &long)),
        post(MESSAGES, &message("nobody/sim-1", "hello")),
    ];
    let (protocol, answers) = calls(gateway.address, &cert, requests);
    assert_eq!(protocol, "h2");
    let statuses: Vec<u16> = answers.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 404]);
    let text = |nth: usize| String::from_utf8(answers[nth].1.to_vec()).unwrap();
    assert!(text(0).contains("You said: hello"));
    assert!(text(1).contains("event: message_stop"), "{}", text(1));
    assert!(text(2).ends_with("data: [DONE]\n\n"), "{}", text(2));
    assert!(text(4).contains("not_found_error"), "{}", text(4));
}
