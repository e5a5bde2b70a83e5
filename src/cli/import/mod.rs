//! `weir import litellm`: a proxy's configuration, and its keys and teams, as a configuration of Weir.
//! What could not be carried is listed with its line; nothing is left out in silence.

mod keys;
mod models;
mod notes;
mod price;
mod routes;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod vendor;
mod yaml;

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;
use serde::Serialize;

use self::keys::Tenants;
use self::models::Models;
use self::notes::{Note, Notes};
use self::settings::Settings;
use self::source::{Fields, Source, entries, items};
use self::yaml::{Map, Yaml};
use super::{USAGE, print};
use crate::config::report::Report;
use crate::config::yaml::{Kind, Node};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    /// A LiteLLM proxy: its config.yaml, and its keys
    Litellm(Litellm),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Keys: curl \"$URL/key/list?return_full_object=true&size=100\" > keys.json, \
    and $URL/team/list > teams.json.\n\
    Their hashes are carried over: clients keep their keys.\n\
    Exit code: 0 done (also where something could not be carried), 2 a file cannot be read.")]
struct Litellm {
    /// The proxy's configuration
    file: PathBuf,
    /// Where the new configuration goes [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// JSON with keys or teams, as /key/list and /team/list give them; may be repeated
    #[arg(long, value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// The configuration and the lists as JSON
    #[arg(long)]
    json: bool,
}

/// All of it.
#[derive(Debug, Serialize)]
struct Imported {
    configuration: String,
    #[serde(flatten)]
    notes: Notes,
}

pub(super) fn import(args: &Args) -> ExitCode {
    let From::Litellm(args) = &args.from;
    let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()));
    let paths = std::iter::once(&args.file).chain(&args.keys);
    let texts: Result<Vec<(String, String)>, String> =
        paths.map(|path| Ok((path.display().to_string(), read(path)?))).collect();
    let texts = match texts {
        Ok(texts) => texts,
        Err(error) => {
            print::note(&format!("weir: cannot read {error}"));
            return ExitCode::from(USAGE);
        }
    };
    let imported = match litellm(&texts) {
        Ok(imported) => imported,
        Err(report) => {
            print::note(&report.render(print::colour()));
            return ExitCode::from(USAGE);
        }
    };
    if let Some(path) = &args.output
        && let Err(error) = write_new(path, &imported.configuration)
    {
        print::note(&format!("weir: cannot write {}: {error}", path.display()));
        return ExitCode::FAILURE;
    }
    match args.json {
        true => print::json(&imported),
        false => show(&imported, args.output.as_deref()),
    }
    ExitCode::SUCCESS
}

/// A file that is there is never written over. Credentials may stand in it: it is its owner's to read.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn show(imported: &Imported, output: Option<&Path>) {
    match output {
        None => print::out(imported.configuration.trim_end()),
        Some(path) => print::note(&format!("weir: wrote {}; now: weir check -c {0}", path.display())),
    }
    let list = |head: &str, notes: &[Note]| {
        if !notes.is_empty() {
            print::note(head);
        }
        for Note { file, line, what, why } in notes {
            print::note(&format!("  {file}:{line}: {what}: {why}"));
        }
    };
    list("Not quite the same:", &imported.notes.changed);
    list("Not carried over:", &imported.notes.lost);
}

/// Reads one section of a proxy's configuration.
type Section = fn(&mut Settings, &Node, &Source, &mut Notes);

/// The configuration of a proxy, and files with its keys: names and texts.
fn litellm(files: &[(String, String)]) -> Result<Imported, Report> {
    let sources = files.iter().map(|(name, text)| Source::read(text, name)).collect::<Result<Vec<_>, _>>()?;
    let Some((source, keys)) = sources.split_first() else {
        return Err(Report::plain("litellm", "there is no file", None));
    };
    if !matches!(source.root.kind, Kind::Map(_)) {
        let why =
            format!("line {}: expected the settings of a proxy, such as `model_list`", source.line(source.root.place));
        return Err(Report::plain(&source.name, why, None));
    }
    let mut notes = Notes::default();
    for source in keys {
        keys::check(source, &mut notes)?;
    }
    let mut fields = Fields::of(&source.root);
    let mut settings = Settings::default();
    let credentials = fields.take("credential_list").map(items).unwrap_or_default();
    let listed = match fields.take("model_list") {
        Some(node) if !matches!(node.kind, Kind::List(_) | Kind::Null) => {
            let why = format!("line {}: `model_list` is no list of models", source.line(node.place));
            return Err(Report::plain(&source.name, why, None));
        }
        node => node.map(items).unwrap_or_default(),
    };
    let models = Models::read(listed, credentials, source, &mut notes);
    let sections: [(&str, Section); 3] = [
        ("litellm_settings", Settings::litellm),
        ("router_settings", Settings::router),
        ("general_settings", Settings::general),
    ];
    for (name, read) in sections {
        if let Some(node) = fields.take(name) {
            read(&mut settings, node, source, &mut notes);
        }
    }
    settings.finish();
    for entry in fields.take("environment_variables").into_iter().flat_map(entries) {
        let why = format!("set {} in the environment that `weir run` has", entry.name);
        notes.lost(source, entry.place, format!("environment_variables: {}", entry.name), why);
    }
    for entry in fields.rest() {
        settings::lost(entry, "", source, &mut notes);
    }
    let routes = routes::build(&models, &settings.routing, source, &mut notes);
    let mut tenants = Tenants::default();
    for source in keys {
        tenants.read_teams(&mut keys::Cx { models: &models, routes: &routes, source, notes: &mut notes });
    }
    if let Some((budget, place)) = &settings.everybody {
        tenants.set_default("budgets", Yaml::List(vec![budget.clone().into()]));
        let why = "here it holds for the keys without a team only: budgets stand on tenants and keys";
        notes.changed(source, *place, "litellm_settings: max_budget", why);
    }
    for source in keys {
        tenants.read_keys(&mut keys::Cx { models: &models, routes: &routes, source, notes: &mut notes });
    }
    let configuration = assemble(&models, routes, settings, tenants, &source.name);
    notes.sort();
    Ok(Imported { configuration, notes })
}

fn assemble(models: &Models, routes: routes::Routes, settings: Settings, mut tenants: Tenants, name: &str) -> String {
    let mut all = Map::default();
    let mut server = Map::default();
    server.set("listen", "0.0.0.0:4000");
    settings.server.entries().for_each(|(name, value)| _ = server.set(name, value.clone()));
    all.set("server", server);
    all.comment("server", &format!("Made from {name} by `weir import litellm`. The port is LiteLLM's usual one."));
    let mut admin = Map::default();
    admin.set_if("token", settings.master.as_deref());
    all.set("admin", admin);
    all.comment("admin", "The master key of before. The admin API is at 127.0.0.1:8081, and never on the public port.");
    all.set("state", settings.state);
    all.set("providers", models.providers(&routes.renamed));
    all.set("routes", routes.routes);
    all.set("defaults", settings.defaults);
    match &settings.master {
        Some(master) => tenants.master(master),
        None if tenants.is_empty() => tenants.master("${WEIR_API_KEY}"),
        None => {}
    }
    all.set("tenants", tenants.finish());
    all.set("alerts", settings.alerts);
    all.render()
}
