//! What a value is held to by a JSON schema is what another implementation says, wherever ours judges.
#![no_main]

use serde_json::{Map, Value, json};
use weir::guard::schema::{Fit, Schema};

const NAMES: [&str; 4] = ["a", "b", "ab", "é"];
const TYPES: [&str; 7] = ["null", "boolean", "integer", "number", "string", "array", "object"];
const TEXTS: [&str; 8] = ["", "a", "b", "ab", "abc", "é", "😀", "a1"];
const PATTERNS: [&str; 8] = ["^a", "b$", "[a-z]+", "^.$", "\\d", "^$", "é", "^a{1,2}$"];

/// What is chosen follows from the bytes.
struct Chance<'b>(&'b [u8]);

impl Chance<'_> {
    /// Less than that; without bytes the first of all.
    fn below(&mut self, most: u8) -> u8 {
        let Some((byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte % most
    }

    fn of<T: Clone>(&mut self, all: &[T]) -> T {
        all[usize::from(self.below(u8::try_from(all.len()).unwrap()))].clone()
    }

    fn number(&mut self) -> Value {
        let odd = [json!(0.5), json!(1.0), json!(2.5), json!(-0.0), json!(1e2), json!(0.3), json!(u64::MAX), json!(i64::MIN)];
        match self.below(2) {
            0 => json!(i64::from(self.below(9)) - 4),
            _ => self.of(&odd),
        }
    }

    fn value(&mut self, depth: u8) -> Value {
        match self.below(if depth == 0 { 4 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => self.number(),
            3 => json!(self.of(&TEXTS)),
            4 => (0..self.below(4)).map(|_| self.value(depth - 1)).collect(),
            _ => Value::Object((0..self.below(4)).map(|_| (self.of(&NAMES).to_owned(), self.value(depth - 1))).collect()),
        }
    }

    fn names(&mut self) -> Value {
        let mut names: Vec<&str> = (0..self.below(3)).map(|_| self.of(&NAMES)).collect();
        names.sort_unstable();
        names.dedup();
        json!(names)
    }

    fn step(&mut self) -> Value {
        self.of(&[json!(1), json!(2), json!(0.5), json!(0.1), json!(3.0)])
    }

    fn schemas(&mut self, depth: u8) -> Value {
        (0..=self.below(3)).map(|_| self.schema(depth)).collect()
    }

    fn named(&mut self, depth: u8) -> Value {
        Value::Object((0..=self.below(2)).map(|_| (self.of(&NAMES).to_owned(), self.schema(depth))).collect())
    }

    fn schema(&mut self, depth: u8) -> Value {
        match self.below(12) {
            0 => Value::Bool(true),
            1 => Value::Bool(false),
            _ => {
                let mut members = Map::new();
                for _ in 0..=self.below(3) {
                    let (name, rule) = self.rule(depth);
                    members.insert(name.to_owned(), rule);
                }
                Value::Object(members)
            }
        }
    }

    fn rule(&mut self, depth: u8) -> (&'static str, Value) {
        let below = depth.saturating_sub(1);
        match self.below(if depth == 0 { 17 } else { 33 }) {
            0 => ("type", json!(self.of(&TYPES))),
            1 => ("type", json!([self.of(&TYPES[..3]), self.of(&TYPES[3..])])),
            2 => ("enum", json!([self.value(1)])),
            3 => ("const", self.value(1)),
            4 => ("minLength", json!(self.below(4))),
            5 => ("maxLength", json!(self.below(4))),
            6 => ("pattern", json!(self.of(&PATTERNS))),
            7 => ("minimum", self.number()),
            8 => ("maximum", self.number()),
            9 => ("exclusiveMinimum", self.number()),
            10 => ("exclusiveMaximum", self.number()),
            11 => ("multipleOf", self.step()),
            12 => ("required", self.names()),
            13 => ("uniqueItems", json!(self.below(2) == 0)),
            14 => ("minItems", json!(self.below(3))),
            15 => ("maxItems", json!(self.below(3))),
            16 => ("minProperties", json!(self.below(3))),
            17 => ("maxProperties", json!(self.below(3))),
            18 => ("items", self.schema(below)),
            19 => ("prefixItems", self.schemas(below)),
            20 => ("contains", self.schema(below)),
            21 => ("properties", self.named(below)),
            22 => ("additionalProperties", self.schema(below)),
            23 => ("patternProperties", json!({self.of(&PATTERNS): self.schema(below)})),
            24 => ("propertyNames", self.schema(below)),
            25 => ("dependentRequired", json!({self.of(&NAMES): self.names()})),
            26 => ("dependentSchemas", self.named(below)),
            27 => ("anyOf", self.schemas(below)),
            28 => ("oneOf", self.schemas(below)),
            29 => ("allOf", self.schemas(below)),
            30 => ("not", self.schema(below)),
            31 => ("$ref", json!(self.of(&["#", "#/$defs/x"]))),
            _ => (self.of(&["if", "then", "else"]), self.schema(below)),
        }
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut chance = Chance(bytes);
    let (mut schema, definition) = (chance.schema(2), chance.schema(1));
    if let Value::Object(members) = &mut schema {
        members.insert("$defs".to_owned(), json!({"x": definition}));
    }
    let Ok(own) = Schema::new(&schema.to_string()) else { return };
    let value = chance.value(2);
    let fit = own.check(&value.to_string());
    // References may go in circles, which ours does not follow for long and others for ever.
    if fit != Fit::Unjudged {
        let theirs = jsonschema::draft202012::new(&schema).expect("a schema that we can read");
        assert_eq!(fit == Fit::Fits, theirs.is_valid(&value), "{value} in {schema}: {fit:?}");
    }
});
