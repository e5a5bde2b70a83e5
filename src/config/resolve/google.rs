//! Settings of Google Cloud: project, location, and where tokens come from.

use crate::config::raw;
use crate::config::read::{At, Context};
use crate::config::yaml::Place;
#[cfg(feature = "proxy")]
use crate::provider::sign::Signer;
use crate::provider::{Auth, Provider};
use crate::secret::Secret;

/// What a provider's settings say of Google Cloud; nothing for every other vendor.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What stands for `{project}` and `{location}`.
    pub(super) vars: Vec<(&'static str, String)>,
    /// Where the location has an address of another form than the vendor's others.
    pub(super) base_url: Option<String>,
    /// What only the owner of the credentials knows.
    pub(super) secret: Option<Secret>,
    #[cfg(feature = "proxy")]
    pub(super) signer: Option<Signer>,
}

pub(super) fn settings(name: &At<String>, raw: &raw::Provider, provider: &Provider, cx: &mut Context<'_>) -> Settings {
    if provider.auth != Auth::Google {
        for (option, place) in written(raw) {
            cx.say(place, format!("`{option}` means nothing to the kind `{}`", provider.kind))
                .label("expected for the kind `vertex` only");
        }
        return Settings::default();
    }
    if let Some(key) = raw.api_key.as_ref().filter(|key| key.0.is_some()) {
        cx.say(key.place, "Vertex AI takes no `api_key`")
            .label("expected `credentials_file`, `access_token`, or neither for Application Default Credentials");
    }
    let mut settings = Settings::default();
    let owner = match (&raw.access_token, &raw.credentials_file) {
        (Some(token), Some(_)) => {
            cx.say(token.place, "`access_token` beside `credentials_file`").label("expected one or the other");
            None
        }
        (Some(token), None) => {
            settings.secret = Some(token.0.clone());
            #[cfg(feature = "proxy")]
            {
                settings.signer = Some(Signer::Bearer(token.0.clone()));
            }
            None
        }
        // `api_key: ""`: clients bring their own.
        (None, None) if raw.api_key.is_some() || raw.written.contains(&"access_token") => None,
        (None, _) => credentials(name, raw, &mut settings, cx),
    };
    let location = location(name, raw, cx);
    settings.base_url = match location.as_str() {
        "global" => Some("https://aiplatform.googleapis.com".to_owned()),
        region @ ("us" | "eu") => Some(format!("https://aiplatform.{region}.rep.googleapis.com")),
        _ => None,
    };
    settings.vars.push(("location", location));
    if let Some(project) = project(name, raw, owner, cx) {
        settings.vars.push(("project", project));
    }
    settings
}

/// The options of this file that are there.
fn written(raw: &raw::Provider) -> impl Iterator<Item = (&'static str, Place)> {
    [
        ("project", raw.project.as_ref().map(|project| project.place)),
        ("location", raw.location.as_ref().map(|location| location.place)),
        ("credentials_file", raw.credentials_file.as_ref().map(|file| file.place)),
    ]
    .into_iter()
    .filter_map(|(name, place)| Some((name, place?)))
}

fn variable(name: &str, cx: &Context<'_>) -> Option<String> {
    cx.env.var(name).filter(|value| !value.is_empty())
}

fn location(name: &At<String>, raw: &raw::Provider, cx: &mut Context<'_>) -> String {
    let (location, place) = match &raw.location {
        Some(location) => (Some(location.value.clone()), location.place),
        None => (variable("GOOGLE_CLOUD_LOCATION", cx), name.place),
    };
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match location {
        Some(location) if location.bytes().all(good) => return location,
        Some(_) => _ = cx.say(place, "not a location of Google Cloud's").label("expected for example `europe-west4`"),
        None => {}
    }
    "global".to_owned()
}

/// `owner`: of the credentials.
fn project(name: &At<String>, raw: &raw::Provider, owner: Option<String>, cx: &mut Context<'_>) -> Option<String> {
    if let Some(project) = &raw.project {
        return Some(project.value.clone());
    }
    let found = owner.or_else(|| variable("GOOGLE_CLOUD_PROJECT", cx));
    if found.is_none() && !raw.written.contains(&"project") {
        cx.say(name.place, format!("`{}` needs a `project`", name.value))
            .label("expected the id of a project of Google Cloud's")
            .help("write for example `project: my-project-123456`");
    }
    found
}

#[cfg(not(feature = "gcp"))]
fn credentials(
    name: &At<String>,
    _raw: &raw::Provider,
    _settings: &mut Settings,
    cx: &mut Context<'_>,
) -> Option<String> {
    // The translation core alone asks nobody, and needs no credentials.
    if cfg!(feature = "proxy") {
        cx.say(name.place, format!("`{}` has no `access_token`, and this build cannot fetch any", name.value))
            .label("expected `access_token`")
            .help("credentials of Google's are the cargo feature `gcp`");
    }
    None
}

/// Those of the file, else Application Default Credentials: the file that the variable names, the one
/// that `gcloud` writes, the metadata server. Gives the project they belong to.
#[cfg(feature = "gcp")]
fn credentials(
    name: &At<String>,
    raw: &raw::Provider,
    settings: &mut Settings,
    cx: &mut Context<'_>,
) -> Option<String> {
    use std::path::PathBuf;

    use crate::provider::sign::fetched::Fetched;
    use crate::provider::sign::google::Google;

    const VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
    let named = match &raw.credentials_file {
        Some(file) => Some((PathBuf::clone(file), file.place)),
        None => variable(VARIABLE, cx).map(|path| (PathBuf::from(path), name.place)),
    };
    let text = match named {
        Some((path, place)) => match cx.env.read(&path) {
            Ok(text) => Some((text, path, place)),
            Err(error) => {
                let message = format!("cannot read the credentials file `{}`", path.display());
                cx.say(place, message).label(error.to_string());
                return None;
            }
        },
        None => well_known(cx).and_then(|path| Some((cx.env.read(&path).ok()?, path, name.place))),
    };
    let (mut google, owner) = match text {
        Some((text, path, place)) => match Google::of_file(&text) {
            Ok(read) => read,
            Err(expected) => {
                let message = format!("the credentials file `{}` cannot be used", path.display());
                cx.say(place, message).label(format!("expected {expected}"));
                return None;
            }
        },
        None => {
            let host = variable("GCE_METADATA_HOST", cx);
            (Google::metadata(host.unwrap_or_else(|| "metadata.google.internal".to_owned())), None)
        }
    };
    if let Some(project) = variable("GOOGLE_CLOUD_QUOTA_PROJECT", cx) {
        google.quota_project = Some(project);
    }
    settings.secret = google.secret().cloned();
    settings.signer = Some(Signer::Google(Fetched::new(google)));
    owner
}

/// Where `gcloud auth application-default login` writes.
#[cfg(feature = "gcp")]
fn well_known(cx: &Context<'_>) -> Option<std::path::PathBuf> {
    let directory = variable("CLOUDSDK_CONFIG", cx).map(std::path::PathBuf::from);
    let usual = || Some(std::path::PathBuf::from(variable("HOME", cx)?).join(".config/gcloud"));
    Some(directory.or_else(usual)?.join("application_default_credentials.json"))
}
