//! A key that is kept nowhere but in the configuration: made, and printed with its line there.

use serde::Serialize;

use crate::cli::print;
use crate::config::access::JWT;
use crate::config::load::hash_of;
use crate::config::read::{Day, Name, Scalar as _};
use crate::secret::minted;

/// What is asked for.
pub(super) struct Wanted<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) tenant: &'a str,
    pub(super) expires: Option<&'a str>,
    pub(super) json: bool,
}

#[derive(Serialize)]
struct Made<'a> {
    tenant: &'a str,
    id: &'a str,
    secret: &'a str,
    sha256: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<&'a str>,
}

pub(super) fn print(wanted: &Wanted<'_>) -> Result<(), String> {
    Name::check(wanted.tenant).map_err(|expected| format!("--tenant: expected {expected}"))?;
    if let Some(expires) = wanted.expires {
        Day::parse(expires).map_err(|expected| format!("--expires: expected {expected}"))?;
    }
    let secret = minted::mint().ok_or("the system gives no random numbers")?;
    let sha256 = hash_of(secret.expose());
    let default = format!("{}-{}", wanted.tenant, minted::handle(&secret).unwrap_or_default());
    let id = wanted.id.unwrap_or(&default);
    Name::check(id).map_err(|expected| format!("--id: expected {expected}"))?;
    if id.starts_with(JWT) {
        return Err("--id: expected one that does not begin with `jwt:`, as those of tokens do".to_owned());
    }
    let made = Made { tenant: wanted.tenant, id, secret: secret.expose(), sha256: &sha256, expires: wanted.expires };
    if wanted.json {
        print::json(&made);
    } else {
        show(&made);
    }
    Ok(())
}

fn show(made: &Made<'_>) {
    let expires = made.expires.map(|at| format!(", expires: {at}")).unwrap_or_default();
    print::note("The key, for the client. It is not kept anywhere and will not be shown again:\n");
    print::out(made.secret);
    print::note("\nFor the configuration:\n");
    print::out(&format!(
        "tenants:\n  {}:\n    keys:\n      - {{id: {}, sha256: {}{expires}}}",
        made.tenant, made.id, made.sha256
    ));
}
