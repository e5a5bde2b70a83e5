//! A schema's text to its rules.

use std::collections::{HashMap, VecDeque};

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

use super::{At, Bounds, Condition, Rule, Rules, Type, whole};

/// Of one pattern, compiled.
const MOST_PATTERN_BYTES: usize = 256 * 1024;
/// Patterns of a schema.
const MOST_PATTERNS: usize = 64;
/// What says something of a value that is not known here.
const UNKNOWN: [&str; 4] = ["unevaluatedProperties", "unevaluatedItems", "$dynamicRef", "$recursiveRef"];

type Result<T> = std::result::Result<T, String>;
type Members = Map<String, Value>;

/// Rules that refer to each other by their places; the first is the whole schema's.
pub(super) fn compile(root: &Value) -> Result<Vec<Rule>> {
    let mut it = Compiler { root, places: HashMap::new(), waiting: VecDeque::new(), patterns: 0 };
    let mut rules = Vec::new();
    it.place(root);
    while let Some(schema) = it.waiting.pop_front() {
        rules.push(it.rule(schema)?);
    }
    Ok(rules)
}

struct Compiler<'v> {
    root: &'v Value,
    /// By their address: a schema that is referred to twice has one rule, and so has one that refers to itself.
    places: HashMap<usize, At>,
    /// Of those that have a place and no rule yet, in the order of their places.
    waiting: VecDeque<&'v Value>,
    patterns: usize,
}

impl<'v> Compiler<'v> {
    fn place(&mut self, schema: &'v Value) -> At {
        let next = self.places.len();
        *self.places.entry(std::ptr::from_ref(schema).addr()).or_insert_with(|| {
            self.waiting.push_back(schema);
            next
        })
    }

    fn rule(&mut self, schema: &'v Value) -> Result<Rule> {
        let members = match schema {
            Value::Bool(fits) => return Ok(Rule::Flat(*fits)),
            Value::Object(members) => members,
            _ => return Err("a schema in it is neither an object nor true or false".to_owned()),
        };
        if let Some(unknown) = UNKNOWN.iter().find(|name| members.contains_key(**name)) {
            return Err(format!("`{unknown}` is not known here"));
        }
        let mut rules = Rules::default();
        if let Some(reference) = members.get("$ref") {
            rules.reference = Some(self.reference(reference)?);
        }
        rules.types = members.get("type").map(types).transpose()?;
        rules.values.extend(members.get("const").map(|value| vec![value.clone()]));
        rules.values.extend(members.get("enum").map(list).transpose()?.map(<[Value]>::to_vec));
        self.combined(members, &mut rules)?;
        numbers(members, &mut rules)?;
        rules.length = bounds(members, "minLength", "maxLength")?;
        rules.pattern = members.get("pattern").map(|pattern| self.pattern(text(pattern)?)).transpose()?;
        self.lists(members, &mut rules)?;
        self.objects(members, &mut rules)?;
        Ok(Rule::Full(Box::new(rules)))
    }

    /// Only into the schema itself: nobody is asked for another.
    fn reference(&mut self, reference: &Value) -> Result<At> {
        let reference = text(reference)?;
        let target = match reference.strip_prefix('#') {
            Some(pointer) if pointer.is_empty() || pointer.starts_with('/') && !pointer.contains('%') => {
                self.root.pointer(pointer)
            }
            _ => None,
        };
        target.map(|schema| self.place(schema)).ok_or_else(|| "a `$ref` in it leads nowhere".to_owned())
    }

    fn combined(&mut self, members: &'v Members, rules: &mut Rules) -> Result<()> {
        let mut all = |name: &str| -> Result<Option<Vec<At>>> {
            let Some(schemas) = members.get(name) else { return Ok(None) };
            Ok(Some(list(schemas)?.iter().map(|schema| self.place(schema)).collect()))
        };
        rules.all = all("allOf")?.unwrap_or_default();
        (rules.any, rules.one) = (all("anyOf")?, all("oneOf")?);
        rules.not = self.one(members, "not");
        rules.condition = self.one(members, "if").map(|test| Condition {
            test,
            then: self.one(members, "then"),
            otherwise: self.one(members, "else"),
        });
        Ok(())
    }

    fn one(&mut self, members: &'v Members, name: &str) -> Option<At> {
        members.get(name).map(|schema| self.place(schema))
    }

    fn lists(&mut self, members: &'v Members, rules: &mut Rules) -> Result<()> {
        // Before 2020-12 the prefix was a list in `items`, and the others were `additionalItems`.
        let (prefix, items) = match members.get("items") {
            Some(Value::Array(prefix)) => (prefix.as_slice(), "additionalItems"),
            _ => (members.get("prefixItems").map(list).transpose()?.unwrap_or_default(), "items"),
        };
        rules.list.prefix = prefix.iter().map(|schema| self.place(schema)).collect();
        rules.list.items = self.one(members, items);
        rules.list.count = bounds(members, "minItems", "maxItems")?;
        rules.list.is_unique = members.get("uniqueItems") == Some(&Value::Bool(true));
        let count = bounds(members, "minContains", "maxContains")?;
        rules.list.contains = self.one(members, "contains").map(|schema| (schema, count));
        Ok(())
    }

    fn objects(&mut self, members: &'v Members, rules: &mut Rules) -> Result<()> {
        let object = &mut rules.object;
        for (name, schema) in named(members, "properties")? {
            object.properties.insert(name.clone(), self.place(schema));
        }
        for (pattern, schema) in named(members, "patternProperties")? {
            object.patterns.push((self.pattern(pattern)?, self.place(schema)));
        }
        object.additional = self.one(members, "additionalProperties");
        object.names = self.one(members, "propertyNames");
        // A flag of each property in draft 3, and now and then still.
        if let Some(Value::Array(_)) = members.get("required") {
            object.required = texts(members.get("required"))?;
        }
        object.count = bounds(members, "minProperties", "maxProperties")?;
        for member in ["dependentRequired", "dependentSchemas", "dependencies"] {
            for (name, depends) in named(members, member)? {
                match depends {
                    Value::Array(_) => object.together.push((name.clone(), texts(Some(depends))?)),
                    schema => object.along.push((name.clone(), self.place(schema))),
                }
            }
        }
        Ok(())
    }

    fn pattern(&mut self, pattern: &str) -> Result<Regex> {
        self.patterns += 1;
        if self.patterns > MOST_PATTERNS {
            return Err(format!("it has more than {MOST_PATTERNS} patterns"));
        }
        let config = Regex::config().nfa_size_limit(Some(MOST_PATTERN_BYTES)).hybrid_cache_capacity(MOST_PATTERN_BYTES);
        Regex::builder().configure(config).build(pattern).map_err(|_| "a pattern in it cannot be used".to_owned())
    }
}

fn numbers(members: &Members, rules: &mut Rules) -> Result<()> {
    let number = |name: &str| -> Result<Option<f64>> {
        match members.get(name) {
            None => Ok(None),
            Some(value) => value.as_f64().map(Some).ok_or_else(|| format!("`{name}` is not a number")),
        }
    };
    // In draft 4 a flag of the bound beside it.
    let exclusive = |flag: &str, bound: &str| match members.get(flag) {
        Some(Value::Bool(false)) => Ok(None),
        Some(Value::Bool(true)) => number(bound),
        _ => number(flag),
    };
    let limits = &mut rules.number;
    (limits.least, limits.most) = (number("minimum")?, number("maximum")?);
    limits.above = exclusive("exclusiveMinimum", "minimum")?;
    limits.below = exclusive("exclusiveMaximum", "maximum")?;
    limits.multiple_of = number("multipleOf")?.filter(|step| *step > 0.0);
    limits.whole_multiple_of = members.get("multipleOf").and_then(whole).filter(|step| *step > 0);
    Ok(())
}

fn bounds(members: &Members, least: &str, most: &str) -> Result<Bounds> {
    let count = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(value) => {
            let count = whole(value).and_then(|count| u64::try_from(count).ok());
            count.map(Some).ok_or_else(|| format!("`{name}` is not a count"))
        }
    };
    Ok(Bounds { least: count(least)?, most: count(most)? })
}

fn types(value: &Value) -> Result<Vec<Type>> {
    let one = |word: &Value| {
        let known = Type::WORDS.iter().find(|(known, _)| word.as_str() == Some(known));
        known.map(|(_, kind)| *kind).ok_or_else(|| "a `type` in it is none".to_owned())
    };
    match value {
        Value::Array(words) => words.iter().map(one).collect(),
        word => Ok(vec![one(word)?]),
    }
}

fn list(value: &Value) -> Result<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or_else(|| "what has to be a list in it is none".to_owned())
}

fn named<'v>(members: &'v Members, name: &str) -> Result<impl Iterator<Item = (&'v String, &'v Value)> + use<'v>> {
    match members.get(name) {
        None => Ok(None.into_iter().flatten()),
        Some(Value::Object(inner)) => Ok(Some(inner.iter()).into_iter().flatten()),
        Some(_) => Err(format!("`{name}` is not an object")),
    }
}

fn text(value: &Value) -> Result<&str> {
    value.as_str().ok_or_else(|| "what has to be a text in it is none".to_owned())
}

fn texts(value: Option<&Value>) -> Result<Vec<String>> {
    let list = value.map(list).transpose()?.unwrap_or_default();
    list.iter().map(|value| text(value).map(str::to_owned)).collect()
}
