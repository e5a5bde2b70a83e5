//! Tools inside a `namespace`: other formats know one flat list, so the namespace becomes a prefix of
//! the name, and the prefix a namespace again in the answer.

use crate::wire::ir;
use crate::wire::json::{self, Json, Str};
use crate::wire::lenient::{Value, items, read, text};
use crate::wire::scan;
use crate::wire_object;

/// Between a namespace and a name: no vendor forbids it.
const JOINT: &str = "__";

wire_object! {
    pub(super) struct Tool<'a> {
        kind: Json<'a> = "type",
        name: Json<'a>,
        tools: Json<'a>,
    }
}

/// The name of a tool as one list knows it.
pub(super) fn joined(namespace: &str, name: &str) -> String {
    format!("{namespace}{JOINT}{name}")
}

/// The namespace and the name in it, of the name that one list knows a tool by.
pub(super) fn split(tools: &[ir::Tool<'_>], flat: &Str<'_>) -> Option<(String, String)> {
    let mut known = Known::default();
    known.add_all(tools.iter().filter_map(|tool| tool.item.as_ref()).map(|item| Json::new(item.get())));
    let flat = flat.text();
    known.split(&flat).map(|(namespace, name)| (namespace.to_owned(), name.to_owned()))
}

/// What of the client's tools an answer has to be written by.
#[derive(Debug, Default, Clone)]
pub(super) struct Known {
    /// Flat name, namespace, name.
    namespaced: Vec<(String, String, String)>,
    custom: Vec<String>,
}

impl Known {
    /// Of the client's own request.
    pub(super) fn of(request: &str) -> Self {
        let mut it = Self::default();
        let Some(tools) = scan::member(request, "tools") else { return it };
        let tools: Vec<Json<'_>> = json::parse(tools).unwrap_or_default();
        it.add_all(tools);
        it
    }

    fn add_all<'a>(&mut self, tools: impl IntoIterator<Item = Json<'a>>) {
        for tool in tools.into_iter().filter_map(|raw| read::<Tool<'_>>(Some(raw))) {
            let name = plain(tool.name);
            match plain(tool.kind).as_str() {
                "custom" => self.custom.push(name),
                "namespace" => self.add(&name, tool.tools),
                _ => {}
            }
        }
    }

    fn add(&mut self, namespace: &str, tools: Value<'_>) {
        for inner in items(tools).into_iter().filter_map(|raw| read::<Tool<'_>>(Some(raw))) {
            let name = plain(inner.name);
            let flat = joined(namespace, &name);
            if plain(inner.kind) == "custom" {
                self.custom.push(flat.clone());
            }
            self.namespaced.push((flat, namespace.to_owned(), name));
        }
    }

    /// The namespace and the name in it, of a flat name.
    pub(super) fn split(&self, flat: &str) -> Option<(&str, &str)> {
        let (_, namespace, name) = self.namespaced.iter().find(|(known, ..)| known == flat)?;
        Some((namespace, name))
    }

    pub(super) fn is_custom(&self, name: &str) -> bool {
        self.custom.iter().any(|known| known == name)
    }
}

fn plain(value: Value<'_>) -> String {
    text(value).map(|text| text.text().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_name_finds_its_namespace_again() {
        let known = Known::of(
            r#"{"tools":[{"type":"custom","name":"patch"},{"type":"namespace","name":"web","tools":[{"type":"function","name":"open"},7]},null]}"#,
        );
        assert_eq!(known.split("web__open"), Some(("web", "open")));
        assert_eq!(known.split("open"), None);
        assert!(known.is_custom("patch") && !known.is_custom("web__open"));
    }
}
