//! A tool that is one request to a server of the operator's, by a schema or by an operation of OpenAPI.
//!
//! The server is the operator's choice, so it may stand anywhere; the model only fills in what the description
//! leaves open, and cannot leave the place that is meant for it: what goes into the path is encoded whole.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::value::RawValue;

use super::web::{self, Request, Web};
use super::{Caller, Outcome, Sent, Spec};
use crate::config::tools::{Arguments, HttpTool, Place, ToolUrl};
use crate::secret::{Secret, signature};
use crate::wire::json::Str;

/// What stands in a path or a query as it is.
const ENCODED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Makes the request.
#[derive(Debug)]
pub(super) struct HttpCall {
    tool: HttpTool,
    most_bytes: usize,
    web: Arc<dyn Web>,
}

/// Where the arguments of a call went.
#[derive(Debug, Default)]
struct Filled {
    path: String,
    headers: HeaderMap,
    body: Option<String>,
}

impl HttpCall {
    pub(super) fn new(tool: HttpTool, most_bytes: usize, web: Arc<dyn Web>) -> Self {
        Self { tool, most_bytes, web }
    }

    pub(super) fn spec(&self, name: &str) -> Spec {
        let (description, schema) = (self.tool.description.clone(), self.tool.schema.clone());
        Spec { name: name.to_owned(), description, schema }
    }

    /// What goes out with each call.
    pub(super) fn sent(&self) -> Sent<'_> {
        (Some(&self.tool.url), &self.tool.headers)
    }

    pub(super) async fn call(&self, arguments: &str, caller: &Caller) -> Outcome {
        match self.ask(arguments, caller).await {
            Ok(outcome) => outcome,
            Err(why) => Outcome::failed(why),
        }
    }

    async fn ask(&self, arguments: &str, caller: &Caller) -> Result<Outcome, String> {
        let request = self.request(arguments, caller, unix_s())?;
        let mut answer = self.web.send(request).await?;
        let status = answer.status();
        let (body, is_whole) = web::read(answer.as_mut(), self.most_bytes).await?;
        let text = web::text(&body, is_whole);
        if status.is_success() {
            return Ok(Outcome::done(text));
        }
        Err(format!("The server answered with status {}. {text}", status.as_u16()))
    }

    fn request(&self, arguments: &str, caller: &Caller, unix_s: u64) -> Result<Request, String> {
        let Filled { path, mut headers, body } = self.filled(arguments)?;
        let text = |value: &str| HeaderValue::try_from(value).map_err(|_| "A header cannot be written.".to_owned());
        for (name, value) in &self.tool.headers {
            let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
            headers.insert(name, text(value.expose())?);
        }
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION"))));
        // For whom it is: what the server bills or permits by.
        headers.insert(HeaderName::from_static("x-weir-tenant"), text(&caller.tenant)?);
        headers.insert(HeaderName::from_static("x-request-id"), text(&caller.request_id)?);
        let method = Method::try_from(self.tool.method.as_str()).map_err(|_| "The method is none.".to_owned())?;
        let has_body = body.is_some();
        let body = Bytes::from(body.unwrap_or_default());
        if has_body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if has_body || !matches!(method, Method::GET | Method::DELETE) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        if let Some(secret) = &self.tool.secret {
            let signed = signature::of(secret, unix_s, &body);
            headers.insert(HeaderName::from_static(signature::HEADER), text(&signed)?);
        }
        Ok(Request { method, server: self.tool.url.base.clone(), addresses: None, path, headers, body })
    }

    fn filled(&self, arguments: &str) -> Result<Filled, String> {
        let given: BTreeMap<String, &RawValue> = super::read(arguments).map_err(|outcome| outcome.text)?;
        let mut filled = Filled { path: path_of(self.tool.url.whole.expose()).to_owned(), ..Filled::default() };
        match &self.tool.arguments {
            Arguments::Body => filled.body = Some(arguments.to_owned()),
            Arguments::Query => given.iter().try_for_each(|(name, value)| filled.put(Place::Query, name, value))?,
            Arguments::Operation(parameters) => {
                if let Some(name) = given.keys().find(|name| !parameters.iter().any(|p| p.name == **name)) {
                    return Err(format!("There is no argument called {name:?}."));
                }
                for parameter in parameters {
                    match given.get(&parameter.name).filter(|value| value.get() != "null") {
                        Some(value) => filled.put(parameter.place, &parameter.name, value)?,
                        None if parameter.required => {
                            return Err(format!("The argument {:?} is missing.", parameter.name));
                        }
                        None => {}
                    }
                }
            }
        }
        Ok(filled)
    }
}

impl Filled {
    fn put(&mut self, place: Place, name: &str, value: &RawValue) -> Result<(), String> {
        let encoded = |text: &str| utf8_percent_encode(text, &ENCODED).to_string();
        match place {
            Place::Body => self.body = Some(value.get().to_owned()),
            Place::Query => {
                self.path.push(if self.path.contains('?') { '&' } else { '?' });
                self.path.push_str(&encoded(name));
                self.path.push('=');
                self.path.push_str(&encoded(&plain(value)));
            }
            Place::Path => {
                let text = plain(value);
                // Servers take these for the way up, encoded or not.
                if matches!(&*text, "" | "." | "..") {
                    return Err(format!("The argument {name:?} cannot be {text:?}."));
                }
                self.path = self.path.replace(&format!("{{{name}}}"), &encoded(&text));
            }
            Place::Header => {
                let value = HeaderValue::try_from(&*plain(value))
                    .map_err(|_| format!("The argument {name:?} cannot stand in a header."))?;
                let name = HeaderName::try_from(name).map_err(|_| format!("{name:?} is no header."))?;
                self.headers.insert(name, value);
            }
        }
        Ok(())
    }
}

/// A text as itself, anything else as its JSON.
fn plain(value: &RawValue) -> Cow<'_, str> {
    match Str::from_raw(value.get()) {
        Some(text) => Cow::Owned(text.text().into_owned()),
        None => Cow::Borrowed(value.get()),
    }
}

/// The parameters that an address has from the operator, as they are written and as they are meant.
pub(super) fn parameters(url: &ToolUrl) -> impl Iterator<Item = (&str, Secret)> {
    let query = url.whole.expose().split_once('?').map_or("", |(_, query)| query);
    query.split('&').filter_map(|pair| pair.split_once('=')).flat_map(|(name, value)| {
        let meant = percent_decode_str(value).decode_utf8_lossy();
        [(name, Secret::new(value)), (name, Secret::new(&*meant))]
    })
}

/// What follows the host.
pub(super) fn path_of(url: &str) -> &str {
    let behind = url.split_once("://").map_or(url, |(_, behind)| behind);
    let at = behind.find(['/', '?']).unwrap_or(behind.len());
    match behind.split_at_checked(at) {
        Some((_, path)) if path.starts_with('/') => path,
        _ => "/",
    }
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::runtime::BaseUrl;
    use crate::config::tools::Parameter;

    #[derive(Debug)]
    struct Nowhere;

    #[async_trait::async_trait]
    impl Web for Nowhere {
        async fn send(&self, _: Request) -> Result<Box<dyn web::Answer>, String> {
            Err("nowhere".to_owned())
        }
    }

    fn call(url: &str, method: &str, arguments: Arguments) -> HttpCall {
        let base = BaseUrl { tls: true, host: "h".into(), port: 443, path: String::new(), authority: "h".into() };
        let tool = HttpTool {
            description: "d".into(),
            schema: "{}".into(),
            url: ToolUrl { base, whole: Secret::new(url) },
            method: method.into(),
            headers: vec![("x-key".into(), Secret::new("k"))],
            secret: Some(Secret::new("whsec-test")),
            arguments,
        };
        HttpCall::new(tool, 100, Arc::new(Nowhere))
    }

    fn caller() -> Caller {
        Caller { tenant: "acme".into(), request_id: "r1".into(), ..Caller::default() }
    }

    #[test]
    fn a_body_is_signed_as_it_goes_out() {
        let call = call("https://h/hook?k=1", "POST", Arguments::Body);
        let request = call.request(r#"{"version":1}"#, &caller(), 1_790_000_000).unwrap();
        assert_eq!((request.path.as_str(), &request.body[..]), ("/hook?k=1", &br#"{"version":1}"#[..]));
        // The value that `openssl dgst -sha256 -hmac` gives.
        let signed = "t=1790000000,v1=f7084dbc139ed180ac9c5d1c566d02326991d676a43fd948492a4a0811c97624";
        assert_eq!(request.headers["x-weir-signature"], signed);
        assert_eq!(
            (&request.headers["x-key"], &request.headers["x-weir-tenant"]),
            (&"k".parse().unwrap(), &"acme".parse().unwrap())
        );
    }

    #[test]
    fn a_query_holds_all_arguments() {
        let call = call("https://h/find?k=1", "GET", Arguments::Query);
        let request = call.request(r#"{"q":"a&b=c #é","n":[1,2]}"#, &caller(), 0).unwrap();
        assert_eq!(request.path, "/find?k=1&n=%5B1%2C2%5D&q=a%26b%3Dc%20%23%C3%A9");
        assert!(request.body.is_empty() && request.headers.get("content-length").is_none());
    }

    #[test]
    fn an_operation_has_a_place_for_each() {
        let parameter = |name: &str, place, required| Parameter { name: name.into(), place, required };
        let parameters = vec![
            parameter("id", Place::Path, true),
            parameter("dry", Place::Query, false),
            parameter("X-Trace", Place::Header, false),
            parameter("body", Place::Body, false),
        ];
        let call = call("https://h/v1/pets/{id}/tags", "POST", Arguments::Operation(parameters));
        let arguments = r#"{"id":"a/../b?c","dry":true,"X-Trace":"t","body":{"n": 1.0}}"#;
        let request = call.request(arguments, &caller(), 0).unwrap();
        assert_eq!(request.path, "/v1/pets/a%2F..%2Fb%3Fc/tags?dry=true");
        assert_eq!((&request.headers["x-trace"], &request.body[..]), (&"t".parse().unwrap(), &br#"{"n": 1.0}"#[..]));
        for wrong in [
            r#"{}"#,
            r#"{"id":null}"#,
            r#"{"id":".."}"#,
            r#"{"id":""}"#,
            r#"{"id":"a","other":1}"#,
            r#"{"id":"a","X-Trace":"a\r\nhost: evil"}"#,
            "[]",
            "{",
        ] {
            assert!(call.request(wrong, &caller(), 0).is_err(), "{wrong}");
        }
    }
}
