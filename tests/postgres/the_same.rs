//! What holds whichever database it is.

use std::collections::{BTreeMap, HashMap};

use weir::ledger::Row;
use weir::store::{Batch, By, Cursor, Database, Overview, Position, Span, Stretch, UsageQuery, Used, Wanted};
use weir::usage::price::PicoUsd;

use crate::rows::{APRIL_S, batch, cost, counts, embedded, row, rows};
use crate::server::Server;

/// Runs a check on an empty database of each kind.
fn on_both(name: &str, check: impl Fn(&Database)) {
    check(&Database::open(&embedded(name)).unwrap());
    if let Some(server) = Server::start(name) {
        check(&server.database("weir"));
    }
}

/// The check may change the database past everything that is tested.
fn on_both_and_behind_it(name: &str, check: impl Fn(&Database, &dyn Fn(&str))) {
    let state = embedded(name);
    check(&Database::open(&state).unwrap(), &|sql| {
        rusqlite::Connection::open(state.dir.join("weir.db")).unwrap().execute_batch(sql).unwrap();
    });
    if let Some(server) = Server::start(name) {
        check(&server.database("weir"), &|sql| server.client("weir").batch_execute(sql).unwrap());
    }
}

/// As rows have it.
fn moment(second: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_second(second).unwrap())
}

fn line(row: &Row) -> String {
    String::from_utf8(row.line().unwrap()).unwrap()
}

fn wanted() -> Wanted {
    Wanted { limit: 100, ..Wanted::default() }
}

fn position(stream: &str, seq: u64) -> Position {
    Position { stream: stream.into(), seq }
}

/// All rows, page by page.
fn all(database: &Database, wanted: &Wanted) -> Vec<Row> {
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = database.requests(&Wanted { after, ..wanted.clone() }).unwrap();
        assert!(page.rows.len() <= wanted.limit as usize);
        found.extend(page.rows);
        match page.next {
            // As it travels to a client and back.
            Some(next) => after = Some(next.to_string().parse().unwrap()),
            None => return found,
        }
    }
}

fn assert_verified(database: &Database, rows: u64) {
    let verified = database.verify().unwrap();
    assert_eq!(verified.differences, [] as [&str; 0]);
    assert_eq!(verified.rows, rows);
    assert!(rows == 0 || verified.days > 0);
}

/// What rows used, added up here.
fn sums<K: Ord>(rows: &[Row], key: impl Fn(&Row) -> K) -> BTreeMap<K, Used> {
    let mut all: BTreeMap<K, Used> = BTreeMap::new();
    for row in rows {
        let used = all.entry(key(row)).or_default();
        used.requests += 1;
        used.failed += u64::from(row.outcome != "finished");
        used.unpriced += u64::from(row.input_tokens.is_some() && row.cost_pico_usd.is_none());
        used.input_tokens += row.input_tokens.unwrap_or(0);
        used.output_tokens += row.output_tokens.unwrap_or(0);
        used.cached_tokens += row.cached_tokens.unwrap_or(0);
        used.reasoning_tokens += row.reasoning_tokens.unwrap_or(0);
        used.cost = PicoUsd(used.cost.0 + row.cost_pico_usd.unwrap_or(0));
        used.due = PicoUsd(used.due.0 + row.due_pico_usd.unwrap_or(0));
        for attempt in &row.timeline {
            used.input_tokens += attempt.input_tokens.unwrap_or(0);
            used.output_tokens += attempt.output_tokens.unwrap_or(0);
            used.cost = PicoUsd(used.cost.0 + attempt.cost_pico_usd.unwrap_or(0));
        }
    }
    all
}

#[test]
fn a_batch_that_comes_again_changes_nothing() {
    on_both("again", |database| {
        let mut first = batch(0..300);
        first.positions = vec![position("a", 7), position("b", 3)];
        database.fold(&first).unwrap();
        database.fold(&first).unwrap();
        // Half of it is new, one row is there twice, and a position goes back.
        let mut second = batch(150..450);
        second.rows.push(row(449, 449 * 60_123));
        second.positions = vec![position("a", 9), position("b", 2)];
        database.fold(&second).unwrap();
        assert_verified(database, 450);
        assert_eq!(database.positions().unwrap(), HashMap::from([("a".to_owned(), 9), ("b".to_owned(), 3)]));
        database.forget_stream("a").unwrap();
        assert_eq!(database.positions().unwrap(), HashMap::from([("b".to_owned(), 3)]));
        let total = database.usage(&UsageQuery::default()).unwrap();
        assert_eq!((total.len(), total[0].used), (1, sums(&rows(0..450), |_| ())[&()]));
    });
}

#[test]
fn a_row_comes_back_as_it_was() {
    on_both("back", |database| {
        let mut odd = row(1_000, 5);
        odd.model = Some("a\0b".into());
        odd.tags = vec!["x\0y".into()];
        odd.input_tokens = Some(u64::MAX);
        odd.usage.as_mut().unwrap().fresh_input = u64::MAX;
        let mut bare = row(1_001, 6);
        (bare.tenant, bare.key_id, bare.user, bare.model, bare.provider) = (None, None, None, None, None);
        bare.timeline.clear();
        let all = Batch { rows: rows(0..120).into_iter().chain([odd, bare]).collect(), positions: Vec::new() };
        database.fold(&all).unwrap();
        for row in &all.rows {
            let found = database.request(&row.request_id).unwrap().unwrap();
            assert_eq!(line(&found), line(row));
        }
        assert!(database.request("no-such-request").unwrap().is_none());
        assert!(database.request("nul\0").unwrap().is_none());
    });
}

#[test]
fn a_count_that_nobody_can_have_meant_stops_no_batch() {
    on_both("absurd", |database| {
        for n in 0..20 {
            let mut absurd = row(n * 17 + 1, 1);
            absurd.input_tokens = Some(u64::MAX);
            absurd.usage.as_mut().unwrap().fresh_input = u64::MAX;
            cost(&mut absurd, i128::MAX);
            absurd.model = Some("m".repeat(100_000));
            absurd.user = Some("\u{1f600}".repeat(10_000));
            absurd.tags = vec!["t".repeat(50_000)];
            absurd.timeline.clear();
            database.fold(&Batch { rows: vec![absurd], positions: Vec::new() }).unwrap();
        }
        let total = database.usage(&UsageQuery::default()).unwrap();
        assert_eq!((total[0].used.requests, total[0].used.input_tokens), (20, 20_000_000_000_000));
        let by = UsageQuery { by: vec![By::Model, By::User], ..UsageQuery::default() };
        let names = &database.usage(&by).unwrap()[0].names;
        assert_eq!((names[0].as_ref().unwrap().len(), names[1].as_ref().unwrap().chars().count()), (200, 50));
    });
}

#[test]
fn pages_join_while_rows_come_in() {
    on_both("pages", |database| {
        // Several began in the same millisecond.
        let made: Vec<Row> = (0..60).map(|n| row(n, n / 7 * 1_000)).collect();
        database.fold(&Batch { rows: made.clone(), positions: Vec::new() }).unwrap();
        let mut expected: Vec<&Row> = made.iter().collect();
        expected.sort_by_key(|row| std::cmp::Reverse((row.started_at.clone(), row.request_id.clone())));
        let ids = |rows: &[Row]| rows.iter().map(|row| row.request_id.clone()).collect::<Vec<_>>();
        let expected: Vec<String> = expected.iter().map(|row| row.request_id.clone()).collect();
        assert_eq!(ids(&all(database, &Wanted { limit: 7, ..wanted() })), expected);
        let first = database.requests(&Wanted { limit: 10, ..wanted() }).unwrap();
        database.fold(&Batch { rows: vec![row(900, 900_000)], positions: Vec::new() }).unwrap();
        let second = database.requests(&Wanted { limit: 10, after: first.next, ..wanted() }).unwrap();
        assert_eq!(ids(&second.rows), expected[10..20]);
        assert!(database.requests(&Wanted { limit: 61, ..wanted() }).unwrap().next.is_none());
    });
}

#[test]
fn each_filter_narrows() {
    on_both("filters", |database| {
        database.fold(&batch(0..400)).unwrap();
        let all_rows = rows(0..400);
        let count = |keep: &dyn Fn(&Row) -> bool| all_rows.iter().filter(|row| keep(row)).count();
        let some = |wanted: Wanted| all(database, &wanted).len();
        let tenant = Wanted { tenant: Some("tenant-3".into()), ..wanted() };
        assert_eq!(some(tenant), count(&|row| row.tenant.as_deref() == Some("tenant-3")));
        let key = Wanted { key: Some("tenant-3-key-1".into()), ..wanted() };
        assert_eq!(some(key), count(&|row| row.key_id.as_deref() == Some("tenant-3-key-1")));
        let model = Wanted { model: Some("openai/model-2".into()), status: Some(200), ..wanted() };
        let is_it = |row: &Row| row.model.as_deref() == Some("openai/model-2") && row.status == 200;
        assert_eq!(some(model), count(&is_it));
        let since = i64::try_from(APRIL_S * 1_000 + 200 * 60_123).unwrap();
        assert_eq!(some(Wanted { since_ms: Some(since), ..wanted() }), 200);
        let span = Span { since_ms: Some(since), until_ms: Some(since + 60_123 * 20), tenant: None };
        let (mut after, mut exported) = (None, Vec::new());
        loop {
            let page = database.rows_after(&span, after.as_ref(), 7).unwrap();
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            exported.extend(page.into_iter().map(|(_, row)| row.request_id));
        }
        let expected: Vec<String> = rows(200..220).into_iter().map(|row| row.request_id).collect();
        assert_eq!(exported, expected, "the oldest first");
    });
}

/// Rows of two months and more, one in six hours.
fn spread(count: u64) -> Vec<Row> {
    (0..count).map(|n| row(n, n * 21_600_000 + n % 11 * 1_000_000)).collect()
}

#[test]
fn usage_is_what_the_rows_add_up_to() {
    on_both("usage", |database| {
        let made = spread(400);
        database.fold(&Batch { rows: made.clone(), positions: Vec::new() }).unwrap();
        let ask = |by: &[By]| {
            let found = database.usage(&UsageQuery { by: by.to_vec(), ..UsageQuery::default() }).unwrap();
            let order: Vec<_> = found.iter().map(|row| (row.used.cost.0, row.used.tokens())).collect();
            assert!(order.is_sorted_by(|a, b| a >= b), "the dearest first");
            found.into_iter().map(|row| (row.names, row.used)).collect::<BTreeMap<_, _>>()
        };
        let name = |text: &Option<String>| text.clone();
        let month = |row: &Row| Some(row.started_at[..7].to_owned());
        assert_eq!(ask(&[By::Tenant, By::Month]), sums(&made, |row| vec![name(&row.tenant), month(row)]));
        assert_eq!(ask(&[By::Day]), sums(&made, |row| vec![Some(row.started_at[..10].to_owned())]));
        assert_eq!(ask(&[By::Hour]), sums(&made, |row| vec![Some(format!("{}:00:00Z", &row.started_at[..13]))]));
        assert_eq!(ask(&[By::User, By::Route]), sums(&made, |row| vec![name(&row.user), name(&row.route)]));
        let by_provider = ask(&[By::Provider, By::UpstreamModel]);
        let elsewhere = by_provider[&vec![Some("other".to_owned()), Some("elsewhere".to_owned())]];
        assert_eq!((elsewhere.requests, elsewhere.input_tokens, elsewhere.cost), (0, 8 * 80, PicoUsd(8 * 12_345)));
        let tags = ask(&[By::Tag]);
        let tagged: Vec<Row> = made.iter().filter(|row| !row.tags.is_empty()).cloned().collect();
        assert_eq!(tags[&vec![Some("team=search".to_owned())]], sums(&tagged, |_| ())[&()]);
        assert_eq!(tags.len(), 3);
    });
}

#[test]
fn usage_is_of_the_time_and_the_names_that_are_asked_for() {
    on_both("asked", |database| {
        let made = spread(400);
        database.fold(&Batch { rows: made.clone(), positions: Vec::new() }).unwrap();
        let s = |text: &str| {
            let days = weir::usage::price::amount::day(&text[..10]).unwrap();
            days * 86_400 + text[11..13].parse::<i64>().unwrap() * 3_600 + text[14..16].parse::<i64>().unwrap() * 60
        };
        for (since, until) in [
            ("2026-04-03T00:00", "2026-05-01T00:00"),
            ("2026-04-03T05:15", "2026-04-03T18:30"),
            ("2026-04-03T05:15", "2026-06-01T18:30"),
            ("2026-01-01T00:00", "2027-01-01T00:00"),
        ] {
            let within = |row: &&Row| (since..until).contains(&&row.started_at[..16]);
            let expected: Vec<Row> = made.iter().filter(within).cloned().collect();
            for tenant in [None, Some("tenant-4")] {
                let keep = |row: &&Row| tenant.is_none() || row.tenant.as_deref() == tenant;
                let expected: Vec<Row> = expected.iter().filter(keep).cloned().collect();
                let filters = tenant.map(|tenant| (By::Tenant, tenant.to_owned())).into_iter().collect();
                let (since_s, until_s) = (Some(s(since)), Some(s(until)));
                let query = UsageQuery { by: vec![By::Model], filters, since_s, until_s, ..UsageQuery::default() };
                let found: BTreeMap<_, _> =
                    database.usage(&query).unwrap().into_iter().map(|row| (row.names[0].clone(), row.used)).collect();
                assert_eq!(found, sums(&expected, |row| row.model.clone()), "{since} {until} {tenant:?}");
            }
        }
        let nothing = UsageQuery { filters: vec![(By::Tenant, "nobody".into())], ..UsageQuery::default() };
        assert_eq!(database.usage(&nothing).unwrap(), []);
        let page = |offset| {
            let query = UsageQuery { by: vec![By::Tenant], limit: 3, offset, ..UsageQuery::default() };
            database.usage(&query).unwrap().into_iter().map(|row| row.names[0].clone()).collect::<Vec<_>>()
        };
        assert_eq!((page(0).len(), page(18).len(), page(21).len()), (3, 2, 0));
    });
}

#[test]
fn an_overview_is_what_the_rows_say() {
    on_both("overview", |database| {
        let mut made = spread(300);
        let hour = i64::try_from(APRIL_S).unwrap() + 3_600;
        for (number, row) in (0..).zip(&mut made) {
            row.started_at = moment(hour + number * 10);
            row.tenant = Some(if number % 3 == 0 { "acme" } else { "other" }.to_owned());
            row.timeline.clear();
        }
        database.fold(&Batch { rows: made.clone(), positions: Vec::new() }).unwrap();
        let overview = |step_s: i64, tenant: Option<&str>| {
            let stretch = Stretch { from_s: hour, until_s: hour + 3_600, step_s, tenant: tenant.map(str::to_owned) };
            database.overview(&stretch).unwrap()
        };
        for tenant in [None, Some("acme")] {
            let own: Vec<&Row> =
                made.iter().filter(|row| tenant.is_none_or(|t| row.tenant.as_deref() == Some(t))).collect();
            let (rows, sums) = (overview(60, tenant), overview(900, tenant));
            assert_eq!(rows.steps.len(), 50, "ten seconds each, in minutes");
            assert_eq!(sums.steps.len(), 4);
            for found in [&rows, &sums] {
                assert_eq!(found.total.requests, own.len() as u64);
                assert_eq!(found.total.failed, own.iter().filter(|row| row.outcome != "finished").count() as u64);
                assert_eq!(found.total.input_tokens, own.iter().filter_map(|row| row.input_tokens).sum::<u64>());
                assert_eq!(found.total.cost.0, own.iter().filter_map(|row| row.cost_pico_usd).sum::<i128>());
                assert!(!found.is_sampled && found.duration_us.is_some());
            }
            assert_eq!(rows.duration_us, sums.duration_us);
        }
        let later = Stretch { from_s: hour + 7_200, until_s: hour + 9_000, step_s: 60, tenant: None };
        assert_eq!(database.overview(&later).unwrap(), Overview::default());
    });
}

/// Other costs, dues and costs of attempts: all sums follow, and nothing that somebody else has changed
/// meanwhile is written over.
#[test]
fn rows_are_priced_again_with_all_their_sums() {
    on_both("rerate", |database| {
        database.fold(&batch(0..300)).unwrap();
        let read = || -> Vec<Row> {
            let page = database.rows_after(&Span::default(), None, 1_000).unwrap();
            page.into_iter().map(|(_, row)| row).collect()
        };
        let dearer = |row: Row| {
            let mut new = row.clone();
            new.price_version = Some("second".into());
            new.due_pico_usd = row.due_pico_usd.map(|due| due * 3);
            new.timeline.iter_mut().for_each(|it| it.cost_pico_usd = it.cost_pico_usd.map(|cost| cost + 1));
            (row, new)
        };
        let pairs: Vec<(Row, Row)> = read().into_iter().map(dearer).collect();
        assert_eq!(database.rerate(&pairs).unwrap(), 300);
        let changed = read();
        for (row, (_, new)) in changed.iter().zip(&pairs) {
            assert_eq!(line(row), line(new));
        }
        let total = database.usage(&UsageQuery::default()).unwrap();
        assert_eq!(total[0].used, sums(&changed, |_| ())[&()]);
        assert_verified(database, 300);
        // As it was read is not as it is, in no more than an attempt.
        let lost = pairs.iter().filter(|(old, new)| line(old) != line(new) && old.timeline.len() > 1);
        let stale: Vec<(Row, Row)> = lost
            .map(|(old, new)| {
                let old = Row { timeline: old.timeline.clone(), ..new.clone() };
                (old.clone(), Row { price_version: Some("third".into()), ..old })
            })
            .collect();
        assert!(!stale.is_empty());
        assert_eq!(database.rerate(&stale).unwrap(), 0);
    });
}

/// What the budgets of accounts that come anew are told for the last quarter of an hour.
#[test]
fn a_short_stretch_is_added_up_from_its_rows() {
    on_both("between", |database| {
        let mut made = spread(20);
        let at = "2026-05-01T10:20:00.000Z";
        for (number, row) in made.iter_mut().enumerate() {
            row.started_at = at.to_owned();
            (row.tenant, row.key_id, row.user) = (Some("acme".into()), Some("k".into()), Some("ada".into()));
            row.tags = vec![["team=a", "team=A", "team=ab", "te_m=a"][number % 4].to_owned()];
            counts(row, 10, 1);
            cost(row, 5);
            if number == 1 {
                (row.cost_pico_usd, row.cost_usd, row.due_pico_usd) = (None, None, Some(12));
            }
        }
        // Counts and costs that nobody can have meant stop nothing, however many they are.
        for row in made.iter_mut().skip(8) {
            row.tags = vec!["team=absurd".to_owned()];
            cost(row, 9_000_000_000_000_000_000);
        }
        counts(&mut made[0], u64::MAX / 4, 1);
        counts(&mut made[4], u64::MAX / 4, 1);
        database.fold(&Batch { rows: made, positions: Vec::new() }).unwrap();
        let from = i64::try_from(APRIL_S).unwrap() * 1_000;
        let used = |filter: Option<(By, &str)>, before: i64| {
            let tenant = (By::Tenant, "acme".to_owned());
            let filters =
                [Some(tenant), filter.map(|(by, name)| (by, name.to_owned()))].into_iter().flatten().collect();
            let mut rows = database.used_between(&filters, &[], from, before).unwrap();
            rows.pop().map(|(_, used)| used).unwrap_or_default()
        };
        let late = from + 365 * 86_400_000;
        assert_eq!((used(None, late).output_tokens, used(None, late).requests), (20, 20));
        assert_eq!(used(Some((By::User, "ada")), late).output_tokens, 20);
        assert_eq!(used(Some((By::Tag, "team=absurd")), late).cost.0, 12 * 1_000_000_000_000_000_000);
        assert_eq!(used(Some((By::Key, "other")), late).output_tokens, 0);
        // To the letter, in both.
        assert_eq!(
            (used(Some((By::Tag, "team=A")), late).input_tokens, used(Some((By::Tag, "team=A")), late).charged().0),
            (20, 17)
        );
        assert_eq!(used(Some((By::Tag, "team=ab")), late).output_tokens, 2);
        assert_eq!(used(Some((By::Tag, "te_m=a")), late).output_tokens, 2);
        assert_eq!(used(Some((By::Tag, "am=a")), late).output_tokens, 0);
        assert_eq!(used(None, from + 1).output_tokens, 0, "they end later");
        let by = [By::Tenant, By::UpstreamModel];
        let rows = database.used_between(&vec![(By::Tenant, "acme".to_owned())], &by, from, late).unwrap();
        let shown: Vec<_> = rows.iter().map(|(names, used)| (names.as_slice(), used.requests)).collect();
        assert_eq!(shown, [(&[Some("acme".to_owned()), Some("model-0".to_owned())][..], 20)]);
    });
}

#[test]
fn old_rows_go_and_sums_stay() {
    on_both("prune", |database| {
        database.fold(&Batch { rows: spread(100), positions: Vec::new() }).unwrap();
        let before = database.usage(&UsageQuery::default()).unwrap();
        // In the middle of the tenth day, so that nine are over.
        let tenth = (APRIL_S + 9 * 86_400 + 40_000) * 1_000;
        assert_eq!(database.prune(tenth, 5).unwrap(), 5);
        assert_verified(database, 95);
        let mut deleted = 5;
        loop {
            match database.prune(tenth, 10).unwrap() {
                0 => break,
                more => deleted += more,
            }
        }
        assert_eq!(deleted, 36);
        assert_verified(database, 64);
        assert_eq!(database.usage(&UsageQuery::default()).unwrap(), before);
    });
}

#[test]
fn a_difference_is_found() {
    on_both_and_behind_it("verify", |database, change| {
        database.fold(&batch(0..50)).unwrap();
        let mut wrong = row(60, 60_123);
        wrong.input_tokens = Some(5);
        let refused = database.fold(&Batch { rows: vec![wrong], positions: Vec::new() }).unwrap_err();
        assert!(refused.to_string().contains("contradicts itself"), "{refused}");
        assert!(database.verify().unwrap().differences.is_empty());
        change("UPDATE weir_requests SET input_tokens = 5 WHERE request_id LIKE '%00000000003'");
        let found = database.verify().unwrap().differences.join("\n");
        for part in ["00000000003: more input is cached than there is", "weir_usage"] {
            assert!(found.contains(part), "{part}: {found}");
        }
    });
}
