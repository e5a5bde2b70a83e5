use std::sync::Mutex;

use super::*;
use crate::provider::sign::call::{Call, Reply};

struct Nobody;

#[async_trait]
impl Caller for Nobody {
    async fn call(&self, _call: Call) -> Result<Reply> {
        Err(not_fetched("nobody is called here"))
    }
}

/// Gives what it was told to, last first.
#[derive(Debug, Default)]
struct Scripted {
    name: &'static str,
    replies: Mutex<Vec<Result<Fresh<&'static str>>>>,
}

impl PartialEq for Scripted {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Source for Scripted {
    type Credential = &'static str;

    async fn fetch(&self, _caller: &dyn Caller) -> Result<Fresh<&'static str>> {
        self.replies.lock().unwrap().pop().unwrap_or_else(|| Err(not_fetched("the script is at its end")))
    }
}

fn cell(name: &'static str, mut replies: Vec<Result<Fresh<&'static str>>>) -> Fetched<Scripted> {
    replies.reverse();
    Fetched::new(Scripted { name, replies: Mutex::new(replies) })
}

fn lives(credential: &'static str, for_seconds: u64) -> Result<Fresh<&'static str>> {
    Ok(Fresh { credential, expires_at: Some(SystemTime::now() + Duration::from_secs(for_seconds)) })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn it_is_due_at_once_and_then_well_before_its_end() {
    let cell = cell("a", vec![lives("one", 3600), lives("two", 8)]);
    let now = SystemTime::now();
    assert!(cell.is_due(now));
    run(cell.refresh(&Nobody)).unwrap();
    assert_eq!(*cell.get().unwrap(), "one");
    assert!(!cell.is_due(now + Duration::from_secs(3200)) && cell.is_due(now + Duration::from_secs(3301)));
    run(cell.refresh(&Nobody)).unwrap();
    assert_eq!(*cell.get().unwrap(), "two");
    assert!(!cell.is_due(now + Duration::from_secs(5)) && cell.is_due(now + Duration::from_secs(7)));
}

#[test]
fn while_it_cannot_be_fetched_the_old_one_stays_for_as_long_as_it_lives() {
    let cell = cell("a", vec![lives("one", 3600)]);
    run(cell.refresh(&Nobody)).unwrap();
    assert!(run(cell.refresh(&Nobody)).is_err());
    assert_eq!(*cell.get().unwrap(), "one");
    assert!(run(cell.ready()).is_ok());
    let state = cell.state.load();
    assert!(state.valid(SystemTime::now() + Duration::from_secs(3601)).is_none());
}

#[test]
fn failures_are_told_at_once_and_tried_again_ever_later() {
    let cell = cell("a", vec![]);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let before = SystemTime::now();
        assert!(run(cell.refresh(&Nobody)).is_err());
        let due_at = cell.state.load().due_at.unwrap();
        pauses.push(due_at.duration_since(before).unwrap().as_secs());
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    let error = run(cell.ready()).unwrap_err();
    assert_eq!((error.status(), error.detail()), (502, Some("the script is at its end")));
}

#[test]
fn what_has_expired_already_is_not_taken() {
    let cell = cell("a", vec![lives("one", 0)]);
    assert!(run(cell.refresh(&Nobody)).is_err());
    assert!(cell.get().is_err());
}

#[test]
fn what_never_expires_is_fetched_once() {
    let cell = cell("a", vec![Ok(Fresh { credential: "for ever", expires_at: None })]);
    run(cell.refresh(&Nobody)).unwrap();
    assert!(!cell.is_due(SystemTime::now() + Duration::from_secs(1 << 32)));
    assert_eq!(*cell.get().unwrap(), "for ever");
}

#[test]
fn one_that_is_refused_is_fetched_again_unless_it_is_new() {
    let cell = cell("a", vec![lives("one", 3600)]);
    run(cell.refresh(&Nobody)).unwrap();
    let now = SystemTime::now();
    cell.doubt(now);
    assert!(!cell.is_due(now));
    let later = now + Duration::from_secs(61);
    cell.doubt(later);
    assert!(cell.is_due(later));
    assert_eq!(*cell.get().unwrap(), "one");
}

#[test]
fn who_waits_is_woken() {
    let cell = cell("a", vec![lives("one", 3600)]);
    let (ready, refreshed) = run(async { tokio::join!(cell.ready(), cell.refresh(&Nobody)) });
    assert!(ready.is_ok() && refreshed.is_ok());
}

#[test]
fn a_reload_keeps_it_where_its_source_is_the_same() {
    let old = cell("a", vec![lives("one", 3600)]);
    run(old.refresh(&Nobody)).unwrap();
    let (same, other) = (cell("a", vec![]), cell("b", vec![]));
    same.keep(&old);
    other.keep(&old);
    assert_eq!(*same.get().unwrap(), "one");
    assert!(other.get().is_err() && other.is_due(SystemTime::now()));
}

#[test]
fn nothing_of_it_can_be_printed() {
    let cell = cell("a", vec![lives("very secret", 3600)]);
    run(cell.refresh(&Nobody)).unwrap();
    assert!(!format!("{cell:?}").contains("very secret"));
}
