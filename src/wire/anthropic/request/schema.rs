//! The schema of an answer, as this provider takes it
//! (<https://platform.claude.com/docs/en/build-with-claude/structured-outputs>):
//!
//! - every object says `additionalProperties: false`, and no other is taken;
//! - bounds of numbers, texts, lists and objects, patterns, most formats and what combines schemas are
//!   refused, but for `minItems` of 0 and 1. They are told in the description instead, as Anthropic's own
//!   SDKs have it; `oneOf` is an `anyOf`.

use crate::wire::json::{self, Arr, Json, Obj, Str};
use crate::wire::scan;

/// Bodies were checked for depth before; this bounds what a caller without that check can do.
const MAX_DEPTH: u32 = 128;

/// The formats of texts that are enforced.
const FORMATS: [&str; 10] = [
    "\"date-time\"",
    "\"time\"",
    "\"date\"",
    "\"duration\"",
    "\"email\"",
    "\"hostname\"",
    "\"uri\"",
    "\"ipv4\"",
    "\"ipv6\"",
    "\"uuid\"",
];

/// The schema, and whether any bound of it is only told.
pub(in crate::wire) fn closed(schema: &str) -> (String, bool) {
    let (mut out, mut told) = (Vec::with_capacity(schema.len() + 32), false);
    write(schema, MAX_DEPTH, &mut out, &mut told);
    (String::from_utf8(out).unwrap_or_default(), told)
}

fn write(json: &str, depth: u32, out: &mut Vec<u8>, told: &mut bool) {
    if depth == 0 || !json.starts_with('{') {
        return out.extend_from_slice(json.as_bytes());
    }
    let has_any = scan::member(json, "anyOf").is_some();
    let bounds: Vec<String> = scan::members(json)
        .filter(|(name, value)| is_refused(name, value) || *name == "oneOf" && has_any)
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    *told |= !bounds.is_empty();
    let mut description = (!bounds.is_empty()).then(|| Str::from_text(&format!("{{{}}}", bounds.join(", "))));
    let mut schema = Obj::new(out);
    for (name, value) in scan::members(json) {
        let key = Str::from_escaped(name).text().into_owned();
        match name {
            name if is_refused(name, value) => {}
            "additionalProperties" if value != "false" => {}
            "oneOf" if has_any => {}
            "oneOf" => one_or_more(value, depth - 1, schema.key("anyOf"), told),
            "description" => {
                match (description.take(), Str::from_raw(value)) {
                    (Some(bounds), Some(said)) => {
                        let both = format!("{}\\n\\n{}", said.escaped(), bounds.escaped());
                        schema.str("description", &Str::from_escaped(&both))
                    }
                    (Some(bounds), None) => schema.str("description", &bounds),
                    (None, _) => schema.raw("description", value),
                };
            }
            "properties" | "$defs" | "definitions" => named(value, depth - 1, schema.key(&key), told),
            "items" | "anyOf" | "allOf" => {
                one_or_more(value, depth - 1, schema.key(&key), told);
            }
            _ => _ = schema.raw(&key, value),
        }
    }
    description.iter().for_each(|bounds| _ = schema.str("description", bounds));
    if is_object(json) && scan::member(json, "additionalProperties") != Some("false") {
        schema.bool("additionalProperties", false);
    }
}

fn is_refused(name: &str, value: &str) -> bool {
    match name {
        "minItems" => !matches!(value, "0" | "1"),
        // What says no more than its absence is left out.
        "additionalProperties" => !matches!(value, "false" | "true"),
        "format" => !FORMATS.contains(&value),
        "minimum"
        | "maximum"
        | "exclusiveMinimum"
        | "exclusiveMaximum"
        | "multipleOf"
        | "minLength"
        | "maxLength"
        | "pattern"
        | "maxItems"
        | "uniqueItems"
        | "prefixItems"
        | "contains"
        | "minContains"
        | "maxContains"
        | "minProperties"
        | "maxProperties"
        | "patternProperties"
        | "propertyNames"
        | "dependentRequired"
        | "dependentSchemas"
        | "if"
        | "then"
        | "else"
        | "not"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "discriminator" => true,
        _ => false,
    }
}

fn is_object(json: &str) -> bool {
    match scan::member(json, "type") {
        Some(kind) => kind.contains("\"object\""),
        None => scan::member(json, "properties").is_some(),
    }
}

fn named(json: &str, depth: u32, out: &mut Vec<u8>, told: &mut bool) {
    if !json.starts_with('{') {
        return out.extend_from_slice(json.as_bytes());
    }
    let mut all = Obj::new(out);
    for (name, schema) in scan::members(json) {
        write(schema, depth, all.key(&Str::from_escaped(name).text()), told);
    }
}

fn one_or_more(json: &str, depth: u32, out: &mut Vec<u8>, told: &mut bool) {
    match json::parse::<Vec<Json<'_>>>(json) {
        Ok(schemas) => {
            let mut list = Arr::new(out);
            schemas.iter().for_each(|schema| write(schema.get(), depth, list.item(), told));
        }
        Err(_) => write(json, depth, out, told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_and_bounds_are_told() {
        let schema = r##"{"type":"object","properties":{"maximum":{"type":"integer","minimum":1,"maximum":5,"description":"a \"b\""},
            "l":{"type":"array","minItems":2,"items":{"type":["object","null"],"properties":{}}},
            "u":{"anyOf":[{"$ref":"#/$defs/d"},{"type":"string","maxLength":9}]}},"$defs":{"d":{"properties":{}}}}"##;
        let expected = concat!(
            r#"{"type":"object","properties":{"maximum":{"type":"integer","description":"a \"b\"\n\n{minimum: 1, maximum: 5}"},"#,
            r#""l":{"type":"array","items":{"type":["object","null"],"properties":{},"additionalProperties":false},"description":"{minItems: 2}"},"#,
            r##""u":{"anyOf":[{"$ref":"#/$defs/d"},{"type":"string","description":"{maxLength: 9}"}]}},"##,
            r#""$defs":{"d":{"properties":{},"additionalProperties":false}},"additionalProperties":false}"#,
        );
        assert_eq!(closed(schema), (expected.to_owned(), true));
    }

    #[test]
    fn what_is_taken_stays() {
        for json in [
            r#"{"type":"object","properties":{"l":{"type":"array","minItems":1}},"additionalProperties":false}"#,
            r#"{"type":"string","format":"uri","default":"a"}"#,
            r#"{"enum":[{"minimum":1}],"const":{"type":"object"},"properties\"":1,"type":"string"}"#,
            "true",
        ] {
            assert_eq!(closed(json), (json.to_owned(), false));
        }
    }

    #[test]
    fn what_is_refused_besides_bounds_is_told() {
        for (schema, expected, is_told) in [
            (
                r#"{"type":"object","additionalProperties":true}"#,
                r#"{"type":"object","additionalProperties":false}"#,
                false,
            ),
            (
                r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
                r#"{"type":"object","description":"{additionalProperties: {\"type\":\"string\"}}","additionalProperties":false}"#,
                true,
            ),
            (
                r#"{"oneOf":[{"type":"string"},{"properties":{}}]}"#,
                r#"{"anyOf":[{"type":"string"},{"properties":{},"additionalProperties":false}]}"#,
                false,
            ),
            (
                r#"{"type":"string","format":"color","pattern":"a"}"#,
                r#"{"type":"string","description":"{format: \"color\", pattern: \"a\"}"}"#,
                true,
            ),
            (r#"{"type":"array","uniqueItems":true}"#, r#"{"type":"array","description":"{uniqueItems: true}"}"#, true),
        ] {
            assert_eq!(closed(schema), (expected.to_owned(), is_told));
        }
    }
}
