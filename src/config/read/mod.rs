//! From a tree of YAML to typed settings, all problems noted on the way.
//!
//! A settings struct is declared with `settings!`: its doc comments are the documentation of the
//! schema and of `conf/reference.yaml`, its default literals are read by the same code as the file.

mod context;
mod scalar;
mod settings;

use std::ops::Deref;

use schemars::{Schema, SchemaGenerator, json_schema};

pub use context::{Context, nearest};
pub use scalar::{
    Address, ApiKey, Day, Name, Network, Period, PeriodOrOff, Scalar, SecretText, Sha256Hex, Size, one_of,
};
pub use settings::{Field, Given, Settings, schema_of};
pub(super) use settings::{settings, slot};

use super::yaml::{Kind, Node, Place};

/// What can be read from a node.
pub trait Read: Sized {
    /// Problems go to `cx`, and then there is no value.
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self>;

    /// What an editor is told.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// A value and where it was written (or where it could have been).
#[derive(Debug, Clone, Default)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Read> Read for At<T> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        Some(Self { value: T::read(node, cx)?, place: node.place })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        T::schema(generator)
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => Some(items.iter().filter_map(|item| T::read(item, cx)).collect()),
            Kind::Null => Some(Self::new()),
            _ => cx.expected(node, "a list"),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "array", "items": T::schema(generator)})
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, Default)]
pub struct OneOrMore<T>(pub Vec<At<T>>);

impl<T: Read> Read for OneOrMore<T> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) if items.is_empty() => cx.expected(node, "at least one entry"),
            Kind::List(_) => Some(Self(Vec::read(node, cx)?)),
            _ => Some(Self(vec![At::read(node, cx)?])),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let one = T::schema(generator);
        json_schema!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
    }
}

/// What is allowed, all where nothing is said. Who writes an empty list means nothing, and would get everything.
#[derive(Debug, Clone)]
pub struct Allowed<T>(Vec<T>);

impl<T> Deref for Allowed<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Read> Read for Allowed<T> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            cx.say(node.place, "an empty list").label(ALLOW_ALL);
            return None;
        }
        Vec::read(node, cx).map(Self)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<T> as Read>::schema(generator)
    }
}

/// What is said of an empty list of what is allowed.
pub const ALLOW_ALL: &str = "expected at least one entry; leave it out to allow all";

/// Names the operator chose, each with its settings, in the order of the file.
#[derive(Debug, Clone)]
pub struct Map<T> {
    pub entries: Vec<(At<String>, T)>,
    /// Some could not be read and are not among them.
    pub lost: bool,
}

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), lost: false }
    }
}

impl<T: Read> Read for Map<T> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let entries = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => return Some(Self::default()),
            _ => return cx.expected(node, "a mapping of names"),
        };
        let mut read = Self { entries: Vec::with_capacity(entries.len()), lost: false };
        for entry in entries {
            let name = At { value: entry.name.clone(), place: entry.place };
            // Nothing behind a name has no place of its own worth pointing at.
            let place = if matches!(entry.value.kind, Kind::Null) { entry.place } else { entry.value.place };
            let node = Node { place, kind: entry.value.kind.clone() };
            match T::read(&node, cx) {
                Some(value) => read.entries.push((name, value)),
                None => read.lost = true,
            }
        }
        Some(read)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": T::schema(generator)})
    }
}

/// A single value for the usual case, a mapping for the rest.
#[derive(Debug, Clone)]
pub enum Either<T, S> {
    Plain(T),
    Full(S),
}

impl<T: Read, S: Read> Read for Either<T, S> {
    fn read(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        match node.kind {
            Kind::Scalar(_) => T::read(node, cx).map(Self::Plain),
            _ => S::read(node, cx).map(Self::Full),
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [T::schema(generator), S::schema(generator)]})
    }
}
