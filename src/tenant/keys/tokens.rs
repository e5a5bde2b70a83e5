//! Bearers of tokens, as callers.
//!
//! What limits them is what limits their tenant, and the user whom the token names. The budgets' books
//! know them by their issuer (`jwt:NAME`): as many as there are tokens would be without end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Caller, unknown_key};
use crate::config::access::JWT;
use crate::config::runtime::{Key, Runtime, Tenant};
use crate::error::Result;
use crate::limit::{Bound, KeyLimits};
use crate::tenant::jwt::memory::Memory;
use crate::tenant::jwt::{Issuers, Verified};

/// Remembered as callers.
const REMEMBERED: usize = 10_000;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Tokens {
    issuers: Option<Arc<Issuers>>,
    /// For each issuer and tenant, by their names.
    seats: HashMap<String, HashMap<String, Seat>>,
    callers: Memory<(Arc<Verified>, Arc<Caller>)>,
}

/// What the bearers of one issuer's tokens for one tenant have in common.
#[derive(Debug)]
struct Seat {
    /// Stands for them where limits are bound. No secret has this hash: it is none.
    number: [u8; 32],
    key: Arc<Key>,
    limits: Arc<KeyLimits>,
}

impl Tokens {
    pub fn new(runtime: &Runtime, issuers: Arc<Issuers>) -> Self {
        let mut seats: HashMap<String, HashMap<String, Seat>> = HashMap::new();
        let mut next = 0_u64;
        for (name, tenants) in issuers.tenants() {
            let may_be = |tenant: &&Arc<Tenant>| tenants.as_ref().is_none_or(|list| list.contains(&tenant.id.as_str()));
            let of_issuer = runtime.tenants.iter().filter(may_be).map(|tenant| {
                next += 1;
                let key = Key { id: format!("{JWT}{name}"), tenant: Arc::clone(tenant), ..Key::default() };
                let mut number = [0xff; 32];
                number.iter_mut().zip(next.to_be_bytes()).for_each(|(to, from)| *to = from);
                (tenant.id.clone(), Seat { number, key: Arc::new(key), limits: Arc::default() })
            });
            let of_issuer = of_issuer.collect();
            seats.insert(name.to_owned(), of_issuer);
        }
        Self { issuers: Some(issuers).filter(|issuers| !issuers.is_empty()), seats, callers: Memory::new(REMEMBERED) }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&[u8; 32], &Arc<Key>)> {
        self.seats.values().flat_map(HashMap::values).map(|seat| (&seat.number, &seat.key))
    }

    /// With the limits that were bound for [`Self::keys`].
    pub(super) fn bound(mut self, bound: &Bound) -> Self {
        for seat in self.seats.values_mut().flat_map(HashMap::values_mut) {
            seat.limits = bound.get(&seat.number).map(Arc::clone).unwrap_or_default();
        }
        self
    }

    pub fn issuers(&self) -> Option<&Arc<Issuers>> {
        self.issuers.as_ref()
    }

    pub(super) fn find(
        &self,
        token: &[u8],
        sha256: &[u8; 32],
        now: SystemTime,
        may_check: impl FnOnce() -> Result<()>,
    ) -> Result<Arc<Caller>> {
        let issuers = self.issuers.as_ref().ok_or_else(unknown_key)?;
        let verified = issuers.verify(token, sha256, now, may_check)?;
        if let Some((known, caller)) = self.callers.get(sha256)
            && Arc::ptr_eq(&known, &verified)
        {
            return Ok(caller);
        }
        let caller = Arc::new(self.caller(&verified)?);
        self.callers.put(*sha256, (verified, Arc::clone(&caller)));
        Ok(caller)
    }

    fn caller(&self, verified: &Verified) -> Result<Caller> {
        let seat = self.seats.get(&verified.issuer_name).and_then(|seats| seats.get(&verified.tenant));
        let seat = seat.ok_or_else(|| {
            tracing::debug!(issuer = %verified.issuer_name, "a token was refused: its tenant is not one of ours");
            unknown_key()
        })?;
        let key = Key {
            id: verified.key_id.clone(),
            tenant: Arc::clone(&seat.key.tenant),
            expires: Some(verified.expires_at),
            models: verified.models.clone(),
            ..Key::default()
        };
        Ok(Caller { key: Arc::new(key), limits: Arc::clone(&seat.limits), user: verified.user.clone() })
    }
}
