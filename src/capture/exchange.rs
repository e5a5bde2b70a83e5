//! One exchange while it runs: what is taken of it, on the way of the request. Bytes are copied or held,
//! nothing more; how they are kept is for later.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Uri};

use super::redact::MOST_BODY_BYTES;
use super::running::Running;
use crate::secret::Secret;

/// What all exchanges together may hold of memory, until they are written.
const MOST_HELD_BYTES: usize = 64 << 20;
/// An exchange that is tried more often is cut off there.
const MOST_LEGS: usize = 32;

/// Headers whose values are kept. Of others nothing but the name is: there may be a credential in them.
const SHOWN: [&str; 34] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "anthropic-beta",
    "anthropic-version",
    "apim-request-id",
    "cache-control",
    "cf-ray",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "expect",
    "host",
    "openai-beta",
    "openai-processing-ms",
    "openai-version",
    "origin",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "server",
    "sec-fetch-mode",
    "sec-fetch-site",
    "traceparent",
    "transfer-encoding",
    "user-agent",
    "via",
    "x-amzn-errortype",
    "x-amzn-requestid",
    "x-request-id",
    "x-should-retry",
];
const SHOWN_BEGINNINGS: [&str; 6] =
    ["anthropic-ratelimit-", "x-goog-api-client", "x-ratelimit-", "x-stainless-", "x-weir-", "x-client-request-id"];
const WEIR_KEY: &str = "x-weir-api-key";
/// Parameters of a query whose values are kept.
const SHOWN_PARAMETERS: [&str; 8] = ["alt", "$alt", "api-version", "beta", "limit", "after", "stream", "include"];

/// A header's value, where it may be kept.
pub(super) type Header = (String, Option<String>);

/// What all exchanges hold.
#[derive(Debug, Default)]
pub(super) struct Held(AtomicUsize);

impl Held {
    /// Whether there is room.
    fn take(&self, bytes: usize) -> bool {
        let more = |held: usize| held.checked_add(bytes).filter(|held| *held <= MOST_HELD_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A body, as much of it as is held.
#[derive(Debug, Default)]
pub(super) struct Body {
    pub(super) whole: Bytes,
    /// Where it came in pieces.
    pub(super) pieces: Vec<u8>,
    /// All of it.
    pub(super) bytes: u64,
    pub(super) is_cut: bool,
}

impl Body {
    pub(super) fn held(&self) -> &[u8] {
        if self.whole.is_empty() { &self.pieces } else { &self.whole }
    }
}

/// A request.
#[derive(Debug, Default)]
pub(super) struct Sent {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<Header>,
    pub(super) body: Body,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Got {
    /// None where nothing came.
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<Header>,
    pub(super) body: Body,
}

/// What went to a provider, and what came from there.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) to: To,
    pub(super) at: Duration,
    /// Several, where the provider takes less at once than the client sends.
    pub(super) rounds: Vec<(Sent, Got)>,
}

/// Whom an attempt goes to.
#[derive(Debug, Clone)]
pub struct To {
    pub provider: String,
    pub endpoint: String,
    pub model: String,
    /// The provider's.
    pub format: &'static str,
    /// Why the attempt is made.
    pub kind: &'static str,
}

/// Whose exchange it is.
#[derive(Debug, Clone)]
pub struct About {
    pub request_id: uuid::Uuid,
    pub started_at: std::time::SystemTime,
    pub started: Instant,
    pub tenant: String,
    pub key: String,
    pub format: &'static str,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) asked: Sent,
    pub(super) legs: Vec<Taken>,
    pub(super) got: Got,
    /// They are taken out of everything.
    pub(super) secrets: Vec<Secret>,
    held_bytes: usize,
}

/// See the module documentation. It is shared by what runs side by side.
#[derive(Debug)]
pub struct Recorder {
    pub(super) about: About,
    pub(super) running: Arc<Running>,
    held: Arc<Held>,
    state: Mutex<State>,
}

impl Recorder {
    pub(super) fn new(about: About, running: Arc<Running>, held: Arc<Held>) -> Self {
        Self { about, running, held, state: Mutex::default() }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the client has sent, and what it showed to be let in.
    pub fn asked(&self, head: (&Method, &Uri, &HeaderMap), body: &Bytes, secrets: Vec<Secret>) {
        let mut state = self.state();
        state.secrets.extend(secrets);
        state.asked = self.sent(&mut state.held_bytes, head, body);
    }

    fn sent(&self, held_bytes: &mut usize, (method, uri, headers): (&Method, &Uri, &HeaderMap), body: &Bytes) -> Sent {
        let mut kept = Body { bytes: size(body.len()), ..Body::default() };
        match self.held.take(body.len()) {
            true => (kept.whole, *held_bytes) = (body.clone(), *held_bytes + body.len()),
            false => kept.is_cut = true,
        }
        Sent { method: method.to_string(), path: path(uri), headers: shown(headers), body: kept }
    }

    /// An attempt begins. `None`: there were too many.
    pub fn leg(self: &Arc<Self>, to: To, secrets: Vec<Secret>) -> Option<Leg> {
        let mut state = self.state();
        let number = state.legs.len();
        if number >= MOST_LEGS {
            return None;
        }
        state.secrets.extend(secrets);
        state.legs.push(Taken { to, at: self.about.started.elapsed(), rounds: Vec::new() });
        Some(Leg { recorder: Arc::clone(self), number })
    }

    /// The head of what the client gets.
    pub fn head(&self, status: u16, headers: &HeaderMap) {
        let mut state = self.state();
        (state.got.status, state.got.headers) = (Some(status), shown(headers));
    }

    /// A piece of what the client gets.
    pub fn piece(&self, piece: &[u8]) {
        let state = &mut *self.state();
        self.push(&mut state.got.body, &mut state.held_bytes, piece);
    }

    fn push(&self, body: &mut Body, held_bytes: &mut usize, piece: &[u8]) {
        body.bytes = body.bytes.saturating_add(size(piece.len()));
        let room = if body.is_cut { 0 } else { MOST_BODY_BYTES.saturating_sub(body.pieces.len()) };
        let taken = piece.get(..room.min(piece.len())).unwrap_or_default();
        if self.held.take(taken.len()) {
            *held_bytes += taken.len();
            body.pieces.extend_from_slice(taken);
            body.is_cut |= taken.len() < piece.len();
        } else {
            body.is_cut = true;
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.held.give_back(self.state().held_bytes);
    }
}

/// One attempt's part of an exchange.
#[derive(Debug, Clone)]
pub struct Leg {
    recorder: Arc<Recorder>,
    number: usize,
}

impl Leg {
    /// What goes to the provider.
    pub fn sent(&self, head: (&Method, &Uri, &HeaderMap), body: &Bytes) {
        let state = &mut *self.recorder.state();
        let sent = self.recorder.sent(&mut state.held_bytes, head, body);
        if let Some(leg) = state.legs.get_mut(self.number).filter(|leg| leg.rounds.len() < MOST_LEGS) {
            leg.rounds.push((sent, Got::default()));
        }
    }

    /// The head of the provider's answer.
    pub fn answered(&self, status: u16, headers: &HeaderMap) {
        let state = &mut *self.recorder.state();
        if let Some((_, got)) = state.legs.get_mut(self.number).and_then(|leg| leg.rounds.last_mut()) {
            (got.status, got.headers) = (Some(status), shown(headers));
        }
    }

    /// A piece of its body.
    pub fn piece(&self, piece: &[u8]) {
        let state = &mut *self.recorder.state();
        if let Some((_, got)) = state.legs.get_mut(self.number).and_then(|leg| leg.rounds.last_mut()) {
            self.recorder.push(&mut got.body, &mut state.held_bytes, piece);
        }
    }
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

fn is_shown(name: &HeaderName) -> bool {
    let name = name.as_str();
    let is_listed = SHOWN.contains(&name) || SHOWN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning));
    is_listed && name != WEIR_KEY
}

fn shown(headers: &HeaderMap) -> Vec<Header> {
    let value = |name, value: &http::HeaderValue| {
        is_shown(name).then(|| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    headers.iter().map(|(name, it)| (name.as_str().to_owned(), value(name, it))).collect()
}

/// The path, with the names of the query's parameters; most values may be anything.
fn path(uri: &Uri) -> String {
    let mut path = uri.path().to_owned();
    let Some(query) = uri.query() else { return path };
    for (at, parameter) in query.split('&').enumerate() {
        path.push(if at == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) if !SHOWN_PARAMETERS.contains(&name) => {
                path.push_str(name);
                path.push_str("=[hidden]");
            }
            _ => path.push_str(parameter),
        }
    }
    path
}
