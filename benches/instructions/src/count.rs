//! Runs a case under callgrind.

use std::process::{Command, Stdio};

use crate::Failure;
use crate::cases::Case;

/// What the watched process is started with, before the case's name and the rounds.
pub(crate) const RUN: &str = "--run";

/// Of one round of the case.
pub(crate) fn instructions(case: &Case) -> Result<u64, Failure> {
    let [once, twice] = std::thread::scope(|scope| {
        let [once, twice] = [1, 2].map(|times| scope.spawn(move || total(case.name, times * case.rounds)));
        [once, twice].map(|run| run.join().unwrap_or_else(|_| Err("a run panicked".to_owned())))
    });
    let (once, twice) = (once?, twice?);
    let spent = twice.checked_sub(once).ok_or("twice the rounds took less")?;
    Ok((spent + u64::from(case.rounds) / 2) / u64::from(case.rounds))
}

/// Of a whole process. Nothing of the environment gets in: it moves the stack.
fn total(name: &str, rounds: u32) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([RUN, name, &rounds.to_string()])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind does not start: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr);
    let count = text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match count {
        Some(count) if output.status.success() => Ok(count),
        _ => Err(format!("`{name}` under callgrind: {text}")),
    }
}
