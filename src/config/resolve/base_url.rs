//! `base_url`: what the vendor's own SDK takes, with or without `/v1`.

use crate::config::runtime::BaseUrl;
use crate::provider::Provider;
use crate::wire::Dialect;

/// A vendor's own address with its names in braces replaced; `None` where one is not known.
pub(super) fn filled(own: &str, vars: &[(&'static str, String)]) -> Option<String> {
    let filled = vars.iter().fold(own.to_owned(), |url, (name, value)| url.replace(&format!("{{{name}}}"), value));
    (!filled.contains('{')).then_some(filled)
}

/// Ends of an address that a client was told to post to: they are put behind a base URL.
const APIS: [&str; 3] = ["/chat/completions", "/v1/messages", "/v1/responses"];

/// Takes a base URL apart and brings its path into the form that the provider's paths go below.
/// The error says what was expected.
pub(super) fn parse(text: &str, provider: &Provider) -> Result<BaseUrl, String> {
    let mut url = split(text)?;
    let path = url.path.trim_end_matches('/');
    if let Some(api) = APIS.iter().find(|api| path.ends_with(*api)) {
        return Err(format!("a URL without the path of an API: leave `{api}` out"));
    }
    let stands_for_v1 = provider.base_url.is_none_or(|own| own.trim_end_matches('/').ends_with("/v1"));
    url.path = match provider.dialect() {
        Dialect::OpenAiChat | Dialect::Responses if path.is_empty() && stands_for_v1 => "/v1".to_owned(),
        Dialect::OpenAiChat | Dialect::Responses => path.to_owned(),
        // Versions are in the paths.
        _ => ["/v1beta1", "/v1beta", "/v1", "/v2"]
            .iter()
            .find_map(|version| path.strip_suffix(version))
            .unwrap_or(path)
            .to_owned(),
    };
    Ok(url)
}

/// An address of the operator's own, as it is, query included. The error says what was expected.
pub(super) fn plain(text: &str) -> Result<BaseUrl, String> {
    let (before, query) = text.split_once('?').unwrap_or((text, ""));
    if !query.chars().all(|c| c.is_ascii_graphic() && c != '#') {
        return Err("a query of plain characters".to_owned());
    }
    if before.split('/').nth(2).is_some_and(|authority| authority.contains('@')) {
        return Err("a URL without a credential before its host".to_owned());
    }
    split(before)
}

/// An address that more is put behind. The error says what was expected.
pub(super) fn bare(text: &str) -> Result<BaseUrl, String> {
    split(text)
}

fn split(text: &str) -> Result<BaseUrl, String> {
    let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err("a URL that begins with `https://` or `http://`".to_owned()),
    };
    if rest.contains(['?', '#']) {
        return Err("a URL without `?` or `#`".to_owned());
    }
    let at = rest.find('/').unwrap_or(rest.len());
    let (host_port, path) = rest.split_at_checked(at).unwrap_or((rest, ""));
    if host_port.contains('@') {
        return Err("a URL without a credential in it: that is `api_key`".to_owned());
    }
    let own_port = if tls { 443 } else { 80 };
    let (host, port) = host_and_port(host_port, own_port)?;
    let clean = |c: char| c.is_ascii_graphic() && !"\\\"<>^`{|}".contains(c);
    if !path.chars().all(clean) || path.split('/').any(|s| matches!(s, "." | "..")) {
        return Err("a path of plain characters".to_owned());
    }
    let bracketed = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let authority = if port == own_port { bracketed } else { format!("{bracketed}:{port}") };
    Ok(BaseUrl { tls, host, port, path: path.to_owned(), authority })
}

fn host_and_port(text: &str, own_port: u16) -> Result<(String, u16), String> {
    let wrong_port = || "a port from 1 to 65535".to_owned();
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("a `]` after the address")?;
            host.parse::<std::net::Ipv6Addr>().map_err(|_| "an IPv6 address in the brackets")?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or_else(wrong_port)?) })
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let good = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if host.is_empty() || !(text.starts_with('[') || host.chars().all(good)) {
        return Err("a host name or address after `://`".to_owned());
    }
    let port = match port {
        Some(digits) => digits.parse().ok().filter(|p| *p != 0).ok_or_else(wrong_port)?,
        None => own_port,
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{Api, simulator};

    fn vendor(dialect: Dialect, base_url: Option<&'static str>) -> Provider {
        let apis: &[Api] = if dialect == Dialect::Anthropic { &[Api::MESSAGES] } else { &[Api::CHAT] };
        Provider { apis, base_url, ..simulator::PROVIDER }
    }

    #[test]
    fn either_spelling_of_v1_works() {
        let openai = vendor(Dialect::OpenAiChat, Some("https://api.vendor.test/v1"));
        let flat = vendor(Dialect::OpenAiChat, Some("https://api.vendor.test"));
        let own = vendor(Dialect::OpenAiChat, None);
        let anthropic = vendor(Dialect::Anthropic, Some("https://api.vendor.test"));
        for (provider, text, path) in [
            (&openai, "http://h", "/v1"),
            (&openai, "http://h/", "/v1"),
            (&openai, "http://h/v1", "/v1"),
            (&openai, "http://h/v1/", "/v1"),
            (&openai, "http://h/openai/v1", "/openai/v1"),
            (&openai, "http://h/api/paas/v4", "/api/paas/v4"),
            (&flat, "http://h", ""),
            (&flat, "http://h/v1", "/v1"),
            (&own, "http://h:9", "/v1"),
            (&anthropic, "http://h", ""),
            (&anthropic, "http://h/v1/", ""),
            (&anthropic, "http://h/proxy/v1", "/proxy"),
        ] {
            assert_eq!(parse(text, provider).unwrap().path, path, "{text}");
        }
    }

    #[test]
    fn the_host_header_has_the_port_where_it_is_not_the_usual() {
        let own = vendor(Dialect::OpenAiChat, None);
        for (text, host, port, authority) in [
            ("https://API.vendor.test", "api.vendor.test", 443, "api.vendor.test"),
            ("https://a.test:8443/v1", "a.test", 8443, "a.test:8443"),
            ("http://a.test:80", "a.test", 80, "a.test"),
            ("http://[::1]:8000/v1", "::1", 8000, "[::1]:8000"),
            ("http://10.0.0.7:8000", "10.0.0.7", 8000, "10.0.0.7:8000"),
        ] {
            let url = parse(text, &own).unwrap();
            assert_eq!((url.host.as_str(), url.port, url.authority.as_str()), (host, port, authority));
        }
    }

    #[test]
    fn what_is_no_base_url_is_refused() {
        let own = vendor(Dialect::OpenAiChat, None);
        for text in [
            "",
            "h",
            "ftp://h",
            "http://",
            "http:///v1",
            "http://h:0",
            "http://h:99999",
            "http://h:x",
            "http://u:p@h",
            "http://h?x=1",
            "http://h#x",
            "http://[::1",
            "http://[zz]",
            "http://[::1]x",
            "http://h h",
            "http://h/a b",
            "http://h/../x",
            "http://h:1:2",
            "http://\u{fc}.test",
            "https://h/\n",
            "http://h/v1/chat/completions",
            "http://h/v1/messages/",
            "http://h/v1/responses",
        ] {
            assert!(parse(text, &own).is_err(), "{text}");
        }
    }
}
