//! `weir demo`

use std::process::ExitCode;

use super::print;

#[derive(Debug, clap::Args)]
pub(super) struct Args {}

#[expect(clippy::needless_pass_by_value, reason = "the command consumes its arguments")]
pub(super) fn demo(args: Args) -> ExitCode {
    let Args {} = args;
    print::note("weir: cannot serve yet");
    ExitCode::FAILURE
}
