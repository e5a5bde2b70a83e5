//! Limits as a tenant feels them: exact with ten thousand keys, atomic across scopes, honest about
//! when to come back. Time is a number here, so nothing depends on the machine.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use weir::config::runtime::{Key, Limits, ModelPattern, Runtime, Tenant};
use weir::error::Kind;
use weir::limit::budget::Spend;
use weir::limit::clock::Moment;
use weir::limit::{Admission, Denial, KeyLimits, Limited, Limiter, Refusal, Scope, WINDOW_MS};

const NONE: Limits = Limits { requests_per_minute: None, tokens_per_minute: None, concurrency: None };

fn requests(limit: u64) -> Limits {
    Limits { requests_per_minute: Some(limit), ..NONE }
}

fn tokens(limit: u64) -> Limits {
    Limits { tokens_per_minute: Some(limit), ..NONE }
}

fn concurrency(limit: u64) -> Limits {
    Limits { concurrency: Some(limit), ..NONE }
}

fn tenant(limits: Limits, model_limits: &[(&str, Limits)]) -> Arc<Tenant> {
    let model_limits = model_limits.iter().map(|(p, l)| (ModelPattern((*p).to_owned()), *l)).collect();
    Arc::new(Tenant { id: "acme".into(), limits, model_limits, ..Tenant::default() })
}

fn key(tenant: &Arc<Tenant>, id: impl Into<String>, limits: Limits) -> Key {
    Key { id: id.into(), tenant: Arc::clone(tenant), limits, ..Key::default() }
}

fn digest(number: u64) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

fn runtime(keys: Vec<Key>) -> Runtime {
    Runtime { keys: (0..).map(digest).zip(keys.into_iter().map(Arc::new)).collect(), ..Runtime::default() }
}

/// The limits of each key, in their order.
fn bound(limiter: &Limiter, keys: Vec<Key>) -> Vec<Arc<KeyLimits>> {
    let count = keys.len() as u64;
    let bound = limiter.bind(&runtime(keys));
    (0..count).filter_map(|n| bound.get(&digest(n)).map(Arc::clone)).collect()
}

fn one(tenant_limits: Limits, models: &[(&str, Limits)], key_limits: Limits) -> Arc<KeyLimits> {
    bound(&Limiter::new(), vec![key(&tenant(tenant_limits, models), "dev", key_limits)]).remove(0)
}

fn spend(tokens: u64) -> Spend {
    Spend { tokens, ..Spend::default() }
}

/// Here the calendar begins with the process.
fn moment(now_ms: u64) -> Moment {
    Moment { now_ms, unix_ms: now_ms }
}

#[expect(clippy::unwrap_used, reason = "there is no budget that could refuse it")]
fn admit(limits: &KeyLimits, names: &[&str], estimate: u64, now_ms: u64) -> Result<Admission, Box<Denial>> {
    limits.admit(names, spend(estimate), moment(now_ms)).map_err(|refusal| limit_of(refusal).unwrap())
}

fn limit_of(refusal: Refusal) -> Option<Box<Denial>> {
    match refusal {
        Refusal::Limit(denial) => Some(denial),
        Refusal::Budget(_) => None,
    }
}

/// Admits and ends at once.
fn call(limits: &KeyLimits, estimate: u64, now_ms: u64) -> Result<(), Box<Denial>> {
    admit(limits, &["fast"], estimate, now_ms).map(drop)
}

/// A small generator: the rhythm is irregular and the same in every run.
fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

#[test]
fn ten_thousand_keys_at_ninety_percent_are_never_refused() {
    let (key_count, limit) = (10_000, 20_u64);
    let acme = tenant(NONE, &[]);
    let both = Limits { requests_per_minute: Some(limit), tokens_per_minute: Some(limit * 1_000), concurrency: None };
    let keys = bound(&Limiter::new(), (0..key_count).map(|n| key(&acme, format!("k{n}"), both)).collect());
    let (mut seed, mut admitted) = (7, 0_u64);
    // 18 of 20 a minute for three minutes, each key at its own phase and with jitter of 300 ms.
    let (step_ms, rounds) = (WINDOW_MS * 10 / (limit * 9), 3 * limit * 9 / 10);
    let phases: Vec<u64> = keys.iter().map(|_| random(&mut seed) % step_ms).collect();
    for round in 0..rounds {
        for (limits, phase) in keys.iter().zip(&phases) {
            let now_ms = round * step_ms + phase + random(&mut seed) % 300;
            let admission = admit(limits, &["fast"], 1_000, now_ms);
            assert!(admission.is_ok(), "a false refusal at {now_ms}: {admission:?}");
            admitted += 1;
        }
    }
    assert_eq!(admitted, key_count * rounds);
}

#[test]
fn ten_thousand_keys_at_three_times_their_limit_get_exactly_their_limit() {
    let (key_count, limit) = (10_000, 5_u64);
    let acme = tenant(NONE, &[]);
    let keys = bound(&Limiter::new(), (0..key_count).map(|n| key(&acme, format!("k{n}"), requests(limit))).collect());
    let mut admitted = vec![Vec::new(); keys.len()];
    for now_ms in (0..3 * WINDOW_MS).step_by(4_000) {
        for (limits, admitted) in keys.iter().zip(&mut admitted) {
            if call(limits, 0, now_ms).is_ok() {
                admitted.push(now_ms);
            }
        }
    }
    for times in &admitted {
        assert_eq!(times.len() as u64, 3 * limit);
        for start in times {
            let inside = times.iter().filter(|at| (*start..start + WINDOW_MS).contains(at)).count();
            assert!(inside as u64 <= limit);
        }
    }
}

#[test]
fn a_full_burst_may_come_again_a_minute_and_a_second_later() {
    let limits = one(NONE, &[], requests(600));
    for burst in 0..5 {
        for n in 0..600 {
            let now_ms = burst * (WINDOW_MS + 1_000) + 20_300 + n;
            assert!(call(&limits, 0, now_ms).is_ok(), "request {n} of burst {burst}");
        }
        assert!(call(&limits, 0, burst * (WINDOW_MS + 1_000) + WINDOW_MS).is_err());
    }
    // Small limits are exact to the millisecond.
    let limits = one(NONE, &[], requests(60));
    for burst in 0..5 {
        assert!((0..60).all(|n| call(&limits, 0, burst * WINDOW_MS + n).is_ok()));
    }
}

#[test]
fn waiting_exactly_as_told_admits() {
    let all = Limits { requests_per_minute: Some(70), tokens_per_minute: Some(9_000), concurrency: None };
    let limits = one(requests(100), &[("fast", tokens(11_000))], all);
    let (mut now_ms, mut seed, mut refusals) = (0, 3, 0);
    for _ in 0..2_000 {
        now_ms += random(&mut seed) % 400;
        let estimate = random(&mut seed) % 600;
        if let Err(denial) = call(&limits, estimate, now_ms) {
            refusals += 1;
            assert!((1..=WINDOW_MS + 1_000).contains(&denial.wait_ms));
            assert!(call(&limits, estimate, now_ms + denial.wait_ms - 1).is_err(), "could have been sooner");
            now_ms += denial.wait_ms;
            assert!(call(&limits, estimate, now_ms).is_ok(), "told to wait {} ms", denial.wait_ms);
        }
    }
    assert!(refusals > 50, "{refusals}");
}

#[test]
fn the_tightest_limit_wins_and_is_named() {
    let models = [("openai/*", requests(2)), ("fast", tokens(500))];
    let limits = one(requests(4), &models, requests(3));
    let names = |denial: Box<Denial>| (denial.label(), denial.to_error().public().to_owned());
    let admit = |model: &str, estimate, now_ms| admit(&limits, &[model], estimate, now_ms).map(drop);
    assert!(admit("openai/gpt-5", 0, 0).is_ok() && admit("openai/gpt-5", 0, 0).is_ok());
    let (label, text) = names(admit("openai/gpt-5", 0, 0).unwrap_err());
    assert_eq!(label, "model_requests");
    assert_eq!(text, "the model 'openai/*' has reached its limit of 2 requests per minute; try again in 1m0s");
    assert!(admit("fast", 500, 10_000).is_ok());
    // The key is full until 60 s, the model's tokens until 70 s: the later one is the one that counts.
    let denial = admit("fast", 1, 20_000).unwrap_err();
    assert_eq!((denial.label(), denial.wait_ms), ("model_tokens", 50_000));
    let (label, text) = names(admit("other", 0, 20_000).unwrap_err());
    assert_eq!(label, "key_requests");
    assert_eq!(text, "the key 'dev' has reached its limit of 3 requests per minute; try again in 40s");
    let error = admit("other", 0, 20_000).unwrap_err().to_error();
    assert_eq!((error.kind(), error.status()), (Kind::RateLimited, 429));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
}

#[test]
fn a_model_limit_holds_under_every_name_of_the_model() {
    let limits = one(NONE, &[("openai/*", requests(1))], NONE);
    assert!(admit(&limits, &["gpt-5", "openai/gpt-5"], 0, 0).is_ok());
    assert!(admit(&limits, &["fast", "openai/gpt-5"], 0, 0).is_err());
    assert!(admit(&limits, &["anthropic/claude"], 0, 0).is_ok());
}

#[test]
fn a_refused_request_charges_nothing_anywhere() {
    let limiter = Limiter::new();
    let acme = tenant(requests(100), &[]);
    let keys = bound(&limiter, vec![key(&acme, "a", requests(1)), key(&acme, "b", NONE)]);
    assert!(call(&keys[0], 0, 0).is_ok());
    for _ in 0..1_000 {
        assert!(call(&keys[0], 0, 0).is_err());
    }
    let standing = admit(&keys[1], &["fast"], 0, 0).unwrap().standing();
    assert_eq!(standing.requests.unwrap().remaining, 98, "two of the tenant's hundred are used");
}

#[test]
fn tokens_are_reserved_settled_and_refunded() {
    let limits = one(tokens(10_000), &[], tokens(1_000));
    let remaining = |now_ms| {
        let mut found = None;
        limits.levels(now_ms, |scope, _, level| {
            if matches!(scope, Scope::Key { .. }) {
                found = Some(level.remaining);
            }
        });
        found.unwrap()
    };
    let mut cheap = admit(&limits, &["fast"], 600, 0).unwrap();
    assert_eq!(remaining(0), 400);
    assert!(call(&limits, 600, 0).is_err(), "reserved is taken");
    cheap.settle(spend(100), moment(500));
    assert_eq!(remaining(500), 900);
    cheap.settle(spend(900), moment(600));
    cheap.settle(Spend::default(), moment(600));
    drop(cheap);
    assert_eq!(remaining(600), 900, "settling counts once, and the drop gives no tokens");
    let mut failed = admit(&limits, &["fast"], 900, 1_000).unwrap();
    assert_eq!(remaining(1_000), 0);
    failed.settle(Spend::default(), moment(1_500));
    assert_eq!(remaining(1_500), 900);
    // Real usage above the estimate is charged, into debt if need be, and paid off in time.
    let mut dear = admit(&limits, &["fast"], 100, 2_000).unwrap();
    dear.settle(spend(1_500), moment(2_000));
    assert_eq!(remaining(2_000), 0);
    let wait_ms = call(&limits, 400, 2_000).unwrap_err().wait_ms;
    assert_eq!(wait_ms, WINDOW_MS, "600 of 1,000 stay in debt until the first charges leave");
    assert!(call(&limits, 400, 2_000 + wait_ms).is_ok());
}

#[test]
fn settling_after_the_reservation_has_left_touches_nobody_else() {
    let limits = one(NONE, &[], tokens(1_000));
    let mut slow = admit(&limits, &["fast"], 800, 0).unwrap();
    let other = admit(&limits, &["fast"], 700, 90_000).unwrap();
    slow.settle(spend(10), moment(100_000));
    drop((slow, other));
    let denial = call(&limits, 301, 100_000).unwrap_err();
    assert_eq!(denial.standing.tokens.unwrap().remaining, 300);
}

#[test]
fn a_request_larger_than_the_limit_passes_an_unused_window_only() {
    let limits = one(NONE, &[], tokens(1_000));
    assert!(call(&limits, 1, 0).is_ok());
    let denial = call(&limits, 5_000, 10).unwrap_err();
    assert_eq!((denial.limited, denial.wait_ms), (Limited::Tokens, WINDOW_MS - 10));
    assert!(denial.to_error().public().contains("5000, more than the limit"), "{}", denial.to_error());
    let mut admission = admit(&limits, &["fast"], 5_000, WINDOW_MS).unwrap();
    assert!(call(&limits, 1, 2 * WINDOW_MS).is_err(), "in debt");
    admission.settle(spend(200), moment(2 * WINDOW_MS));
    assert!(call(&limits, 800, 3 * WINDOW_MS).is_ok(), "it used little after all");
}

#[test]
fn concurrency_never_exceeds_its_limit_across_threads() {
    const LIMIT: u64 = 7;
    let limits = one(concurrency(LIMIT), &[], concurrency(LIMIT + 1));
    let (running, most, admitted, refused) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let barrier = Barrier::new(16);
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..2_000 {
                    let Ok(admission) = admit(&limits, &["fast"], 0, 0) else {
                        refused.fetch_add(1, Ordering::SeqCst);
                        continue;
                    };
                    most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    running.fetch_sub(1, Ordering::SeqCst);
                    admitted.fetch_add(1, Ordering::SeqCst);
                    drop(admission);
                }
            });
        }
    });
    let most = most.load(Ordering::SeqCst);
    assert!(most <= LIMIT, "{most} at the same time");
    assert_eq!(admitted.load(Ordering::SeqCst) + refused.load(Ordering::SeqCst), 32_000);
    // Every place was given back exactly once.
    let held: Vec<_> = (0..LIMIT).map(|_| admit(&limits, &["fast"], 0, 0).unwrap()).collect();
    let denial = admit(&limits, &["fast"], 0, 0).unwrap_err();
    assert_eq!((denial.label(), denial.limit), ("tenant_concurrency", LIMIT));
    drop(held);
    assert!(admit(&limits, &["fast"], 0, 0).is_ok());
}

#[test]
fn requests_never_exceed_their_limit_across_threads() {
    let acme = tenant(requests(1_000), &[("fast", requests(900))]);
    let keys = bound(&Limiter::new(), (0..8).map(|n| key(&acme, format!("k{n}"), requests(150))).collect());
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for limits in &keys {
            scope.spawn(|| {
                let own = (0..500).filter(|_| call(limits, 0, 1_000).is_ok()).count();
                assert!(own <= 150);
                admitted.fetch_add(own as u64, Ordering::SeqCst);
            });
        }
    });
    assert_eq!(admitted.load(Ordering::SeqCst), 900, "all of the tightest limit, and not one more");
}

#[test]
fn a_reload_keeps_counters_and_takes_new_limits() {
    let limiter = Limiter::new();
    let with = |limit| bound(&limiter, vec![key(&tenant(concurrency(1), &[]), "dev", requests(limit))]).remove(0);
    let before = with(3);
    let running = admit(&before, &["fast"], 0, 0).unwrap();
    let after = with(3);
    assert_eq!(admit(&after, &["fast"], 0, 0).unwrap_err().label(), "tenant_concurrency", "it is still running");
    drop(running);
    assert!(call(&after, 0, 0).is_ok() && call(&after, 0, 0).is_ok());
    assert_eq!(call(&after, 0, 0).unwrap_err().label(), "key_requests");
    let raised = with(4);
    assert!(call(&raised, 0, 0).is_ok());
    assert!(call(&raised, 0, 0).is_err());
    let lowered = with(2);
    assert_eq!(call(&lowered, 0, 0).unwrap_err().wait_ms, WINDOW_MS);
    // Two secrets of one key id are one key.
    let acme = tenant(NONE, &[]);
    let twins = bound(&limiter, vec![key(&acme, "dev", requests(5)), key(&acme, "dev", requests(5))]);
    assert!(call(&twins[0], 0, 0).is_ok());
    assert!(call(&twins[1], 0, 0).is_err());
}

#[test]
fn a_forgotten_scope_starts_anew() {
    let limiter = Limiter::new();
    let acme = tenant(NONE, &[]);
    let first = bound(&limiter, vec![key(&acme, "dev", requests(1))]).remove(0);
    assert!(call(&first, 0, 0).is_ok());
    drop(first);
    drop(bound(&limiter, vec![key(&acme, "other", requests(1))]));
    let again = bound(&limiter, vec![key(&acme, "dev", requests(1))]).remove(0);
    assert!(call(&again, 0, 0).is_ok());
}

#[test]
fn the_same_pattern_twice_is_one_limit_and_no_deadlock() {
    let limits = one(NONE, &[("*", requests(5)), ("*", requests(2)), ("fast", requests(9))], NONE);
    assert!(call(&limits, 0, 0).is_ok() && call(&limits, 0, 0).is_ok());
    assert_eq!(call(&limits, 0, 0).unwrap_err().limit, 2);
}

#[test]
fn without_limits_nothing_is_refused_and_no_headers_are_promised() {
    let limits = one(NONE, &[], NONE);
    let admissions: Vec<_> = (0..1_000).map(|_| admit(&limits, &["fast"], u64::MAX, 0).unwrap()).collect();
    assert!(admissions.iter().all(|a| a.standing().requests.is_none() && a.standing().tokens.is_none()));
}
