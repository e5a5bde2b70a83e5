//! `GET /mcp`: a stream on which a client is told that its list of tools has changed, because a server has
//! others now or the configuration switches others on
//! (<https://modelcontextprotocol.io/specification/2025-11-25/server/tools#list-changed-notification>). It is no
//! session: a client that comes back, to whichever replica, begins a new one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use pingora_proxy::Session;
use tokio::time::{MissedTickBehavior, interval};

use super::context::Exchange;
use super::mcp::{offered, takes_events};
use super::{Gateway, Served, capture, hooks, relay, stream};
use crate::config::runtime::Key;
use crate::error::{Error, Kind, Result};
use crate::record::Outcome;
use crate::stage::{authenticate, respond};
use crate::tools::protocol;

/// How often something is sent, and at the latest seen that a key has expired.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Each holds a connection.
const MOST_OF_A_KEY: usize = 16;
const MOST_OF_A_TENANT: usize = 64;

/// The streams that are open, by tenant, and by tenant and key.
#[derive(Debug, Default)]
pub(crate) struct Followers(Mutex<HashMap<(String, Option<String>), usize>>);

/// One of them.
struct Place<'f> {
    followers: &'f Followers,
    names: [(String, Option<String>); 2],
}

impl Followers {
    fn enter(&self, key: &Key) -> Result<Place<'_>> {
        let tenant = || key.tenant.id.clone();
        let names = [(tenant(), Some(key.id.clone())), (tenant(), None)];
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let most = [MOST_OF_A_KEY, MOST_OF_A_TENANT];
        if names.iter().zip(most).any(|(name, most)| open.get(name).is_some_and(|count| *count >= most)) {
            let text = "too many streams are open that follow lists of tools";
            return Err(Error::new(Kind::RateLimited, text).with_retry_after(KEEP_ALIVE));
        }
        for name in &names {
            *open.entry(name.clone()).or_default() += 1;
        }
        Ok(Place { followers: self, names })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut open = self.followers.0.lock().unwrap_or_else(PoisonError::into_inner);
        for name in &self.names {
            let left = open.get_mut(name).map_or(0, |count| {
                *count = count.saturating_sub(1);
                *count
            });
            if left == 0 {
                open.remove(name);
            }
        }
    }
}

impl Gateway {
    /// Tells a client of changes for as long as it listens, may, and this process serves.
    pub(super) async fn follow_tools(&self, session: &mut Session, x: &mut Exchange) -> Result<Served> {
        if !takes_events(&session.req_header().headers) {
            return Err(Error::new(Kind::MethodNotAllowed, "GET is for who accepts text/event-stream, use POST"));
        }
        let key = x.caller.as_ref().map(|caller| Arc::clone(&caller.key));
        let key = key.ok_or_else(|| Error::internal("no caller"))?;
        let _place = self.followers.enter(&key)?;
        x.clock.pause();
        let followed = self.follow(session, x).await;
        x.end.outcome = Outcome::Finished;
        match followed {
            // That is how such a stream ends.
            Err(error) if error.kind() == Kind::ClientGone => session.set_keepalive(None),
            followed => {
                followed?;
                stream::write(session, x, Bytes::new(), true).await?;
            }
        }
        Ok(Served::Answered)
    }

    async fn follow(&self, session: &mut Session, x: &mut Exchange) -> Result<()> {
        let mut changes = x.live.tools.follow();
        let mut told = protocol::fingerprint(&offered(session, x).await?);
        let mut head = respond::stream(respond::SSE, stream::takes_chunks(session));
        hooks::identify(&mut head, x);
        x.end.status = head.status.as_u16();
        capture::head(x, &head);
        session.downstream_session.write_response_header(Box::new(head.into())).await.map_err(super::body::gone)?;
        let mut tick = interval(KEEP_ALIVE);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let is_time = tokio::select! {
                biased;
                () = relay::client_gone(session) => return Err(relay::gone()),
                () = self.in_flight.over() => return Ok(()),
                changed = changes.changed() => match changed {
                    Ok(()) => false,
                    Err(_) => return Ok(()),
                },
                _ = tick.tick() => true,
            };
            if self.in_flight.draining() || !self.lets_in_again(session, x) {
                return Ok(());
            }
            let now = protocol::fingerprint(&offered(session, x).await?);
            if now != told {
                told = now;
                let event = protocol::event(protocol::LIST_CHANGED.as_bytes());
                stream::write(session, x, Bytes::from(event), false).await?;
            } else if is_time {
                stream::write(session, x, Bytes::from_static(b": keep-alive\n\n"), false).await?;
            }
        }
    }

    /// Whether the client's key is still good, under what holds now.
    fn lets_in_again(&self, session: &Session, x: &mut Exchange) -> bool {
        x.live = self.live.load_full();
        let (head, now) = (session.req_header(), SystemTime::now());
        let found = authenticate::again(&head.headers, &x.live.callers.load().keyring, x.origin, now);
        found.map(|caller| x.caller = Some(caller)).is_ok()
    }
}
