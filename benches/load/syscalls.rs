//! How often a process calls the system while something else runs.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::server::{Server, has};

const EVENT: &str = "raw_syscalls:sys_enter";

/// What counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    /// Costs the process next to nothing.
    Perf,
    /// Slows it down several times, so that more is there at each read: of paced streams it counts far fewer.
    Strace,
}

impl Counter {
    /// What is there and may.
    pub(crate) fn find() -> Option<Self> {
        let tried = Command::new("perf").args(["stat", "-x,", "-e", EVENT, "--", "true"]).stdin(Stdio::null()).output();
        if tried.is_ok_and(|it| it.status.success() && counted(&String::from_utf8_lossy(&it.stderr)).is_some()) {
            return Some(Self::Perf);
        }
        // It has to be allowed to trace what it did not start.
        let mut other = Command::new("sleep").arg("0.5").spawn().ok()?;
        let tried = has("strace", &["-c", "-f", "-o", "/dev/null", "-p", &other.id().to_string()]);
        let _ = other.wait();
        (tried && has("kill", &["-l"])).then_some(Self::Strace)
    }

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Perf => "perf stat -e raw_syscalls:sys_enter",
            Self::Strace => "strace -c -f",
        }
    }

    /// Runs `load`, and says what it printed and how many calls the server made meanwhile.
    pub(crate) fn during(self, server: &Server, load: Command) -> (String, u64) {
        let file = std::env::temp_dir().join(format!("weir-syscalls-{}", std::process::id()));
        let done = match self {
            Self::Perf => perf(server, &load, &file),
            Self::Strace => strace(server, load, &file),
        };
        let _ = std::fs::remove_file(file);
        done
    }
}

/// It counts for as long as the command runs that it starts.
fn perf(server: &Server, load: &Command, file: &PathBuf) -> (String, u64) {
    let mut perf = Command::new("perf");
    perf.args(["stat", "-x,", "-e", EVENT, "-p", &server.id().to_string(), "-o"]).arg(file).arg("--");
    perf.arg(load.get_program()).args(load.get_args());
    let out = perf.stdin(Stdio::null()).output().expect("perf runs");
    assert!(out.status.success(), "perf: {}", String::from_utf8_lossy(&out.stderr));
    let calls = counted(&std::fs::read_to_string(file).expect("what perf has counted")).expect("a number");
    (String::from_utf8_lossy(&out.stdout).into_owned(), calls)
}

/// `1234,,raw_syscalls:sys_enter,...`
fn counted(text: &str) -> Option<u64> {
    text.lines().find(|line| line.contains(EVENT))?.split(',').next()?.parse().ok()
}

fn strace(server: &Server, mut load: Command, file: &PathBuf) -> (String, u64) {
    let mut strace = Command::new("strace");
    strace.args(["-c", "-f", "-p", &server.id().to_string(), "-o"]).arg(file).stderr(Stdio::null());
    let mut strace = strace.spawn().expect("strace starts");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_traced(server) {
        assert!(Instant::now() < deadline, "strace may not trace");
        std::thread::sleep(Duration::from_millis(10));
    }
    let out = load.stdin(Stdio::null()).output().expect("the generator runs");
    let stopped = Command::new("kill").args(["-INT", &strace.id().to_string()]).status();
    assert!(stopped.is_ok_and(|status| status.success()), "strace is not stopped");
    strace.wait().expect("strace ends");
    let text = std::fs::read_to_string(file).expect("what strace has counted");
    let total = text.lines().rev().find(|line| line.trim_end().ends_with("total")).expect("a sum");
    let calls = total.split_whitespace().nth(3).expect("calls").parse().expect("a number");
    (String::from_utf8_lossy(&out.stdout).into_owned(), calls)
}

/// In all its threads.
fn is_traced(server: &Server) -> bool {
    let mut tasks = std::fs::read_dir(format!("/proc/{}/task", server.id())).expect("the server runs").flatten();
    tasks.all(|task| {
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        !status.contains("TracerPid:\t0\n")
    })
}
