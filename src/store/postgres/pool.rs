//! Connections: a few, kept while they live.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postgres::config::SslMode;
use postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::super::error::Fault;
use super::super::{Result, StoreError};
use super::tls;
use crate::config::database::{DatabaseUrl, TlsMode};

/// At the same time, for each process.
const MOST: usize = 6;
/// For one of them to come free.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECT: Duration = Duration::from_secs(5);
/// One that was idle for longer is asked whether it lives.
const IDLE: Duration = Duration::from_secs(1);
/// To answer that.
const ALIVE: Duration = Duration::from_secs(2);
/// No statement of ours takes nearly as long; one that does would hold its connection.
const SETTINGS: &str = "SET statement_timeout = '30s'; SET lock_timeout = '10s'; \
    SET idle_in_transaction_session_timeout = '60s'; SET client_min_messages = warning";

/// See the module documentation.
pub(super) struct Pool {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    state: Mutex<State>,
    free: Condvar,
}

#[derive(Default)]
struct State {
    idle: Vec<(Client, Instant)>,
    taken: usize,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    pub(super) fn new(url: &DatabaseUrl) -> Result<Self> {
        let unusable = |what: &str| StoreError::new(Fault::Failed, format!("`state.database`: {what}"));
        let mut config: Config = url.url.expose().parse().map_err(|_| unusable("the URL cannot be read"))?;
        config.ssl_mode(match url.tls {
            TlsMode::Off => SslMode::Disable,
            TlsMode::Prefer => SslMode::Prefer,
            TlsMode::Require | TlsMode::Verify => SslMode::Require,
        });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        // A server whose machine is gone is noticed.
        config.keepalives_idle(Duration::from_secs(15)).keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3).tcp_user_timeout(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("weir");
        }
        let tls = match url.tls {
            TlsMode::Off => None,
            mode => Some(tls::connector(mode, url.ca_file.as_deref()).map_err(|why| unusable(&why))?),
        };
        Ok(Self { config, tls, state: Mutex::default(), free: Condvar::new() })
    }

    /// A connection that lives, or one that is made now.
    pub(super) fn take(&self) -> Result<Taken<'_>> {
        let mut place = Taken { pool: self, client: None };
        let mut idle = self.enter()?;
        // From here on `place` gives the place back, whatever happens.
        while let Some((mut client, since)) = idle {
            let lives = !client.is_closed() && (since.elapsed() < IDLE || client.is_valid(ALIVE).is_ok());
            if lives {
                place.client = Some(client);
                return Ok(place);
            }
            idle = self.state().idle.pop();
        }
        place.client = Some(self.connect()?);
        Ok(place)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place.
    fn enter(&self) -> Result<Option<(Client, Instant)>> {
        let full = |state: &mut State| state.taken >= MOST;
        let waited = self.free.wait_timeout_while(self.state(), PATIENCE, full);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(StoreError::new(Fault::Unavailable, "Postgres: all connections are busy"));
        }
        state.taken += 1;
        Ok(state.idle.pop())
    }

    fn connect(&self) -> Result<Client> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone())?,
            None => self.config.connect(NoTls)?,
        };
        client.batch_execute(SETTINGS)?;
        Ok(client)
    }
}

/// A place among the connections, free again when it is dropped.
pub(super) struct Taken<'p> {
    pool: &'p Pool,
    client: Option<Client>,
}

impl Taken<'_> {
    pub(super) fn client(&mut self) -> Result<&mut Client> {
        self.client.as_mut().ok_or_else(|| StoreError::new(Fault::Unavailable, "Postgres: no connection"))
    }

    /// For the next one who asks; false where it turned out dead.
    pub(super) fn give_back(mut self) -> bool {
        let alive = self.client.take().filter(|client| !client.is_closed());
        let is_alive = alive.is_some();
        self.pool.state().idle.extend(alive.map(|client| (client, Instant::now())));
        is_alive
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.taken = state.taken.saturating_sub(1);
        drop(state);
        self.pool.free.notify_one();
    }
}
