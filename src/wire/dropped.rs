//! Where the elements of a request stand, and which of them its target cannot express.

use std::fmt;

use super::json::Rest;

/// Where an element stood in the client's request: `messages[3].content[1]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct At {
    list: &'static str,
    index: Option<u32>,
    inner: Option<(&'static str, u32)>,
}

impl At {
    /// A top-level member.
    pub const fn member(name: &'static str) -> Self {
        Self { list: name, index: None, inner: None }
    }

    /// An item of a top-level list.
    pub fn item(list: &'static str, index: usize) -> Self {
        Self { list, index: Some(u32::try_from(index).unwrap_or(u32::MAX)), inner: None }
    }

    /// An item of a list inside this element.
    #[must_use]
    pub fn inner(self, list: &'static str, index: usize) -> Self {
        Self { inner: Some((list, u32::try_from(index).unwrap_or(u32::MAX))), ..self }
    }

    /// The list inside the element, if this stands in one.
    pub fn inner_list(self) -> Option<&'static str> {
        self.inner.map(|(list, _)| list)
    }

    /// Whether both stood in the same top-level list.
    pub fn same_list(self, other: Self) -> bool {
        self.list == other.list
    }

    /// Whether both stood in the same item of the same top-level list.
    pub fn same_item(self, other: Self) -> bool {
        (self.list, self.index) == (other.list, other.index)
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.list)?;
        if let Some(index) = self.index {
            write!(f, "[{index}]")?;
        }
        if let Some((list, index)) = self.inner {
            write!(f, ".{list}[{index}]")?;
        }
        Ok(())
    }
}

/// The members of a request that its target could not express, in the client's spelling.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Dropped {
    paths: Vec<String>,
}

impl Dropped {
    /// More paths than this are counted as one `...`: the list ends up in a header.
    const MOST: usize = 64;
    /// Names are the client's own, and the list goes into records.
    const MOST_PATH_BYTES: usize = 256;

    pub fn push(&mut self, path: impl fmt::Display) {
        let mut path = path.to_string();
        // A client's own name for a member has to fit into a header, and into a list with commas.
        let breaks = |c: char| c.is_control() || c == ',';
        if path.contains(breaks) {
            let one = |c: char| if breaks(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
            path = path.chars().map(one).collect();
        }
        if path.len() > Self::MOST_PATH_BYTES {
            path.truncate(path.floor_char_boundary(Self::MOST_PATH_BYTES));
            path.push_str("...");
        }
        match self.paths.len() {
            n if n < Self::MOST && !self.paths.contains(&path) => self.paths.push(path),
            Self::MOST => self.paths.push("...".to_owned()),
            _ => {}
        }
    }

    /// Every member of `rest`, found at `at`.
    pub fn push_rest(&mut self, at: At, rest: &Rest<'_>) {
        for (name, _) in rest {
            self.push(format_args!("{at}.{name}"));
        }
    }

    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    pub fn paths(&self) -> &[String] {
        &self.paths
    }

    /// `x-weir-dropped`: a comma list.
    pub fn header(&self) -> String {
        self.paths.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_the_header_are_escaped() {
        let mut dropped = Dropped::default();
        ["seed", "a\nb", "c,d", "caf\u{e9}"].iter().for_each(|path| dropped.push(path));
        assert_eq!(dropped.header(), "seed, a\\u000ab, c\\u002cd, caf\u{e9}");
    }
}
