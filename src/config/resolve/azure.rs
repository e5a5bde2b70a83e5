//! Settings of Azure: which of its APIs is meant, and tokens of Entra ID.

use crate::config::raw;
use crate::config::read::{At, Context};
use crate::config::runtime::BaseUrl;
use crate::config::yaml::Place;
#[cfg(feature = "proxy")]
use crate::provider::sign::Signer;
use crate::provider::{Provider, azure};
use crate::secret::Secret;

/// What a provider's settings say of Azure; nothing for every other vendor.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// What stands for `{api_version}`.
    pub(super) vars: Vec<(&'static str, String)>,
    /// What only the owner of the credentials knows.
    pub(super) secret: Option<Secret>,
    #[cfg(feature = "proxy")]
    pub(super) signer: Option<Signer>,
}

pub(super) fn settings(name: &At<String>, raw: &raw::Provider, provider: &Provider, cx: &mut Context<'_>) -> Settings {
    if provider.kind != azure::PROVIDER.kind {
        for (option, place) in written(raw) {
            cx.say(place, format!("`{option}` means nothing to the kind `{}`", provider.kind))
                .label("expected for the kind `azure` only");
        }
        if let Some(token) = raw.access_token.as_ref().filter(|_| provider.kind != "vertex") {
            cx.say(token.place, format!("`access_token` means nothing to the kind `{}`", provider.kind))
                .label("expected for the kinds `vertex` and `azure` only");
        }
        return Settings::default();
    }
    let mut settings = Settings::default();
    if let Some(version) = &raw.api_version {
        if !is_date(version) {
            cx.say(version.place, "not a version of the paths of deployments")
                .label("expected a date as in `2024-10-21`; without `api_version` the v1 API is used");
        }
        settings.vars.push(("api_version", version.value.clone()));
    }
    let given = [
        raw.api_key.as_ref().map(|key| key.place),
        raw.access_token.as_ref().map(|token| token.place),
        raw.entra.as_ref().map(|entra| entra.place),
    ];
    if let Some(second) = given.into_iter().flatten().nth(1) {
        cx.say(second, "more than one credential").label("expected one of `api_key`, `access_token` and `entra`");
    }
    if let Some(token) = &raw.access_token {
        settings.secret = Some(token.0.clone());
        #[cfg(feature = "proxy")]
        {
            settings.signer = Some(Signer::Bearer(token.0.clone()));
        }
    }
    if let Some(entra) = &raw.entra {
        tokens(name, entra, &mut settings, cx);
    }
    settings
}

/// The options of this file that are there.
fn written(raw: &raw::Provider) -> impl Iterator<Item = (&'static str, Place)> {
    [
        ("api_version", raw.api_version.as_ref().map(|version| version.place)),
        ("entra", raw.entra.as_ref().map(|entra| entra.place)),
    ]
    .into_iter()
    .filter_map(|(name, place)| Some((name, place?)))
}

/// `2024-10-21`, and what may follow (`-preview`).
fn is_date(version: &str) -> bool {
    let mut parts = version.split('-');
    let digits = |part: Option<&str>, count| {
        part.is_some_and(|part: &str| part.len() == count && part.bytes().all(|b| b.is_ascii_digit()))
    };
    digits(parts.next(), 4) && digits(parts.next(), 2) && digits(parts.next(), 2)
}

/// Which API a base URL means; its path becomes what that API's paths go below.
pub(super) fn placed(base: &mut BaseUrl, raw: &raw::Provider, cx: &mut Context<'_>) -> &'static Provider {
    let path = base.path.clone();
    // A whole address of a deployment, as the portal shows it.
    let path = path.split_once("/deployments/").map_or(path.as_str(), |(before, _)| before);
    let root = path.strip_suffix("/v1").unwrap_or(path);
    let below = |name: &str| if root.ends_with(name) { root.to_owned() } else { format!("{root}{name}") };
    if root.ends_with("/anthropic") {
        if let Some(version) = &raw.api_version {
            cx.say(version.place, "`api_version` means nothing below `/anthropic`").label("not expected");
        }
        root.clone_into(&mut base.path);
        return &azure::CLAUDE;
    }
    match &raw.api_version {
        Some(_) if root.ends_with("/models") => {
            root.clone_into(&mut base.path);
            &azure::MODELS
        }
        Some(_) => {
            base.path = below("/openai");
            &azure::DEPLOYMENTS
        }
        None => {
            if root.is_empty() || root.ends_with("/openai") {
                base.path = format!("{}/v1", below("/openai"));
            }
            &azure::PROVIDER
        }
    }
}

#[cfg(not(feature = "azure"))]
fn tokens(name: &At<String>, entra: &At<raw::Entra>, _settings: &mut Settings, cx: &mut Context<'_>) {
    // The translation core alone asks nobody, and needs no credentials.
    if cfg!(feature = "proxy") {
        cx.say(entra.place, format!("`{}` has `entra`, and this build cannot fetch tokens", name.value))
            .label("expected `api_key` or `access_token`")
            .help("tokens of Entra ID are the cargo feature `azure`");
    }
}

/// An application's, a workload's, or the machine's.
#[cfg(feature = "azure")]
fn tokens(name: &At<String>, raw: &At<raw::Entra>, settings: &mut Settings, cx: &mut Context<'_>) {
    use crate::provider::sign::entra::{Entra, Grant};
    use crate::provider::sign::fetched::Fetched;

    let variable = |name: &str| cx.env.var(name).filter(|value| !value.is_empty());
    let tenant = raw.tenant_id.as_deref().cloned().or_else(|| variable("AZURE_TENANT_ID"));
    let client_id = raw.client_id.as_deref().cloned().or_else(|| variable("AZURE_CLIENT_ID"));
    let secret = raw.client_secret.as_ref().map(|secret| secret.0.clone());
    let secret = secret.or_else(|| variable("AZURE_CLIENT_SECRET").map(Secret::new));
    let authority = variable("AZURE_AUTHORITY_HOST");
    let authority = authority.as_deref().unwrap_or("https://login.microsoftonline.com").trim_end_matches('/');
    let application = tenant.zip(client_id.clone()).map(|(tenant, client_id)| {
        (format!("{authority}/{}/oauth2/v2.0/token", crate::provider::sign::call::encoded(&tenant)), client_id)
    });
    let grant = match (application, secret, variable("AZURE_FEDERATED_TOKEN_FILE")) {
        (Some((token_url, client_id)), Some(client_secret), _) => Grant::Secret { token_url, client_id, client_secret },
        (Some((token_url, client_id)), None, Some(file)) => Grant::Federated { token_url, client_id, file },
        (None, ..) if raw.client_secret.is_some() => {
            cx.say(raw.place, format!("`entra` of `{}` has a secret of no application", name.value))
                .label("expected `tenant_id` and `client_id` beside `client_secret`");
            return;
        }
        _ => match (variable("IDENTITY_ENDPOINT"), variable("IDENTITY_HEADER")) {
            (Some(endpoint), Some(header)) => Grant::AppService { endpoint, header: Secret::new(header), client_id },
            _ => {
                let host = variable("AZURE_POD_IDENTITY_AUTHORITY_HOST");
                let host = host.as_deref().unwrap_or("http://169.254.169.254").trim_end_matches('/').to_owned();
                Grant::Machine { host, client_id }
            }
        },
    };
    let entra = Entra { scope: raw.scope.value.clone(), grant };
    settings.secret = entra.secret().cloned();
    settings.signer = Some(Signer::Entra(Fetched::new(entra)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates() {
        assert!(is_date("2024-10-21") && is_date("2024-05-01-preview"));
        assert!(["v1", "preview", "2024-10", "2024-1-21", "latest", ""].iter().all(|text| !is_date(text)));
    }
}
