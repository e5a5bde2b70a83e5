//! The command line. Exit codes: 0 done, 1 the answer is no (a bad configuration, a failure), 2 used
//! wrongly.

mod audit;
mod cell;
mod check;
mod completions;
mod demo;
mod doctor;
mod env;
mod explain;
mod import;
mod init;
mod instance;
mod keys;
mod ledger;
mod man;
mod models;
pub(crate) mod print;
mod probe;
mod providers;
mod run;
mod schema;
mod stored;
mod tail;
mod usage;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Self-hosted AI gateway: one key and one URL in front of every LLM provider.
#[derive(Debug, Parser)]
#[command(name = "weir", version, propagate_version = false, disable_help_subcommand = true)]
#[command(
    after_help = "Try it without a key or a file: weir demo\nStart with a file:              weir init, then weir run -c weir.yaml"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve
    Run(run::Args),
    /// Serve a simulated provider: needs no key, no file, no network
    Demo(demo::Args),
    /// Say all that is wrong with a configuration
    Check(check::Args),
    /// Say where a request would go, and why, without sending it
    Explain(explain::Args),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Write a commented configuration to start from
    Init(init::Args),
    /// List the models that are known, with their limits and prices
    Models(models::Args),
    /// Ask a model what it can do, and print that as configuration
    Probe(probe::Args),
    /// List the kinds of providers that are built in
    Providers(providers::Args),
    /// Print the settings that point a client at the gateway
    Env(env::Args),
    /// Turn another gateway's configuration into one of Weir's
    Import(import::Args),
    /// Diagnose a running instance: what is wrong with it, and what helps
    Doctor(doctor::Args),
    /// Follow requests as they end
    Tail(tail::Args),
    /// Make keys for clients
    Keys(keys::Args),
    /// Say what was used and what it cost
    Usage(usage::Args),
    /// Export the ledger, or check it
    Ledger(ledger::Args),
    /// Hold the ledger against what providers say was used
    Audit(audit::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man,
}

/// Used wrongly.
const USAGE: u8 = 2;

/// Runs the command of the process's arguments.
pub fn main() -> ExitCode {
    small_pages();
    match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Demo(args) => demo::demo(&args),
        Command::Check(args) => check::check(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Schema => schema::schema(),
        Command::Init(args) => init::init(&args),
        Command::Models(args) => models::models(&args),
        Command::Probe(args) => probe::probe(&args),
        Command::Providers(args) => providers::providers(&args),
        Command::Env(args) => env::env(&args),
        Command::Import(args) => import::import(&args),
        Command::Doctor(args) => doctor::doctor(&args),
        Command::Tail(args) => tail::tail(&args),
        Command::Keys(args) => keys::keys(&args),
        Command::Usage(args) => usage::usage(&args),
        Command::Ledger(args) => ledger::ledger(&args),
        Command::Audit(args) => audit::audit(&args),
        Command::Completions(args) => completions::completions(&args),
        Command::Man => man::man(),
    }
}

/// With huge pages each thread's first few bytes and each connection's buffers count for far more than they hold
/// (`benches/RESULTS.md`). The allocator's own variable keeps them.
pub fn small_pages() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none_or(|value| value != "1") {
        // A kernel without them needs nothing.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_declaration_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
