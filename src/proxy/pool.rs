//! Connections that wait for their next request.
//!
//! Each thread that serves has a shelf of its own, so that a connection is used where its events arrive
//! and threads do not wait for each other. Who finds its own empty looks at the others': a handshake costs
//! more than a wake-up across threads.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pingora_core::protocols::http::v2::client::Http2Session;
use pingora_core::upstreams::peer::HttpPeer;

use super::http1::Http1;

/// Below the keep-alive of the providers' edges, so that they rarely close first.
pub(super) const IDLE: Duration = Duration::from_secs(45);
/// On one shelf. More were open at once than will be needed soon.
const MOST_KEPT: usize = 128;
pub(super) const SHELVES: usize = 64;
/// So long the end of an answer may take that has said all it has to say.
const ENDING: Duration = Duration::from_secs(1);
/// Requests over HTTP/2 that wait for it.
const MOST_ENDING: usize = 256;

/// One that waits.
pub(super) struct Kept {
    pub(super) connection: Box<Http1>,
    pub(super) place: Place,
    since: Instant,
}

impl Kept {
    /// Whether it may be used; nothing where its last answer is yet to end.
    fn is_fit(&mut self) -> Option<bool> {
        let waited = self.since.elapsed();
        if !self.connection.has_ended() {
            return if waited < ENDING { None } else { Some(false) };
        }
        Some(waited < IDLE && self.connection.is_silent())
    }
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
    /// On all shelves: to a provider that speaks HTTP/2 there is never one, and none is looked for.
    count: AtomicUsize,
    ending: Mutex<Vec<(Box<Http2Session>, Instant)>>,
}

impl Default for Idle {
    fn default() -> Self {
        let shelves = std::iter::repeat_with(Shelf::default).take(SHELVES).collect();
        Self { shelves, count: AtomicUsize::new(0), ending: Mutex::default() }
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
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let own = own();
        let mut others = (1..SHELVES).map(|more| (own + more) % SHELVES);
        self.take_from(own, peers).or_else(|| others.find_map(|shelf| self.take_from(shelf, peers)))
    }

    fn take_from(&self, shelf: usize, peers: &Arc<Vec<HttpPeer>>) -> Option<Kept> {
        let mut all = self.shelves.get(shelf)?.kept();
        let mut at = all.len();
        while let Some(kept) = at.checked_sub(1).and_then(|last| all.get_mut(last)) {
            at -= 1;
            let Some(is_fit) = kept.is_fit() else { continue };
            let kept = all.remove(at);
            self.count.fetch_sub(1, Ordering::Relaxed);
            if is_fit && kept.place.is_among(peers) {
                return Some(kept);
            }
        }
        None
    }

    pub(super) fn put(&self, connection: Box<Http1>, place: Place) {
        let Some(shelf) = self.shelves.get(place.shelf) else { return };
        let kept = Kept { connection, place, since: Instant::now() };
        let mut all = shelf.kept();
        if all.len() < MOST_KEPT {
            all.push(kept);
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A request whose answer has said all, and has not ended.
    pub(super) fn leave(&self, http2: Box<Http2Session>) {
        let mut ending = self.ending.lock().unwrap_or_else(PoisonError::into_inner);
        if ending.len() < MOST_ENDING {
            ending.push((http2, Instant::now()));
        }
    }

    /// Closes those that waited too long, and those that the provider has closed.
    pub(super) fn sweep(&self) {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).retain(|(_, since)| since.elapsed() < ENDING);
        for shelf in &self.shelves {
            let mut all = shelf.kept();
            let before = all.len();
            all.retain_mut(|kept| kept.is_fit() != Some(false));
            self.count.fetch_sub(before - all.len(), Ordering::Relaxed);
        }
    }
}

/// The calling thread's shelf.
pub(super) fn own() -> usize {
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::wire::pieces::Pieces;

    fn peers(ports: &[u16]) -> Arc<Vec<HttpPeer>> {
        #[expect(clippy::disallowed_methods, reason = "handed an address, it neither resolves nor fails")]
        let peer = |port: &u16| HttpPeer::new(SocketAddr::from(([127, 0, 0, 1], *port)), false, String::new());
        Arc::new(ports.iter().map(peer).collect())
    }

    fn put(idle: &Idle, peers: &Arc<Vec<HttpPeer>>, index: usize) -> DuplexStream {
        let (own, theirs) = duplex(64);
        idle.put(Box::new(Http1::new(Box::new(own), None)), Place::here(Arc::clone(peers), index));
        theirs
    }

    fn taken(idle: &Idle, peers: &Arc<Vec<HttpPeer>>) -> Option<usize> {
        idle.take(peers).map(|kept| kept.place.index)
    }

    #[test]
    fn the_last_is_taken_first_and_each_once() {
        let (idle, peers) = (Idle::default(), peers(&[1, 2]));
        assert_eq!(taken(&idle, &peers), None);
        let _open = [put(&idle, &peers, 0), put(&idle, &peers, 1)];
        assert_eq!([(); 3].map(|()| taken(&idle, &peers)), [Some(1), Some(0), None]);
    }

    #[tokio::test]
    async fn who_has_yet_to_end_is_passed_over_and_then_taken() {
        let (idle, peers) = (Idle::default(), peers(&[1, 2]));
        let _open = put(&idle, &peers, 0);
        let (own, mut theirs) = duplex(256);
        let mut connection = Box::new(Http1::new(Box::new(own), None));
        let head = http::Request::new(()).into_parts().0;
        connection.send(&head, &Pieces::default()).await.unwrap();
        theirs.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        connection.read_head().await.unwrap();
        assert!(connection.rest());
        idle.put(connection, Place::here(Arc::clone(&peers), 1));
        assert_eq!([(); 2].map(|()| taken(&idle, &peers)), [Some(0), None]);
        idle.sweep();
        assert_eq!(idle.count.load(Ordering::Relaxed), 1, "its end may be on its way");
        theirs.write_all(b"0\r\n\r\n").await.unwrap();
        assert_eq!(taken(&idle, &peers), Some(1));
    }

    #[test]
    fn what_closed_or_goes_elsewhere_is_not_taken() {
        let (idle, old) = (Idle::default(), peers(&[1, 2]));
        drop(put(&idle, &old, 0));
        assert_eq!(taken(&idle, &old), None);
        let _open = [put(&idle, &old, 0), put(&idle, &old, 1)];
        // The second address is gone, the first is in another place.
        assert_eq!(taken(&idle, &peers(&[3, 1])), Some(0));
        let (closed, _open) = (put(&idle, &old, 0), put(&idle, &old, 1));
        drop(closed);
        idle.sweep();
        assert_eq!(idle.count.load(Ordering::Relaxed), 1);
        assert_eq!([(); 2].map(|()| taken(&idle, &old)), [Some(1), None]);
    }

    #[test]
    fn another_threads_is_taken_where_there_is_no_own_and_goes_back_to_its_shelf() {
        let (idle, peers) = (Idle::default(), peers(&[1]));
        let _open = std::thread::scope(|scope| scope.spawn(|| put(&idle, &peers, 0)).join().unwrap());
        let kept = idle.take(&peers).unwrap();
        let shelf = kept.place.shelf;
        assert_ne!(shelf, own());
        idle.put(kept.connection, kept.place);
        assert_eq!(idle.shelves[shelf].kept().len(), 1);
    }

    #[test]
    fn a_shelf_is_bounded() {
        let (idle, peers) = (Idle::default(), peers(&[1]));
        let _open: Vec<_> = (0..MOST_KEPT + 2).map(|_| put(&idle, &peers, 0)).collect();
        assert_eq!(idle.count.load(Ordering::Relaxed), MOST_KEPT);
    }
}
