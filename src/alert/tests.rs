#![expect(clippy::disallowed_types, reason = "a test reads its own output")]

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use uuid::Uuid;

use super::*;
use crate::config::alerts::SpendSpikes;
use crate::config::budget::{Budget, Per, Period, Unit};
use crate::limit::Scope;
use crate::limit::budget::Crossed;
use crate::record::{Step, Texts, Timeline, Why};
use crate::usage::price::{Charge, PicoUsd};
use crate::usage::tokens::{Usage, UsageSource};

fn alerts() -> Alerts {
    Alerts::new(Arc::default(), Clock::start())
}

fn told(alerts: &Alerts) -> Vec<Value> {
    let all: Value = serde_json::from_slice(&alerts.json()).unwrap();
    let mut all = all["data"].as_array().unwrap().clone();
    all.reverse();
    all
}

fn kinds(alerts: &Alerts) -> Vec<String> {
    told(alerts)
        .iter()
        .map(|it| format!("{} {}", it["kind"].as_str().unwrap(), it["state"].as_str().unwrap()))
        .collect()
}

fn crossed(scope: &Scope, budget: &Budget, percent: u32) -> Crossed {
    Crossed { scope: scope.clone(), budget: budget.clone(), percent, spent: 900_000_000_000 }
}

#[test]
fn a_budget_is_told_of_at_each_threshold_once() {
    let alerts = alerts();
    let scope = Scope::Key { tenant: "acme".into(), key: "dev".into() };
    let period = Period { per: Per::Month, reset_day: 1, zone: jiff::tz::TimeZone::UTC };
    let budget = Budget::hard(Unit::Usd, 1_500_000_000_000, period);
    for percent in [50, 80, 80, 100, 100] {
        alerts.budget_crossed(&crossed(&scope, &budget, percent), 1_790_000_000_000);
    }
    let all = told(&alerts);
    assert_eq!(all.len(), 3);
    let severities: Vec<&Value> = all.iter().map(|it| &it["severity"]).collect();
    assert_eq!(severities, ["info", "warning", "critical"]);
    assert_eq!(
        (&all[1]["subject"], &all[1]["tenant"], &all[1]["text"]),
        (&json!("key dev"), &json!("acme"), &json!("80% of the budget of the key `dev` are used: 1.5 USD per month"))
    );
    let data = json!({
        "scope": "key", "name": "dev", "budget": "usd_month", "percent": 100, "unit": "usd", "soft": false,
        "limit": 1.5, "spent": 0.9,
    });
    assert_eq!(all[2]["data"], data);
    assert_eq!(alerts.counts().raised[0], ("budget_threshold", 3));
    // The next month, and a budget of another size, are told of however soon they come.
    alerts.budget_crossed(&crossed(&scope, &budget, 100), 1_791_000_000_000);
    let larger = Budget { most: 2 * budget.most, ..budget };
    alerts.budget_crossed(&crossed(&scope, &larger, 100), 1_791_000_000_000);
    assert_eq!(alerts.counts().raised[0], ("budget_threshold", 5));
}

#[test]
fn budgets_of_names_that_clients_choose_push_out_no_others() {
    let alerts = alerts();
    let budget = Budget::hard(Unit::Usd, 1, Period::plain(Per::Day));
    let cross = |scope: &Scope| alerts.budget_crossed(&crossed(scope, &budget, 100), 1_790_000_000_000);
    (0..20_000).for_each(|n| cross(&Scope::User { tenant: "acme".into(), user: format!("u{n}") }));
    assert_eq!(alerts.counts().raised[0], ("budget_threshold", 100));
    cross(&Scope::Tenant("acme".into()));
    assert_eq!(alerts.counts().raised[0], ("budget_threshold", 101));
}

#[test]
fn what_has_an_end_is_told_of_at_its_beginning_and_its_end() {
    let alerts = alerts();
    alerts.shared_store(None);
    alerts.shared_store(Some("redis://:hunter2@h:6379: timed out"));
    alerts.shared_store(Some("again"));
    alerts.shared_store(None);
    alerts.shared_store(None);
    alerts.database(Some("gone"));
    alerts.database(None);
    alerts.ledger_full(Some("no space left"), true);
    alerts.ledger_full(None, true);
    alerts.reloaded(Some("weir.yaml:3: bad\nmore"));
    alerts.reloaded(None);
    let expected = [
        "store_down raised",
        "store_up resolved",
        "database_down raised",
        "database_up resolved",
        "ledger_full raised",
        "ledger_full resolved",
        "config_reload_failed raised",
        "config_reload_failed resolved",
    ];
    assert_eq!(kinds(&alerts), expected);
    let all = told(&alerts);
    assert_eq!(all[0]["text"], "the shared store does not answer: redis://h:6379: timed out");
    assert!(all[1]["data"]["lasted_ms"].is_u64());
    assert_eq!(all[6]["data"]["report"], "weir.yaml:3: bad\nmore");
    assert!(!String::from_utf8(alerts.json()).unwrap().contains("hunter2"));
}

#[test]
fn the_ledgers_lag_is_held_against_the_configuration() {
    let alerts = alerts();
    for seconds in [0, 60, 61, 90, 10, 0] {
        alerts.ledger_lag(Duration::from_secs(seconds));
    }
    assert_eq!(kinds(&alerts), ["ledger_lag raised", "ledger_lag resolved"]);
    assert_eq!(told(&alerts)[0]["data"], json!({"behind_ms": 61_000}));
}

#[test]
fn the_last_two_hundred_are_kept_and_queues_have_an_end() {
    let alerts = alerts();
    for n in 0..MOST_WAITING + 10 {
        alerts.endpoint_down(&format!("lab#{n}"), None, Some("its check fails"));
    }
    assert_eq!(told(&alerts).len(), MOST_KEPT);
    assert_eq!(told(&alerts)[MOST_KEPT - 1]["subject"], format!("endpoint lab#{}", MOST_WAITING + 9));
    assert_eq!(alerts.counts().dropped, 10);
    assert_eq!(alerts.take().len(), MOST_WAITING);
}

/// A record of somebody's, and what it cost.
fn record<'a>(charge: Charge, tags: &'a [String], timeline: &'a [Step<'a>]) -> Record<'a> {
    Record {
        tenant: Some("acme"),
        key_id: Some("dev"),
        tags: Texts::Plain(tags),
        provider: Some("lab"),
        upstream_model: Some("m"),
        usage: Some(Usage { fresh_input_tokens: 5, ..Usage::default() }),
        charge,
        timeline: Timeline::Steps(timeline),
        ..Record::new(Uuid::nil(), SystemTime::UNIX_EPOCH, "chat")
    }
}

/// An attempt that did not answer.
fn lost(provider: &'static str, model: &'static str, charge: Option<Charge>) -> Step<'static> {
    Step {
        provider,
        endpoint: provider,
        model,
        why: Why::First,
        at: Duration::ZERO,
        duration: Duration::ZERO,
        outcome: "timeout",
        status: None,
        error: None,
        usage: charge.map(|_| (Usage { fresh_input_tokens: 3, ..Usage::default() }, UsageSource::Estimated)),
        service_tier: None,
        charge: charge.unwrap_or_default(),
    }
}

#[test]
fn a_price_that_nobody_knows_is_told_of_once_a_model() {
    let none =
        Alerts::new(Arc::new(alerts::Alerts { spend_spikes: None, ..alerts::Alerts::default() }), Clock::start());
    for alerts in [alerts(), none] {
        let unknown = Charge::default();
        alerts.settled(&record(Charge::whole(PicoUsd(5)), &[], &[]));
        alerts.settled(&record(unknown, &[], &[]));
        alerts.settled(&record(unknown, &[], &[lost("other", "x", Some(unknown))]));
        alerts.settled(&record(unknown, &[], &[lost("third", "y", None)]));
        let subjects: Vec<Value> = told(&alerts).iter().map(|it| it["subject"].clone()).collect();
        assert_eq!(subjects, ["model lab/m", "model other/x"]);
        assert_eq!(told(&alerts)[0]["tenant"], "acme");
    }
}

#[test]
fn spending_is_read_off_records_lost_attempts_included() {
    const HOUR_MS: u64 = 3_600_000;
    let alerts = alerts();
    let half = Charge::whole(PicoUsd(500_000_000_000));
    let (tags, lost) = (["team=\"red\"".to_owned()], [lost("lab", "m", Some(half))]);
    for hour in 0..48 {
        alerts.settled_at(&record(half, &tags, &lost), 1_000 * HOUR_MS + hour * HOUR_MS);
    }
    assert_eq!(kinds(&alerts), Vec::<String>::new());
    for minute in 0..4 {
        alerts.settled_at(&record(half, &tags, &lost), 1_050 * HOUR_MS + minute * 60_000);
    }
    let all = told(&alerts);
    let subjects: Vec<&Value> = all.iter().map(|it| &it["subject"]).collect();
    assert_eq!(subjects, ["tenant acme", "key dev", "tag team=\"red\""]);
    assert_eq!(all[0]["text"], "the tenant `acme` has spent 4.00 USD in 60 min; usually it is 1.00 USD");
    assert_eq!((&all[0]["tenant"], &all[2]["tenant"]), (&json!("acme"), &Value::Null));
    let data = json!({
        "scope": "tenant", "name": "acme", "window_s": 3_600, "spent_usd": 4, "usual_usd": 1, "highest_usd": 1,
    });
    assert_eq!(all[0]["data"], data);
}

#[test]
fn other_rules_hold_at_once() {
    let alerts = alerts();
    alerts.remember_spending(Spender::Tenant, "acme", 0, 1);
    let rules = alerts::Alerts {
        spend_spikes: Some(SpendSpikes { window: Duration::from_secs(60), ..SpendSpikes::default() }),
        ledger_lag: Duration::from_secs(1),
        ..alerts::Alerts::default()
    };
    alerts.bind(&Arc::new(rules));
    alerts.ledger_lag(Duration::from_secs(2));
    assert_eq!(kinds(&alerts), ["ledger_lag raised"]);
}
