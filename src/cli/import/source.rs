//! What is read: a tree whose nodes know their lines, and mappings of which it is known what nobody asked
//! for.

use crate::config::env::System;
use crate::config::read::Context;
use crate::config::report::Report;
use crate::config::yaml::{self, Entry, Kind, Node, Place};

/// A file's tree. JSON is read as YAML, of which it is a part.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) root: Node,
    pub(super) name: String,
    /// Where lines begin.
    starts: Vec<usize>,
}

impl Source {
    pub(super) fn read(text: &str, name: &str) -> Result<Self, Report> {
        let mut cx = Context::new(&System);
        let root = yaml::parse(text, &mut cx).filter(|_| !cx.failed());
        let Some(root) = root else {
            let mut report = Report::default();
            if !cx.failed() {
                return Err(Report::plain(name, "the file is empty", None));
            }
            cx.finish(name, text, &mut report);
            return Err(report);
        };
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1).collect();
        Ok(Self { root, name: name.to_owned(), starts })
    }

    /// From 1.
    pub(super) fn line(&self, place: Place) -> usize {
        self.starts.partition_point(|start| *start <= place.start) + 1
    }
}

/// The scalar of a node.
pub(super) fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar(text) => Some(text),
        _ => None,
    }
}

pub(super) fn items(node: &Node) -> &[Node] {
    match &node.kind {
        Kind::List(items) => items,
        _ => &[],
    }
}

pub(super) fn entries(node: &Node) -> &[Entry] {
    match &node.kind {
        Kind::Map(entries) => entries,
        _ => &[],
    }
}

/// The texts of a list, or of a node that is one itself.
pub(super) fn texts(node: &Node) -> Vec<&str> {
    text(node).map_or_else(|| items(node).iter().filter_map(text).collect(), |one| vec![one])
}

pub(super) fn is_true(node: &Node) -> bool {
    text(node).is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

/// The settings of a mapping that nobody has taken yet.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    left: Vec<&'n Entry>,
}

impl<'n> Fields<'n> {
    pub(super) fn of(node: &'n Node) -> Self {
        Self { left: entries(node).iter().collect() }
    }

    /// One of them; what says nothing is not there.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n Node> {
        let at = self.left.iter().position(|entry| entry.name == name)?;
        let entry = self.left.remove(at);
        (!matches!(entry.value.kind, Kind::Null)).then_some(&entry.value)
    }

    pub(super) fn text(&mut self, name: &str) -> Option<&'n str> {
        text(self.take(name)?)
    }

    /// Those that have such names, and stay.
    pub(super) fn named(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<(&'n str, &'n Node)> {
        let wanted = self.left.iter().filter(|entry| is_wanted(&entry.name));
        wanted.map(|entry| (entry.name.as_str(), &entry.value)).collect()
    }

    /// Takes from another mapping what is not said here, of some names or of all.
    pub(super) fn fall_back(&mut self, other: &'n Node, names: &[&str]) {
        for entry in entries(other).iter().filter(|entry| names.is_empty() || names.contains(&entry.name.as_str())) {
            let said = self.left.iter().position(|own| own.name == entry.name);
            match said.and_then(|at| self.left.get_mut(at)) {
                Some(own) if matches!(own.value.kind, Kind::Null) => *own = entry,
                Some(_) => {}
                None => self.left.push(entry),
            }
        }
    }

    /// Not needed, or said otherwise.
    pub(super) fn skip(&mut self, names: &[&str]) {
        self.left.retain(|entry| !names.contains(&entry.name.as_str()));
    }

    /// What nobody asked for, and says something.
    pub(super) fn rest(self) -> impl Iterator<Item = &'n Entry> {
        let says = |entry: &&Entry| match &entry.value.kind {
            Kind::Null => false,
            Kind::Scalar(text) => !text.is_empty(),
            Kind::List(items) => !items.is_empty(),
            Kind::Map(entries) => !entries.is_empty(),
        };
        self.left.into_iter().filter(says)
    }
}
