//! Settings of Amazon's services: the region, and what requests are signed with.

use crate::config::raw;
use crate::config::read::{At, Context};
use crate::config::yaml::Place;
#[cfg(feature = "aws")]
use crate::provider::sign::chain::Chain;
#[cfg(feature = "proxy")]
use crate::provider::sign::{
    Signer,
    sigv4::{SigV4, Written},
};
use crate::provider::{Auth, Provider};
use crate::secret::Secret;

/// Where Amazon's own programs look for the region.
const REGION_VARIABLES: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// What a provider's settings say of Amazon; nothing for every other vendor.
#[derive(Debug, Default)]
pub(super) struct Settings {
    region: Option<String>,
    /// Half of the keys that are written.
    pub(super) secret: Option<Secret>,
    /// Where requests are signed.
    #[cfg(feature = "proxy")]
    pub(super) signer: Option<Signer>,
}

impl Settings {
    /// What stands for `{region}`.
    pub(super) fn vars(&self) -> Vec<(&'static str, String)> {
        self.region.iter().map(|region| ("region", region.clone())).collect()
    }
}

/// A key of Amazon's from where its own programs look for one, unless the file says how to sign.
pub(super) fn bearer(raw: &raw::Provider, provider: &Provider, cx: &Context<'_>) -> Option<Secret> {
    let signs = raw.written.iter().any(|name| ["access_key_id", "secret_access_key"].contains(name));
    let found = provider.env.iter().find_map(|name| cx.env.var(name)).filter(|key| !key.is_empty() && !signs);
    found.map(Secret::new)
}

pub(super) fn settings(
    name: &At<String>,
    raw: &raw::Provider,
    provider: &Provider,
    api_key: Option<&Secret>,
    cx: &mut Context<'_>,
) -> Settings {
    let Auth::SigV4(service) = provider.auth else {
        // A region is for everybody: tenants may care where they are served.
        for (option, place) in written(raw).filter(|(option, _)| *option != "region") {
            cx.say(place, format!("`{option}` means nothing to the kind `{}`", provider.kind))
                .label("expected for the kind `bedrock` only");
        }
        return Settings::default();
    };
    // `api_key: ""`: clients bring their own.
    let signs = api_key.is_none() && raw.api_key.is_none() && !raw.written.contains(&"api_key");
    let region = region(name, raw, signs || raw.base_url.is_none(), cx);
    if !signs {
        for (option, place) in written(raw).filter(|(option, _)| *option != "region") {
            cx.say(place, format!("`{option}` beside an `api_key`")).label("expected one or the other");
        }
        return Settings { region, ..Settings::default() };
    }
    keys(name, raw, service, region, cx)
}

/// The options of this file that are there.
fn written(raw: &raw::Provider) -> impl Iterator<Item = (&'static str, Place)> {
    let place = |secret: &Option<At<crate::config::read::SecretText>>| secret.as_ref().map(|secret| secret.place);
    [
        ("region", raw.region.as_ref().map(|region| region.place)),
        ("access_key_id", raw.access_key_id.as_ref().map(|id| id.place)),
        ("secret_access_key", place(&raw.secret_access_key)),
        ("session_token", place(&raw.session_token)),
    ]
    .into_iter()
    .filter_map(|(name, place)| Some((name, place?)))
}

fn region(name: &At<String>, raw: &raw::Provider, needed: bool, cx: &mut Context<'_>) -> Option<String> {
    if raw.region.is_none() && raw.written.contains(&"region") {
        return None;
    }
    let outside = || REGION_VARIABLES.iter().find_map(|name| cx.env.var(name)).filter(|region| !region.is_empty());
    let found = match &raw.region {
        Some(region) => Some((region.value.clone(), region.place)),
        None => outside().map(|region| (region, name.place)),
    };
    let Some((region, place)) = found else {
        if needed {
            cx.say(name.place, format!("`{}` needs a `region`", name.value))
                .label("expected one of Amazon's regions")
                .help("write for example `region: eu-central-1`");
        }
        return None;
    };
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if region.is_empty() || !region.bytes().all(good) {
        cx.say(place, "not a region of Amazon's").label("expected for example `eu-central-1`");
        return None;
    }
    Some(region)
}

/// The keys that are written, or the chain that finds some.
fn keys(
    name: &At<String>,
    raw: &raw::Provider,
    #[cfg_attr(not(feature = "proxy"), expect(unused_variables, reason = "nothing is signed without the gateway"))]
    service: &'static str,
    region: Option<String>,
    cx: &mut Context<'_>,
) -> Settings {
    match (&raw.access_key_id, &raw.secret_access_key) {
        (Some(id), Some(secret)) => {
            let printable = |b: u8| b.is_ascii_graphic();
            if id.is_empty() || !id.bytes().all(printable) {
                cx.say(id.place, "not an access key id").label("expected letters and digits");
            }
            Settings {
                secret: Some(secret.0.clone()),
                #[cfg(feature = "proxy")]
                signer: region.as_ref().map(|region| {
                    let keys = Written {
                        access_key_id: id.value.clone(),
                        secret_access_key: secret.0.clone(),
                        session_token: raw.session_token.as_ref().map(|token| token.0.clone()),
                    };
                    Signer::SigV4(Box::new(SigV4::new(service, region, &keys)))
                }),
                region,
            }
        }
        (None, None) => {
            if let Some(token) = &raw.session_token {
                cx.say(token.place, "a `session_token` without keys").label("it belongs to an `access_key_id`");
            }
            if cfg!(not(feature = "aws")) {
                cx.say(name.place, format!("`{}` has no keys, and this build cannot look for any", name.value))
                    .label("expected `api_key`, or `access_key_id` and `secret_access_key`")
                    .help("Amazon's chain of credentials is the cargo feature `aws`");
            }
            Settings {
                #[cfg(feature = "aws")]
                signer: region.as_ref().map(|region| {
                    let chain = Chain { region: region.clone() };
                    Signer::SigV4(Box::new(SigV4::new(service, region, chain)))
                }),
                region,
                ..Settings::default()
            }
        }
        _ => {
            let lost = ["access_key_id", "secret_access_key"].iter().all(|half| raw.written.contains(half));
            if let Some((half, place)) =
                written(raw).find(|(option, _)| option.contains("access_key")).filter(|_| !lost)
            {
                cx.say(place, format!("`{half}` alone")).label("expected `access_key_id` and `secret_access_key`");
            }
            Settings { region, ..Settings::default() }
        }
    }
}
