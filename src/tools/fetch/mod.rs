//! `fetch`: pages of hosts that are on a list.
//!
//! A model says where to, and whoever talks to the model may have told it: what is asked for is checked as if an
//! attacker had written it. The address is read as browsers read it ([`url`]), so that a host has one spelling. Its
//! host has to be on the list and its port one of the usual; a name is looked up once, every address that it has
//! must be public ([`address`]), and the connection goes to those very addresses. Each redirect is checked the
//! same way.

mod address;
mod page;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use serde::Deserialize;
use url::{Host, Url};

use super::web::{self, Answer, Request, Web};
use super::{Outcome, Spec};
use crate::config::runtime::BaseUrl;
use crate::config::tools::FetchHost;

const MOST_REDIRECTS: usize = 5;
const MOST_URL_BYTES: usize = 2_048;
const RESOLVE: Duration = Duration::from_secs(5);

/// Fetches pages.
#[derive(Debug)]
pub(super) struct Fetch {
    hosts: Vec<FetchHost>,
    most_bytes: usize,
    web: Arc<dyn Web>,
}

#[derive(Deserialize)]
struct Arguments {
    url: String,
}

impl Fetch {
    pub(super) fn new(hosts: &[FetchHost], most_bytes: usize, web: Arc<dyn Web>) -> Self {
        Self { hosts: hosts.to_vec(), most_bytes, web }
    }

    pub(super) fn spec(&self, name: &str) -> Spec {
        let hosts: Vec<&str> = self.hosts.iter().map(|host| host.host.as_str()).collect();
        Spec {
            name: name.to_owned(),
            description: format!(
                "Fetches a page or a file by its URL and gives its text. Only these hosts can be reached: {}.",
                hosts.join(", ")
            ),
            schema: concat!(
                r#"{"type":"object","properties":{"url":{"type":"string","description":"An http or https URL."}},"#,
                r#""required":["url"],"additionalProperties":false}"#
            )
            .to_owned(),
        }
    }

    pub(super) async fn call(&self, arguments: &str) -> Outcome {
        let wanted = match super::read::<Arguments>(arguments) {
            Ok(arguments) => arguments.url,
            Err(outcome) => return outcome,
        };
        match self.fetch(&wanted).await {
            Ok(outcome) => outcome,
            Err(why) => Outcome::failed(why),
        }
    }

    async fn fetch(&self, wanted: &str) -> Result<Outcome, String> {
        if wanted.len() > MOST_URL_BYTES {
            return Err(format!("The URL is longer than {MOST_URL_BYTES} bytes."));
        }
        let mut url = Url::parse(wanted.trim()).map_err(|_| "This is no absolute URL.".to_owned())?;
        for _ in 0..=MOST_REDIRECTS {
            let mut answer = self.ask(&url).await?;
            let Some(next) = redirect(answer.as_ref(), &url)? else {
                return self.told(answer.as_mut()).await;
            };
            url = next;
        }
        Err(format!("It redirects more than {MOST_REDIRECTS} times."))
    }

    /// One request, to where it may go.
    async fn ask(&self, url: &Url) -> Result<Box<dyn Answer>, String> {
        let (server, host) = self.allowed(url)?;
        let found = match url.host() {
            Some(Host::Ipv4(ip)) => vec![SocketAddr::new(IpAddr::V4(ip), server.port)],
            Some(Host::Ipv6(ip)) => vec![SocketAddr::new(IpAddr::V6(ip), server.port)],
            _ => looked_up(&server).await?,
        };
        if !host.private && !are_public(&found) {
            return Err(format!("{} is not a public address, and is not allowed.", server.host));
        }
        let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
        headers.insert(ACCEPT, HeaderValue::from_static("text/html, application/json, text/*;q=0.9, */*;q=0.1"));
        let request = Request {
            method: Method::GET,
            server,
            addresses: Some(found),
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
        };
        self.web.send(request).await
    }

    /// Where a URL goes, and what is said of that host.
    fn allowed(&self, url: &Url) -> Result<(BaseUrl, &FetchHost), String> {
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err("Only http and https URLs can be fetched.".to_owned()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("A URL with a user name or password in it is not fetched.".to_owned());
        }
        let (Some(shown), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err("The URL has no host.".to_owned());
        };
        let host = shown.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.').to_owned();
        let listed = self.hosts.iter().find(|listed| is_listed(&listed.host, &host));
        let listed = listed.ok_or_else(|| format!("The host {host} is not one of those that may be fetched from."))?;
        if ![80, 443].contains(&port) && !listed.ports.contains(&u32::from(port)) {
            return Err(format!("The port {port} is not one of those that may be fetched from."));
        }
        let authority = match url.port() {
            Some(port) => format!("{shown}:{port}"),
            None => shown.to_owned(),
        };
        Ok((BaseUrl { tls, host, port, path: String::new(), authority }, listed))
    }

    /// What the model gets of an answer.
    async fn told(&self, answer: &mut dyn Answer) -> Result<Outcome, String> {
        let status = answer.status();
        let kind = web::header(answer, "content-type").unwrap_or("text/plain").to_ascii_lowercase();
        if status.is_success() && !page::is_text(&kind) {
            let kind: String = kind.chars().take(100).collect();
            return Err(format!("This is no text but {kind}."));
        }
        let (body, is_whole) = web::read(answer, self.most_bytes).await?;
        let is_html = kind.contains("html");
        let text = if is_html { page::text(&String::from_utf8_lossy(&body)) } else { web::text(&body, true) };
        let text = if is_whole { text } else { format!("{text}\n[cut off after {} bytes]", body.len()) };
        if status.is_success() {
            return Ok(Outcome::done(text));
        }
        Err(format!("The server answered with status {}. {text}", status.as_u16()))
    }
}

/// Where an answer sends to, if it does.
fn redirect(answer: &dyn Answer, from: &Url) -> Result<Option<Url>, String> {
    if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(to) = web::header(answer, "location") else { return Ok(None) };
    let to = from.join(to).map_err(|_| "It redirects to what is no URL.".to_owned())?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err("It redirects from https to what is not.".to_owned());
    }
    Ok(Some(to))
}

/// Whether a host is one that is listed: itself, or something below `*.name`.
fn is_listed(listed: &str, host: &str) -> bool {
    match listed.strip_prefix("*.") {
        Some(name) => host.strip_suffix(name).is_some_and(|before| before.len() > 1 && before.ends_with('.')),
        // Addresses have more than one spelling.
        None => listed == host || listed.parse::<IpAddr>().is_ok_and(|ip| host.parse() == Ok(ip)),
    }
}

/// Of a name that stands for several, one that is not public is one too many.
fn are_public(found: &[SocketAddr]) -> bool {
    found.iter().all(|address| address::is_public(address.ip()))
}

async fn looked_up(server: &BaseUrl) -> Result<Vec<SocketAddr>, String> {
    let lookup = tokio::net::lookup_host((server.host.as_str(), server.port));
    let found: Vec<SocketAddr> = match tokio::time::timeout(RESOLVE, lookup).await {
        Ok(Ok(found)) => found.collect(),
        _ => Vec::new(),
    };
    if found.is_empty() { Err(format!("The host {} was not found.", server.host)) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
