//! What requests take of a store that is made up: it grants all but what the test says, or never answers.

use std::collections::BTreeMap;

use super::batch::Seen;
use super::*;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::config::limits::Share;
use crate::config::runtime::{Key, Limits, ModelPattern, Runtime, Tenant};
use crate::limit::budget::Spend;
use crate::limit::clock::Moment;
use crate::limit::{Admission, Ask, KeyLimits, Limiter, Refusal, Scope, Used, Want};

const AT: Moment = Moment { now_ms: 5, unix_ms: 1_800_000_000_000 };
const TOTAL: Kind = Kind::Total { limit: 50, ends_at_ms: None };

#[derive(Debug)]
struct Nobody;

impl Watch for Nobody {
    fn drawn(&self, _how: Drawn) {}
    fn called(&self, _took: Duration) {}
    fn failed(&self, _reason: &'static str) {}
    fn turned(&self, _is_up: bool) {}
}

/// What is asked of the store waits for the test.
fn shared() -> (Arc<Shared>, mpsc::Receiver<Draw>) {
    let (queue, draws) = mpsc::channel(8);
    let shared = Shared {
        clock: Clock::start(),
        prefix: String::new(),
        counters: Mutex::default(),
        listed: Mutex::default(),
        wake: Notify::new(),
        queue,
        is_up: AtomicBool::new(true),
        replicas: AtomicU64::new(1),
        on_loss: Mutex::default(),
        watch: Arc::new(Nobody),
    };
    (Arc::new(shared), draws)
}

/// Grants what a request lacks, and counts it.
fn grant(mut held: Held, used: &mut BTreeMap<String, u64>) -> Answer {
    for part in held.parts.iter_mut().filter(|part| part.lacking > 0) {
        let lacking = std::mem::take(&mut part.lacking);
        let used = used.entry(part.counter.key().to_owned()).or_default();
        *used += lacking;
        part.counter.answered(Seen { used: Some(*used), extra: 0, slot: 0 }, 5, false);
        part.from = part.counter.granted(0, lacking, 5);
    }
    Answer::Granted(held)
}

/// Runs `work` beside a store that has no room in counters of that name.
async fn beside_store<T>(draws: &mut mpsc::Receiver<Draw>, full: &str, work: impl Future<Output = T>) -> T {
    let mut used = BTreeMap::new();
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            Some(Draw { held, answer, .. }) = draws.recv() => {
                let need = held.parts.iter().position(|part| part.counter.key().contains(full));
                let said = match need {
                    Some(need) => {
                        held.put_back();
                        Answer::Refused(Refused::Full { need, wait_ms: None })
                    }
                    None => grant(held, &mut used),
                };
                assert!(answer.send(said).is_ok());
            }
        }
    }
}

fn tokens(most: i128) -> Budget {
    Budget::hard(Unit::Tokens, most, Period::plain(Per::Total))
}

/// The one key of such a tenant.
fn limits(tenant: Tenant) -> Arc<KeyLimits> {
    bound(&Limiter::new(), tenant)
}

/// The same under a configuration that this limiter is given.
fn bound(limiter: &Limiter, tenant: Tenant) -> Arc<KeyLimits> {
    let tenant = Arc::new(Tenant { id: "acme".into(), ..tenant });
    let key = Key { id: "dev".into(), tenant, ..Key::default() };
    let runtime = Runtime { keys: [([0; 32], Arc::new(key))].into_iter().collect(), ..Runtime::default() };
    limiter.bind(&runtime).get(&[0; 32]).cloned().unwrap()
}

fn of_models(models: &[(&str, Budget)]) -> Arc<KeyLimits> {
    let model_budgets = models.iter().map(|(name, budget)| (ModelPattern((*name).into()), vec![budget.clone()]));
    limits(Tenant { budgets: vec![tokens(1_000)], model_budgets: model_budgets.collect(), ..Tenant::default() })
}

fn want(input_tokens: u64) -> Want {
    Want { input_tokens, ..Want::default() }
}

fn admit(limits: &KeyLimits, input_tokens: u64) -> Admission {
    let ask = Ask { model: "fast", target: "a/m", user: None, tags: &[], want: want(input_tokens) };
    limits.admit(&ask, AT).unwrap()
}

fn used(target: &str, input_tokens: u64) -> Used<'_> {
    Used { target, input_tokens, ..Used::default() }
}

/// The one whose name has that in it.
fn counter(shared: &Shared, name: &str) -> Arc<Counter> {
    let counters = shared.counters();
    let found = counters.all.iter().find(|(key, _)| key.contains(name));
    Arc::clone(found.unwrap().1)
}

/// What is to be told of it.
fn owed(shared: &Shared, name: &str) -> u64 {
    counter(shared, name).entry(5, true).unwrap().owed
}

/// The counter of that name, which the store does not know before this process comes.
fn unknown(shared: &Shared, name: &str) -> Arc<Counter> {
    let counter = shared.counter(name, TOTAL, None);
    counter.seed();
    counter
}

/// The floor that the store is told, and what all have used.
fn floor_and_used(counter: &Counter) -> (u64, u64) {
    (counter.entry(5, true).unwrap().floor, counter.used_by_all())
}

/// Held of the tenant's budget, and of those of models, by their order.
fn held(limits: &KeyLimits) -> Vec<i128> {
    limits.balances(&crate::limit::Who::default(), AT.unix_ms).iter().map(|it| it.it.reserved).collect()
}

#[tokio::test]
async fn what_was_granted_to_somebody_who_went_away_comes_back() {
    let (shared, mut draws) = shared();
    let needs = [Need { counter: shared.counter("total", TOTAL, None), units: 5 }];
    {
        let taking = shared.take(&needs);
        tokio::pin!(taking);
        let draw = tokio::select! {
            biased;
            _ = &mut taking => panic!("nobody has granted it"),
            draw = draws.recv() => draw.unwrap(),
        };
        assert!(draw.answer.send(grant(draw.held, &mut BTreeMap::new())).is_ok(), "it is still waited for");
    }
    assert_eq!(needs[0].counter.used_by_all(), 0);
    assert!(shared.take(&needs).await.is_ok());
    assert!(draws.try_recv().is_err(), "what came back was enough");
}

#[tokio::test]
async fn a_target_that_the_store_refuses_leaves_nothing_behind_and_the_next_one_is_asked() {
    let (shared, mut draws) = shared();
    let limits = of_models(&[("b/*", tokens(500)), ("c/*", tokens(500))]);
    let admission = admit(&limits, 20);
    let work = async {
        admission.share(&shared, AT).await.unwrap();
        admission.also(&limits, "b/m", want(90), AT).unwrap();
        assert_eq!(held(&limits), [90, 90, 0]);
        let refused = admission.share(&shared, AT).await.unwrap_err();
        assert!(matches!(refused, Refusal::Budget(_)), "{refused:?}");
        assert_eq!(held(&limits), [20, 0, 0]);
        admission.also(&limits, "c/m", want(30), AT).unwrap();
        admission.share(&shared, AT).await.unwrap();
        assert_eq!(held(&limits), [30, 0, 30]);
    };
    beside_store(&mut draws, "b%2F*", work).await;
}

#[tokio::test]
async fn a_dearer_target_is_not_refused_by_the_budget_of_the_model_that_was_left() {
    let (shared, mut draws) = shared();
    let limits = of_models(&[("a/*", tokens(30)), ("b/*", tokens(500)), ("fast", tokens(200))]);
    let admission = admit(&limits, 20);
    let work = async {
        admission.share(&shared, AT).await.unwrap();
        admission.also(&limits, "b/m", want(90), AT).unwrap();
        admission.share(&shared, AT).await.unwrap();
        assert_eq!(held(&limits), [90, 20, 90, 90], "the client's own name stands for every target");
        let used = |name| counter(&shared, name).used_by_all();
        assert_eq!((used("a%2F*"), used("b%2F*"), used("fast")), (20, 90, 90));
        admission.also(&limits, "a/n", want(91), AT).unwrap_err();
    };
    beside_store(&mut draws, "nothing", work).await;
}

#[tokio::test]
async fn a_target_that_is_not_waited_for_any_more_leaves_nothing_behind() {
    let (shared, mut draws) = shared();
    let limits = of_models(&[("b/*", tokens(500))]);
    let admission = admit(&limits, 20);
    beside_store(&mut draws, "nothing", admission.share(&shared, AT)).await.unwrap();
    admission.also(&limits, "b/m", want(90), AT).unwrap();
    {
        let sharing = admission.share(&shared, AT);
        tokio::pin!(sharing);
        tokio::select! {
            biased;
            _ = &mut sharing => panic!("nobody has granted it"),
            draw = draws.recv() => drop(draw),
        }
        assert_eq!(held(&limits), [90, 90]);
    }
    assert_eq!(held(&limits), [20, 0]);
}

#[tokio::test]
async fn a_stream_is_stopped_by_budgets_of_what_serves_it_and_charges_no_others() {
    let (shared, mut draws) = shared();
    let stopping = Budget { stop: true, ..tokens(100) };
    let limits = of_models(&[("a/*", stopping.clone()), ("b/*", stopping)]);
    let admission = admit(&limits, 20);
    let work = async {
        admission.share(&shared, AT).await.unwrap();
        admission.also(&limits, "b/m", want(20), AT).unwrap();
        admission.share(&shared, AT).await.unwrap();
    };
    beside_store(&mut draws, "nothing", work).await;
    admission.keep_up("b/m", &[used("a/m", 30), used("b/m", 60)], AT).unwrap();
    assert_eq!((owed(&shared, "a%2F*"), owed(&shared, "b%2F*")), (0, 40));
    let stopped = admission.keep_up("b/m", &[used("a/m", 30), used("b/m", 101)], AT).unwrap_err();
    assert_eq!(stopped.scope.name(), "b/*");
}

#[tokio::test]
async fn tokens_that_nobody_expected_are_charged_at_the_store_too() {
    let (shared, mut draws) = shared();
    let rates = Limits { output_tokens_per_hour: Some(1_000), ..Limits::default() };
    let limits = limits(Tenant { limits: rates, ..Tenant::default() });
    let mut admission = admit(&limits, 20);
    beside_store(&mut draws, "nothing", admission.share(&shared, AT)).await.unwrap();
    admission.settle(&[Used { target: "a/m", output_tokens: 300, ..Used::default() }], AT);
    assert_eq!(owed(&shared, "output_tokens_per_hour"), 299, "one is there already");
}

#[tokio::test]
async fn a_reload_that_changes_a_budget_tells_the_store_nothing_a_second_time() {
    let (shared, mut draws) = shared();
    let counter = unknown(&shared, "acme/tenant/tokens:total:1:UTC:0");
    let limiter = Limiter::new();
    let work = async {
        for most in [100, 1_000] {
            let limits = bound(&limiter, Tenant { budgets: vec![tokens(most)], ..Tenant::default() });
            let mut admission = admit(&limits, 20);
            admission.share(&shared, AT).await.unwrap();
            admission.settle(&[used("a/m", 20)], AT);
        }
    };
    beside_store(&mut draws, "nothing", work).await;
    assert_eq!(counter.kind().limit(), 1_000);
    assert_eq!(floor_and_used(&counter), (0, 40));
}

#[tokio::test]
async fn what_a_user_used_who_was_forgotten_and_comes_again_is_told_once() {
    let (shared, mut draws) = shared();
    let counter = unknown(&shared, "acme/user/ada/tokens:total:1:UTC:0");
    let users = || Share { budgets: vec![tokens(100)], ..Share::default() };
    let ask = Ask { model: "fast", target: "a/m", user: Some("ada"), tags: &[], want: want(20) };
    // Nothing is known of what was forgotten, as in another process.
    let [first, second] = [Limiter::new(), Limiter::new()];
    let work = async {
        for limiter in [&first, &second] {
            let mut admission = bound(limiter, Tenant { users: users(), ..Tenant::default() }).admit(&ask, AT).unwrap();
            admission.share(&shared, AT).await.unwrap();
            admission.settle(&[used("a/m", 15)], AT);
        }
    };
    beside_store(&mut draws, "nothing", work).await;
    assert_eq!(counter.charged(), 30);
    // The ledger has 15 from then, and 35 from before this process.
    let wanted = second.accounts().wanted(AT.unix_ms).into_iter();
    let wanted = wanted.filter(|it| matches!(it.scope, Scope::User { .. })).collect::<Vec<_>>();
    assert_eq!(wanted.len(), 1);
    assert!(second.accounts().restore_spent(&wanted[0], Spend { tokens: 50, ..Spend::default() }));
    assert_eq!(floor_and_used(&counter).0, 35);
}

#[tokio::test]
async fn a_part_of_a_request_needs_no_place_among_those_of_all_replicas() {
    let (shared, mut draws) = shared();
    let limits = limits(Tenant { limits: Limits { concurrency: Some(3), ..Limits::default() }, ..Tenant::default() });
    let ask = Ask { model: "fast", target: "a/m", user: None, tags: &[], want: want(1) };
    let whole = limits.admit(&ask, AT).unwrap();
    beside_store(&mut draws, "nothing", whole.share(&shared, AT)).await.unwrap();
    let other = limits.admit(&ask, AT).unwrap();
    assert!(beside_store(&mut draws, "concurrency", other.share(&shared, AT)).await.is_err());
    let part = limits.admit_within(&ask, Some(&whole), AT).unwrap();
    beside_store(&mut draws, "concurrency", part.share(&shared, AT)).await.unwrap();
}

#[tokio::test]
async fn the_first_settlement_of_a_period_tells_the_marks_that_it_passes() {
    let (shared, mut draws) = shared();
    // A soft one beside it goes by the same counter.
    let soft = Budget { soft: true, ..tokens(95) };
    let limits = limits(Tenant { budgets: vec![tokens(100), soft], ..Tenant::default() });
    let work = async {
        let mut percents: Vec<Vec<u32>> = Vec::new();
        for tokens in [85, 5, 10] {
            let mut admission = admit(&limits, tokens);
            admission.share(&shared, AT).await.unwrap();
            let crossed = admission.settle(&[used("a/m", tokens)], AT);
            percents.push(crossed.iter().map(|it| it.percent).collect());
        }
        percents
    };
    assert_eq!(beside_store(&mut draws, "nothing", work).await, [vec![80, 80], vec![], vec![100, 100]]);
}

#[test]
fn far_from_a_limit_most_requests_need_no_call() {
    let kind = Kind::Window { limit: 1_000_000, length_ms: 3_600_000 };
    let counter = Counter::new("far".into(), 1, kind, None);
    let (mut used, mut leased, mut granted) = (0, 0, 0);
    // The store has plenty, and gives what is wanted.
    let mut call = |now_ms, needed| {
        if let Some(entry) = counter.entry(now_ms, needed > 0) {
            used = used + needed + entry.owed + entry.wanted - entry.due.iter().map(|(_, units)| units).sum::<u64>();
            counter.answered(Seen { used: Some(used), extra: entry.wanted, slot: 0 }, now_ms, false);
        }
    };
    let tick_ms = u64::try_from(TICK.as_millis()).unwrap();
    // A thousand in a second, for three.
    for now_ms in 1..=3_000 {
        let weather = Weather { is_up: true, replicas: 2, now_ms, on_loss: OnStoreLoss::default() };
        match counter.take(1, weather) {
            Took::All(_) => leased += 1,
            Took::Part { .. } => {
                call(now_ms, 1);
                counter.granted(0, 1, now_ms);
                granted += 1;
            }
            took => panic!("{took:?}"),
        }
        if now_ms % tick_ms == 0 {
            counter.tick(tick_ms);
            call(now_ms, 0);
        }
    }
    assert_eq!(leased + granted, 3_000);
    assert!(leased > 19 * granted, "{leased} from leases, {granted} by a call");
}

#[test]
fn what_is_found_later_is_told_to_a_store_that_began_with_less() {
    let counter = Counter::new("total".into(), 1, TOTAL, None);
    let said = |used| counter.answered(Seen { used, extra: 0, slot: 0 }, 5, false);
    let told = || counter.entry(5, true).map(|entry| (entry.seed, entry.floor)).unwrap();
    counter.know(3);
    assert_eq!(told(), (None, 0));
    said(None);
    counter.seed();
    assert_eq!(told(), (Some(3), 0));
    said(Some(4));
    counter.know(2);
    assert_eq!(told(), (None, 0), "it has that");
    said(Some(4));
    counter.know(35);
    assert_eq!(told(), (None, 35));
    // Found while a call is under way: the next one says it.
    counter.know(36);
    said(Some(36));
    assert_eq!(told(), (None, 36));
    said(Some(37));
    assert_eq!(told(), (None, 0));
    // What is to be told anyway is not made less by it.
    said(Some(120));
    counter.resync(true);
    counter.know(90);
    assert_eq!(told(), (None, 120));
    // One that the store knows by itself: there, what others have used since is in it.
    let known = Counter::new("other".into(), 2, TOTAL, None);
    known.entry(5, true);
    known.answered(Seen { used: Some(20), extra: 0, slot: 0 }, 5, false);
    known.know(35);
    assert_eq!(known.entry(5, true).map(|entry| (entry.seed, entry.floor)), Some((None, 0)));
}
