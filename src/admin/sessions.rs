//! Browsers that have shown an admin token: from then on they show a cookie, which is of use here alone,
//! ends by itself, and is worth nothing once its token is.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, header};
use sha2::{Digest as _, Sha256};

pub(super) const COOKIE: &str = "weir_session";
const LIFETIME: Duration = Duration::from_secs(12 * 3_600);
/// Whoever signs in beyond that ends the oldest session.
const MOST: usize = 256;

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

/// By the digest of its cookie: what is in memory opens nothing.
#[derive(Debug, Clone, Copy)]
struct Session {
    /// Of the admin token.
    token_sha256: [u8; 32],
    began_at: Instant,
}

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the header that sets the cookie. `None`: there is no randomness.
    pub(super) fn begin(&self, token_sha256: [u8; 32]) -> Option<String> {
        let mut random = [0; 32];
        getrandom::fill(&mut random).ok()?;
        let secret = hex::encode(random);
        let mut all = self.all();
        all.retain(|_, session| session.began_at.elapsed() < LIFETIME);
        if all.len() >= MOST {
            let oldest = all.iter().min_by_key(|(_, session)| session.began_at).map(|(digest, _)| *digest);
            oldest.and_then(|digest| all.remove(&digest));
        }
        all.insert(digest(&secret), Session { token_sha256, began_at: Instant::now() });
        Some(format!("{COOKIE}={secret}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict", LIFETIME.as_secs()))
    }

    /// The digest of the token that the browser once showed.
    pub(super) fn token(&self, headers: &HeaderMap) -> Option<[u8; 32]> {
        let all = self.all();
        let session = all.get(&digest(shown(headers)?))?;
        (session.began_at.elapsed() < LIFETIME).then_some(session.token_sha256)
    }

    /// Gives the header that takes the cookie away.
    pub(super) fn end(&self, headers: &HeaderMap) -> String {
        if let Some(secret) = shown(headers) {
            self.all().remove(&digest(secret));
        }
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }
}

fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// The cookie's value.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(cookie: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())])
    }

    #[test]
    fn a_session_begins_is_known_and_ends() {
        let sessions = Sessions::default();
        let set = sessions.begin([7; 32]).unwrap();
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
        let cookie = set.split(';').next().unwrap();
        assert_eq!(sessions.token(&with(&format!("theme=dark; {cookie}"))), Some([7; 32]));
        assert_eq!(sessions.token(&with(&format!("{COOKIE}={}", "0".repeat(64)))), None);
        assert_eq!(sessions.token(&HeaderMap::new()), None);
        assert!(sessions.end(&with(cookie)).contains("Max-Age=0"));
        assert_eq!(sessions.token(&with(cookie)), None);
    }

    #[test]
    fn they_are_bounded() {
        let sessions = Sessions::default();
        let first = sessions.begin([1; 32]).unwrap();
        (0..MOST).for_each(|_| drop(sessions.begin([2; 32])));
        assert_eq!(sessions.all().len(), MOST);
        assert_eq!(sessions.token(&with(first.split(';').next().unwrap())), None, "the oldest has ended");
    }
}
