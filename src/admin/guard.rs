//! Who may ask.

use http::{HeaderMap, StatusCode, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Answer;
use crate::secret::Secret;

/// With a token: the bearer has to show it. Without: nobody beyond this machine, nor a web page.
pub(super) fn check(token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Answer> {
    match token {
        Some(token) if shows(token, headers) => Ok(()),
        Some(_) => {
            let text = "this path needs 'Authorization: Bearer' with the admin token";
            Err(Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", text).with(header::WWW_AUTHENTICATE, "Bearer"))
        }
        None if of_this_machine(headers) => Ok(()),
        None => {
            let text = "set admin.token to use the admin API under another host name or from a web page";
            Err(Answer::error(StatusCode::FORBIDDEN, "token_required", text))
        }
    }
}

/// Digests are compared, so that not even the length can be measured.
fn shows(token: &Secret, headers: &HeaderMap) -> bool {
    let shown = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).and_then(|value| {
        let (scheme, rest) = value.split_at_checked("bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
    });
    let Some(shown) = shown else { return false };
    Sha256::digest(shown).ct_eq(&Sha256::digest(token.expose())).into()
}

/// A page of another site, or a name that was made to resolve to loopback, gets nothing.
fn of_this_machine(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).map_or("localhost", without_port);
    let numeric = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let own_page =
        matches!(text(header::HeaderName::from_static("sec-fetch-site")), None | Some("none" | "same-origin"));
    own_page && (numeric || host.eq_ignore_ascii_case("localhost"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
