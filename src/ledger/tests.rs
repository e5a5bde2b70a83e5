use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fs::{self, OpenOptions};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use super::*;
use crate::record::{Outcome, Record};

const OPTIONS: Options = Options { streams: 2, most_bytes: 1 << 30, serve_unrecorded: false };

/// A directory of its own for each test.
struct State(PathBuf);

impl State {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("weir-ledger-{}", uuid::Uuid::now_v7()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> Arc<Log> {
        Arc::new(Log::begin(&self.0, OPTIONS).unwrap())
    }

    fn segments(&self) -> Vec<PathBuf> {
        let files = |path: PathBuf| fs::read_dir(path).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
        let mut all: Vec<_> = files(self.0.join(DIRECTORY)).into_iter().flat_map(files).collect();
        all.retain(|path| path.extension().is_some_and(|e| e == "log"));
        all.sort();
        all
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A store as the contract has it, in memory.
#[derive(Default)]
struct Memory {
    rows: RefCell<HashMap<String, Row>>,
    positions: RefCell<HashMap<String, u64>>,
    is_down: Cell<bool>,
}

impl Store for Memory {
    fn positions(&self) -> Result<HashMap<String, u64>, String> {
        if self.is_down.get() { Err("down".into()) } else { Ok(self.positions.borrow().clone()) }
    }

    fn fold(&self, rows: &[Record<'_>], positions: &[Position]) -> Result<(), String> {
        if self.is_down.get() {
            return Err("down".into());
        }
        for row in rows {
            let (number, _) = row.request_id.as_u64_pair();
            self.rows.borrow_mut().entry(number.to_string()).or_insert_with(|| row.into());
        }
        for Position { stream, seq } in positions {
            let before = self.positions.borrow_mut().insert(stream.clone(), *seq);
            assert!(before.is_none_or(|before| before <= *seq), "positions never go back");
        }
        Ok(())
    }

    fn forget(&self, stream: &str) -> Result<(), String> {
        self.positions.borrow_mut().remove(stream);
        Ok(())
    }
}

impl Memory {
    fn outcomes(&self) -> HashMap<String, String> {
        self.rows.borrow().iter().map(|(id, row)| (id.clone(), row.outcome.clone())).collect()
    }
}

fn id(number: u64) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn row(number: u64, outcome: Outcome) -> Vec<u8> {
    let user = "x".repeat(700);
    Record { outcome, user: Some(&user), ..Record::new(uuid::Uuid::from_bytes(id(number)), UNIX_EPOCH, "chat") }.pack()
}

/// A request up to one of its steps: 0 is nothing, 4 all of it.
fn request(log: &Log, number: u64, steps: u32) {
    let entry = log.entry(id(number));
    if steps >= 1 {
        log.attempt(&entry, &row(number, Outcome::Recovered)).unwrap();
    }
    if steps >= 2 {
        log.progress(&entry, &row(number, Outcome::Recovered));
    }
    if steps >= 3 {
        log.settle(&entry, &row(number, Outcome::Finished));
    }
    if steps >= 4 {
        log.close(&entry, None);
    }
}

fn fold_all(folder: &mut Folder, store: &Memory) {
    while folder.beat(store).unwrap().more {}
}

#[test]
fn each_request_that_ends_is_one_row_once() {
    let (state, store) = (State::new(), Memory::default());
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    for number in 0..2_500 {
        request(&log, number, 4);
        if number % 400 == 0 {
            fold_all(&mut folder, &store);
        }
    }
    fold_all(&mut folder, &store);
    assert_eq!((store.rows.borrow().len(), folder.folded_rows(), folder.open()), (2_500, 2_500, 0));
    request(&log, 5_000, 3);
    fold_all(&mut folder, &store);
    assert_eq!((folder.folded_rows(), folder.open()), (2_500, 1), "a row that may still change waits");
}

#[test]
fn a_row_may_change_between_its_answer_and_its_end() {
    let (state, store) = (State::new(), Memory::default());
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    let entry = log.entry(id(1));
    log.attempt(&entry, &row(1, Outcome::Recovered)).unwrap();
    log.settle(&entry, &row(1, Outcome::Finished));
    log.settle(&entry, &row(1, Outcome::Failed));
    log.close(&entry, Some(&row(1, Outcome::ClientCut)));
    // Of this one no provider was asked.
    let entry = log.entry(id(2));
    log.close(&entry, Some(&row(2, Outcome::Failed)));
    fold_all(&mut folder, &store);
    let outcomes = store.outcomes();
    assert_eq!((outcomes["1"].as_str(), outcomes["2"].as_str()), ("client_cut", "failed"));
}

#[test]
fn what_a_killed_process_left_open_is_closed_once_by_the_next() {
    let (state, store) = (State::new(), Memory::default());
    for life in 0..4_u64 {
        let log = state.log();
        let mut folder = Folder::new(Arc::clone(&log));
        for number in 0..200 {
            request(&log, life * 1_000 + number, u32::try_from(number % 5).unwrap());
        }
        if life % 2 == 0 {
            fold_all(&mut folder, &store);
        }
        // What a process has not written when it is killed is lost with it: here it is written.
        log.write().unwrap();
    }
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    fold_all(&mut folder, &store);
    let outcomes = store.outcomes();
    assert_eq!(outcomes.len(), 4 * 160, "those of which nobody was asked left nothing");
    for life in 0..4_u64 {
        for number in 0..200 {
            let expected = match number % 5 {
                0 => continue,
                1 | 2 => "recovered",
                _ => "finished",
            };
            assert_eq!(outcomes[&(life * 1_000 + number).to_string()], expected, "{number}");
        }
    }
    assert_eq!(state.segments().len(), 2, "only this process's are left");
    assert_eq!(store.positions.borrow().len(), 0, "nothing is known of streams that are gone");
}

#[test]
fn a_store_that_is_down_loses_nothing_and_counts_nothing_twice() {
    let (state, store) = (State::new(), Memory::default());
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    for number in 0..5_000 {
        request(&log, number, 4);
        store.is_down.set(number % 700 > 200);
        if number % 100 == 0 {
            let _ = folder.beat(&store);
        }
    }
    store.is_down.set(false);
    fold_all(&mut folder, &store);
    assert_eq!((store.rows.borrow().len(), folder.folded_rows()), (5_000, 5_000));
}

#[test]
fn segments_go_when_they_are_folded_and_nobody_has_begun_in_them() {
    let (state, store) = (State::new(), Memory::default());
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    let long = log.entry(id(9_999_999));
    log.attempt(&long, &row(9_999_999, Outcome::Recovered)).unwrap();
    // Several segments.
    for number in 0..4_000 {
        request(&log, number, 4);
    }
    fold_all(&mut folder, &store);
    assert!(state.segments().len() > 3, "one of them is not over");
    let before = log.bytes();
    log.settle(&long, &row(9_999_999, Outcome::Finished));
    log.close(&long, None);
    fold_all(&mut folder, &store);
    assert_eq!(state.segments().len(), 2, "each stream has its present one");
    assert!(log.bytes() < before / 2);
    assert_eq!(store.rows.borrow().len(), 4_001);
}

#[test]
fn a_log_that_breaks_off_anywhere_is_read_up_to_there() {
    let state = State::new();
    let log = state.log();
    (0..20).for_each(|number| request(&log, number, 4));
    log.write().unwrap();
    drop(log);
    let path = state.segments().into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let whole = fs::read(&path).unwrap();
    let mut seen = HashSet::new();
    for cut in (0..whole.len()).step_by(7) {
        let other = State::new();
        let process = other.0.join(DIRECTORY).join(uuid::Uuid::now_v7().simple().to_string());
        fs::create_dir_all(&process).unwrap();
        fs::write(process.join("000-00000001.log"), &whole[..cut]).unwrap();
        let (log, store) = (other.log(), Memory::default());
        fold_all(&mut Folder::new(Arc::clone(&log)), &store);
        let rows = store.rows.borrow().len();
        assert!(rows <= 20 && !process.exists());
        assert_eq!(log.counts().lost.load(Ordering::Relaxed), 0);
        seen.insert(rows);
    }
    assert_eq!(seen.len(), 21, "each prefix has its rows");
}

#[test]
fn damage_in_the_middle_costs_what_is_damaged_and_is_told() {
    let state = State::new();
    let log = state.log();
    (0..50).for_each(|number| request(&log, number, 4));
    log.write().unwrap();
    drop(log);
    let path = state.segments().into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&path, bytes).unwrap();
    let found = verify(&state.0).unwrap();
    assert!(!found.is_sound() && found.damaged_bytes > 0 && found.missing_records == 1, "{found:?}");
    let (log, store) = (state.log(), Memory::default());
    fold_all(&mut Folder::new(Arc::clone(&log)), &store);
    assert!(store.rows.borrow().len() >= 49);
    assert!(log.counts().damaged_bytes.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_damaged_length_hides_no_frame_behind_it() {
    let state = State::new();
    let log = state.log();
    (0..50).for_each(|number| request(&log, number, 4));
    log.write().unwrap();
    drop(log);
    let path = state.segments().into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let mut frames = memchr::memmem::find_iter(&bytes, b"wlr1").collect::<Vec<_>>().into_iter();
    let third = frames.nth(2).unwrap();
    // It says that it is as long as a line may be: longer than the file.
    bytes[third + 4..third + 8].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    fs::write(&path, bytes).unwrap();
    let (log, store) = (state.log(), Memory::default());
    fold_all(&mut Folder::new(Arc::clone(&log)), &store);
    assert_eq!(store.rows.borrow().len(), 50, "the frames around it tell of its request too");
    assert!(log.counts().damaged_bytes.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_is_no_process_is_left_where_it_is() {
    let (state, store) = (State::new(), Memory::default());
    let other = state.0.join(DIRECTORY).join("lost+found");
    fs::create_dir_all(&other).unwrap();
    let log = state.log();
    request(&log, 1, 4);
    fold_all(&mut Folder::new(Arc::clone(&log)), &store);
    assert_eq!((store.rows.borrow().len(), fs::read_dir(other).unwrap().count()), (1, 0));
}

#[test]
fn others_may_not_read_it() {
    use std::os::unix::fs::PermissionsExt as _;
    let state = State::new();
    let log = state.log();
    request(&log, 1, 4);
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let segments = state.segments();
    assert!(segments.iter().all(|path| mode(path) == 0o600 && mode(path.parent().unwrap()) == 0o700), "{segments:?}");
    let process = segments[0].parent().unwrap();
    assert_eq!((mode(&process.join("lock")), mode(process.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn what_is_refused_takes_no_room_from_what_runs() {
    let state = State::new();
    let log = Log::begin(&state.0, Options { most_bytes: 20_000, ..OPTIONS }).unwrap();
    let running = log.entry(id(1));
    log.attempt(&running, &row(1, Outcome::Recovered)).unwrap();
    (2..100).for_each(|number| request_that_may_be_refused(&log, number));
    log.write().unwrap();
    let (full, lost) = (log.bytes(), log.counts().lost.load(Ordering::Relaxed));
    assert!(log.is_full());
    (100..10_100).for_each(|number| request_that_may_be_refused(&log, number));
    log.write().unwrap();
    assert_eq!((log.bytes(), log.counts().lost.load(Ordering::Relaxed)), (full, lost), "refused, not lost");
    assert!(log.counts().refused.load(Ordering::Relaxed) >= 10_000);
    log.settle(&running, &row(1, Outcome::Finished));
    log.close(&running, None);
    log.write().unwrap();
    assert!(log.bytes() > full);
    let (store, mut folder) = (Memory::default(), Folder::new(Arc::new(log)));
    fold_all(&mut folder, &store);
    assert_eq!(store.outcomes().get("1").map(String::as_str), Some("finished"));
}

/// As the gateway does it: what is refused ends all the same.
fn request_that_may_be_refused(log: &Log, number: u64) {
    let entry = log.entry(id(number));
    let _ = log.attempt(&entry, &row(number, Outcome::Recovered));
    log.settle(&entry, &row(number, Outcome::Failed));
    log.close(&entry, None);
}

#[test]
fn a_log_at_its_limit_refuses_what_is_new_and_ends_what_runs() {
    let state = State::new();
    let log = Log::begin(&state.0, Options { most_bytes: 20_000, ..OPTIONS }).unwrap();
    let running = log.entry(id(1));
    log.attempt(&running, &row(1, Outcome::Recovered)).unwrap();
    let refused = (2..100).find(|number| {
        let entry = log.entry(id(*number));
        log.attempt(&entry, &row(*number, Outcome::Recovered)).is_err()
    });
    assert!(refused.is_some_and(|number| number > 10), "{refused:?}");
    assert!(log.is_full());
    log.settle(&running, &row(1, Outcome::Finished));
    log.close(&running, None);
    log.write().unwrap();
    let found = verify(&state.0).unwrap();
    assert_eq!((found.ended, found.is_sound()), (1, true));
    assert_eq!(log.counts().refused.load(Ordering::Relaxed), 1);
    let serving = Log::begin(&state.0, Options { most_bytes: 1, serve_unrecorded: true, ..OPTIONS }).unwrap();
    assert_eq!(serving.attempt(&serving.entry(id(7)), &row(7, Outcome::Recovered)), Ok(()));
}

#[test]
fn the_log_of_a_process_that_lives_is_left_alone() {
    let (state, store) = (State::new(), Memory::default());
    let (one, other) = (state.log(), state.log());
    request(&one, 1, 1);
    request(&other, 2, 4);
    fold_all(&mut Folder::new(Arc::clone(&other)), &store);
    assert_eq!(store.outcomes().len(), 1);
    // A reader does not disturb it either.
    assert_eq!(verify(&state.0).unwrap().open, 1);
    request(&one, 3, 4);
    fold_all(&mut Folder::new(Arc::clone(&one)), &store);
    assert_eq!(store.outcomes().len(), 2);
}

#[test]
fn threads_write_beside_each_other() {
    let (state, store) = (State::new(), Memory::default());
    let log = state.log();
    let mut folder = Folder::new(Arc::clone(&log));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let log = &log;
            scope.spawn(move || (0..1_000).for_each(|number| request(log, thread * 10_000 + number, 4)));
        }
        for _ in 0..50 {
            folder.beat(&store).unwrap();
            log.sync().unwrap();
        }
    });
    fold_all(&mut folder, &store);
    assert_eq!(store.rows.borrow().len(), 4_000);
    let found = verify(&state.0).unwrap();
    assert!(found.is_sound(), "{found:?}");
}

#[test]
fn a_file_that_is_no_segment_is_damage() {
    let state = State::new();
    let process = state.0.join(DIRECTORY).join(uuid::Uuid::now_v7().simple().to_string());
    fs::create_dir_all(&process).unwrap();
    fs::write(process.join("000-00000001.log"), b"something else altogether").unwrap();
    fs::write(process.join("notes.txt"), b"not ours").unwrap();
    OpenOptions::new().create(true).append(true).open(process.join("lock")).unwrap();
    assert!(verify(&state.0).unwrap().damaged_bytes > 0);
}

#[test]
fn a_row_that_cannot_be_read_is_counted_once_and_holds_up_no_other() {
    let state = State::new();
    let log = state.log();
    for (number, row) in [(1, row(1, Outcome::Finished)), (2, b"\xff".to_vec())] {
        let entry = log.entry(id(number));
        log.settle(&entry, &row);
        log.close(&entry, None);
    }
    let (store, mut folder) = (Memory::default(), Folder::new(Arc::clone(&log)));
    store.is_down.set(true);
    folder.beat(&store).unwrap_err();
    store.is_down.set(false);
    assert_eq!(folder.beat(&store).unwrap().rows, 1);
    assert_eq!(folder.beat(&store).unwrap().rows, 0);
    assert_eq!((store.rows.borrow().len(), log.counts().lost.load(Ordering::Relaxed)), (1, 1));
}
