//! The script against a model that does the same in the plainest way: no sums that are kept, every slot
//! looked at, every replica gone through. Time and what replicas say are made up.

use std::collections::BTreeMap;

use redis::{Connection, Value};
use weir::limit::shared::Kind;
use weir::limit::shared::batch::{Batch, Entry, Reply, SCRIPT, Seen, Verdict};

use crate::server::on_each;

const OPERATIONS: u64 = 100_000;
const DEAD_MS: u64 = 10_000;
const RECALL_MS: u64 = 1_000;
const YOUNG_MS: i128 = 1_000;
const REPLICAS: [&str; 3] = ["one", "two", "three"];

#[derive(Debug, Default, Clone, Copy)]
struct SeenWith {
    seq: u64,
    granted: u64,
    spare: u64,
    till_ms: u64,
    held: u64,
    slot: u64,
}

#[derive(Debug, Default, Clone)]
struct Counter {
    slots: BTreeMap<u64, u64>,
    debt: u64,
    /// The first slot that counts, and the latest.
    span: Option<(u64, u64)>,
    /// What is used, what that was when the generation began, and which it was.
    total: Option<(u64, u64, String)>,
    seen: BTreeMap<String, SeenWith>,
}

#[derive(Debug, Default)]
struct Model {
    replicas: BTreeMap<String, (u64, u64)>,
    /// And when it began.
    generation: Option<(String, u64)>,
    recalled: BTreeMap<String, u64>,
    counters: BTreeMap<String, Counter>,
}

/// A counter within a call.
struct Open {
    key: String,
    entry: Entry,
    counter: Counter,
    slot: u64,
    first: u64,
    taken: u64,
    is_unknown: bool,
    /// Places that others hold, and what they have unspent.
    others_hold: u64,
    others_spare: u64,
    /// What is used of a total, or of places.
    base: u64,
    began: u64,
}

/// What there is of it, if anything.
fn whole(room: i128) -> u64 {
    u64::try_from(room.max(0)).unwrap()
}

fn grid(length_ms: u64) -> (u64, u64) {
    let slot_ms = (length_ms / 60).max(1);
    (slot_ms, length_ms.div_ceil(slot_ms))
}

impl Open {
    fn limit(&self) -> i128 {
        self.entry.kind.limit().into()
    }

    fn used(&self) -> u64 {
        match self.entry.kind {
            Kind::Window { .. } => self.counter.slots.values().sum(),
            _ => self.base,
        }
    }

    fn room(&self) -> i128 {
        self.limit() - i128::from(self.used()) - i128::from(self.counter.debt) - i128::from(self.taken)
    }

    fn pay(&mut self, into: u64) {
        let room = self.limit() - i128::from(self.used());
        let paid = self.counter.debt.min(whole(room));
        if paid > 0 {
            *self.counter.slots.entry(into).or_default() += paid;
            self.counter.debt -= paid;
        }
    }

    fn charge(&mut self, units: u64) {
        let fits = units.min(whole(self.limit() - i128::from(self.used())));
        *self.counter.slots.entry(self.slot).or_default() += fits;
        let Kind::Window { length_ms, .. } = self.entry.kind else { panic!("only windows owe") };
        let most = self.entry.kind.limit() * (600_000 / length_ms).max(1);
        self.counter.debt = (self.counter.debt + units - fits).min(most);
    }

    fn give_back(&mut self, slot: u64, units: u64) {
        match self.entry.kind {
            Kind::Total { .. } => self.base = self.base.saturating_sub(units),
            Kind::Window { .. } => {
                let forgiven = units.min(self.counter.debt);
                self.counter.debt -= forgiven;
                if slot >= self.first && slot <= self.slot {
                    let there = self.counter.slots.entry(slot).or_default();
                    *there -= (units - forgiven).min(*there);
                }
            }
            Kind::Concurrency { .. } => {}
        }
    }

    fn advance(&mut self, now_ms: u64, length_ms: u64) {
        let (slot_ms, count) = grid(length_ms);
        self.slot = now_ms / slot_ms;
        if let Some((_, latest)) = self.counter.span {
            if latest > self.slot + count {
                self.counter = Counter::default();
            } else {
                self.slot = self.slot.max(latest);
            }
        }
        self.first = self.slot - count;
        let from = self.counter.span.map_or(self.first, |(first, _)| first);
        for leaving in from..self.first {
            self.counter.slots.remove(&leaving);
            self.pay(leaving + count + 1);
        }
        self.pay(self.slot);
    }

    /// Until it fits, as time goes by, slot for slot, and nobody else comes.
    fn wait_ms(&self, need: u64, now_ms: u64) -> Option<u64> {
        match self.entry.kind {
            Kind::Concurrency { .. } => Some(1_000),
            Kind::Total { ends_at_ms, .. } => ends_at_ms.map(|at_ms| at_ms.saturating_sub(now_ms).max(1)),
            Kind::Window { limit, length_ms } => {
                let (slot_ms, count) = grid(length_ms);
                let (mut slots, mut debt) = (self.counter.slots.clone(), self.counter.debt);
                let mut used = self.used();
                let fits = self.taken.min(limit.saturating_sub(used));
                *slots.entry(self.slot).or_default() += fits;
                (used, debt) = (used + fits, debt + self.taken - fits);
                for leaving in self.first.. {
                    used -= slots.remove(&leaving).unwrap_or_default();
                    let paid = debt.min(limit.saturating_sub(used));
                    *slots.entry(leaving + count + 1).or_default() += paid;
                    (used, debt) = (used + paid, debt - paid);
                    if used + debt + need <= limit || (need > limit && used + debt == 0) {
                        return Some(((leaving + 1 + count) * slot_ms - now_ms).max(1));
                    }
                }
                None
            }
        }
    }
}

impl Model {
    fn call(&mut self, batch: &Batch<'_>, now_ms: u64) -> Reply {
        let last_seq = self.replicas.get(batch.replica).map(|(_, seq)| *seq);
        self.replicas.retain(|name, (seen, _)| name == batch.replica || now_ms.saturating_sub(*seen) <= DEAD_MS);
        let replicas = self.replicas.keys().filter(|name| *name != batch.replica).count() as u64 + 1;
        let mut reply = Reply {
            now_ms,
            replicas,
            last_seq,
            generation: self.generation.clone().unwrap_or_default().0,
            recalled: None,
            counters: Vec::new(),
            verdicts: Vec::new(),
        };
        if last_seq.is_some_and(|last| batch.seq <= last) {
            return reply;
        }
        let is_forgotten = self.generation.is_some() && last_seq.is_none();
        if self.generation.is_none() || last_seq.is_some_and(|last| last < batch.answered) {
            self.generation = Some((batch.generation.to_owned(), now_ms));
        }
        reply.generation = self.generation.clone().unwrap().0;
        self.replicas.insert(batch.replica.to_owned(), (now_ms, batch.seq));
        self.recalled.retain(|_, at_ms| (*at_ms..=*at_ms + RECALL_MS).contains(&now_ms));
        reply.recalled = Some(self.recalled.keys().cloned().collect());
        let mut all: Vec<Open> = batch
            .entries
            .iter()
            .map(|(key, entry)| self.open(key, entry, batch.replica, now_ms, is_forgotten))
            .collect();
        for needs in &batch.requests {
            reply.verdicts.push(self.judge(&mut all, needs, batch.replica, now_ms));
        }
        for open in all {
            reply.counters.push(self.close(open, batch, replicas, now_ms));
        }
        reply
    }

    fn open(&mut self, key: &str, entry: &Entry, me: &str, now_ms: u64, is_forgotten: bool) -> Open {
        let counter = self.counters.remove(key).unwrap_or_default();
        let (slot, first, taken, base, began) = (0, 0, 0, 0, 0);
        let (key, entry) = (key.to_owned(), entry.clone());
        let (is_unknown, others_hold, others_spare) = (false, 0, 0);
        let mut open =
            Open { key, entry, counter, slot, first, taken, is_unknown, others_hold, others_spare, base, began };
        match open.entry.kind {
            Kind::Window { length_ms, .. } => open.advance(now_ms, length_ms),
            Kind::Total { .. } => {
                let generation = &self.generation.as_ref().unwrap().0;
                let known = open.counter.total.clone();
                let seeded = open.entry.seed.map(|seed| (seed, seed, generation.clone()));
                match known.or(seeded) {
                    Some((used, began, of)) => {
                        open.began = if of == *generation { began } else { used };
                        let more = open.entry.floor.saturating_sub(open.began);
                        (open.base, open.began) = (used + more, open.began + more);
                    }
                    None => open.is_unknown = true,
                }
            }
            Kind::Concurrency { .. } => open.base = open.entry.held,
        }
        let alive = |name: &str| name == me || self.replicas.contains_key(name);
        for (name, seen) in open.counter.seen.iter().filter(|(name, _)| *name != me && alive(name)) {
            let _ = name;
            open.others_hold += seen.held;
            open.others_spare += if seen.till_ms > now_ms { seen.spare } else { 0 };
        }
        if matches!(open.entry.kind, Kind::Concurrency { .. }) {
            open.base += open.others_hold;
            open.counter.seen.retain(|name, _| alive(name));
        } else {
            open.others_hold = 0;
        }
        let mine = open.counter.seen.get(me).copied().unwrap_or_default();
        let lost = open.entry.lost_seq;
        let has_arrived = lost > 0 && mine.seq >= lost;
        if has_arrived && !open.is_unknown {
            open.give_back(mine.slot, mine.granted);
        }
        if !has_arrived && !open.is_unknown {
            if !(is_forgotten && lost > 0) {
                for (slot, units) in open.entry.due.clone() {
                    open.give_back(slot, units);
                }
            }
            match open.entry.kind {
                Kind::Window { .. } => open.charge(open.entry.owed),
                Kind::Total { .. } => open.base += open.entry.owed,
                Kind::Concurrency { .. } => {}
            }
        }
        if matches!(open.entry.kind, Kind::Window { .. }) {
            open.pay(open.slot);
        }
        open
    }

    /// Who is gone is forgotten where others are looked at.
    fn forget(&self, open: &mut Open, me: &str) {
        open.counter.seen.retain(|name, _| name == me || self.replicas.contains_key(name));
    }

    fn judge(&mut self, all: &mut [Open], needs: &[(usize, u64)], me: &str, now_ms: u64) -> Verdict {
        if let Some((entry, _)) = needs.iter().find(|(place, _)| all[*place].is_unknown) {
            return Verdict::Unknown { entry: *entry };
        }
        let mut worst: Option<(usize, Option<u64>, u64)> = None;
        for (place, need) in needs {
            let open = &all[*place];
            let is_unused = open.used() == 0 && open.counter.debt == 0 && open.taken == 0;
            let is_window = matches!(open.entry.kind, Kind::Window { .. });
            let alone = is_window && i128::from(*need) > open.limit() && is_unused;
            if i128::from(*need) <= open.room() || alone {
                continue;
            }
            let wait_ms = open.wait_ms(*need, now_ms);
            if is_window {
                self.forget(&mut all[*place], me);
            }
            let is_worse = match (worst, wait_ms) {
                (None, _) | (Some(_), None) => true,
                (Some((_, Some(known), _)), Some(wait)) => wait > known,
                (Some((_, None, _)), Some(_)) => false,
            };
            if is_worse {
                worst = Some((*place, wait_ms, *need));
            }
        }
        let Some((entry, wait_ms, need)) = worst else {
            for (place, need) in needs {
                all[*place].taken += need;
            }
            return Verdict::Granted;
        };
        self.forget(&mut all[entry], me);
        let open = &all[entry];
        if open.others_spare > 0 || open.others_hold > 0 {
            self.recalled.insert(open.key.clone(), now_ms);
        }
        let enough = open.room() + i128::from(open.others_spare) >= need.into() || i128::from(need) > open.limit();
        Verdict::Refused { entry, wait_ms, is_recalled: open.others_spare > 0 && enough }
    }

    fn close(&mut self, mut open: Open, batch: &Batch<'_>, replicas: u64, now_ms: u64) -> Seen {
        if open.is_unknown {
            self.counters.insert(open.key, open.counter);
            return Seen { used: None, extra: 0, slot: 0 };
        }
        let room = open.room();
        let (generation, born_ms) = self.generation.clone().unwrap();
        let is_young = i128::from(now_ms) - i128::from(born_ms) < YOUNG_MS;
        let is_far = room * 20 >= open.limit() && !self.recalled.contains_key(&open.key) && !is_young;
        let part = whole(room / i128::from(2 * replicas));
        let extra = if is_far { open.entry.wanted.min(part) } else { 0 };
        let granted = open.taken + extra;
        let spare = open.entry.spare + extra;
        let held = open.entry.held + granted;
        let (slot, till_ms) = (open.slot, now_ms + 2_000);
        let seen = SeenWith { seq: batch.seq, granted, spare, till_ms, held, slot };
        open.counter.seen.insert(batch.replica.to_owned(), seen);
        match open.entry.kind {
            Kind::Window { .. } => {
                open.charge(granted);
                open.counter.span = Some((open.first, open.slot));
            }
            _ => open.base += granted,
        }
        if matches!(open.entry.kind, Kind::Total { .. }) {
            open.counter.total = Some((open.base, open.began, generation));
        }
        let used = Some(open.used() + open.counter.debt);
        self.counters.insert(open.key, open.counter);
        Seen { used, extra, slot }
    }
}

/// A sequence of numbers that looks like chance and is the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

const COUNTERS: [(&str, Kind); 6] = [
    ("weir:minute", Kind::Window { limit: 40, length_ms: 60_000 }),
    ("weir:second", Kind::Window { limit: 10, length_ms: 1_000 }),
    ("weir:much", Kind::Window { limit: 5_000, length_ms: 60_000 }),
    ("weir:budget", Kind::Total { limit: 3_000, ends_at_ms: Some(4_000_000_000_000) }),
    ("weir:ever", Kind::Total { limit: 1 << 52, ends_at_ms: None }),
    ("weir:places", Kind::Concurrency { limit: 9 }),
];

/// What a replica believes to have lost: by counter, the call and what it said.
type Lost = BTreeMap<&'static str, (u64, Entry)>;

fn entry(chance: &mut Chance, key: &'static str, kind: Kind, now_ms: u64, lost: &Lost) -> Entry {
    let mut entry = Entry {
        kind,
        spare: chance.below(4),
        held: chance.below(5),
        owed: if chance.one_in(6) { chance.below(kind.limit().min(60)) } else { 0 },
        due: Vec::new(),
        wanted: chance.below(6),
        seed: chance.one_in(3).then(|| chance.below(50)),
        floor: if chance.one_in(40) { chance.below(100) } else { 0 },
        lost_seq: 0,
    };
    if let Kind::Window { length_ms, .. } = kind {
        let (slot_ms, count) = grid(length_ms);
        for _ in 0..chance.below(3) {
            let slot = now_ms / slot_ms - chance.below(count + 2);
            entry.due.push((slot, 1 + chance.below(5)));
        }
    } else if chance.one_in(3) {
        entry.due.push((0, chance.below(40)));
    }
    if let Some((seq, said)) = lost.get(key) {
        (entry.owed, entry.due, entry.lost_seq) = (said.owed, said.due.clone(), *seq);
    }
    entry
}

/// As a rule a little later, now and then much, and now and then the clock is set back.
fn later(chance: &mut Chance, now_ms: u64) -> u64 {
    let gone_ms = match chance.below(200) {
        0 => 70_000,
        1 => 12_000,
        2..=9 => 2_000,
        _ => chance.below(150),
    };
    let back_ms = if chance.one_in(50) { chance.below(300) } else { 0 };
    let far_back_ms = if chance.one_in(10_000) { 200_000 } else { 0 };
    now_ms + gone_ms - back_ms - far_back_ms
}

fn requests(chance: &mut Chance, entries: &[(&str, Entry)]) -> Vec<Vec<(usize, u64)>> {
    let one = |chance: &mut Chance| {
        let mut needs = Vec::new();
        for (place, (_, entry)) in entries.iter().enumerate() {
            if chance.one_in(2) {
                let most = if chance.one_in(30) { entry.kind.limit().min(100) + 20 } else { 6 };
                needs.push((place, 1 + chance.below(most)));
            }
        }
        needs
    };
    (0..chance.below(4)).map(|_| one(chance)).collect()
}

fn ask(connection: &mut Connection, script: &str, batch: &Batch<'_>, now_ms: u64) -> Reply {
    let mut command = redis::cmd("EVAL");
    command.arg(script);
    batch.write("weir:", &mut command);
    command.arg(now_ms / 1_000).arg(now_ms % 1_000 * 1_000);
    let value: Value = command.query(connection).unwrap();
    Reply::read(&value, batch.entries.len(), batch.requests.len()).unwrap()
}

/// The script, but time is made up, and nothing leaves by the store's own clock.
fn timeless() -> String {
    let script = SCRIPT
        .replace("redis.call('TIME')", "{ ARGV[#ARGV - 1], ARGV[#ARGV] }")
        .replace("call('PEXPIRE", "type('PEXPIRE");
    assert!(script.contains("ARGV[#ARGV]") && script.matches("type('PEXPIRE").count() >= 5, "the script was changed");
    script
}

/// One replica alone, whose calls and whose replies get lost, often several in a row: as soon as a reply
/// comes through, what is used is what was granted in replies that came, to the unit.
#[test]
fn what_is_used_is_what_somebody_was_granted_however_many_calls_were_lost() {
    let script = timeless();
    on_each(|server| {
        let mut connection = server.connection();
        let mut chance = Chance(11);
        let now_ms = 1_800_000_000_000;
        for (key, kind) in [COUNTERS[2], COUNTERS[3]] {
            let (mut heard, mut lost_seq, mut answered, mut most_lost, mut lost) = (0, 0, 0, 0, 0);
            for seq in 1..2_000 {
                let seed = matches!(kind, Kind::Total { .. }).then_some(0);
                let (due, wanted) = (Vec::new(), chance.below(4));
                let entry = Entry { kind, spare: 0, held: 0, owed: 0, due, wanted, seed, floor: 0, lost_seq };
                let requests = (0..chance.below(3)).map(|_| vec![(0, 1 + chance.below(3))]).collect();
                let (replica, generation, entries) = ("one", "first", vec![(key, entry)]);
                let batch = Batch { replica, seq, answered, generation, entries, requests };
                let is_sent = !chance.one_in(3);
                let reply = is_sent.then(|| ask(&mut connection, &script, &batch, now_ms));
                let Some(reply) = reply.filter(|_| !chance.one_in(2)) else {
                    lost_seq = if lost_seq == 0 { seq } else { lost_seq };
                    lost += 1;
                    most_lost = most_lost.max(lost);
                    continue;
                };
                (answered, lost_seq, lost) = (seq, 0, 0);
                let granted = batch.requests.iter().zip(&reply.verdicts).filter(|(_, said)| **said == Verdict::Granted);
                heard += granted.map(|(needs, _)| needs[0].1).sum::<u64>() + reply.counters[0].extra;
                assert_eq!(reply.counters[0].used, Some(heard), "{key}, call {seq}");
            }
            assert!(most_lost > 3 && heard > 500, "the test saw too little: {most_lost} {heard}");
            server.command(&["FLUSHALL"]);
        }
    });
}

#[test]
fn the_script_does_what_its_model_does() {
    let script = timeless();
    on_each(|server| {
        let mut connection = server.connection();
        let mut chance = Chance(7);
        let (mut model, mut now_ms) = (Model::default(), 1_800_000_000_000);
        let mut seqs = [0_u64; REPLICAS.len()];
        let mut answered = [0_u64; REPLICAS.len()];
        let mut lost: [Lost; REPLICAS.len()] = Default::default();
        let mut counts = [0_u64; 5];
        for operation in 0..OPERATIONS {
            now_ms = later(&mut chance, now_ms);
            if chance.one_in(3_000) {
                server.command(&["FLUSHALL"]);
                model = Model::default();
            }
            let who = usize::try_from(chance.below(REPLICAS.len() as u64)).unwrap();
            seqs[who] += 1;
            let generation = format!("{}-{}", REPLICAS[who], seqs[who]);
            let mut batch = Batch { replica: REPLICAS[who], generation: &generation, ..Batch::default() };
            // Now and then one has heard of calls that the store has not: it has gone back in time.
            let ahead = if chance.one_in(1_000) { 5 } else { 0 };
            seqs[who] += ahead;
            (batch.seq, batch.answered) = (seqs[who], if ahead > 0 { seqs[who] - 1 } else { answered[who] });
            let mut says: Vec<(&'static str, Entry)> = Vec::new();
            for (key, kind) in COUNTERS {
                if chance.one_in(2) {
                    says.push((key, entry(&mut chance, key, kind, now_ms, &lost[who])));
                }
            }
            batch.entries.extend(says.iter().cloned());
            batch.requests = requests(&mut chance, &batch.entries);
            if chance.one_in(200) {
                // One that was given up long ago arrives now.
                batch.seq = batch.seq.saturating_sub(1 + chance.below(3));
            }
            let is_late = batch.seq < seqs[who];
            // A call may get lost on its way, or its reply may.
            let (is_sent, is_heard) = if is_late { (true, true) } else { (!chance.one_in(40), !chance.one_in(25)) };
            if is_sent {
                let wanted = model.call(&batch, now_ms);
                let mut found = ask(&mut connection, &script, &batch, now_ms);
                found.recalled.iter_mut().for_each(|keys| keys.sort());
                assert_eq!(found, wanted, "operation {operation} at {now_ms}: {batch:#?}");
                for verdict in &found.verdicts {
                    counts[match verdict {
                        Verdict::Granted => 0,
                        Verdict::Unknown { .. } => 1,
                        Verdict::Refused { is_recalled: true, .. } => 2,
                        Verdict::Refused { .. } => 3,
                    }] += 1;
                }
                counts[4] += u64::from(found.recalled.is_none());
            }
            if is_late {
                continue;
            }
            if is_sent && is_heard {
                answered[who] = seqs[who];
            }
            for (key, said) in says {
                if is_sent && is_heard {
                    lost[who].remove(key);
                } else {
                    lost[who].entry(key).or_insert((seqs[who], said));
                }
            }
        }
        assert!(counts.iter().all(|count| *count > 50), "the test saw too little: {counts:?}");
        // Slots that have left are gone, also those that were given back as a whole.
        for (key, kind) in COUNTERS {
            let Kind::Window { length_ms, .. } = kind else { continue };
            let (_, count) = grid(length_ms);
            let fields: u64 = redis::cmd("HLEN").arg(key).query(&mut connection).unwrap();
            assert!(fields <= count + 1 + 4 + REPLICAS.len() as u64, "{key}: {fields}");
        }
    });
}
