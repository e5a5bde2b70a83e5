//! The chain of changes.
//!
//! Every entry holds the hash of the one before it and its own, over all its members in a fixed form. To
//! change, drop or put in one, all that come after it would have to be written anew: whoever has noted a
//! hash somewhere else sees it.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// What the first entry holds in the place of a hash before it.
pub const BEGINNING: [u8; 32] = [0; 32];

/// A change that is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at_ms: u64,
    /// The name of an admin token, or `cli:` and a user.
    pub who: String,
    /// `key.create`, `config.reload`, ...
    pub action: &'static str,
    /// The key, the endpoint, the file.
    pub target: String,
    /// A JSON object, without secrets.
    pub detail: String,
}

/// One that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From 1, without gaps.
    pub seq: u64,
    pub at_ms: u64,
    pub who: String,
    pub action: String,
    pub target: String,
    pub detail: String,
    pub previous: [u8; 32],
    pub hash: [u8; 32],
}

impl Entry {
    /// The entry of a change, behind the last one (its number and hash; 0 and [`BEGINNING`] for the first).
    pub fn after(last: (u64, [u8; 32]), change: &Change) -> Self {
        let mut entry = Self {
            seq: last.0 + 1,
            at_ms: change.at_ms,
            who: change.who.clone(),
            action: change.action.to_owned(),
            target: change.target.clone(),
            detail: change.detail.clone(),
            previous: last.1,
            hash: BEGINNING,
        };
        entry.hash = entry.own_hash();
        entry
    }

    /// Members in their order, each with its length before it: no two entries have the same bytes.
    fn own_hash(&self) -> [u8; 32] {
        let mut sum = Sha256::new();
        let (seq, at) = (self.seq.to_be_bytes(), self.at_ms.to_be_bytes());
        let texts = [&self.who, &self.action, &self.target, &self.detail].map(|text| text.as_bytes());
        for member in [&seq[..], &at].into_iter().chain(texts).chain([&self.previous[..]]) {
            sum.update(u64::try_from(member.len()).unwrap_or(u64::MAX).to_be_bytes());
            sum.update(member);
        }
        sum.finalize().into()
    }
}

/// Where a chain is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The first entry that is not what it was, or that should be there.
    pub seq: u64,
    pub why: &'static str,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "entry {}: {}", self.seq, self.why)
    }
}

/// Follows a chain from its beginning, entry by entry.
#[derive(Debug)]
pub struct Follower {
    last: (u64, [u8; 32]),
}

impl Default for Follower {
    fn default() -> Self {
        Self { last: (0, BEGINNING) }
    }
}

impl Follower {
    /// The next entry. After an error nothing that comes is worth asking about.
    pub fn follow(&mut self, entry: &Entry) -> Result<(), Broken> {
        let seq = self.last.0 + 1;
        if entry.seq != seq {
            return Err(Broken { seq, why: "it is missing" });
        }
        if entry.previous != self.last.1 {
            return Err(Broken { seq, why: "it does not follow the entry before it" });
        }
        if entry.hash != entry.own_hash() {
            return Err(Broken { seq, why: "it was changed" });
        }
        self.last = (entry.seq, entry.hash);
        Ok(())
    }

    /// The number and hash of the last entry, which the head of the log has to name as well.
    pub fn end(&self, head: (u64, [u8; 32])) -> Result<(u64, [u8; 32]), Broken> {
        if head != self.last {
            return Err(Broken { seq: self.last.0 + 1, why: "the end of the log is missing" });
        }
        Ok(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(length: u64) -> Vec<Entry> {
        let mut last = (0, BEGINNING);
        let change = |n: u64| Change {
            at_ms: 1_000 + n,
            who: "root".into(),
            action: "key.create",
            target: format!("k{n}"),
            detail: "{}".into(),
        };
        (0..length)
            .map(|n| {
                let entry = Entry::after(last, &change(n));
                last = (entry.seq, entry.hash);
                entry
            })
            .collect()
    }

    fn check(entries: &[Entry], head: (u64, [u8; 32])) -> Result<(u64, [u8; 32]), Broken> {
        let mut follower = Follower::default();
        entries.iter().try_for_each(|entry| follower.follow(entry))?;
        follower.end(head)
    }

    #[test]
    fn any_change_to_a_chain_is_seen() {
        let good = chain(5);
        let head = (5, good[4].hash);
        assert_eq!(check(&good, head), Ok(head));
        assert_eq!(check(&[], (0, BEGINNING)), Ok((0, BEGINNING)));
        let edits: [fn(&mut Entry); 7] = [
            |entry| entry.at_ms += 1,
            |entry| entry.who.push('x'),
            |entry| entry.action = "key.revoke".into(),
            |entry| entry.target = "k0".into(),
            |entry| entry.detail = "{ }".into(),
            |entry| entry.previous[0] ^= 1,
            |entry| entry.hash[31] ^= 1,
        ];
        for edit in edits {
            let mut bad = good.clone();
            edit(&mut bad[2]);
            assert_eq!(check(&bad, head).unwrap_err().seq, 3);
        }
        let mut moved = chain(5);
        // Text that wanders from one member to the next.
        (moved[1].who, moved[1].action) = ("rootkey".into(), ".create".into());
        assert_eq!(check(&moved, head).unwrap_err(), Broken { seq: 2, why: "it was changed" });
    }

    #[test]
    fn an_entry_that_is_gone_is_missed_wherever_it_was() {
        let good = chain(5);
        let head = (5, good[4].hash);
        for gone in 0..5 {
            let mut bad = good.clone();
            bad.remove(gone);
            assert_eq!(check(&bad, head).unwrap_err().seq, u64::try_from(gone).unwrap() + 1);
        }
        let mut forged = good.clone();
        forged[2] = Entry { seq: 3, ..chain(1)[0].clone() };
        assert!(check(&forged, head).is_err());
        // Rewritten from there on: only the head that was noted elsewhere tells.
        let mut rewritten = good[..2].to_vec();
        let change = Change { at_ms: 1, who: "x".into(), action: "login", target: String::new(), detail: "{}".into() };
        rewritten.push(Entry::after((2, good[1].hash), &change));
        assert_eq!(check(&rewritten, head).unwrap_err().why, "the end of the log is missing");
    }
}
