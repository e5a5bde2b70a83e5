//! Many streams at once, each held for seconds, and when each event of them came.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

use crate::cells::{Stream, cell};
use crate::mock::{HELD_EVENTS, MOMENT_DIGITS, NUMBER_DIGITS, STAMP, unix_nanos};
use weir::wire::Dialect;

/// All of them begin within this time: a crowd that comes at once would measure connecting.
const BEGIN: Duration = Duration::from_secs(6);
/// A stream that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// What to do; travels as arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) port: u16,
    pub(crate) streams: usize,
    /// The provider speaks Anthropic's format, the client OpenAI's.
    pub(crate) translated: bool,
}

/// What came of it; travels as one line.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    /// Streams that ended as they should, with every event.
    pub(crate) whole: usize,
    /// Most that were open at the same time.
    pub(crate) at_once: usize,
    /// From the mock's sending to the client's reading, of all events.
    pub(crate) p50_us: usize,
    pub(crate) p99_us: usize,
}

impl Job {
    pub(crate) fn parse(args: &[String]) -> Self {
        let n = |at: usize| args[at].parse::<usize>().expect("a number");
        Self { port: u16::try_from(n(0)).expect("a port"), streams: n(1), translated: n(2) == 1 }
    }

    pub(crate) fn args(&self) -> Vec<String> {
        let numbers = [usize::from(self.port), self.streams, usize::from(self.translated)];
        std::iter::once("hold".to_owned()).chain(numbers.iter().map(usize::to_string)).collect()
    }
}

impl Outcome {
    pub(crate) fn parse(line: &str) -> Self {
        let n: Vec<usize> = line.split_whitespace().map(|n| n.parse().expect("a number")).collect();
        Self { whole: n[0], at_once: n[1], p50_us: n[2], p99_us: n[3] }
    }
}

pub(crate) fn run(job: &Job) {
    let upstream = if job.translated { Dialect::Anthropic } else { Dialect::OpenAiChat };
    let request: Rc<[u8]> = cell(Dialect::OpenAiChat, upstream, 2, Stream::Held).request().into();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let job = *job;
    let (whole, at_once, mut delays_us) = LocalSet::new().block_on(&runtime, async move {
        let open = Rc::new(Open::default());
        let mut tasks = Vec::new();
        for nth in 0..job.streams {
            let (request, open) = (request.clone(), open.clone());
            let begin = BEGIN.mul_f64(nth as f64 / job.streams as f64);
            tasks.push(tokio::task::spawn_local(async move {
                tokio::time::sleep(begin).await;
                let mut heard = Heard::default();
                let ended = tokio::time::timeout(PATIENCE, stream(job.port, &request, &open, &mut heard)).await;
                if let Err(error) = ended.map_err(|_| "it takes too long".to_owned()).flatten() {
                    open.failed(&format!("stream {nth}, after {} events: {error}", heard.delays_us.len()));
                    return (false, heard.delays_us);
                }
                (heard.delays_us.len() == HELD_EVENTS, heard.delays_us)
            }));
        }
        let (mut whole, mut delays_us) = (0, Vec::new());
        for task in tasks {
            let (is_whole, delays) = task.await.unwrap();
            whole += usize::from(is_whole);
            delays_us.extend(delays);
        }
        (whole, open.most.get(), delays_us)
    });
    delays_us.sort_unstable();
    let at = |percent: usize| delays_us.get(delays_us.len() * percent / 100).copied().unwrap_or_default();
    println!("{whole} {at_once} {} {}", at(50), at(99));
}

/// Streams whose head has come and whose end has not.
#[derive(Debug, Default)]
struct Open {
    now: Cell<usize>,
    most: Cell<usize>,
    failures: Cell<usize>,
}

impl Open {
    /// The first few are told.
    fn failed(&self, what: &str) {
        const TOLD: usize = 5;
        self.failures.set(self.failures.get() + 1);
        if self.failures.get() <= TOLD {
            eprintln!("{what}");
        }
    }

    fn begin(&self) {
        self.now.set(self.now.get() + 1);
        self.most.set(self.most.get().max(self.now.get()));
    }
}

/// What came of one stream so far.
#[derive(Debug, Default)]
struct Heard {
    delays_us: Vec<usize>,
    /// Of what was read, what may be the beginning of a text.
    rest: Vec<u8>,
}

async fn stream(port: u16, request: &[u8], open: &Open, heard: &mut Heard) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.map_err(told)?;
    socket.set_nodelay(true).map_err(told)?;
    socket.write_all(request).await.map_err(told)?;
    let mut buffer = [0; 2048];
    let mut is_open = false;
    loop {
        let read = socket.read(&mut buffer).await.map_err(told)?;
        if read == 0 {
            return Err(format!("closed: {}", String::from_utf8_lossy(&heard.rest)));
        }
        if !is_open {
            is_open = buffer.starts_with(b"HTTP/1.1 200");
            if !is_open {
                return Err(String::from_utf8_lossy(&buffer[..read]).into_owned());
            }
            open.begin();
        }
        heard.read(&buffer[..read])?;
        if heard.rest.ends_with(b"\r\n0\r\n\r\n") {
            open.now.set(open.now.get() - 1);
            return Ok(());
        }
    }
}

impl Heard {
    /// Finds the texts in what comes; they have to come in their order.
    fn read(&mut self, bytes: &[u8]) -> Result<(), String> {
        const LENGTH: usize = STAMP.len() + NUMBER_DIGITS + MOMENT_DIGITS;
        self.rest.extend_from_slice(bytes);
        let now = unix_nanos();
        let mut from = 0;
        while let Some(at) = memchr::memmem::find(&self.rest[from..], STAMP).map(|at| from + at) {
            let Some(stamp) = self.rest.get(at + STAMP.len()..at + LENGTH) else {
                from = at;
                break;
            };
            let (number, moment) = stamp.split_at(NUMBER_DIGITS);
            let digits = |text: &[u8]| String::from_utf8_lossy(text).parse::<u128>().map_err(|error| error.to_string());
            if digits(number)? != self.delays_us.len() as u128 {
                return Err(format!("event {} was to come", self.delays_us.len()));
            }
            let delay = now.saturating_sub(digits(moment)?) / 1000;
            self.delays_us.push(usize::try_from(delay).unwrap_or(usize::MAX));
            from = at + LENGTH;
        }
        // The end is looked for in the rest, and the beginning of a text may be its last bytes.
        self.rest.drain(..from.max(self.rest.len().saturating_sub(64)).min(self.rest.len()));
        Ok(())
    }
}
