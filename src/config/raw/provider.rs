//! `providers`.

use std::path::PathBuf;

use schemars::{Schema, json_schema};

use super::{PriceList, Timeouts};
use crate::config::read::{ApiKey, At, Either, Map, Name, Period, Scalar, SecretText, one_of, settings};
use crate::config::runtime::ApiChoice;
use crate::wire::resume::Mark;
use crate::wire::{Dialect, Thinking};

settings! {
    /// A vendor, or a server of one's own, with its credential.
    Provider in "a provider" {
        /// Which vendor or server it is (`weir providers` lists them). Default: the provider's name.
        kind: String,
        /// Its address: what the vendor's own SDK takes, with or without `/v1`. Default: the
        /// vendor's. Kinds for servers of one's own need it.
        base_url: String,
        /// Which of its APIs is used, where it has several: `auto` (the client's own format where the
        /// provider has it), `chat`, `responses` or `messages`.
        api: ApiWord,
        /// Its credential. Vendors need one; `""` says that there is none on purpose, because
        /// clients bring their own (`x-weir-api-key`).
        api_key: ApiKey,
        /// Several of it, each with its own credential, address or region: one pool, of which each member
        /// has its own health, cooldown and quota. What a member does not say is as here.
        endpoints: Vec<Endpoint>,
        /// Where it stands, for tenants that may be served in some regions only. Amazon's region (kind
        /// `bedrock`; default: `AWS_REGION`, then `AWS_DEFAULT_REGION`) and Google's location count.
        region: String,
        /// What its contract promises: `no_training`, `zero_retention`. Tenants can require it.
        labels: Vec<At<Promise>> = "[]",
        /// Requests that it takes at the same time (each endpoint of several). More of them wait, in
        /// turn of their tenants. Default: no limit of ours.
        max_concurrency: u32,
        /// Requests that wait for a place.
        queue: Queue = "{}",
        /// Ask it now and again whether it is well (servers of one's own only).
        check: Check,
        /// Keys that sign requests to Amazon (kind `bedrock`), where there is no `api_key`. Default:
        /// Amazon's usual chain: environment, profiles, web identity, container, instance.
        access_key_id: String,
        /// The other half of `access_key_id`.
        secret_access_key: SecretText,
        /// Of keys that live for a while; those of the chain are fetched again before they end.
        session_token: SecretText,
        /// Headers added to every request to it.
        headers: Map<SecretText>,
        /// Patience with it. What is not said comes from `defaults.timeouts`.
        timeouts: Timeouts = "{}",
        /// Extra or renamed models: the name clients use, and the provider's own, or a mapping with
        /// what is known about the model.
        models: Map<Either<String, ModelFull>>,
        /// Serve only the models listed under `models`, not any name after the prefix.
        models_only: bool = "false",
        /// Ask the server itself which models it has, now and again. Those are listed, and found by
        /// their bare names; useful for servers of one's own.
        discover: bool = "false",
        /// What its models can do. What a model's own entry says comes first.
        capabilities: Capabilities,
        /// PEM file with the authority that signed the server's certificate, for servers of one's
        /// own. Default: the public authorities.
        ca_file: PathBuf,
        /// Google Cloud's project (kind `vertex`). Default: that of the credentials, then
        /// `GOOGLE_CLOUD_PROJECT`.
        project: String,
        /// Google Cloud's location (kind `vertex`): a region, `us`, `eu` or `global`. Default:
        /// `GOOGLE_CLOUD_LOCATION`, then `global`.
        location: String,
        /// A file with credentials of Google's (kind `vertex`): of a service account, a user, or an
        /// identity that is federated. Default: Application Default Credentials.
        credentials_file: PathBuf,
        /// A token in place of credentials (kinds `vertex` and `azure`). It is not fetched again.
        access_token: SecretText,
        /// The version of the API (kind `azure`), for the paths of deployments. Default: the v1 API.
        api_version: String,
        /// Tokens of Microsoft Entra ID in place of a key (kind `azure`); `{}` for those of a workload
        /// or of the machine.
        entra: Entra,
        /// Where a compatible server differs from what its kind says.
        quirks: QuirkChanges,
    }

    /// One of several endpoints of a provider.
    Endpoint in "an endpoint" {
        /// Its name in records, metrics and the admin API, behind the provider's and a `#`. Default: its
        /// place in the list, from 1.
        id: Name,
        /// Its credential.
        api_key: ApiKey,
        /// Its address.
        base_url: String,
        /// Where it stands.
        region: String,
        /// Its share of the requests.
        weight: u32 = "1",
        /// Requests that it takes at the same time.
        max_concurrency: u32,
    }

    /// Requests that wait for a place at an endpoint.
    Queue in "`queue`" {
        /// Most of them; more are refused at once. A tenant takes as many of these places as it leaves free: one that waits alone
        /// half of them, two a third each.
        waiting: usize = "256",
        /// The longest that one waits. One that would wait longer is refused at once, with the time to
        /// come back.
        patience: Period = "10s",
    }

    /// An active check: the server is well as long as it answers with a status under 400.
    Check in "`check`" {
        /// What is asked for, with `GET`: below the address without `/v1`.
        path: String = "/health",
        /// How often it is asked.
        every: Period = "10s",
    }

    /// Who asks Entra ID for tokens: an application, where there is a secret or a workload's token, else
    /// the machine's managed identity.
    Entra in "`entra`" {
        /// Of the application. Default: `AZURE_TENANT_ID`.
        tenant_id: String,
        /// The application, or one of several managed identities. Default: `AZURE_CLIENT_ID`.
        client_id: String,
        /// The application's secret. Default: `AZURE_CLIENT_SECRET`, then a workload's token
        /// (`AZURE_FEDERATED_TOKEN_FILE`).
        client_secret: SecretText,
        /// What the token is for.
        scope: String = "https://cognitiveservices.azure.com/.default",
    }

    /// One model of a provider.
    ModelFull in "a model" {
        /// The provider's own name of it. Default: the name clients use.
        upstream: String,
        /// Tokens of input and output together. Default: from the built-in table.
        context: u64,
        /// Most tokens of one answer. Default: from the built-in table.
        max_output: u64,
        /// Which of the provider's APIs is used for it. Default: the provider's `api`.
        api: ApiWord,
        /// How it is told to think: `none`, `budget` (in tokens) or `adaptive` (by effort).
        /// Default: from the built-in table.
        thinking: ThinkingWord,
        /// What it can do. Default: the provider's `capabilities`.
        capabilities: Capabilities,
        /// What it costs: `{input: 0.15, cached: 0.075, output: 0.60}` in USD per million tokens, or a
        /// list of those, each `from` a day on. Default: from `prices.file`, then the built-in table.
        price: PriceList,
    }

    /// What a model can do; what is not said is left to the model. Requests are reshaped to what it
    /// can do, or refused with a clear error; `weir probe` finds it out.
    Capabilities in "`capabilities`" {
        /// Takes images.
        images: bool,
        /// Takes audio.
        audio: bool,
        /// Takes documents (PDF).
        documents: bool,
        /// Calls tools.
        tools: bool,
        /// Calls several tools in one answer.
        parallel_tools: bool,
        /// Keeps to a JSON schema.
        json_schema: bool,
        /// Takes messages of the role `developer`.
        developer_role: bool,
        /// Takes instructions (a system prompt).
        system: bool,
    }

    /// Differences of a server from its kind; what is not said is as the kind has it.
    QuirkChanges in "`quirks`" {
        /// The member that bounds the output: `max_tokens` or `max_completion_tokens`.
        max_tokens: MaxTokensMember,
        /// Takes messages of the role `developer`; else they are sent as `system`.
        developer_role: bool,
        /// Takes `stream_options: {include_usage: true}`.
        stream_options: bool,
        /// Takes `reasoning_effort`.
        reasoning_effort: bool,
        /// The member in which earlier thinking goes back: `reasoning_content`, `reasoning` or
        /// `none`.
        reasoning_echo: ReasoningMember,
        /// Takes `response_format: {type: json_schema}`; else `json_object` is sent.
        json_schema: bool,
        /// Takes `strict` on tools.
        strict_tools: bool,
        /// Takes `parallel_tool_calls`.
        parallel_tool_calls: bool,
        /// Counts reasoning outside `completion_tokens`.
        reasoning_outside_completion: bool,
        /// Takes images as URLs; else only inline.
        image_urls: bool,
        /// How it is told to go on with a last message of the assistant's: `prefix`,
        /// `continue_final_message` or `none`.
        prefill: PrefillWord,
    }
}

macro_rules! words {
    ($( $(#[doc = $doc:literal])* $name:ident($ty:ty) { $($word:literal => $value:expr),* } )*) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name(pub $ty);

        impl Scalar for $name {
            fn parse(text: &str) -> Result<Self, String> {
                one_of(text, &[$(($word, $value)),*]).map(Self)
            }

            fn schema() -> Schema {
                json_schema!({"enum": [$($word),*]})
            }
        }
    )* };
}

/// What a provider's contract can promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    NoTraining,
    ZeroRetention,
}

const PROMISES: [(&str, Promise); 2] =
    [("no_training", Promise::NoTraining), ("zero_retention", Promise::ZeroRetention)];

impl Scalar for Promise {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &PROMISES)
    }

    fn schema() -> Schema {
        json_schema!({"enum": PROMISES.map(|(word, _)| word)})
    }
}

words! {
    /// `api`
    ApiWord(ApiChoice) {
        "auto" => ApiChoice::Auto, "chat" => ApiChoice::Only(Dialect::OpenAiChat),
        "responses" => ApiChoice::Only(Dialect::Responses), "messages" => ApiChoice::Only(Dialect::Anthropic)
    }
    /// `models.*.thinking`
    ThinkingWord(Thinking) {
        "none" => Thinking::None, "budget" => Thinking::Budget, "adaptive" => Thinking::Adaptive
    }
    /// `quirks.max_tokens`
    MaxTokensMember(&'static str) {
        "max_tokens" => "max_tokens", "max_completion_tokens" => "max_completion_tokens"
    }
    /// `quirks.prefill`
    PrefillWord(Option<Mark>) {
        "prefix" => Some(Mark::Prefix), "continue_final_message" => Some(Mark::ContinueFinalMessage), "none" => None
    }
    /// `quirks.reasoning_echo`
    ReasoningMember(Option<&'static str>) {
        "reasoning_content" => Some("reasoning_content"), "reasoning" => Some("reasoning"), "none" => None
    }
}
