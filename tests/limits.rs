//! Limits as a tenant feels them: exact with ten thousand keys, atomic across scopes, honest about
//! when to come back. Time is a number here, so nothing depends on the machine.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use proptest::prelude::*;
use weir::config::budget::{Budget, Per, Period, Unit};
use weir::config::limits::{Every, Limited, Rate, What};
use weir::config::runtime::{Key, Limits, ModelPattern, Runtime, Share, Tenant};
use weir::error::Kind;
use weir::limit::budget::Spend;
use weir::limit::clock::Moment;
use weir::limit::{Admission, Ask, Denial, KeyLimits, Limiter, Refusal, Used, Want, Who};
use weir::usage::price::PicoUsd;

const WINDOW_MS: u64 = Every::Minute.length_ms();

fn requests(limit: u64) -> Limits {
    Limits { requests_per_minute: Some(limit), ..Limits::default() }
}

fn tokens(limit: u64) -> Limits {
    Limits { tokens_per_minute: Some(limit), ..Limits::default() }
}

fn concurrency(limit: u64) -> Limits {
    Limits { concurrency: Some(limit), ..Limits::default() }
}

fn none() -> Limits {
    Limits::default()
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

/// One key of such a tenant.
fn of(tenant: Tenant) -> Arc<KeyLimits> {
    bound(&Limiter::new(), vec![key(&Arc::new(Tenant { id: "acme".into(), ..tenant }), "dev", none())]).remove(0)
}

/// That many tokens at a target, all of them input.
fn used(tokens: u64) -> [Used<'static>; 1] {
    [Used { target: "openai/gpt", input_tokens: tokens, ..Used::default() }]
}

/// Here the calendar begins with the process.
fn moment(now_ms: u64) -> Moment {
    Moment { now_ms, unix_ms: now_ms }
}

/// A request for the model `fast` of nobody in particular that wants nothing.
fn ask() -> Ask<'static> {
    Ask { model: "fast", target: "openai/gpt", user: None, tags: &[], want: Want::default() }
}

fn input(input_tokens: u64) -> Want {
    Want { input_tokens, ..Want::default() }
}

#[expect(clippy::unwrap_used, reason = "there is no budget that could refuse it")]
fn admit(limits: &KeyLimits, names: &[&str], estimate: u64, now_ms: u64) -> Result<Admission, Box<Denial>> {
    let (model, target) = (names.first().unwrap(), names.last().unwrap());
    let ask = Ask { model, target, want: input(estimate), ..ask() };
    limits.admit(&ask, moment(now_ms)).map_err(|refusal| limit_of(refusal).unwrap())
}

fn limit_of(refusal: Refusal) -> Option<Box<Denial>> {
    match refusal {
        Refusal::Limit(denial) => Some(denial),
        Refusal::Budget(_) | Refusal::Lost(_) => None,
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

/// Below `of`.
fn pick(state: &mut u64, of: usize) -> usize {
    usize::try_from(random(state)).unwrap_or_default() % of
}

#[test]
fn ten_thousand_keys_at_ninety_percent_are_never_refused() {
    let (key_count, limit) = (10_000, 20_u64);
    let acme = tenant(none(), &[]);
    let both = Limits { tokens_per_minute: Some(limit * 1_000), ..requests(limit) };
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
    let acme = tenant(none(), &[]);
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
    let limits = one(none(), &[], requests(600));
    for burst in 0..5 {
        for n in 0..600 {
            let now_ms = burst * (WINDOW_MS + 1_000) + 20_300 + n;
            assert!(call(&limits, 0, now_ms).is_ok(), "request {n} of burst {burst}");
        }
        assert!(call(&limits, 0, burst * (WINDOW_MS + 1_000) + WINDOW_MS).is_err());
    }
    // Small limits are exact to the millisecond.
    let limits = one(none(), &[], requests(60));
    for burst in 0..5 {
        assert!((0..60).all(|n| call(&limits, 0, burst * WINDOW_MS + n).is_ok()));
    }
}

#[test]
fn waiting_exactly_as_told_admits() {
    let all = Limits { tokens_per_minute: Some(9_000), ..requests(70) };
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
    assert_eq!(
        text,
        "the model 'openai/*' has reached its limit of 2 requests per minute: 2 are used; try again in 1m0s"
    );
    assert!(admit("fast", 500, 10_000).is_ok());
    // The key is full until 60 s, the model's tokens until 70 s: the later one is the one that counts.
    let denial = admit("fast", 1, 20_000).unwrap_err();
    assert_eq!((denial.label().as_str(), denial.wait_ms), ("model_tokens", 50_000));
    let (label, text) = names(admit("other", 0, 20_000).unwrap_err());
    assert_eq!(label, "key_requests");
    assert_eq!(text, "the key 'dev' has reached its limit of 3 requests per minute: 3 are used; try again in 40s");
    let error = admit("other", 0, 20_000).unwrap_err().to_error();
    assert_eq!((error.kind(), error.status()), (Kind::RateLimited, 429));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(40)));
}

#[test]
fn a_model_limit_holds_under_every_name_of_the_model() {
    let limits = one(none(), &[("openai/*", requests(1))], none());
    assert!(admit(&limits, &["gpt-5", "openai/gpt-5"], 0, 0).is_ok());
    assert!(admit(&limits, &["fast", "openai/gpt-5"], 0, 0).is_err());
    assert!(admit(&limits, &["anthropic/claude"], 0, 0).is_ok());
}

#[test]
fn a_refused_request_charges_nothing_anywhere() {
    let limiter = Limiter::new();
    let acme = tenant(requests(100), &[]);
    let keys = bound(&limiter, vec![key(&acme, "a", requests(1)), key(&acme, "b", none())]);
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
        let levels = limits.levels(&Who::default(), moment(now_ms));
        levels.iter().find(|shown| shown.scope == "key").map(|shown| shown.it.1.remaining).unwrap()
    };
    let mut cheap = admit(&limits, &["fast"], 600, 0).unwrap();
    assert_eq!(remaining(0), 400);
    assert!(call(&limits, 600, 0).is_err(), "reserved is taken");
    cheap.settle(&used(100), moment(500));
    assert_eq!(remaining(500), 900);
    cheap.settle(&used(900), moment(600));
    cheap.settle(&[], moment(600));
    drop(cheap);
    assert_eq!(remaining(600), 900, "settling counts once, and the drop gives no tokens");
    let mut failed = admit(&limits, &["fast"], 900, 1_000).unwrap();
    assert_eq!(remaining(1_000), 0);
    failed.settle(&[], moment(1_500));
    assert_eq!(remaining(1_500), 900);
    // Real usage above the estimate is charged, into debt if need be, and paid off in time.
    let mut dear = admit(&limits, &["fast"], 100, 2_000).unwrap();
    dear.settle(&used(1_500), moment(2_000));
    assert_eq!(remaining(2_000), 0);
    let wait_ms = call(&limits, 400, 2_000).unwrap_err().wait_ms;
    assert_eq!(wait_ms, WINDOW_MS, "600 of 1,000 stay in debt until the first charges leave");
    assert!(call(&limits, 400, 2_000 + wait_ms).is_ok());
}

#[test]
fn settling_after_the_reservation_has_left_touches_nobody_else() {
    let limits = one(none(), &[], tokens(1_000));
    let mut slow = admit(&limits, &["fast"], 800, 0).unwrap();
    let other = admit(&limits, &["fast"], 700, 90_000).unwrap();
    slow.settle(&used(10), moment(100_000));
    drop((slow, other));
    let denial = call(&limits, 301, 100_000).unwrap_err();
    assert_eq!(denial.standing.tokens.unwrap().remaining, 300);
}

#[test]
fn a_request_larger_than_the_limit_passes_an_unused_window_only() {
    let limits = one(none(), &[], tokens(1_000));
    assert!(call(&limits, 1, 0).is_ok());
    let denial = call(&limits, 5_000, 10).unwrap_err();
    assert_eq!((denial.limited.as_str(), denial.wait_ms), ("tokens_per_minute", WINDOW_MS - 10));
    assert!(denial.to_error().public().contains("5000, more than the limit"), "{}", denial.to_error());
    let mut admission = admit(&limits, &["fast"], 5_000, WINDOW_MS).unwrap();
    assert!(call(&limits, 1, 2 * WINDOW_MS).is_err(), "in debt");
    admission.settle(&used(200), moment(2 * WINDOW_MS));
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
    assert_eq!((denial.label().as_str(), denial.limit), ("tenant_concurrency", LIMIT));
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
    let acme = tenant(none(), &[]);
    let twins = bound(&limiter, vec![key(&acme, "dev", requests(5)), key(&acme, "dev", requests(5))]);
    assert!(call(&twins[0], 0, 0).is_ok());
    assert!(call(&twins[1], 0, 0).is_err());
}

#[test]
fn a_forgotten_scope_starts_anew() {
    let limiter = Limiter::new();
    let acme = tenant(none(), &[]);
    let first = bound(&limiter, vec![key(&acme, "dev", requests(1))]).remove(0);
    assert!(call(&first, 0, 0).is_ok());
    drop(first);
    drop(bound(&limiter, vec![key(&acme, "other", requests(1))]));
    let again = bound(&limiter, vec![key(&acme, "dev", requests(1))]).remove(0);
    assert!(call(&again, 0, 0).is_ok());
}

#[test]
fn the_same_pattern_twice_is_one_limit_and_no_deadlock() {
    let limits = one(none(), &[("*", requests(5)), ("*", requests(2)), ("fast", requests(9))], none());
    assert!(call(&limits, 0, 0).is_ok() && call(&limits, 0, 0).is_ok());
    assert_eq!(call(&limits, 0, 0).unwrap_err().limit, 2);
}

#[test]
fn without_limits_nothing_is_refused_and_no_headers_are_promised() {
    let limits = one(none(), &[], none());
    let admissions: Vec<_> = (0..1_000).map(|_| admit(&limits, &["fast"], u64::MAX, 0).unwrap()).collect();
    assert!(admissions.iter().all(|a| a.standing().requests.is_none() && a.standing().tokens.is_none()));
}

/// Row 36: a limit of tokens per minute is used to the last token, and who waits as told is admitted.
#[test]
fn row_36_a_limit_of_tokens_is_used_to_the_full_and_the_wait_is_exact() {
    let limits = one(none(), &[], tokens(10_000));
    for now_ms in 0..20 {
        let mut admission = admit(&limits, &["fast"], 500, now_ms * 100).unwrap();
        admission.settle(&used(500), moment(now_ms * 100 + 50));
    }
    let denial = call(&limits, 1, 2_000).unwrap_err();
    assert_eq!((denial.used, denial.limit), (10_000, 10_000), "all of it, not 70 %");
    // The first second's charges leave together, with the last of them.
    assert_eq!(denial.wait_ms, 900 + WINDOW_MS - 2_000);
    assert!(call(&limits, 1, 2_000 + denial.wait_ms - 1).is_err());
    assert!(call(&limits, 1, 2_000 + denial.wait_ms).is_ok());
    // Limits do not share windows: requests go on counting where tokens do not.
    let both = Limits { requests_per_minute: Some(3), ..tokens(1_000) };
    let limits = one(none(), &[], both);
    assert!(call(&limits, 1_000, 0).is_ok());
    assert_eq!(call(&limits, 1, 1).unwrap_err().label(), "key_tokens");
    assert!(
        call(&limits, 0, WINDOW_MS).is_ok()
            && call(&limits, 0, WINDOW_MS).is_ok()
            && call(&limits, 0, WINDOW_MS).is_ok()
    );
    assert_eq!(call(&limits, 0, WINDOW_MS).unwrap_err().label(), "key_requests");
}

/// Row 37: nobody has to send `max_tokens`: what a model's answers are like is learned.
#[test]
fn row_37_what_is_reserved_is_learned_from_the_models_answers() {
    let limits = one(none(), &[], tokens(10_000));
    assert_eq!(limits.expected_output("openai/gpt"), None);
    for nth in 0..100 {
        limits.learn_output("openai/gpt", 80 + nth % 40);
    }
    let expected = limits.expected_output("openai/gpt").unwrap();
    assert!((110..150).contains(&expected), "{expected}");
    assert_eq!(limits.expected_output("openai/other"), None, "each model for itself");
    // Budgets hold the worst case, limits what is likely: both in one request.
    let budget = Budget::hard(Unit::Tokens, 32_000, Period::plain(Per::Day));
    let limits = of(Tenant { limits: tokens(1_000), budgets: vec![budget], ..Tenant::default() });
    let want = Want { input_tokens: 100, output_tokens: expected, most_output_tokens: 31_900, ..Want::default() };
    let running = limits.admit(&Ask { want, ..ask() }, moment(0)).unwrap();
    assert_eq!(running.standing().tokens.unwrap().remaining, 900 - expected);
    assert!(matches!(limits.admit(&ask(), moment(0)), Err(Refusal::Budget(_))), "all of the budget is held");
}

#[test]
fn a_part_of_a_request_runs_in_the_place_of_the_whole() {
    let limits = one(concurrency(1), &[("embed/*", concurrency(1))], Limits { concurrency: Some(1), ..requests(3) });
    let part = Ask { model: "embed/m", target: "embed/m", ..ask() };
    let whole = limits.admit(&ask(), moment(0)).unwrap();
    assert!(limits.admit(&part, moment(0)).is_err(), "it has no place of its own");
    let first = limits.admit_within(&part, Some(&whole), moment(0)).unwrap();
    let refused = limits.admit_within(&part, Some(&whole), moment(0)).map_err(limit_of);
    assert_eq!(refused.unwrap_err().unwrap().label(), "model_concurrency", "where the whole has none it needs one");
    drop(first);
    let _again = limits.admit_within(&part, Some(&whole), moment(0)).unwrap();
    assert!(limits.admit(&ask(), moment(0)).is_err(), "the whole still runs");
    let refused = limits.admit_within(&ask(), Some(&whole), moment(0)).map_err(limit_of);
    assert_eq!(refused.unwrap_err().unwrap().label(), "key_requests", "and each of them is a request");
    drop(whole);
    assert!(limits.admit(&ask(), moment(0)).is_err_and(|refusal| refusal.label() == "key_requests"));
}

#[test]
fn a_part_of_a_request_that_goes_elsewhere_runs_there_in_the_place_of_the_whole() {
    let limits = one(none(), &[("own/*", concurrency(1)), ("other/*", concurrency(1))], none());
    let asks = |target| Ask { model: target, target, ..ask() };
    let whole = limits.admit(&asks("own/m"), moment(0)).unwrap();
    let part = limits.admit_within(&asks("a/m"), Some(&whole), moment(0)).unwrap();
    part.also(&limits, "own/m", Want::default(), moment(0)).unwrap();
    let _taken = limits.admit(&asks("other/m"), moment(0)).unwrap();
    assert!(part.also(&limits, "other/m", Want::default(), moment(0)).is_err());
    drop(part);
    assert!(limits.admit(&asks("own/m"), moment(0)).is_err(), "the whole still runs");
}

/// Row 38: limits stand on each key, tenant, model, user and tag for itself, unless a scope is shared.
#[test]
fn row_38_limits_are_each_scopes_own() {
    let limiter = Limiter::new();
    let other = Arc::new(Tenant { id: "beta".into(), limits: requests(1), ..Tenant::default() });
    let acme = tenant(none(), &[("openai/*", requests(1))]);
    let keys =
        bound(&limiter, vec![key(&acme, "a", requests(1)), key(&acme, "b", requests(1)), key(&other, "a", none())]);
    let may = |limits: &KeyLimits, names: &[&str]| admit(limits, names, 0, 0).is_ok();
    assert!(may(&keys[0], &["x"]) && !may(&keys[0], &["x"]), "its own limit");
    assert!(may(&keys[1], &["openai/x"]), "another key of the tenant");
    assert!(may(&keys[2], &["openai/x"]) && !may(&keys[2], &["x"]), "a key of another tenant, by the same name");
    let share = Share { limits: requests(1), budgets: Vec::new() };
    let tags = vec![
        (ModelPattern("team=*".into()), share.clone()),
        (ModelPattern("team=x".into()), Share { limits: requests(2), ..Share::default() }),
    ];
    let limits = of(Tenant { users: share, tags, ..Tenant::default() });
    let may = |user: Option<&str>, tags: &[&str]| {
        let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
        limits.admit(&Ask { user, tags: &tags, ..ask() }, moment(0)).is_ok()
    };
    assert!(may(Some("ada"), &[]) && !may(Some("ada"), &[]) && may(Some("bob"), &[]));
    assert!(may(None, &[]) && may(None, &[]), "who names nobody is nobody");
    assert!(may(None, &["team=a", "team=a"]) && !may(None, &["team=a"]) && may(None, &["team=b", "nightly"]));
    assert!(may(None, &["team=x"]) && may(None, &["team=x"]) && !may(None, &["team=x"]), "its own name counts");
    assert!(!may(Some("eve"), &["team=c", "team=a"]), "all or none");
    assert!(may(Some("eve"), &["team=c"]));
}

fn ten_usd(per: Per) -> Budget {
    Budget::hard(Unit::Usd, 10 * 1_000_000_000_000, Period::plain(per))
}

/// Row 39: of 200 requests at once exactly as many are admitted as a budget is for, each time.
#[test]
fn row_39_a_budget_for_fifty_admits_fifty_of_two_hundred() {
    let price = PicoUsd(200_000_000_000);
    for round in 0..100 {
        let limiter = Limiter::new();
        let budgets = vec![ten_usd(Per::Month)];
        let acme = Arc::new(Tenant {
            id: "acme".into(),
            budgets,
            users: Share { limits: requests(1_000), ..Share::default() },
            ..Tenant::default()
        });
        let keys = bound(&limiter, (0..4).map(|n| key(&acme, format!("k{n}"), none())).collect());
        let (admitted, barrier) = (AtomicU64::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for thread in 0..8_usize {
                let (keys, admitted, barrier) = (&keys, &admitted, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    let want = Want { cost: price, ..Want::default() };
                    for nth in 0..25 {
                        let ask = Ask { user: Some(if nth % 2 == 0 { "ada" } else { "bob" }), want, ..ask() };
                        let Ok(mut admission) = keys[thread % 4].admit(&ask, moment(0)) else { continue };
                        admitted.fetch_add(1, Ordering::SeqCst);
                        admission.settle(&[Used { target: "openai/gpt", cost: price, ..Used::default() }], moment(0));
                    }
                });
            }
        });
        assert_eq!(admitted.load(Ordering::SeqCst), 50, "round {round}");
    }
}

/// Row 40: every kind of limit there is can be set on every scope, is shown there and refuses.
#[test]
fn row_40_every_limit_is_shown_and_has_an_effect_wherever_it_stands() {
    let kinds = ["tenant", "model", "key", "user", "tag"];
    let mut labels = BTreeSet::new();
    for limited in Limited::all() {
        for kind in kinds {
            let mut limits = Limits::default();
            *limits.named_mut(limited.as_str()).unwrap() = Some(7);
            let here = |wanted: &str| if wanted == kind { limits } else { none() };
            let share = |wanted: &str| Share { limits: here(wanted), budgets: Vec::new() };
            let acme = Tenant {
                id: "acme".into(),
                limits: here("tenant"),
                model_limits: vec![(ModelPattern("fast".into()), here("model"))],
                users: share("user"),
                tags: vec![(ModelPattern("team=*".into()), share("tag"))],
                ..Tenant::default()
            };
            let limits = bound(&Limiter::new(), vec![key(&Arc::new(acme), "dev", here("key"))]).remove(0);
            let tags = ["team=search".to_owned()];
            let want = Want { input_tokens: 3, output_tokens: 4, ..Want::default() };
            let ask = Ask { user: Some("ada"), tags: &tags, want, ..ask() };
            let mut running = Vec::new();
            let refusal = loop {
                match limits.admit(&ask, moment(5)) {
                    Ok(admission) => running.push(admission),
                    Err(refusal) => break limit_of(refusal).unwrap(),
                }
                assert!(running.len() <= 7, "{limited:?} on {kind} refuses nothing");
            };
            // Seven requests, or two of 3, one of 4, one of 7 tokens.
            let fit = match limited {
                Limited::Concurrency | Limited::Rate(Rate { what: What::Requests, .. }) => 7,
                Limited::Rate(Rate { what: What::InputTokens, .. }) => 2,
                Limited::Rate(_) => 1,
            };
            assert_eq!((running.len(), refusal.limited, refusal.scope.kind()), (fit, limited, kind));
            let said = refusal.to_error();
            let words = match limited {
                Limited::Rate(rate) => format!("7 {} per {}", rate.what.words(), rate.every.as_str()),
                Limited::Concurrency => "7 concurrent requests".to_owned(),
            };
            assert!(
                said.public()
                    .contains(&format!("the {kind} '{}' has reached its limit of {words}", refusal.scope.name())),
                "{said}"
            );
            let who = Who { user: Some("ada"), tags: &tags };
            let shown = limits.levels(&who, moment(5));
            let level = shown.iter().find(|it| it.scope == kind && it.name == refusal.scope.name()).unwrap();
            assert_eq!((level.it.0, level.it.1.limit), (limited, 7));
            assert!(level.it.1.remaining < 4);
            labels.insert(refusal.label());
            // And all of it is there again when its time is over.
            running.clear();
            let later_ms = 5 + match limited {
                Limited::Rate(rate) => rate.every.length_ms(),
                Limited::Concurrency => 0,
            };
            assert!(limits.admit(&ask, moment(later_ms)).is_ok(), "{limited:?} on {kind}");
        }
    }
    assert_eq!(labels.len(), 17 * 5, "a closed set of labels: {labels:?}");
    assert!(labels.contains("tenant_requests") && labels.contains("tenant_input_tokens_per_day"));
}

/// The same of budgets.
#[test]
fn row_40_every_budget_is_shown_and_has_an_effect_wherever_it_stands() {
    for unit in [Unit::Usd, Unit::Tokens] {
        for (_, per) in Per::WORDS {
            for kind in ["tenant", "model", "key", "user", "tag"] {
                let budget = Budget::hard(unit, 10, Period::plain(per));
                let here = |wanted: &str| if wanted == kind { vec![budget.clone()] } else { Vec::new() };
                let share = |wanted: &str| Share { limits: none(), budgets: here(wanted) };
                let acme = Arc::new(Tenant {
                    id: "acme".into(),
                    budgets: here("tenant"),
                    model_budgets: vec![(ModelPattern("openai/*".into()), here("model"))],
                    users: share("user"),
                    tags: vec![(ModelPattern("team=search".into()), share("tag"))],
                    ..Tenant::default()
                });
                let dev = Key { budgets: here("key"), ..key(&acme, "dev", none()) };
                let limits = bound(&Limiter::new(), vec![dev]).remove(0);
                assert!(limits.are_bounded());
                let tags = ["team=search".to_owned()];
                let want = Want { input_tokens: 6, cost: PicoUsd(6), ..Want::default() };
                let ask = Ask { user: Some("ada"), tags: &tags, want, ..ask() };
                let running = limits.admit(&ask, moment(5)).unwrap();
                let Err(Refusal::Budget(refusal)) = limits.admit(&ask, moment(5)) else {
                    panic!("{unit:?} {per:?} {kind}")
                };
                assert_eq!((refusal.scope.kind(), &refusal.budget), (kind, &budget));
                assert_eq!(refusal.label(), format!("{kind}_budget_{}", unit.as_str()));
                drop(running);
                let shown = limits.balances(&Who { user: Some("ada"), tags: &tags }, 5);
                let balance = shown.iter().find(|it| it.scope == kind && it.name == refusal.scope.name()).unwrap();
                assert_eq!((balance.it.spent, balance.it.remaining()), (6, 4));
            }
        }
    }
}

/// What a fallback ends at is charged to what stands on its model, and to nothing of the first's.
#[test]
fn another_target_finds_room_in_what_stands_on_its_model() {
    let budget = |most| vec![Budget::hard(Unit::Tokens, most, Period::plain(Per::Day))];
    let pattern = |text: &str| ModelPattern(text.into());
    let limits = of(Tenant {
        model_limits: vec![
            (pattern("a/*"), tokens(100)),
            (pattern("b/*"), Limits { concurrency: Some(1), ..tokens(80) }),
        ],
        model_budgets: vec![(pattern("a/*"), budget(1_000)), (pattern("b/*"), budget(100))],
        budgets: budget(10_000),
        ..Tenant::default()
    });
    let want = Want { input_tokens: 60, ..Want::default() };
    let start = || limits.admit(&Ask { target: "a/m", want, ..ask() }, moment(0));
    let left = |name: &str| {
        let levels = limits.levels(&Who::default(), moment(0));
        let rates = levels.iter().filter(|it| it.name == name && it.it.0 != Limited::Concurrency);
        let budgets = limits.balances(&Who::default(), 0);
        let budgets = budgets.iter().filter(|it| it.name == name).map(|it| it.it.remaining());
        (rates.map(|it| it.it.1.remaining).next(), budgets.collect::<Vec<_>>())
    };
    let mut first = start().unwrap();
    first.also(&limits, "b/m", want, moment(0)).unwrap();
    first.also(&limits, "b/m", want, moment(0)).unwrap();
    first.also(&limits, "c/m", want, moment(0)).unwrap();
    assert_eq!((left("a/*"), left("b/*"), left("acme").1), ((Some(40), vec![940]), (Some(20), vec![40]), vec![9_940]));
    // It failed at `a` and was answered by `b`.
    first.settle(&[Used { target: "b/m", input_tokens: 50, ..Used::default() }], moment(0));
    assert_eq!(
        (left("a/*"), left("b/*"), left("acme").1),
        ((Some(100), vec![1_000]), (Some(30), vec![50]), vec![9_950])
    );
    let other = start().unwrap();
    let Err(Refusal::Limit(denial)) = other.also(&limits, "b/m", want, moment(0)) else { panic!("its place is taken") };
    assert_eq!(
        (denial.scope.name(), denial.limited),
        ("b/*", Limited::Rate(Rate { what: What::Tokens, every: Every::Minute }))
    );
    drop(first);
    let Err(Refusal::Budget(exhausted)) = other.also(&limits, "b/m", want, moment(WINDOW_MS)) else {
        panic!("no money left")
    };
    assert_eq!(exhausted.scope.name(), "b/*");
    assert_eq!(left("b/*"), (Some(80), vec![50]), "refused: nothing is held");
    // A dearer target holds its price everywhere, or is passed over.
    assert!(!other.may_stop());
    let dear = Want { input_tokens: 9_960, ..want };
    let Err(Refusal::Budget(exhausted)) = other.also(&limits, "c/m", dear, moment(0)) else { panic!("too dear") };
    assert_eq!(exhausted.scope.kind(), "tenant");
}

#[test]
fn a_stream_may_be_stopped_by_a_budget_of_where_it_went_on() {
    let stopping = Budget { stop: true, ..Budget::hard(Unit::Tokens, 100, Period::plain(Per::Day)) };
    let limits = of(Tenant { model_budgets: vec![(ModelPattern("b/*".into()), vec![stopping])], ..Tenant::default() });
    let want = input(60);
    let running = limits.admit(&Ask { target: "a/m", want, ..ask() }, moment(0)).unwrap();
    assert!(!running.may_stop());
    running.also(&limits, "b/m", want, moment(0)).unwrap();
    assert!(running.may_stop());
    let so_far = |target, parts: &[(&'static str, u64)]| {
        let part = |(target, input_tokens): &(&'static str, u64)| Used {
            target,
            input_tokens: *input_tokens,
            ..Used::default()
        };
        running.keep_up(target, &parts.iter().map(part).collect::<Vec<_>>(), moment(0))
    };
    assert!(so_far("b/m", &[("b/m", 10)]).is_ok() && so_far("b/m", &[("b/m", 100)]).is_ok());
    assert!(so_far("b/m", &[("a/m", 50), ("b/m", 100)]).is_ok(), "what was lost elsewhere is not this model's");
    assert_eq!(so_far("b/m", &[("b/m", 101)]).unwrap_err().scope.name(), "b/*");
    // And where it went on again, that budget has nothing to say any more.
    running.also(&limits, "c/m", want, moment(0)).unwrap();
    assert!(so_far("c/m", &[("b/m", 100), ("c/m", 10_000)]).is_ok());
    assert!(!running.covers(Spend { tokens: 10_001, ..Spend::default() }));
}

#[test]
fn a_limit_per_second_and_one_per_day_hold_side_by_side() {
    let both = Limits { requests_per_second: Some(10), requests_per_day: Some(25), ..none() };
    let limits = one(none(), &[], both);
    let mut admitted = 0;
    for now_ms in (0..10_000).step_by(20) {
        match call(&limits, 0, now_ms) {
            Ok(()) => admitted += 1,
            Err(denial) if admitted < 25 => assert_eq!(denial.label(), "key_requests_per_second"),
            Err(denial) => {
                assert_eq!(denial.label(), "key_requests_per_day");
                assert!(denial.wait_ms > 23 * 3_600_000, "{}", denial.wait_ms);
            }
        }
    }
    assert_eq!(admitted, 25);
}

#[test]
fn what_limits_have_counted_outlives_the_process() {
    const DAY_MS: u64 = 86_400_000;
    let hour = 3_600_000;
    let acme = Arc::new(Tenant {
        id: "acme".into(),
        limits: Limits {
            requests_per_day: Some(3),
            tokens_per_hour: Some(1_000),
            requests_per_second: Some(100),
            ..none()
        },
        users: Share { limits: Limits { requests_per_hour: Some(1), ..none() }, ..Share::default() },
        ..Tenant::default()
    });
    let start = |limiter: &Limiter| bound(limiter, vec![key(&acme, "dev", requests(100))]).remove(0);
    let go = |limits: &KeyLimits, user, at| {
        let ask = Ask { user: Some(user), want: input(700), ..ask() };
        limits.admit(&ask, at).map_err(|refusal| limit_of(refusal).map(|it| (it.label(), it.wait_ms)).unwrap())
    };
    let first = Limiter::new();
    let limits = start(&first);
    let at = |now_ms| Moment { now_ms: DAY_MS + now_ms, unix_ms: 1_800_000_000_000 + now_ms };
    go(&limits, "ada", at(0)).unwrap().settle(&used(1_500), at(10));
    let kept = first.changes(at(20)).unwrap();
    assert!(!kept.contains("per_second"), "{kept}");
    assert_eq!(first.changes(at(20)), None, "nothing changed since");

    // The next process counts from its own beginning, ten minutes later.
    let at = |now_ms| Moment { now_ms: DAY_MS + now_ms, unix_ms: 1_800_000_600_000 + now_ms };
    let second = Limiter::new();
    second.restore(&kept, at(0)).unwrap();
    let limits = start(&second);
    assert_eq!(go(&limits, "bob", at(0)).unwrap_err(), ("tenant_tokens_per_hour".to_owned(), 2 * hour + 10 - 600_000));
    let later = at(2 * hour + 10 - 600_000);
    go(&limits, "bob", later).unwrap().settle(&[], later);
    // Who was not seen again is kept on, and what is over is not.
    let kept = second.changes(at(2 * hour)).unwrap();
    assert!(kept.contains("bob") && !kept.contains("ada"), "{kept}");
    let third = Limiter::new();
    third.restore(&kept, at(2 * hour)).unwrap();
    let limits = start(&third);
    assert_eq!(go(&limits, "bob", at(2 * hour)).unwrap_err().0, "user_requests_per_hour");
    drop(go(&limits, "ada", at(5 * hour)).unwrap());
    let (label, wait_ms) = go(&limits, "eve", at(10 * hour)).unwrap_err();
    assert_eq!((label.as_str(), wait_ms), ("tenant_requests_per_day", 14 * hour - 600_000));
    for broken in ["", "{}", "[]", &kept.replace("\"version\":1", "\"version\":2"), &kept.replace("per_day", "per_eon")]
    {
        assert!(Limiter::new().restore(broken, at(0)).is_err(), "{broken}");
    }
}

/// Many threads over keys, users, tags and models that overlap, in orders of their own: nobody waits for
/// ever, and no hard cap is exceeded.
#[test]
fn many_threads_over_all_scopes_never_exceed_a_cap_and_never_wait_for_each_other() {
    let budget = |most| vec![Budget::hard(Unit::Tokens, most, Period::plain(Per::Total))];
    let share = |limits, most| Share { limits, budgets: budget(most) };
    let acme = Arc::new(Tenant {
        id: "acme".into(),
        limits: concurrency(6),
        budgets: budget(5_400),
        model_limits: vec![(ModelPattern("a/*".into()), tokens(5_000)), (ModelPattern("*".into()), requests(100_000))],
        model_budgets: vec![(ModelPattern("b/*".into()), budget(2_000))],
        users: share(requests(500), 2_000),
        tags: vec![
            (ModelPattern("t=*".into()), share(concurrency(4), 6_000)),
            (ModelPattern("t=1".into()), share(none(), 2_000)),
        ],
        ..Tenant::default()
    });
    let keys = bound(&Limiter::new(), (0..3).map(|n| key(&acme, format!("k{n}"), requests(2_000))).collect());
    let spent: Vec<(usize, usize, u64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8_u64)
            .map(|thread| {
                let keys = &keys;
                scope.spawn(move || {
                    let (mut seed, mut spent) = (thread + 1, Vec::new());
                    for _ in 0..1_500 {
                        // The first comes most often; the last wants most.
                        let user = pick(&mut seed, 3).min(pick(&mut seed, 3));
                        let tag = pick(&mut seed, 3);
                        let mut tags = vec![format!("t={tag}"), format!("t={}", pick(&mut seed, 3))];
                        tags.rotate_left(pick(&mut seed, 2));
                        let user_name = format!("u{user}");
                        let size = if user == 2 { 10 } else { 1 };
                        let want = input((1 + random(&mut seed) % 9) * size);
                        let target = ["a/m", "b/m", "c/m"][pick(&mut seed, 3)];
                        let ask = Ask { target, user: Some(&user_name), tags: &tags, want, ..ask() };
                        let limits = &keys[pick(&mut seed, 3)];
                        let Ok(mut admission) = limits.admit(&ask, moment(0)) else { continue };
                        let ends = if pick(&mut seed, 3) == 0 && admission.also(limits, "b/m", want, moment(0)).is_ok()
                        {
                            "b/m"
                        } else {
                            target
                        };
                        std::thread::yield_now();
                        let tokens = if pick(&mut seed, 4) == 0 { 0 } else { want.input_tokens };
                        admission.settle(&[Used { target: ends, input_tokens: tokens, ..Used::default() }], moment(0));
                        spent.push((user, usize::from(ends == "b/m"), tokens));
                    }
                    spent
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let all: u64 = spent.iter().map(|(.., tokens)| tokens).sum();
    let at_b: u64 = spent.iter().filter(|(_, at_b, _)| *at_b == 1).map(|(.., tokens)| tokens).sum();
    // Each of them was reached, but for what was too small for another request.
    assert!((5_300..=5_400).contains(&all) && (1_900..=2_000).contains(&at_b), "{all} {at_b}");
    for user in 0..3 {
        let own: Vec<_> = spent.iter().filter(|(it, ..)| *it == user).collect();
        let tokens = own.iter().map(|(.., tokens)| tokens).sum::<u64>();
        assert!(own.len() <= 500 && tokens <= 2_000, "{user}: {} {tokens}", own.len());
        assert!(user != 0 || own.len() == 500, "{}", own.len());
        assert!(user != 2 || tokens > 1_900, "{tokens}");
    }
    let balances = keys[0].balances(&Who::default(), 0);
    let tenants = balances.iter().find(|it| it.scope == "tenant").unwrap();
    let models = balances.iter().find(|it| it.scope == "model").unwrap();
    assert_eq!(
        (tenants.it.spent, tenants.it.reserved, models.it.spent, models.it.reserved),
        (all.into(), 0, at_b.into(), 0)
    );
}

#[test]
fn a_key_that_is_in_no_file_shares_what_its_tenant_has() {
    let limiter = Limiter::new();
    let acme = tenant(requests(2), &[]);
    let file = runtime(vec![key(&acme, "listed", none())]);
    let made = (digest(7), Arc::new(key(&acme, "made", requests(1))));
    let both = limiter.bind_with(&file, std::iter::once((&made.0, &made.1)));
    let [listed, made] = [digest(0), made.0].map(|sha256| both.get(&sha256).unwrap());
    assert!(call(made, 0, 0).is_ok());
    assert_eq!(call(made, 0, 0).unwrap_err().label(), "key_requests");
    assert!(call(listed, 0, 0).is_ok());
    assert_eq!(call(listed, 0, 0).unwrap_err().label(), "tenant_requests");
}

proptest! {
    /// Whatever is wanted and used by whomever: what is left of a limit is what it is less what was used,
    /// and nobody is admitted beyond it.
    #[test]
    fn tokens_of_input_output_and_both_are_each_counted_for_themselves(
        steps in prop::collection::vec((0_u64..200, 0_u64..200, 0_u64..=100), 1..60),
    ) {
        let all = Limits { input_tokens_per_hour: Some(2_000), output_tokens_per_hour: Some(1_500), tokens_per_hour: Some(3_000), ..none() };
        let limits = one(all, &[], none());
        let (mut input_used, mut output_used) = (0, 0);
        for (input_tokens, output_tokens, percent) in steps {
            let want = Want { input_tokens, output_tokens, ..Want::default() };
            let Ok(mut admission) = limits.admit(&Ask { want, ..ask() }, moment(7)) else { continue };
            let used = Used { target: "p/m", input_tokens, output_tokens: output_tokens * percent / 100, ..Used::default() };
            admission.settle(&[used], moment(7));
            (input_used, output_used) = (input_used + used.input_tokens, output_used + used.output_tokens);
            let left: Vec<u64> = limits.levels(&Who::default(), moment(7)).iter().map(|it| it.it.1.remaining).collect();
            prop_assert_eq!(left, vec![2_000 - input_used, 1_500 - output_used, 3_000 - input_used - output_used]);
        }
    }
}
