//! Connections that wait for their next request.
//!
//! Each thread that serves has a shelf of its own, so that a connection is used where its events arrive
//! and threads do not wait for each other. Who finds its own empty looks at the others': a handshake costs
//! more than a wake-up across threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pingora_core::upstreams::peer::HttpPeer;

use super::http1::Http1;

/// Below the keep-alive of the providers' edges, so that they rarely close first.
pub(super) const IDLE: Duration = Duration::from_secs(45);
/// On one shelf. More were open at once than will be needed soon.
const MOST_KEPT: usize = 128;
const SHELVES: usize = 64;

/// One that waits.
pub(super) struct Kept {
    pub(super) connection: Box<Http1>,
    pub(super) place: Place,
    since: Instant,
}

/// Where a connection belongs.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The addresses there were when it was made, and which of them is its own.
    pub(super) peers: Arc<Vec<HttpPeer>>,
    pub(super) index: usize,
    /// The shelf of the thread at which its events arrive.
    shelf: usize,
}

impl Place {
    /// A connection that this thread makes.
    pub(super) fn here(peers: Arc<Vec<HttpPeer>>, index: usize) -> Self {
        Self { peers, index, shelf: own() }
    }

    fn is_among(&self, peers: &Arc<Vec<HttpPeer>>) -> bool {
        let address = || self.peers.get(self.index).map(|peer| &peer._address);
        Arc::ptr_eq(&self.peers, peers) || peers.iter().any(|peer| Some(&peer._address) == address())
    }
}

/// Those to one provider.
pub(super) struct Idle {
    shelves: Box<[Shelf]>,
}

impl Default for Idle {
    fn default() -> Self {
        Self { shelves: std::iter::repeat_with(Shelf::default).take(SHELVES).collect() }
    }
}

#[derive(Default)]
struct Shelf(Mutex<Vec<Kept>>);

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    /// The one that was used last, to one of those addresses.
    pub(super) fn take(&self, peers: &Arc<Vec<HttpPeer>>) -> Option<Kept> {
        let own = own();
        let mut others = (1..SHELVES).map(|more| (own + more) % SHELVES);
        self.take_from(own, peers).or_else(|| others.find_map(|shelf| self.take_from(shelf, peers)))
    }

    fn take_from(&self, shelf: usize, peers: &Arc<Vec<HttpPeer>>) -> Option<Kept> {
        let shelf = self.shelves.get(shelf)?;
        loop {
            let mut kept = shelf.kept().pop()?;
            if kept.since.elapsed() < IDLE && kept.place.is_among(peers) && kept.connection.is_silent() {
                return Some(kept);
            }
        }
    }

    pub(super) fn put(&self, connection: Box<Http1>, place: Place) {
        let Some(shelf) = self.shelves.get(place.shelf) else { return };
        let kept = Kept { connection, place, since: Instant::now() };
        let mut all = shelf.kept();
        if all.len() < MOST_KEPT {
            all.push(kept);
        }
    }

    /// Closes those that waited too long, and those that the provider has closed.
    pub(super) fn sweep(&self) {
        for shelf in &self.shelves {
            shelf.kept().retain_mut(|kept| kept.since.elapsed() < IDLE && kept.connection.is_silent());
        }
    }
}

/// The calling thread's shelf.
fn own() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<Option<usize>> = const { Cell::new(None) };
    }
    OWN.with(|own| {
        let shelf = own.get().unwrap_or_else(|| THREADS.fetch_add(1, Ordering::Relaxed) % SHELVES);
        own.set(Some(shelf));
        shelf
    })
}
