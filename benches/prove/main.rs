//! Is the ledger exact? `make prove-ledger` sends 100,000 mixed requests (finished, streamed, cut by the
//! client, broken upstream, fallback, hedge; in four clients' formats) through the real gateway, kills it
//! twenty times at random moments, and holds what the ledger has against what its providers counted:
//! exactly one row each, the same token classes, the same cost to the pico-USD.
//!
//! `--requests`, `--kills`, `--clients`, `--seed`; `WEIR_BIN` is the gateway. The last line says whether it
//! passed, and so does the exit code.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    reason = "a bench may fail loudly, is set by its environment, and reads rows of any shape"
)]

#[path = "run.rs"]
mod run;

use std::process::ExitCode;

use run::{Size, run};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let of = |name: &str, default: u32| {
        let at = args.iter().position(|arg| arg == name);
        at.and_then(|at| args.get(at + 1)).map_or(default, |text| text.parse().expect("a number"))
    };
    let size = Size {
        requests: of("--requests", 100_000),
        kills: of("--kills", 20),
        clients: of("--clients", 64),
        seed: of("--seed", 1),
        from_access_log: args.iter().any(|arg| arg == "--from-access-log"),
    };
    let own = std::env::current_exe().unwrap();
    // target/<profile>/deps/prove-...
    let binary = run::binary(&own.ancestors().nth(3).expect("target").join("dist/weir"));
    let dir = std::env::temp_dir().join(format!("weir-prove-{}", std::process::id()));
    let proof = run(&binary, &dir, &size);
    println!("{}", proof.report);
    if proof.wrong.is_empty() {
        println!("prove-ledger: passed");
        return ExitCode::SUCCESS;
    }
    println!("{}\nprove-ledger: failed, see {}", proof.wrong.join("\n"), dir.display());
    ExitCode::FAILURE
}
