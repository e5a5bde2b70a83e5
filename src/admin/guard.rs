//! Who may ask, and for what.
//!
//! Every path says in the table of routes who may do it ([`Access`]); it is looked at here, and nowhere
//! else. A tenant's administrator sees what is the tenant's: lists are asked with `tenant=` its own,
//! whatever the query says, and what is found by its id is shown only where [`super::Asked::sees`] it.

use http::{HeaderMap, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Answer;
use super::sessions::Sessions;
use crate::config::access::{AdminToken, Role};

/// Who may do something. An admin may do everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Anybody, without a token.
    Open,
    /// A viewer too.
    Look,
    /// A viewer too, and a tenant's admin what is the tenant's.
    LookOwn,
    /// Nobody else.
    Change,
    /// A tenant's admin too, what is the tenant's.
    ChangeOwn,
}

/// Somebody who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asker {
    /// For the chain of changes.
    pub(super) name: String,
    pub(super) role: Role,
    /// All that a tenant's admin sees.
    pub(super) tenant: Option<String>,
}

/// With tokens: the bearer has to show one. Without: nobody beyond this machine, nor a web page.
pub(super) fn asker(
    tokens: &[AdminToken],
    sessions: &Sessions,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Asker, Answer> {
    if tokens.is_empty() {
        return match of_this_machine(headers) {
            true => Ok(Asker { name: "local".to_owned(), role: Role::Admin, tenant: None }),
            false => {
                let text = "set admin.token to use the admin API under another host name or from a web page";
                Err(Answer::error(StatusCode::FORBIDDEN, "token_required", text))
            }
        };
    }
    let signed_in = match headers.contains_key(header::AUTHORIZATION) {
        true => None,
        false => sessions.token(headers).and_then(|digest| tokens.iter().find(|token| token.sha256 == digest)),
    };
    if signed_in.is_some() && !of_own_page(method, headers) {
        let text = "a change with a cookie needs the header x-weir-csrf, from a page of this listener";
        return Err(Answer::error(StatusCode::FORBIDDEN, "not_allowed", text));
    }
    match signed_in.or_else(|| shown(tokens, headers)) {
        Some(token) => Ok(Asker { name: token.name.clone(), role: token.role, tenant: token.tenant.clone() }),
        None => {
            let text = "this path needs 'Authorization: Bearer' with an admin token";
            Err(Answer::error(StatusCode::UNAUTHORIZED, "invalid_token", text).with(header::WWW_AUTHENTICATE, "Bearer"))
        }
    }
}

fn shown<'t>(tokens: &'t [AdminToken], headers: &HeaderMap) -> Option<&'t AdminToken> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = value.split_at_checked("bearer ".len())?;
    if scheme.eq_ignore_ascii_case(b"bearer ") { of(tokens, rest) } else { None }
}

/// The one that this text is. Digests are compared, so that not even the length can be measured, and all of
/// them, so that it takes as long whichever it is.
pub(super) fn of<'t>(tokens: &'t [AdminToken], text: &[u8]) -> Option<&'t AdminToken> {
    let shown: [u8; 32] = Sha256::digest(text.trim_ascii()).into();
    tokens.iter().fold(None, |found, token| bool::from(token.sha256.ct_eq(&shown)).then_some(token).or(found))
}

/// Whether the asker may do that.
pub(super) fn check(asker: &Asker, access: Access) -> Result<(), Answer> {
    let may = match (asker.role, access) {
        (_, Access::Open) | (Role::Admin, _) => true,
        (Role::Viewer, access) => matches!(access, Access::Look | Access::LookOwn),
        (Role::TenantAdmin, access) => matches!(access, Access::LookOwn | Access::ChangeOwn) && asker.tenant.is_some(),
    };
    match may {
        true => Ok(()),
        false => {
            let text = format!("this admin token ({}) may not do this", asker.role.as_str());
            Err(Answer::error(StatusCode::FORBIDDEN, "not_allowed", &text))
        }
    }
}

/// The query, narrowed to what the asker sees. To ask for another tenant's is refused, rather than answered
/// with something else.
pub(super) fn narrowed(asker: &Asker, query: &str) -> Result<String, Answer> {
    let Some(own) = &asker.tenant else { return Ok(query.to_owned()) };
    let (mut kept, mut foreign) = (Vec::new(), false);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let plain = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        match plain(name) == "tenant" {
            true => foreign |= plain(value) != *own,
            false => kept.push(part.to_owned()),
        }
    }
    if foreign {
        return Err(Answer::error(StatusCode::FORBIDDEN, "not_allowed", "this admin token is for another tenant"));
    }
    kept.push(format!("tenant={}", utf8_percent_encode(own, NON_ALPHANUMERIC)));
    Ok(kept.join("&"))
}

/// A page of another site, or a name that was made to resolve to loopback, gets nothing.
fn of_this_machine(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok());
    let host = text(header::HOST).map_or("localhost", without_port);
    let numeric = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok();
    let own_page =
        matches!(text(header::HeaderName::from_static("sec-fetch-site")), None | Some("none" | "same-origin"));
    // Browsers say where a change comes from also where they say nothing else of it.
    let names_host = |origin: &header::HeaderValue| {
        let shown = text(header::HOST).zip(origin.to_str().ok().and_then(|origin| origin.split_once("://")));
        shown.is_some_and(|(host, (_, authority))| authority.eq_ignore_ascii_case(host))
    };
    let own_origin = headers.get_all(header::ORIGIN).iter().all(names_host);
    own_page && own_origin && (numeric || host.eq_ignore_ascii_case("localhost"))
}

/// A cookie comes along by itself, so a page of another site must not make use of it. Another site's page
/// cannot set this header without being asked whether it may, and nobody says so here.
fn of_own_page(method: &Method, headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(header::HeaderValue::as_bytes);
    let is_own = matches!(site, None | Some(b"none" | b"same-origin"));
    is_own && (method == Method::GET || method == Method::HEAD || headers.contains_key("x-weir-csrf"))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_admin_asks_for_nothing_but_the_tenants() {
        let own = Asker { name: "a".into(), role: Role::TenantAdmin, tenant: Some("ac me".into()) };
        let of_own = |query: &str| narrowed(&own, query).map_err(|answer| answer.status.as_u16());
        assert_eq!(of_own("").as_deref(), Ok("tenant=ac%20me"));
        assert_eq!(of_own("limit=3&tenant=ac+me&x").as_deref(), Ok("limit=3&x&tenant=ac%20me"));
        for foreign in ["tenant=other", "tenant", "tenan%74=other", "tenant=ac+me&tenant=other", "tenant="] {
            assert_eq!(of_own(foreign), Err(403), "{foreign}");
        }
        let admin = Asker { tenant: None, role: Role::Admin, ..own };
        assert_eq!(narrowed(&admin, "tenant=other").ok().as_deref(), Some("tenant=other"));
    }
}
