//! `weir init`

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{USAGE, print};

/// What is written.
const STARTER: &str = include_str!("../../conf/weir.yaml");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file to write; it must not be there
    #[arg(default_value = "weir.yaml", value_name = "FILE")]
    file: PathBuf,
}

pub(super) fn init(args: &Args) -> ExitCode {
    let shown = args.file.display();
    let created = std::fs::File::options().write(true).create_new(true).open(&args.file);
    match created.and_then(|mut file| file.write_all(STARTER.as_bytes())) {
        Ok(()) => {
            print::note(&format!("wrote {shown}; next: edit it, `weir check -c {shown}`, `weir run -c {shown}`"));
            ExitCode::SUCCESS
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            print::note(&format!("weir: {shown} is there already, and stays as it is"));
            ExitCode::FAILURE
        }
        Err(error) => {
            print::note(&format!("weir: cannot write {shown}: {error}"));
            ExitCode::from(USAGE)
        }
    }
}
