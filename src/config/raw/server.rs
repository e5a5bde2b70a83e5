//! `server`, `admin`, `state`, `defaults`, `prices`.

use std::path::PathBuf;

use schemars::{Schema, json_schema};

use crate::config::access::Role;
use crate::config::database::DatabaseUrl;
use crate::config::read::{
    Address, At, Either, Name, Network, OneOrMore, Period, PeriodOrOff, Scalar, SecretText, Sha256Hex, Size, one_of,
    settings,
};
use crate::config::runtime::OnStoreLoss;

settings! {
    /// The public side.
    Server in "`server`" {
        /// Where clients connect: an address with a port, one with TLS, or a list of those. Port 0
        /// takes a free one. Needs a restart to change.
        listen: OneOrMore<Listen> = "127.0.0.1:8080",
        /// Worker threads; 0 is one per core. Needs a restart to change.
        threads: usize = "0",
        /// Longest request body.
        max_body: Size = "32MiB",
        /// Time for a client to send its whole request body.
        body_timeout: Period = "60s",
        /// How long an idle connection of a client is kept.
        keepalive: Period = "75s",
        /// A client that takes longer than this to read what was written to it is cut off.
        write_timeout: Period = "60s",
        /// After SIGTERM, requests in flight have this long to end. Without any, the process ends at
        /// once.
        grace_period: Period = "10m",
        /// Answers that are not streamed are held until they are whole, up to this size. Of streams each round,
        /// where the gateway's tools or a schema keep back some of it.
        max_answer: Size = "64MiB",
        /// Addresses of load balancers and proxies before the gateway. Only what comes from them may say
        /// in `x-forwarded-for` whom it comes from: the last address there that is none of these. Default:
        /// nobody is believed.
        trusted_proxies: Vec<At<Network>> = "[]",
    }

    /// An address with TLS (HTTP/2 and HTTP/1.1).
    ListenFull in "an address" {
        /// Address and port, like `0.0.0.0:8443`.
        address: Address,
        /// PEM file with the certificate and its chain.
        cert: TlsPath,
        /// PEM file with the private key.
        key: TlsPath,
    }

    /// The operator's side.
    Admin in "`admin`" {
        /// Address of /metrics, /livez, /readyz and the admin API. Needs a restart to change.
        listen: Address = "127.0.0.1:8081",
        /// Credential of the admin API (`Authorization: Bearer`). Required as soon as `listen` is
        /// reachable from other machines; without it everyone on this machine is trusted.
        token: SecretText,
        /// Further credentials, each with a name for the audit log and a role.
        tokens: Vec<AdminToken> = "[]",
    }

    /// A credential of the admin API: `token` or `sha256`, one of them.
    AdminToken in "an admin token" {
        /// How the audit log calls whoever shows it.
        name: Name,
        /// What is sent as `Authorization: Bearer`.
        token: SecretText,
        /// The SHA-256 of that, in hexadecimal.
        sha256: Sha256Hex,
        /// `admin` (everything), `viewer` (sees everything, changes nothing) or `tenant-admin` (the keys,
        /// usage, requests and budgets of one tenant).
        role: RoleWord,
        /// Whose, for a `tenant-admin`.
        tenant: String,
    }

    /// What is kept on disk.
    State in "`state`" {
        /// Directory for what must survive a restart. Needs a restart to change.
        dir: PathBuf = "./data",
        /// Long random text with which the ids of files, batches and stored responses are sealed for
        /// their tenants, the same on all replicas. Without it a provider's `api_key` does that, and
        /// its ids are lost when the key changes. Changing this loses the ids of all.
        secret: SecretText,
        /// The Postgres in which all replicas keep the ledger, as a URL:
        /// `postgres://user:password@host:5432/name`. `sslmode` in it is `prefer` unless it says
        /// `disable`, `require` (neither looks at the certificate), or `verify-full` (which does; with
        /// `sslrootcert`, a PEM file, where its authority is not a public one). Without it the ledger
        /// is in a file of `dir` (SQLite). Needs a restart to change.
        database: DatabaseUrl,
        /// What every request used and cost, written down before it is answered.
        ledger: Ledger = "{}",
        /// How long a request stays in the ledger as a row of its own. What they used in sum is kept.
        /// Needs a restart to change.
        retention: Period = "90d",
        /// Redis or Valkey, in which all replicas share limits and budgets:
        /// `redis://[user:password@]host[:port][/database]`, or `rediss://` with TLS. No cluster. Needs a
        /// restart to change. Default: each instance keeps to them on its own.
        shared: SecretText,
        /// What holds for shared limits and budgets while that store is gone, where they say nothing
        /// else. `last_lease`: what is leased may be spent, then a limit is this replica's part of it,
        /// and a budget refuses. `open`: they are kept to by each instance on its own, and what it
        /// used is charged afterwards. `closed`: everything is refused (503).
        on_store_loss: OnStoreLossWord = "last_lease",
    }

    /// The write-ahead log of requests in `state.dir`, from which the database takes its rows. Needs a
    /// restart to change.
    Ledger in "`ledger`" {
        /// `false` records nothing for good: no usage, no budgets over a restart.
        enabled: bool = "true",
        /// How large the log may grow while the database takes no rows.
        max_size: Size = "4GiB",
        /// How often all that was written since is synced to the disk. A process that is killed loses
        /// nothing; a power cut may take this much.
        sync: Period = "100ms",
        /// What becomes of requests when they cannot be recorded, because the disk is full or the log
        /// at its `max_size`: `refuse` them (503), or `serve` them and count what is lost.
        when_full: WhenFull = "refuse",
    }

    /// What holds where nothing else is said.
    Defaults in "`defaults`" {
        /// Patience with providers.
        timeouts: Timeouts = "{}",
        /// Attempts after the first failed one, where a retry can help; fallbacks included.
        retries: u32 = "2",
        /// The wait before a target is asked again; it doubles each time, and is spread by chance. To
        /// go on to another target takes no wait.
        backoff: Period = "100ms",
        /// The longest that a request waits for a target that says when to come back (`retry-after`).
        max_wait: Period = "2s",
        /// Ask a target again also where it may have worked on the request, and bill it twice: after a
        /// broken connection, a timeout, a status 500.
        resend: bool = "false",
        /// The longest silence of a stream: after it comes what says nothing in the client's format, so
        /// that nobody on the way takes the connection for dead. Or `off`.
        keepalive: PeriodOrOff = "10s",
        /// How many attempts after the first ones there may be.
        retry_budget: RetryBudget = "{}",
        /// Refuse requests with members that the chosen provider cannot express (400), instead of
        /// leaving them out and naming them in `x-weir-dropped`.
        strict: bool = "false",
    }

    /// Attempts after first ones, in any ten seconds, all requests together: what goes beyond is not
    /// tried, so that an outage is not answered with more load.
    RetryBudget in "`retry_budget`" {
        /// Of the first attempts, in percent.
        percent: u32 = "10",
        /// That many are always allowed.
        floor: u32 = "100",
    }

    /// Patience with a provider. What is not said comes from `defaults.timeouts`; its defaults are
    /// connect 3s, first_token 60s, idle 30s, total 10m.
    Timeouts in "`timeouts`" {
        /// To connect, TLS included.
        connect: Period,
        /// To the first event of a stream. An answer that is not streamed begins when it is ready: it has `total`,
        /// unless another `first_token` than 60s is said.
        first_token: Period,
        /// Between two pieces of an answer. A stream of which nothing but pings comes, or nothing behind the events
        /// that open it, ends after the longer of this and `first_token`.
        idle: Period,
        /// For the whole exchange.
        total: Period,
    }

    /// Overrides of the built-in prices.
    PricesFile in "`prices`" {
        /// YAML file with prices by model: `openai/gpt-4o-mini: [{from: 2024-07-18, input: 0.15,
        /// cached: 0.075, output: 0.60}]`, USD per million tokens; or LiteLLM's
        /// `model_prices_and_context_window.json`, USD per token. Prices never decide which models there
        /// are.
        file: PathBuf,
    }
}

/// One entry of `server.listen`.
pub type Listen = Either<Address, ListenFull>;

/// The path of a PEM file.
pub type TlsPath = PathBuf;

/// What an admin token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoleWord(pub Role);

impl Scalar for RoleWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Role::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": Role::WORDS.map(|(word, _)| word)})
    }
}

/// `on_store_loss`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OnStoreLossWord(pub OnStoreLoss);

impl Scalar for OnStoreLossWord {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &OnStoreLoss::WORDS).map(Self)
    }

    fn schema() -> Schema {
        json_schema!({"enum": OnStoreLoss::WORDS.map(|(word, _)| word)})
    }
}

/// `refuse` or `serve`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WhenFull {
    pub serves: bool,
}

impl WhenFull {
    const WORDS: [(&'static str, bool); 2] = [("refuse", false), ("serve", true)];
}

impl Scalar for WhenFull {
    fn parse(text: &str) -> Result<Self, String> {
        one_of(text, &Self::WORDS).map(|serves| Self { serves })
    }

    fn schema() -> Schema {
        json_schema!({"enum": Self::WORDS.map(|(word, _)| word)})
    }
}
