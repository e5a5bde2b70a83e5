//! A value held against rules.

use std::collections::HashSet;
use std::fmt::Write as _;

use regex_automata::meta::Regex;
use serde_json::{Map, Value};

use super::{At, Bounds, Condition, Fit, Lists, Numbers, Objects, Rule, Rules, Type, whole};

/// What is looked at until a value is given up.
const MOST_STEPS: usize = 250_000;
/// Of rules within rules, and values within values.
const MOST_DEPTH: usize = 256;
/// A text costs a step for each so many bytes.
const BYTES_A_STEP: usize = 64;
/// Told of one value.
const MOST_WRONG: usize = 8;
/// Of one thing that is told.
const MOST_TOLD_BYTES: usize = 200;

/// It would take too long.
struct GivenUp;

/// Whether it fits.
type Outcome = Result<bool, GivenUp>;

pub(super) fn check(rules: &[Rule], value: &Value) -> Fit {
    let mut it = Check { rules, steps: 0, depth: 0, is_quiet: false, wrong: Vec::new() };
    match it.value(0, value, &Path::Top) {
        Ok(true) => Fit::Fits,
        Ok(false) => Fit::Wrong(it.wrong),
        Err(GivenUp) => Fit::Unjudged,
    }
}

struct Check<'r> {
    rules: &'r [Rule],
    steps: usize,
    depth: usize,
    /// Nobody is told what is wrong: another alternative may fit.
    is_quiet: bool,
    wrong: Vec<String>,
}

/// Where a value stands.
enum Path<'p> {
    Top,
    Member(&'p Path<'p>, &'p str),
    Item(&'p Path<'p>, usize),
}

impl Path<'_> {
    /// As a JSON pointer.
    fn write(&self, out: &mut String) {
        let _ = match self {
            Self::Top => Ok(()),
            Self::Member(above, name) => {
                above.write(out);
                write!(out, "/{}", name.replace('~', "~0").replace('/', "~1"))
            }
            Self::Item(above, index) => {
                above.write(out);
                write!(out, "/{index}")
            }
        };
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MOST_TOLD_BYTES)).unwrap_or_default()
}

impl<'r> Check<'r> {
    fn spend(&mut self, steps: usize) -> Result<(), GivenUp> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > MOST_STEPS { Err(GivenUp) } else { Ok(()) }
    }

    /// Says what is wrong, to whom it may help.
    fn wrong(&mut self, path: &Path<'_>, expected: impl FnOnce() -> String) -> bool {
        if !self.is_quiet && self.wrong.len() < MOST_WRONG {
            let mut place = String::new();
            path.write(&mut place);
            let place = if place.is_empty() { "the whole" } else { cut(&place) };
            self.wrong.push(format!("{place}: {}", cut(&expected())));
        }
        false
    }

    /// Whether to look on: one thing that is wrong is enough where nobody is told.
    fn goes_on(&self, fits: bool) -> bool {
        fits || !self.is_quiet && self.wrong.len() < MOST_WRONG
    }

    fn value(&mut self, at: At, value: &Value, path: &Path<'_>) -> Outcome {
        self.spend(1)?;
        let rules = match self.rules.get(at) {
            Some(Rule::Full(rules)) => rules,
            Some(Rule::Flat(true)) | None => return Ok(true),
            Some(Rule::Flat(false)) => return Ok(self.wrong(path, || "nothing may stand here".to_owned())),
        };
        if self.depth == MOST_DEPTH {
            return Err(GivenUp);
        }
        self.depth += 1;
        let fits = self.all(rules, value, path);
        self.depth -= 1;
        fits
    }

    /// What is cheap comes first: of alternatives most end there.
    fn all(&mut self, rules: &'r Rules, value: &Value, path: &Path<'_>) -> Outcome {
        if let Some(types) = &rules.types
            && !types.iter().any(|kind| kind.takes(value))
        {
            return Ok(self.wrong(path, || {
                let words: Vec<&str> = types.iter().map(|kind| kind.word()).collect();
                format!("expected {}, not {}", words.join(" or "), kind(value))
            }));
        }
        let mut fits = self.listed(rules, value, path)?;
        if self.goes_on(fits) {
            fits &= match value {
                Value::Number(_) => self.number(&rules.number, value, path),
                Value::String(text) => self.text(rules, text, path)?,
                Value::Array(items) => self.items(&rules.list, items, path)?,
                Value::Object(members) => self.members(&rules.object, members, path)?,
                Value::Null | Value::Bool(_) => true,
            };
        }
        let along = rules.object.along.iter().filter(|(name, _)| value.get(name).is_some()).map(|(_, at)| at);
        for at in rules.reference.iter().chain(&rules.all).chain(along) {
            if self.goes_on(fits) {
                fits &= self.value(*at, value, path)?;
            }
        }
        if self.goes_on(fits) {
            fits &= self.combined(rules, value, path)?;
        }
        Ok(fits)
    }

    fn listed(&mut self, rules: &Rules, value: &Value, path: &Path<'_>) -> Outcome {
        for values in &rules.values {
            let mut is_known = false;
            for known in values {
                is_known = is_known || self.is_same(known, value)?;
            }
            if !is_known {
                return Ok(self.wrong(path, || {
                    let known: Vec<String> = values.iter().map(Value::to_string).collect();
                    format!("expected one of {}", known.join(", "))
                }));
            }
        }
        Ok(true)
    }

    /// Numbers are the same by their value: 1 is 1.0.
    fn is_same(&mut self, one: &Value, other: &Value) -> Outcome {
        self.spend(1)?;
        match (one, other) {
            (Value::Number(_), Value::Number(_)) => Ok(match (whole(one), whole(other)) {
                (Some(one), Some(other)) => one == other,
                _ => one.as_f64() == other.as_f64(),
            }),
            (Value::String(one), Value::String(other)) if one.len() == other.len() => {
                self.spend(one.len() / BYTES_A_STEP)?;
                Ok(one == other)
            }
            (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
                one.iter().zip(other).try_fold(true, |same, (one, other)| Ok(same && self.is_same(one, other)?))
            }
            (Value::Object(one), Value::Object(other)) if one.len() == other.len() => {
                one.iter().try_fold(true, |same, (name, one)| match other.get(name).filter(|_| same) {
                    Some(other) => self.is_same(one, other),
                    None => Ok(false),
                })
            }
            (Value::Null, Value::Null) => Ok(true),
            (Value::Bool(one), Value::Bool(other)) => Ok(one == other),
            _ => Ok(false),
        }
    }

    /// Whether it fits, with nobody told.
    fn quietly(&mut self, at: At, value: &Value, path: &Path<'_>) -> Outcome {
        let before = std::mem::replace(&mut self.is_quiet, true);
        let fits = self.value(at, value, path);
        self.is_quiet = before;
        fits
    }

    /// How many of the alternatives it fits, as far as that matters.
    fn fitting(&mut self, all: &[At], most: usize, value: &Value, path: &Path<'_>) -> Result<usize, GivenUp> {
        let mut count = 0;
        for at in all {
            if count < most && self.quietly(*at, value, path)? {
                count += 1;
            }
        }
        Ok(count)
    }

    fn combined(&mut self, rules: &'r Rules, value: &Value, path: &Path<'_>) -> Outcome {
        if let Some(any) = &rules.any
            && self.fitting(any, 1, value, path)? == 0
        {
            // Of a single one it is known what is wrong.
            return match any.as_slice() {
                [only] => self.value(*only, value, path),
                _ => Ok(self.wrong(path, || "it fits none of the alternatives of `anyOf`".to_owned())),
            };
        }
        if let Some(one) = &rules.one {
            match self.fitting(one, 2, value, path)? {
                1 => {}
                0 => return Ok(self.wrong(path, || "it fits none of the alternatives of `oneOf`".to_owned())),
                _ => return Ok(self.wrong(path, || "it fits several alternatives of `oneOf`".to_owned())),
            }
        }
        if let Some(not) = rules.not
            && self.quietly(not, value, path)?
        {
            return Ok(self.wrong(path, || "it fits what is excluded by `not`".to_owned()));
        }
        if let Some(Condition { test, then, otherwise }) = &rules.condition {
            let next = if self.quietly(*test, value, path)? { then } else { otherwise };
            return next.map_or(Ok(true), |at| self.value(at, value, path));
        }
        Ok(true)
    }

    fn number(&mut self, limits: &Numbers, value: &Value, path: &Path<'_>) -> bool {
        let Numbers { least, most, above, below, multiple_of, whole_multiple_of } = limits;
        let number = value.as_f64().unwrap_or_default();
        let is_multiple = |step: f64| match (whole(value), whole_multiple_of) {
            (Some(whole), Some(step)) => whole % step == 0,
            _ => {
                let times = number / step;
                (times - times.round()).abs() <= f64::EPSILON * times.abs().max(1.0)
            }
        };
        let broken = [
            (least.filter(|least| number < *least), "at least"),
            (most.filter(|most| number > *most), "at most"),
            (above.filter(|above| number <= *above), "more than"),
            (below.filter(|below| number >= *below), "less than"),
            (multiple_of.filter(|step| !is_multiple(*step)), "a multiple of"),
        ];
        match broken.into_iter().find_map(|(bound, word)| Some((bound?, word))) {
            Some((bound, word)) => self.wrong(path, || format!("expected {word} {bound}")),
            None => true,
        }
    }

    fn count(&mut self, bounds: Bounds, count: usize, of: &str, path: &Path<'_>) -> bool {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let (least, most) = (bounds.least.unwrap_or(0), bounds.most.unwrap_or(u64::MAX));
        match (count < least, count > most) {
            (true, _) => self.wrong(path, || format!("expected at least {least} {of}")),
            (_, true) => self.wrong(path, || format!("expected at most {most} {of}")),
            _ => true,
        }
    }

    fn text(&mut self, rules: &Rules, text: &str, path: &Path<'_>) -> Outcome {
        let mut fits = true;
        if rules.length.least.is_some() || rules.length.most.is_some() {
            self.spend(text.len() / BYTES_A_STEP)?;
            fits = self.count(rules.length, text.chars().count(), "characters", path);
        }
        match &rules.pattern {
            Some(pattern) if self.goes_on(fits) && !self.matches(pattern, text)? => {
                Ok(self.wrong(path, || "it does not match the `pattern`".to_owned()))
            }
            _ => Ok(fits),
        }
    }

    fn matches(&mut self, pattern: &Regex, text: &str) -> Outcome {
        self.spend(text.len() / BYTES_A_STEP + 1)?;
        Ok(pattern.is_match(text))
    }

    fn items(&mut self, list: &Lists, items: &[Value], path: &Path<'_>) -> Outcome {
        let mut fits = self.count(list.count, items.len(), "items", path);
        if list.is_unique && self.goes_on(fits) {
            fits &= self.unique(items, path)?;
        }
        let rules = list.prefix.iter().map(Some).chain(std::iter::repeat(list.items.as_ref()));
        for ((index, item), rule) in items.iter().enumerate().zip(rules) {
            if let Some(at) = rule.filter(|_| self.goes_on(fits)) {
                fits &= self.value(*at, item, &Path::Item(path, index))?;
            }
        }
        if let Some((at, bounds)) = list.contains
            && self.goes_on(fits)
        {
            let mut found = 0;
            for item in items {
                found += usize::from(self.quietly(at, item, path)?);
            }
            let bounds = Bounds { least: bounds.least.or(Some(1)), ..bounds };
            fits &= self.count(bounds, found, "items that fit `contains`", path);
        }
        Ok(fits)
    }

    fn unique(&mut self, items: &[Value], path: &Path<'_>) -> Outcome {
        let mut seen = HashSet::with_capacity(items.len());
        for item in items {
            let mut text = String::new();
            spell(item, &mut text);
            self.spend(text.len() / BYTES_A_STEP + 1)?;
            if !seen.insert(text) {
                return Ok(self.wrong(path, || "expected no item twice".to_owned()));
            }
        }
        Ok(true)
    }

    fn members(&mut self, object: &Objects, members: &Map<String, Value>, path: &Path<'_>) -> Outcome {
        let mut fits = self.count(object.count, members.len(), "members", path);
        self.spend(object.required.len())?;
        for name in &object.required {
            if self.goes_on(fits) && !members.contains_key(name) {
                fits = self.wrong(path, || format!("the member `{name}` is missing"));
            }
        }
        for (name, value) in members {
            if self.goes_on(fits) {
                fits &= self.member(object, (name, value), path)?;
            }
        }
        for (name, others) in object.together.iter().filter(|(name, _)| members.contains_key(name)) {
            self.spend(others.len())?;
            let missing = others.iter().find(|other| !members.contains_key(*other));
            if let Some(missing) = missing.filter(|_| self.goes_on(fits)) {
                fits = self.wrong(path, || format!("the member `{missing}` is missing, which `{name}` needs"));
            }
        }
        Ok(fits)
    }

    fn member(&mut self, object: &Objects, (name, value): (&str, &Value), path: &Path<'_>) -> Outcome {
        let here = Path::Member(path, name);
        let (mut fits, mut is_known) = (true, false);
        if let Some(at) = object.properties.get(name) {
            is_known = true;
            fits = self.value(*at, value, &here)?;
        }
        for (pattern, at) in &object.patterns {
            if self.goes_on(fits) && self.matches(pattern, name)? {
                is_known = true;
                fits &= self.value(*at, value, &here)?;
            }
        }
        if let Some(at) = object.additional.filter(|_| !is_known && self.goes_on(fits)) {
            fits &= match self.rules.get(at) {
                Some(Rule::Flat(false)) => self.wrong(path, || format!("the member `{name}` may not be there")),
                _ => self.value(at, value, &here)?,
            };
        }
        if let Some(at) = object.names.filter(|_| self.goes_on(fits))
            && !self.quietly(at, &Value::String(name.to_owned()), &here)?
        {
            fits = self.wrong(path, || format!("`{name}` is not a name that `propertyNames` takes"));
        }
        Ok(fits)
    }
}

fn kind(value: &Value) -> &'static str {
    let kinds = [Type::Null, Type::Boolean, Type::Number, Type::String, Type::Array, Type::Object];
    kinds.into_iter().find(|kind| kind.takes(value)).map_or("", Type::word)
}

/// The same for what is the same, however it was written.
fn spell(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => match whole(value) {
            Some(number) => _ = write!(out, "{number}"),
            None => _ = write!(out, "{number}"),
        },
        Value::Array(items) => {
            out.push('[');
            for item in items {
                spell(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in members {
                let _ = write!(out, "{name:?}:");
                spell(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::String(_) => _ = write!(out, "{value}"),
    }
}
