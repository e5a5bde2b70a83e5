//! The clients: connections that are kept, each with one request after the other. Some leave in the
//! middle. A gateway that is killed takes what it has of them with it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use super::gateway::KEY;
use super::plan::{Case, Plan};

/// Whatever fails, an end is said before.
const PATIENCE: Duration = Duration::from_secs(60);
/// Until a gateway that is started again listens.
const AGAIN: Duration = Duration::from_millis(5);
/// Of a client that leaves before it has anything.
const LEAVES: Duration = Duration::from_millis(40);

/// How it ended for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The whole answer, to its end mark where it is a stream.
    Whole,
    /// An error, told properly.
    Refused(u16),
    /// It left.
    Left,
    /// The connection ended before the answer did.
    Died,
}

/// What a client saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) plan: Plan,
    pub(crate) end: End,
    /// Words of the answer that came.
    pub(crate) words: usize,
    /// The gateway was killed between its beginning and its end.
    pub(crate) killed: bool,
}

/// What clients and the one who kills have in common.
#[derive(Debug, Default)]
pub(crate) struct Course {
    next: AtomicU32,
    /// Kills so far, counted when they begin.
    pub(crate) kills: AtomicU32,
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) wrong: Mutex<Vec<String>>,
}

impl Course {
    pub(crate) fn done(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// Sends `requests` by that many clients, on a thread of its own.
pub(crate) fn start(port: u16, clients: u32, requests: u32, seed: u32) -> (Arc<Course>, JoinHandle<()>) {
    let course = Arc::new(Course::default());
    let own = Arc::clone(&course);
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let client = |_| tokio::task::spawn_local(client(port, requests, seed, Arc::clone(&own)));
            for client in (0..clients).map(client).collect::<Vec<_>>() {
                client.await.unwrap();
            }
        });
    });
    (course, thread)
}

async fn client(port: u16, requests: u32, seed: u32, course: Arc<Course>) {
    let mut kept = None;
    loop {
        let number = course.next.fetch_add(1, Ordering::SeqCst);
        if number >= requests {
            return;
        }
        let plan = Plan::of(number, seed);
        let mut socket = match kept.take() {
            Some(socket) => socket,
            None => connect(port).await,
        };
        let kills = course.kills.load(Ordering::SeqCst);
        let asked = tokio::time::timeout(PATIENCE, exchange(&mut socket, &plan)).await;
        let Ok((end, words, keeps)) = asked else {
            course.wrong.lock().unwrap().push(format!("request {number}: no end in a minute"));
            continue;
        };
        let killed = course.kills.load(Ordering::SeqCst) != kills;
        course.seen.lock().unwrap().push(Seen { plan, end, words, killed });
        kept = Some(socket).filter(|_| keeps);
    }
}

/// As soon as somebody listens.
async fn connect(port: u16) -> TcpStream {
    loop {
        match TcpStream::connect(("127.0.0.1", port)).await {
            Ok(socket) => {
                socket.set_nodelay(true).unwrap();
                return socket;
            }
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// How it ended, the words that came, and whether the connection may be used again.
async fn exchange(socket: &mut TcpStream, plan: &Plan) -> (End, usize, bool) {
    if socket.write_all(&plan.bytes(KEY)).await.is_err() {
        return (End::Died, 0, false);
    }
    if plan.case == Case::Leave {
        tokio::time::sleep(LEAVES).await;
        return (End::Left, 0, false);
    }
    let mut raw = Vec::with_capacity(32 << 10);
    loop {
        let is_over = socket.read_buf(&mut raw).await.unwrap_or_default() == 0;
        let words = words(&raw);
        if let Some(end) = ended(&raw, plan) {
            let head = String::from_utf8_lossy(&raw[..raw.len().min(2_048)]).to_ascii_lowercase();
            return (end, words, !head.contains("connection: close"));
        }
        if is_over {
            return (End::Died, words, false);
        }
        if plan.case == Case::Cut && words > plan.cut_after_words {
            return (End::Left, words, false);
        }
    }
}

/// The words that came: they are numbered, and some formats say all of them again at the end.
fn words(raw: &[u8]) -> usize {
    const MARK: &[u8] = b" word";
    let number = |at: usize| {
        let digits = raw[at + MARK.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0')) + 1
    };
    memchr::memmem::find_iter(raw, MARK).map(number).max().unwrap_or_default()
}

/// How the answer ended, if it did.
fn ended(raw: &[u8], plan: &Plan) -> Option<End> {
    let start = memchr::memmem::find(raw, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&raw[..start]).to_ascii_lowercase();
    let status: u16 = head.get(9..12)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let is_whole = match length {
        Some(length) => raw.len() - start >= length.trim().parse::<usize>().expect("a length"),
        None => raw.ends_with(b"\r\n0\r\n\r\n"),
    };
    let has = |text: &[u8]| memchr::memmem::find(raw, text).is_some();
    let tag = format!("tag-{:08}", plan.number);
    match (is_whole, status) {
        (false, _) => None,
        (true, 200) if has(plan.end().as_bytes()) && has(tag.as_bytes()) && !has(b"error\":{") => Some(End::Whole),
        (true, status) => Some(End::Refused(status)),
    }
}
