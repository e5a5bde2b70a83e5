//! Access tokens of Microsoft Entra ID: for an application with a secret, for a workload whose token
//! of another issuer is trusted, or for the managed identity of the machine.
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>
//!
//! Notes:
//! - managed identities are asked for a resource, everything else for a scope of it
//! - they write `expires_in` and `expires_on` as text

use super::call::{Call, Caller, encoded, not_fetched};
use super::fetched::{Fresh, Source};
use super::oauth;
use crate::error::Result;
use crate::secret::Secret;

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Where tokens come from.
#[derive(Debug, PartialEq)]
pub struct Entra {
    pub scope: String,
    pub grant: Grant,
}

#[derive(Debug, PartialEq)]
pub enum Grant {
    /// An application, by its secret.
    Secret { token_url: String, client_id: String, client_secret: Secret },
    /// An application, by a token of an issuer it trusts, which lies in a file.
    Federated { token_url: String, client_id: String, file: String },
    /// The identity of an App Service, a Function or a container app.
    AppService { endpoint: String, header: Secret, client_id: Option<String> },
    /// The identity of a virtual machine, by its metadata service.
    Machine { host: String, client_id: Option<String> },
}

impl Entra {
    /// What of it only its owner knows.
    pub fn secret(&self) -> Option<&Secret> {
        match &self.grant {
            Grant::Secret { client_secret, .. } => Some(client_secret),
            _ => None,
        }
    }

    /// The rest of a query for the token of a managed identity.
    fn resource(&self, client_id: Option<&str>) -> String {
        let resource = self.scope.strip_suffix("/.default").unwrap_or(&self.scope);
        let client = client_id.map(|id| format!("&client_id={}", encoded(id))).unwrap_or_default();
        format!("&resource={}{client}", encoded(resource))
    }
}

impl Source for Entra {
    type Credential = Secret;

    async fn fetch(&self, caller: &dyn Caller) -> Result<Fresh<Secret>> {
        let client = |id| [("grant_type", "client_credentials"), ("scope", self.scope.as_str()), ("client_id", id)];
        match &self.grant {
            Grant::Secret { token_url, client_id, client_secret } => {
                let mut fields = client(client_id.as_str()).to_vec();
                fields.push(("client_secret", client_secret.expose()));
                let reply = caller.call(Call::form(token_url.as_str(), &fields)).await?;
                oauth::token(token_url, &reply, &[client_secret])
            }
            Grant::Federated { token_url, client_id, file } => {
                // Read anew each time: whoever wrote it writes it again before it ends.
                let read = tokio::fs::read_to_string(file).await;
                let assertion = Secret::new(read.map_err(|e| not_fetched(format!("{file}: {e}")))?.trim());
                let mut fields = client(client_id.as_str()).to_vec();
                fields.extend([("client_assertion_type", ASSERTION), ("client_assertion", assertion.expose())]);
                let reply = caller.call(Call::form(token_url.as_str(), &fields)).await?;
                oauth::token(token_url, &reply, &[&assertion])
            }
            Grant::AppService { endpoint, header, client_id } => {
                let url = format!("{endpoint}?api-version=2019-08-01{}", self.resource(client_id.as_deref()));
                let call = Call::get(url).with_header("x-identity-header", header.expose());
                oauth::token(endpoint, &caller.call(call).await?, &[header])
            }
            Grant::Machine { host, client_id } => {
                let query = self.resource(client_id.as_deref());
                let url = format!("{host}/metadata/identity/oauth2/token?api-version=2018-02-01{query}");
                oauth::token(host, &caller.call(Call::get(url).with_header("metadata", "true")).await?, &[])
            }
        }
    }
}
