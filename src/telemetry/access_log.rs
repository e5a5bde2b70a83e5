//! Access lines, written by one thread of their own.
//!
//! Requests never wait for a disk or a pipe: they put a packed record on a bounded queue, or drop it
//! and count it (`weir_access_log_dropped_total`). After the first of a batch the writer sleeps a moment
//! on purpose: while it does, handing over a record wakes nobody, and the lines that gathered go out in
//! one write. The thread also keeps the last records for the admin API ([`Kept`]), whether their lines
//! are written anywhere or not: those that the sample leaves out, too.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use prometheus::IntCounter;

use super::kept::Kept;
use super::rotated::{self, Rotated};
use crate::config::telemetry::AccessLog as Target;
use crate::record::Record;

/// Records waiting at most: about 4 MB.
const QUEUE_RECORDS: usize = 8_192;
const BUFFER_BYTES: usize = 64 * 1024;
/// A line is written at most about this late.
const GATHER: Duration = Duration::from_millis(20);

type Sink = Box<dyn Write + Send>;
/// Sees every record, and how it is packed.
type Follower = Box<dyn FnMut(&Record<'_>, &Arc<[u8]>) + Send>;

enum Message {
    Record {
        packed: Vec<u8>,
        /// Its line is.
        is_written: bool,
    },
    Flush(SyncSender<()>),
    /// Another target, or the same one opened again after a rotation; `None` is off.
    Switch(Option<Sink>),
    Follow(Follower),
}

/// See the module documentation. Dropping it writes what waits and joins the thread.
pub struct AccessLog {
    queue: Option<SyncSender<Message>>,
    writer: Option<JoinHandle<()>>,
    kept: Arc<Kept>,
    dropped: IntCounter,
}

impl AccessLog {
    /// Opens the target and starts the thread; `dropped` counts the lines that are lost.
    pub fn start(target: &Target, dropped: IntCounter) -> io::Result<Self> {
        Self::with_sink(open(target)?, QUEUE_RECORDS, dropped)
    }

    fn with_sink(sink: Option<Sink>, queue_records: usize, dropped: IntCounter) -> io::Result<Self> {
        let (queue, messages) = sync_channel(queue_records);
        let kept = Arc::new(Kept::default());
        let writer = Writer {
            sink: sink.map(buffered),
            kept: Arc::clone(&kept),
            followers: Vec::new(),
            lost: dropped.clone(),
            line: Vec::new(),
            unwritten_lines: 0,
        };
        let writer = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(Self { queue: Some(queue), writer: Some(writer), kept, dropped })
    }

    /// The last records.
    pub fn kept(&self) -> &Arc<Kept> {
        &self.kept
    }

    /// Hands over a packed record; its line is written or not. Never waits.
    pub fn write(&self, packed: Vec<u8>, is_written: bool) {
        let Some(queue) = &self.queue else { return };
        let message = Message::Record { packed, is_written };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = queue.try_send(message) {
            self.dropped.inc();
        }
    }

    /// Opens the target anew, at a reload: this is also how a rotated file is let go. On an error the old
    /// one stays.
    pub fn switch(&self, target: &Target) -> io::Result<()> {
        let sink = open(target)?;
        let queue = self.queue.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        queue.send(Message::Switch(sink)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Shows all further records to somebody. False where there is no thread that would.
    pub fn follow(&self, follower: Follower) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.send(Message::Follow(follower)).is_ok())
    }

    /// Waits until all lines so far are written, at most `timeout`; says whether they are.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (done, wait) = sync_channel(1);
        // A full queue has a writer at work: it takes this in a moment, or the timeout passes.
        let mut message = Message::Flush(done);
        let deadline = std::time::Instant::now() + timeout;
        let Some(queue) = &self.queue else { return false };
        while let Err(error) = queue.try_send(message) {
            let TrySendError::Full(back) = error else { return false };
            if std::time::Instant::now() >= deadline {
                return false;
            }
            message = back;
            std::thread::sleep(Duration::from_millis(1));
        }
        wait.recv_timeout(deadline.saturating_duration_since(std::time::Instant::now())).is_ok()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessLog")
    }
}

fn open(target: &Target) -> io::Result<Option<Sink>> {
    Ok(match target {
        Target::Off => None,
        Target::Stdout => Some(Box::new(io::stdout())),
        Target::File(path, None) => Some(Box::new(rotated::open(path)?)),
        Target::File(path, Some(rotation)) => Some(Box::new(Rotated::open(path, *rotation)?)),
    })
}

fn buffered(sink: Sink) -> BufWriter<Sink> {
    BufWriter::with_capacity(BUFFER_BYTES, sink)
}

/// The thread.
struct Writer {
    sink: Option<BufWriter<Sink>>,
    kept: Arc<Kept>,
    followers: Vec<Follower>,
    lost: IntCounter,
    /// Room for one.
    line: Vec<u8>,
    /// In the buffer, or partly so.
    unwritten_lines: u64,
}

impl Writer {
    fn run(mut self, messages: &Receiver<Message>) {
        while let Ok(first) = messages.recv() {
            let gather = matches!(first, Message::Record { .. });
            self.take(first);
            if gather {
                std::thread::sleep(GATHER);
            }
            if self.drain(messages) == TryRecvError::Disconnected {
                break;
            }
        }
        self.flush();
    }

    fn drain(&mut self, messages: &Receiver<Message>) -> TryRecvError {
        loop {
            match messages.try_recv() {
                Ok(message) => self.take(message),
                Err(end) => {
                    self.flush();
                    return end;
                }
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Record { packed, is_written } => {
                // Of it there is one copy, whoever keeps it.
                let packed = Arc::from(packed);
                if let Some(record) = Record::unpack(&packed) {
                    if is_written {
                        self.line(&record);
                    }
                    self.followers.iter_mut().for_each(|follow| follow(&record, &packed));
                }
                self.kept.push(packed);
            }
            Message::Flush(done) => {
                self.flush();
                let _ = done.send(());
            }
            Message::Follow(follower) => self.followers.push(follower),
            Message::Switch(sink) => {
                self.flush();
                self.sink = sink.map(buffered);
            }
        }
    }

    fn line(&mut self, record: &Record<'_>) {
        let Some(sink) = &mut self.sink else { return };
        self.unwritten_lines += 1;
        self.line.clear();
        record.write_line(&mut self.line);
        if let Err(error) = sink.write_all(&self.line) {
            self.failed(&error);
        }
    }

    fn flush(&mut self) {
        match self.sink.as_mut().map(Write::flush) {
            Some(Err(error)) => self.failed(&error),
            _ => self.unwritten_lines = 0,
        }
    }

    /// A full disk or a closed pipe loses lines; it does not stop the gateway, nor does a broken line
    /// stay in the buffer to come out later.
    fn failed(&mut self, error: &io::Error) {
        tracing::error!(%error, lines = self.unwritten_lines, "access lines could not be written");
        self.lost.inc_by(std::mem::take(&mut self.unwritten_lines));
        if let Some(sink) = self.sink.take() {
            let (inner, _) = sink.into_parts();
            self.sink = Some(buffered(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    const LONG: Duration = Duration::from_secs(60);

    fn counter() -> IntCounter {
        IntCounter::new("lost", "lines").unwrap()
    }

    /// Keeps what is written once `gate` lets it.
    struct Gated {
        gate: Option<Receiver<()>>,
        kept: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if let Some(gate) = self.gate.take() {
                let _ = gate.recv();
            }
            self.kept.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A record of a request in a format of that name.
    fn named(name: &str) -> Vec<u8> {
        Record::new(uuid::Uuid::nil(), std::time::UNIX_EPOCH, name).pack()
    }

    /// The names of what was written.
    fn names(written: &[u8]) -> Vec<String> {
        let lines = std::str::from_utf8(written).unwrap().lines();
        lines.map(|line| crate::ledger::Row::read(line.as_bytes()).unwrap().format).collect()
    }

    #[test]
    fn a_full_queue_drops_and_counts_and_never_waits() {
        let (open, gate) = channel();
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Gated { gate: Some(gate), kept: Arc::clone(&kept) };
        let lost = counter();
        let log = AccessLog::with_sink(Some(Box::new(sink)), 4, lost.clone()).unwrap();
        let long = "x".repeat(10_000);
        // The buffer takes 64 KiB and the queue 4 lines while the sink stands still.
        for _ in 0..200 {
            log.write(named(&long), true);
        }
        assert!(lost.get() >= 180, "{}", lost.get());
        assert!(!log.flush(Duration::from_millis(1)), "nothing moves");
        open.send(()).unwrap();
        drop(log);
        let written = kept.lock().unwrap().iter().filter(|b| **b == b'\n').count();
        assert_eq!(written as u64 + lost.get(), 200, "each line is either written or counted");
    }

    #[test]
    fn flush_and_drop_write_everything() {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Gated { gate: None, kept: Arc::clone(&kept) };
        let log = AccessLog::with_sink(Some(Box::new(sink)), 100, counter()).unwrap();
        log.write(named("one"), true);
        assert!(log.flush(LONG));
        assert_eq!(names(&kept.lock().unwrap()), ["one"]);
        log.write(named("two"), true);
        drop(log);
        assert_eq!(names(&kept.lock().unwrap()), ["one", "two"]);
    }

    #[test]
    fn a_broken_sink_loses_lines_and_says_so() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lost = counter();
        let log = AccessLog::with_sink(Some(Box::new(Broken)), 100, lost.clone()).unwrap();
        for _ in 0..3 {
            log.write(named("line"), true);
        }
        drop(log);
        assert_eq!(lost.get(), 3);
    }

    #[test]
    fn a_reload_switches_files_and_keeps_the_old_one_on_error() {
        let dir = std::env::temp_dir().join(format!("weir-access-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&dir).unwrap();
        let (first, second) = (dir.join("a.log"), dir.join("b.log"));
        let log = AccessLog::start(&Target::File(first.clone(), None), counter()).unwrap();
        log.write(named("one"), true);
        assert!(log.switch(&Target::File(dir.join("missing/c.log"), None)).is_err());
        log.write(named("two"), true);
        log.switch(&Target::File(second.clone(), None)).unwrap();
        log.write(named("three"), true);
        log.switch(&Target::Off).unwrap();
        log.write(named("four"), true);
        drop(log);
        assert_eq!(names(&std::fs::read(&first).unwrap()), ["one", "two"]);
        assert_eq!(names(&std::fs::read(&second).unwrap()), ["three"]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
