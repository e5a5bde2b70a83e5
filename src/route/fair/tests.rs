//! Simulations on a clock that is only a number, and properties.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use proptest::prelude::*;

use super::*;

const SETTINGS: Settings = Settings { capacity: 10, most_waiting: 500 };
/// With ten places this makes ten requests a second.
const SERVICE_MS: u64 = 1_000;
const LENGTH_MS: u64 = 300_000;

#[derive(Debug, Clone, Copy)]
struct Tenant {
    weight: u32,
    /// Between two of its requests.
    every_ms: u64,
    patience_ms: u64,
}

#[derive(Debug, Default)]
struct Served {
    offered: u64,
    served: u64,
    refused: u64,
    /// Waited in vain.
    expired: u64,
    longest_wait_ms: u64,
    /// What a refusal would have told each that waited, and how long it was.
    told_and_real_ms: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Done,
    GivesUp { number: u64 },
    Arrives { tenant: usize },
}

#[derive(Debug)]
struct Waits {
    ticket: Ticket,
    tenant: usize,
    since_ms: u64,
    told_ms: u64,
}

/// Plays tenants that send at a steady rate, whatever becomes of their requests.
struct Play {
    queue: FairQueue,
    names: Vec<Arc<str>>,
    events: BinaryHeap<Reverse<(u64, Event)>>,
    waiting: HashMap<u64, Waits>,
    served: Vec<Served>,
    grants: u64,
}

impl Play {
    fn run(settings: Settings, tenants: &[Tenant]) -> Vec<Served> {
        let mut play = Self {
            queue: FairQueue::new(settings),
            names: (0..tenants.len()).map(|n| format!("tenant-{n}").into()).collect(),
            events: BinaryHeap::new(),
            waiting: HashMap::new(),
            served: tenants.iter().map(|_| Served::default()).collect(),
            grants: 0,
        };
        for tenant in 0..tenants.len() {
            play.events.push(Reverse((tenant as u64 * 7, Event::Arrives { tenant })));
        }
        while let Some(Reverse((now_ms, event))) = play.events.pop().filter(|Reverse((at, _))| *at < LENGTH_MS) {
            play.step(now_ms, &event, tenants);
            assert!(play.queue.running() <= settings.capacity);
            assert_eq!(play.queue.waiting(), play.waiting.len());
        }
        play.served
    }

    fn step(&mut self, now_ms: u64, event: &Event, tenants: &[Tenant]) {
        match event {
            Event::Arrives { tenant } => self.arrive(*tenant, now_ms, tenants[*tenant]),
            Event::Done => {
                if let Some(ticket) = self.queue.leave(now_ms) {
                    let waits = self.waiting.remove(&ticket.number).unwrap();
                    self.served[waits.tenant].told_and_real_ms.push((waits.told_ms, now_ms - waits.since_ms));
                    self.serve(waits.tenant, waits.since_ms, now_ms);
                }
            }
            Event::GivesUp { number } => {
                if let Some(waits) = self.waiting.remove(number) {
                    assert!(self.queue.give_up(&waits.ticket));
                    self.served[waits.tenant].expired += 1;
                }
            }
        }
    }

    fn arrive(&mut self, tenant: usize, now_ms: u64, how: Tenant) {
        self.events.push(Reverse((now_ms + how.every_ms, Event::Arrives { tenant })));
        self.served[tenant].offered += 1;
        let deadline_ms = now_ms + how.patience_ms;
        let name = &self.names[tenant];
        let told_ms = self.queue.expected_wait_ms(name, how.weight.into(), now_ms).unwrap_or_default();
        match self.queue.enter(name, how.weight, now_ms, deadline_ms) {
            Entry::Admitted => self.serve(tenant, now_ms, now_ms),
            Entry::Refused { .. } => self.served[tenant].refused += 1,
            Entry::Waiting(ticket) => {
                // A little before the queue itself would pass it over.
                self.events.push(Reverse((deadline_ms - 1, Event::GivesUp { number: ticket.number })));
                self.waiting.insert(ticket.number, Waits { ticket, tenant, since_ms: now_ms, told_ms });
            }
        }
    }

    fn serve(&mut self, tenant: usize, since_ms: u64, now_ms: u64) {
        self.grants += 1;
        // Between a half and one and a half of the usual time.
        let service_ms = SERVICE_MS / 2 + self.grants * 7_919 % SERVICE_MS;
        self.events.push(Reverse((now_ms + service_ms, Event::Done)));
        let served = &mut self.served[tenant];
        served.served += 1;
        served.longest_wait_ms = served.longest_wait_ms.max(now_ms - since_ms);
    }
}

/// 1 where all have the same; 1/n where one has all.
fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (squares * shares.len() as f64)
}

fn counts(served: &[Served]) -> Vec<f64> {
    served.iter().map(|tenant| tenant.served as f64).collect()
}

/// All want more than a tenth of ten a second; the first wants a hundred times as much as the others.
#[test]
fn equal_tenants_get_the_same_however_much_one_sends() {
    let modest = Tenant { weight: 1, every_ms: 700, patience_ms: 20_000 };
    let mut tenants = [modest; 10];
    tenants[0].every_ms = 7;
    let served = Play::run(SETTINGS, &tenants);
    let counts = counts(&served);
    assert!(jain(&counts) >= 0.995, "{counts:?}");
    let share = LENGTH_MS as f64 / SERVICE_MS as f64;
    assert!(counts.iter().all(|count| (0.9 * share..1.1 * share).contains(count)), "{counts:?}");
    assert!(served[0].refused > 40_000, "the flood is refused, not kept: {:?}", served[0]);
}

/// While others keep coming, too, whose turn is before those who wait.
#[test]
fn what_is_told_is_what_comes() {
    let modest = Tenant { weight: 1, every_ms: 700, patience_ms: 20_000 };
    let mut tenants = [modest; 10];
    tenants[0].every_ms = 7;
    tenants[1].weight = 3;
    tenants[2].every_ms = 2_000;
    let served = Play::run(SETTINGS, &tenants);
    let pairs: Vec<_> =
        served.iter().flat_map(|tenant| &tenant.told_and_real_ms).filter(|(_, real)| *real >= 500).collect();
    let near = |(told, real): &&&(u64, u64)| told * 2 >= *real && *told <= real * 2;
    let near = pairs.iter().filter(near).count();
    assert!(near * 100 >= pairs.len() * 95, "{near} of {}", pairs.len());
}

/// What a queue without fairness does, so that the test above can fail.
#[test]
fn in_one_line_the_flood_takes_all() {
    let tenants = [Tenant { weight: 1, every_ms: 700, patience_ms: 20_000 }; 10];
    let mut line: VecDeque<(usize, u64)> = VecDeque::new();
    let mut counts = [0.0; 10];
    for now_ms in 0..LENGTH_MS {
        for (tenant, how) in tenants.iter().enumerate() {
            let every_ms = if tenant == 0 { 7 } else { how.every_ms };
            if now_ms % every_ms == 0 && line.len() < SETTINGS.most_waiting {
                line.push_back((tenant, now_ms + how.patience_ms));
            }
        }
        if now_ms % 100 == 0 {
            while line.front().is_some_and(|(_, deadline_ms)| *deadline_ms <= now_ms) {
                line.pop_front();
            }
            counts[line.pop_front().unwrap().0] += 1.0;
        }
    }
    assert!(jain(&counts) < 0.5, "{counts:?}");
}

#[test]
fn who_wants_less_than_its_share_gets_all_of_it_and_soon() {
    let light = Tenant { weight: 1, every_ms: 2_000, patience_ms: 30_000 };
    let mut tenants = [light; 10];
    tenants[0] = Tenant { weight: 1, every_ms: 10, patience_ms: 30_000 };
    let served = Play::run(SETTINGS, &tenants);
    for tenant in &served[1..] {
        assert!(tenant.served >= tenant.offered - 1, "one may be waiting at the end: {tenant:?}");
        // One grant for each of ten tenants is a second's worth.
        assert!(tenant.longest_wait_ms <= 1_500, "{tenant:?}");
    }
    let all: u64 = served.iter().map(|tenant| tenant.served).sum();
    assert!(all >= LENGTH_MS / 100 * 97 / 100, "nothing is left idle: {all}");
}

#[test]
fn weights_are_shares() {
    let heavy = Tenant { weight: 3, every_ms: 50, patience_ms: 30_000 };
    let served = Play::run(Settings { most_waiting: 200, ..SETTINGS }, &[heavy, Tenant { weight: 1, ..heavy }]);
    let ratio = served[0].served as f64 / served[1].served as f64;
    assert!((2.9..3.1).contains(&ratio), "{served:?}");
    // But for those that came before the other line was seen to be endless.
    let expired: Vec<u64> = served.iter().map(|tenant| tenant.expired).collect();
    assert!(expired.iter().all(|expired| *expired <= 50), "refused early, not late: {expired:?}");
}

fn names<const N: usize>() -> [Arc<str>; N] {
    std::array::from_fn(|n| format!("tenant-{n}").into())
}

fn ticket(entry: Entry) -> Ticket {
    match entry {
        Entry::Waiting(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

/// A tenant that has one request at a time and sends the next when one is done.
#[test]
fn coming_one_at_a_time_is_no_way_around_it() {
    let [busy, sly] = names();
    let mut queue = FairQueue::new(Settings { capacity: 1, ..SETTINGS });
    assert_eq!(queue.enter(&busy, 9, 0, 1_000_000), Entry::Admitted);
    let (mut got, mut now_ms) = ([0_u32; 2], 0);
    (0..40).for_each(|_| _ = ticket(queue.enter(&busy, 9, 0, 1_000_000)));
    let mut waits = false;
    for _ in 0..500 {
        if !waits {
            ticket(queue.enter(&sly, 1, now_ms, 1_000_000));
            waits = true;
        }
        now_ms += 10;
        match queue.leave(now_ms).unwrap().tenant.as_ref() {
            name if *name == *sly => {
                got[1] += 1;
                waits = false;
            }
            _ => {
                got[0] += 1;
                ticket(queue.enter(&busy, 9, now_ms, 1_000_000));
            }
        }
    }
    assert!((48..=52).contains(&got[1]), "a tenth: {got:?}");
}

#[test]
fn staying_away_saves_nothing_up() {
    let [always, late] = names();
    let mut queue = FairQueue::new(Settings { capacity: 1, ..SETTINGS });
    queue.enter(&always, 1, 0, 1_000_000);
    (0..90).for_each(|_| _ = ticket(queue.enter(&always, 1, 0, 1_000_000)));
    (0..60).for_each(|n| assert!(queue.leave(n).is_some()));
    (0..20).for_each(|_| _ = ticket(queue.enter(&late, 1, 60, 1_000_000)));
    let late_got = (0..20).filter(|n| queue.leave(60 + n).unwrap().tenant == late).count();
    assert!((9..=11).contains(&late_got), "from now on by turns: {late_got}");
}

#[test]
fn nothing_is_kept_of_who_does_not_wait() {
    let [a, b] = names();
    let mut queue = FairQueue::new(Settings { capacity: 1, ..SETTINGS });
    assert_eq!(queue.enter(&a, 1, 0, 100), Entry::Admitted);
    let [first, second] = [&a, &b].map(|name| ticket(queue.enter(name, 1, 0, 100)));
    assert_eq!(queue.leave(5), Some(first.clone()));
    assert!(!queue.give_up(&first), "it has a place");
    assert!(queue.give_up(&second) && !queue.give_up(&second));
    assert_eq!((queue.waiting(), queue.lines.len(), queue.leave(6), queue.running()), (0, 0, None, 0));
}

#[test]
fn who_is_too_late_is_passed_over() {
    let [a, b] = names();
    let mut queue = FairQueue::new(Settings { capacity: 1, ..SETTINGS });
    queue.enter(&a, 1, 0, 100);
    ticket(queue.enter(&a, 1, 0, 50));
    ticket(queue.enter(&a, 1, 0, 60));
    let in_time = ticket(queue.enter(&b, 1, 0, 100));
    assert_eq!(queue.leave(60), Some(in_time));
    assert_eq!((queue.leave(61), queue.waiting(), queue.running()), (None, 0, 0));
}

#[test]
fn capacity_may_change_under_way() {
    let [a, b] = names();
    let mut queue = FairQueue::new(Settings { capacity: 0, ..SETTINGS });
    let tickets = [&a, &a, &b].map(|name| ticket(queue.enter(name, 1, 0, 1_000)));
    assert_eq!(queue.set_capacity(2, 1), [tickets[0].clone(), tickets[2].clone()]);
    assert_eq!(queue.set_capacity(1, 2), [], "nobody loses a place");
    assert_eq!((queue.running(), queue.leave(3), queue.running()), (2, None, 1));
    assert_eq!((queue.leave(4), queue.running()), (Some(tickets[1].clone()), 1));
    assert_eq!(queue.set_capacity(5, 5), []);
    assert_eq!(queue.enter(&b, 1, 6, 7), Entry::Admitted);
}

#[test]
fn one_tenant_fills_half_of_the_queue_and_the_next_finds_room() {
    let all: [Arc<str>; 8] = names();
    let mut queue = FairQueue::new(Settings { capacity: 0, most_waiting: 64 });
    let mut fill =
        |name: &Arc<str>| (0..64).take_while(|_| matches!(queue.enter(name, 1, 0, 9), Entry::Waiting(_))).count();
    let taken: Vec<usize> = all.iter().map(&mut fill).collect();
    assert_eq!(taken, [32, 16, 8, 4, 2, 1, 1, 0]);
    assert_eq!(queue.enter(&all[7], 1, 0, 9), Entry::Refused { retry_after_ms: Rate::UNKNOWN_WAIT_MS });
}

/// A queue with a past: one leaves every 100 ms, and some tenants wait.
fn with_past(waiting: &[(usize, u32)], all: &[Arc<str>]) -> (FairQueue, u64) {
    let mut queue = FairQueue::new(Settings { capacity: 4, most_waiting: 10_000 });
    let mut now_ms = 0;
    (0..24).for_each(|_| _ = queue.enter(&all[0], 1, 0, u64::MAX));
    for _ in 0..20 {
        now_ms += 100;
        queue.leave(now_ms);
    }
    for (tenant, weight) in waiting {
        queue.enter(&all[*tenant], *weight, now_ms, u64::MAX);
    }
    (queue, now_ms)
}

#[derive(Debug, Clone)]
enum Step {
    Enter { tenant: usize, weight: u32, patience_ms: u64 },
    Leave,
    GiveUp { which: usize },
    Capacity(u32),
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0_usize..6, 0_u32..5, 0_u64..5_000).prop_map(|(tenant, weight, patience_ms)| Step::Enter {
            tenant,
            weight,
            patience_ms,
        }),
        4 => Just(Step::Leave),
        1 => (0_usize..50).prop_map(|which| Step::GiveUp { which }),
        1 => (0_u32..6).prop_map(Step::Capacity),
        2 => (0_u64..500).prop_map(|ms| Step::Wait { ms }),
    ];
    proptest::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn a_refusal_tells_the_wait_there_would_have_been(
        waiting in proptest::collection::vec(1_usize..8, 4..200),
        weights in proptest::collection::vec(1_u32..5, 8),
        mine in 0_usize..8,
    ) {
        let all: [Arc<str>; 8] = names();
        let waiting: Vec<_> = waiting.into_iter().map(|tenant| (tenant, weights[tenant])).collect();
        let weight = weights[mine];
        let (mut queue, start_ms) = with_past(&waiting, &all);
        let Entry::Refused { retry_after_ms } = queue.enter(&all[mine], weight, start_ms, start_ms + 1) else {
            return Err(TestCaseError::fail("its turn cannot come within a millisecond"));
        };
        let ticket = ticket(queue.enter(&all[mine], weight, start_ms, u64::MAX));
        let mut now_ms = start_ms;
        loop {
            now_ms += 100;
            if queue.leave(now_ms).unwrap() == ticket {
                break;
            }
        }
        // Ties make a difference of at most one grant for each of the others.
        prop_assert!(retry_after_ms.abs_diff(now_ms - start_ms) <= 700, "{retry_after_ms} told, {} real", now_ms - start_ms);
        prop_assert!(retry_after_ms <= 2 * (now_ms - start_ms) && now_ms - start_ms <= 2 * retry_after_ms);
    }

    #[test]
    fn nobody_is_lost_and_nothing_is_exceeded(steps in steps()) {
        let all: [Arc<str>; 6] = names();
        let mut queue = FairQueue::new(Settings { capacity: 2, most_waiting: 30 });
        let (mut now_ms, mut capacity, mut running) = (0, 2, 0);
        // Tickets that wait, with their deadlines.
        let mut waiting: BTreeMap<u64, (Ticket, u64)> = BTreeMap::new();
        for step in steps {
            let mut granted = Vec::new();
            match step {
                Step::Wait { ms } => now_ms += ms,
                Step::Enter { tenant, weight, patience_ms } => {
                    match queue.enter(&all[tenant], weight, now_ms, now_ms + patience_ms) {
                        Entry::Admitted => {
                            prop_assert!(running < capacity && waiting.is_empty());
                            running += 1;
                        }
                        Entry::Waiting(ticket) => {
                            prop_assert!(waiting.insert(ticket.number, (ticket, now_ms + patience_ms)).is_none());
                        }
                        Entry::Refused { retry_after_ms } => prop_assert!(retry_after_ms > 0),
                    }
                }
                Step::Leave if running > 0 => {
                    running -= 1;
                    granted.extend(queue.leave(now_ms));
                }
                Step::Leave => {}
                Step::GiveUp { which } => {
                    if let Some(number) = waiting.keys().nth(which).copied() {
                        prop_assert!(queue.give_up(&waiting.remove(&number).unwrap().0));
                    }
                }
                Step::Capacity(new) => {
                    capacity = new;
                    granted = queue.set_capacity(new, now_ms);
                }
            }
            for ticket in granted {
                let (_, deadline_ms) = waiting.remove(&ticket.number).unwrap();
                prop_assert!(now_ms < deadline_ms);
                running += 1;
                prop_assert!(running <= capacity);
            }
            // Whoever is gone without a place was too late.
            let still: BTreeSet<u64> = queue.lines.values().flat_map(|l| &l.waiters).map(|w| w.number).collect();
            waiting.retain(|number, (_, deadline_ms)| still.contains(number) || *deadline_ms > now_ms);
            prop_assert!(waiting.keys().eq(still.iter()));
            prop_assert_eq!((queue.running(), queue.waiting()), (running, still.len()));
            prop_assert!(still.is_empty() || running >= capacity, "a place is free and somebody waits");
            prop_assert!(queue.waiting() <= 30 && (!still.is_empty() || queue.lines.is_empty()));
        }
        // With places coming free, everybody's turn comes.
        let ends_ms = now_ms;
        waiting.retain(|_, (_, deadline_ms)| *deadline_ms > ends_ms);
        let mut left = queue.set_capacity(capacity.max(1), now_ms);
        (0..200).for_each(|_| left.extend(queue.leave(now_ms)));
        let got: BTreeSet<u64> = left.iter().map(|ticket| ticket.number).collect();
        prop_assert!(waiting.keys().all(|number| got.contains(number)));
    }
}
