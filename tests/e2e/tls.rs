//! TLS and HTTP/2 towards clients.

use bytes::Bytes;
use serde_json::Value;

use crate::ask::{CHAT, MESSAGES, chat, message, streamed};
use crate::support::gateway::{Gateway, KEY, PROVIDER_KEY, config, new_dir};
use crate::support::h2::{calls, certificate, is_certified};
use crate::support::simulated::Simulated;
use crate::support::wait::until;

fn post(path: &str, body: &Value) -> (http::Request<()>, Bytes) {
    let request = http::Request::post(format!("https://localhost{path}"))
        .header("authorization", format!("Bearer {KEY}"))
        .header("content-type", "application/json")
        .header("content-length", body.to_string().len())
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

/// A provider behind TLS: found by name, verified, spoken to in HTTP/2; without its authority it is
/// never sent a request.
#[test]
fn a_providers_certificate_is_verified() {
    let sim = Simulated::start();
    let dir = new_dir();
    let (cert, _) = certificate(&dir);
    let listen = "listen: [{address: 127.0.0.1:0, cert: \"@DIR@/tls.crt\", key: \"@DIR@/tls.key\"}]\n  threads";
    let secure = config(sim.address, sim.address, "").replace("listen: 127.0.0.1:0\n  threads", listen);
    let provider = Gateway::start_in(dir, &secure, &[]);
    let front = |authority: &str| {
        let plain = format!("{{base_url: \"http://{}/v1\", api_key: \"{PROVIDER_KEY}\"}}", sim.address);
        let port = provider.address.port();
        let tls = format!("{{base_url: \"https://localhost:{port}/v1\", api_key: \"{KEY}\"{authority}}}");
        Gateway::start(&config(sim.address, sim.address, "defaults: {retries: 0}\n").replace(&plain, &tls))
    };
    let trusting = front(&format!(", ca_file: \"{}\"", cert.display()));
    for body in [chat("openai/openai/sim-1", "hello"), streamed(chat("openai/openai/sim-1", "hello"))] {
        let answer = trusting.post(CHAT, &body);
        assert_eq!(answer.status(), 200, "{} {}", answer.text(), trusting.stderr());
    }
    let asked = provider.wait_records(2).len();
    let answer = front("").post(CHAT, &chat("openai/openai/sim-1", "hello"));
    assert_eq!((answer.status(), answer.json()["error"]["code"].as_str()), (502, Some("upstream_error")));
    assert_eq!(provider.records().len(), asked, "no request reaches a server that cannot be verified");
}

/// A renewed certificate is shown without a restart; one that does not go with its key, or is none, changes nothing.
#[test]
fn a_renewed_certificate_is_shown_from_the_next_handshake_on() {
    let sim = Simulated::start();
    let (dir, made) = (new_dir(), new_dir());
    certificate(&dir);
    let text = config(sim.address, sim.address, "").replace(
        "listen: 127.0.0.1:0\n  threads",
        "listen: [{address: 127.0.0.1:0, cert: \"@DIR@/tls.crt\", key: \"@DIR@/tls.key\"}]\n  threads",
    );
    let gateway = Gateway::start_in(dir.clone(), &text, &[]);
    let first = std::fs::read(dir.join("tls.crt")).unwrap();
    let trusted = made.join("trusted.crt");
    let is_shown = |cert: &[u8]| {
        std::fs::write(&trusted, cert).unwrap();
        is_certified(gateway.address, &trusted)
    };
    assert!(is_shown(&first));
    certificate(&made);
    let second = std::fs::read(made.join("tls.crt")).unwrap();
    let failures = || gateway.metric("weir_config_reload_failures_total", &[]);
    std::fs::rename(made.join("tls.crt"), dir.join("tls.crt")).unwrap();
    until("a reload that fails", || (failures() > 0.0).then_some(()));
    assert!(gateway.stderr().contains("cannot be used with the key"), "{}", gateway.stderr());
    assert!(is_shown(&first), "the old one goes with the key");
    std::fs::rename(made.join("tls.key"), dir.join("tls.key")).unwrap();
    until("the new certificate", || is_shown(&second).then_some(()));
    assert!(!is_shown(&first));
    let failed = failures();
    std::fs::write(dir.join("tls.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    until("a reload that fails again", || (failures() > failed).then_some(()));
    assert!(is_shown(&second));
    // Other files for the same listener.
    certificate(&made);
    let third = std::fs::read(made.join("tls.crt")).unwrap();
    gateway.write_config(&text.replace("@DIR@/tls", &format!("{}/tls", made.display())));
    until("the certificate of other files", || is_shown(&third).then_some(()));
}
