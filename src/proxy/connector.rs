//! Connections to providers: addresses resolved in the background, peers built once, pools shared.
//!
//! Pingora resolves names while it blocks and panics where they fail, so it is only ever handed
//! addresses. Names are looked up again every [`REFRESH`]; the last good answer stays in use while
//! the resolver is down.

use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{request, response};
use pingora_core::ErrorType;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::ALPN;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::protocols::l4::ext::TcpKeepalive;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio::sync::Mutex;

use super::http1::Http1;
use super::pool::{IDLE, Idle, Place};
use crate::cache::answer::Answer;
use crate::config::runtime::{BaseUrl, Deployment};
use crate::error::{Error, Kind, Result, Retry};
use crate::wire::pieces::Pieces;

/// Providers rotate their edges within minutes; a name is never trusted longer than this.
pub(super) const REFRESH: Duration = Duration::from_secs(30);
/// A resolver that answers later than this does not answer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
const H2_STREAMS: usize = 64;

/// The way to one deployment.
pub(crate) struct Upstream {
    base: BaseUrl,
    /// Everything but the address.
    template: HttpPeer,
    peers: ArcSwap<Vec<HttpPeer>>,
    next: AtomicUsize,
    idle: Arc<Idle>,
    /// Held while the first look-up runs, so that a burst of requests makes one.
    resolving: Mutex<()>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Upstream({}:{})", self.base.host, self.base.port)
    }
}

impl Upstream {
    /// With the connections of an `old` one, if that goes to the same place. Fails where `ca_file` cannot be
    /// read.
    pub(crate) fn new(deployment: &Deployment, old: Option<&Self>) -> Result<Self, String> {
        let mut template = template(&deployment.base, deployment.timeouts.connect, deployment.timeouts.idle);
        let options = &mut template.options;
        options.max_h2_streams = H2_STREAMS;
        if deployment.base.tls && deployment.provider.http2 {
            options.alpn = ALPN::H2H1;
        }
        if let Some(path) = &deployment.ca_file {
            let pem = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
            options.ca = Some(authorities(&pem).ok_or_else(|| format!("{}: no certificate in it", path.display()))?);
        }
        let mut new = Self::of(deployment.base.clone(), template);
        if let Some(old) = old.filter(|old| old.goes_where(&new)) {
            new.idle = Arc::clone(&old.idle);
        }
        Ok(new)
    }

    /// The way to a server that is no deployment: HTTP/1.1, the public authorities.
    pub(super) fn plain(base: BaseUrl, patience: Duration) -> Self {
        let template = template(&base, patience, patience);
        Self::of(base, template)
    }

    /// The same, to these addresses and no others.
    pub(super) fn pinned(base: BaseUrl, addresses: &[SocketAddr], patience: Duration) -> Self {
        let upstream = Self::plain(base, patience);
        let peers = addresses.iter().map(|address| at(&upstream.template, *address)).collect();
        upstream.peers.store(Arc::new(peers));
        upstream
    }

    /// The way to a listener of this process: whoever holds its socket is the right one.
    pub(super) fn own(base: BaseUrl, patience: Duration) -> Self {
        let mut template = template(&base, patience, patience);
        (template.options.verify_cert, template.options.verify_hostname) = (false, false);
        Self::of(base, template)
    }

    fn of(base: BaseUrl, template: HttpPeer) -> Self {
        let peers = match base.host.parse::<IpAddr>() {
            Ok(ip) => vec![at(&template, SocketAddr::new(ip, base.port))],
            Err(_) => Vec::new(),
        };
        Self {
            base,
            template,
            peers: ArcSwap::from_pointee(peers),
            next: AtomicUsize::new(0),
            idle: Arc::default(),
            resolving: Mutex::new(()),
        }
    }

    /// Whether connections of one serve the other: whoever is trusted, both trust.
    fn goes_where(&self, other: &Self) -> bool {
        self.leads_to(&other.base) && self.template.options.ca.is_none() && other.template.options.ca.is_none()
    }

    /// Whether it is the way there, whatever the path.
    pub(super) fn leads_to(&self, base: &BaseUrl) -> bool {
        (self.base.tls, self.base.port) == (base.tls, base.port) && self.base.host == base.host
    }

    /// A connection that waits for its next request.
    pub(super) fn kept(&self) -> Option<Leg> {
        let kept = self.idle.take(&self.peers.load())?;
        let idle = Arc::clone(&self.idle);
        Some(Leg { way: Way::One(kept.connection), reused: true, home: Some((idle, kept.place)) })
    }

    /// Closes connections that nobody used for long.
    pub(super) fn sweep(&self) {
        self.idle.sweep();
    }

    /// Looks the name up; the old addresses stay where that fails.
    pub(crate) async fn refresh(&self) -> Result<(), String> {
        if self.base.host.parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        let lookup = tokio::net::lookup_host((self.base.host.as_str(), self.base.port));
        let found: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE_TIMEOUT, lookup).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(e)) => return Err(e.to_string()),
            Err(_) => return Err("the resolver did not answer".to_owned()),
        };
        if found.is_empty() {
            return Err("the name has no address".to_owned());
        }
        // Addresses that are still there keep their place: pools are per address.
        let old: Vec<SocketAddr> = self.peers.load().iter().filter_map(address_of).collect();
        let mut order: Vec<SocketAddr> = old.iter().copied().filter(|a| found.contains(a)).collect();
        order.extend(found.iter().copied().filter(|a| !old.contains(a)));
        if order != old {
            self.peers.store(Arc::new(order.into_iter().map(|a| at(&self.template, a)).collect()));
        }
        Ok(())
    }

    /// A peer for Pingora's own pipeline.
    pub(super) async fn any_peer(&self) -> Result<HttpPeer> {
        let peers = self.peers().await?;
        let index = self.next.load(Ordering::Relaxed).checked_rem(peers.len()).unwrap_or(0);
        let mut peer = peers.get(index).cloned().ok_or_else(|| unreachable_error("no address"))?;
        peer.options.read_timeout = peer.options.write_timeout;
        Ok(peer)
    }

    /// The same for a WebSocket, on which nothing may come for as long as `idle`.
    pub(super) async fn session_peer(&self, idle: Duration) -> Result<HttpPeer> {
        let mut peer = self.any_peer().await?;
        peer.options.read_timeout = Some(idle);
        peer.options.alpn = ALPN::H1;
        Ok(peer)
    }

    /// The addresses, looked up now if they never were.
    async fn peers(&self) -> Result<Arc<Vec<HttpPeer>>> {
        let peers = self.peers.load_full();
        if !peers.is_empty() {
            return Ok(peers);
        }
        let _one = self.resolving.lock().await;
        if self.peers.load().is_empty() {
            self.refresh().await.map_err(|e| unreachable_error(&format!("dns: {e}")))?;
        }
        Ok(self.peers.load_full())
    }
}

fn address_of(peer: &HttpPeer) -> Option<SocketAddr> {
    match &peer._address {
        PeerAddr::Inet(a) => Some(*a),
        PeerAddr::Unix(_) => None,
    }
}

fn template(base: &BaseUrl, connect: Duration, idle: Duration) -> HttpPeer {
    let unresolved = SocketAddr::from(([0, 0, 0, 0], base.port));
    let mut template = peer_at(unresolved, base);
    let options = &mut template.options;
    options.connection_timeout = Some(connect);
    options.total_connection_timeout = Some(connect * 2);
    options.idle_timeout = Some(IDLE);
    options.write_timeout = Some(idle);
    options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(15),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    template
}

fn peer_at(address: SocketAddr, base: &BaseUrl) -> HttpPeer {
    // An empty server name would switch verification off without a word.
    let sni = if base.tls { base.host.clone() } else { String::new() };
    #[expect(clippy::disallowed_methods, reason = "handed an address, it neither resolves nor fails")]
    HttpPeer::new(address, base.tls, sni)
}

fn at(template: &HttpPeer, address: SocketAddr) -> HttpPeer {
    let mut peer = template.clone();
    peer._address = PeerAddr::Inet(address);
    peer
}

/// The certificates of a PEM file; `None` where there is none or one is no authority.
fn authorities(pem: &[u8]) -> Option<Arc<[WrappedX509]>> {
    let mut checked = RootCertStore::empty();
    let mut found = Vec::new();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.ok()?;
        // Pingora's parser panics on what this refuses.
        checked.add(der.clone()).ok()?;
        found.push(WrappedX509::new(der.to_vec(), parse_x509));
    }
    (!found.is_empty()).then(|| found.into())
}

fn unreachable_error(detail: &str) -> Error {
    Error::new(Kind::UpstreamBroken, "the provider could not be reached")
        .with_detail(detail)
        .with_retry(Retry::SameTarget)
}

/// No connection within the time for it.
pub(super) fn too_slow() -> Error {
    Error::new(Kind::UpstreamTimeout, "connecting to the provider took too long (connect timeout)")
        .with_retry(Retry::SameTarget)
}

/// A connection, and whether it comes from the pool.
pub(crate) struct Leg {
    way: Way,
    pub(crate) reused: bool,
    /// Where it goes when its answer was read; nowhere, if it is none.
    home: Option<(Arc<Idle>, Place)>,
}

enum Way {
    One(Box<Http1>),
    Two(Box<Http2Session>),
    /// No connection at all.
    Kept(Box<Kept>),
}

/// An answer that was kept, on its way.
struct Kept {
    head: response::Parts,
    answer: Arc<Answer>,
    next: usize,
    is_done: bool,
}

impl Kept {
    fn read_body(&mut self) -> Option<Bytes> {
        let piece = self.answer.piece(self.next);
        self.next += 1;
        self.is_done = piece.is_none();
        piece
    }
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Leg(reused: {})", self.reused)
    }
}

impl Leg {
    /// A connection that is none: whoever reads it gets a kept answer.
    pub(crate) fn of_kept(answer: Arc<Answer>, head: response::Parts) -> Self {
        Self { way: Way::Kept(Box::new(Kept { head, answer, next: 0, is_done: false })), reused: false, home: None }
    }

    pub(crate) fn is_http2(&self) -> bool {
        matches!(self.way, Way::Two(_))
    }

    /// Sends a request. Where that fails the answer may have come all the same.
    pub(crate) async fn send(&mut self, head: request::Parts, body: impl Into<Pieces>) -> pingora_core::Result<()> {
        let body = body.into();
        match &mut self.way {
            Way::One(http1) => http1.send(&head, &body).await,
            Way::Two(http2) => {
                http2.write_request_header(Box::new(head.into()), body.is_empty())?;
                let mut pieces = body.iter().peekable();
                while let Some(piece) = pieces.next() {
                    http2.write_request_body(piece.clone(), pieces.peek().is_none()).await?;
                }
                Ok(())
            }
            Way::Kept(_) => Ok(()),
        }
    }

    /// Waits for the answer's head. What is only informational is passed over.
    pub(crate) async fn read_head(&mut self) -> pingora_core::Result<()> {
        match &mut self.way {
            Way::One(http1) => http1.read_head().await,
            Way::Two(http2) => http2.read_response_header().await,
            Way::Kept(_) => Ok(()),
        }
    }

    pub(crate) fn head(&self) -> Option<&response::Parts> {
        match &self.way {
            Way::One(http1) => http1.head(),
            Way::Two(http2) => http2.response_header().map(Deref::deref),
            Way::Kept(kept) => Some(&kept.head),
        }
    }

    /// How long each read of the body may take from now on.
    pub(crate) fn set_read_patience(&mut self, patience: Duration) {
        match &mut self.way {
            Way::One(http1) => http1.set_read_patience(patience),
            Way::Two(http2) => http2.read_timeout = Some(patience),
            Way::Kept(_) => {}
        }
    }

    /// The next piece of the body; `None` at its end. Nothing is lost if this is dropped while it waits.
    pub(crate) async fn read_body(&mut self) -> pingora_core::Result<Option<Bytes>> {
        match &mut self.way {
            Way::One(http1) => http1.read_body().await,
            Way::Two(http2) => http2.read_response_body().await,
            Way::Kept(kept) => Ok(kept.read_body()),
        }
    }

    /// Whether the answer was read to its end.
    pub(crate) fn is_done(&self) -> bool {
        match &self.way {
            Way::One(http1) => http1.is_done(),
            Way::Two(http2) => http2.response_finished(),
            Way::Kept(kept) => kept.is_done,
        }
    }

    /// An HTTP/2 connection takes no further requests.
    pub(crate) fn retire(&mut self) {
        if let Way::Two(http2) = &self.way {
            http2.conn.mark_shutdown();
        }
    }

    /// Gives the connection back although its answer has not ended, which says nothing any more: it is used
    /// again once that has come, and closed where it does not come soon.
    pub(crate) fn leave_to_end(self) {
        let Some((idle, place)) = self.home else { return };
        match self.way {
            Way::One(mut http1) => {
                if http1.rest() {
                    idle.put(http1, place);
                }
            }
            // To reset it now, with its end on the way, would be held against us.
            Way::Two(http2) => idle.leave(http2),
            Way::Kept(_) => {}
        }
    }

    /// Gives the request up. Over HTTP/1.1 the connection ends with it.
    pub(crate) fn abandon(mut self) {
        if let Way::Two(http2) = &mut self.way {
            http2.shutdown();
        }
    }
}

/// The pools.
pub(crate) struct Pools {
    /// Connects, and keeps what speaks HTTP/2.
    connector: Connector,
}

impl std::fmt::Debug for Pools {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pools")
    }
}

impl Pools {
    pub(crate) fn new(options: ConnectorOptions) -> Self {
        Self { connector: Connector::new(Some(options)) }
    }

    /// A connection to any address of `upstream`: one that waits if there is one, else a new one.
    pub(crate) async fn connect(&self, upstream: &Upstream) -> Result<Leg> {
        match upstream.kept() {
            Some(leg) => Ok(leg),
            None => self.open(upstream).await,
        }
    }

    /// One of HTTP/2 that is open, or a new one, to the next address after each that refuses.
    pub(super) async fn open(&self, upstream: &Upstream) -> Result<Leg> {
        let peers = upstream.peers().await?;
        let idle = Arc::clone(&upstream.idle);
        let start = upstream.next.load(Ordering::Relaxed);
        let mut last = None;
        for offset in 0..peers.len().min(3) {
            let index = (start + offset) % peers.len();
            let Some(peer) = peers.get(index) else { break };
            match self.connector.get_http_session(peer).await {
                Ok((session, reused)) => {
                    let way = way(session, peer)?;
                    return Ok(Leg { way, reused, home: Some((idle, Place::here(peers, index))) });
                }
                Err(e) => {
                    // The next request starts at an address that may be up.
                    upstream.next.fetch_add(1, Ordering::Relaxed);
                    last = Some(e);
                }
            }
        }
        let Some(last) = last else { return Err(unreachable_error("no address")) };
        Err(match last.etype() {
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => too_slow().with_detail(last),
            _ => unreachable_error(&last.to_string()),
        })
    }

    /// Gives a connection whose answer was read to its end back to its pool.
    pub(crate) async fn release(&self, leg: Leg) {
        let Some((idle, place)) = leg.home else { return };
        match leg.way {
            Way::One(mut http1) => {
                if http1.rest() && http1.is_done() {
                    idle.put(http1, place);
                }
            }
            Way::Kept(_) => {}
            Way::Two(http2) => {
                if let Some(peer) = place.peers.get(place.index) {
                    self.connector.release_http_session(HttpSession::H2(*http2), peer, Some(IDLE)).await;
                }
            }
        }
    }
}

/// What the framework connected, and how it is spoken to.
fn way(session: HttpSession, peer: &HttpPeer) -> Result<Way> {
    match session {
        HttpSession::H1(session) => {
            let patience = peer.options.write_timeout;
            Ok(Way::One(Box::new(Http1::new(session.into_inner(), patience))))
        }
        HttpSession::H2(session) => Ok(Way::Two(Box::new(session))),
        HttpSession::Custom(()) => Err(Error::internal("a protocol that nobody asked for")),
    }
}
