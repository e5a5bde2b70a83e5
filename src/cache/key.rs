//! What makes two requests the same one: whose they are, where they go, and all that they say.

use sha2::{Digest as _, Sha256};

use crate::wire::Dialect;
use crate::wire::envelope::Envelope;
use crate::wire::owned;
use crate::wire::scan;

/// SHA-256 of all of [`Ask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) [u8; 32]);

/// A request of a provider, but for what proves whose it is.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Nobody else finds its answer.
    pub tenant: &'a str,
    pub namespace: Option<&'a str>,
    /// The kind of provider, and its address.
    pub provider: [&'a str; 2],
    pub model: &'a str,
    /// With its query.
    pub path: [&'a str; 3],
    pub is_stream: bool,
    /// Those that the provider goes by: in any order, but for those of one name.
    pub headers: &'a [(&'a str, &'a [u8])],
    pub body: &'a Envelope<'a>,
    /// Members that make no difference.
    pub ignore: &'a [&'static str],
}

/// In members of one order; everything else to the byte.
pub fn key(ask: &Ask<'_>) -> Key {
    let mut all = Hasher(Sha256::new());
    all.part(ask.tenant.as_bytes());
    all.part(&[u8::from(ask.namespace.is_some())]);
    all.part(ask.namespace.unwrap_or_default().as_bytes());
    for text in ask.provider.iter().chain([&ask.model]).chain(&ask.path) {
        all.part(text.as_bytes());
    }
    all.part(&[u8::from(ask.is_stream)]);
    let mut headers = ask.headers.to_vec();
    headers.sort_by_key(|(name, _)| *name);
    all.count(headers.len());
    for (name, value) in headers {
        all.part(name.as_bytes());
        all.part(value);
    }
    let body = ask.body.body();
    let mut members: Vec<(&str, &str)> = Vec::with_capacity(ask.body.members().len());
    for member in ask.body.members() {
        let value = body.get(member.value_span.clone()).unwrap_or_default();
        if !ask.ignore.iter().any(|name| *name == member.name) {
            members.push((member.name.as_ref(), value));
        }
    }
    members.sort_unstable();
    for (name, value) in members {
        all.part(name.as_bytes());
        all.part(value.as_bytes());
    }
    Key(all.0.finalize().into())
}

/// Each part with its length before it, so that no two lists of them are the same text.
struct Hasher(Sha256);

impl Hasher {
    fn part(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.update(bytes);
    }

    fn count(&mut self, count: usize) {
        self.0.update(u64::try_from(count).unwrap_or(u64::MAX).to_le_bytes());
    }
}

/// Whether chance is told to stay out of the answer: a temperature of 0, or a seed. As the provider is
/// asked, so that what it does not understand and is not told does not count.
pub fn is_deterministic(body: &Envelope<'_>) -> bool {
    // Gemini and Amazon's Converse have them in an object of their own.
    let inner = ["generationConfig", "generation_config", "inferenceConfig"].iter().find_map(|name| body.present(name));
    let said = |name: &str| {
        let of_inner = || scan::member(inner?, name).filter(|json| *json != "null");
        body.present(name).or_else(of_inner)
    };
    let is_zero = |json: &str| json.parse::<f64>().is_ok_and(|number| number.abs() < f64::EPSILON);
    said("seed").is_some() || said("temperature").is_some_and(is_zero)
}

/// Whether the provider is asked to keep something, or goes by what it keeps: then the same words may not
/// have the same answer, and another one's would have an id that was never given out.
pub fn keeps_state(dialect: Dialect, body: &Envelope<'_>) -> bool {
    let is_stored = match dialect {
        Dialect::Responses => owned::is_stored(body),
        _ => body.present("store") == Some("true"),
    };
    let goes_by = ["previous_response_id", "conversation", "thread"].iter().any(|name| body.present(name).is_some());
    is_stored || goes_by || body.present("background") == Some("true")
}

#[cfg(test)]
impl Default for Ask<'_> {
    fn default() -> Self {
        static NOTHING: std::sync::LazyLock<Envelope<'static>> =
            std::sync::LazyLock::new(|| Envelope::parse_str("{}").unwrap());
        Self {
            tenant: "",
            namespace: None,
            provider: ["", ""],
            model: "",
            path: ["", "", ""],
            is_stream: false,
            headers: &[],
            body: &NOTHING,
            ignore: &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(body: &str) -> Key {
        key(&Ask { body: &Envelope::parse_str(body).unwrap(), ..Ask::default() })
    }

    #[test]
    fn the_order_of_members_makes_no_difference_and_everything_else_does() {
        let one = of(r#"{"model":"m","messages":[{"role":"user"}],"n":1}"#);
        assert_eq!(one, of(r#" { "n" : 1, "messages" : [{"role":"user"}] , "model":"m"}"#));
        for other in [
            r#"{"model":"m","messages":[{"role":"user"}],"n":2}"#,
            r#"{"model":"m","messages":[{"role":"user" }],"n":1}"#,
            r#"{"model":"m","messages":[{"role":"user"}]}"#,
            r#"{"model":"m","messages":[{"role":"user"}],"n":1,"user":"u"}"#,
        ] {
            assert_ne!(one, of(other), "{other}");
        }
    }

    #[test]
    fn whose_and_where_it_is_makes_a_difference() {
        let all = [
            Ask::default(),
            Ask { tenant: "a", ..Ask::default() },
            Ask { tenant: "b", ..Ask::default() },
            Ask { namespace: Some(""), ..Ask::default() },
            Ask { namespace: Some("a"), ..Ask::default() },
            Ask { provider: ["a", ""], ..Ask::default() },
            Ask { provider: ["", "a"], ..Ask::default() },
            Ask { model: "a", ..Ask::default() },
            Ask { path: ["a", "", ""], ..Ask::default() },
            Ask { path: ["", "a", ""], ..Ask::default() },
            Ask { is_stream: true, ..Ask::default() },
            Ask { headers: &[("anthropic-beta", b"a")], ..Ask::default() },
            Ask { headers: &[("anthropic-beta", b"a"), ("anthropic-version", b"1")], ..Ask::default() },
        ];
        let keys: std::collections::HashSet<Key> = all.iter().map(key).collect();
        assert_eq!(keys.len(), all.len());
        let turned = [("anthropic-version", &b"1"[..]), ("anthropic-beta", b"a")];
        assert!(keys.contains(&key(&Ask { headers: &turned, ..Ask::default() })));
    }

    #[test]
    fn members_that_make_no_difference_are_not_looked_at() {
        let of = |text: &str| {
            let body = Envelope::parse_str(text).unwrap();
            key(&Ask { body: &body, ignore: &["user", "metadata"], ..Ask::default() })
        };
        assert_eq!(of(r#"{"a":1,"user":"u","metadata":{"b":2}}"#), of(r#"{"user":"w","a":1}"#));
        assert_ne!(of(r#"{"a":1}"#), of(r#"{"a":1,"safety_identifier":"s"}"#));
    }

    #[test]
    fn chance_stays_out_where_it_is_told_to() {
        for (body, expected) in [
            (r#"{"temperature":0}"#, true),
            (r#"{"temperature":0.0}"#, true),
            (r#"{"temperature":0.7}"#, false),
            (r#"{"temperature":"0"}"#, false),
            (r#"{"temperature":null}"#, false),
            (r#"{"seed":7,"temperature":1}"#, true),
            (r#"{"seed":null}"#, false),
            (r#"{"generationConfig":{"temperature":0}}"#, true),
            (r#"{"generationConfig":{"seed":3}}"#, true),
            (r#"{"generationConfig":{"seed":null,"temperature":0.1}}"#, false),
            (r#"{"inferenceConfig":{"temperature":0}}"#, true),
            ("{}", false),
        ] {
            assert_eq!(is_deterministic(&Envelope::parse_str(body).unwrap()), expected, "{body}");
        }
    }

    #[test]
    fn what_a_provider_keeps_is_not_kept_here() {
        for (dialect, body, expected) in [
            (Dialect::Responses, "{}", true),
            (Dialect::Responses, r#"{"store":true}"#, true),
            (Dialect::Responses, r#"{"store":false}"#, false),
            (Dialect::Responses, r#"{"store":false,"previous_response_id":"r"}"#, true),
            (Dialect::Responses, r#"{"store":false,"conversation":"c"}"#, true),
            (Dialect::Responses, r#"{"store":false,"background":true}"#, true),
            (Dialect::OpenAiChat, "{}", false),
            (Dialect::OpenAiChat, r#"{"store":true}"#, true),
            (Dialect::Anthropic, "{}", false),
            (Dialect::Anthropic, r#"{"thread":{"type":"create"}}"#, true),
        ] {
            assert_eq!(keeps_state(dialect, &Envelope::parse_str(body).unwrap()), expected, "{dialect:?} {body}");
        }
    }
}
