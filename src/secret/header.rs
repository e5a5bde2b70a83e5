//! What of a header is a credential.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use super::Secret;

/// Stand before a credential, and are none.
const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];

/// Base64 with its padding or without.
const LENIENT: GeneralPurpose =
    GeneralPurpose::new(&alphabet::STANDARD, NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent));

/// The secrets in a credential's header, however it is written: each word but the name of a scheme, and what HTTP
/// Basic would have it mean, the user and the password or the whole.
pub fn secrets_in(value: &str) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let is_scheme = |word: &str| SCHEMES.iter().any(|scheme| scheme.eq_ignore_ascii_case(word));
    let words = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | '"' | '\''));
    for word in words.filter(|word| !word.is_empty() && !is_scheme(word)) {
        let plain = LENIENT.decode(word).ok().and_then(|plain| String::from_utf8(plain).ok());
        let parts = plain.iter().flat_map(|plain| plain.splitn(2, ':'));
        secrets.extend(parts.filter(|part| !part.is_empty()).map(Secret::new));
        secrets.push(Secret::new(word));
    }
    secrets
}

/// Words of a header's name that say that its value is a credential.
const SAY_CREDENTIAL: [&str; 14] = [
    "auth",
    "authorization",
    "authentication",
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "cookie",
    "credential",
    "credentials",
    "session",
    "signature",
    "jwt",
];

/// What is shorter may be a word of any text.
const LEAST_SECRET_BYTES: usize = 6;

/// What is shorter may be a name, where the header does not say that it is none.
const LEAST_UNNAMED_BYTES: usize = 20;

/// What of a header (or a parameter, or a variable) that the operator sets is a credential: what is called one, whole and without its scheme, and
/// what looks like one. Versions, betas, addresses and titles are none.
pub fn secrets_of(name: &str, value: &str) -> Vec<Secret> {
    let says = |word: &str| SAY_CREDENTIAL.iter().any(|known| known.eq_ignore_ascii_case(word));
    let is_named = name.split(['-', '_']).any(says);
    let is_vendors = name.starts_with("anthropic-") || name.starts_with("openai-");
    let has = |secret: &Secret, is: fn(&u8) -> bool| secret.expose().bytes().any(|byte| is(&byte));
    let looks_like_one = |secret: &Secret| {
        let is_place = secret.expose().contains("://") || secret.expose().contains('@');
        let is_mixed = has(secret, u8::is_ascii_digit) && has(secret, u8::is_ascii_alphabetic);
        secret.expose().len() >= LEAST_UNNAMED_BYTES && is_mixed && !is_place && !is_vendors
    };
    let mut secrets = secrets_in(value);
    secrets.push(Secret::new(value));
    secrets.retain(|secret| match is_named {
        true => secret.expose().len() >= LEAST_SECRET_BYTES,
        false => looks_like_one(secret) && !secret.expose().contains(' '),
    });
    // The whole before its parts.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
    secrets.dedup_by(|one, other| one.expose() == other.expose());
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_operators_header_what_is_a_credential_is_known() {
        let of = |name: &str, value: &str| {
            let secrets = secrets_of(name, value);
            secrets.iter().map(|secret| secret.expose().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(of("authorization", "Bearer sk-one"), ["Bearer sk-one", "sk-one"]);
        assert_eq!(of("authorization", "Bearer sk-one-2"), ["Bearer sk-one-2", "sk-one-2"]);
        assert_eq!(
            of("proxy-authorization", "Basic dXNlcjpwYXNzd29yZA=="),
            ["Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA==", "password",]
        );
        assert_eq!(of("cf-access-client-secret", "0a1b2c3d"), ["0a1b2c3d"]);
        assert_eq!(of("x-team", "hf_AbCdEfGh0123456789"), ["hf_AbCdEfGh0123456789"]);
        for (name, value) in [
            ("accept", "application/json"),
            ("http-referer", "https://team7.example.com/weir"),
            ("x-title", "The gateway of team 7 of 12"),
            ("anthropic-beta", "max-tokens-3-5-sonnet-2024-07-15"),
            ("x-portkey-provider", "anthropic"),
            ("from", "platform-team-7@example.com"),
            ("x-api-key", "none"),
        ] {
            assert_eq!(of(name, value), [""; 0], "{name}");
        }
    }
}
