//! The rules of attempts: tables, and properties over worlds of any kind.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 50_000;
const NEVER_MS: u64 = u64::MAX;

/// Targets as the test says they are.
struct World {
    standings: RefCell<Vec<Standing>>,
    windows: Vec<u64>,
    budget: Cell<u32>,
    chance: u64,
}

impl World {
    fn of(standings: &[Standing]) -> Self {
        let windows = (0..standings.len()).map(|n| n as u64 * 1_000).collect();
        Self { standings: RefCell::new(standings.to_vec()), windows, budget: Cell::new(100), chance: 7 }
    }

    fn well(count: usize) -> Self {
        Self::of(&vec![Standing::Good; count])
    }
}

impl View for World {
    fn standing(&self, index: usize) -> Standing {
        self.standings.borrow()[index]
    }

    fn is_longer(&self, index: usize, than: usize) -> bool {
        self.windows[index] > self.windows[than]
    }

    fn may_retry(&self) -> bool {
        let left = self.budget.get();
        self.budget.set(left.saturating_sub(1));
        left > 0
    }

    fn chance(&self) -> u64 {
        self.chance
    }
}

fn failure(cause: Cause) -> Failure {
    let (retry, unbilled) = match cause {
        Cause::Timeout | Cause::Broken | Cause::Failed => (Retry::NextTarget, false),
        Cause::RateLimited | Cause::Quota | Cause::Overloaded | Cause::Auth | Cause::NotFound | Cause::NoPlace => {
            (Retry::NextTarget, true)
        }
        Cause::Rejected | Cause::ContextTooLong => (Retry::No, true),
        _ => (Retry::No, false),
    };
    Failure { cause, retry, unbilled, retry_after_ms: None }
}

fn begun(rules: &AttemptRules, world: &World, index: usize) -> Attempts {
    let mut attempts = Attempts::new(rules, world.windows.len());
    assert_eq!(attempts.first(world, NOW_MS, NEVER_MS), Next::Ask(index));
    attempts
}

const STOP: Next = Next::Stop { after_ms: None };
const COOLING: Standing = Standing::Cooling { until_ms: NOW_MS + 1_500 };
const FAR: Standing = Standing::Cooling { until_ms: NOW_MS + 90_000 };
const BROKEN: Standing = Standing::Broken { until_ms: NOW_MS + 4_000 };

#[test]
fn the_first_that_is_well_is_asked_first() {
    let first = |standings: &[Standing]| {
        Attempts::new(&AttemptRules::default(), standings.len()).first(&World::of(standings), NOW_MS, NEVER_MS)
    };
    assert_eq!(first(&[Standing::Good, Standing::Good]), Next::Ask(0));
    assert_eq!(first(&[BROKEN, Standing::Drained, Standing::Low, Standing::Good]), Next::Ask(3));
    assert_eq!(first(&[COOLING, Standing::Full]), Next::Ask(1), "rather in line than out");
    // All are out: the one that is back within `max_wait`, or one to find out.
    assert_eq!(first(&[BROKEN, FAR, COOLING]), Next::Wait { index: 2, for_ms: 1_500 });
    assert_eq!(first(&[Standing::Probing, BROKEN]), Next::Ask(1));
    assert_eq!(first(&[Standing::Drained, Standing::Probing]), Next::Stop { after_ms: Some(1_000) });
    let mut attempts = Attempts::new(&AttemptRules::default(), 2);
    let soon_over = attempts.first(&World::of(&[BROKEN, COOLING]), NOW_MS, NOW_MS + 1_000);
    assert_eq!(soon_over, Next::Ask(0), "a wait beyond the deadline is none");
}

#[test]
fn a_failure_goes_on_to_the_next_at_once() {
    for cause in [
        Cause::RateLimited,
        Cause::Quota,
        Cause::Overloaded,
        Cause::Auth,
        Cause::NotFound,
        Cause::Timeout,
        Cause::Broken,
        Cause::Failed,
        Cause::NoPlace,
    ] {
        let world = World::well(3);
        let mut attempts = begun(&AttemptRules::default(), &world, 0);
        assert_eq!(attempts.after(0, &failure(cause), &world, NOW_MS, NEVER_MS), Next::Ask(1), "{cause:?}");
    }
}

#[test]
fn the_clients_own_mistakes_end_it() {
    for cause in [Cause::Rejected, Cause::ContentRefused, Cause::ClientGone, Cause::Internal, Cause::ContextTooLong] {
        let world = World::well(3);
        let mut attempts = begun(&AttemptRules { resend: true, ..AttemptRules::default() }, &world, 0);
        assert_eq!(attempts.after(0, &failure(cause), &world, NOW_MS, NEVER_MS), STOP, "{cause:?}");
        assert_eq!(world.budget.get(), 100, "and cost no retry");
    }
}

#[test]
fn a_context_too_long_goes_to_a_longer_window_where_that_is_wanted() {
    let rules = AttemptRules { longer_context: true, retries: 5, ..AttemptRules::default() };
    let world = World { windows: vec![8_000, 4_000, 8_000, 32_000, 16_000], ..World::well(5) };
    let long = failure(Cause::ContextTooLong);
    let mut attempts = begun(&rules, &world, 0);
    assert_eq!(attempts.after(0, &long, &world, NOW_MS, NEVER_MS), Next::Ask(3));
    assert_eq!(attempts.after(3, &long, &world, NOW_MS, NEVER_MS), STOP, "none is longer");
    let mut attempts = begun(&rules, &world, 0);
    world.standings.borrow_mut()[3] = BROKEN;
    assert_eq!(attempts.after(0, &long, &world, NOW_MS, NEVER_MS), Next::Ask(4));
}

#[test]
fn the_only_target_is_asked_again_where_nothing_was_billed() {
    let rules = AttemptRules { backoff: Duration::from_millis(100), retries: 9, ..AttemptRules::default() };
    let world = World::well(1);
    let mut attempts = begun(&rules, &world, 0);
    let mut waits = Vec::new();
    while let Next::Wait { index: 0, for_ms } = attempts.after(0, &failure(Cause::Overloaded), &world, NOW_MS, NEVER_MS)
    {
        waits.push(for_ms);
    }
    assert_eq!(waits, [57, 107, 207, 407, 807, 1_607], "half of what doubles, and chance, up to `max_wait`");
    for (cause, resend, again) in [
        (Cause::Failed, false, false),
        (Cause::Failed, true, true),
        (Cause::Timeout, false, false),
        (Cause::Timeout, true, true),
        (Cause::Broken, true, true),
        (Cause::Quota, true, false),
        (Cause::Auth, true, false),
        (Cause::NotFound, true, false),
        (Cause::NoPlace, true, false),
    ] {
        let mut attempts = begun(&AttemptRules { resend, ..rules }, &world, 0);
        let next = attempts.after(0, &failure(cause), &world, NOW_MS, NEVER_MS);
        assert_eq!(matches!(next, Next::Wait { .. }), again, "{cause:?} {resend}: {next:?}");
    }
    // No connection, no bill.
    let unconnected = Failure { retry: Retry::SameTarget, unbilled: true, ..failure(Cause::Timeout) };
    let next = begun(&rules, &world, 0).after(0, &unconnected, &world, NOW_MS, NEVER_MS);
    assert!(matches!(next, Next::Wait { .. }), "{next:?}");
}

#[test]
fn retry_after_is_waited_for_within_max_wait_and_the_deadline() {
    let rules = AttemptRules { max_wait: Duration::from_secs(2), ..AttemptRules::default() };
    let after = |retry_after_ms: u64, until_ms: u64| {
        let world = World::well(1);
        let limited = Failure { retry_after_ms: Some(retry_after_ms), ..failure(Cause::RateLimited) };
        begun(&rules, &world, 0).after(0, &limited, &world, NOW_MS, until_ms)
    };
    assert_eq!(after(1_700, NEVER_MS), Next::Wait { index: 0, for_ms: 1_700 });
    assert_eq!(after(2_000, NEVER_MS), Next::Wait { index: 0, for_ms: 2_000 });
    assert_eq!(after(2_001, NEVER_MS), STOP);
    assert_eq!(after(1_700, NOW_MS + 1_700), STOP, "then all is over");
    assert_eq!(after(1_700, NOW_MS), STOP);
}

#[test]
fn one_that_cools_down_is_waited_for_where_nobody_else_is_left() {
    let world = World::of(&[Standing::Good, COOLING, FAR]);
    let mut attempts = begun(&AttemptRules::default(), &world, 0);
    let next = attempts.after(0, &failure(Cause::Failed), &world, NOW_MS, NEVER_MS);
    assert_eq!(next, Next::Wait { index: 1, for_ms: 1_500 });
}

#[test]
fn an_empty_retry_budget_stops() {
    let world = World { budget: Cell::new(1), ..World::well(3) };
    let mut attempts = begun(&AttemptRules::default(), &world, 0);
    assert_eq!(attempts.after(0, &failure(Cause::Failed), &world, NOW_MS, NEVER_MS), Next::Ask(1));
    assert_eq!(attempts.after(1, &failure(Cause::Failed), &world, NOW_MS, NEVER_MS), STOP);
    let world = World { budget: Cell::new(0), ..World::well(3) };
    assert_eq!(begun(&AttemptRules::default(), &world, 0).beside(0, &world), None);
}

#[test]
fn a_second_attempt_beside_the_first_goes_elsewhere_and_counts() {
    let world = World::of(&[Standing::Good, BROKEN, Standing::Good]);
    let mut attempts = begun(&AttemptRules { retries: 1, ..AttemptRules::default() }, &world, 0);
    assert_eq!(attempts.beside(0, &world), Some(2));
    attempts.take_beside(0, 2);
    assert_eq!(attempts.beside(0, &world), None, "that was the one retry");
    assert_eq!(attempts.after(0, &failure(Cause::Failed), &world, NOW_MS, NEVER_MS), STOP);
    let alone = World::well(1);
    assert_eq!(begun(&AttemptRules::default(), &alone, 0).beside(0, &alone), Some(0));
}

#[test]
fn a_second_attempt_that_never_began_has_used_nothing_up() {
    let world = World::well(2);
    let mut attempts = begun(&AttemptRules { retries: 1, ..AttemptRules::default() }, &world, 0);
    assert_eq!(attempts.beside(0, &world), Some(1));
    assert_eq!(attempts.after(0, &failure(Cause::Failed), &world, NOW_MS, NEVER_MS), Next::Ask(1));
}

#[test]
fn one_that_cannot_be_asked_is_passed_over_without_counting() {
    let world = World::well(4);
    let mut attempts = begun(&AttemptRules { retries: 0, ..AttemptRules::default() }, &world, 0);
    assert_eq!(attempts.instead(0, &world), Next::Ask(1));
    assert_eq!(attempts.instead(1, &world), Next::Ask(2));
    world.standings.borrow_mut()[3] = BROKEN;
    assert_eq!(attempts.instead(2, &world), STOP);
    assert_eq!(world.budget.get(), 100);
}

const CAUSES: [Cause; 14] = [
    Cause::RateLimited,
    Cause::Quota,
    Cause::Overloaded,
    Cause::ContextTooLong,
    Cause::ContentRefused,
    Cause::Rejected,
    Cause::Auth,
    Cause::NotFound,
    Cause::Timeout,
    Cause::Broken,
    Cause::Failed,
    Cause::ClientGone,
    Cause::NoPlace,
    Cause::Internal,
];

fn standings() -> impl Strategy<Value = Standing> {
    prop_oneof![
        4 => Just(Standing::Good),
        1 => Just(Standing::Low),
        1 => Just(Standing::Full),
        1 => Just(Standing::Probing),
        1 => Just(Standing::Unwell),
        1 => Just(Standing::Drained),
        2 => (0..200_000_u64).prop_map(|until_ms| Standing::Cooling { until_ms }),
        1 => (0..200_000_u64).prop_map(|until_ms| Standing::Broken { until_ms }),
        1 => (0..200_000_u64).prop_map(|until_ms| Standing::Locked { until_ms }),
    ]
}

fn rules() -> impl Strategy<Value = AttemptRules> {
    let flags = (any::<bool>(), any::<bool>());
    (0..6_u32, 0..3_000_u64, 0..5_000_u64, flags).prop_map(|(retries, backoff, max_wait, flags)| AttemptRules {
        retries,
        backoff: Duration::from_millis(backoff),
        max_wait: Duration::from_millis(max_wait),
        resend: flags.0,
        longer_context: flags.1,
        ..AttemptRules::default()
    })
}

/// What happens at one step: a cause, whether it is sure that nothing was billed, a wish to wait, whether
/// a second attempt runs beside, and how the targets stand then.
type Step = (usize, bool, Option<u64>, bool, Vec<Standing>);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = (
        0..CAUSES.len(),
        any::<bool>(),
        prop::option::of(0..100_000_u64),
        prop::bool::weighted(0.2),
        prop::collection::vec(standings(), 6),
    );
    prop::collection::vec(step, 24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever fails in whatever way: it ends, in bounds, and nothing is billed twice unasked.
    #[test]
    fn attempts_are_bounded_and_billed_once(
        rules in rules(),
        steps in steps(),
        targets in 1..6_usize,
        chance in any::<u64>(),
        patience_ms in prop_oneof![Just(NEVER_MS / 2), 0..10_000_u64],
        budget in 0..10_u32,
    ) {
        let world = World { budget: Cell::new(budget), chance, ..World::well(6) };
        let mut attempts = Attempts::new(&rules, targets);
        let (mut now_ms, until_ms) = (NOW_MS, NOW_MS + patience_ms);
        let mut asked: Vec<(usize, bool)> = Vec::new();
        *world.standings.borrow_mut() = steps[0].4.clone();
        let mut next = attempts.first(&world, now_ms, until_ms);
        let mut ended = false;
        for (cause, unbilled, retry_after_ms, hedged, standings) in &steps {
            let index = match next {
                Next::Ask(index) => index,
                Next::Wait { index, for_ms } => {
                    prop_assert!(u128::from(for_ms) <= rules.max_wait.as_millis(), "waits {for_ms} ms");
                    prop_assert!(now_ms + for_ms < until_ms, "waits beyond the deadline");
                    now_ms += for_ms;
                    index
                }
                Next::Stop { .. } => {
                    ended = true;
                    break;
                }
            };
            prop_assert!(index < targets);
            let billed = asked.iter().any(|(earlier, billed)| *earlier == index && *billed);
            prop_assert!(rules.resend || !billed, "{index} was asked after a failure that it may bill: {asked:?}");
            *world.standings.borrow_mut() = standings.clone();
            if *hedged && let Some(other) = attempts.beside(index, &world) {
                attempts.take_beside(index, other);
                // It loses, and will be charged for.
                asked.push((other, true));
            }
            let cause = CAUSES[*cause];
            let retry = failure(cause).retry;
            let failure = Failure { cause, retry, unbilled: *unbilled, retry_after_ms: *retry_after_ms };
            asked.push((index, !unbilled));
            now_ms += 1;
            next = attempts.after(index, &failure, &world, now_ms, until_ms);
            let goes_on = !matches!(next, Next::Stop { .. });
            let about_itself = matches!(cause, Cause::Rejected | Cause::ContentRefused | Cause::ClientGone);
            prop_assert!(!(about_itself && goes_on), "{cause:?} goes on");
            if let (Cause::ContextTooLong, Next::Ask(longer) | Next::Wait { index: longer, .. }) = (cause, next) {
                prop_assert!(rules.longer_context && world.is_longer(longer, index));
            }
        }
        prop_assert!(ended, "it never ends: {asked:?}");
        prop_assert!(asked.len() <= 1 + rules.retries as usize, "{} attempts", asked.len());
        prop_assert!(asked.len() <= 1 + budget as usize, "beyond the retry budget");
    }
}
