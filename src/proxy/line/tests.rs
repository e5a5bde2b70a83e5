//! The line with those who stand in it, on one thread: who does not get in yet waits to be polled.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::config::env::Table;
use crate::config::load::from_text;
use crate::config::runtime::Runtime;
use crate::route::board::Board;

const LONG: Duration = Duration::from_secs(60);

struct World {
    runtime: Runtime,
    endpoint: Arc<crate::route::board::Watched>,
    line: Arc<Line>,
    /// Timers need one.
    tokio: tokio::runtime::Runtime,
}

type Entering<'w> = Pin<Box<dyn Future<Output = Result<Option<Place>>> + 'w>>;

impl World {
    /// `more` is said of the provider.
    fn new(more: &str) -> Self {
        let text = format!(
            "providers: {{p: {{kind: openai-compatible, base_url: \"http://p.test\"{more}}}}}\ntenants:\n  one: {{keys: [{{id: k1, secret: \"${{KEY}}-1\"}}]}}\n  two: {{keys: [{{id: k2, secret: \"${{KEY}}-2\"}}]}}\n"
        );
        let runtime = from_text(&text, "weir.yaml", &Table::of(&[("KEY", "a-key-of-twenty-letters")])).unwrap();
        let endpoint = Arc::clone(Board::new(&runtime).endpoint("p").unwrap());
        let (queue, places) = (runtime.deployments[0].queue, Places::new(runtime.deployments[0].max_concurrency));
        let line = Arc::new(Line::new(Behind::Endpoint(Arc::clone(&endpoint.endpoint)), places, queue, Clock::start()));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { runtime, endpoint, line, tokio }
    }

    fn comes(&self, tenant: usize, within: Duration) -> Entering<'_> {
        Box::pin(self.line.enter(&self.runtime.tenants[tenant], within))
    }

    fn poll(&self, entering: &mut Entering<'_>) -> Poll<Result<Option<Place>>> {
        let _inside = self.tokio.enter();
        entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// A place that is there at once, where places are counted.
    fn enters(&self, tenant: usize) -> Option<Place> {
        match self.poll(&mut self.comes(tenant, LONG)) {
            Poll::Ready(place) => place.unwrap(),
            Poll::Pending => panic!("has to wait"),
        }
    }

    /// Stands in line from now on.
    fn waits(&self, tenant: usize) -> Entering<'_> {
        let mut entering = self.comes(tenant, LONG);
        assert!(self.poll(&mut entering).is_pending());
        entering
    }

    fn most(&self) -> Option<u32> {
        self.line.state().places.most()
    }

    fn is_full(&self) -> bool {
        self.endpoint.vital("m").standing(0, 0) == crate::route::vital::Standing::Full
    }
}

#[test]
fn without_a_limit_nobody_waits_and_nothing_is_counted() {
    let world = World::new("");
    assert!((0..1_000).all(|_| world.enters(0).is_none()));
    assert_eq!((world.line.waiting(), world.most(), world.is_full()), (0, None, false));
}

#[test]
fn a_place_goes_to_the_next_when_it_is_left() {
    let world = World::new(", max_concurrency: 2");
    let places = [world.enters(0), world.enters(0)];
    assert!(world.is_full(), "others first");
    let (mut first, mut second) = (world.waits(0), world.waits(0));
    assert_eq!(world.line.waiting(), 2);
    let [one, two] = places;
    drop(one);
    let Poll::Ready(Ok(third)) = world.poll(&mut first) else { panic!("it is its turn") };
    assert!(world.poll(&mut second).is_pending(), "one place, one of them");
    drop(two);
    assert!(world.poll(&mut second).is_ready());
    drop(third);
    assert!(!world.is_full() && world.line.waiting() == 0);
}

#[test]
fn places_go_round_among_tenants() {
    let world = World::new(", max_concurrency: 1");
    let mut place = world.enters(0);
    let mut flood: Vec<Entering<'_>> = (0..6).map(|_| world.waits(0)).collect();
    let mut other = world.waits(1);
    for turn in 0.. {
        drop(place);
        if world.poll(&mut other).is_ready() {
            assert!(turn <= 1, "after {turn} of the other's");
            return;
        }
        let mut next = flood.remove(0);
        let Poll::Ready(Ok(taken)) = world.poll(&mut next) else { panic!("nobody has the place") };
        place = taken;
    }
}

#[test]
fn who_leaves_the_line_or_the_place_it_was_given_keeps_nobody_waiting() {
    let world = World::new(", max_concurrency: 1");
    let place = world.enters(0);
    let (leaves, given, mut last) = (world.waits(0), world.waits(0), world.waits(0));
    drop(leaves);
    assert_eq!(world.line.waiting(), 2);
    drop(place);
    assert!(world.poll(&mut last).is_pending(), "it was given to the one before");
    // Whose client is gone before it looks.
    drop(given);
    let Poll::Ready(Ok(place)) = world.poll(&mut last) else { panic!("it is its turn") };
    drop(place);
    assert!(!world.is_full());
    drop(world.enters(1));
}

#[test]
fn patience_ends_and_the_error_sends_on() {
    let world = World::new(", max_concurrency: 1, queue: {waiting: 4, patience: 20ms}");
    let _place = world.enters(0);
    let refused = world.tokio.block_on(world.comes(0, LONG)).unwrap_err();
    assert_eq!((refused.kind(), refused.retry(), refused.status()), (Kind::RateLimited, Retry::NextTarget, 429));
    assert!(refused.retry_after().is_some());
    assert_eq!(world.line.waiting(), 0, "nobody is left standing");
    let hurried = World::new(", max_concurrency: 1");
    let _place = hurried.enters(0);
    assert!(hurried.tokio.block_on(hurried.comes(0, Duration::from_millis(5))).is_err(), "its own deadline counts too");
}

#[test]
fn a_full_line_refuses_at_once() {
    let world = World::new(", max_concurrency: 1, queue: {waiting: 0, patience: 60s}");
    let _place = world.enters(0);
    let Poll::Ready(Err(error)) = world.poll(&mut world.comes(0, LONG)) else { panic!("waits") };
    assert!(error.retry_after().is_some_and(|after| after > Duration::ZERO));
}

#[test]
fn a_reload_changes_how_many_there_are_and_who_runs_stays_counted() {
    let world = World::new(", max_concurrency: 2, queue: {waiting: 4, patience: 60s}");
    let set = |most, waiting| world.line.set(most, Queue { waiting, patience: Duration::from_secs(30) });
    let (first, second) = (world.enters(0), world.enters(0));
    set(Some(1), 4);
    let mut waiting = world.waits(0);
    drop(first);
    assert!(world.poll(&mut waiting).is_pending(), "one still runs");
    drop(second);
    let Poll::Ready(Ok(Some(third))) = world.poll(&mut waiting) else { panic!("it is free") };
    set(Some(1), 0);
    assert!(matches!(world.poll(&mut world.comes(0, LONG)), Poll::Ready(Err(_))), "nobody may wait any more");
    set(Some(3), 0);
    assert!(world.enters(0).is_some() && !world.is_full());
    drop(third);
}

#[test]
fn refusals_teach_how_many_places_there_are() {
    let world = World::new("");
    let runs: Vec<_> = (0..8).map(|_| world.endpoint.vital("m").begin(0)).collect();
    world.line.refused(world.line.clock.now_ms());
    assert_eq!(world.most(), Some(4));
    let places: Vec<_> = (0..4).map(|_| world.enters(0)).collect();
    let mut waits = world.waits(0);
    // A round without another refusal makes one more place.
    (0..4).for_each(|_| world.line.answered());
    assert_eq!(world.most(), Some(5));
    let Poll::Ready(Ok(fifth)) = world.poll(&mut waits) else { panic!("there is a place more") };
    drop((places, fifth, runs));
    assert_eq!((world.line.waiting(), world.is_full()), (0, false));
}

/// A limit on one model is none on its neighbours.
#[test]
fn what_refusals_teach_is_about_the_model_that_refused() {
    let world = World::new(", max_concurrency: 9");
    let lines = Lines::new(&world.runtime.deployments[0], Arc::clone(&world.endpoint.endpoint), Clock::start());
    let [run, _other] = [world.endpoint.vital("m").begin(0), world.endpoint.vital("m").begin(0)];
    lines.refused(&run, "m");
    let tenant = &world.runtime.tenants[0];
    let enter = |model: &'static str| world.tokio.block_on(lines.enter(model, tenant, Duration::from_millis(5)));
    let held = enter("m").unwrap();
    assert!(held.iter().all(Option::is_some), "a place of the model and one of the endpoint");
    assert!(enter("m").is_err() && enter("n").is_ok(), "{lines:?}");
    assert_eq!((lines.most(), lines.waiting()), (Some(9), 0));
}

#[test]
fn of_thousands_that_come_and_go_none_is_lost() {
    let world = World::new(", max_concurrency: 3, queue: {waiting: 64, patience: 60s}");
    let (mut inside, mut outside): (Vec<Option<Place>>, Vec<Entering<'_>>) = (Vec::new(), Vec::new());
    let mut chance = 1_u64;
    for _ in 0..5_000 {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match chance >> 60 {
            0..=5 if outside.len() < 20 => {
                let mut entering = world.comes(usize::from(chance >> 40 & 1 == 1), LONG);
                match world.poll(&mut entering) {
                    Poll::Ready(place) => inside.push(place.unwrap()),
                    Poll::Pending => outside.push(entering),
                }
            }
            6..=8 if !outside.is_empty() => drop(outside.swap_remove(0)),
            _ if !inside.is_empty() => drop(inside.swap_remove(0)),
            _ => {}
        }
        let mut waiting = Vec::new();
        for mut entering in outside.drain(..) {
            match world.poll(&mut entering) {
                Poll::Ready(place) => inside.push(place.unwrap()),
                Poll::Pending => waiting.push(entering),
            }
        }
        outside = waiting;
        assert!(inside.len() <= 3, "{} at a time", inside.len());
        assert!(outside.is_empty() || inside.len() == 3, "somebody waits before a free place");
        assert_eq!((world.line.waiting(), world.is_full()), (outside.len(), inside.len() == 3));
    }
    drop((inside, outside));
    assert!(world.line.waiters_are_gone());
}

impl Line {
    fn waiters_are_gone(&self) -> bool {
        let state = self.state();
        state.waiters.is_empty() && state.queue.running() == 0 && state.queue.waiting() == 0
    }
}
