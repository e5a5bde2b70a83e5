//! From a file, or from the environment, to a [`Runtime`]; or a [`Report`] of all that is wrong.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::env::{Env, Nothing};
use super::raw::{Config, StoredKey};
use super::read::{Context, Read as _};
use super::report::Report;
use super::resolve::{self, resolve};
use super::runtime::{Key, Runtime, State};
use super::yaml::{self, Kind, Node, Place};
use crate::provider::{PROVIDERS, Provider};
use crate::secret::{Secret, minted};

/// Reads a configuration file.
pub fn from_file(path: &Path, env: &dyn Env) -> Result<Runtime, Report> {
    let name = path.display().to_string();
    match env.read(path) {
        Ok(text) => from_text(&text, &name, env),
        Err(error) => Err(Report::plain(&name, format!("cannot read the configuration: {error}"), None)),
    }
}

/// Reads the text of a configuration; `file` is its name in messages. Never panics, whatever the
/// text.
pub fn from_text(text: &str, file: &str, env: &dyn Env) -> Result<Runtime, Report> {
    if text.len() > yaml::MAX_FILE_BYTES {
        return Err(Report::plain(file, "the configuration is larger than 16 MiB", None));
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut cx = Context::new(env);
    let mut report = Report::default();
    let raw = read(text, &mut cx);
    let hash = hex::encode(Sha256::digest(text)).chars().take(12).collect();
    let runtime = raw.and_then(|raw| resolve(&raw, hash, &mut cx, &mut report));
    let failed = cx.failed();
    cx.finish(file, text, &mut report);
    match runtime {
        Some(runtime) if report.is_empty() => Ok(runtime),
        // A bug in a default: nothing is wrong with the file, and yet there is no result.
        None if !failed && report.is_empty() => Err(Report::plain(file, "the configuration cannot be read", None)),
        _ => Err(report),
    }
}

/// Where a gateway listens for its operator and keeps its state, of a file in which something else may be wrong:
/// who looks for what is broken need not have every variable. `None` for what cannot be read.
#[derive(Debug, Default)]
pub struct Whereabouts {
    pub admin: Option<SocketAddr>,
    pub state: Option<State>,
}

/// Reads no more of a file than that.
pub fn whereabouts(path: &Path, env: &dyn Env) -> Whereabouts {
    let text = env.read(path).unwrap_or_default();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match yaml::parse(text, &mut Context::new(env)) {
        Some(root) if matches!(root.kind, Kind::Map(_)) => Whereabouts {
            admin: resolve::admin_address(&part(&root, "admin", &["listen"]), env),
            state: resolve::where_state_is(&part(&root, "state", &["dir", "database"]), env),
        },
        Some(_) | None => Whereabouts::default(),
    }
}

/// Some settings of a section, as if nothing else were written.
fn part(root: &Node, section: &str, members: &[&str]) -> Node {
    let find = |node: &Node| match &node.kind {
        Kind::Map(entries) => entries.clone(),
        Kind::Null | Kind::Scalar(_) | Kind::List(_) => Vec::new(),
    };
    let section = find(root).into_iter().find(|entry| entry.name == section).map(|entry| entry.value);
    let mut entries = section.as_ref().map(find).unwrap_or_default();
    entries.retain(|entry| members.contains(&entry.name.as_str()));
    Node { place: root.place, kind: Kind::Map(entries) }
}

/// What a key that is made at run time may do, from a JSON object with the members of a key in the file.
/// Whose it is, and what it is called, others know. Variables and files mean nothing there.
pub fn stored_key(text: &str) -> Result<Key, Report> {
    let mut cx = Context::new(&Nothing);
    let mut report = Report::default();
    let raw = yaml::parse(text, &mut cx).and_then(|node| StoredKey::read(&node, &mut cx));
    let key = raw.map(|raw| resolve::stored_key(&raw, &mut cx));
    cx.finish("the key", text, &mut report);
    match key {
        Some(key) if report.is_empty() => Ok(key),
        None if report.is_empty() => Err(Report::plain("the key", "it cannot be read", None)),
        _ => Err(report),
    }
}

/// Whether the `models` of such a key lead anywhere, and are some that its tenant may use; and whether its limits and
/// budgets can be reached within its tenant's.
pub fn stored_fits(text: &str, tenant: &str, runtime: &Runtime) -> Result<(), Report> {
    let mut cx = Context::new(&Nothing);
    let mut report = Report::default();
    if let Some(raw) = yaml::parse(text, &mut cx).and_then(|node| StoredKey::read(&node, &mut cx)) {
        resolve::stored_fits(&raw, tenant, runtime, &mut cx);
    }
    cx.finish("the key", text, &mut report);
    if report.is_empty() { Ok(()) } else { Err(report) }
}

fn read(text: &str, cx: &mut Context<'_>) -> Option<Config> {
    let root = yaml::parse(text, cx);
    match root.as_ref().map(|node| &node.kind) {
        Some(Kind::Map(_)) => Config::read(&root?, cx),
        _ if cx.failed() => None,
        None | Some(Kind::Null) => {
            cx.say(Place::default(), "the configuration is empty")
                .label("expected at least `providers` and `tenants`")
                .help("`weir init` writes a file to start from");
            None
        }
        Some(_) => cx.expected(&root?, "the settings of the configuration"),
    }
}

/// A configuration made without a file.
#[derive(Debug)]
pub struct Unfiled {
    pub runtime: Runtime,
    /// The one key that is accepted.
    pub key: Secret,
    /// The key was made up just now: show it, once.
    pub generated: bool,
    /// Keys that were found and are not used, for something that stands beside them is missing.
    pub unusable: Vec<String>,
}

/// `weir run` without a file: every provider whose key is in the environment, on loopback, for the
/// key in `WEIR_API_KEY` or one made up.
pub fn from_environment(env: &dyn Env) -> Result<Unfiled, Report> {
    let mut providers = String::new();
    for provider in PROVIDERS {
        if let Some(settings) = keyed(provider, env).or_else(|| cloud(provider, env)) {
            let _ = writeln!(providers, "  {}: {{{settings}}}", provider.kind);
        }
    }
    let unusable = unusable(env);
    if providers.is_empty() {
        let names: Vec<_> = PROVIDERS.iter().filter_map(|p| p.env.first().copied()).collect();
        if !unusable.is_empty() {
            let help = "set what is missing, or write a file: `weir init`, then `weir run -c weir.yaml`";
            return Err(Report::plain("environment", unusable.join("; "), Some(help.to_owned())));
        }
        let help = format!(
            "set one of {}; or write a file: `weir init`, then `weir run -c weir.yaml`; or try `weir demo`",
            names.join(", ")
        );
        return Err(Report::plain("environment", "no provider key is set", Some(help)));
    }
    let unfiled = unfiled(&providers, "", "127.0.0.1:8080", "127.0.0.1:8081", env)?;
    Ok(Unfiled { unusable, ..unfiled })
}

/// Clouds whose key is there, and not where they are.
fn unusable(env: &dyn Env) -> Vec<String> {
    let beside = [("bedrock", "AWS_REGION"), ("azure", "AZURE_OPENAI_ENDPOINT")];
    let clouds = PROVIDERS.iter().filter(|provider| cloud(provider, env).is_none());
    let missing = clouds.filter_map(|provider| {
        let (_, wanted) = beside.iter().find(|(kind, _)| *kind == provider.kind)?;
        let set = |name: &&&str| env.var(name).is_some_and(|value| !value.is_empty());
        let key = provider.env.iter().find(set)?;
        Some(format!("{key} is set, but {wanted} is not, which `{}` needs too", provider.kind))
    });
    missing.collect()
}

/// The settings of a provider whose key is in the environment, and all it needs.
fn keyed(provider: &Provider, env: &dyn Env) -> Option<String> {
    let set = |name: &&&str| env.var(name).is_some_and(|value| !value.is_empty());
    provider.base_url.filter(|own| !own.contains('{'))?;
    provider.env.iter().find(set).map(|variable| format!("api_key: \"${{{variable}}}\""))
}

/// The settings of a cloud that needs more than a key, where its own SDK would find as much.
fn cloud(provider: &Provider, env: &dyn Env) -> Option<String> {
    let set = |name: &str| env.var(name).filter(|value| !value.is_empty());
    match provider.kind {
        "bedrock" => {
            set("AWS_REGION").or_else(|| set("AWS_DEFAULT_REGION"))?;
            if let Some(variable) = provider.env.iter().find(|name| set(name).is_some()) {
                return Some(format!("api_key: \"${{{variable}}}\""));
            }
            set("AWS_ACCESS_KEY_ID").and_then(|_| set("AWS_SECRET_ACCESS_KEY"))?;
            let keys = "access_key_id: \"${AWS_ACCESS_KEY_ID}\", secret_access_key: \"${AWS_SECRET_ACCESS_KEY}\"";
            let token = set("AWS_SESSION_TOKEN").map(|_| ", session_token: \"${AWS_SESSION_TOKEN}\"");
            Some(format!("{keys}{}", token.unwrap_or_default()))
        }
        "vertex" => {
            set("GOOGLE_CLOUD_PROJECT")?;
            let asked = set("GOOGLE_GENAI_USE_VERTEXAI")
                .is_some_and(|word| ["true", "1"].contains(&word.to_lowercase().as_str()));
            (asked || set("GOOGLE_APPLICATION_CREDENTIALS").is_some()).then(String::new)
        }
        "azure" => {
            let variable = provider.env.iter().find(|name| set(name).is_some())?;
            set("AZURE_OPENAI_ENDPOINT")?;
            let mut settings = format!("api_key: \"${{{variable}}}\", base_url: \"${{AZURE_OPENAI_ENDPOINT}}\"");
            // Newer SDKs are told `preview` or `v1`, which is the API without a version.
            if set("OPENAI_API_VERSION").is_some_and(|version| version.starts_with("20")) {
                settings.push_str(", api_version: \"${OPENAI_API_VERSION}\"");
            }
            Some(settings)
        }
        _ => None,
    }
}

/// The simulator in the formats of other providers: name, and what makes it speak so.
const SIMULATED: [(&str, &str); 5] = [
    ("simulator-anthropic", "kind: anthropic-compatible"),
    ("simulator-responses", "kind: openai-compatible, api: responses"),
    ("simulator-gemini", "kind: gemini"),
    ("simulator-cohere", "kind: cohere"),
    ("simulator-bedrock", "kind: bedrock"),
];
/// Any will do that is in none of the simulator's texts: there it would be taken out as a leaked secret.
const SIMULATED_KEY: &str = "any-key-will-do";

/// `weir demo`: the simulated provider at `simulator`, spoken to in every format it has.
///
/// One provider for each format, all of them the simulator.
pub fn for_demo(
    simulator: SocketAddr,
    listen: SocketAddr,
    admin: SocketAddr,
    dir: &Path,
    env: &dyn Env,
) -> Result<Unfiled, Report> {
    let mut providers = format!("  simulator: {{base_url: \"http://{simulator}\"}}\n");
    for (name, kind) in SIMULATED {
        let _ = writeln!(
            providers,
            "  {name}: {{{kind}, base_url: \"http://{simulator}\", api_key: \"{SIMULATED_KEY}\", models: {{sim-1: {{upstream: sim-1, price: {{input: 1, cached: 0.1, cache_write: 1.25, output: 2}}}}}}}}"
        );
    }
    // What it prints is for a person; records would stand in between.
    providers.push_str("telemetry: {access_log: \"off\"}\n");
    let _ = writeln!(providers, "state: {{dir: {:?}}}", dir.display().to_string());
    // Offered where a request asks for them.
    let tools = ", edge_tools: {tools: [\"weir_*\"]}";
    unfiled(&providers, tools, &listen.to_string(), &admin.to_string(), env)
}

fn unfiled(providers: &str, tenant: &str, listen: &str, admin: &str, env: &dyn Env) -> Result<Unfiled, Report> {
    let given = env.var("WEIR_API_KEY").filter(|key| !key.is_empty());
    let generated = given.is_none();
    let key = match given {
        Some(key) => Secret::new(key),
        None => {
            minted::mint().ok_or_else(|| Report::plain("environment", "the system gives no random numbers", None))?
        }
    };
    let sha256 = hash_of(key.expose());
    let text = format!(
        "server: {{listen: \"{listen}\"}}\nadmin: {{listen: \"{admin}\"}}\nproviders:\n{providers}tenants:\n  default: {{keys: [{{id: default, sha256: {sha256}}}]{tenant}}}\n"
    );
    let runtime = from_text(&text, "environment", env)?;
    Ok(Unfiled { runtime, key, generated, unusable: Vec::new() })
}

/// The `sha256` of a key, as a configuration holds it.
pub fn hash_of(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

#[cfg(test)]
mod tests {
    use super::super::env::Table;
    use super::*;

    #[test]
    fn where_a_gateway_is_can_be_read_of_a_file_with_something_else_wrong() {
        let of = |text: &str| {
            let found = whereabouts(Path::new("w"), &Table::of(&[("PORT", "9")]).with_file("w", text));
            (found.admin.map(|at| at.to_string()), found.state.map(|state| state.dir.display().to_string()))
        };
        let some = |admin: &str, dir: &str| (Some(admin.to_owned()), Some(dir.to_owned()));
        let wrong = "admin: {listen: '127.0.0.1:${PORT}', token: '${NOT_SET}', odd: 1}\n\
                     state: {dir: /d, secret: '${NOT_SET}'}\nproviders: {openai: {api_key: '${NOT_SET}'}}\n";
        assert!(from_text(wrong, "w", &Table::of(&[("PORT", "9")])).is_err());
        assert_eq!(of(wrong), some("127.0.0.1:9", "/d"));
        assert_eq!(of("unknown: 1\n"), some("127.0.0.1:8081", "./data"));
        let unread = of("admin: {listen: '${NOT_SET}'}\nstate: {dir: /d, database: '${NOT_SET}'}\n");
        assert_eq!(unread, (None, None));
        assert_eq!((of(""), of("- a\n"), of("a: [\n")), ((None, None), (None, None), (None, None)));
    }
}
