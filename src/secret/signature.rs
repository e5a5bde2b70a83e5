//! The signature of what is sent: `x-weir-signature: t=<unix>,v1=<hex>`, where `v1` is the HMAC-SHA-256
//! of `<unix>.<body>` by a secret that the receiver has too. The moment is signed too, so that a receiver can refuse
//! what is old.

use ring::hmac;

use super::Secret;

pub const HEADER: &str = "x-weir-signature";

/// The header's value for this body, sent at that moment.
pub fn of(secret: &Secret, unix_s: u64, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    let mut signing = hmac::Context::with_key(&key);
    signing.update(format!("{unix_s}.").as_bytes());
    signing.update(body);
    format!("t={unix_s},v1={}", hex::encode(signing.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value that `openssl dgst -sha256 -hmac` gives.
    #[test]
    fn the_signature_is_the_usual_hmac() {
        let said = of(&Secret::new("whsec-test"), 1_790_000_000, br#"{"version":1}"#);
        assert_eq!(said, "t=1790000000,v1=f7084dbc139ed180ac9c5d1c566d02326991d676a43fd948492a4a0811c97624");
    }
}
