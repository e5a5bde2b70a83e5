//! YAML text to a tree in which every node knows its place.
//!
//! YAML 1.2 core, read as text: what a scalar means (a number, a duration) is decided by the setting
//! that reads it. Aliases and merge keys (`<<`) work; several documents, tags of one's own and keys
//! that are not plain text do not. Size, depth and the number of nodes are bounded, aliases included.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span};

use super::read::Context;

/// Longest file that is read.
pub const MAX_FILE_BYTES: usize = 16 << 20;
const MAX_NODES: usize = 2_000_000;
const MAX_DEPTH: usize = 48;

/// Bytes of the source from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    pub start: usize,
    pub end: usize,
}

impl From<Span> for Place {
    fn from(span: Span) -> Self {
        let start = span.start.byte_offset().unwrap_or_default();
        Self { start, end: span.end.byte_offset().unwrap_or(start).max(start) }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    pub place: Place,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// Nothing, `~` or `null`: the same as not given.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One `name: value` of a mapping.
#[derive(Debug, Clone)]
pub struct Entry {
    pub name: String,
    pub place: Place,
    pub value: Node,
}

impl Node {
    /// What it is, for messages.
    pub fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Scalar(_) => "a single value",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// What an anchor stands for: the node, how many nodes it is, and how deep it goes.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

struct Builder<'t, 'c, 'e> {
    text: &'t str,
    events: Parser<'t, granit_parser::StrInput<'t>>,
    cx: &'c mut Context<'e>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    /// Deepest level reached since it was last reset: the depth of an anchored node.
    deepest: usize,
}

/// Stops the parse: the problem has been noted.
struct Stop;

/// Reads one document. Problems go to `cx`; `None` if there is no tree to go on with.
pub fn parse(text: &str, cx: &mut Context<'_>) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        disallow_directives: true,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let events = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder { text, events, cx, anchors: HashMap::new(), nodes: 0, deepest: 0 };
    let root = builder.document();
    if root.is_err() {
        cx.without_tree();
    }
    root.unwrap_or_default()
}

impl<'t> Builder<'t, '_, '_> {
    fn next(&mut self) -> Result<(Event<'t>, Place), Stop> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, span.into())),
            Some(Err(error)) => {
                let start = error.marker().byte_offset().unwrap_or_default();
                let line = self.text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or_default();
                self.cx.syntax(Place { start, end: start + 1 }, &error.info(), line);
                Err(Stop)
            }
            None => Ok((Event::StreamEnd, Place::default())),
        }
    }

    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, place) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    self.cx.say(place, "a second YAML document").label("a configuration is one document");
                    return Ok(root);
                }
                event if event.is_node() => root = Some(self.node(event, place, 0)?),
                _ => {}
            }
        }
    }

    fn node(&mut self, event: Event<'t>, place: Place, depth: usize) -> Result<Node, Stop> {
        let (nodes_before, deepest_before) = (self.nodes, self.deepest);
        self.count(weight(&event), depth, place)?;
        if let Some(tag) = event.tag().filter(|t| !t.is_yaml_core_schema()) {
            let tag = tag.original();
            self.cx.say(place, format!("the tag `{tag}`")).label("tags have no meaning here");
        }
        let anchor = event.anchor_id().filter(|id| *id != 0);
        self.deepest = depth;
        let node = match event {
            Event::Scalar(text, style, ..) => scalar(&text, style, place),
            Event::SequenceStart(..) => self.list(place, depth)?,
            Event::MappingStart(..) => self.map(place, depth)?,
            Event::Alias(id) => self.alias(id, place, depth)?,
            _ => Node { place, kind: Kind::Null },
        };
        if let Some(id) = anchor {
            let (nodes, depth) = (self.nodes - nodes_before, self.deepest - depth);
            self.anchors.insert(id, Anchored { node: node.clone(), nodes, depth });
        }
        self.deepest = self.deepest.max(deepest_before);
        Ok(node)
    }

    fn count(&mut self, nodes: usize, depth: usize, place: Place) -> Result<(), Stop> {
        self.nodes += nodes;
        self.deepest = self.deepest.max(depth);
        if self.nodes <= MAX_NODES && depth <= MAX_DEPTH {
            return Ok(());
        }
        let what = if depth > MAX_DEPTH { "too deeply nested" } else { "too many values" };
        self.cx.say(place, what).label("the configuration is given up here");
        Err(Stop)
    }

    fn alias(&mut self, id: usize, place: Place, depth: usize) -> Result<Node, Stop> {
        let Some(Anchored { nodes, depth: below, .. }) = self.anchors.get(&id) else {
            self.cx.say(place, "an alias to itself").label("it stands inside what it names");
            return Err(Stop);
        };
        self.count(*nodes, depth + *below, place)?;
        Ok(self.anchors.get(&id).map_or(Node { place, kind: Kind::Null }, |a| a.node.clone()))
    }

    fn list(&mut self, mut place: Place, depth: usize) -> Result<Node, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, end) => {
                    place.end = end.end.max(place.end);
                    return Ok(Node { place, kind: Kind::List(items) });
                }
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, mut place: Place, depth: usize) -> Result<Node, Stop> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged = Vec::new();
        let mut seen: HashMap<String, Place> = HashMap::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                place.end = at.end.max(place.end);
                merge(&mut entries, merged, seen, self.cx);
                return Ok(Node { place, kind: Kind::Map(entries) });
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, at) = self.next()?;
            let value = self.node(event, at, depth + 1)?;
            match key.kind {
                Kind::Scalar(name) if name == "<<" => merged.push(value),
                Kind::Scalar(name) => {
                    if let Some(first) = seen.get(&name) {
                        self.cx.duplicate(&name, key.place, *first);
                        self.cx.hide_under(&name, None, &value);
                        continue;
                    }
                    seen.insert(name.clone(), key.place);
                    entries.push(Entry { name, place: key.place, value });
                }
                _ => {
                    self.cx.say(key.place, "a key that is not plain text").label("expected a name");
                }
            }
        }
    }
}

/// `<<: *base`: what `base` has and the mapping itself does not.
fn merge(entries: &mut Vec<Entry>, merged: Vec<Node>, mut seen: HashMap<String, Place>, cx: &mut Context<'_>) {
    let mut sources = Vec::new();
    for node in merged {
        match node.kind {
            Kind::List(nodes) => sources.extend(nodes),
            _ => sources.push(node),
        }
    }
    for source in sources {
        let Kind::Map(source) = source.kind else {
            cx.say(source.place, "`<<` without a mapping").label("expected an alias to a mapping, like `*base`");
            continue;
        };
        for entry in source {
            if seen.insert(entry.name.clone(), entry.place).is_none() {
                entries.push(entry);
            }
        }
    }
}

/// Long texts count for more, so that aliases cannot multiply them either.
fn weight(event: &Event<'_>) -> usize {
    match event {
        Event::Scalar(text, ..) => 1 + text.len() / 64,
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, place: Place) -> Node {
    let null = style == ScalarStyle::Plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    Node { place, kind: if null { Kind::Null } else { Kind::Scalar(text.to_owned()) } }
}
