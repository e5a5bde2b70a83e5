//! `weir keys`

use std::process::ExitCode;

use serde::Serialize;

use super::{USAGE, print};
use crate::config::load::hash_of;
use crate::config::read::{Day, Name, Scalar as _};

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key: prints it once, and the line for the configuration, which holds only its hash
    Create(Create),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The key's name in records and metrics [default: the tenant's name and a number]
    #[arg(long)]
    id: Option<String>,
    /// Whose key it is
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Refused from this moment on: 2027-06-30 or 2027-06-30T12:00:00Z
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    tenant: &'a str,
    id: &'a str,
    secret: &'a str,
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
}

pub(super) fn keys(args: &Args) -> ExitCode {
    let Command::Create(create) = &args.command;
    match made(create) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            print::note(&format!("weir: {message}"));
            ExitCode::from(USAGE)
        }
    }
}

fn made(args: &Create) -> Result<(), String> {
    Name::check(&args.tenant).map_err(|expected| format!("--tenant: expected {expected}"))?;
    if let Some(expires) = &args.expires {
        Day::parse(expires).map_err(|expected| format!("--expires: expected {expected}"))?;
    }
    let secret = crate::secret::minted::mint().ok_or("the system gives no random numbers")?;
    let secret = secret.expose();
    let sha256 = hash_of(secret);
    let default = format!("{}-{}", args.tenant, sha256.get(..6).unwrap_or_default());
    let id = args.id.as_deref().unwrap_or(&default);
    Name::check(id).map_err(|expected| format!("--id: expected {expected}"))?;
    let made = Made { tenant: &args.tenant, id, secret, sha256: &sha256, expires: args.expires.as_deref() };
    if args.json {
        print::json(&made);
    } else {
        show(&made);
    }
    Ok(())
}

fn show(made: &Made<'_>) {
    let expires = made.expires.map(|at| format!(", expires: {at}")).unwrap_or_default();
    print::note("The key, for the client. It is not kept anywhere and will not be shown again:\n");
    print::out(made.secret);
    print::note("\nFor the configuration:\n");
    print::out(&format!(
        "tenants:\n  {}:\n    keys:\n      - {{id: {}, sha256: {}{expires}}}",
        made.tenant, made.id, made.sha256
    ));
}
