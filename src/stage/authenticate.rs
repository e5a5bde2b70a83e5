//! Who is asking.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Uri};

use crate::error::{Kind, Result};
use crate::limit::door::Door;
use crate::tenant::credential;
use crate::tenant::keys::{Caller, Keyring};

pub use crate::tenant::keys::admit;

/// A caller, and whether its own provider credential goes upstream.
#[derive(Debug)]
pub struct Authenticated {
    pub caller: Arc<Caller>,
    pub pass_through: bool,
}

/// Finds the key's owner. An address that keeps failing is slowed down by the door.
pub fn authenticate(
    headers: &HeaderMap,
    uri: &Uri,
    keyring: &Keyring,
    door: &Door,
    address: Option<IpAddr>,
    now: SystemTime,
) -> Result<Authenticated> {
    let found = credential::extract(headers, uri.query())
        .and_then(|shown| keyring.find(shown.secret(), now).map(|caller| (Arc::clone(caller), shown.pass_through)));
    match (found, address) {
        (Ok((caller, pass_through)), _) => Ok(Authenticated { caller, pass_through }),
        (Err(error), Some(address)) if matches!(error.kind(), Kind::MissingKey | Kind::InvalidKey) => {
            Err(door.failed(address, error))
        }
        (Err(error), _) => Err(error),
    }
}
