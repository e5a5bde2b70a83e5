//! The connection to the store, with a deadline on everything.

use std::fmt;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, ServerErrorKind, Value};
use tokio::time::timeout;

use super::batch::{Batch, Reply, SCRIPT};
use crate::secret::Secret;

/// To connect, with TLS, user and database.
pub const CONNECT: Duration = Duration::from_secs(1);
/// For the reply to a call.
pub const RESPONSE: Duration = Duration::from_millis(200);
/// Then it is looked for once more: on a machine that had no time for us it may long be there.
const LAST_LOOK: Duration = Duration::from_millis(50);

const LONGEST_TEXT: usize = 200;

/// Where the store is, and how its keys begin.
#[derive(Clone)]
pub struct Place {
    client: Client,
    /// Without what is secret.
    shown: String,
    pub(super) prefix: String,
    hash: String,
}

/// Why a call failed, in the store's words: those never hold what was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The `reason` of metrics: a closed set.
    pub reason: &'static str,
    pub text: String,
}

/// A connection. Whoever sees a call fail drops it: a late reply must not meet another call.
pub(super) struct Store(MultiplexedConnection);

impl Place {
    /// Of `redis://[user:password@]host[:port][/database]`, or `rediss://` with TLS. The error never
    /// holds what was written.
    pub fn new(url: &Secret, prefix: &str) -> Result<Self, String> {
        let text = url.expose();
        let Some((scheme @ ("redis" | "rediss"), rest)) = text.split_once("://") else {
            return Err("expected redis:// or rediss://".to_owned());
        };
        if rest.contains(['#', '?']) {
            return Err("expected no `?` or `#`".to_owned());
        }
        if scheme == "rediss" {
            // Where the process has chosen one already, it stays.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = Client::open(text).map_err(|_| "expected redis://[user:password@]host[:port][/database]")?;
        let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
        let hash = redis::Script::new(SCRIPT).get_hash().to_owned();
        Ok(Self { client, shown: format!("{scheme}://{host}"), prefix: prefix.to_owned(), hash })
    }

    pub(super) async fn connect(&self) -> Result<Store, Failure> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(RESPONSE + LAST_LOOK));
        // The library's deadline does not cover everything it does.
        match timeout(CONNECT, self.client.get_multiplexed_async_connection_with_config(&config)).await {
            Ok(Ok(connection)) => Ok(Store(connection)),
            Ok(Err(error)) => Err(Failure::of(&error)),
            Err(_) => Err(Failure { reason: "connect", text: "no connection in time".to_owned() }),
        }
    }

    /// One call of the script.
    pub(super) async fn call(&self, store: &mut Store, batch: &Batch<'_>) -> Result<Reply, Failure> {
        let mut reply = std::pin::pin!(self.ask(store, batch));
        for wait in [RESPONSE, LAST_LOOK] {
            if let Ok(result) = timeout(wait, &mut reply).await {
                return result;
            }
        }
        Err(Failure { reason: "timeout", text: "no reply in time".to_owned() })
    }

    async fn ask(&self, store: &mut Store, batch: &Batch<'_>) -> Result<Reply, Failure> {
        let mut known = redis::cmd("EVALSHA");
        known.arg(&self.hash);
        batch.write(&self.prefix, &mut known);
        let value: Value = match known.query_async(&mut store.0).await {
            Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                let mut whole = redis::cmd("EVAL");
                whole.arg(SCRIPT);
                batch.write(&self.prefix, &mut whole);
                whole.query_async(&mut store.0).await
            }
            result => result,
        }
        .map_err(|error| Failure::of(&error))?;
        Reply::read(&value, batch.entries.len(), batch.requests.len())
            .ok_or_else(|| Failure { reason: "reply", text: "a reply that the script does not give".to_owned() })
    }
}

impl Failure {
    fn of(error: &RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        let reason = match code {
            "MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN" => {
                let text = "the store is a cluster, and limits need one that holds all keys".to_owned();
                return Self { reason: "cluster", text };
            }
            "READONLY" | "MASTERDOWN" => "read_only",
            "OOM" => "memory",
            "LOADING" | "BUSY" => "busy",
            "NOAUTH" | "WRONGPASS" | "NOPERM" => "refused",
            _ if error.is_timeout() => "timeout",
            _ if error.is_connection_refusal() || error.is_connection_dropped() || error.is_io_error() => "connect",
            _ => "error",
        };
        let kind = format!("{:?}", error.kind());
        let text = match (code, error.detail()) {
            ("", None) => kind,
            ("", Some(detail)) => format!("{kind}: {detail}"),
            (code, None) => code.to_owned(),
            (code, Some(detail)) => format!("{code} {detail}"),
        };
        Self { reason, text: text.chars().take(LONGEST_TEXT).collect() }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.text, self.reason)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}
