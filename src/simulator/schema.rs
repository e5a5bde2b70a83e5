//! A value that fits a JSON schema, made from the words of the prompt.
//!
//! - `const`, `default`, the first of `enum` and of `examples` as they are;
//! - text: the first capitalised word of the hint (`use get_weather for Paris`), else the name of
//!   the property; formats get a sample of theirs, `minLength` is filled up;
//! - numbers: the first number of the hint, else 1, within `minimum` and `maximum`;
//! - `true`; one item per list (or `minItems`); the properties that are `required`, or all where
//!   none is; the first of `anyOf`/`oneOf`, all of `allOf`; `$ref` inside the document.

use serde_json::{Map, Value, json};

use super::prompt::{items, text};

/// Deeper than this a value is `null`.
const DEPTH: usize = 24;

/// A value for `schema`. Structured output has every property (`all`), tool arguments only those
/// that are required.
pub(super) fn sample(schema: &Value, hint: &str, all: bool) -> Value {
    Sampler { root: schema, hint, all }.value(schema, "value", 0)
}

struct Sampler<'s> {
    root: &'s Value,
    hint: &'s str,
    all: bool,
}

impl Sampler<'_> {
    fn value(&self, schema: &Value, name: &str, depth: usize) -> Value {
        if depth > DEPTH {
            return Value::Null;
        }
        let first = |list| items(schema, list).first();
        if let Some(fixed) = schema.get("const").or_else(|| schema.get("default")) {
            return fixed.clone();
        }
        if let Some(fixed) = first("enum").or_else(|| first("examples")) {
            return fixed.clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let target = self.root.pointer(target.trim_start_matches('#')).unwrap_or(&Value::Null);
            return self.value(target, name, depth + 1);
        }
        if let Some(option) = first("anyOf").or_else(|| first("oneOf")) {
            return self.value(option, name, depth + 1);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, name, depth),
            "integer" => json!(self.integer(schema)),
            "number" => self.number(schema),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => json!(self.string(schema, name)),
        }
    }

    fn object(&self, schema: &Value, depth: usize) -> Value {
        let mut out = Map::new();
        let required: Vec<&str> = items(schema, "required").iter().filter_map(Value::as_str).collect();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if self.all || required.is_empty() || required.contains(&name.as_str()) {
                out.insert(name.clone(), self.value(property, name, depth + 1));
            }
        }
        for part in items(schema, "allOf") {
            if let Value::Object(more) = self.value(part, "value", depth + 1) {
                out.extend(more);
            }
        }
        Value::Object(out)
    }

    fn array(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let count = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 64);
        let item = schema.get("items").cloned().unwrap_or_default();
        (0..count).map(|_| self.value(&item, name, depth + 1)).collect()
    }

    fn integer(&self, schema: &Value) -> i64 {
        let asked = self.hint_number().and_then(|n| n.parse::<i64>().ok()).unwrap_or(1);
        let least = schema.get("minimum").and_then(Value::as_i64).unwrap_or(i64::MIN);
        let most = schema.get("maximum").and_then(Value::as_i64).unwrap_or(i64::MAX);
        asked.min(most).max(least)
    }

    fn number(&self, schema: &Value) -> Value {
        let asked = self.hint_number().and_then(|n| n.parse::<f64>().ok()).unwrap_or(1.0);
        let least = schema.get("minimum").and_then(Value::as_f64).unwrap_or(f64::MIN);
        let most = schema.get("maximum").and_then(Value::as_f64).unwrap_or(f64::MAX);
        json!(asked.min(most).max(least))
    }

    fn string(&self, schema: &Value, name: &str) -> String {
        let sample = match text(schema, "format") {
            "date" => "2025-01-31".to_owned(),
            "time" => "12:00:00Z".to_owned(),
            "date-time" => "2025-01-31T12:00:00Z".to_owned(),
            "email" => "sim@example.com".to_owned(),
            "uri" | "url" => "https://example.com/".to_owned(),
            "uuid" => "00000000-0000-4000-8000-000000000000".to_owned(),
            _ => self.hint_name().unwrap_or(name).to_owned(),
        };
        let least = schema.get("minLength").and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
        let missing = least.min(4096).saturating_sub(sample.chars().count());
        sample + &"x".repeat(missing)
    }

    fn hint_name(&self) -> Option<&str> {
        let bare = |w| str::trim_matches(w, |c: char| !c.is_alphanumeric());
        self.hint.split_whitespace().map(bare).find(|w| w.starts_with(char::is_uppercase))
    }

    fn hint_number(&self) -> Option<&str> {
        let bare = |w| str::trim_matches(w, |c: char| !c.is_ascii_digit() && c != '-');
        self.hint.split_whitespace().map(bare).find(|w| w.parse::<f64>().is_ok())
    }
}

/// The type of a schema; of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).find(|k| *k != "null").unwrap_or("null"),
        _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_fits_its_schema() {
        let schema = json!({
            "type": "object",
            "required": ["city", "days", "unit", "place"],
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer", "maximum": 3},
                "unit": {"enum": ["C", "F"]},
                "place": {"$ref": "#/$defs/place"},
                "extra": {"type": ["null", "array"], "items": {"type": "number"}},
            },
            "$defs": {"place": {"type": "object", "properties": {"on": {"type": "string", "format": "date"}}}},
        });
        let want = json!({"city": "Paris", "days": 3, "unit": "C", "place": {"on": "2025-01-31"}});
        assert_eq!(sample(&schema, "for Paris, 12 days", false), want);
        assert_eq!(sample(&schema, "", true)["extra"], json!([1.0]));
        assert_eq!(sample(&schema, "", true)["city"], json!("city"));
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(sample(&schema, "", true).is_object());
    }
}
