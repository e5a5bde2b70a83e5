//! LiteLLM's providers, and which kind here is the same.

use super::notes::Notes;
use super::price;
use super::source::{Fields, Source, is_true, items, text};
use super::yaml::{Map, Yaml};
use crate::config::yaml::{Kind, Node};
use crate::provider::{self, Provider};
use crate::usage::decimal;

/// LiteLLM's word, our kind. Words that are the same in both are not here.
const KINDS: [(&str, &str); 25] = [
    ("text-completion-openai", "openai"),
    ("chatgpt", "openai"),
    ("custom_openai", "openai-compatible"),
    ("openai_like", "openai-compatible"),
    ("litellm_proxy", "openai-compatible"),
    ("azure_ai", "azure"),
    ("azure_text", "azure"),
    ("vertex_ai", "vertex"),
    ("vertex_ai_beta", "vertex"),
    ("bedrock_converse", "bedrock"),
    ("cohere_chat", "cohere"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("nvidia_nim", "nvidia"),
    ("hosted_vllm", "vllm"),
    ("vllm", "vllm"),
    ("ollama_chat", "ollama"),
    ("lm_studio", "lmstudio"),
    ("llamafile", "llamacpp"),
    ("jina_ai", "jina"),
    ("codestral", "mistral"),
    ("anthropic_text", "anthropic"),
    ("palm", "gemini"),
    ("google", "gemini"),
    ("x_ai", "xai"),
];

/// Where servers of one's own listen by default.
const LOCAL: [(&str, &str); 2] = [("ollama", "http://localhost:11434"), ("lmstudio", "http://localhost:1234")];

/// Who serves a deployment: two with the same are one provider.
#[derive(Debug, Clone)]
pub(super) struct Vendor {
    pub(super) provider: &'static Provider,
    /// What makes one endpoint of several: `api_key`, `base_url`, `region`.
    pub(super) own: Map,
    /// The rest of its settings.
    pub(super) shared: Map,
    /// What LiteLLM calls it, where nothing here is like it.
    pub(super) called: Option<String>,
}

/// The vendor of a model, and its name there.
pub(super) fn named<'n>(model: &'n str, custom: Option<&'n str>) -> Option<(&'static Provider, &'n str)> {
    let find = |word: &str| {
        let kind = KINDS.iter().find(|(theirs, _)| *theirs == word).map_or(word, |(_, ours)| ours);
        provider::find(kind)
    };
    if let Some(provider) = custom.and_then(find) {
        let prefix = custom.unwrap_or_default();
        return Some((provider, model.strip_prefix(prefix).and_then(|m| m.strip_prefix('/')).unwrap_or(model)));
    }
    if let Some((prefix, name)) = model.split_once('/')
        && let Some(provider) = find(prefix)
    {
        return Some((provider, bare(provider.kind, name)));
    }
    // Names that LiteLLM knows without a prefix.
    let kind = match model {
        _ if model.contains('/') => return None,
        _ if model.starts_with("claude-") => "anthropic",
        _ if model.starts_with("gemini-") => "vertex",
        _ if model.starts_with("command") => "cohere",
        _ if model.starts_with("anthropic.") || model.starts_with("amazon.") || model.starts_with("meta.") => "bedrock",
        _ => "openai",
    };
    Some((provider::find(kind)?, model))
}

/// Without what says how a model is called there.
fn bare<'n>(kind: &str, name: &'n str) -> &'n str {
    let steps: &[&str] = match kind {
        "bedrock" => &["converse/", "invoke/", "converse_like/", "chat_completions/"],
        "openai" | "azure" => &["responses/", "chat/", "completions/", "o_series/", "gpt5_series/"],
        _ => &[],
    };
    // More than one may stand there: `responses/o_series/mine`.
    match steps.iter().find_map(|step| name.strip_prefix(step)) {
        Some(rest) => bare(kind, rest),
        None => name,
    }
}

/// The region that stands before a model of Bedrock's, or in its ARN, and the model.
pub(super) fn region<'n>(provider: &Provider, name: &'n str) -> (Option<&'n str>, &'n str) {
    if provider.kind != "bedrock" {
        return (None, name);
    }
    if name.starts_with("arn:") {
        return (name.split(':').nth(3).filter(|part| is_region(part)), name);
    }
    match name.split_once('/') {
        Some((region, model)) if is_region(region) => (Some(region), model),
        _ => (None, name),
    }
}

/// `us-west-2`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    let mut parts = text.rsplit('-');
    let is_number = parts.next().is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    let words: Vec<&str> = parts.collect();
    let is_word = |part: &&str| part.len() >= 2 && part.bytes().all(|b| b.is_ascii_lowercase());
    is_number && words.len() >= 2 && words.iter().all(is_word)
}

/// A value that may stand in a variable. What it says is a secret as often as not.
pub(super) fn value(text: &str) -> String {
    match text.trim().strip_prefix("os.environ/") {
        Some(variable) => format!("${{{variable}}}"),
        None => text.trim().replace('$', "$$"),
    }
}

/// Seconds as a duration.
pub(super) fn seconds(node: &Node) -> Option<String> {
    let ms = decimal::scaled(text(node)?, 3)?.units;
    match ms {
        ..=0 => None,
        ms if ms % 1_000 == 0 => Some(format!("{}s", ms / 1_000)),
        ms => Some(format!("{ms}ms")),
    }
}

/// `timeouts` with a total; its parts may not be longer, so those whose default is are cut too.
pub(super) fn timeouts(total: Option<String>, first_token: Option<String>) -> Map {
    let ms = |text: &str| {
        let number = |unit: &str| text.strip_suffix(unit).and_then(|n| n.parse::<u64>().ok());
        number("ms").or_else(|| number("s").and_then(|s| s.checked_mul(1_000)))
    };
    let mut map = Map::default();
    let most = total.as_deref().and_then(ms);
    for (name, default_ms, said) in
        [("connect", 3_000, None), ("first_token", 60_000, first_token), ("idle", 30_000, None)]
    {
        let length = said.as_deref().and_then(ms).unwrap_or(default_ms);
        let cut = most.filter(|most| length > *most).map(|_| total.clone().unwrap_or_default());
        map.set_if(name, cut.or(said));
    }
    map.set_if("total", total);
    map
}

impl Vendor {
    /// The same one.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.provider.kind == other.provider.kind && self.own == other.own && self.shared == other.shared
    }

    /// Reads who serves it off `litellm_params`.
    pub(super) fn read(
        provider: &'static Provider,
        region: Option<&str>,
        params: &mut Fields<'_>,
        notes: &mut Notes,
        source: &Source,
    ) -> Option<Self> {
        let (mut own, mut shared) = (Map::default(), Map::default());
        let base = params.take("api_base").or_else(|| params.take("base_url")).and_then(text).map(value);
        params.skip(&["base_url"]);
        let key = params.text("api_key").map(value);
        // A server of one's own that speaks OpenAI's format: not held to be OpenAI.
        let foreign = base.as_deref().is_some_and(|base| !base.contains("openai.com"));
        let provider = match provider.kind {
            "openai" if foreign => provider::find("openai-compatible")?,
            _ => provider,
        };
        match provider.kind {
            "bedrock" => bedrock(region, params, &mut own, &mut shared),
            "vertex" => vertex(params, &mut shared, notes, source),
            "azure" => azure(params, &mut shared, notes, source),
            _ => {}
        }
        let local = || LOCAL.iter().find(|(kind, _)| *kind == provider.kind).map(|(_, url)| (*url).to_owned());
        let needed = || match provider.kind {
            "azure" => Some("${AZURE_API_BASE}".to_owned()),
            _ => local(),
        };
        let base = if provider.base_url.is_none() { base.or_else(needed) } else { base };
        if base.is_none() && provider.base_url.is_none() {
            return None;
        }
        own.set_if("base_url", base);
        own.set_if("api_key", key.or_else(|| default_key(provider, &own, &shared)));
        headers(params, &mut shared);
        let total = params.take("timeout").and_then(seconds);
        shared.set("timeouts", timeouts(total, params.take("stream_timeout").and_then(seconds)));
        shared.set_if("max_concurrency", params.text("max_parallel_requests"));
        if params.take("use_chat_completions_api").is_some_and(is_true) {
            shared.set("api", "chat");
        }
        Some(Self { provider, own, shared, called: None })
    }
}

/// LiteLLM takes the vendor's own variable where nothing is said.
fn default_key(provider: &Provider, own: &Map, shared: &Map) -> Option<String> {
    let has_other = ["access_key_id", "access_token", "entra"].iter().any(|name| shared.get(name).is_some());
    let is_fetched = matches!(provider.kind, "bedrock" | "vertex") || has_other || own.get("api_key").is_some();
    let variable = provider.env.first().filter(|_| !provider.key_optional && !is_fetched);
    variable.map(|variable| format!("${{{variable}}}"))
}

fn headers(params: &mut Fields<'_>, shared: &mut Map) {
    let mut headers = Map::default();
    for entry in
        params.take("extra_headers").or_else(|| params.take("headers")).into_iter().flat_map(super::source::entries)
    {
        headers.set_if(&entry.name.to_ascii_lowercase(), text(&entry.value).map(value));
    }
    headers.set_if("openai-organization", params.text("organization").map(value));
    shared.set("headers", headers);
}

fn bedrock(region: Option<&str>, params: &mut Fields<'_>, own: &mut Map, shared: &mut Map) {
    let said = params.text("aws_region_name").map(value).or_else(|| region.map(str::to_owned));
    let region = said.unwrap_or_else(|| "${AWS_REGION_NAME}".to_owned());
    own.set("region", region);
    for (theirs, ours) in [
        ("aws_access_key_id", "access_key_id"),
        ("aws_secret_access_key", "secret_access_key"),
        ("aws_session_token", "session_token"),
    ] {
        shared.set_if(ours, params.text(theirs).map(value));
    }
    own.set_if("base_url", params.text("aws_bedrock_runtime_endpoint").map(value));
}

fn vertex(params: &mut Fields<'_>, shared: &mut Map, notes: &mut Notes, source: &Source) {
    shared.set_if("project", params.text("vertex_project").or_else(|| params.text("vertex_ai_project")).map(value));
    shared.set_if("location", params.text("vertex_location").or_else(|| params.text("vertex_ai_location")).map(value));
    let Some(node) = params.take("vertex_credentials") else { return };
    match text(node).map(value) {
        Some(path) if !path.contains('{') || path.starts_with("${") => _ = shared.set("credentials_file", path),
        _ => notes.lost(
            source,
            node.place,
            "vertex_credentials",
            "write the JSON to a file and name it in `credentials_file`",
        ),
    }
}

fn azure(params: &mut Fields<'_>, shared: &mut Map, notes: &mut Notes, source: &Source) {
    if let Some(node) = params.take("api_version") {
        match text(node).map(value) {
            Some(version) if version.starts_with("20") || version.starts_with("${") => {
                shared.set("api_version", version);
            }
            _ => notes.changed(source, node.place, "api_version", "no date: the API without a version is used"),
        }
    }
    shared.set_if("access_token", params.text("azure_ad_token").map(value));
    let mut entra = Map::default();
    for name in ["tenant_id", "client_id", "client_secret"] {
        entra.set_if(name, params.text(name).map(value));
    }
    shared.set("entra", entra);
}

/// What a model's own entry says: limits, abilities, prices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Known(pub(super) Map);

impl Known {
    /// Off `model_info`, and off `litellm_params`, where prices may stand too.
    pub(super) fn read(info: &mut Fields<'_>, params: &mut Fields<'_>, provider: &Provider) -> Self {
        let mut map = Map::default();
        let number = |node: Option<&Node>| node.and_then(text).filter(|t| t.parse::<u64>().is_ok()).map(str::to_owned);
        map.set_if("context", number(info.take("max_input_tokens")));
        map.set_if("max_output", number(info.take("max_output_tokens")));
        info.skip(&["max_tokens"]);
        let mut can = Map::default();
        for (theirs, ours) in [
            ("supports_vision", "images"),
            ("supports_audio_input", "audio"),
            ("supports_pdf_input", "documents"),
            ("supports_function_calling", "tools"),
            ("supports_parallel_function_calling", "parallel_tools"),
            ("supports_response_schema", "json_schema"),
            ("supports_system_messages", "system"),
        ] {
            let said = info.text(theirs).map(str::to_ascii_lowercase);
            can.set_if(ours, said.filter(|word| word == "true" || word == "false"));
        }
        map.set("capabilities", can);
        // What stands in the parameters comes first.
        let (of_info, of_params) = (price::take(info, provider), price::take(params, provider));
        map.set("price", if of_params.is_empty() { of_info } else { of_params });
        Self(map)
    }
}

/// The list of a mapping's texts.
pub(super) fn list(texts: impl IntoIterator<Item = impl Into<String>>) -> Yaml {
    Yaml::List(texts.into_iter().map(|text| Yaml::Text(text.into())).collect())
}

/// Whether there is anything in a node.
pub(super) fn says_something(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => false,
        Kind::Scalar(text) => !text.is_empty() && text != "false",
        _ => !items(node).is_empty() || !super::source::entries(node).is_empty(),
    }
}
