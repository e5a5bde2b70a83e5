//! Requests for the same at the same time: one is made, the others wait for what it brings.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::answer::Answer;
use super::key::Key;

/// Those in the air.
#[derive(Debug, Default)]
pub struct Flights(Mutex<HashMap<Key, watch::Receiver<Flight>>>);

/// An answer that is there, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub answer: Arc<Answer>,
    pub key: Key,
    /// Where it is the answer to another question that means the same: how near they are, in thousandths.
    pub similarity: Option<u16>,
}

impl Kept {
    /// The answer to the very same request.
    pub fn exact(answer: Arc<Answer>, key: Key) -> Self {
        Self { answer, key, similarity: None }
    }
}

/// How far one is.
#[derive(Debug, Clone)]
enum Flight {
    On,
    Landed(Kept),
    /// Its answer cannot be kept.
    Unfit,
}

/// Who goes and who waits.
#[derive(Debug)]
pub enum Turn {
    Lead(Lead),
    Follow(Follow),
}

/// The one that goes. Dropped it has failed, and one of those who wait goes in its place.
#[derive(Debug)]
pub struct Lead {
    key: Key,
    flights: Arc<Flights>,
    tell: watch::Sender<Flight>,
}

/// One that waits.
#[derive(Debug)]
pub struct Follow(watch::Receiver<Flight>);

/// What came of waiting.
#[derive(Debug, PartialEq, Eq)]
pub enum Came {
    Answer(Kept),
    /// Another one has to go.
    Nothing,
    /// Everybody has to go: there will be nothing to wait for.
    Unfit,
}

impl Flights {
    fn all(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<Flight>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn enter(self: &Arc<Self>, key: &Key) -> Turn {
        match self.all().entry(*key) {
            Entry::Occupied(flight) => Turn::Follow(Follow(flight.get().clone())),
            Entry::Vacant(place) => {
                let (tell, hear) = watch::channel(Flight::On);
                place.insert(hear);
                Turn::Lead(Lead { key: *key, flights: Arc::clone(self), tell })
            }
        }
    }
}

impl Lead {
    /// With what all have waited for; it is to be found by then for who comes later.
    pub fn land(self, kept: Kept) {
        let _ = self.tell.send(Flight::Landed(kept));
    }

    /// It brings nothing that could be kept.
    pub fn unfit(self) {
        let _ = self.tell.send(Flight::Unfit);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.flights.all().remove(&self.key);
    }
}

impl Follow {
    /// Waits for the one that goes. Nothing is lost if this is dropped while it waits.
    pub async fn wait(&mut self) -> Came {
        match self.0.wait_for(|flight| !matches!(flight, Flight::On)).await.as_deref() {
            Ok(Flight::Landed(kept)) => Came::Answer(kept.clone()),
            Ok(Flight::Unfit) => Came::Unfit,
            Ok(Flight::On) | Err(_) => Came::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::Recording;
    use super::super::key::{Ask, key};
    use super::*;

    fn two() -> (Lead, Follow, Arc<Flights>) {
        let flights = Arc::new(Flights::default());
        let (Turn::Lead(lead), Turn::Follow(follow)) = (flights.enter(&of("a")), flights.enter(&of("a"))) else {
            panic!("the first goes, the second waits");
        };
        assert!(matches!(flights.enter(&of("b")), Turn::Lead(_)), "others are not concerned");
        (lead, follow, flights)
    }

    fn of(tenant: &str) -> Key {
        key(&Ask { tenant, ..Ask::default() })
    }

    #[tokio::test]
    async fn those_who_wait_get_what_the_first_brings() {
        let (lead, mut follow, flights) = two();
        let answer = Arc::new(Recording::new(10).finish(None, 7));
        let kept = Kept { similarity: Some(970), ..Kept::exact(answer, of("other")) };
        lead.land(kept.clone());
        assert_eq!(follow.wait().await, Came::Answer(kept));
        assert!(flights.all().is_empty());
    }

    #[tokio::test]
    async fn where_the_first_fails_another_goes_and_where_nothing_can_be_kept_all_do() {
        let (lead, mut follow, flights) = two();
        drop(lead);
        assert_eq!(follow.wait().await, Came::Nothing);
        assert!(matches!(flights.enter(&of("a")), Turn::Lead(_)));
        let (lead, mut follow, _) = two();
        lead.unfit();
        assert_eq!(follow.wait().await, Came::Unfit);
    }
}
