//! Which schemas OpenAI enforces (<https://platform.openai.com/docs/guides/structured-outputs>, seen 2026-11):
//! it refuses `strict` beside all others. Every object is closed, every property required, and of the words
//! of JSON Schema a few are known. Anthropic's own rules are others: it takes optional properties.

use crate::wire::Dialect;
use crate::wire::bridge::schema_name;
use crate::wire::ir::{Dropped, Output, Request};
use crate::wire::json::{Raw, Str};
use crate::wire::scan;

/// Bodies were checked for depth before; this bounds what a caller without that check can do.
const MAX_DEPTH: u32 = 128;
const FORMATS: [&str; 9] = [
    "\"date-time\"",
    "\"time\"",
    "\"date\"",
    "\"duration\"",
    "\"email\"",
    "\"hostname\"",
    "\"ipv4\"",
    "\"ipv6\"",
    "\"uuid\"",
];

/// Whether a schema, at its top one of an object, may be enforced.
pub(in crate::wire) fn conforms(schema: &str) -> bool {
    scan::member(schema, "type") == Some("\"object\"")
        && scan::member(schema, "anyOf").is_none()
        && holds(schema, MAX_DEPTH)
}

/// Whether a function of another vendor's client cannot be enforced.
pub(in crate::wire) fn is_refused(client: Dialect, schema: Option<&Raw<'_>>) -> bool {
    let is_openais = matches!(client, Dialect::OpenAiChat | Dialect::Responses);
    !is_openais && !schema.is_some_and(|schema| conforms(schema.get()))
}

/// Whether the form of the answer is to be enforced. Anthropic always does; where OpenAI would refuse to, the
/// schema is named as dropped.
pub(in crate::wire) fn of_output(request: &Request<'_>, dropped: &mut Dropped) -> Option<bool> {
    let Output::JsonSchema { schema, strict, .. } = &request.output else { return None };
    if request.dialect != Dialect::Anthropic {
        return *strict;
    }
    let may_be = conforms(schema.get());
    if !may_be {
        dropped.push(schema_name(request.dialect));
    }
    may_be.then_some(true)
}

fn holds(json: &str, depth: u32) -> bool {
    if depth == 0 || !json.starts_with('{') {
        return false;
    }
    let inner = |json: &str| holds(json, depth - 1);
    let all_named = |json: &str| json.starts_with('{') && scan::members(json).all(|(_, schema)| inner(schema));
    let is_known = |(name, value): (&str, &str)| match name {
        "properties" | "$defs" | "definitions" => all_named(value),
        "items" => inner(value),
        "anyOf" => value.starts_with('[') && scan::items(value).all(inner),
        "additionalProperties" => value == "false",
        "format" => FORMATS.contains(&value),
        "type" | "enum" | "const" | "$ref" | "required" | "description" | "title" | "pattern" | "minimum"
        | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minItems" | "maxItems" | "$schema" => {
            true
        }
        // `default`, `oneOf`, `allOf`, `minLength`, ...
        _ => false,
    };
    let is_said = ["type", "enum", "const", "$ref", "anyOf"].iter().any(|name| scan::member(json, name).is_some());
    let is_object = scan::member(json, "type").is_some_and(|kind| kind.contains("\"object\""));
    is_said && scan::members(json).all(is_known) && (!is_object || is_closed(json, depth == MAX_DEPTH))
}

/// Whether an object has no properties but those it requires. At the top a list of none may be missing.
fn is_closed(json: &str, is_top: bool) -> bool {
    let required: Vec<Str<'_>> =
        scan::member(json, "required").into_iter().flat_map(scan::items).filter_map(Str::from_raw).collect();
    let is_required = |(name, _): (&str, &str)| required.iter().any(|known| known.is(&Str::from_escaped(name).text()));
    let properties = scan::member(json, "properties");
    properties.map_or(is_top, |list| scan::members(list).all(is_required))
        && scan::member(json, "additionalProperties") == Some("false")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_all_their_properties_required() {
        let object = |more: &str, required: &str| {
            format!(
                r#"{{"type":"object","properties":{{"a":{{"type":"string"}},"b":{more}}},"required":{required},"additionalProperties":false}}"#
            )
        };
        let inner = object(r#"{"type":["integer","null"],"minimum":1}"#, r#"["b","a"]"#);
        assert!(conforms(&inner) && conforms(&object(&inner, r#"["a","b"]"#)));
        assert!(conforms(&object(
            r##"{"type":"array","items":{"anyOf":[{"$ref":"#/$defs/x"},{"type":"null"}]}}"##,
            r#"["a","b"]"#
        )));
        assert!(conforms(r#"{"type":"object","additionalProperties":false}"#));
        for schema in [
            object(r#"{"type":"string"}"#, r#"["a"]"#),
            object(r#"{}"#, r#"["a","b"]"#),
            object(r#"{"type":"string","minLength":1}"#, r#"["a","b"]"#),
            object(r#"{"type":"string","format":"uri"}"#, r#"["a","b"]"#),
            object(r#"{"type":"object","additionalProperties":false}"#, r#"["a","b"]"#),
            object(r#"{"type":"object","properties":{}}"#, r#"["a","b"]"#),
            object(r#"{"type":"string","default":"x"}"#, r#"["a","b"]"#),
            inner.replace("false", "true"),
            r#"{"type":"array","items":{"type":"string"}}"#.to_owned(),
            r#"{"type":"object"}"#.to_owned(),
        ] {
            assert!(!conforms(&schema), "{schema}");
        }
    }
}
