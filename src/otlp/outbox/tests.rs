use super::*;

fn row() -> Arc<[u8]> {
    b"packed".as_slice().into()
}

/// With that many records that wait.
fn outbox(rows: usize, now: Instant) -> Outbox {
    let mut outbox = Outbox::new(now);
    let row = row();
    (0..rows).for_each(|_| assert!(outbox.push(Arc::clone(&row), now)));
    outbox
}

/// How many records go out now.
fn next(outbox: &mut Outbox, now: Instant) -> Option<usize> {
    let mut written = 0;
    outbox.next(now, false, |rows| {
        written = rows.len();
        Bytes::new()
    })?;
    Some(written)
}

fn busy(after: Option<Duration>) -> Found {
    Found::Busy { status: Some(503), after }
}

const TAKEN: Found = Found::Taken { rejected: 0 };

#[test]
fn records_gather_for_a_moment_and_go_one_export_after_the_other() {
    let now = Instant::now();
    let mut outbox = outbox(3, now);
    assert_eq!(next(&mut outbox, now + GATHER / 2), None);
    assert_eq!(next(&mut outbox, now + GATHER), Some(3));
    assert!(outbox.push(row(), now + GATHER));
    assert_eq!(next(&mut outbox, now + GATHER * 9), None, "one is on its way");
    assert_eq!(outbox.done(&TAKEN, now + GATHER * 9, 0, false), Some(Sent::Taken { taken: 3, rejected: 0 }));
    assert_eq!(next(&mut outbox, now + GATHER * 9), Some(1));
    assert_eq!(outbox.done(&Found::Taken { rejected: 7 }, now, 0, false), Some(Sent::Taken { taken: 0, rejected: 1 }));
    assert!(outbox.is_empty());
}

#[test]
fn many_do_not_wait_and_too_many_are_dropped() {
    let now = Instant::now();
    let mut outbox = outbox(MOST_WAITING, now);
    assert!(!outbox.push(row(), now));
    assert_eq!(next(&mut outbox, now), Some(MOST_AT_ONCE));
    assert!(outbox.push(row(), now), "there is room again");
    assert_eq!(outbox.clear(), u64::try_from(MOST_WAITING + 1).unwrap());
    assert_eq!(outbox.done(&busy(None), now, 0, false), None, "nobody waits for it");
}

#[test]
fn a_busy_collector_is_asked_again_ever_later_and_not_before_it_says() {
    let now = Instant::now();
    let mut outbox = outbox(2, now);
    let mut at = now + GATHER;
    let mut waits = Vec::new();
    for _ in 1..MOST_TRIES {
        assert!(next(&mut outbox, at).is_some());
        assert_eq!(outbox.done(&busy(None), at, JITTER_PERCENT, false), Some(Sent::Later));
        let due = outbox.export.as_ref().unwrap().due;
        assert_eq!(next(&mut outbox, due - Duration::from_millis(1)), None);
        waits.push((due - at).as_secs());
        at = due;
    }
    assert_eq!(waits, [1, 2, 4, 8, 16]);
    assert!(next(&mut outbox, at).is_some());
    assert_eq!(outbox.done(&busy(None), at, 0, false), Some(Sent::Lost { lost: 2 }), "given up at last");
    let mut outbox = self::outbox(1, now);
    for (asked, waits_s) in [(20, 20), (100_000, LONGEST_WAIT.as_secs())] {
        assert!(next(&mut outbox, at + GATHER).is_some());
        assert_eq!(outbox.done(&busy(Some(Duration::from_secs(asked))), at, 0, false), Some(Sent::Later));
        assert_eq!((outbox.export.as_ref().unwrap().due - at).as_secs(), waits_s);
        at += LONGEST_WAIT * 2;
    }
}

#[test]
fn what_is_refused_is_lost_at_once_and_so_is_all_where_time_is_up() {
    let now = Instant::now();
    let mut outbox = outbox(1, now);
    assert!(next(&mut outbox, now + GATHER).is_some());
    assert_eq!(outbox.done(&Found::Refused { status: 400 }, now, 0, false), Some(Sent::Lost { lost: 1 }));
    assert!(outbox.push(row(), now));
    assert!(outbox.next(now, true, |_| Bytes::new()).is_some(), "no time to gather");
    assert_eq!(outbox.done(&busy(None), now, 0, true), Some(Sent::Lost { lost: 1 }));
    assert!(outbox.is_empty());
}

#[test]
fn a_newer_reading_takes_the_place_of_one_that_waits() {
    let now = Instant::now();
    let mut outbox = Outbox::new(now);
    let body = |outbox: &mut Outbox, now| outbox.next(now, false, |rows| format!("{} records", rows.len()).into());
    assert!(outbox.replace("one".into(), 5, now));
    assert_eq!(body(&mut outbox, now), Some("one".into()));
    assert!(!outbox.replace("two".into(), 5, now), "it is on its way");
    assert_eq!(outbox.done(&busy(None), now, 0, false), Some(Sent::Later));
    assert!(outbox.replace("three".into(), 6, now));
    assert_eq!(body(&mut outbox, now), None, "the wait holds for it too");
    assert_eq!(body(&mut outbox, now + FIRST_WAIT), Some("three".into()));
    assert_eq!(outbox.done(&TAKEN, now, 0, false), Some(Sent::Taken { taken: 6, rejected: 0 }));
}
