//! `weir run`

use std::path::PathBuf;
use std::process::ExitCode;

use super::print;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The configuration; without it, providers come from the environment (OPENAI_API_KEY, ...)
    #[arg(short, long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
}

#[expect(clippy::needless_pass_by_value, reason = "the command consumes its arguments")]
pub(super) fn run(args: Args) -> ExitCode {
    print::note(&format!("weir: cannot serve yet ({:?})", args.config));
    ExitCode::FAILURE
}
