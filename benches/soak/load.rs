//! The clients: connections that are kept, each with one request after the other, and a look at every
//! answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::LocalSet;

use crate::mix::{Ask, Kind, Want, kind_of, tag};
use crate::upstream::LAST_WORD;

/// Whatever fails, an end is said before.
const PATIENCE: Duration = Duration::from_secs(60);
/// Wrong answers that are told.
const TOLD: usize = 5;

/// Characters of each.
const SHOWN: usize = 300;

/// What came of the requests so far.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    requests: AtomicU32,
    over: AtomicBool,
    by_kind: Mutex<BTreeMap<&'static str, u32>>,
    wrong: Mutex<Vec<String>>,
}

impl Tally {
    pub(crate) fn requests(&self) -> u32 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How many of which kind.
    pub(crate) fn told(&self) -> String {
        let by_kind = self.by_kind.lock().unwrap();
        by_kind.iter().map(|(kind, count)| format!("{kind}: {count}")).collect::<Vec<_>>().join("; ")
    }

    pub(crate) fn wrong(&self) -> Vec<String> {
        let wrong = self.wrong.lock().unwrap();
        let more = wrong.len().saturating_sub(TOLD);
        let rest = (more > 0).then(|| format!("and {more} more wrong answers"));
        wrong.iter().take(TOLD).cloned().chain(rest).collect()
    }

    fn add(&self, kind: &'static str, number: u32, looked: Result<(), String>) {
        *self.by_kind.lock().unwrap().entry(kind).or_default() += 1;
        if let Err(why) = looked {
            self.wrong.lock().unwrap().push(format!("request {number} ({kind}): {why}"));
        }
    }
}

/// Clients at work, on a thread of their own.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) tally: Arc<Tally>,
    thread: JoinHandle<()>,
}

impl Load {
    pub(crate) fn start(port: u16, clients: u32) -> Self {
        let tally = Arc::new(Tally::default());
        let own = Arc::clone(&tally);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let client = |_| tokio::task::spawn_local(client(port, Arc::clone(&own)));
                for client in (0..clients).map(client).collect::<Vec<_>>() {
                    client.await.unwrap();
                }
            });
        });
        Self { tally, thread }
    }

    /// When every request that was sent has its answer.
    pub(crate) fn stop(self) -> Arc<Tally> {
        self.tally.over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.tally
    }
}

/// One client: the next number, again and again.
async fn client(port: u16, tally: Arc<Tally>) {
    let mut kept = None;
    while !tally.over.load(Ordering::Relaxed) {
        let number = tally.requests.fetch_add(1, Ordering::Relaxed);
        let kind = kind_of(number);
        let ask = kind.ask(number);
        let asked = tokio::time::timeout(PATIENCE, exchange(port, number, kind, &ask, &mut kept)).await;
        let looked = match asked {
            Ok(Ok(answer)) => look(kind, number, &ask, &answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no end in a minute".to_owned()),
        };
        if looked.is_err() {
            kept = None;
        }
        tally.add(kind.name, number, looked);
    }
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
    /// Up to its proper end.
    is_whole: bool,
    /// The gateway said that it closes the connection.
    closes: bool,
}

impl Answer {
    /// Whether another request may follow on its connection.
    const fn leaves_open(&self) -> bool {
        self.is_whole && !self.closes
    }
}

/// One request, on the connection that is kept where there is one. The gateway says when it closes
/// one, so a hang-up without a word is a request that was swallowed.
async fn exchange(
    port: u16,
    number: u32,
    kind: &Kind,
    ask: &Ask,
    kept: &mut Option<TcpStream>,
) -> std::io::Result<Answer> {
    let is_stranger = matches!(kind.want, Want::Status(_));
    let mut socket = match kept.take().filter(|_| !is_stranger) {
        Some(socket) => socket,
        None => connect(port, is_stranger.then_some(number)).await?,
    };
    let answer = answer(&mut socket, kind, ask).await?;
    *kept = Some(socket).filter(|_| answer.leaves_open() && !is_stranger);
    Ok(answer)
}

/// Who guesses keys has an address of its own, as most addresses of a day are seen once.
async fn connect(port: u16, stranger: Option<u32>) -> std::io::Result<TcpStream> {
    let from = TcpSocket::new_v4()?;
    let host = stranger.map_or(1, |number| u8::try_from(number % 200 + 2).expect("small"));
    from.bind(([127, 0, 0, host], 0).into())?;
    let socket = from.connect(([127, 0, 0, 1], port).into()).await?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn answer(socket: &mut TcpStream, kind: &Kind, ask: &Ask) -> std::io::Result<Answer> {
    socket.write_all(&ask.bytes).await?;
    let mut raw = Vec::with_capacity(32 << 10);
    loop {
        let is_over = socket.read_buf(&mut raw).await.unwrap_or_default() == 0;
        if raw.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let Some(start) = memchr::memmem::find(&raw, b"\r\n\r\n").map(|at| at + 4) else {
            if is_over {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&raw[..start]).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let is_whole = match length {
            Some(length) => raw.len() - start >= length.trim().parse::<usize>().expect("a length"),
            None => raw.ends_with(b"\r\n0\r\n\r\n"),
        };
        if is_whole || is_over || kind.want == Want::Leave && raw.len() > start {
            let body = if length.is_some() { raw.split_off(start) } else { unchunked(&raw[start..]) };
            let closes = head.lines().any(|line| line == "connection: close");
            return Ok(Answer { status, body, is_whole: is_whole && kind.want != Want::Leave, closes });
        }
    }
}

/// The chunks' bytes, as far as they are there.
fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(at) = memchr::memmem::find(rest, b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(at + 2..at + 2 + size)) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(at + 4 + chunk.len()..).unwrap_or_default();
    }
    body
}

/// Whether it is what had to come.
fn look(kind: &Kind, number: u32, ask: &Ask, answer: &Answer) -> Result<(), String> {
    let body = String::from_utf8_lossy(&answer.body);
    let own = tag(number);
    if let Some(other) = body.match_indices("tag-").filter_map(|(at, _)| body.get(at..at + 12)).find(|t| *t != own) {
        return Err(format!("has {other}, another's"));
    }
    let is_right = match kind.want {
        Want::Right => {
            let has = |text: &str| body.contains(text);
            answer.status == 200 && answer.is_whole && has(&own) && has(LAST_WORD) && has(ask.end)
        }
        Want::Status(of) => of.contains(&answer.status),
        Want::Any | Want::Leave => true,
    };
    is_right.then_some(()).ok_or_else(|| {
        let end: String = body.chars().skip(body.chars().count().saturating_sub(SHOWN)).collect();
        format!("status {}, whole: {}, ends with {end:?}", answer.status, answer.is_whole)
    })
}
