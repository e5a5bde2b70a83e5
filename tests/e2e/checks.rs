//! Active checks: a server of one's own that says it is not well gets no requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::admin::{ask_many, fleet};
use crate::ask::chat_answer;
use crate::support::gateway::Gateway;
use crate::support::upstream::{Conn, Request, Upstream};
use crate::support::wait::until;

fn server(well: &Arc<AtomicBool>) -> Upstream {
    let well = Arc::clone(well);
    Upstream::start(move |request: &Request, conn: &mut Conn| match request.path.as_str() {
        "/health" if well.load(Ordering::SeqCst) => conn.json(200, "{}"),
        "/health" => conn.json(503, "{}"),
        _ => conn.json(200, &chat_answer("ok")),
    })
}

fn asked(upstream: &Upstream) -> usize {
    upstream.requests().iter().filter(|request| request.method == "POST").count()
}

#[test]
fn a_server_that_fails_its_check_gets_no_requests_until_it_passes() {
    let (well, always) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
    let (a, b) = (server(&well), server(&always));
    let gateway = Gateway::start(&fleet(a.address, b.address, "    check: {path: /health, every: 1s}\n"));
    let state = |wanted: f64| {
        let labels = ["endpoint=\"lab#a\"", "state=\"check_failed\""];
        until("the check", || (gateway.metric("weir_endpoint_state", &labels) == wanted).then_some(()));
    };
    until("the first check", || a.requests().first().map(|request| assert_eq!(request.path, "/health")));
    ask_many(&gateway, 0);
    assert!(asked(&a) > 0 && asked(&b) > 0);
    well.store(false, Ordering::SeqCst);
    state(1.0);
    let before = asked(&a);
    ask_many(&gateway, 100);
    assert_eq!(asked(&a), before);
    assert_eq!(gateway.stderr().matches("fails its check").count(), 1, "said once");
    well.store(true, Ordering::SeqCst);
    state(0.0);
    ask_many(&gateway, 200);
    assert!(asked(&a) > before);
    assert!(gateway.stderr().contains("passes its check again"));
}
