//! The one task that talks to the store: it owns the connection, gathers what there is to say, and hands
//! out what came back. Requests only hold the other end of a channel, so one that goes away leaves no
//! reply behind for another.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use uuid::Uuid;

use super::batch::{Batch, Entry, Reply, Verdict};
use super::counter::Counter;
use super::kind::LEASE_MS;
use super::store::{Failure, Place, Store};
use super::{Answer, Draw, RECALL_PATIENCE, Refused, Shared, TICK};
use crate::limit::clock::whole_ms;

/// Of one call, so that it is short.
const MOST_DRAWS: usize = 512;
const MOST_COUNTERS: usize = 256;
/// Between two calls where nothing is leased: so soon is it noticed that the store is gone.
const IDLE: Duration = Duration::from_millis(400);
/// Between two calls where a request waits for what was recalled.
const AGAIN: Duration = Duration::from_millis(10);
/// Between two attempts to reach a store that is gone; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Has to run for as long as its [`Shared`] is used.
pub struct Task {
    shared: Arc<Shared>,
    place: Place,
    draws: mpsc::Receiver<Draw>,
    /// What this replica is called at the store: another one in each process.
    replica: String,
    seq: u64,
    /// The last call that was answered, and the store's generation then.
    answered: Option<(u64, String)>,
    /// Counters that have something leased or to say.
    active: Vec<Arc<Counter>>,
    /// Where the next call begins among them, if there are more than fit.
    next: usize,
    waiting: Vec<Draw>,
    ticked_ms: u64,
    called_ms: u64,
    /// Something is to be said before the next tick.
    is_urgent: bool,
    was_up: Option<bool>,
}

/// A call that is being put together.
#[derive(Default)]
struct Call {
    counters: Vec<Arc<Counter>>,
    entries: Vec<Entry>,
    places: HashMap<u64, usize>,
    requests: Vec<Vec<(usize, u64)>>,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, place: Place, draws: mpsc::Receiver<Draw>) -> Self {
        Self {
            shared,
            place,
            draws,
            replica: Uuid::now_v7().simple().to_string(),
            seq: 0,
            answered: None,
            active: Vec::new(),
            next: 0,
            waiting: Vec::new(),
            ticked_ms: 0,
            called_ms: 0,
            is_urgent: false,
            was_up: None,
        }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let place = self.place.clone();
            let failure = match self.beside(place.connect()).await {
                Ok(store) => self.serve(store).await,
                Err(failure) => failure,
            };
            if self.was_up == Some(true) {
                pause = FIRST_PAUSE;
            }
            self.fail(&failure);
            self.beside(sleep(pause)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for something while the store is gone. Who asks nevertheless is told so at once.
    async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        tokio::pin!(future);
        loop {
            let is_down = self.was_up == Some(false);
            tokio::select! {
                done = &mut future => return done,
                Some(draw) = self.draws.recv(), if is_down => lose(draw),
            }
        }
    }

    /// Calls until one fails.
    async fn serve(&mut self, mut store: Store) -> Failure {
        let mut is_first = true;
        loop {
            let call = self.gather(is_first);
            if is_first || self.is_worth_it(&call) {
                if let Err(failure) = self.call(&mut store, call).await {
                    return failure;
                }
                is_first = false;
            }
            self.wait().await;
        }
    }

    fn is_worth_it(&self, call: &Call) -> bool {
        let since_ms = self.now_ms().saturating_sub(self.called_ms);
        let due = if self.active.is_empty() { IDLE } else { TICK };
        !call.entries.is_empty() || since_ms >= whole_ms(due)
    }

    /// Until there is a reason to call.
    async fn wait(&mut self) {
        if self.is_urgent {
            self.collect();
            return;
        }
        let pause = match (self.waiting.is_empty(), self.active.is_empty()) {
            (false, _) => AGAIN,
            (true, false) => TICK,
            (true, true) => IDLE,
        };
        let shared = Arc::clone(&self.shared);
        tokio::select! {
            draw = self.draws.recv() => self.waiting.extend(draw),
            () = shared.wake.notified() => self.is_urgent = true,
            () = sleep(pause) => {}
        }
        self.collect();
    }

    /// All requests that came meanwhile.
    fn collect(&mut self) {
        while self.waiting.len() < MOST_DRAWS {
            let Ok(draw) = self.draws.try_recv() else { break };
            self.waiting.push(draw);
        }
        // Nobody is there any more.
        for draw in self.waiting.extract_if(.., |draw| draw.answer.is_closed()) {
            draw.held.put_back();
        }
    }

    /// What the next call says.
    fn gather(&mut self, is_first: bool) -> Call {
        let now_ms = self.now_ms();
        let mut call = Call::default();
        for draw in &self.waiting {
            if call.entries.len() >= MOST_COUNTERS {
                break;
            }
            call.ask(draw, now_ms);
        }
        let since_ms = now_ms.saturating_sub(self.ticked_ms);
        let is_tick = since_ms >= whole_ms(TICK);
        if is_tick || is_first || std::mem::take(&mut self.is_urgent) {
            self.active.append(&mut self.shared.listed.lock().unwrap_or_else(PoisonError::into_inner));
            if is_tick {
                self.ticked_ms = now_ms;
                self.active.iter().for_each(|counter| counter.tick(since_ms));
            }
            self.tell(&mut call, now_ms);
            if is_tick {
                self.active.retain(|counter| !counter.retire());
            }
        }
        call
    }

    /// What counters have to say by themselves, in turn.
    fn tell(&mut self, call: &mut Call, now_ms: u64) {
        let count = self.active.len();
        let first = if self.next < count { self.next } else { 0 };
        let (after, before) = (self.active.iter().skip(first), self.active.iter().take(first));
        self.next = 0;
        for (at, counter) in after.chain(before).enumerate() {
            if call.entries.len() >= MOST_COUNTERS {
                self.next = (first + at) % count.max(1);
                break;
            }
            if !call.places.contains_key(&counter.number)
                && let Some(entry) = counter.entry(now_ms, false)
            {
                call.add(counter, entry);
            }
        }
    }

    async fn call(&mut self, store: &mut Store, call: Call) -> Result<(), Failure> {
        self.seq += 1;
        // Never the same twice, or a store that was emptied would look as before.
        let generation = format!("{}-{}", self.replica, self.seq);
        let batch = Batch {
            replica: &self.replica,
            seq: self.seq,
            answered: self.answered.as_ref().map_or(0, |(seq, _)| *seq),
            generation: &generation,
            entries: call.counters.iter().map(|counter| counter.key()).zip(call.entries).collect(),
            requests: call.requests,
        };
        let began = Instant::now();
        let result = self.place.call(store, &batch).await;
        self.called_ms = self.now_ms();
        let requests = batch.requests;
        match result {
            Ok(reply) if reply.recalled.is_some() => {
                self.shared.watch.called(began.elapsed());
                self.turn_up();
                self.heard(&reply, &call.counters, &requests);
                Ok(())
            }
            result => {
                call.counters.iter().for_each(|counter| counter.lost(self.seq));
                let late = || Failure { reason: "reply", text: "a call that came too late".to_owned() };
                Err(result.err().unwrap_or_else(late))
            }
        }
    }

    fn heard(&mut self, reply: &Reply, counters: &[Arc<Counter>], requests: &[Vec<(usize, u64)>]) {
        let now_ms = self.now_ms();
        self.shared.replicas.store(reply.replicas, Ordering::Relaxed);
        let (is_known, is_lost) = self.remember(reply);
        for (counter, seen) in counters.iter().zip(&reply.counters) {
            counter.answered(*seen, now_ms, is_lost);
            if seen.used.is_none() {
                counter.seed();
                self.shared.list(counter);
            }
        }
        if !is_known {
            self.tell_again(is_lost);
        }
        for key in reply.recalled.iter().flatten() {
            let known = self.shared.counters().all.get(key.as_str()).cloned();
            if let Some(counter) = known {
                self.is_urgent |= counter.recall(now_ms);
                self.shared.list(&counter);
            }
        }
        let asked = self.waiting.len().min(requests.len());
        let draws: Vec<Draw> = self.waiting.drain(..asked).collect();
        for (draw, verdict) in draws.into_iter().zip(&reply.verdicts) {
            self.answer(draw, *verdict, reply, counters, now_ms);
        }
    }

    /// Whether the store still knows this replica, and whether it has lost what it was told.
    fn remember(&mut self, reply: &Reply) -> (bool, bool) {
        match self.answered.replace((self.seq, reply.generation.clone())) {
            None => (false, false),
            Some((_, generation)) => {
                let is_lost = generation != reply.generation;
                (!is_lost && reply.last_seq.is_some(), is_lost)
            }
        }
    }

    fn tell_again(&mut self, is_lost: bool) {
        if is_lost {
            tracing::warn!("the store has lost what it knew of limits and budgets: it is told again");
        }
        let all: Vec<_> = self.shared.counters().all.values().cloned().collect();
        for counter in all {
            counter.resync(is_lost);
            self.shared.list(&counter);
        }
        self.is_urgent = true;
    }

    fn answer(&mut self, mut draw: Draw, verdict: Verdict, reply: &Reply, counters: &[Arc<Counter>], now_ms: u64) {
        match verdict {
            Verdict::Granted => {
                for part in draw.held.parts.iter_mut().filter(|part| part.lacking > 0) {
                    let place = counters.iter().position(|counter| counter.number == part.counter.number);
                    let seen = place.and_then(|place| reply.counters.get(place));
                    let slot = seen.map_or(0, |seen| seen.slot);
                    part.from = part.counter.granted(slot, std::mem::take(&mut part.lacking), now_ms);
                    self.shared.list(&part.counter);
                }
                let _ = draw.answer.send(Answer::Granted(draw.held));
            }
            Verdict::Unknown { .. } => {
                self.is_urgent = true;
                self.waiting.push(draw);
            }
            Verdict::Refused { entry, wait_ms, is_recalled } => {
                if is_recalled && now_ms.saturating_sub(draw.asked_ms) < whole_ms(RECALL_PATIENCE) {
                    self.waiting.push(draw);
                    return;
                }
                // Leases come back within their life.
                let wait_ms = wait_ms.map(|wait_ms| if is_recalled { wait_ms.min(LEASE_MS) } else { wait_ms });
                let number = counters.get(entry).map(|counter| counter.number);
                let need = draw.held.parts.iter().position(|part| Some(part.counter.number) == number).unwrap_or(0);
                if let Some(part) = draw.held.parts.get(need) {
                    part.counter.refused(part.lacking, wait_ms, now_ms);
                }
                draw.held.put_back();
                let _ = draw.answer.send(Answer::Refused(Refused::Full { need, wait_ms }));
            }
        }
    }

    fn turn_up(&mut self) {
        self.shared.is_up.store(true, Ordering::Relaxed);
        if self.was_up.replace(true) != Some(true) {
            self.shared.watch.turned(true);
            tracing::info!(store = ?self.place, "limits and budgets are shared by way of the store");
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.shared.is_up.store(false, Ordering::Relaxed);
        self.shared.watch.failed(failure.reason);
        if self.was_up.replace(false) != Some(false) {
            self.shared.watch.turned(false);
            let (store, reason) = (&self.place, failure.reason);
            tracing::error!(
                ?store,
                reason,
                "the store of limits and budgets is gone, `on_store_loss` holds: {failure}"
            );
        }
        self.waiting.drain(..).for_each(lose);
        while let Ok(draw) = self.draws.try_recv() {
            lose(draw);
        }
    }

    fn now_ms(&self) -> u64 {
        self.shared.clock.now_ms()
    }
}

/// Its request goes by the policy for a lost store.
fn lose(draw: Draw) {
    draw.held.put_back();
    let _ = draw.answer.send(Answer::Lost);
}

impl Call {
    fn add(&mut self, counter: &Arc<Counter>, entry: Entry) -> usize {
        let place = self.counters.len();
        self.places.insert(counter.number, place);
        self.counters.push(Arc::clone(counter));
        self.entries.push(entry);
        place
    }

    /// What a request lacks.
    fn ask(&mut self, draw: &Draw, now_ms: u64) {
        let mut needs: Vec<(usize, u64)> = Vec::with_capacity(draw.held.parts.len());
        for part in draw.held.parts.iter().filter(|part| part.lacking > 0) {
            let place = match self.places.get(&part.counter.number) {
                Some(place) => *place,
                None => {
                    let Some(entry) = part.counter.entry(now_ms, true) else { continue };
                    self.add(&part.counter, entry)
                }
            };
            match needs.iter_mut().find(|(known, _)| *known == place) {
                Some((_, units)) => *units = units.saturating_add(part.lacking),
                None => needs.push((place, part.lacking)),
            }
        }
        self.requests.push(needs);
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("place", &self.place).finish_non_exhaustive()
    }
}
