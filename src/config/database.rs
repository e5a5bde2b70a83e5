//! `state.database`: the URL of a Postgres, taken apart as far as that concerns more than its client:
//! how TLS is used is decided here, because the client knows only part of the words of libpq.
//! <https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING> (2026-07)

use std::path::PathBuf;

use schemars::{Schema, json_schema};

use super::read::Scalar;
use crate::secret::Secret;

/// See the module documentation. The URL holds a password, so it cannot be printed.
#[derive(Debug, Clone, PartialEq)]
pub struct DatabaseUrl {
    /// As it was written, but for what is in the other members.
    pub url: Secret,
    pub tls: TlsMode,
    /// PEM file with the authority that signed the server's certificate.
    pub ca_file: Option<PathBuf>,
}

/// `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TlsMode {
    Off,
    /// Where the server has it; its certificate is not looked at.
    #[default]
    Prefer,
    /// Always; its certificate is not looked at.
    Require,
    /// Always, with a certificate of that name by a known authority.
    Verify,
}

const EXPECTED: &str = "a URL like `postgres://user:password@host:5432/name?sslmode=verify-full`";
const MODES: [(&str, TlsMode); 6] = [
    ("disable", TlsMode::Off),
    ("allow", TlsMode::Prefer),
    ("prefer", TlsMode::Prefer),
    ("require", TlsMode::Require),
    ("verify-ca", TlsMode::Verify),
    ("verify-full", TlsMode::Verify),
];

impl Scalar for DatabaseUrl {
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
        if !matches!(scheme, "postgres" | "postgresql") || rest.is_empty() || text.contains(char::is_whitespace) {
            return Err(EXPECTED.to_owned());
        }
        let (before, query) = text.split_once('?').unwrap_or((text, ""));
        let (mut tls, mut ca_file, mut kept) = (TlsMode::default(), None, Vec::new());
        for part in query.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=').ok_or(EXPECTED)? {
                ("sslmode", word) => tls = mode(word)?,
                ("sslrootcert", path) => ca_file = Some(PathBuf::from(path.replace("%2F", "/").replace("%2f", "/"))),
                _ => kept.push(part),
            }
        }
        let url = if kept.is_empty() { before.to_owned() } else { format!("{before}?{}", kept.join("&")) };
        readable(&url)?;
        Ok(Self { url: Secret::new(url), tls, ca_file })
    }

    fn schema() -> Schema {
        json_schema!({"type": "string", "pattern": "^(postgres(ql)?://|\\$\\{|file:)"})
    }
}

fn mode(word: &str) -> Result<TlsMode, String> {
    let found = MODES.iter().find(|(name, _)| *name == word).map(|(_, mode)| *mode);
    let words = MODES.map(|(name, _)| name).join(", ");
    found.ok_or_else(|| format!("`sslmode` to be one of {words}"))
}

/// What the client itself would refuse, which it would do only at its first connection.
#[cfg(feature = "proxy")]
fn readable(url: &str) -> Result<(), String> {
    let config: postgres::Config = url.parse().map_err(|_| EXPECTED)?;
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        return Err(format!("{EXPECTED}: there is no host in it"));
    }
    Ok(())
}

#[cfg(not(feature = "proxy"))]
#[expect(clippy::unnecessary_wraps, reason = "its twin has a client to ask")]
const fn readable(_: &str) -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_how_tls_is_used_and_the_client_gets_the_rest() {
        let read = |text: &str| DatabaseUrl::parse(text).unwrap();
        let plain = read("postgres://weir:hunter22@db:5432/weir");
        assert_eq!((plain.tls, plain.ca_file.clone()), (TlsMode::Prefer, None));
        assert_eq!(plain.url.expose(), "postgres://weir:hunter22@db:5432/weir");
        let full = read("postgresql://db/weir?sslmode=verify-full&connect_timeout=3&sslrootcert=%2Fetc/ca.pem");
        assert_eq!((full.tls, full.ca_file.clone()), (TlsMode::Verify, Some("/etc/ca.pem".into())));
        assert_eq!(full.url.expose(), "postgresql://db/weir?connect_timeout=3");
        assert_eq!(read("postgres://db/w?sslmode=disable").tls, TlsMode::Off);
    }

    #[test]
    fn what_is_no_url_of_a_postgres_is_refused_without_being_shown() {
        for bad in ["", "db", "mysql://u:hunter22@db/x", "postgres://", "postgres://db/x?sslmode=yes", "postgres://a b"]
        {
            let expected = DatabaseUrl::parse(bad).unwrap_err();
            assert!(!expected.contains("hunter22"), "{expected}");
        }
        assert!(!format!("{:?}", DatabaseUrl::parse("postgres://u:hunter22@db/x").unwrap()).contains("hunter22"));
    }

    #[test]
    #[cfg(feature = "proxy")]
    fn what_the_client_cannot_read_is_refused_at_once() {
        for bad in ["postgres://db:port/x", "postgres://db/x?no_such_option=1", "postgres:///x"] {
            assert!(DatabaseUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
