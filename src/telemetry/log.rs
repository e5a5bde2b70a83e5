//! Diagnostics on stderr. Bodies, prompts and credentials are in none of them, whatever the filter
//! says: libraries that would print request heads or frames at their finer levels are cut off below,
//! and keys that stand in a URL (the framework prints it with an error) are masked on the way out.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt};

use crate::tenant::credential::is_query_key;

/// `filter` is the value of `WEIR_LOG`, `info` where there is none. Fails where it cannot be read, or
/// where logging is set up already.
pub fn init(filter: Option<&str>) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter.filter(|f| !f.is_empty()).unwrap_or("info")).map_err(|e| format!("WEIR_LOG: {e}"))?;
    let mut layer = fmt::layer().with_writer(|| Masked(io::stderr()));
    if !io::stderr().is_terminal() {
        layer.set_ansi(false);
    }
    tracing_subscriber::registry()
        .with(filter)
        .with(FilterFn::new(|metadata: &Metadata<'_>| allowed(metadata.target(), *metadata.level())))
        .with(layer)
        .try_init()
        .map_err(|e| e.to_string())
}

/// The framework logs request heads at debug, HTTP/2 its frames, TLS its handshakes; Amazon's libraries warn
/// with the answers of whoever gives out keys, the client of MCP servers with what those send.
fn allowed(target: &str, level: Level) -> bool {
    match target.split("::").next().unwrap_or_default() {
        "weir" => true,
        // Says each second that it still waits.
        _ if target.ends_with("::transfer_fd") => false,
        name if name.starts_with("pingora") => level <= Level::WARN,
        name if name.starts_with("aws_") || name == "rmcp" => level <= Level::ERROR,
        _ => level <= Level::INFO,
    }
}

/// Masks what goes through it, line by line as the formatter hands them over.
struct Masked<W>(W);

impl<W: Write> Write for Masked<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write_all(&mask(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Replaces the value of every query parameter that holds a key.
fn mask(line: &[u8]) -> Cow<'_, [u8]> {
    let mut out: Vec<u8> = Vec::new();
    let mut rest = line;
    while let Some(at) = memchr::memchr(b'=', rest) {
        let (before, after) = rest.split_at(at + 1);
        let name = before.strip_suffix(b"=").and_then(|b| b.rsplit(|c| !name_byte(*c)).next()).unwrap_or_default();
        let before_name = before.len().checked_sub(name.len() + 2).and_then(|i| before.get(i));
        out.extend_from_slice(before);
        rest = after;
        let in_query = matches!(before_name, Some(b'?' | b'&'));
        if in_query && std::str::from_utf8(name).is_ok_and(is_query_key) {
            let end =
                after.iter().position(|c| matches!(c, b'&' | b'#' | b' ' | b',' | b'"' | b'\n')).unwrap_or(after.len());
            out.extend_from_slice(b"[redacted]");
            rest = after.get(end..).unwrap_or_default();
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(line);
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

fn name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_in_urls_are_masked() {
        let masked = |line: &str| String::from_utf8(mask(line.as_bytes()).into_owned()).unwrap();
        assert_eq!(masked("GET /v1/x?key=sk-1&b=2, Host: h\n"), "GET /v1/x?key=[redacted]&b=2, Host: h\n");
        assert_eq!(masked("GET /x?a=1&api_key=sk-1"), "GET /x?a=1&api_key=[redacted]");
        assert_eq!(masked("GET /x?%6bey=sk-1 HTTP/1.1"), "GET /x?%6bey=[redacted] HTTP/1.1");
        for plain in ["provider=openai key=k1", "GET /x?monkey=1&beta=true", "nothing", "?=", "="] {
            assert_eq!(masked(plain), plain);
        }
    }

    #[test]
    fn libraries_that_print_heads_are_cut_off() {
        assert!(allowed("weir::proxy", Level::TRACE) && allowed("pingora_proxy", Level::WARN));
        assert!(!allowed("pingora_core::apps::http_app", Level::TRACE) && !allowed("pingora_proxy", Level::INFO));
        assert!(!allowed("aws_config::meta::credentials::chain", Level::WARN));
        assert!(!allowed("rmcp::transport::streamable_http_client", Level::WARN));
        assert!(!allowed("h2::codec::framed_read", Level::DEBUG) && !allowed("weird", Level::DEBUG));
    }
}
