use proptest::prelude::*;

use super::*;
use crate::config::budget::{Per, Period, Unit};
use crate::usage::price::PicoUsd;

const DAY_MS: u64 = 86_400_000;
/// 2026-11-29, a Sunday, at noon.
const NOW_MS: u64 = 20_786 * DAY_MS + DAY_MS / 2;

fn budget(unit: Unit, most: i128, per: Per) -> Budget {
    Budget { unit, most, period: Period { per, reset_day: 1 }, soft: false }
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

/// Spent and reserved of the first budgets of tenant and key.
fn standing(purses: &Purses, unix_ms: u64) -> Vec<(i128, i128)> {
    purses.iter().flat_map(|purse| purse.balances(unix_ms)).map(|it| (it.spent, it.reserved)).collect()
}

#[test]
fn what_is_reserved_is_given_back_and_what_was_used_is_spent() {
    let purses = purses(&[tokens(100, Per::Day)], &[budget(Unit::Usd, 1_000, Per::Month)]);
    let mut one = purses.reserve(spend(60, 700), NOW_MS).unwrap();
    assert_eq!(standing(&purses, NOW_MS), [(0, 60), (0, 700)]);
    assert!(one.settle(spend(10, 200), NOW_MS).is_empty());
    assert!(one.settle(spend(10, 200), NOW_MS).is_empty(), "counts once");
    assert_eq!(standing(&purses, NOW_MS), [(10, 0), (200, 0)]);
    purses.reserve(spend(90, 800), NOW_MS).unwrap().settle(Spend::default(), NOW_MS);
    assert_eq!(standing(&purses, NOW_MS), [(10, 0), (200, 0)], "given back");
    drop(purses.reserve(spend(90, 800), NOW_MS).unwrap());
    assert_eq!(standing(&purses, NOW_MS), [(100, 0), (1_000, 0)], "never settled: all of it counts");
}

#[test]
fn all_budgets_are_charged_or_none() {
    let purses = purses(&[tokens(100, Per::Day)], &[tokens(1_000, Per::Day), budget(Unit::Usd, 5, Per::Total)]);
    let refused = purses.reserve(spend(1, 6), NOW_MS).unwrap_err();
    assert_eq!((refused.label(), refused.resets_at_ms), ("key_budget_usd", None));
    assert_eq!(standing(&purses, NOW_MS), [(0, 0), (0, 0), (0, 0)]);
    assert_eq!(purses.reserve(spend(101, 0), NOW_MS).unwrap_err().label(), "tenant_budget_tokens");
    assert_eq!(purses.reserve(spend(1_001, 6), NOW_MS).unwrap_err().label(), "key_budget_usd", "it stays longest");
    drop(purses.reserve(spend(100, 5), NOW_MS).unwrap());
    let refused = purses.reserve(Spend::default(), NOW_MS).unwrap_err();
    assert_eq!(refused.label(), "key_budget_usd", "what may use nothing is refused too once all is used");
}

#[test]
fn the_refusal_says_which_budget_and_until_when() {
    let month =
        Budget { period: Period { per: Per::Month, reset_day: 15 }, ..budget(Unit::Usd, 1_500_000_000_000, Per::Day) };
    let purses = purses(&[month], &[tokens(50, Per::Total)]);
    let said = |want| purses.reserve(want, NOW_MS).unwrap_err().to_error();
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
    drop(purses.reserve(spend(0, 1_500_000_000_000), NOW_MS).unwrap());
    assert_eq!(
        said(spend(1, 1)).public(),
        "the budget of the tenant `acme` is used up: 1.5 USD per month; it begins anew on 2026-12-15"
    );
}

#[test]
fn a_soft_budget_refuses_nothing_and_is_named_once_when_it_is_used_up() {
    let purses = purses(&[Budget { soft: true, ..tokens(10, Per::Week) }], &[]);
    let used = |tokens| purses.reserve(spend(100, 0), NOW_MS).unwrap().settle(spend(tokens, 0), NOW_MS);
    assert!(used(9).is_empty());
    let named: Vec<String> = used(5).iter().map(ToString::to_string).collect();
    assert_eq!(named, ["the soft budget of the tenant `acme` is used up: 10 tokens per week"]);
    assert!(used(5).is_empty());
}

#[test]
fn periods_begin_anew_and_a_request_is_spent_where_it_ends() {
    let purses = purses(&[tokens(100, Per::Day), tokens(150, Per::Month), tokens(1_000, Per::Total)], &[]);
    purses.reserve(spend(90, 0), NOW_MS).unwrap().settle(spend(90, 0), NOW_MS);
    assert!(purses.reserve(spend(20, 0), NOW_MS).is_err());
    let tomorrow_ms = NOW_MS + DAY_MS / 2;
    assert!(purses.reserve(spend(20, 0), tomorrow_ms - 1).is_err());
    let mut running = purses.reserve(spend(60, 0), tomorrow_ms).unwrap();
    assert_eq!(purses.reserve(spend(1, 0), tomorrow_ms).unwrap_err().budget.period.per, Per::Month);
    // Two days on, it is December.
    let december_ms = tomorrow_ms + 2 * DAY_MS;
    running.settle(spend(60, 0), december_ms);
    assert_eq!(standing(&purses, december_ms), [(60, 0), (60, 0), (150, 0)]);
}

#[test]
fn a_clock_that_steps_back_forgets_nothing() {
    let purses = purses(&[tokens(100, Per::Day)], &[]);
    let midnight_ms = NOW_MS + DAY_MS / 2;
    drop(purses.reserve(spend(30, 0), midnight_ms).unwrap());
    assert_eq!(standing(&purses, midnight_ms - 5), [(30, 0)], "another thread read it earlier");
    assert_eq!(standing(&purses, midnight_ms), [(30, 0)]);
    // Wrong by a month, and then right again: the next day is a new one.
    assert_eq!(standing(&purses, midnight_ms + 30 * DAY_MS), [(0, 0)]);
    drop(purses.reserve(spend(40, 0), midnight_ms + 30 * DAY_MS).unwrap());
    assert_eq!(standing(&purses, midnight_ms), [(40, 0)]);
    assert_eq!(standing(&purses, midnight_ms + DAY_MS), [(0, 0)]);
}

#[test]
fn what_ends_late_leaves_the_new_period_as_it_is() {
    let purses = purses(&[tokens(100, Per::Day)], &[]);
    let late = purses.reserve(spend(30, 0), NOW_MS).unwrap();
    let tomorrow_ms = NOW_MS + DAY_MS;
    purses.reserve(spend(20, 0), tomorrow_ms).unwrap().settle(spend(20, 0), tomorrow_ms);
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
    drop(before.reserve(spend(30, large), NOW_MS).unwrap());
    let without = open(&accounts, &[], &[]);
    assert!(!without.are_bounded());
    without.reserve(spend(30, 0), NOW_MS).unwrap().settle(spend(5, 0), NOW_MS);
    assert_eq!(accounts.changes(NOW_MS), None, "nothing is kept where no budget stands");
    let after = open(&accounts, &budgets, &[]);
    assert_eq!(standing(&after, NOW_MS), [(35, 0), (large, 0)]);
    let text = accounts.changes(NOW_MS).unwrap();
    assert_eq!(accounts.changes(NOW_MS), None, "nothing changed since");

    let next = Accounts::default();
    next.restore(&text).unwrap();
    assert_eq!(standing(&open(&next, &budgets, &[]), NOW_MS), [(35, 0), (large, 0)]);
    let late = Accounts::default();
    late.restore(&text).unwrap();
    assert_eq!(standing(&open(&late, &budgets, &[]), NOW_MS + DAY_MS), [(0, 0), (large, 0)], "the day is over");
    for broken in ["", "{}", "[1]", &text.replace("\"version\":1", "\"version\":9"), text.strip_suffix("}]}").unwrap()]
    {
        assert!(Accounts::default().restore(broken).is_err(), "{broken}");
    }
}

#[test]
fn usage_is_counted_without_a_budget() {
    let purses = purses(&[], &[]);
    purses.reserve(spend(500, 9), NOW_MS).unwrap().settle(spend(20, 3), NOW_MS);
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
                        let Ok(mut held) = purses.reserve(spend(amount, 1), NOW_MS) else { continue };
                        let (spent_by_all, held_by_all) = standing(purses, NOW_MS)[0];
                        assert!(spent_by_all + held_by_all <= i128::from(LIMIT));
                        let used = if turn % 3 == 0 { 0 } else { amount };
                        held.settle(spend(used, 1), NOW_MS);
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
                one.settle(spend(used, 0), NOW_MS);
                spent += i128::from(used);
            } else if let Ok(one) = purses.reserve(spend(want, 0), NOW_MS) {
                running.push((want, one));
            }
            let held: i128 = running.iter().map(|(held, _)| i128::from(*held)).sum();
            prop_assert_eq!(standing(&purses, NOW_MS), vec![(spent, held), (spent, held)]);
            prop_assert!(spent + held <= 300);
        }
    }
}
