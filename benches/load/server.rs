//! A process under test: started on a core, measured from outside.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Server {
    /// Starts `program` on a core and waits until it listens on `port`.
    pub(crate) fn start(core: u32, program: &Path, args: &[String], port: u16) -> Self {
        let mut command = pinned(core, program, args);
        command.env("WEIR_LOG", "warn").stdout(Stdio::null()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the server starts");
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(child.try_wait().unwrap().is_none(), "{} ended", program.display());
            assert!(Instant::now() < deadline, "{} does not listen", program.display());
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, port }
    }

    /// CPU time of all threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the server runs");
        let on_cpu = tasks.filter_map(|task| {
            let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            text.split_whitespace().next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(on_cpu.sum())
    }

    /// Memory in use.
    pub(crate) fn rss_mib(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command on one core, where `taskset` and that core are there.
pub(crate) fn pinned(core: u32, program: &Path, args: &[String]) -> Command {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let works = usize::try_from(core).is_ok_and(|core| core < cores)
        && Command::new("taskset").arg("--version").stdout(Stdio::null()).status().is_ok();
    let mut command;
    if works {
        command = Command::new("taskset");
        command.arg("-c").arg(core.to_string()).arg(program);
    } else {
        command = Command::new(program);
    }
    command.args(args);
    command
}
