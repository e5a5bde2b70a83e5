//! Amazon's usual search for credentials, by its own library: environment, profiles (assumed roles,
//! single sign-on, processes), web identity, the container's endpoint, the instance's (IMDSv2)
//! (<https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>).

use std::error::Error as StdError;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::call::{Caller, not_fetched};
use super::fetched::{Fresh, Source};
use crate::error::Result;

/// Keys that do not end come from files that somebody may write anew.
const REREAD: Duration = Duration::from_secs(15 * 60);

/// See the module documentation.
#[derive(Debug, PartialEq, Eq)]
pub struct Chain {
    pub region: String,
}

impl Source for Chain {
    type Credential = Credentials;

    /// Every time from the start: what is read once and kept would be the files of yesterday.
    async fn fetch(&self, _caller: &dyn Caller) -> Result<Fresh<Credentials>> {
        let region = Region::new(self.region.clone());
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let settings = ProviderConfig::without_region().with_region(Some(region.clone())).with_http_client(http);
        let chain = DefaultCredentialsChain::builder().configure(settings).region(region).build().await;
        let credential = chain.provide_credentials().await.map_err(|e| not_fetched(causes(&e)))?;
        let expires_at = credential.expiry().or_else(|| SystemTime::now().checked_add(REREAD));
        Ok(Fresh { credential, expires_at })
    }
}

/// An error with all that led to it, in one line: its own words are few.
fn causes(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
