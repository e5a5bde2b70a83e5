//! `weir ledger`

mod columns;
mod export;
mod parquet;
mod rerate;
mod verify;

use std::process::ExitCode;

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write every row: one for each request
    Export(export::Args),
    /// Price rows again, by the prices of the configuration
    Rerate(rerate::Args),
    /// Say what in the ledger contradicts the rest of it
    Verify(verify::Args),
}

pub(super) fn ledger(args: &Args) -> ExitCode {
    match &args.command {
        Command::Export(args) => export::export(args),
        Command::Rerate(args) => rerate::run(args),
        Command::Verify(args) => verify::verify(args),
    }
}
