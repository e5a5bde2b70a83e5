//! `weir keys`: by the admin API of a running gateway, or in the database beside it. Either way the answer
//! is the admin API's, so that one code shows it.

mod direct;
mod remote;
mod written;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Deserialize;

use super::instance::{address, token, token_of, usual};
use super::{USAGE, print};
use crate::secret::Secret;
use crate::wire::json::Obj;

use self::direct::Direct;
use self::remote::Remote;

#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
#[command(after_help = "Where keys are: at --url (or WEIR_ADMIN_URL) of a running gateway, with the token in \
    WEIR_ADMIN_TOKEN; else in the database that -c FILE or --state DIR says. A running gateway takes over what is \
    changed there within a second.\nExit code: 0 done, 1 refused or failed, 2 used wrongly.")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key: shows it once. Without a place to keep it, prints the line for the configuration
    Create(Create),
    /// List keys
    List(List),
    /// Give a key a second secret; the first is honoured for a while
    Rotate(Rotate),
    /// Refuse a key from now on, for good
    Revoke(Revoke),
}

/// Where keys are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration whose database holds the keys
    #[arg(short, long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// The directory with the embedded database
    #[arg(long, value_name = "DIR", conflicts_with_all = ["config", "url"])]
    state: Option<PathBuf>,
    /// The admin address of a running gateway [default: WEIR_ADMIN_URL]
    #[arg(long, value_parser = address)]
    url: Option<String>,
    /// Its token; others on this machine can read it here, so rather set WEIR_ADMIN_TOKEN
    #[arg(long, requires = "url", value_parser = token)]
    token: Option<Secret>,
    /// The answer as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct Create {
    /// The key's name in records and metrics [default: the tenant's name and a part of the key]
    #[arg(long)]
    id: Option<String>,
    /// Whose key it is
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Refused from this moment on: 2027-06-30 or 2027-06-30T12:00:00Z
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// For people: who has it, what it is for
    #[arg(long)]
    note: Option<String>,
    /// What it may do, as in the configuration: '{"limits": {"requests_per_minute": 60}, "models": ["fast"]}'
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Keep it nowhere: print it, and the line for the configuration
    #[arg(long, conflicts_with_all = ["config", "state", "url", "note", "settings"])]
    print: bool,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// The key's name
    id: String,
    /// How long the first secret is honoured: 24h, 30m, or 0
    #[arg(long, default_value = "24h")]
    grace: String,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// The key's name
    id: String,
    #[command(flatten)]
    place: Place,
}

/// What became of it: the admin API's answer, or why there is none.
type Done = Result<String, Failed>;

/// Why nothing came of it.
enum Failed {
    /// It was asked for wrongly.
    Usage(String),
    /// It was refused, or broke.
    Refused(String),
}

/// Something that is asked for.
#[derive(Debug, Clone, Copy)]
enum Wish<'a> {
    /// A JSON object with all that is said of the key.
    Create(&'a str),
    List(Option<&'a str>),
    Rotate {
        id: &'a str,
        grace: &'a str,
    },
    Revoke(&'a str),
}

pub(super) fn keys(args: &Args) -> ExitCode {
    let done = match &args.command {
        Command::Create(create) => self::create(create),
        Command::List(list) => {
            let wish = Wish::List(list.tenant.as_deref());
            ask(&list.place, wish).and_then(|answer| show(&list.place, &answer, table))
        }
        Command::Rotate(Rotate { id, grace, place }) => {
            ask(place, Wish::Rotate { id, grace }).and_then(|answer| show(place, &answer, secret))
        }
        Command::Revoke(Revoke { id, place }) => {
            ask(place, Wish::Revoke(id)).and_then(|answer| show(place, &answer, revoked))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Usage(message)) => {
            print::note(&format!("weir: {message}"));
            ExitCode::from(USAGE)
        }
        Err(Failed::Refused(message)) => {
            print::note(&format!("weir: {message}"));
            ExitCode::FAILURE
        }
    }
}

fn create(args: &Create) -> Result<(), Failed> {
    if args.print || args.place.is_nowhere() {
        if args.note.is_some() || args.settings.is_some() {
            let text = "--note and --settings are for keys that are kept: say where, with --url, -c or --state";
            return Err(Failed::Usage(text.to_owned()));
        }
        let wanted = written::Wanted {
            id: args.id.as_deref(),
            tenant: &args.tenant,
            expires: args.expires.as_deref(),
            json: args.place.json,
        };
        return written::print(&wanted).map_err(Failed::Usage);
    }
    let body = body(args).map_err(Failed::Usage)?;
    ask(&args.place, Wish::Create(&body)).and_then(|answer| show(&args.place, &answer, secret))
}

/// What is asked for, as the admin API takes it.
fn body(args: &Create) -> Result<String, String> {
    let members = crate::tenant::stored::made::members(args.settings.as_deref().unwrap_or_default().as_bytes())
        .map_err(|why| format!("--settings: {why}"))?;
    let mut out = Vec::new();
    {
        let mut object = Obj::new(&mut out);
        object.text("tenant", &args.tenant);
        for (name, given) in [("id", &args.id), ("expires", &args.expires), ("note", &args.note)] {
            if let Some(given) = given {
                object.text(name, given);
            }
        }
        for (name, value) in &members {
            object.raw(name, value.get());
        }
    }
    String::from_utf8(out).map_err(|error| error.to_string())
}

impl Place {
    fn url(&self) -> Option<String> {
        let here = self.config.is_some() || self.state.is_some();
        self.url.clone().or_else(|| if here { None } else { usual() })
    }

    fn is_nowhere(&self) -> bool {
        self.config.is_none() && self.state.is_none() && self.url().is_none()
    }
}

fn ask(place: &Place, wish: Wish<'_>) -> Done {
    if let Some(url) = place.url() {
        return Remote { url, token: token_of(place.token.as_ref()) }.ask(wish);
    }
    match (&place.config, &place.state) {
        (Some(file), _) => Direct::of_file(file)?.ask(wish),
        (None, Some(directory)) => Direct::of_directory(directory).ask(wish),
        (None, None) => {
            let text = "say where the keys are: --url of a running gateway, -c FILE, or --state DIR";
            Err(Failed::Usage(text.to_owned()))
        }
    }
}

/// What is shown of a key.
#[derive(Deserialize)]
struct Shown {
    id: String,
    tenant: String,
    source: String,
    state: String,
    key: Option<String>,
    expires: Option<String>,
    previous_until: Option<String>,
    note: Option<String>,
    secret: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<Shown>,
}

fn show<T: for<'j> Deserialize<'j>>(place: &Place, answer: &str, show: fn(&T)) -> Result<(), Failed> {
    if place.json {
        print::out(answer);
        return Ok(());
    }
    let read = serde_json::from_str(answer).map_err(|error| Failed::Refused(format!("the answer is odd: {error}")))?;
    show(&read);
    Ok(())
}

fn secret(key: &Shown) {
    print::note(&format!("The key `{}` of `{}`, for the client. It will not be shown again:\n", key.id, key.tenant));
    print::out(key.secret.as_deref().unwrap_or_default());
    if let Some(until) = &key.previous_until {
        print::note(&format!("\nThe one before is honoured until {until}."));
    }
}

fn revoked(key: &Shown) {
    print::note(&format!("The key `{}` of `{}` is revoked.", key.id, key.tenant));
}

fn table(page: &Page) {
    let head = ["ID", "TENANT", "SOURCE", "STATE", "KEY", "EXPIRES", "NOTE"].map(str::to_owned).to_vec();
    let text = |given: &Option<String>| given.clone().unwrap_or_else(|| "-".to_owned());
    let row = |key: &Shown| {
        let known = [&key.id, &key.tenant, &key.source, &key.state].map(Clone::clone);
        let rest = [&key.key, &key.expires, &key.note].map(text);
        known.into_iter().chain(rest).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(page.data.iter().map(row)).collect();
    print::table(&rows);
}
