//! How many instructions each part of a request's way takes, with a ceiling for each.
//!
//! `make instructions` counts and judges: a part that takes more than 3 % over what `benches/instructions.json`
//! has fails. One that takes 3 % less wants to be recorded anew, by `make instructions-write`, so that what was
//! won is not lost again unseen; so does a part that was meant to grow. `scripts/test` runs the same.
//!
//! Each case works on inputs that are always the same, in a process of its own under valgrind's callgrind: once
//! so many rounds, once twice as many. The difference by the rounds is what one costs; what starts the process
//! and makes the inputs is in both and falls out. No clock is read and no machine is too busy: ten runs in a row
//! gave the same figures to the last instruction, but for that of keys, which differs by a part in a thousand
//! (tables made before hash with a seed of their process's own). A build in another directory differed by ten.
//!
//! What changes the figures beside the code: the compiler, the C library (it copies memory), the crates of the
//! lock file with the allocator among them, and what the processor offers. valgrind shows programs a processor
//! with AVX2, if there is one, and none with AVX-512 or SHA instructions: UTF-8 is checked and bytes are searched
//! as with AVX2, and SHA-256 is computed without the instructions that it has in production. Figures that were
//! made with something else are not judged, and that is said.
//!
//! Not in here is what needs Pingora: heads of answers, sockets, the loop over attempts. `make bench` has it all.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is what it is for")]
#![expect(clippy::expect_used, reason = "a bench may fail loudly")]

#[path = "../../load/bodies.rs"]
mod bodies;
mod cases;
mod count;
mod recorded;

use std::collections::BTreeMap;
use std::process::ExitCode;

use recorded::{Recorded, Tools};

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds before those that count.
const WARM_UP: u32 = 10;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [count::RUN, case, rounds] => run(case, rounds).map(|()| true),
        ["--write"] => counted(&cases::CASES).and_then(write).map(|()| true),
        [] => judge(),
        _ => Err("use: weir-instructions [--write]".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One case, for so many rounds: the process that callgrind watches.
fn run(name: &str, rounds: &str) -> Result<(), Failure> {
    let case = cases::CASES.iter().find(|case| case.name == name).ok_or("no such case")?;
    let mut round = (case.make)();
    for _ in 0..WARM_UP {
        // Tables have grown and what is made once is made before anything counts.
        if round() == 0 {
            return Err(format!("`{name}` did nothing").into());
        }
    }
    for _ in 0..rounds.parse::<u32>()? {
        std::hint::black_box(round());
    }
    Ok(())
}

fn counted(cases: &[cases::Case]) -> Result<BTreeMap<String, u64>, Failure> {
    cases.iter().map(|case| Ok((case.name.to_owned(), count::instructions(case)?))).collect()
}

fn write(instructions: BTreeMap<String, u64>) -> Result<(), Failure> {
    for (name, count) in &instructions {
        println!("{name:<56}{count:>12}");
    }
    Recorded { made_with: Tools::here()?, instructions }.write()
}

fn judge() -> Result<bool, Failure> {
    let (recorded, tools) = (Recorded::read()?, Tools::here()?);
    let verdict = recorded.judge(&counted(&cases::CASES)?);
    print!("{}", verdict.table);
    if recorded.made_with == tools {
        println!("{} passed, {} failed", verdict.passed, verdict.failed);
        return Ok(verdict.failed == 0);
    }
    println!("recorded with {}\nthis is       {tools}", recorded.made_with);
    println!("so these figures say nothing about the code: record them anew with `make instructions-write`");
    println!("0 passed, 0 failed: not judged");
    Ok(true)
}
