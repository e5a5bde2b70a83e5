use proptest::prelude::*;

use super::*;
use crate::config::budget::{Per, Percents, Period, Unit};
use crate::usage::price::PicoUsd;

const DAY_MS: u64 = 86_400_000;
/// 2026-11-29, a Sunday, at noon.
const NOW_MS: u64 = 20_786 * DAY_MS + DAY_MS / 2;

fn budget(unit: Unit, most: i128, per: Per) -> Budget {
    Budget::hard(unit, most, Period::plain(per))
}

fn tokens(most: i128, per: Per) -> Budget {
    budget(Unit::Tokens, most, per)
}

fn spend(tokens: u64, pico_usd: i128) -> Spend {
    Spend { tokens, cost: PicoUsd(pico_usd) }
}

fn key() -> Scope {
    Scope::Key { tenant: "acme".into(), key: "dev".into() }
}

fn open(accounts: &Accounts, tenant: &[Budget], key_budgets: &[Budget]) -> Purses {
    let tenant = accounts.open(Scope::Tenant("acme".into()), tenant, NOW_MS);
    let purses = [tenant, accounts.open(key(), key_budgets, NOW_MS)];
    accounts.set_bounded(purses.iter().any(|purse| purse.is_bounded()));
    Purses::new(purses.into_iter())
}

fn purses(tenant: &[Budget], key_budgets: &[Budget]) -> Purses {
    open(&Accounts::default(), tenant, key_budgets)
}

/// Without purses of models, users and tags.
trait Plainly {
    fn take(&self, want: Spend, unix_ms: u64) -> Result<Reservation, Box<Exhausted>>;
}

impl Plainly for Purses {
    fn take(&self, want: Spend, unix_ms: u64) -> Result<Reservation, Box<Exhausted>> {
        self.reserve(Vec::new(), want, unix_ms)
    }
}

trait Pay {
    fn pay(&mut self, used: Spend, unix_ms: u64) -> Vec<Crossed>;
}

impl Pay for Reservation {
    fn pay(&mut self, used: Spend, unix_ms: u64) -> Vec<Crossed> {
        self.settle(used, |_| used, unix_ms)
    }
}

/// Spent and reserved of the first budgets of tenant and key.
fn standing(purses: &Purses, unix_ms: u64) -> Vec<(i128, i128)> {
    purses.iter().flat_map(|purse| purse.balances(unix_ms)).map(|it| (it.spent, it.reserved)).collect()
}

#[test]
fn what_is_reserved_is_given_back_and_what_was_used_is_spent() {
    let purses = purses(&[tokens(100, Per::Day)], &[budget(Unit::Usd, 1_000, Per::Month)]);
    let mut one = purses.take(spend(60, 700), NOW_MS).unwrap();
    assert_eq!(standing(&purses, NOW_MS), [(0, 60), (0, 700)]);
    assert!(one.pay(spend(10, 200), NOW_MS).is_empty());
    assert!(one.pay(spend(10, 200), NOW_MS).is_empty(), "counts once");
    assert_eq!(standing(&purses, NOW_MS), [(10, 0), (200, 0)]);
    purses.take(spend(90, 800), NOW_MS).unwrap().pay(Spend::default(), NOW_MS);
    assert_eq!(standing(&purses, NOW_MS), [(10, 0), (200, 0)], "given back");
    drop(purses.take(spend(90, 800), NOW_MS).unwrap());
    assert_eq!(standing(&purses, NOW_MS), [(100, 0), (1_000, 0)], "never settled: all of it counts");
}

#[test]
fn all_budgets_are_charged_or_none() {
    let purses = purses(&[tokens(100, Per::Day)], &[tokens(1_000, Per::Day), budget(Unit::Usd, 5, Per::Total)]);
    let refused = purses.take(spend(1, 6), NOW_MS).unwrap_err();
    assert_eq!((refused.label().as_str(), refused.resets_at_ms), ("key_budget_usd", None));
    assert_eq!(standing(&purses, NOW_MS), [(0, 0), (0, 0), (0, 0)]);
    assert_eq!(purses.take(spend(101, 0), NOW_MS).unwrap_err().label(), "tenant_budget_tokens");
    assert_eq!(purses.take(spend(1_001, 6), NOW_MS).unwrap_err().label(), "key_budget_usd", "it stays longest");
    drop(purses.take(spend(100, 5), NOW_MS).unwrap());
    let refused = purses.take(Spend::default(), NOW_MS).unwrap_err();
    assert_eq!(refused.label(), "key_budget_usd", "what may use nothing is refused too once all is used");
}

#[test]
fn the_refusal_says_which_budget_and_until_when() {
    let month = Budget {
        period: Period { reset_day: 15, ..Period::plain(Per::Month) },
        ..budget(Unit::Usd, 1_500_000_000_000, Per::Day)
    };
    let purses = purses(&[month], &[tokens(50, Per::Total)]);
    let said = |want| purses.take(want, NOW_MS).unwrap_err().to_error();
    let error = said(spend(51, 0));
    assert_eq!(
        (error.kind(), error.retry_after(), error.forbids_client_retry()),
        (crate::error::Kind::BudgetExhausted, None, true)
    );
    assert_eq!(
        error.public(),
        "the budget of the key `dev` is too small for this request, which may use 51: 50 tokens in total, of which 0 are \
         spent and 0 held by requests that run"
    );
    drop(purses.take(spend(0, 1_500_000_000_000), NOW_MS).unwrap());
    assert_eq!(
        said(spend(1, 1)).public(),
        "the budget of the tenant `acme` is used up: 1.5 USD per month; it begins anew on 2026-12-15"
    );
}

#[test]
fn a_soft_budget_refuses_nothing_and_each_mark_of_it_is_named_once() {
    let purses = purses(&[Budget { soft: true, ..tokens(10, Per::Week) }], &[]);
    let used = |tokens| purses.take(spend(100, 0), NOW_MS).unwrap().pay(spend(tokens, 0), NOW_MS);
    let named = |tokens| used(tokens).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert!(used(7).is_empty());
    assert_eq!(named(1), ["the soft budget of the tenant `acme` is used to 80 %: 10 tokens per week"]);
    assert!(used(1).is_empty());
    assert_eq!(named(5), ["the soft budget of the tenant `acme` is used up: 10 tokens per week"]);
    assert!(used(5).is_empty());
}

#[test]
fn marks_are_the_budgets_own_and_come_again_with_each_period() {
    let mut warn_at = Percents::default();
    assert!(warn_at.add(50) && warn_at.add(100) && warn_at.add(1));
    let purses = purses(&[Budget { warn_at, ..tokens(1_000, Per::Day) }], &[tokens(1_000, Per::Total)]);
    let percents = |tokens, unix_ms| {
        let crossed = purses.take(spend(tokens, 0), unix_ms).unwrap().pay(spend(tokens, 0), unix_ms);
        crossed.into_iter().map(|it| (it.scope.kind(), it.percent, it.spent)).collect::<Vec<_>>()
    };
    assert_eq!(percents(9, NOW_MS), []);
    assert_eq!(percents(1, NOW_MS), [("tenant", 1, 10)]);
    assert_eq!(percents(890, NOW_MS), [("tenant", 50, 900), ("key", 80, 900)], "the key has the usual marks");
    let tomorrow_ms = NOW_MS + DAY_MS;
    assert_eq!(percents(100, tomorrow_ms), [("tenant", 1, 100), ("key", 100, 1_000)]);
}

fn model(accounts: &Accounts, pattern: &str, budgets: &[Budget]) -> Arc<Purse> {
    let scope = Scope::Model { tenant: "acme".into(), pattern: pattern.into() };
    Accounts::purse(scope.clone(), budgets.into(), accounts.account(&scope), NOW_MS)
}

#[test]
fn a_reservation_can_be_raised_and_take_further_purses_or_stays_as_it_is() {
    let accounts = Accounts::default();
    let purses = open(&accounts, &[tokens(100, Per::Day)], &[]);
    let one = model(&accounts, "a/*", &[tokens(80, Per::Day)]);
    let other = model(&accounts, "b/*", &[tokens(30, Per::Day)]);
    let held = |purse: &Purse| purse.balances(NOW_MS).iter().map(|it| (it.spent, it.reserved)).collect::<Vec<_>>();
    let mut running = purses.reserve(vec![Arc::clone(&one)], spend(40, 0), NOW_MS).unwrap();
    assert_eq!((standing(&purses, NOW_MS), held(&one)), (vec![(0, 40)], vec![(0, 40)]));
    let refused = running.raise(vec![Arc::clone(&other)], spend(31, 0), |_| spend(31, 0), NOW_MS).unwrap_err();
    assert_eq!((refused.scope.name(), refused.wanted, refused.label()), ("b/*", 31, "model_budget_tokens".into()));
    assert_eq!((standing(&purses, NOW_MS), held(&one), held(&other)), (vec![(0, 40)], vec![(0, 40)], vec![(0, 0)]));
    assert!(running.raise(Vec::new(), spend(81, 0), |_| spend(81, 0), NOW_MS).is_err(), "more than the model's");
    running.raise(vec![Arc::clone(&one)], spend(60, 0), |_| spend(60, 0), NOW_MS).unwrap();
    assert_eq!((standing(&purses, NOW_MS), held(&one)), (vec![(0, 60)], vec![(0, 60)]), "the same one, once");
    running.settle(spend(50, 0), |scope| if scope.name() == "a/*" { spend(5, 0) } else { spend(45, 0) }, NOW_MS);
    assert_eq!((standing(&purses, NOW_MS), held(&one), held(&other)), (vec![(50, 0)], vec![(5, 0)], vec![(0, 0)]));
}

#[cfg(feature = "proxy")]
#[test]
fn what_another_target_would_have_taken_is_given_back_as_a_whole() {
    let accounts = Accounts::default();
    let purses = open(&accounts, &[tokens(100, Per::Day)], &[]);
    let [one, other] = ["a/*", "b/*"].map(|pattern| model(&accounts, pattern, &[tokens(100, Per::Day)]));
    let held = |purse: &Purse| purse.balances(NOW_MS).first().map(|it| it.reserved);
    let mut running = purses.reserve(vec![Arc::clone(&one)], spend(40, 0), NOW_MS).unwrap();
    running.raise(vec![Arc::clone(&other)], spend(70, 0), |_| spend(70, 0), NOW_MS).unwrap();
    assert_eq!((standing(&purses, NOW_MS), held(&one), held(&other)), (vec![(0, 70)], Some(70), Some(70)));
    running.lower();
    assert_eq!((standing(&purses, NOW_MS), held(&one), held(&other)), (vec![(0, 40)], Some(40), Some(0)));
    // It may be tried again, and what is paid is what is held.
    running.raise(vec![Arc::clone(&other)], spend(50, 0), |_| spend(50, 0), NOW_MS).unwrap();
    assert_eq!((held(&one), held(&other)), (Some(50), Some(50)));
    drop(running);
    assert_eq!((standing(&purses, NOW_MS), held(&one), held(&other)), (vec![(50, 0)], Some(0), Some(0)));
    let mut first = purses.reserve(Vec::new(), spend(10, 0), NOW_MS).unwrap();
    first.lower();
    assert_eq!(standing(&purses, NOW_MS), [(50, 0)], "as if it had never been there");
    drop(first);
    assert_eq!(standing(&purses, NOW_MS), [(50, 0)]);
}

#[test]
fn a_budget_of_which_nothing_more_is_wanted_does_not_refuse_to_raise_others() {
    let accounts = Accounts::default();
    let purses = open(&accounts, &[tokens(100, Per::Day)], &[]);
    let [left, next] = [40, 90].map(|most| model(&accounts, &format!("m{most}"), &[tokens(most, Per::Day)]));
    let held = |purse: &Purse| purse.balances(NOW_MS).first().map(|it| it.reserved);
    let mut running = purses.reserve(vec![Arc::clone(&left)], spend(40, 0), NOW_MS).unwrap();
    let part = |scope: &Scope| if scope.name() == "m40" { Spend::default() } else { spend(70, 0) };
    running.raise(vec![Arc::clone(&next)], spend(70, 0), part, NOW_MS).unwrap();
    assert_eq!((standing(&purses, NOW_MS), held(&left), held(&next)), (vec![(0, 70)], Some(40), Some(70)));
}

#[test]
fn only_budgets_that_stop_streams_stand_against_what_is_running() {
    let stopping = Budget { stop: true, ..tokens(100, Per::Day) };
    let purses = purses(&[stopping], &[tokens(50, Per::Day)]);
    let mut one = purses.take(spend(40, 0), NOW_MS).unwrap();
    assert!(one.may_stop());
    let mut keep_up = |used| one.keep_up(spend(used, 0), |_| spend(used, 0), NOW_MS);
    keep_up(90).unwrap();
    assert_eq!(standing(&purses, NOW_MS), [(0, 90), (0, 90)], "the key's own is exceeded, and says so");
    keep_up(100).unwrap();
    let over = keep_up(101).unwrap_err();
    let said = over.to_stop();
    assert_eq!(
        (said.kind(), said.public()),
        (
            crate::error::Kind::BudgetExhausted,
            "the budget of the tenant `acme` ran out in the middle of the answer: 100 tokens per day"
        )
    );
    drop(one);
    assert_eq!(standing(&purses, NOW_MS), [(100, 0), (100, 0)]);
}

#[test]
fn what_was_spent_before_is_asked_for_and_added_once() {
    let accounts = Accounts::default();
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let berlin = Period { zone, ..Period::plain(Per::Month) };
    let purses = open(&accounts, &[Budget { period: berlin.clone(), ..tokens(100, Per::Month) }], &[]);
    purses.take(spend(10, 0), NOW_MS).unwrap().pay(spend(10, 0), NOW_MS);
    let wanted = accounts.wanted(NOW_MS);
    assert_eq!(wanted.len(), 5, "day and month of tenant and key, and the budget's own month: {wanted:?}");
    let own = wanted.iter().find(|it| it.period == berlin).unwrap();
    assert_eq!((own.scope.kind(), own.before_ms), ("tenant", NOW_MS));
    assert_eq!(own.begins_ms, 20_758 * DAY_MS - 3_600_000, "the first of November in Berlin");
    assert!(accounts.restore_spent(own, spend(60, 7)));
    assert!(!accounts.restore_spent(own, spend(60, 7)), "it is known by now");
    assert_eq!(standing(&purses, NOW_MS), [(70, 0)]);
    assert_eq!(accounts.wanted(NOW_MS).len(), 4);
    let kept = accounts.changes(NOW_MS).unwrap();
    // What was kept on disk is known too.
    let next = Accounts::default();
    next.restore(&kept, |_| true).unwrap();
    open(&next, &[Budget { period: berlin.clone(), ..tokens(100, Per::Month) }], &[]);
    assert_eq!(next.wanted(NOW_MS), []);
    // Nobody has written down what those have spent for whom there is no room.
    next.account(&Scope::User { tenant: "acme".into(), user: String::new() }).lock().tally(&berlin, NOW_MS);
    assert_eq!(next.wanted(NOW_MS), []);
    // Another month has begun: all that counts in it was counted here.
    let december_ms = NOW_MS + 3 * DAY_MS;
    assert_eq!(standing(&purses, december_ms), [(0, 0)]);
    assert!(!accounts.restore_spent(own, spend(60, 7)));
    assert_eq!(accounts.wanted(december_ms).iter().filter(|it| it.period == berlin).count(), 0);
}

#[test]
fn models_users_and_tags_are_kept_with_their_zones() {
    let accounts = Accounts::default();
    open(&accounts, &[tokens(1, Per::Day)], &[]);
    let tenant = || "acme".to_owned();
    let scopes = [
        Scope::Model { tenant: tenant(), pattern: "openai/*".into() },
        Scope::User { tenant: tenant(), user: "u \"1\"".into() },
        Scope::Tag { tenant: tenant(), pattern: "team=*".into(), tag: "team=x".into() },
    ];
    let zone = jiff::tz::TimeZone::get("Asia/Kathmandu").unwrap();
    let budgets =
        [Budget { period: Period { zone, reset_day: 3, ..Period::plain(Per::Week) }, ..tokens(100, Per::Week) }];
    let purse = |of: &Accounts, scope: &Scope| {
        Accounts::purse(scope.clone(), budgets.as_slice().into(), of.account(scope), NOW_MS)
    };
    for (spent, scope) in (1..).zip(&scopes) {
        let more = vec![purse(&accounts, scope)];
        Purses::default().reserve(more, spend(spent, 0), NOW_MS).unwrap().pay(spend(spent, 0), NOW_MS);
    }
    let next = Accounts::default();
    next.restore(&accounts.changes(NOW_MS).unwrap(), |_| true).unwrap();
    for (spent, scope) in (1..).zip(&scopes) {
        assert_eq!(purse(&next, scope).balances(NOW_MS).first().map(|it| it.spent), Some(spent), "{scope:?}");
    }
    let older = r#"{"version":1,"spent":[{"tenant":"acme","key":null,"per":"day","reset_day":1,"begins_ms":0,"tokens":5,"pico_usd":"0"}]}"#;
    Accounts::default().restore(older, |_| true).unwrap();
}

#[test]
fn periods_begin_anew_and_a_request_is_spent_where_it_ends() {
    let purses = purses(&[tokens(100, Per::Day), tokens(150, Per::Month), tokens(1_000, Per::Total)], &[]);
    purses.take(spend(90, 0), NOW_MS).unwrap().pay(spend(90, 0), NOW_MS);
    assert!(purses.take(spend(20, 0), NOW_MS).is_err());
    let tomorrow_ms = NOW_MS + DAY_MS / 2;
    assert!(purses.take(spend(20, 0), tomorrow_ms - 1).is_err());
    let mut running = purses.take(spend(60, 0), tomorrow_ms).unwrap();
    assert_eq!(purses.take(spend(1, 0), tomorrow_ms).unwrap_err().budget.period.per, Per::Month);
    // Two days on, it is December.
    let december_ms = tomorrow_ms + 2 * DAY_MS;
    running.pay(spend(60, 0), december_ms);
    assert_eq!(standing(&purses, december_ms), [(60, 0), (60, 0), (150, 0)]);
}

#[test]
fn a_clock_that_steps_back_forgets_nothing() {
    let purses = purses(&[tokens(100, Per::Day)], &[]);
    let midnight_ms = NOW_MS + DAY_MS / 2;
    drop(purses.take(spend(30, 0), midnight_ms).unwrap());
    assert_eq!(standing(&purses, midnight_ms - 5), [(30, 0)], "another thread read it earlier");
    assert_eq!(standing(&purses, midnight_ms), [(30, 0)]);
    // Wrong by a month, and then right again: the next day is a new one.
    assert_eq!(standing(&purses, midnight_ms + 30 * DAY_MS), [(0, 0)]);
    drop(purses.take(spend(40, 0), midnight_ms + 30 * DAY_MS).unwrap());
    assert_eq!(standing(&purses, midnight_ms), [(40, 0)]);
    assert_eq!(standing(&purses, midnight_ms + DAY_MS), [(0, 0)]);
}

#[test]
fn what_ends_late_leaves_the_new_period_as_it_is() {
    let purses = purses(&[tokens(100, Per::Day)], &[]);
    let late = purses.take(spend(30, 0), NOW_MS).unwrap();
    let tomorrow_ms = NOW_MS + DAY_MS;
    purses.take(spend(20, 0), tomorrow_ms).unwrap().pay(spend(20, 0), tomorrow_ms);
    drop(late);
    assert_eq!(standing(&purses, tomorrow_ms), [(50, 0)]);
}

#[test]
fn what_was_spent_outlives_a_configuration_and_a_process() {
    let accounts = Accounts::default();
    let budgets = [tokens(100, Per::Day), budget(Unit::Usd, i128::MAX, Per::Total)];
    let before = open(&accounts, &budgets, &[]);
    assert_eq!(accounts.changes(NOW_MS), None);
    let large = i128::from(i64::MAX) * 1_000;
    drop(before.take(spend(30, large), NOW_MS).unwrap());
    let without = open(&accounts, &[], &[]);
    assert!(!without.are_bounded());
    without.take(spend(30, 0), NOW_MS).unwrap().pay(spend(5, 0), NOW_MS);
    assert_eq!(accounts.changes(NOW_MS), None, "nothing is kept where no budget stands");
    let after = open(&accounts, &budgets, &[]);
    assert_eq!(standing(&after, NOW_MS), [(35, 0), (large, 0)]);
    let text = accounts.changes(NOW_MS).unwrap();
    assert_eq!(accounts.changes(NOW_MS), None, "nothing changed since");

    let next = Accounts::default();
    next.restore(&text, |_| true).unwrap();
    assert_eq!(standing(&open(&next, &budgets, &[]), NOW_MS), [(35, 0), (large, 0)]);
    let late = Accounts::default();
    late.restore(&text, |_| true).unwrap();
    assert_eq!(standing(&open(&late, &budgets, &[]), NOW_MS + DAY_MS), [(0, 0), (large, 0)], "the day is over");
    for broken in ["", "{}", "[1]", &text.replace("\"version\":2", "\"version\":9"), text.strip_suffix("}]}").unwrap()]
    {
        assert!(Accounts::default().restore(broken, |_| true).is_err(), "{broken}");
    }
}

#[test]
fn usage_is_counted_without_a_budget() {
    let purses = purses(&[], &[]);
    purses.take(spend(500, 9), NOW_MS).unwrap().pay(spend(20, 3), NOW_MS);
    for purse in purses.iter() {
        let today = purse.usage(NOW_MS).map(|(per, spent, _)| (per, spent));
        assert_eq!(today, [(Per::Day, spend(20, 3)), (Per::Month, spend(20, 3))]);
        let tomorrow = purse.usage(NOW_MS + DAY_MS).map(|(_, spent, _)| spent.tokens);
        assert_eq!(tomorrow, [0, 20]);
    }
}

#[test]
fn names_and_ratios() {
    let balance = |spent, reserved| Balance { budget: tokens(300, Per::Day), spent, reserved, resets_at_ms: None };
    assert_eq!(balance(0, 0).remaining_ppm(), 1_000_000);
    assert_eq!(balance(100, 100).remaining_ppm(), 333_333);
    assert_eq!((balance(400, 0).remaining_ppm(), balance(400, 0).remaining()), (0, 0));
    let soft = Budget { soft: true, ..budget(Unit::Usd, 1, Per::Month) };
    assert_eq!((tokens(1, Per::Total).name(), soft.name()), ("tokens_total".into(), "usd_month_soft".into()));
}

#[test]
fn many_threads_never_hold_more_than_the_budget() {
    const LIMIT: u64 = 1_000;
    let purses = purses(&[tokens(LIMIT.into(), Per::Total)], &[budget(Unit::Usd, 1_000_000, Per::Total)]);
    let admitted: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..=8_u64)
            .map(|amount| {
                let purses = &purses;
                scope.spawn(move || {
                    let mut spent = 0;
                    for turn in 0..500 {
                        let Ok(mut held) = purses.take(spend(amount, 1), NOW_MS) else { continue };
                        let (spent_by_all, held_by_all) = standing(purses, NOW_MS)[0];
                        assert!(spent_by_all + held_by_all <= i128::from(LIMIT));
                        let used = if turn % 3 == 0 { 0 } else { amount };
                        held.pay(spend(used, 1), NOW_MS);
                        spent += used;
                    }
                    spent
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!((LIMIT - 8..=LIMIT).contains(&admitted), "{admitted}");
    assert_eq!(standing(&purses, NOW_MS)[0], (admitted.into(), 0));
}

proptest! {
    /// Whatever comes in whatever order: what is held is the sum of what runs, what is spent the sum of
    /// what was used, and a hard budget holds where nobody uses more than it reserved.
    #[test]
    fn nothing_is_lost_and_nothing_is_made(steps in prop::collection::vec((0_u64..80, 0_u64..=100, any::<bool>()), 1..80)) {
        let purses = purses(&[tokens(500, Per::Total)], &[tokens(300, Per::Month)]);
        let mut running: Vec<(u64, Reservation)> = Vec::new();
        let mut spent = 0_i128;
        for (want, percent, ends) in steps {
            if ends && !running.is_empty() {
                let (held, mut one) = running.remove(0);
                let used = held * percent / 100;
                one.pay(spend(used, 0), NOW_MS);
                spent += i128::from(used);
            } else if let Ok(one) = purses.take(spend(want, 0), NOW_MS) {
                running.push((want, one));
            }
            let held: i128 = running.iter().map(|(held, _)| i128::from(*held)).sum();
            prop_assert_eq!(standing(&purses, NOW_MS), vec![(spent, held), (spent, held)]);
            prop_assert!(spent + held <= 300);
        }
    }
}
