//! A process under test: started on a core, measured from outside.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Has the port at which a process tells what it has allocated.
const COUNTS: &str = "WEIR_BENCH_COUNTS";

/// What to start, and where.
#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    /// None: wherever the system puts it.
    pub(crate) core: Option<u32>,
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<String>,
    /// It counts its allocations; of this executable's roles only.
    pub(crate) counts: bool,
    /// Its allocator is the system's; of this executable's roles only.
    pub(crate) has_systems_allocator: bool,
    /// Files it may have open.
    pub(crate) files: Option<u64>,
}

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    counts: Option<u16>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Program {
    pub(crate) fn new(core: impl Into<Option<u32>>, path: &Path, args: &[String]) -> Self {
        Self { core: core.into(), path: path.to_owned(), args: args.to_vec(), ..Self::default() }
    }

    /// On its core, where `taskset` and that core are there.
    pub(crate) fn command(&self) -> Command {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let is_there = |core: &u32| usize::try_from(*core).is_ok_and(|core| core < cores);
        let core = self.core.filter(is_there).filter(|_| has("taskset", &["--version"]));
        let mut words: Vec<String> = Vec::new();
        if let Some(files) = self.files {
            words.extend(["sh", "-c", r#"ulimit -n "$0" && exec "$@""#].map(str::to_owned));
            words.push(files.to_string());
        }
        if let Some(core) = core {
            words.extend(["taskset".to_owned(), "-c".to_owned(), core.to_string()]);
        }
        words.push(self.path.display().to_string());
        words.extend(self.args.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// Starts it and waits until it listens on `port`.
    pub(crate) fn serve(&self, port: u16) -> Server {
        let counts = self.counts.then(free_port);
        let mut command = self.command();
        if let Some(counts) = counts {
            command.env(COUNTS, counts.to_string());
        }
        if self.has_systems_allocator {
            command.env(weir_counting::SYSTEM.to_str().expect("a name"), "1");
        }
        command.env("WEIR_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut server = Server { child: command.spawn().expect("the server starts"), port, counts };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "{} ended", self.path.display());
            assert!(Instant::now() < deadline, "{} does not listen", self.path.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Server {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// CPU time of all threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.id())).expect("the server runs");
        let on_cpu = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(on_cpu.sum())
    }

    /// Memory in use.
    pub(crate) fn rss_kib(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.id())).expect("the server runs");
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Allocations and bytes so far, of one that counts.
    pub(crate) fn allocated(&self) -> [u64; 2] {
        let mut text = String::new();
        let mut socket = TcpStream::connect(("127.0.0.1", self.counts.expect("it counts"))).expect("it tells");
        socket.read_to_string(&mut text).expect("it tells");
        let mut numbers = text.split_whitespace().map(|n| n.parse().expect("a number"));
        [(); 2].map(|()| numbers.next().expect("two numbers"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The other end of [`Server::allocated`].
pub(crate) fn count_if_asked() {
    let Some(port) = std::env::var_os(COUNTS) else { return };
    let port: u16 = port.to_str().and_then(|port| port.parse().ok()).expect("a port");
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("a port that is free");
    weir_counting::start();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let counts = weir_counting::counts();
            let _ = writeln!(&socket, "{} {}", counts.allocations, counts.bytes);
        }
    });
}

/// Whether a program of the system is there and does this.
pub(crate) fn has(program: &str, args: &[&str]) -> bool {
    let tried =
        Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.is_ok_and(|status| status.success())
}
