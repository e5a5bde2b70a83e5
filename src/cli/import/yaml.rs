//! The configuration that is written: a tree that prints as YAML, with comments.

use std::fmt::Write as _;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Yaml {
    Text(String),
    List(Vec<Yaml>),
    Map(Map),
}

/// Settings in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map(Vec<Entry>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    comment: Option<String>,
    name: String,
    value: Yaml,
}

impl Yaml {
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::List(_) | Self::Map(_) => None,
        }
    }

    pub(super) fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            Self::Text(_) | Self::List(_) => None,
        }
    }

    fn is_nothing(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
        }
    }
}

impl From<&str> for Yaml {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Yaml {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Map> for Yaml {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl Map {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Yaml> {
        self.0.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
    }

    /// Sets what is there; empty mappings and lists are left out.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Yaml>) -> &mut Self {
        let value = value.into();
        self.remove(name);
        if !value.is_nothing() {
            self.0.push(Entry { comment: None, name: name.to_owned(), value });
        }
        self
    }

    pub(super) fn set_if(&mut self, name: &str, value: Option<impl Into<Yaml>>) -> &mut Self {
        if let Some(value) = value {
            self.set(name, value);
        }
        self
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Yaml> {
        self.0.iter_mut().find(|entry| entry.name == name).map(|entry| &mut entry.value)
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.retain(|entry| entry.name != name);
    }

    /// Those of its values that are mappings.
    pub(super) fn maps_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        self.0.iter_mut().filter_map(|entry| match &mut entry.value {
            Yaml::Map(map) => Some(map),
            Yaml::Text(_) | Yaml::List(_) => None,
        })
    }

    /// Leaves out what has become empty.
    pub(super) fn tidy(&mut self) {
        self.maps_mut().for_each(Self::tidy);
        self.0.retain(|entry| !entry.value.is_nothing());
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Yaml)> {
        self.0.iter().map(|entry| (entry.name.as_str(), &entry.value))
    }

    /// Says something above a setting that is there.
    pub(super) fn comment(&mut self, name: &str, text: &str) -> &mut Self {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.name == name) {
            match &mut entry.comment {
                Some(comment) => comment.extend(["\n", text]),
                comment => *comment = Some(text.to_owned()),
            }
        }
        self
    }

    /// As YAML, with an empty line between the sections.
    pub(super) fn render(&self) -> String {
        let mut out = String::new();
        for entry in &self.0 {
            if !out.is_empty() {
                out.push('\n');
            }
            entry.write(&mut out, 0);
        }
        out
    }
}

/// Longest line that is put into braces.
const WIDTH: usize = 96;

impl Entry {
    fn write(&self, out: &mut String, indent: usize) {
        let blank = " ".repeat(indent);
        for line in self.comment.iter().flat_map(|comment| comment.lines()) {
            let _ = writeln!(out, "{blank}# {line}");
        }
        let name = scalar(&self.name);
        match (flow(&self.value), &self.value) {
            (Some(short), value) if !needs_lines(value) && indent + name.len() + short.len() + 2 <= WIDTH => {
                let _ = writeln!(out, "{blank}{name}: {short}");
            }
            (_, Yaml::Map(map)) => {
                let _ = writeln!(out, "{blank}{name}:");
                map.0.iter().for_each(|entry| entry.write(out, indent + 2));
            }
            (_, Yaml::List(items)) => {
                let _ = writeln!(out, "{blank}{name}:");
                items.iter().for_each(|item| write_item(item, out, indent + 2));
            }
            (short, Yaml::Text(_)) => {
                let _ = writeln!(out, "{blank}{name}: {}", short.unwrap_or_default());
            }
        }
    }
}

fn write_item(item: &Yaml, out: &mut String, indent: usize) {
    let blank = " ".repeat(indent);
    match (flow(item), item) {
        (Some(short), value) if !needs_lines(value) && indent + short.len() + 2 <= WIDTH => {
            let _ = writeln!(out, "{blank}- {short}");
        }
        (_, Yaml::Map(map)) => {
            let mut text = String::new();
            map.0.iter().for_each(|entry| entry.write(&mut text, indent + 2));
            // The dash stands where the first name's blanks were.
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default().trim_start();
            let _ = writeln!(out, "{blank}- {first}");
            lines.for_each(|line| _ = writeln!(out, "{line}"));
        }
        (short, _) => {
            let _ = writeln!(out, "{blank}- {}", short.unwrap_or_default());
        }
    }
}

/// Has a comment somewhere, or mappings in mappings in mappings.
fn needs_lines(value: &Yaml) -> bool {
    fn depth(value: &Yaml) -> usize {
        match value {
            Yaml::Text(_) => 0,
            Yaml::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Yaml::Map(map) => 1 + map.0.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        }
    }
    fn has_comment(value: &Yaml) -> bool {
        match value {
            Yaml::Text(_) => false,
            Yaml::List(items) => items.iter().any(has_comment),
            Yaml::Map(map) => map.0.iter().any(|entry| entry.comment.is_some() || has_comment(&entry.value)),
        }
    }
    depth(value) > 2 || has_comment(value)
}

/// In one line.
fn flow(value: &Yaml) -> Option<String> {
    let text = match value {
        Yaml::Text(text) => scalar(text),
        Yaml::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(flow).collect();
            format!("[{}]", items?.join(", "))
        }
        Yaml::Map(map) => {
            let entry = |entry: &Entry| Some(format!("{}: {}", scalar(&entry.name), flow(&entry.value)?));
            let entries: Option<Vec<_>> = map.0.iter().map(entry).collect();
            format!("{{{}}}", entries?.join(", "))
        }
    };
    Some(text)
}

/// A mapping of nothing, where the name alone would not do.
pub(super) const EMPTY: &str = "{}";

/// Quoted where YAML would read something else.
fn scalar(text: &str) -> String {
    if text == EMPTY {
        return text.to_owned();
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/+-".contains(c);
    let starts = text.chars().next().is_some_and(|c| c.is_ascii_alphanumeric() || "/.".contains(c));
    let is_word = !["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str())
        || ["true", "false"].contains(&text);
    if starts && is_word && text.chars().all(is_plain) {
        return text.to_owned();
    }
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_things_stand_in_one_line_and_long_ones_do_not() {
        let mut target = Map::default();
        target.set("model", "openai/gpt-4o").set("weight", "2");
        let mut route = Map::default();
        route.set("strategy", "weighted").set("targets", Yaml::List(vec![target.clone().into(), target.into()]));
        route.comment("targets", "by rpm\nas before");
        let mut all = Map::default();
        let mut routes = Map::default();
        routes.set("my model", route);
        all.set("routes", routes).set("empty", Map::default()).set("key", "${X}");
        assert_eq!(
            all.render(),
            "routes:\n  \"my model\":\n    strategy: weighted\n    # by rpm\n    # as before\n    targets: [{model: openai/gpt-4o, weight: 2}, {model: openai/gpt-4o, weight: 2}]\n\nkey: \"${X}\"\n"
        );
    }

    #[test]
    fn what_yaml_would_misread_is_quoted() {
        for text in ["", "no", "${A}", "a: b", "- x", "#x", "*", "a b", "\"", "null", "{", "é"] {
            assert!(scalar(text).starts_with('"'), "{text}");
        }
        for text in ["openai/gpt-4o", "2024-10-21", "10m", "true", "./data", "gpt-4.1"] {
            assert_eq!(scalar(text), text);
        }
    }
}
