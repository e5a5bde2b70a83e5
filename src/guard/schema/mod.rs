//! JSON Schema: whether a value is what a client asked for.
//!
//! A schema is written by a client, and a model writes what that client wants, so both may be made to cost
//! as much as they can. A schema is read once into a list of rules (`compile`), without recursion and without
//! asking anybody for what it refers to; regular expressions are matched in linear time. A value is walked
//! (`check`) with a bound on depth and on steps: references that go in circles, and alternatives that multiply, end
//! there, and the value is not judged. What a schema says that is not known here (`unevaluatedProperties`,
//! `$dynamicRef`, a reference to another document, a pattern with a look-ahead) makes it one that is not judged by.
//!
//! Known: the assertions and applicators of drafts 4 to 2020-12 but for those; `format` and all that only
//! annotates is passed over (<https://json-schema.org/draft/2020-12>, 2026-11).

#![expect(clippy::disallowed_types, reason = "a schema is a tree, and so is what is held against it")]

mod check;
mod compile;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use regex_automata::meta::Regex;
use serde_json::Value;

/// A longer schema is not judged by.
const MOST_SCHEMA_BYTES: usize = 256 * 1024;
/// A longer text is not judged.
pub const MOST_TEXT_BYTES: usize = 1024 * 1024;

/// See the module documentation.
#[derive(Clone)]
pub struct Schema {
    rules: Arc<[Rule]>,
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").field("rules", &self.rules.len()).finish_non_exhaustive()
    }
}

/// What comes of holding a text against a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fit {
    Fits,
    /// Not JSON, or not what the schema says: where, and what was expected. Never empty.
    Wrong(Vec<String>),
    /// It would have cost too much to find out.
    Unjudged,
}

/// Where a rule stands in the list.
type At = usize;

/// What one schema says.
#[derive(Debug)]
enum Rule {
    /// `true` or `false`.
    Flat(bool),
    Full(Box<Rules>),
}

#[derive(Debug, Default)]
struct Rules {
    reference: Option<At>,
    types: Option<Vec<Type>>,
    /// `enum`, and `const` as one of one.
    values: Vec<Vec<Value>>,
    all: Vec<At>,
    any: Option<Vec<At>>,
    one: Option<Vec<At>>,
    not: Option<At>,
    condition: Option<Condition>,
    number: Numbers,
    /// In characters.
    length: Bounds,
    pattern: Option<Regex>,
    list: Lists,
    object: Objects,
}

#[derive(Debug)]
struct Condition {
    test: At,
    then: Option<At>,
    otherwise: Option<At>,
}

#[derive(Debug, Default)]
struct Numbers {
    least: Option<f64>,
    most: Option<f64>,
    above: Option<f64>,
    below: Option<f64>,
    multiple_of: Option<f64>,
    /// The same where it is a whole number: doubles do not hold all of those.
    whole_multiple_of: Option<i128>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Bounds {
    least: Option<u64>,
    most: Option<u64>,
}

#[derive(Debug, Default)]
struct Lists {
    prefix: Vec<At>,
    items: Option<At>,
    count: Bounds,
    is_unique: bool,
    contains: Option<(At, Bounds)>,
}

#[derive(Debug, Default)]
struct Objects {
    properties: HashMap<String, At>,
    patterns: Vec<(Regex, At)>,
    additional: Option<At>,
    names: Option<At>,
    required: Vec<String>,
    count: Bounds,
    /// Where the one is there, so must the others be.
    together: Vec<(String, Vec<String>)>,
    /// Where the one is there, this holds too.
    along: Vec<(String, At)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

impl Type {
    const WORDS: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }

    fn takes(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Null, Value::Null)
            | (Self::Boolean, Value::Bool(_))
            | (Self::Number, Value::Number(_))
            | (Self::String, Value::String(_))
            | (Self::Array, Value::Array(_))
            | (Self::Object, Value::Object(_)) => true,
            // 1.0 is an integer, too.
            (Self::Integer, Value::Number(n)) => n.as_f64().is_some_and(|n| n.fract() == 0.0),
            _ => false,
        }
    }
}

/// A number that is a whole one, however it is written: 3.0 is 3. Exactly, where a double is not.
fn whole(number: &Value) -> Option<i128> {
    let written = || number.as_f64().filter(|n| n.fract() == 0.0).and_then(|n| format!("{n:.0}").parse().ok());
    number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from)).or_else(written)
}

impl Schema {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is not one to judge by.
    pub fn new(json: &str) -> Result<Self, String> {
        if json.len() > MOST_SCHEMA_BYTES {
            return Err(format!("it is longer than {MOST_SCHEMA_BYTES} bytes"));
        }
        let root: Value = serde_json::from_str(json).map_err(|why| format!("it is not JSON: {why}"))?;
        Ok(Self { rules: compile::compile(&root)?.into() })
    }

    /// Of any object and any list.
    pub fn of_json() -> Self {
        let types = Some(vec![Type::Object, Type::Array]);
        Self { rules: Arc::new([Rule::Full(Box::new(Rules { types, ..Rules::default() }))]) }
    }

    /// Holds a text against it.
    pub fn check(&self, text: &str) -> Fit {
        if text.len() > MOST_TEXT_BYTES {
            return Fit::Unjudged;
        }
        match serde_json::from_str::<Value>(text) {
            Ok(value) => check::check(&self.rules, &value),
            Err(why) => Fit::Wrong(vec![format!("it is not JSON: {why}")]),
        }
    }
}

#[cfg(test)]
mod tests;
