//! Google's access tokens, from what Application Default Credentials are made of: a key of a service
//! account, a user's refresh token, another identity that is federated, or the metadata server of the
//! machine. <https://google.aip.dev/auth/4110>
//!
//! Notes:
//! - a service account signs an assertion (RS256) for its own `token_uri`
//!   (<https://developers.google.com/identity/protocols/oauth2/service-account>)
//! - `external_account` exchanges a token that lies in a file or behind a URL
//!   (<https://google.aip.dev/auth/4117>); those of AWS and of programs are not taken
//! - an impersonated account is asked for with the token of who impersonates it

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;

use super::call::{Call, Caller, not_fetched};
use super::fetched::{Fresh, Source};
use super::oauth;
use crate::error::Result;
use crate::secret::Secret;
use crate::wire::json::Obj;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";
/// Of assertions and of impersonation: the longest that is granted without a policy of its own.
const LIFETIME: Duration = Duration::from_secs(3600);

/// Where tokens come from.
#[derive(Debug, PartialEq)]
pub struct Google {
    grant: Grant,
    impersonates: Option<Impersonation>,
    /// Who pays, where it is not the owner of what is called: `x-goog-user-project`.
    pub quota_project: Option<String>,
}

/// Another account, whose token is asked for with the first one.
#[derive(Debug, PartialEq)]
struct Impersonation {
    url: String,
    /// Accounts in between.
    delegates: Vec<String>,
    lifetime: Duration,
}

#[derive(Debug, PartialEq)]
enum Grant {
    ServiceAccount { email: String, key_id: Option<String>, key: Secret, token_uri: String },
    User { client_id: String, client_secret: Secret, refresh_token: Secret, token_uri: String },
    External(Box<External>),
    Metadata { host: String },
}

#[derive(Debug, PartialEq)]
struct External {
    audience: String,
    subject_token_type: String,
    token_url: String,
    from: Subject,
    /// The member of JSON that is the token; else all of the text is.
    member: Option<String>,
    client: Option<(String, Secret)>,
    /// As JSON, for identities of a workforce.
    options: Option<String>,
}

#[derive(Debug, PartialEq)]
enum Subject {
    File(String),
    Url(String, Vec<(String, Secret)>),
}

/// A credentials file.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum File {
    ServiceAccount {
        client_email: String,
        private_key: String,
        private_key_id: Option<String>,
        token_uri: Option<String>,
        project_id: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: String,
        refresh_token: String,
        token_uri: Option<String>,
        quota_project_id: Option<String>,
    },
    ExternalAccount {
        audience: String,
        subject_token_type: String,
        token_url: String,
        credential_source: CredentialSource,
        service_account_impersonation_url: Option<String>,
        service_account_impersonation: Option<Lifetime>,
        client_id: Option<String>,
        client_secret: Option<String>,
        workforce_pool_user_project: Option<String>,
        quota_project_id: Option<String>,
    },
    ImpersonatedServiceAccount {
        service_account_impersonation_url: String,
        #[serde(default)]
        delegates: Vec<String>,
        source_credentials: Box<Self>,
        quota_project_id: Option<String>,
    },
}

#[derive(Deserialize)]
struct Lifetime {
    token_lifetime_seconds: Option<u64>,
}

#[derive(Deserialize)]
struct CredentialSource {
    file: Option<String>,
    url: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    format: Option<Format>,
}

#[derive(Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: String,
    subject_token_field_name: Option<String>,
}

impl Google {
    /// What a credentials file says, and the project that it belongs to. The error says what was
    /// expected.
    pub fn of_file(text: &str) -> Result<(Self, Option<String>), String> {
        let file: File = serde_json::from_str(text).map_err(|e| {
            // Other words of the parser may repeat what is in the file.
            let words = e.to_string();
            let harmless = ["missing field", "unknown variant"].iter().any(|start| words.starts_with(start));
            let words = match e.line() {
                _ if harmless => words,
                0 => "a member has a value of another kind".to_owned(),
                line => format!("line {line} column {}", e.column()),
            };
            format!("a credentials file of Google's ({words})")
        })?;
        Self::of(file)
    }

    fn of(file: File) -> Result<(Self, Option<String>), String> {
        let mut project = None;
        let google = match file {
            File::ServiceAccount { client_email, private_key, private_key_id, token_uri, project_id } => {
                project = project_id;
                let key = Secret::new(private_key);
                key_pair(&key).ok_or("a `private_key` that is an RSA key in PEM (PKCS #8)")?;
                let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
                Self::plain(Grant::ServiceAccount { email: client_email, key_id: private_key_id, key, token_uri })
            }
            File::AuthorizedUser { client_id, client_secret, refresh_token, token_uri, quota_project_id } => {
                let (client_secret, refresh_token) = (Secret::new(client_secret), Secret::new(refresh_token));
                let token_uri = token_uri.unwrap_or_else(|| TOKEN_URI.to_owned());
                let grant = Grant::User { client_id, client_secret, refresh_token, token_uri };
                Self { quota_project: quota_project_id, ..Self::plain(grant) }
            }
            File::ExternalAccount {
                audience,
                subject_token_type,
                token_url,
                credential_source,
                service_account_impersonation_url,
                service_account_impersonation,
                client_id,
                client_secret,
                workforce_pool_user_project,
                quota_project_id,
            } => {
                let (from, member) = subject(credential_source)?;
                let client = client_id.map(|id| (id, Secret::new(client_secret.unwrap_or_default())));
                let options = workforce_pool_user_project.filter(|_| client.is_none()).map(|project| {
                    let mut out = Vec::new();
                    Obj::new(&mut out).text("userProject", &project);
                    String::from_utf8_lossy(&out).into_owned()
                });
                let external = External { audience, subject_token_type, token_url, from, member, client, options };
                let seconds = service_account_impersonation.and_then(|of| of.token_lifetime_seconds);
                let lifetime = seconds.map_or(LIFETIME, Duration::from_secs);
                let impersonates =
                    service_account_impersonation_url.map(|url| Impersonation { url, delegates: Vec::new(), lifetime });
                Self {
                    impersonates,
                    quota_project: quota_project_id,
                    ..Self::plain(Grant::External(Box::new(external)))
                }
            }
            File::ImpersonatedServiceAccount {
                service_account_impersonation_url: url,
                delegates,
                source_credentials,
                quota_project_id,
            } => {
                let (source, _) = Self::of(*source_credentials)?;
                if source.impersonates.is_some() {
                    return Err("source credentials that impersonate nobody themselves".to_owned());
                }
                let impersonates = Some(Impersonation { url, delegates, lifetime: LIFETIME });
                Self { impersonates, quota_project: quota_project_id.or(source.quota_project), grant: source.grant }
            }
        };
        Ok((google, project))
    }

    fn plain(grant: Grant) -> Self {
        Self { grant, impersonates: None, quota_project: None }
    }

    /// The metadata server of the machine or the cluster.
    pub fn metadata(host: impl Into<String>) -> Self {
        Self::plain(Grant::Metadata { host: host.into() })
    }

    /// What of it only its owner knows.
    pub fn secret(&self) -> Option<&Secret> {
        match &self.grant {
            Grant::ServiceAccount { key, .. } => Some(key),
            Grant::User { refresh_token, .. } => Some(refresh_token),
            Grant::External(_) | Grant::Metadata { .. } => None,
        }
    }

    async fn granted(&self, caller: &dyn Caller) -> Result<Fresh<Secret>> {
        match &self.grant {
            Grant::ServiceAccount { email, key_id, key, token_uri } => {
                let assertion = assertion(email, key_id.as_deref(), key, token_uri)?;
                let fields =
                    [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", assertion.expose())];
                oauth::token(token_uri, &caller.call(Call::form(token_uri.as_str(), &fields)).await?, &[&assertion])
            }
            Grant::User { client_id, client_secret, refresh_token, token_uri } => {
                let fields = [
                    ("grant_type", "refresh_token"),
                    ("client_id", client_id.as_str()),
                    ("client_secret", client_secret.expose()),
                    ("refresh_token", refresh_token.expose()),
                ];
                let reply = caller.call(Call::form(token_uri.as_str(), &fields)).await?;
                oauth::token(token_uri, &reply, &[client_secret, refresh_token])
            }
            Grant::External(external) => external.exchange(caller).await,
            Grant::Metadata { host } => {
                let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
                let call = Call::get(url).with_header("metadata-flavor", "Google");
                oauth::token(host, &caller.call(call).await?, &[])
            }
        }
    }
}

impl Source for Google {
    type Credential = Secret;

    async fn fetch(&self, caller: &dyn Caller) -> Result<Fresh<Secret>> {
        let own = self.granted(caller).await?;
        match &self.impersonates {
            None => Ok(own),
            Some(account) => account.token(&own.credential, caller).await,
        }
    }
}

fn subject(source: CredentialSource) -> Result<(Subject, Option<String>), String> {
    let member = match source.format {
        Some(Format { kind, subject_token_field_name }) if kind == "json" => {
            Some(subject_token_field_name.ok_or("a `subject_token_field_name` for JSON")?)
        }
        _ => None,
    };
    let from = match (source.file, source.url) {
        (Some(file), _) => Subject::File(file),
        (None, Some(url)) => {
            Subject::Url(url, source.headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect())
        }
        (None, None) => {
            return Err("a `credential_source` that is a file or a URL: others are not supported".to_owned());
        }
    };
    Ok((from, member))
}

impl External {
    /// A token of another identity provider for one of Google's.
    async fn exchange(&self, caller: &dyn Caller) -> Result<Fresh<Secret>> {
        let subject = self.subject_token(caller).await?;
        let mut fields = vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("audience", self.audience.as_str()),
            ("scope", SCOPE),
            ("subject_token_type", self.subject_token_type.as_str()),
            ("subject_token", subject.expose()),
        ];
        if let Some(options) = &self.options {
            fields.push(("options", options));
        }
        let mut call = Call::form(self.token_url.as_str(), &fields);
        if let Some((id, secret)) = &self.client {
            let basic = STANDARD.encode(format!("{id}:{}", secret.expose()));
            call = call.with_header("authorization", format!("Basic {basic}"));
        }
        oauth::token(&self.token_url, &caller.call(call).await?, &[&subject])
    }

    async fn subject_token(&self, caller: &dyn Caller) -> Result<Secret> {
        let text = match &self.from {
            // Read anew each time: whoever wrote it writes it again before it ends.
            Subject::File(path) => {
                Secret::new(tokio::fs::read_to_string(path).await.map_err(|e| not_fetched(format!("{path}: {e}")))?)
            }
            Subject::Url(url, headers) => {
                let call = headers.iter().fold(Call::get(url.as_str()), |call, (name, value)| {
                    call.with_header(name.clone(), value.expose())
                });
                let reply = caller.call(call).await?;
                if reply.status != 200 {
                    return Err(oauth::refused(url, &reply, &[]));
                }
                Secret::new(String::from_utf8_lossy(&reply.body))
            }
        };
        match &self.member {
            None => Ok(Secret::new(text.expose().trim())),
            Some(name) => member(text.expose(), name)
                .ok_or_else(|| not_fetched(format!("the subject token's source has no `{name}`"))),
        }
    }
}

/// A member of a JSON object that is text.
fn member(json: &str, name: &str) -> Option<Secret> {
    let members: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_str(json).ok()?;
    serde_json::from_str::<String>(members.get(name)?.get()).ok().map(Secret::new)
}

impl Impersonation {
    async fn token(&self, own: &Secret, caller: &dyn Caller) -> Result<Fresh<Secret>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Token {
            access_token: String,
        }
        let url = &self.url;
        let mut body = Vec::new();
        {
            let mut body = Obj::new(&mut body);
            body.arr("scope").text(SCOPE);
            let mut delegates = body.arr("delegates");
            self.delegates.iter().for_each(|account| _ = delegates.text(account));
            drop(delegates);
            body.text("lifetime", &format!("{}s", self.lifetime.as_secs()));
        }
        let asked_at = SystemTime::now();
        let call = Call::json(url.as_str(), String::from_utf8_lossy(&body))
            .with_header("authorization", format!("Bearer {}", own.expose()));
        let reply = caller.call(call).await?;
        if reply.status != 200 {
            return Err(oauth::refused(url, &reply, &[own]));
        }
        let token: Token =
            serde_json::from_slice(&reply.body).map_err(|_| not_fetched(format!("{url}: no token came")))?;
        Ok(Fresh { credential: Secret::new(token.access_token), expires_at: asked_at.checked_add(self.lifetime) })
    }
}

fn key_pair(pem: &Secret) -> Option<RsaKeyPair> {
    let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose().as_bytes()).ok()?;
    RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok()
}

/// A signed claim to be that service account.
fn assertion(email: &str, key_id: Option<&str>, key: &Secret, audience: &str) -> Result<Secret> {
    let key = key_pair(key).ok_or_else(|| not_fetched("the private key cannot be read"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (mut head, mut claims) = (Vec::new(), Vec::new());
    {
        let mut head = Obj::new(&mut head);
        head.text("alg", "RS256").text("typ", "JWT");
        if let Some(id) = key_id {
            head.text("kid", id);
        }
        let mut claims = Obj::new(&mut claims);
        claims.text("iss", email).text("scope", SCOPE).text("aud", audience);
        claims.num("iat", now).num("exp", now + LIFETIME.as_secs());
    }
    let unsigned = format!("{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims));
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), unsigned.as_bytes(), &mut signature)
        .map_err(|_| not_fetched("the private key cannot sign"))?;
    Ok(Secret::new(format!("{unsigned}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_say_why_and_repeat_nothing() {
        for (text, expected) in [
            ("hush", "line 1 column 1"),
            (r#"{"type":"authorized_user","client_id":"hush"}"#, "missing field `client_secret`"),
            (r#"{"type":"gdch","hush":1}"#, "unknown variant `gdch`"),
            (r#"{"type":"authorized_user","client_id":["hush"]}"#, "a member has"),
            (r#"{"type":"service_account","client_email":"a","private_key":"hush"}"#, "an RSA key in PEM"),
        ] {
            let said = Google::of_file(text).unwrap_err();
            assert!(said.contains(expected) && !said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn who_impersonates_brings_credentials_of_its_own() {
        let text = r#"{"type":"impersonated_service_account","service_account_impersonation_url":"https://iam.test/a:generateAccessToken",
            "delegates":["b@c.test"],"source_credentials":{"type":"authorized_user","client_id":"i","client_secret":"s","refresh_token":"r","quota_project_id":"q"}}"#;
        let (google, project) = Google::of_file(text).unwrap();
        let url = "https://iam.test/a:generateAccessToken".to_owned();
        let account = Impersonation { url, delegates: vec!["b@c.test".to_owned()], lifetime: LIFETIME };
        assert_eq!((google.impersonates.as_ref(), project), (Some(&account), None));
        assert_eq!(google.quota_project.as_deref(), Some("q"));
        assert!(matches!(&google.grant, Grant::User { token_uri, .. } if token_uri == TOKEN_URI));
        assert_eq!(google.secret().map(Secret::expose), Some("r"));
    }
}
