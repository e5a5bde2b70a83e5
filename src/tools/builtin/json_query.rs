//! `weir_json_query`: JSONPath as of RFC 9535.

#![expect(clippy::disallowed_types, reason = "the query works on a tree, of a document that is bounded")]

use serde::Deserialize;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::read;
use crate::tools::Outcome;
use crate::wire::json::{Arr, Obj};

pub(super) const SPEC: (&str, &str, &str) = (
    "weir_json_query",
    "Finds values in a JSON document by a JSONPath expression (RFC 9535).",
    concat!(
        r#"{"type":"object","properties":{"json":{"type":"string","description":"The document, as JSON text."},"#,
        r#""path":{"type":"string","description":"For example $.items[?@.price < 10].name or $..id"}},"#,
        r#""required":["json","path"],"additionalProperties":false}"#
    ),
);

const MOST_PATH_BYTES: usize = 1_000;
/// What is looked at in all: some tenths of a second.
const MOST_STEPS: u64 = 5_000_000;
const MOST_ANSWER_BYTES: usize = 64 << 10;

#[derive(Deserialize)]
struct Arguments {
    /// Text, as the schema has it; some models give the document itself.
    json: Value,
    path: String,
}

pub(super) fn call(arguments: &str) -> Outcome {
    let arguments = match read::<Arguments>(arguments) {
        Ok(arguments) => arguments,
        Err(outcome) => return outcome,
    };
    let document = match arguments.json {
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(document) => document,
            Err(error) => return Outcome::failed(format!("The document is not JSON: {error}.")),
        },
        document => document,
    };
    if arguments.path.len() > MOST_PATH_BYTES {
        return Outcome::failed(format!("The path is longer than {MOST_PATH_BYTES} bytes."));
    }
    let path = match JsonPath::parse(&arguments.path) {
        Ok(path) => path,
        Err(error) => return Outcome::failed(format!("The path is no JSONPath: {error}.")),
    };
    if steps(&arguments.path, &document) > MOST_STEPS {
        return Outcome::failed("The path is too costly for this document: be more specific than `..` and lists.");
    }
    answer(path.query(&document).all())
}

/// No less than what the query looks at: `..` sees each value as often as it is deep, a query from the root
/// inside a filter sees all anew for each, and a list may name the same again.
fn steps(path: &str, document: &Value) -> u64 {
    let (nodes, depth) = size(document);
    let count = |what: &str| u32::try_from(path.matches(what).count()).unwrap_or(u32::MAX);
    let deep = depth.saturating_pow(count(".."));
    let anew = nodes.saturating_pow(count("$").saturating_sub(1));
    let listed = 2_u64.saturating_pow(count(","));
    nodes.saturating_mul(deep).saturating_mul(anew).saturating_mul(listed)
}

/// Values in it, and how deep they are at most.
fn size(value: &Value) -> (u64, u64) {
    let add = |(nodes, depth): (u64, u64), inner: &Value| {
        let (more, below) = size(inner);
        (nodes + more, depth.max(below))
    };
    let (nodes, depth) = match value {
        Value::Array(items) => items.iter().fold((0, 0), add),
        Value::Object(members) => members.values().fold((0, 0), add),
        _ => (0, 0),
    };
    (nodes + 1, depth + 1)
}

fn answer(found: Vec<&Value>) -> Outcome {
    let mut matches = Vec::new();
    let (mut shown, all) = (0, found.len());
    {
        let mut list = Arr::new(&mut matches);
        let mut bytes = 0;
        for value in found {
            let text = value.to_string();
            bytes += text.len() + 1;
            if bytes > MOST_ANSWER_BYTES {
                break;
            }
            list.raw(&text);
            shown += 1;
        }
    }
    let mut out = Vec::with_capacity(matches.len() + 64);
    let mut body = Obj::new(&mut out);
    body.num("count", u64::try_from(all).unwrap_or(u64::MAX));
    if shown < all {
        body.num("shown", u64::try_from(shown).unwrap_or(u64::MAX));
    }
    body.raw("matches", &String::from_utf8_lossy(&matches));
    drop(body);
    Outcome::done(String::from_utf8_lossy(&out))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(json: &Value, path: &str) -> Outcome {
        call(&json!({"json": json.to_string(), "path": path}).to_string())
    }

    #[test]
    fn values_are_found() {
        let shop = json!({"items": [{"id": 1, "price": 5, "name": "a"}, {"id": 2, "price": 15, "name": "b"}]});
        assert_eq!(asked(&shop, "$.items[?@.price < 10].name").text, r#"{"count":1,"matches":["a"]}"#);
        assert_eq!(asked(&shop, "$..id").text, r#"{"count":2,"matches":[1,2]}"#);
        assert_eq!(asked(&shop, "$.items[-1].price").text, r#"{"count":1,"matches":[15]}"#);
        assert_eq!(asked(&shop, "$.nothing").text, r#"{"count":0,"matches":[]}"#);
        assert_eq!(asked(&shop, "$.items[?search(@.name, '^b')].id").text, r#"{"count":1,"matches":[2]}"#);
        let given = call(r#"{"json": {"a": 12345678901234567890}, "path": "$.a"}"#);
        assert_eq!(given.text, r#"{"count":1,"matches":[12345678901234567890]}"#);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (json, path) in [("{", "$"), ("{}", "items"), ("{}", "$["), ("{}", "")] {
            assert!(call(&json!({"json": json, "path": path}).to_string()).is_error, "{json} {path}");
        }
        assert!(asked(&json!({}), &format!("${}", ".a".repeat(600))).is_error);
        assert!(call(r#"{"path": "$"}"#).is_error);
    }

    #[test]
    fn no_query_takes_long() {
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep, 1]);
        }
        let wide = json!((0..20_000).map(|n| json!({"n": n})).collect::<Vec<_>>());
        assert!(asked(&deep, &format!("${}", "..[0,1]".repeat(20))).is_error);
        assert!(asked(&deep, &format!("${}", "[0,0]".repeat(60))).is_error);
        assert!(asked(&wide, "$[?count($..n) > 1]").is_error);
        let all = asked(&wide, "$..n");
        assert!(!all.is_error && all.text.starts_with(r#"{"count":20000,"shown":"#) && all.text.len() < 70_000);
    }
}
