//! Where a client's credential stands.
//!
//! In this order: `x-weir-api-key` wins over all, and leaves the client's own credential, if it brought one, to be
//! sent on to the upstream untouched; then `authorization: Bearer` and `Basic` (the key is the user name),
//! `x-api-key` (Anthropic), `x-goog-api-key` (Gemini), `api-key` (Azure), and last the subprotocol that
//! browsers open a WebSocket with. A header that is there and
//! empty, or an `authorization` of another kind, counts as absent. Keys in the query are refused: queries end up in logs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use zeroize::Zeroizing;

use super::keys::missing_key;
use crate::error::{Error, Kind, Result};
use crate::secret::Secret;
use crate::secret::header::secrets_in;

/// Ours: leaves the client's own credential for the upstream.
pub static WEIR_KEY: HeaderName = HeaderName::from_static("x-weir-api-key");

/// Every header that carries a credential. Authentication reads these, redaction hides these, and none
/// of them reaches an upstream except by pass-through.
pub static CREDENTIAL_HEADERS: [HeaderName; 8] = [
    HeaderName::from_static("x-weir-api-key"),
    header::AUTHORIZATION,
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
    header::PROXY_AUTHORIZATION,
    header::COOKIE,
    header::SEC_WEBSOCKET_PROTOCOL,
];

/// Those of [`CREDENTIAL_HEADERS`] that hold nothing but the key.
static PLAIN_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
    HeaderName::from_static("api-key"),
];

/// How browsers, which cannot set headers, send a key with a WebSocket.
const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// Query parameters that would hold a key.
const QUERY_KEYS: [&str; 8] =
    ["key", "api_key", "api-key", "apikey", "x-api-key", "x-weir-api-key", "x-goog-api-key", "access_token"];

/// A credential as shown; cleared from memory when it goes.
pub struct Credential {
    secret: Zeroizing<Vec<u8>>,
    /// It came as `x-weir-api-key`: other credentials beside it are the client's own ([`Forwarded`]).
    pub leaves_own: bool,
}

impl Credential {
    /// For [`super::keys::Keyring::find`].
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("leaves_own", &self.leaves_own).finish_non_exhaustive()
    }
}

/// The credential of a request. Refuses a key in the query (401, and the key is not repeated), a header
/// that comes twice with different values, and a request that shows nothing.
pub fn extract(headers: &HeaderMap, query: Option<&str>) -> Result<Credential> {
    refuse_query_key(query)?;
    if let Some(key) = single(headers, &WEIR_KEY)? {
        return Ok(Credential { secret: Zeroizing::new(key.to_vec()), leaves_own: true });
    }
    let own = |secret| Credential { secret, leaves_own: false };
    if let Some(secret) = single(headers, &header::AUTHORIZATION)?.and_then(authorization) {
        return Ok(own(secret));
    }
    for name in &PLAIN_HEADERS {
        if let Some(key) = single(headers, name)? {
            return Ok(own(Zeroizing::new(key.to_vec())));
        }
    }
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    match protocols.flat_map(|list| list.split(',')).find_map(|protocol| protocol.trim().strip_prefix(KEY_PROTOCOL)) {
        Some(key) if !key.is_empty() => Ok(own(Zeroizing::new(key.as_bytes().to_vec()))),
        _ => Err(missing_key()),
    }
}

/// Whether a WebSocket's subprotocol holds a key.
pub fn is_key(protocol: &str) -> bool {
    protocol.starts_with(KEY_PROTOCOL)
}

/// The client's own credential, which goes upstream in place of the provider's: its headers as they came.
#[derive(Default)]
pub struct Forwarded {
    headers: Vec<(&'static str, HeaderValue)>,
    secrets: Vec<Secret>,
}

impl Forwarded {
    /// What a request that shows `x-weir-api-key` has beside it. Keys of this gateway, which `is_ours` tells,
    /// are for nobody else: a header that holds one stays here.
    pub fn of(headers: &HeaderMap, mut is_ours: impl FnMut(&[u8]) -> Result<bool>) -> Result<Self> {
        const NAMES: [&str; 4] = ["authorization", "x-api-key", "x-goog-api-key", "api-key"];
        let mut forwarded = Self::default();
        for (name, value) in NAMES.into_iter().filter_map(|name| Some((name, headers.get(name)?))) {
            // What cannot be read cannot be told from a key of this gateway.
            let Ok(text) = value.to_str() else { continue };
            let secrets = secrets_in(text);
            let mut ours = secrets.is_empty();
            for secret in &secrets {
                ours = ours || is_ours(secret.expose().as_bytes())?;
            }
            if !ours {
                forwarded.headers.push((name, value.clone()));
                forwarded.secrets.extend(secrets);
            }
        }
        Ok(forwarded)
    }

    /// Whether the client brought one.
    pub fn is_some(&self) -> bool {
        !self.headers.is_empty()
    }

    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (*name, value))
    }

    /// What is to be taken out of whatever the upstream says of them.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

impl std::fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|(name, _)| name)).finish()
    }
}

/// Fails if the query holds a key, wherever else one stands.
pub fn refuse_query_key(query: Option<&str>) -> Result<()> {
    let mut names = query.unwrap_or_default().split('&').filter_map(|pair| pair.split('=').next());
    if names.any(is_query_key) {
        let text = "an API key in the URL is not accepted: send it as 'Authorization: Bearer' or 'x-api-key'";
        return Err(Error::new(Kind::InvalidKey, text));
    }
    Ok(())
}

/// Whether a query parameter of that name (as it stands in the URL) would hold a key.
pub fn is_query_key(name: &str) -> bool {
    let plain = unescaped(name);
    QUERY_KEYS.iter().any(|key| key.eq_ignore_ascii_case(&plain))
}

/// A parameter's name without percent escapes: `%6bey` is `key` too.
fn unescaped(name: &str) -> String {
    let mut plain = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = [ahead.next(), ahead.next()].map(|digit| digit.and_then(|d| char::from(d).to_digit(16)));
        match (byte, digits) {
            (b'%', [Some(high), Some(low)]) => {
                plain.push(u8::try_from(high * 16 + low).unwrap_or_default());
                bytes = ahead;
            }
            (byte, _) => plain.push(byte),
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The header's value if it is there and not empty. Twice the same is once; two different ones would
/// let two hops see two callers.
fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>> {
    let mut values = headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii());
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Error::new(Kind::InvalidKey, "a credential header was sent twice with different values"));
    }
    Ok(Some(first).filter(|value| !value.is_empty()))
}

fn authorization(value: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let at = value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = value.split_at(at);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec())).filter(|key| !key.is_empty());
    }
    if scheme.eq_ignore_ascii_case(b"basic") {
        let pair = Zeroizing::new(STANDARD.decode(rest).ok()?);
        let user = pair.split(|byte| *byte == b':').next()?;
        return Some(Zeroizing::new(user.to_vec())).filter(|key| !key.is_empty());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn found(pairs: &[(&'static str, &str)]) -> Option<(String, bool)> {
        let credential = extract(&headers(pairs), None).ok()?;
        Some((String::from_utf8(credential.secret().to_vec()).unwrap(), credential.leaves_own))
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        let own = |key: &str| Some((key.to_owned(), false));
        assert_eq!(found(&[("sec-websocket-protocol", "realtime, openai-insecure-api-key.k6")]), own("k6"));
        assert_eq!(found(&[("sec-websocket-protocol", "realtime, openai-insecure-api-key.")]), None);
        assert_eq!(found(&[("authorization", "Bearer k1")]), own("k1"));
        assert_eq!(found(&[("authorization", "bearer   k1 ")]), own("k1"));
        assert_eq!(found(&[("authorization", "Basic azI6")]), own("k2"));
        assert_eq!(found(&[("authorization", "Basic azI=")]), own("k2"));
        assert_eq!(found(&[("x-api-key", "k3")]), own("k3"));
        assert_eq!(found(&[("x-goog-api-key", "k4")]), own("k4"));
        assert_eq!(found(&[("api-key", "k5")]), own("k5"));
        assert_eq!(found(&[("x-api-key", "k3"), ("authorization", "Bearer k1")]), own("k1"));
        for unusable in ["", "Bearer", "Digest k1"] {
            assert_eq!(found(&[("authorization", unusable), ("x-api-key", "k3")]), own("k3"));
        }
    }

    #[test]
    fn ours_wins_and_leaves_the_clients_own_for_the_upstream() {
        let all = [("authorization", "Bearer theirs"), ("x-weir-api-key", "ours"), ("x-api-key", "too")];
        assert_eq!(found(&all), Some(("ours".to_owned(), true)));
        let all = headers(&all);
        let own = Forwarded::of(&all, |_| Ok(false)).unwrap();
        let shown: Vec<_> = own.headers().map(|(name, value)| (name, value.to_str().unwrap())).collect();
        assert_eq!(shown, [("authorization", "Bearer theirs"), ("x-api-key", "too")]);
        assert_eq!(format!("{own:?}"), r#"["authorization", "x-api-key"]"#);
    }

    #[test]
    fn a_key_of_this_gateway_is_nobodys_own() {
        let of = |pairs: &[(&'static str, &str)]| {
            let own = Forwarded::of(&headers(pairs), |secret| Ok(secret == b"ours")).unwrap();
            own.headers().map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(of(&[("authorization", "Bearer ours"), ("x-api-key", "theirs")]), ["x-api-key"]);
        assert_eq!(of(&[("authorization", "Basic b3VyczpwYXNz"), ("x-api-key", "ours")]), [""; 0]);
        assert_eq!(of(&[("authorization", "ours"), ("x-api-key", "")]), [""; 0]);
        for written in [
            "Basic b3Vycw==",
            "Basic b3Vycw",
            "Basic b3Vyczo",
            "Bearer\tours",
            "Bearer \"ours\"",
            "Bearer ours, Bearer x",
        ] {
            assert_eq!(of(&[("authorization", written)]), [""; 0], "{written}");
        }
        for nothing in ["Bearer", "bearer ", "Basic", " ", "Bearer \u{e9}"] {
            assert_eq!(of(&[("authorization", nothing)]), [""; 0], "{nothing}");
        }
        assert_eq!(of(&[("authorization", "Bearer theirs")]), ["authorization"]);
        assert_eq!(of(&[("authorization", "theirs")]), ["authorization"]);
        let away = |_: &[u8]| Err(missing_key());
        assert!(Forwarded::of(&headers(&[("api-key", "theirs")]), away).is_err(), "nobody can tell whose it is");
    }

    #[test]
    fn nothing_usable_is_missing() {
        for pairs in [&[][..], &[("authorization", "Bearer")], &[("authorization", "Bearer ")]] {
            assert_eq!(extract(&headers(pairs), None).unwrap_err().kind(), Kind::MissingKey);
        }
        for scheme in ["Digest k1", "k1", "Basic !!!", "Basic Og=="] {
            assert_eq!(extract(&headers(&[("authorization", scheme)]), None).unwrap_err().kind(), Kind::MissingKey);
        }
    }

    #[test]
    fn two_callers_in_one_request_are_none() {
        let twice = [("x-api-key", "k3"), ("x-api-key", "k4")];
        assert_eq!(extract(&headers(&twice), None).unwrap_err().kind(), Kind::InvalidKey);
        assert_eq!(found(&[("x-api-key", "k3"), ("x-api-key", "k3")]), Some(("k3".to_owned(), false)));
    }

    #[test]
    fn a_key_in_the_query_is_refused_and_not_repeated() {
        let good = headers(&[("x-api-key", "k3")]);
        for name in ["key", "api_key", "api-key", "KEY", "%6bey", "api%5Fkey"] {
            let query = format!("beta=true&{name}=sk-in-the-open");
            let refused = extract(&good, Some(&query)).unwrap_err();
            assert_eq!(refused.status(), 401);
            assert!(!format!("{refused:?} {refused}").contains("sk-in"));
        }
        assert!(extract(&good, Some("beta=true&monkey=1&limit=1000&keys")).is_ok());
    }

    #[test]
    fn a_credential_is_never_printed() {
        let credential = extract(&headers(&[("x-api-key", "sk-secret")]), None).unwrap();
        assert!(!format!("{credential:?}").contains("sk-secret"));
    }

    #[test]
    fn every_header_read_is_on_the_list() {
        for name in PLAIN_HEADERS.iter().chain([&WEIR_KEY, &header::AUTHORIZATION]) {
            assert!(CREDENTIAL_HEADERS.contains(name));
        }
        let all = headers(&[("authorization", "a"), ("x-api-key", "b"), ("x-goog-api-key", "c"), ("api-key", "d")]);
        let own = Forwarded::of(&all, |_| Ok(false)).unwrap();
        assert!(own.headers().all(|(name, _)| CREDENTIAL_HEADERS.iter().any(|known| known == name)));
        assert_eq!(own.headers().count(), 4);
    }
}
