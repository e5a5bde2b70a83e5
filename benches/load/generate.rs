//! The load: connections that are kept, requests that are made once.
//!
//! Closed loop: every connection sends its next request when the last is answered. Fixed rate: every
//! request has its moment, and where its connection is not free by then its latency counts from that
//! moment.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::cells::cells;

/// What to do; travels as arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) port: u16,
    pub(crate) cell: usize,
    pub(crate) connections: usize,
    pub(crate) ms: u64,
    /// Requests per second; 0 is closed loop.
    pub(crate) rate: u64,
}

/// What came of it; travels as one line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    /// To the first byte of the body.
    pub(crate) first_p50_us: u64,
    pub(crate) first_p99_us: u64,
}

impl Job {
    pub(crate) fn parse(args: &[String]) -> Self {
        let n = |at: usize| args[at].parse::<u64>().expect("a number");
        let small = |at: usize| usize::try_from(n(at)).unwrap();
        Self { port: u16::try_from(n(0)).unwrap(), cell: small(1), connections: small(2), ms: n(3), rate: n(4) }
    }

    pub(crate) fn args(&self) -> Vec<String> {
        let cell = u64::try_from(self.cell).unwrap();
        let connections = u64::try_from(self.connections).unwrap();
        let numbers = [u64::from(self.port), cell, connections, self.ms, self.rate];
        std::iter::once("generate".to_owned()).chain(numbers.iter().map(u64::to_string)).collect()
    }
}

impl Outcome {
    pub(crate) fn parse(line: &str) -> Self {
        let n: Vec<u64> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        Self { requests: n[0], p50_us: n[1], p99_us: n[2], first_p50_us: n[3], first_p99_us: n[4] }
    }
}

pub(crate) fn run(job: &Job) {
    let request: Rc<[u8]> = cells()[job.cell].request().into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let job = *job;
    let mut times = LocalSet::new().block_on(&runtime, async move {
        let start = Instant::now();
        let end = start + Duration::from_millis(job.ms);
        let mut tasks = Vec::new();
        for nth in 0..job.connections {
            let request = request.clone();
            tasks.push(tokio::task::spawn_local(async move { connection(&job, nth, &request, start, end).await }));
        }
        let mut times = Vec::new();
        for task in tasks {
            times.extend(task.await.unwrap());
        }
        times
    });
    let count = times.len();
    assert!(count > 0, "no request was answered");
    times.sort_unstable_by_key(|t| t.0);
    let at = |percent: usize| times[(count * percent / 100).min(count - 1)].0.as_micros();
    let (p50, p99) = (at(50), at(99));
    times.sort_unstable_by_key(|t| t.1);
    let first = |percent: usize| times[(count * percent / 100).min(count - 1)].1.as_micros();
    println!("{count} {p50} {p99} {} {}", first(50), first(99));
}

/// One connection's requests: time to the end and to the first byte of each.
async fn connection(job: &Job, nth: usize, request: &[u8], start: Instant, end: Instant) -> Vec<(Duration, Duration)> {
    let mut socket = TcpStream::connect(("127.0.0.1", job.port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let mut buffer = Vec::with_capacity(256 << 10);
    let mut times = Vec::new();
    // At a fixed rate the connections share the moments in turns.
    let step = |n: u64| Duration::from_nanos(n * 1_000_000_000 / job.rate.max(1));
    let mut moment = u64::try_from(nth).unwrap();
    loop {
        let mut from = Instant::now();
        if job.rate > 0 {
            let due = start + step(moment);
            moment += u64::try_from(job.connections).unwrap();
            if due > from && due < end {
                tokio::time::sleep_until(due.into()).await;
                // A timer that rings late is not the server's.
                from = Instant::now();
            } else {
                from = due;
            }
        }
        if from >= end {
            return times;
        }
        socket.write_all(request).await.unwrap();
        let first = read_answer(&mut socket, &mut buffer).await;
        times.push((from.elapsed(), first - from));
    }
}

/// Reads one answer; the moment of its body's first byte.
async fn read_answer(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Instant {
    buffer.clear();
    let mut first = None;
    let mut head = None;
    loop {
        assert!(socket.read_buf(buffer).await.unwrap() > 0, "closed: {}", String::from_utf8_lossy(buffer));
        if head.is_none() {
            head = memchr::memmem::find(buffer, b"\r\n\r\n").map(|at| (at + 4, length(&buffer[..at])));
            assert!(buffer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(buffer));
        }
        let Some((start, length)) = head else { continue };
        if buffer.len() > start && first.is_none() {
            first = Some(Instant::now());
        }
        let done = match length {
            Some(length) => buffer.len() >= start + length,
            None => buffer.len() > start && buffer.ends_with(b"\r\n0\r\n\r\n"),
        };
        if done {
            return first.unwrap_or_else(Instant::now);
        }
    }
}

/// Content-length; `None` is chunked.
fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines().find_map(|l| l.strip_prefix("content-length:").map(|v| v.trim().parse().unwrap()))
}
