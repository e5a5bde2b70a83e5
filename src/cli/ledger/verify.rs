//! `weir ledger verify`

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::print;
use crate::cli::stored::{Stored, Wrong};
use crate::config::runtime::State;
use crate::ledger;
use crate::store::{self, Database, Fault};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "May run beside a gateway. Exit code: 0 all of it agrees, 1 something does not, 2 used wrongly."
)]
pub(super) struct Args {
    #[command(flatten)]
    stored: Stored,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    ok: bool,
    /// What is not folded yet, and what will be.
    log: Option<ledger::Verified>,
    /// `null`: there is none yet.
    database: Option<store::Verified>,
}

pub(super) fn verify(args: &Args) -> ExitCode {
    match answer(args) {
        Ok(answer) => {
            if args.json {
                print::json(&answer);
            } else {
                show(&answer);
            }
            ExitCode::from(u8::from(!answer.ok))
        }
        Err(wrong) => wrong.exit(),
    }
}

fn answer(args: &Args) -> Result<Answer, Wrong> {
    let state = args.stored.state()?;
    let log = match ledger::verify(&state.dir) {
        Ok(log) => Some(log),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Wrong::Failed(format!("the log cannot be read: {error}"))),
    };
    let database = database(&state)?;
    let ok = log.as_ref().is_none_or(ledger::Verified::is_sound)
        && database.as_ref().is_none_or(|database| database.differences.is_empty());
    Ok(Answer { ok, log, database })
}

fn database(state: &State) -> Result<Option<store::Verified>, Wrong> {
    match Database::open_to_read(state) {
        Ok(database) => Ok(Some(database.verify()?)),
        Err(error) if error.fault() == Fault::Missing => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn show(answer: &Answer) {
    match &answer.log {
        Some(log) => {
            print::out(&format!(
                "log: {} requests ended, {} open, in {} segments of {} processes",
                log.ended, log.open, log.segments, log.processes
            ));
            if !log.is_sound() {
                print::out(&format!(
                    "log: {} bytes are damaged, {} records are missing, {} rows cannot be read",
                    log.damaged_bytes, log.missing_records, log.unreadable_rows
                ));
            }
        }
        None => print::out("log: there is none"),
    }
    let Some(database) = &answer.database else {
        print::out("database: there is none yet");
        return;
    };
    let (rows, days) = (database.rows, database.days);
    print::out(&format!("database: {rows} rows, sums of {days} days compared with their rows"));
    for difference in &database.differences {
        print::out(&format!("database: {difference}"));
    }
    if database.more > 0 {
        print::out(&format!("database: and {} more", database.more));
    }
}
