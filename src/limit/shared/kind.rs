//! What a counter of the store counts.

use crate::limit::window::Measure;

/// The longest that a lease lives; shorter windows have shorter ones.
pub(super) const LEASE_MS: u64 = 1_000;
const SHORTEST_LEASE_MS: u64 = 50;

/// What is counted, and how much of it there may be. Units are whole numbers below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In any `length_ms`, sliding.
    Window { limit: u64, length_ms: u64 },
    /// Until a moment (milliseconds since 1970), or ever. The id says which period it is.
    Total { limit: u64, ends_at_ms: Option<u64> },
    /// At the same time.
    Concurrency { limit: u64 },
}

impl Kind {
    pub const fn limit(self) -> u64 {
        match self {
            Self::Window { limit, .. } | Self::Total { limit, .. } | Self::Concurrency { limit } => limit,
        }
    }

    /// So much of it a single request is charged with at most, however much it asks for.
    pub(in crate::limit) fn most_charged(self) -> u64 {
        match self {
            Self::Window { limit, length_ms } => Measure { limit, length_ms }.most_charged(),
            Self::Total { .. } | Self::Concurrency { .. } => u64::MAX,
        }
    }

    pub(super) fn lease_ms(self) -> u64 {
        match self {
            Self::Window { length_ms, .. } => (length_ms / 10).clamp(SHORTEST_LEASE_MS, LEASE_MS),
            Self::Total { .. } | Self::Concurrency { .. } => LEASE_MS,
        }
    }

    pub(super) fn share(self, replicas: u64) -> u64 {
        (self.limit() / replicas.max(1)).max(1)
    }
}
