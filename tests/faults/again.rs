//! Asking the same target again: what may be sent twice, when, and how long is waited for it. There is
//! no other target here; the first request fails, any further one is answered well.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::fault::{self, Fate, Fault, When};
use super::format::{FORMATS, Format};
use super::table::{DEFAULTS, RETRIES, ask_all, cases, config, is_stream, one_provider, records, target};
use super::voice::Complaint::{Broken, Busy, Limited, NoModel};
use super::voice::{FOUR, Voice};
use crate::support::client::Answer;
use crate::support::gateway::Gateway;
use crate::support::upstream::Upstream;

/// What may have been billed.
const SPENT: [Fault; 9] = [
    Fault::ResetBeforeHead,
    Fault::CloseBeforeHead,
    Fault::ResetMidHead,
    Fault::StallBeforeHead,
    Fault::StallBeforeContent,
    Fault::Answers(Broken),
    Fault::HtmlPage,
    Fault::LostIn200,
    Fault::Compressed,
];
/// What was not.
const REFUSED: [Fault; 4] = [Fault::Answers(Busy), Fault::Status529, Fault::Answers(Limited), Fault::LimitInStream];

/// An upstream whose first request fails.
fn once(voice: Voice, fault: Fault) -> Upstream {
    Upstream::start(move |request, conn| {
        let stream = is_stream(voice, request);
        match request.number {
            0 => fault.play(voice, stream, conn),
            _ => fault::good(voice, stream, conn),
        }
    })
}

fn post(gateway: &Gateway, format: Format, stream: bool, headers: &[(&str, &str)]) -> Answer {
    gateway.call_with("POST", &format.path("it/m", stream), headers, &format.body("it/m", "x", stream))
}

/// What came of a case: how often its target was asked, and what the client got.
struct Outcome<'s> {
    fate: Fate,
    asked: usize,
    answer: &'s Answer,
    is_whole: bool,
}

/// Each fault from upstreams of each format, streamed and not; what `is_right` does not hold for fails.
fn each(faults: &[Fault], defaults: &str, is_right: impl Fn(&Outcome<'_>) -> bool) {
    let all = cases(faults, &FOUR, &[Format::Chat, Format::Messages], &[false]);
    let asked: Arc<Vec<AtomicUsize>> = Arc::new(all.iter().map(|_| AtomicUsize::new(0)).collect());
    let (counts, played) = (Arc::clone(&asked), all.clone());
    let upstream = Upstream::start(move |request, conn| {
        let n = target(&request.path).expect("a case");
        let (voice, before) = (played[n].voice, counts[n].fetch_add(1, Ordering::SeqCst));
        let fault = if before == 0 { played[n].fault } else { Fault::Good };
        fault.play(voice, is_stream(voice, request), conn);
    });
    let gateway = Gateway::start(&config(&all, &upstream, defaults));
    let seen = ask_all(&gateway, &all);
    let records = records(&gateway, all.len());
    let mut wrong = String::new();
    for (n, (case, seen)) in all.iter().zip(&seen).enumerate() {
        let (asked, answer) = (asked[n].load(Ordering::SeqCst), &seen.answer);
        let is_whole = answer.status() == 200 && case.check_text(answer) == Ok(());
        let record = &records[&case.model(n)];
        let is_told = answer.header("x-weir-attempts") == asked.to_string() && record["attempts"] == asked;
        if !is_told || !is_right(&Outcome { fate: case.fate(), asked, answer, is_whole }) {
            let (status, text) = (answer.status(), answer.text());
            let _ = writeln!(wrong, "{case:?}: asked {asked} times, status {status}: {text}\n  {record}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn what_may_have_been_billed_is_sent_once() {
    each(&SPENT, DEFAULTS, |it| it.fate == Fate::Spent && it.asked == 1 && it.answer.status() >= 500);
}

#[test]
fn what_was_refused_is_sent_again() {
    each(&REFUSED, DEFAULTS, |it| it.fate == Fate::MayRepeat && it.asked == 2 && it.is_whole);
}

#[test]
fn whoever_wants_so_has_everything_sent_again() {
    each(&SPENT, &format!("{DEFAULTS}, resend: true"), |it| it.asked == 2 && it.is_whole);
}

#[test]
fn no_retries_are_none() {
    let defaults = format!("{}, resend: true", DEFAULTS.replace("retries: 2", "retries: 0"));
    let all = [REFUSED.as_slice(), &SPENT[..3]].concat();
    each(&all, &defaults, |it| it.asked == 1 && it.answer.status() >= 429);
}

#[test]
fn retries_of_what_may_be_sent_again_end() {
    for (fault, more) in [(Fault::Status529, ""), (Fault::Answers(Broken), ", resend: true")] {
        let upstream = Upstream::start(move |_, conn| fault.play(Voice::Chat, false, conn));
        let gateway = Gateway::start(&one_provider(Voice::Chat, upstream.address, &format!("{DEFAULTS}{more}")));
        let answer = post(&gateway, Format::Chat, false, &[]);
        assert!(answer.status() >= 500, "{}", answer.text());
        assert_eq!(upstream.requests().len(), 1 + RETRIES, "{fault:?}");
        let record = gateway.record(1);
        let kinds: Vec<&str> =
            record["timeline"].as_array().unwrap().iter().filter_map(|attempt| attempt["kind"].as_str()).collect();
        assert_eq!(kinds, ["first", "retry", "retry"], "{record}");
    }
}

/// A target that says when to come back is waited for as long as `max_wait`, not shorter than it
/// says, and not at all where it says longer.
#[test]
fn advice_is_followed_within_the_longest_wait() {
    let ms = Duration::from_millis;
    let cases = [
        (When::Header("1"), Some(ms(950))),
        (When::Ms("400"), Some(ms(390))),
        (When::Body("0.4s"), Some(ms(390))),
        (When::Header("0"), Some(ms(0))),
        (When::Header("0.4"), Some(ms(390))),
        // No advice: the usual wait.
        (When::Header("-3"), Some(ms(0))),
        (When::Header("NaN"), Some(ms(0))),
        (When::Header("1000000000"), None),
        (When::Date(3600), None),
        (When::Body("3600s"), None),
    ];
    std::thread::scope(|scope| {
        for (when, least) in cases {
            scope.spawn(move || {
                let voice = if matches!(when, When::Body(_)) { Voice::Gemini } else { Voice::Chat };
                let upstream = once(voice, Fault::Limits(when));
                let gateway = Gateway::start(&one_provider(voice, upstream.address, DEFAULTS));
                let began = Instant::now();
                let answer = post(&gateway, Format::Chat, false, &[]);
                let (took, asked) = (began.elapsed(), upstream.requests().len());
                match least {
                    Some(least) => {
                        assert_eq!(answer.status(), 200, "{when:?}: {}", answer.text());
                        assert!(took >= least, "{when:?}: asked again after {took:?}");
                        assert_eq!(asked, 2, "{when:?}");
                    }
                    None => {
                        assert_eq!((answer.status(), asked), (429, 1), "{when:?}: {}", answer.text());
                        let after: u64 = answer.header("retry-after").parse().expect("the advice is passed on");
                        assert!((3000..=86_400).contains(&after), "{when:?}: {after}");
                    }
                }
            });
        }
    });
}

/// `x-weir-timeout`: the caller's own patience, whatever the configuration has. That it was short says
/// nothing against the endpoint, which stays there for everybody.
#[test]
fn a_callers_own_deadline_is_named() {
    let upstream = Upstream::start(|_, conn| Fault::StallBeforeHead.play(Voice::Chat, false, conn));
    let patient = "timeouts: {connect: 2s, first_token: 5s, idle: 5s, total: 8s}";
    let gateway = Gateway::start(&one_provider(Voice::Chat, upstream.address, patient));
    std::thread::scope(|scope| {
        for format in FORMATS {
            for (said, named) in
                [("300ms", "(x-weir-timeout)"), ("0.3", "(x-weir-timeout)"), ("first_token=300ms", "timeout)")]
            {
                let gateway = &gateway;
                scope.spawn(move || {
                    for stream in [false, true] {
                        let answer = post(gateway, format, stream, &[("x-weir-timeout", said)]);
                        assert_eq!(answer.status(), 504, "{format:?} {said}: {}", answer.text());
                        assert!(answer.text().contains(named), "{format:?} {said}: {}", answer.text());
                        assert_eq!(format.flaw_of_error(&answer), None, "{}", answer.text());
                    }
                });
            }
        }
    });
    for said in ["0", "-1", "NaN", "inf", "1e300", "18446744073709551615", "soon", "total"] {
        let answer = post(&gateway, Format::Chat, false, &[("x-weir-timeout", said)]);
        assert_eq!(answer.status(), 400, "{said}: {}", answer.text());
    }
}

/// A pooled connection that dies while the provider works is no stale one: the request went out, and
/// may be billed.
#[test]
fn what_was_worked_on_is_not_sent_over_another_connection() {
    let upstream = Upstream::start(|request, conn| {
        if request.nth > 0 {
            std::thread::sleep(Duration::from_millis(1500));
            return conn.close();
        }
        conn.json(200, &Voice::Chat.whole("ok"));
    });
    let patient = "timeouts: {connect: 1s, first_token: 20s, idle: 20s, total: 60s}, retries: 0";
    let gateway = Gateway::start(&one_provider(Voice::Chat, upstream.address, patient));
    // The pool does not promise to use a connection again.
    for _ in 0..20 {
        let before = upstream.requests().len();
        let answer = post(&gateway, Format::Chat, false, &[]);
        let sent = upstream.requests().split_off(before);
        assert_eq!(sent.len(), 1, "sent {} times: {}", sent.len(), answer.text());
        if sent[0].nth > 0 {
            assert_eq!(answer.status(), 502, "{}", answer.text());
            return;
        }
    }
    panic!("no connection was used twice");
}

/// A configuration with the provider `it` and a route `all` with these members.
fn routed(upstream: &Upstream, route: &str, defaults: &str) -> String {
    let config = one_provider(Voice::Chat, upstream.address, defaults);
    config.replacen("defaults:", &format!("routes: {{all: {{{route}}}}}\ndefaults:"), 1)
}

fn ask_route(gateway: &Gateway) -> Answer {
    gateway.post(&Format::Chat.path("all", false), &Format::Chat.body("all", "x", false))
}

#[test]
fn a_routes_total_holds_for_all_attempts() {
    let upstream = Upstream::start(|_, conn| Fault::StallBeforeHead.play(Voice::Chat, false, conn));
    let route = "targets: [{model: it/a}, {model: it/b}, {model: it/c}], timeouts: {first_token: 700ms, total: 1s}";
    let gateway = Gateway::start(&routed(&upstream, route, DEFAULTS));
    let answer = ask_route(&gateway);
    assert_eq!(answer.status(), 504, "{}", answer.text());
    // 700 ms for the first, what is left for the second, nothing for the third.
    let record = gateway.record(1);
    assert_eq!((&record["attempts"], upstream.requests().len()), (&2.into(), 2), "{record}");
}

#[test]
fn a_budget_bounds_the_second_attempts_of_all_requests() {
    let upstream = Upstream::start(|request, conn| match request.json()["model"] == "good" {
        true => fault::good(Voice::Chat, false, conn),
        false => Fault::Answers(NoModel).play(Voice::Chat, false, conn),
    });
    let budget = DEFAULTS.replace("percent: 100, floor: 1000000", "percent: 0, floor: 3");
    let gateway = Gateway::start(&routed(&upstream, "targets: [{model: it/m}, {model: it/good}]", &budget));
    let statuses: Vec<u16> = (0..10).map(|_| ask_route(&gateway).status()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3, "{statuses:?}");
    assert_eq!(upstream.requests().len(), 13);
    assert_eq!(gateway.metric("weir_retries_refused_total", &[]).to_string(), "7");
}
