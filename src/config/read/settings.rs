//! `settings!`: a mapping with known keys, declared once.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::context::{Context, nearest};
use super::{At, Read};
use crate::config::yaml::{Entry, Kind, Node, Place};

/// One key of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    pub name: &'static str,
    /// Lines of the doc comment.
    pub doc: &'static [&'static str],
    /// As one would write it in the file.
    pub default: Option<&'static str>,
    /// What an editor is told of its value.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

/// A mapping with known keys.
pub trait Settings: Read + schemars::JsonSchema {
    /// Where it stands, in messages: `server`, `a provider`.
    const PLACE: &'static str;
    const DOC: &'static [&'static str];
    const FIELDS: &'static [Field];
}

/// Declares settings structs. A field with a default (`= "30s"`, read like the file; a single value,
/// `{}` or `[]`) is an `At<T>`,
/// one without an `Option<At<T>>`.
macro_rules! settings {
    ($( $(#[doc = $doc:literal])* $name:ident in $where:literal {
        $( $(#[doc = $field_doc:literal])* $field:ident : $ty:ty $(= $default:literal)? , )*
    } )*) => { $(
        $(#[doc = $doc])*
        #[derive(Debug, Clone)]
        pub struct $name {
            /// Of the whole mapping.
            pub place: $crate::config::yaml::Place,
            /// The keys with a value, even if their values could not be read.
            pub written: Vec<&'static str>,
            $( $(#[doc = $field_doc])* pub $field: $crate::config::read::slot!(type $ty $(, $default)?), )*
        }

        impl $crate::config::read::Settings for $name {
            const PLACE: &'static str = $where;
            const DOC: &'static [&'static str] = &[$($doc),*];
            const FIELDS: &'static [$crate::config::read::Field] = &[$(
                $crate::config::read::Field {
                    name: stringify!($field),
                    doc: &[$($field_doc),*],
                    default: $crate::config::read::slot!(default $($default)?),
                    schema: <$ty as $crate::config::read::Read>::schema,
                }
            ),*];
        }

        impl $crate::config::read::Read for $name {
            fn read(
                node: &$crate::config::yaml::Node,
                cx: &mut $crate::config::read::Context<'_>,
            ) -> Option<Self> {
                let given = $crate::config::read::Given::open::<Self>(node, cx)?;
                Some(Self {
                    place: node.place,
                    written: given.written::<Self>(),
                    $( $field: $crate::config::read::slot!(
                        read given, cx, stringify!($field), $ty $(, $default)?
                    ), )*
                })
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                generator.subschema_for::<Self>()
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::config::read::schema_of::<Self>(generator)
            }
        }
    )* };
}

/// The three faces of a field with and without a default.
macro_rules! slot {
    (type $ty:ty) => { Option<$crate::config::read::At<$ty>> };
    (type $ty:ty, $default:literal) => { $crate::config::read::At<$ty> };
    (default) => { None };
    (default $default:literal) => { Some($default) };
    (read $given:ident, $cx:ident, $name:expr, $ty:ty) => { $given.get::<$ty>($name, $cx) };
    (read $given:ident, $cx:ident, $name:expr, $ty:ty, $default:literal) => {
        $given.get_or::<$ty>($name, $default, $cx)?
    };
}

pub(in crate::config) use {settings, slot};

/// The entries of a mapping whose keys have been checked.
#[derive(Debug)]
pub struct Given<'n> {
    entries: &'n [Entry],
    place: Place,
}

impl<'n> Given<'n> {
    /// Checks the keys; nothing at all is an empty mapping.
    pub fn open<S: Settings>(node: &'n Node, cx: &mut Context<'_>) -> Option<Self> {
        let entries: &[Entry] = match &node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => &[],
            _ => return cx.expected(node, &format!("the settings of {}", S::PLACE)),
        };
        for entry in entries {
            if !S::FIELDS.iter().any(|f| f.name == entry.name) {
                unknown::<S>(entry, cx);
            }
        }
        Some(Self { entries, place: node.place })
    }

    /// The keys with a value.
    pub fn written<S: Settings>(&self) -> Vec<&'static str> {
        let names = S::FIELDS.iter().map(|f| f.name);
        names
            .filter(|name| self.entries.iter().any(|e| e.name == *name && !matches!(e.value.kind, Kind::Null)))
            .collect()
    }

    /// What is written there; nothing (`null`) is not given.
    pub fn get<T: Read>(&self, name: &str, cx: &mut Context<'_>) -> Option<At<T>> {
        let entry = self.entries.iter().find(|e| e.name == name)?;
        if matches!(entry.value.kind, Kind::Null) {
            return None;
        }
        cx.under(name, |cx| At::read(&entry.value, cx))
    }

    /// The same, or the default. `None` only if the default itself cannot be read (a test sees to
    /// it that they all can).
    pub fn get_or<T: Read>(&self, name: &str, default: &str, cx: &mut Context<'_>) -> Option<At<T>> {
        if let Some(given) = self.get(name, cx) {
            return Some(given);
        }
        let kind = match default {
            "{}" => Kind::Map(Vec::new()),
            // Nothing is an empty list; one that somebody writes may be a mistake ([`super::Allowed`]).
            "[]" => Kind::Null,
            text => Kind::Scalar(text.to_owned()),
        };
        let node = Node { place: self.place, kind };
        Some(At { value: T::read(&node, cx)?, place: self.place })
    }
}

fn unknown<S: Settings>(entry: &Entry, cx: &mut Context<'_>) {
    if cx.is_full() {
        return;
    }
    let name = &entry.name;
    let known: Vec<_> = S::FIELDS.iter().map(|f| f.name).collect();
    let near = nearest(name, known.iter().copied());
    cx.hide_under(name, near, &entry.value);
    cx.say(entry.place, format!("unknown key `{name}` in {}", S::PLACE))
        .label(format!("expected one of: {}", known.join(", ")))
        .did_you_mean(near);
}

/// The JSON Schema of a settings struct.
pub fn schema_of<S: Settings>(generator: &mut SchemaGenerator) -> Schema {
    let mut properties = serde_json::Map::new();
    for field in S::FIELDS {
        let mut schema = (field.schema)(generator);
        schema.insert("description".to_owned(), paragraph(field.doc).into());
        if let Some(default) = field.default {
            schema.insert("default".to_owned(), default_json(default));
        }
        properties.insert(field.name.to_owned(), schema.to_value());
    }
    json_schema!({
        "type": ["object", "null"],
        "description": paragraph(S::DOC),
        "properties": properties,
        "additionalProperties": false,
    })
}

/// Doc lines as one text.
fn paragraph(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ").trim().to_owned()
}

#[expect(clippy::disallowed_types, reason = "a schema is free-form JSON")]
fn default_json(default: &str) -> serde_json::Value {
    serde_json::from_str(default).unwrap_or_else(|_| default.into())
}
