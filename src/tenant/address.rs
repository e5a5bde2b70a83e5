//! Where a request comes from.
//!
//! What a client writes into `x-forwarded-for` is its own affair, and no use for deciding anything. Only
//! from a proxy that the operator named is the header read, and then from its end: each proxy adds the
//! address it was called from, so the last address that is no proxy's is the first that somebody
//! trustworthy saw.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};

use crate::config::access::{IpNet, holds};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The caller's address, behind whatever trusted proxies there are. `None` where a trusted proxy says
/// what is no address: then nobody knows.
pub fn of_caller(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut caller = peer.to_canonical();
    if !holds(trusted, caller) {
        return Some(caller);
    }
    let lines: Vec<&[u8]> = headers.get_all(FORWARDED_FOR).iter().map(|line| line.as_bytes()).collect();
    let hops = lines.iter().rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
    for hop in hops {
        caller = read(hop)?;
        if !holds(trusted, caller) {
            return Some(caller);
        }
    }
    Some(caller)
}

/// An address, with or without a port.
fn read(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim();
    let plain = text.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    plain.or_else(with_port).or_else(in_brackets).map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, lines: &[&str], trusted: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|network| network.parse().unwrap()).collect();
        of_caller(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn nobody_is_believed_who_is_not_named() {
        assert_eq!(caller("198.51.100.7", &["10.0.0.1"], &[]).as_deref(), Some("198.51.100.7"));
        assert_eq!(caller("198.51.100.7", &["10.0.0.1"], &["10.0.0.0/8"]).as_deref(), Some("198.51.100.7"));
        assert_eq!(caller("::ffff:198.51.100.7", &[], &[]).as_deref(), Some("198.51.100.7"));
    }

    #[test]
    fn behind_proxies_the_last_address_that_is_none_of_them_counts() {
        let of = |lines: &[&str]| caller("10.0.0.1", lines, &["10.0.0.0/8", "fd00::/8"]);
        assert_eq!(of(&["203.0.113.5"]).as_deref(), Some("203.0.113.5"));
        // What the client made up stands before what the proxy saw.
        assert_eq!(of(&["10.1.1.1, 192.0.2.1, 203.0.113.5, 10.0.0.2"]).as_deref(), Some("203.0.113.5"));
        assert_eq!(of(&["192.0.2.1", "203.0.113.5:4711"]).as_deref(), Some("203.0.113.5"));
        assert_eq!(of(&["[2001:db8::1]:443, fd00::2"]).as_deref(), Some("2001:db8::1"));
        assert_eq!(of(&["10.3.0.1, 10.2.0.1"]).as_deref(), Some("10.3.0.1"), "all of them are trusted");
        assert_eq!(of(&[]).as_deref(), Some("10.0.0.1"));
    }

    #[test]
    fn what_is_no_address_is_nobodys() {
        for broken in ["unknown", "203.0.113.5,", "_hidden, 10.0.0.2", "1.2.3"] {
            assert_eq!(caller("10.0.0.1", &[broken], &["10.0.0.0/8"]), None, "{broken}");
        }
    }
}
