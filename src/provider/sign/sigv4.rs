//! Amazon's Signature Version 4 (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>):
//! head and body are signed with keys that stay here.
//!
//! The path goes into the signature encoded once more than it goes out (`%3A` as `%253A`): so does
//! every service of Amazon's but S3.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use http::{HeaderName, HeaderValue};

use super::Unsigned;
#[cfg(feature = "aws")]
use super::chain::Chain;
#[cfg(feature = "aws")]
use super::fetched::Fetched;
use super::fetched::Refresh;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Keys as the configuration says them.
#[derive(Debug, Clone)]
pub struct Written {
    pub access_key_id: String,
    pub secret_access_key: Secret,
    /// Of keys that live for a while.
    pub session_token: Option<Secret>,
}

/// Keys, or where they come from.
#[derive(Debug)]
pub enum Keys {
    Held(Credentials),
    #[cfg(feature = "aws")]
    Found(Box<Fetched<Chain>>),
}

impl From<&Written> for Keys {
    fn from(written: &Written) -> Self {
        let token = written.session_token.as_ref().map(|token| token.expose().to_owned());
        let (id, secret) = (&*written.access_key_id, written.secret_access_key.expose());
        Self::Held(Credentials::new(id, secret, token, None, "configuration"))
    }
}

#[cfg(feature = "aws")]
impl From<Chain> for Keys {
    fn from(chain: Chain) -> Self {
        Self::Found(Box::new(Fetched::new(chain)))
    }
}

/// Signs for one service in one region.
#[derive(Debug)]
pub struct SigV4 {
    service: &'static str,
    region: String,
    keys: Keys,
}

impl SigV4 {
    pub fn new(service: &'static str, region: &str, keys: impl Into<Keys>) -> Self {
        Self { service, region: region.to_owned(), keys: keys.into() }
    }

    fn credentials(&self) -> Result<Credentials> {
        match &self.keys {
            Keys::Held(credentials) => Ok(credentials.clone()),
            #[cfg(feature = "aws")]
            Keys::Found(found) => found.get().map(|credentials| Credentials::clone(&credentials)),
        }
    }

    pub(super) fn fetched(&self) -> Option<&dyn Refresh> {
        match &self.keys {
            Keys::Held(_) => None,
            #[cfg(feature = "aws")]
            Keys::Found(found) => Some(&**found),
        }
    }

    pub(super) fn keep(&self, old: &Self) {
        match (&self.keys, &old.keys) {
            #[cfg(feature = "aws")]
            (Keys::Found(new), Keys::Found(old)) => new.keep(old),
            _ => {}
        }
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        let Ok(credentials) = self.credentials() else { return Vec::new() };
        let token = credentials.session_token().map(Secret::new);
        token.into_iter().chain([Secret::new(credentials.secret_access_key())]).collect()
    }

    /// The headers to add: the signature, its time, the token of the keys.
    pub(super) fn headers(&self, request: &Unsigned<'_>, now: SystemTime) -> Result<Vec<(HeaderName, HeaderValue)>> {
        let identity = self.credentials()?.into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service)
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(Error::internal)?
            .into();
        let url = format!("https://{}{}", request.authority, request.path_and_query);
        let signed = request.headers.iter().filter(|(name, _)| is_signed(name.as_str()));
        let signed = signed.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let headers = signed.chain([("host", request.authority)]);
        let body = request.body.whole();
        let signable = SignableRequest::new(request.method.as_str(), url, headers, SignableBody::Bytes(&body))
            .map_err(Error::internal)?;
        let (instructions, _) = sign(signable, &params).map_err(Error::internal)?.into_parts();
        let header = |(name, value): (&str, &str)| {
            let mut value = HeaderValue::from_str(value).map_err(|_| unwritable())?;
            value.set_sensitive(true);
            Ok((HeaderName::try_from(name).map_err(Error::internal)?, value))
        };
        instructions.headers().map(header).collect()
    }
}

/// What says what is asked for; the rest is a proxy's on the way to change.
fn is_signed(name: &str) -> bool {
    name == "content-type" || name.starts_with("x-amz")
}

fn unwritable() -> Error {
    Error::internal("the keys of a provider cannot stand in a header")
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, Method};

    use super::*;

    fn signed(keys: &Written, path: &str) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        headers.insert("accept-encoding", HeaderValue::from_static("identity"));
        let request = Unsigned {
            method: &Method::POST,
            authority: "bedrock-runtime.eu-west-1.amazonaws.com",
            path_and_query: path,
            headers: &headers,
            body: &b"{}".to_vec().into(),
        };
        let signer = SigV4::new("bedrock", "eu-west-1", keys);
        // 2015-08-30 12:36:00
        let headers = signer.headers(&request, UNIX_EPOCH + Duration::from_secs(1_440_938_160)).unwrap();
        assert!(headers.iter().all(|(_, value)| value.is_sensitive()));
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn keys(session_token: Option<&str>) -> Written {
        Written {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: session_token.map(Secret::new),
        }
    }

    const MODEL: &str = "/model/amazon.nova-lite-v1%3A0/converse";
    const PROFILE: &str = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Fx/converse-stream";

    /// Against what Amazon's own SDK for Python signs (botocore 1.43.11).
    #[test]
    fn signatures_are_those_of_amazons_own() {
        for (path, token, names, signature) in [
            (
                MODEL,
                None,
                "content-type;host;x-amz-date",
                "ed6f2efcc994d6f4e9aba21a8a4842d0d7e6e75be2b1ebfef284ef9e32b43014",
            ),
            (
                PROFILE,
                None,
                "content-type;host;x-amz-date",
                "1c256d6692c3e26ab900aa245c12019c0e3a1376e90dc89a041c6ced7a25e739",
            ),
            (
                MODEL,
                Some("token/1+2="),
                "content-type;host;x-amz-date;x-amz-security-token",
                "19e319ee4b94d43215b23f97c8eadf94d6b088be7e9e8c0573f0d8540fbc8c75",
            ),
        ] {
            let headers = signed(&keys(token), path);
            let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
            let scope = "AKIDEXAMPLE/20150830/eu-west-1/bedrock/aws4_request";
            let expected = format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}");
            assert_eq!(header("authorization"), Some(expected.as_str()), "{path}");
            assert_eq!((header("x-amz-date"), header("x-amz-security-token")), (Some("20150830T123600Z"), token));
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let (keys, signer) = (keys(Some("token")), SigV4::new("bedrock", "eu-west-1", &keys(Some("token"))));
        let printed = format!("{keys:?} {signer:?}");
        assert!(!printed.contains("wJalr") && !printed.contains("token\""), "{printed}");
    }
}
