//! `server`, `admin` and `state`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::access::AdminToken;
use crate::config::database::DatabaseUrl;
use crate::config::raw::{self, ListenFull};
use crate::config::read::{At, Context, Either};
use crate::config::runtime::{Admin, LedgerRules, Listen, Server, State, TlsFiles};
use crate::secret::Secret;

/// Roll-ups are by day, and what is deleted goes by whole days.
const SHORTEST_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);
/// Each thread has segments of its own: so much of the log for each, and so much at least.
const LOG_OF_A_THREAD: usize = 256 << 10;
const SMALLEST_LOG: usize = 1 << 20;
const SOONEST_SYNC: Duration = Duration::from_millis(1);
const LATEST_SYNC: Duration = Duration::from_secs(60);
const MOST_THREADS: usize = 1024;

pub(super) fn server(raw: &raw::Server, cx: &mut Context<'_>) -> Server {
    let mut listen: Vec<Listen> = Vec::new();
    for entry in &raw.listen.0 {
        let Some(one) = one_listen(entry, cx) else { continue };
        if listen.iter().any(|l| clash(l.address, one.address)) {
            cx.say(entry.place, format!("`{}` is there twice", one.address)).label("each address once");
        }
        listen.push(one);
    }
    if *raw.threads > MOST_THREADS {
        cx.say(raw.threads.place, "too many threads").label(format!("expected 0 to {MOST_THREADS}"));
    }
    Server {
        listen,
        threads: *raw.threads,
        max_body_bytes: raw.max_body.0,
        body_timeout: raw.body_timeout.0,
        keepalive: raw.keepalive.0,
        write_timeout: raw.write_timeout.0,
        grace_period: raw.grace_period.0,
        max_answer_bytes: raw.max_answer.0,
        trusted_proxies: raw.trusted_proxies.iter().map(|network| network.value.0).collect(),
    }
}

/// Port 0 is another one each time.
fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a == b && a.port() != 0
}

/// Whether both cannot be listened on: an address that stands for all of its family takes the port from each.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let is_everywhere = a.ip().is_unspecified() || b.ip().is_unspecified();
    clash(a, b) || (is_everywhere && a.is_ipv4() == b.is_ipv4() && a.port() == b.port() && a.port() != 0)
}

fn one_listen(entry: &At<raw::Listen>, cx: &mut Context<'_>) -> Option<Listen> {
    match &entry.value {
        Either::Plain(address) => Some(Listen { address: address.0, tls: None }),
        Either::Full(full) => Some(Listen { address: need_address(full, cx)?.0, tls: tls(full, cx) }),
    }
}

fn need_address<'f>(full: &'f ListenFull, cx: &mut Context<'_>) -> Option<&'f crate::config::read::Address> {
    if !full.written.contains(&"address") {
        cx.say(full.place, "an address is missing").label("expected `address: 0.0.0.0:8443`");
    }
    full.address.as_deref()
}

fn tls(full: &ListenFull, cx: &mut Context<'_>) -> Option<TlsFiles> {
    match (&full.cert, &full.key) {
        (Some(cert), Some(key)) => {
            pem(cert, "CERTIFICATE", cx);
            pem(key, "PRIVATE KEY", cx);
            Some(TlsFiles { cert: PathBuf::clone(cert), key: PathBuf::clone(key) })
        }
        _ if full.written.contains(&"cert") == full.written.contains(&"key") => None,
        _ => {
            cx.say(full.place, "half of a TLS configuration").label("expected both `cert` and `key`, or none");
            None
        }
    }
}

/// The file must be there and hold what it should.
pub(super) fn pem(path: &At<PathBuf>, what: &str, cx: &mut Context<'_>) {
    let shown = path.display();
    match cx.env.read(Path::new(path.as_path())) {
        Ok(text) if text.contains("-----BEGIN ") && text.contains(what) => {}
        Ok(_) => {
            let message = format!("no {} in `{shown}`", what.to_ascii_lowercase());
            cx.say(path.place, message).label(format!("expected a PEM file with `-----BEGIN {what}-----`"));
        }
        Err(error) => {
            cx.say(path.place, format!("cannot read the file `{shown}`")).label(error.to_string());
        }
    }
}

/// Where limits and budgets are shared. What is wrong is said without repeating it: there may be a
/// password in it.
fn store(raw: &raw::State, cx: &mut Context<'_>) -> Option<Secret> {
    let given = raw.shared.as_ref()?;
    if let Err(expected) = store_url(given.0.expose()) {
        cx.say(given.place, "not the URL of a store").label(format!("expected {expected}"));
    }
    Some(given.0.clone())
}

fn store_url(url: &str) -> Result<(), &'static str> {
    const USUAL: &str = "redis://[user:password@]host[:port][/database], or rediss:// with TLS";
    let rest = url.strip_prefix("redis://").or_else(|| url.strip_prefix("rediss://")).ok_or(USUAL)?;
    if rest.contains(['?', '#']) {
        return Err("no `?` and no `#`; percent-encode them in a password");
    }
    // As whoever asks the store reads it: the first `/` ends what stands before the database.
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains('@') {
        return Err("`@`, `:`, `/` and `%` percent-encoded in a password");
    }
    let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
    let is_number = |text: &str, most: u32| text.parse::<u32>().is_ok_and(|number| number <= most);
    if !database.is_empty() && !is_number(database, 1_000_000) {
        return Err("the number of a database behind the `/`");
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    match port {
        _ if host.is_empty() => Err(USUAL),
        Some(port) if !is_number(port, 65_535) => Err("a port up to 65535"),
        _ => Ok(()),
    }
}

pub(super) fn admin(
    raw: &raw::Admin,
    tokens: Vec<AdminToken>,
    server: &raw::Server,
    cx: &mut Context<'_>,
) -> Option<Admin> {
    let listen = raw.listen.0;
    let address = |entry: &raw::Listen| match entry {
        Either::Plain(address) => Some(address.0),
        Either::Full(full) => full.address.as_ref().map(|address| address.0),
    };
    let is_same = |public: &&At<raw::Listen>| address(public).is_some_and(|public| overlap(public, listen));
    if let Some(public) = server.listen.0.iter().find(is_same) {
        // The default address of the one may have been taken for the other.
        let place = if raw.written.contains(&"listen") { raw.listen.place } else { public.place };
        cx.say(place, "the admin address is also a public one")
            .label("expected an address of its own")
            .help("metrics and the admin API never share a port with clients");
    }
    // One that could not be read has been reported, and is no missing one.
    let has_tokens = raw.written.contains(&"token") || !raw.tokens.is_empty();
    if !has_tokens && !listen.ip().is_loopback() {
        cx.say(raw.listen.place, "the admin API is reachable from other machines and has no token")
            .label("expected a loopback address, or a token")
            .help("write `token: ${WEIR_ADMIN_TOKEN}` in `admin`");
    }
    Some(Admin { listen, tokens })
}

pub(super) fn state(raw: &raw::State, threads: usize, cx: &mut Context<'_>) -> State {
    if raw.retention.0 < SHORTEST_RETENTION {
        cx.say(raw.retention.place, "rows of the ledger would hardly be kept").label("expected at least 1d");
    }
    let database = raw.database.as_ref().map(|at| at.value.clone());
    if let (Some(DatabaseUrl { ca_file: Some(path), .. }), Some(written)) = (&database, &raw.database) {
        pem(&At { value: path.clone(), place: written.place }, "CERTIFICATE", cx);
    }
    State {
        dir: PathBuf::clone(&raw.dir.value),
        database,
        retention: raw.retention.0,
        ledger: ledger(&raw.ledger, threads, cx),
        shared: store(raw, cx),
        on_store_loss: raw.on_store_loss.value.0,
    }
}

fn ledger(raw: &raw::Ledger, threads: usize, cx: &mut Context<'_>) -> LedgerRules {
    let smallest = threads.saturating_mul(LOG_OF_A_THREAD).max(SMALLEST_LOG);
    if raw.max_size.0 < smallest {
        let expected = format!("expected at least {}KiB, for {threads} threads", smallest >> 10);
        cx.say(raw.max_size.place, "the ledger's log would be full at once").label(expected);
    }
    if !(SOONEST_SYNC..=LATEST_SYNC).contains(&raw.sync.0) {
        cx.say(raw.sync.place, "not a beat for the ledger's log").label("expected 1ms to 1m");
    }
    LedgerRules {
        enabled: *raw.enabled,
        most_bytes: u64::try_from(raw.max_size.0).unwrap_or(u64::MAX),
        sync: raw.sync.0,
        serve_unrecorded: raw.when_full.serves,
    }
}

#[cfg(test)]
mod tests {
    use super::{overlap, store_url};
    use crate::config::env::Table;
    use crate::config::load::from_text;

    #[test]
    fn a_token_that_cannot_be_read_is_not_missing_too() {
        let text = "admin: {listen: '0.0.0.0:8081', token: '${NOT_SET}'}\nproviders: {simulator: {base_url: 'http://h'}}\n\
                    tenants: {t: {keys: [{id: k, secret: kkkk}]}}\n";
        let report = from_text(text, "x", &Table::default()).unwrap_err();
        assert_eq!(report.len(), 1, "{report}");
        assert!(report.to_string().contains("`NOT_SET` is not set"), "{report}");
    }

    #[test]
    fn an_address_that_stands_for_all_takes_the_port_from_each() {
        let both = |a: &str, b: &str| overlap(a.parse().unwrap(), b.parse().unwrap());
        for (a, b) in [("0.0.0.0:80", "127.0.0.1:80"), ("127.0.0.1:80", "0.0.0.0:80"), ("[::]:80", "[::1]:80")] {
            assert!(both(a, b), "{a} {b}");
        }
        for (a, b) in [("0.0.0.0:80", "127.0.0.1:81"), ("0.0.0.0:0", "127.0.0.1:0"), ("10.0.0.1:80", "127.0.0.1:80")] {
            assert!(!both(a, b), "{a} {b}");
        }
    }

    #[test]
    fn a_store_that_could_not_be_asked_is_none() {
        for good in
            ["redis://h", "rediss://h:1/2", "redis://u:p@h:1", "redis://:p%40%3A%2F@[::1]:6379/0", "redis://u:p:w@h"]
        {
            assert_eq!(store_url(good), Ok(()), "{good}");
        }
        for bad in
            ["redis://u:p/w@h", "redis://:p@ss:/w@h:6379", "redis://:a?b@h", "redis://", "http://h", "redis://h:x"]
        {
            assert!(store_url(bad).is_err(), "{bad}");
        }
    }
}
