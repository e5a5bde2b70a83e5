//! `telemetry.capture`: what is kept of exchanges that somebody wants to look into, and what never is.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize as _, Zeroizing};

/// See the module documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Seals what is kept. Without it nothing is captured.
    pub key: Option<CaptureKey>,
    /// On disk, all together.
    pub most_bytes: u64,
    pub keep: Duration,
    pub redact: Vec<Redact>,
}

impl Default for Capture {
    fn default() -> Self {
        Self { key: None, most_bytes: 0, keep: Duration::ZERO, redact: Vec::new() }
    }
}

/// A key of AES-256. It cannot be printed, and its memory is cleared when it goes.
#[derive(Clone, Eq)]
pub struct CaptureKey([u8; Self::BYTES]);

impl CaptureKey {
    const BYTES: usize = 32;

    /// 64 hexadecimal digits, or the same bytes in base64 of either alphabet.
    pub fn parse(text: &str) -> Option<Self> {
        let config: GeneralPurposeConfig =
            general_purpose::NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        let bytes = match text.len() {
            64 => hex::decode(text).ok(),
            _ => GeneralPurpose::new(alphabet, config).decode(text).ok(),
        };
        let bytes = Zeroizing::new(bytes?);
        bytes.as_slice().try_into().ok().map(Self)
    }

    /// For the cipher.
    pub fn expose(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl PartialEq for CaptureKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for CaptureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Drop for CaptureKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What is left out of a captured body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redact {
    /// The values of these members, whatever they are.
    Member(Vec<Step>),
    /// Text that looks like this, wherever it stands.
    Pattern(Pattern),
}

/// A part of the way to a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A member of that name, or an element of that number.
    Name(String),
    /// Any one.
    Any,
    /// Any number of them, none too.
    Deep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    Emails,
    /// Numbers of payment cards.
    Cards,
    /// Telephone numbers with their country's.
    Phones,
}

impl Pattern {
    pub const WORDS: [(&'static str, Self); 3] =
        [("emails", Self::Emails), ("cards", Self::Cards), ("phones", Self::Phones)];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Emails => "emails",
            Self::Cards => "cards",
            Self::Phones => "phones",
        }
    }
}

impl Redact {
    /// A way that is longer is a mistake.
    const MOST_STEPS: usize = 32;

    /// `/messages/*/content`, `/**/email`, or a pattern's word. The error says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "`emails`, `cards`, `phones`, or the way to a member like `/messages/*/content`".to_owned();
        let Some(way) = text.strip_prefix('/') else {
            let found = Pattern::WORDS.iter().find(|(word, _)| *word == text);
            return found.map(|(_, pattern)| Self::Pattern(*pattern)).ok_or_else(expected);
        };
        let step = |part: &str| match part {
            "" => None,
            "*" => Some(Step::Any),
            "**" => Some(Step::Deep),
            // As in a JSON pointer.
            name => Some(Step::Name(name.replace("~1", "/").replace("~0", "~"))),
        };
        let steps: Vec<Step> = way.split('/').map(step).collect::<Option<_>>().ok_or_else(expected)?;
        match steps.last() {
            Some(Step::Deep) => Err("a member behind the `**`".to_owned()),
            _ if steps.len() > Self::MOST_STEPS => Err(format!("at most {} steps", Self::MOST_STEPS)),
            _ => Ok(Self::Member(steps)),
        }
    }
}

impl fmt::Display for Redact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => f.write_str(pattern.as_str()),
            Self::Member(steps) => steps.iter().try_for_each(|step| match step {
                Step::Name(name) => write!(f, "/{}", name.replace('~', "~0").replace('/', "~1")),
                Step::Any => f.write_str("/*"),
                Step::Deep => f.write_str("/**"),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_32_bytes_in_any_usual_spelling() {
        let bytes = [0xfb; 32];
        let spelled = [
            hex::encode(bytes),
            general_purpose::STANDARD.encode(bytes),
            general_purpose::STANDARD_NO_PAD.encode(bytes),
            general_purpose::URL_SAFE.encode(bytes),
            general_purpose::URL_SAFE_NO_PAD.encode(bytes),
        ];
        for text in &spelled {
            assert_eq!(CaptureKey::parse(text).map(|key| *key.expose()), Some(bytes), "{text}");
        }
        for text in ["", "password", &"f".repeat(63), &general_purpose::STANDARD.encode([0; 31]), &"g".repeat(64)] {
            assert!(CaptureKey::parse(text).is_none(), "{text}");
        }
        assert_eq!(format!("{:?}", CaptureKey(bytes)), "[secret]");
    }

    #[test]
    fn rules_are_read_and_said_again() {
        for text in ["/messages/*/content", "/**/email", "/a~1b/~0c/0", "emails", "cards", "phones"] {
            assert_eq!(Redact::parse(text).map(|rule| rule.to_string()).as_deref(), Ok(text));
        }
        let steps = vec![Step::Name("a/b".into()), Step::Any];
        assert_eq!(Redact::parse("/a~1b/*"), Ok(Redact::Member(steps)));
        for text in ["", "/", "/a//b", "/a/", "messages", "email", "/a/**", &"/a".repeat(33)] {
            assert!(Redact::parse(text).is_err(), "{text}");
        }
    }
}
