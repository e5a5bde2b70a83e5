//! One call of the script: what goes out, and what its reply says.

use redis::{Cmd, Value};

use super::kind::Kind;

/// See the comment at its head.
pub const SCRIPT: &str = include_str!("script.lua");

/// Numbers are exact in the store's scripts up to here.
pub const MOST_UNITS: u64 = (1 << 53) - 1;

/// Of one counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Leased and unspent.
    pub spare: u64,
    /// Places in use or leased.
    pub held: u64,
    /// Used without having been leased.
    pub owed: u64,
    /// Comes back: slot and units.
    pub due: Vec<(u64, u64)>,
    /// Beyond what requests need, if there is plenty.
    pub wanted: u64,
    /// What was used, for a store that does not know.
    pub seed: Option<u64>,
    /// What was used at least; 0 says nothing.
    pub floor: u64,
    /// `owed` and `due` went out with this call already, whose reply never came; 0 is none.
    pub lost_seq: u64,
}

/// A call.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub replica: &'a str,
    pub seq: u64,
    /// The last call that was answered; 0 is none.
    pub answered: u64,
    /// What a store that has lost its data is called from now on: another name each time.
    pub generation: &'a str,
    pub entries: Vec<(&'a str, Entry)>,
    /// Of each request: places in `entries`, and units.
    pub requests: Vec<Vec<(usize, u64)>>,
}

/// What the store says of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// `None`: the store does not know this total.
    pub used: Option<u64>,
    /// Granted beyond what requests needed.
    pub extra: u64,
    pub slot: u64,
}

/// What the store says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Granted,
    /// The counter at this place has to be made known first.
    Unknown {
        entry: usize,
    },
    Refused {
        entry: usize,
        /// `None`: never.
        wait_ms: Option<u64>,
        /// Others hold enough of it unspent, and were told to give it back.
        is_recalled: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub now_ms: u64,
    pub replicas: u64,
    /// The last call of this replica that the store knew before this one.
    pub last_seq: Option<u64>,
    pub generation: String,
    /// Keys of counters whose unspent leases others wait for. `None`: the call came too late and did
    /// nothing.
    pub recalled: Option<Vec<String>>,
    pub counters: Vec<Seen>,
    pub verdicts: Vec<Verdict>,
}

impl Batch<'_> {
    /// Arguments behind the script or its hash: the number of keys, the keys, the rest.
    pub fn write(&self, prefix: &str, cmd: &mut Cmd) {
        cmd.arg(self.entries.len() + 2).arg(format!("{prefix}replicas")).arg(format!("{prefix}recall"));
        for (key, _) in &self.entries {
            cmd.arg(*key);
        }
        cmd.arg(self.replica).arg(self.seq).arg(self.answered).arg(self.generation);
        cmd.arg(self.entries.len()).arg(self.requests.len());
        for (_, entry) in &self.entries {
            entry.write(cmd);
        }
        for needs in &self.requests {
            cmd.arg(needs.len());
            for (place, units) in needs {
                cmd.arg(place + 1).arg(*units);
            }
        }
    }
}

impl Entry {
    fn write(&self, cmd: &mut Cmd) {
        let (kind, more) = match self.kind {
            Kind::Window { length_ms, .. } => ("w", length_ms),
            Kind::Total { ends_at_ms, .. } => ("t", ends_at_ms.unwrap_or(0)),
            Kind::Concurrency { .. } => ("c", 0),
        };
        cmd.arg(kind).arg(self.kind.limit().min(MOST_UNITS)).arg(more);
        cmd.arg(self.spare).arg(self.held).arg(self.owed.min(MOST_UNITS)).arg(self.wanted);
        match self.seed {
            Some(seed) => cmd.arg(seed.min(MOST_UNITS)),
            None => cmd.arg("-1"),
        };
        cmd.arg(self.floor).arg(self.lost_seq).arg(self.due.len());
        for (slot, units) in &self.due {
            cmd.arg(*slot).arg(*units);
        }
    }
}

/// Reads a reply piece by piece.
struct Reader<'v>(std::slice::Iter<'v, Value>);

impl Reader<'_> {
    fn signed(&mut self) -> Option<i64> {
        match self.0.next()? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// `None` in the inner place is a negative number.
    fn number(&mut self) -> Option<Option<u64>> {
        self.signed().map(|number| u64::try_from(number).ok())
    }

    fn text(&mut self) -> Option<String> {
        match self.0.next()? {
            Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
            Value::SimpleString(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn seen(&mut self) -> Option<Seen> {
        Some(Seen { used: self.number()?, extra: self.number()??, slot: self.number()?? })
    }

    fn verdict(&mut self) -> Option<Verdict> {
        let place = usize::try_from(self.signed()?).ok()?;
        let Some(entry) = place.checked_sub(1) else { return Some(Verdict::Granted) };
        let (wait, others) = (self.signed()?, self.signed()?);
        Some(match wait {
            -2 => Verdict::Unknown { entry },
            wait => Verdict::Refused { entry, wait_ms: u64::try_from(wait).ok(), is_recalled: others == 1 },
        })
    }
}

impl Reply {
    /// `None`: this is no reply of the script.
    pub fn read(value: &Value, counters: usize, requests: usize) -> Option<Self> {
        let Value::Array(all) = value else { return None };
        let mut reader = Reader(all.iter());
        let (now_ms, replicas, last_seq) = (reader.number()??, reader.number()??, reader.number()?);
        let generation = reader.text()?;
        let Some(count) = reader.number()? else {
            let (recalled, counters, verdicts) = (None, Vec::new(), Vec::new());
            return Some(Self { now_ms, replicas, last_seq, generation, recalled, counters, verdicts });
        };
        let recalled = (0..count).map(|_| reader.text()).collect::<Option<Vec<_>>>()?;
        let counters = (0..counters).map(|_| reader.seen()).collect::<Option<Vec<_>>>()?;
        let verdicts = (0..requests).map(|_| reader.verdict()).collect::<Option<Vec<_>>>()?;
        let ends = reader.0.next().is_none();
        let recalled = Some(recalled);
        ends.then_some(Self { now_ms, replicas, last_seq, generation, recalled, counters, verdicts })
    }
}
