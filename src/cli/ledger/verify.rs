//! `weir ledger verify`

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::print;
use crate::cli::stored::{Stored, Wrong};
use crate::config::runtime::State;
use crate::ledger;
use crate::store::{self, AuditVerified, Database, Fault};

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
    /// The chain of changes, in the same database.
    audit: Option<Chain>,
}

#[derive(Serialize)]
struct Chain {
    entries: u64,
    /// Of the last one: noted elsewhere, it tells later whether the chain was written anew.
    hash: String,
    broken: Option<String>,
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
    let (database, audit) = database(&state)?.unzip();
    if database.is_none() && !state.dir.is_dir() {
        return Err(Wrong::Failed(format!("there is no state: {} is no directory", state.dir.display())));
    }
    let ok = log.as_ref().is_none_or(ledger::Verified::is_sound)
        && database.as_ref().is_none_or(|database| database.differences.is_empty())
        && audit.as_ref().is_none_or(|chain| chain.broken.is_none());
    Ok(Answer { ok, log, database, audit })
}

fn database(state: &State) -> Result<Option<(store::Verified, Chain)>, Wrong> {
    match Database::open_to_read(state) {
        Ok(database) => {
            let AuditVerified { entries, hash, broken } = database.verify_audit()?;
            let chain = Chain { entries, hash: hex::encode(hash), broken: broken.map(|broken| broken.to_string()) };
            Ok(Some((database.verify()?, chain)))
        }
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
    let Some(Chain { entries, hash, broken }) = &answer.audit else { return };
    match broken {
        Some(broken) => print::out(&format!("audit log: it is broken at {broken}")),
        None => print::out(&format!("audit log: {entries} entries follow each other, the last is {hash}")),
    }
}
