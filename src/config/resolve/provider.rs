//! `providers`.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::{authored, aws, azure, base_url, endpoints, google, server};
use crate::config::raw::{self, Capabilities, Config, ModelFull, Promise, QuirkChanges};
use crate::config::read::{At, Context, Either, Map, Period, SecretText, nearest};
use crate::config::runtime::{ApiChoice, BaseUrl, Check, Deployment, Discovered, Labels, ModelEntry, Queue, Timeouts};
use crate::provider::{self, Auth, PROVIDERS, Provider};
use crate::secret::Secret;
use crate::secret::header::secrets_of;
use crate::usage::price::PriceTable;
use crate::wire::seal::Seal;
use crate::wire::{Abilities, Quirks};

/// Headers that belong to the connection or to the body, not to the operator.
const RESERVED_HEADERS: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "upgrade",
    "te",
    "trailer",
    "expect",
    "accept-encoding",
];

pub(super) fn deployments(raw: &Config, prices: &PriceTable, cx: &mut Context<'_>) -> Vec<Arc<Deployment>> {
    if raw.providers.entries.is_empty() && !raw.providers_lost() {
        cx.say(raw.providers.place, "no providers")
            .label("expected at least one")
            .help("write for example `providers: {openai: {api_key: \"${OPENAI_API_KEY}\"}}`");
    }
    let defaults = timeouts(&raw.defaults.timeouts, Timeouts::USUAL, cx);
    let pool = |(name, settings): &(At<String>, raw::Provider)| pool(name, settings, defaults, prices, cx);
    let mut all: Vec<Vec<Deployment>> = raw.providers.entries.iter().map(pool).collect();
    if let Some(secret) = &raw.state.secret {
        for deployment in all.iter_mut().flatten() {
            deployment.seal.prove_by(&deployment.id, secret.0.expose().as_bytes());
        }
    }
    Seal::acquaint(all.iter_mut().flatten().map(|deployment| &mut deployment.seal));
    let first = |pool: Vec<Deployment>| {
        let mut pool = pool.into_iter();
        let mut first = pool.next()?;
        first.others = pool.map(Arc::new).collect();
        Some(Arc::new(first))
    };
    all.into_iter().filter_map(first).collect()
}

/// A deployment for each of the provider's endpoints.
fn pool(
    name: &At<String>,
    raw: &raw::Provider,
    defaults: Timeouts,
    prices: &PriceTable,
    cx: &mut Context<'_>,
) -> Vec<Deployment> {
    check_name(name, cx);
    let members = endpoints::members(name, raw, cx);
    members.iter().filter_map(|member| deployment(name, member, defaults, prices, cx)).collect()
}

fn deployment(
    name: &At<String>,
    member: &endpoints::Member,
    defaults: Timeouts,
    prices: &PriceTable,
    cx: &mut Context<'_>,
) -> Option<Deployment> {
    let raw = &member.settings;
    let timeouts = timeouts(&raw.timeouts, defaults, cx);
    let headers = raw.headers.as_ref().map(|all| header_list(all, cx)).unwrap_or_default();
    if let Some(file) = &raw.ca_file {
        server::pem(file, "CERTIFICATE", cx);
    }
    if *raw.models_only && raw.models.as_ref().is_none_or(|m| m.entries.is_empty()) {
        cx.say(raw.models_only.place, "`models_only` without `models`").label("nothing would be served");
    }
    let mut provider = kind(name, raw, cx)?;
    let api_key = api_key(name, raw, provider, cx);
    let aws = aws::settings(name, raw, provider, api_key.as_ref(), cx);
    let google = google::settings(name, raw, provider, cx);
    let azure = azure::settings(name, raw, provider, cx);
    let vars = [aws.vars(), google.vars, azure.vars].concat();
    let mut base = base(name, raw, google.base_url.as_deref().or(provider.base_url), provider, &vars, cx);
    if let Some(base) = base.as_mut().filter(|_| provider.kind == "azure") {
        provider = azure::placed(base, raw, cx);
    }
    let place = vars.iter().find(|(var, _)| *var == "region").map(|(_, region)| region.as_str());
    let models = models((name, raw, provider, place), prices, cx);
    let secrets = [api_key.as_ref(), aws.secret.as_ref(), google.secret.as_ref(), azure.secret.as_ref()];
    let credential = secrets.into_iter().flatten().next().map_or("", Secret::expose);
    Some(Deployment {
        name: name.value.clone(),
        id: member.id.clone(),
        weight: member.weight,
        others: Vec::new(),
        region: region(raw, &vars),
        labels: labels(&raw.labels),
        max_concurrency: places(raw, cx),
        queue: Queue { waiting: *raw.queue.waiting, patience: raw.queue.patience.0 },
        check: check(raw, provider, cx),
        provider,
        base: base?,
        header_secrets: headers.iter().flat_map(|(name, value)| secrets_of(name, value.expose())).collect(),
        headers,
        timeouts,
        quirks: quirks(provider.quirks, raw.quirks.as_deref()),
        models,
        models_only: *raw.models_only,
        authored: authored::names(provider, &vars, prices),
        vars,
        discovered: raw.discover.then(Discovered::default),
        abilities: abilities(raw.capabilities.as_deref()),
        ca_file: raw.ca_file.as_deref().cloned(),
        seal: Seal::new(&member.id, credential.as_bytes()),
        #[cfg(feature = "proxy")]
        signer: (aws.signer.or(google.signer).or(azure.signer))
            .unwrap_or_else(|| provider::sign::Signer::of_key(provider.auth, api_key.as_ref())),
        api: raw.api.as_ref().map_or(ApiChoice::Auto, |api| api.0),
        api_key,
    })
}

/// Where it stands: as written, or where its vendor's own settings say.
fn region(raw: &raw::Provider, vars: &[(&'static str, String)]) -> Option<String> {
    let said = vars.iter().find(|(var, _)| ["region", "location"].contains(var)).map(|(_, place)| place.clone());
    raw.region.as_ref().map(|region| region.value.clone()).or(said)
}

/// What is promised of it.
pub(super) fn labels(promises: &[At<Promise>]) -> Labels {
    Labels {
        no_training: promises.iter().any(|p| p.value == Promise::NoTraining),
        zero_retention: promises.iter().any(|p| p.value == Promise::ZeroRetention),
    }
}

fn places(raw: &raw::Provider, cx: &mut Context<'_>) -> Option<u32> {
    let most = raw.max_concurrency.as_ref()?;
    if most.value == 0 {
        cx.say(most.place, "no place for any request").label("expected at least 1");
    }
    Some(most.value)
}

fn check(raw: &raw::Provider, provider: &Provider, cx: &mut Context<'_>) -> Option<Check> {
    let check = raw.check.as_ref()?;
    // A vendor counts requests, and says by their answers how it is.
    if !provider.key_optional {
        cx.say(check.place, "active checks are for servers of one's own")
            .label(format!("`{}` is judged by its answers", provider.kind));
    }
    if !check.path.starts_with('/') {
        cx.say(check.path.place, "not a path").label("expected for example `/health`");
    }
    Some(Check { path: check.path.value.clone(), every: check.every.0 })
}

/// The name becomes a prefix of models (`name/model`), a pin (`model:name`) and a metric label.
fn check_name(name: &At<String>, cx: &mut Context<'_>) {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
        cx.say(name.place, "not a name for a provider").label("expected letters, digits and `.` `_` `-`, at most 64");
    }
}

fn kind(name: &At<String>, raw: &raw::Provider, cx: &mut Context<'_>) -> Option<&'static Provider> {
    let (kind, place) = match &raw.kind {
        Some(kind) => (kind.as_str(), kind.place),
        None => (name.as_str(), name.place),
    };
    if let Some(provider) = provider::find(kind) {
        return Some(provider);
    }
    let kinds: Vec<_> = PROVIDERS.iter().map(|p| p.kind).collect();
    let near = nearest(kind, kinds.iter().copied());
    if raw.kind.is_some() {
        cx.say(place, format!("unknown kind `{kind}`"))
            .label(format!("expected one of: {}", kinds.join(", ")))
            .did_you_mean(near);
    } else {
        let draft = cx.say(place, format!("`{kind}` is no kind of provider that is built in"));
        draft.label("expected a kind as name, or `kind: ...` below");
        match near {
            Some(near) => draft.did_you_mean(Some(near)),
            None => draft.help("a server of your own is mostly `kind: openai-compatible` with a `base_url`"),
        };
    }
    None
}

fn base(
    name: &At<String>,
    raw: &raw::Provider,
    own: Option<&str>,
    provider: &Provider,
    vars: &[(&'static str, String)],
    cx: &mut Context<'_>,
) -> Option<BaseUrl> {
    let (text, place) = match (&raw.base_url, own) {
        (Some(given), _) => (given.value.clone(), given.place),
        (None, Some(own)) => (base_url::filled(own, vars)?, name.place),
        (None, None) if raw.written.contains(&"base_url") => return None,
        (None, None) => {
            cx.say(name.place, format!("the kind `{}` needs a `base_url`", provider.kind))
                .label("expected an address")
                .help("write for example `base_url: \"http://10.0.0.7:8000/v1\"`");
            return None;
        }
    };
    match base_url::parse(&text, provider) {
        Ok(base) => Some(base),
        Err(expected) => {
            // A password before the host, or a key in the query.
            if text.contains(['@', '?', '#']) {
                cx.hide(place);
            }
            cx.say(place, "invalid base_url").label(format!("expected {expected}"));
            None
        }
    }
}

fn api_key(name: &At<String>, raw: &raw::Provider, provider: &Provider, cx: &mut Context<'_>) -> Option<Secret> {
    match &raw.api_key {
        Some(key) => key.0.clone(),
        None if provider.key_optional || raw.written.contains(&"api_key") => None,
        None if matches!(provider.auth, Auth::SigV4(_)) => aws::bearer(raw, provider, cx),
        // Others take their place; which do is looked at there.
        None if provider.auth == Auth::Google => None,
        None if ["access_token", "entra"].iter().any(|name| raw.written.contains(name)) => None,
        None => {
            let variable = provider.env.first().copied().unwrap_or("API_KEY");
            cx.say(name.place, format!("`{}` needs an `api_key`", name.value))
                .label("expected a credential")
                .help(format!("write `api_key: \"${{{variable}}}\"`, or `api_key: \"\"` if clients bring their own"));
            None
        }
    }
}

/// Whether the gateway writes a header of that name, in small letters.
pub(super) fn is_reserved_header(name: &str) -> bool {
    RESERVED_HEADERS.contains(&name)
}

/// Headers of the operator's own.
pub(super) fn header_list(raw: &Map<SecretText>, cx: &mut Context<'_>) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, value) in &raw.entries {
        let lower = name.to_ascii_lowercase();
        let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        if lower.is_empty() || !lower.chars().all(token) {
            cx.say(name.place, "not the name of a header").label("expected letters, digits and `-`");
        } else if RESERVED_HEADERS.contains(&lower.as_str()) {
            cx.say(name.place, format!("`{lower}` is not for you to set")).label("the gateway writes it");
        } else if headers.iter().any(|(other, _)| *other == lower) {
            cx.say(name.place, format!("`{lower}` is there twice")).label("upper and lower case are the same");
        }
        headers.push((lower, value.0.clone()));
    }
    headers
}

fn timeouts(raw: &At<raw::Timeouts>, base: Timeouts, cx: &mut Context<'_>) -> Timeouts {
    let total = raw.total.as_ref().map_or(base.total, |p| p.0);
    let mut part = |name: &str, given: &Option<At<Period>>, base: Duration| match given {
        Some(given) if given.0 > total => {
            let label = format!("{:?} can never pass within {total:?}", given.0);
            cx.say(given.place, format!("`{name}` is longer than `total`")).label(label);
            given.0
        }
        Some(given) => given.0,
        // Nobody has said that here: a whole that is shorter has shorter parts.
        None => base.min(total),
    };
    Timeouts {
        connect: part("connect", &raw.connect, base.connect),
        first_token: part("first_token", &raw.first_token, base.first_token),
        idle: part("idle", &raw.idle, base.idle),
        total,
    }
}

fn models(
    (deployment, raw, provider, region): (&str, &raw::Provider, &Provider, Option<&str>),
    prices: &PriceTable,
    cx: &mut Context<'_>,
) -> HashMap<String, ModelEntry> {
    let mut models = HashMap::new();
    for (name, settings) in raw.models.iter().flat_map(|m| &m.entries) {
        if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace() || c == '*') {
            cx.say(name.place, "not a name for a model").label("expected no blanks and no `*`");
        }
        let (upstream, full) = match settings {
            Either::Plain(upstream) => (upstream.clone(), None),
            Either::Full(full) => (full.upstream.as_deref().unwrap_or(&name.value).clone(), Some(full)),
        };
        let known = prices.find_in(deployment, provider.catalogue, region, &upstream);
        let mut info = known.map(|info| (**info).clone()).unwrap_or_default();
        if let Some(full) = full {
            change_model(&mut info, full);
        }
        let api = full.and_then(|full| full.api.as_ref()).map(|api| api.0);
        models.insert(name.value.clone(), ModelEntry { upstream, info: Arc::new(info), api });
    }
    models
}

fn change_model(info: &mut crate::usage::price::ModelInfo, full: &ModelFull) {
    info.context_tokens = full.context.as_deref().copied().or(info.context_tokens);
    info.max_output_tokens = full.max_output.as_deref().copied().or(info.max_output_tokens);
    info.abilities = abilities(full.capabilities.as_deref());
    if let Some(thinking) = &full.thinking {
        info.thinking = thinking.0;
    }
    if let Some(prices) = &full.price {
        info.prices.clone_from(&prices.0);
    }
}

fn abilities(raw: Option<&Capabilities>) -> Abilities {
    let Some(raw) = raw else { return Abilities::UNKNOWN };
    let said = |word: &Option<At<bool>>| word.as_ref().map(|w| w.value);
    Abilities {
        images: said(&raw.images),
        audio: said(&raw.audio),
        documents: said(&raw.documents),
        tools: said(&raw.tools),
        parallel_tools: said(&raw.parallel_tools),
        json_schema: said(&raw.json_schema),
        developer_role: said(&raw.developer_role),
        system: said(&raw.system),
    }
}

fn quirks(own: Quirks, changes: Option<&QuirkChanges>) -> Quirks {
    let Some(changes) = changes else { return own };
    let or = |change: &Option<At<bool>>, own: bool| change.as_ref().map_or(own, |c| c.value);
    Quirks {
        max_tokens: changes.max_tokens.as_ref().map_or(own.max_tokens, |m| m.0),
        developer_role: or(&changes.developer_role, own.developer_role),
        stream_options: or(&changes.stream_options, own.stream_options),
        reasoning_effort: or(&changes.reasoning_effort, own.reasoning_effort),
        reasoning_echo: changes.reasoning_echo.as_ref().map_or(own.reasoning_echo, |m| m.0),
        json_schema: or(&changes.json_schema, own.json_schema),
        strict_tools: or(&changes.strict_tools, own.strict_tools),
        parallel_tool_calls: or(&changes.parallel_tool_calls, own.parallel_tool_calls),
        reasoning_outside_completion: or(&changes.reasoning_outside_completion, own.reasoning_outside_completion),
        image_urls: or(&changes.image_urls, own.image_urls),
        prefill: changes.prefill.as_ref().map_or(own.prefill, |p| p.0),
        ..own
    }
}
