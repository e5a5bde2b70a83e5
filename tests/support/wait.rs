//! Conditions with a deadline.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Only failing tests get here.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Waits until `check` gives something; `what` is for the message of the test that fails.
pub(crate) fn until<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = check() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A gate that one side opens and the other waits at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }

    pub(crate) fn pass(&self) {
        let open = self.0.0.lock().unwrap();
        let (open, _) = self.0.1.wait_timeout_while(open, DEADLINE, |open| !*open).unwrap();
        assert!(*open, "waited {DEADLINE:?} at a gate");
    }
}

/// Opens its gate when dropped, so that a failing test does not leave threads waiting.
#[derive(Debug)]
pub(crate) struct Opens(pub Gate);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}
