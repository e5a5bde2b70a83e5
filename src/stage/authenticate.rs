//! Who is asking.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Uri};

use crate::error::{Kind, Result};
use crate::limit::door::Door;
use crate::tenant::credential::{self, Forwarded};
use crate::tenant::jwt::Issuers;
use crate::tenant::keys::{Caller, Keyring};

pub use crate::tenant::address::of_caller;
pub use crate::tenant::keys::admit;

/// A caller, and what of its own goes upstream.
#[derive(Debug)]
pub struct Authenticated {
    pub caller: Arc<Caller>,
    pub forwarded: Forwarded,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// The other end of the connection.
    pub peer: Option<IpAddr>,
    /// Whom trusted proxies say it comes from, if that can be told.
    pub caller: Option<IpAddr>,
}

impl Origin {
    /// Whom the door holds to account.
    pub fn counted(self) -> Option<IpAddr> {
        self.caller.or(self.peer)
    }
}

/// Finds the key's owner. An address that keeps failing is slowed down by the door.
pub fn authenticate(
    headers: &HeaderMap,
    uri: &Uri,
    keyring: &Keyring,
    door: &Door,
    origin: Origin,
    now: SystemTime,
) -> Result<Authenticated> {
    let may_check = || origin.counted().map_or(Ok(()), |address| door.may_try(address));
    let found = credential::extract(headers, uri.query())
        .and_then(|shown| keyring.find(shown.secret(), now, may_check).map(|caller| (caller, shown.leaves_own)));
    match (found, origin.counted()) {
        (Ok((caller, leaves_own)), _) => {
            caller.admit(now, origin.caller)?;
            let is_ours = |secret: &[u8]| is_known(keyring, secret, now);
            let forwarded = if leaves_own { Forwarded::of(headers, is_ours)? } else { Forwarded::default() };
            Ok(Authenticated { caller, forwarded })
        }
        (Err(error), Some(address)) if is_guess(error.kind()) => Err(door.failed(address, error)),
        (Err(error), _) => Err(error),
    }
}

/// The same for who came in before, and may not be let in any more.
pub fn again(headers: &HeaderMap, keyring: &Keyring, origin: Origin, now: SystemTime) -> Result<Arc<Caller>> {
    let shown = credential::extract(headers, None)?;
    let caller = keyring.find(shown.secret(), now, || Ok(()))?;
    caller.admit(now, origin.caller).map(|()| caller)
}

/// Whether somebody's key here is `secret`; an error if nobody can tell at the moment.
fn is_known(keyring: &Keyring, secret: &[u8], now: SystemTime) -> Result<bool> {
    match keyring.find(secret, now, || Ok(())) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == Kind::KeysUnavailable => Err(error),
        Err(_) => Ok(false),
    }
}

/// Who knows a good key never gets one of these. One that cannot be told from no key at the moment may be
/// good: whoever shows it again and again is not to be shut out when it can be told.
fn is_guess(kind: Kind) -> bool {
    matches!(kind, Kind::MissingKey | Kind::InvalidKey)
}

/// The issuers whose first keys this request has to wait for: none, but right after a start.
pub fn awaited(headers: &HeaderMap, keyring: &Keyring) -> Option<(Arc<Issuers>, credential::Credential)> {
    let issuers = keyring.tokens().issuers().filter(|issuers| issuers.is_waiting())?;
    Some((Arc::clone(issuers), credential::extract(headers, None).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::runtime::Runtime;
    use crate::limit::Limiter;
    use crate::limit::door::DoorLimits;
    use crate::secret::minted;
    use crate::tenant::keys::Roster;

    /// Nobody has looked at the database yet: a key of our making may well be good.
    #[test]
    fn a_key_that_cannot_be_told_is_no_guess_and_one_that_can_is() {
        let (runtime, roster) = (Runtime::default(), Roster { freshness: Some(Arc::default()), ..Roster::default() });
        let bound = Limiter::new().bind_with(&runtime, roster.keys());
        let (ring, door) = (Keyring::new(&runtime, roster, &bound), Door::new(DoorLimits::default()));
        let origin = Origin { peer: Some([192, 0, 2, 7].into()), caller: None };
        let kind = |key: &str| {
            let headers = [("x-api-key", key)].map(|(name, key)| (name.parse().unwrap(), key.parse().unwrap()));
            let (headers, uri) = (headers.into_iter().collect(), Uri::from_static("/v1/models"));
            authenticate(&headers, &uri, &ring, &door, origin, SystemTime::now()).unwrap_err().kind()
        };
        let secret = minted::mint().unwrap();
        assert!((0..200).all(|_| kind(secret.expose()) == Kind::KeysUnavailable));
        assert_eq!(kind("wrong"), Kind::InvalidKey);
        assert!((0..20_000).any(|_| kind("wrong") == Kind::RateLimited));
    }
}
