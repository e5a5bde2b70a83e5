//! Checks signatures as Amazon does, by its own description of Signature Version 4
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>) and by
//! nothing that the gateway uses to make them.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::upstream::Request;

/// What a signature has to be made with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'k> {
    pub(crate) access_key_id: &'k str,
    pub(crate) secret_access_key: &'k str,
    pub(crate) session_token: Option<&'k str>,
    /// `<region>/<service>`
    pub(crate) scope: &'k str,
}

impl Signed<'_> {
    /// Panics where the request is not signed with these.
    pub(crate) fn check(&self, request: &Request) {
        let authorization = request.header("authorization").unwrap_or_default();
        let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").unwrap_or_else(|| panic!("{authorization}"));
        let field = |name: &str| {
            let mut parts = fields.split(", ").filter_map(|part| part.split_once('='));
            parts.find(|(n, _)| *n == name).map(|(_, value)| value.to_owned()).unwrap_or_default()
        };
        let time = request.header("x-amz-date").expect("a signed request has its time");
        let (day, _) = time.split_once('T').unwrap();
        let scope = format!("{day}/{}/aws4_request", self.scope);
        assert_eq!(field("Credential"), format!("{}/{scope}", self.access_key_id));
        assert_eq!(request.header("x-amz-security-token"), self.session_token);
        let names = field("SignedHeaders");
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let mut canonical = format!("{}\n{}\n{query}\n", request.method, encoded(path));
        for name in names.split(';') {
            let value = request.header(name).unwrap_or_else(|| panic!("{name} is signed and not sent"));
            let _ = writeln!(canonical, "{name}:{value}");
        }
        let _ = write!(canonical, "\n{names}\n{}", hex::encode(Sha256::digest(&request.body)));
        for needed in ["host", "x-amz-date"] {
            assert!(names.split(';').any(|name| name == needed), "{needed} is not signed: {names}");
        }
        let canonical = hex::encode(Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{canonical}");
        let mut key = format!("AWS4{}", self.secret_access_key).into_bytes();
        for part in scope.split('/') {
            key = hmac(&key, part.as_bytes());
        }
        assert_eq!(field("Signature"), hex::encode(hmac(&key, to_sign.as_bytes())), "{names}");
    }
}

/// A path as it stands in what is signed: once more encoded.
fn encoded(path: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~/".contains(&b);
    path.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

/// RFC 2104.
fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    let pad = |with: u8| -> Vec<u8> { (0..64).map(|at| key.get(at).copied().unwrap_or(0) ^ with).collect() };
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}
