//! `weir doctor`: what is wrong with a running instance, and what helps.

mod found;
mod look;
mod metrics;

use std::process::ExitCode;

use serde::Serialize;

use super::instance::Which;
use super::{print, run};
use found::{Checks, Outcome};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "With -c it also holds the file against what runs, looks at the disk of `state.dir`, and asks one\n\
    provider for the time (without a credential).\n\
    Exit code: 0 nothing is broken (there may be warnings), 1 something is, 2 used wrongly."
)]
pub(super) struct Args {
    #[command(flatten)]
    which: Which,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report<'a> {
    healthy: bool,
    url: &'a str,
    checks: &'a Checks,
}

pub(super) fn doctor(args: &Args) -> ExitCode {
    let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(tokio) => tokio,
        Err(error) => return run::failed(&error.to_string()),
    };
    let mut checks = Checks::default();
    let runtime = match args.which.runtime() {
        Some(Ok(runtime)) => {
            checks.good("configuration", "the file is good");
            Some(runtime)
        }
        Some(Err(report)) => {
            let first = report.problems.first().map_or_else(String::new, |problem| problem.message.clone());
            let count = report.problems.len();
            checks.bad("configuration", format!("the file has {count} errors: {first}"), "`weir check` shows them all");
            None
        }
        None => None,
    };
    let instance = args.which.instance(runtime.as_ref());
    tokio.block_on(look::look(&instance, runtime.as_ref(), &mut checks));
    let healthy = checks.0.iter().all(|check| check.outcome != Outcome::Fail);
    if args.json {
        print::json(&Report { healthy, url: &instance.url, checks: &checks });
    } else {
        checks.print();
    }
    if healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
