//! What reading a file gathers: problems, and the places of secrets.

use std::path::Path;

use crate::config::env::Env;
use crate::config::report::{Draft, Report};
use crate::config::yaml::{Kind, Node, Place};

/// Problems past this number are not kept: a broken file of a million lines has said enough.
const MOST_DRAFTS: usize = 1_000;

/// A misplaced value shorter than this is shown in messages: it is a number or a word. Not under one of
/// [`TELLING`].
const SHORTEST_SECRET: usize = 8;

/// What stands under a name that ends so, or in headers, is hidden at any length where it is misplaced.
const TELLING: [&str; 9] =
    ["key", "secret", "token", "password", "passphrase", "authorization", "cookie", "headers", "credentials"];

/// One file being read.
pub struct Context<'e> {
    pub env: &'e dyn Env,
    drafts: Vec<Draft>,
    hidden: Vec<Place>,
    /// What is read stands under one of [`TELLING`].
    is_telling: bool,
}

impl std::fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Context({} problems)", self.drafts.len())
    }
}

impl<'e> Context<'e> {
    pub fn new(env: &'e dyn Env) -> Self {
        Self { env, drafts: Vec::new(), hidden: Vec::new(), is_telling: false }
    }

    /// Notes a problem; the caller adds what was expected and what helps.
    pub fn say(&mut self, place: Place, message: impl Into<String>) -> &mut Draft {
        if self.is_full() {
            self.drafts.pop();
        }
        self.drafts.push(Draft::new(place, message.into()));
        let last = self.drafts.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "pushed just above")]
        &mut self.drafts[last]
    }

    /// More would not be kept: what is costly to say need not be.
    pub fn is_full(&self) -> bool {
        self.drafts.len() >= MOST_DRAFTS
    }

    /// A node of the wrong shape.
    pub fn expected<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        self.hide_all(node);
        self.say(node.place, format!("expected {what}, found {}", node.what())).label(format!("expected {what}"));
        None
    }

    /// The text is no YAML.
    pub fn syntax(&mut self, place: Place, info: &str, line: &str) {
        let draft = self.say(place, format!("invalid YAML: {info}"));
        if info.contains("flow") && line.contains("${") {
            draft.help("inside `{...}` and `[...]` write variables in quotes: \"${NAME}\"");
        }
    }

    /// What was said so far is all there will be: where secrets stand nobody will find out.
    pub fn without_tree(&mut self) {
        self.drafts.iter_mut().for_each(Draft::blind);
    }

    /// A key that is there twice.
    pub fn duplicate(&mut self, name: &str, place: Place, first: Place) {
        self.say(place, format!("`{name}` is there twice")).also(first, "first");
    }

    /// Never shown, whatever is wrong with it.
    pub fn hide(&mut self, place: Place) {
        self.hidden.push(place);
    }

    /// Never shows this scalar, unless it only says where the value is.
    pub fn hide_secret(&mut self, node: &Node) {
        if !matches!(&node.kind, Kind::Scalar(text) if is_reference(text)) {
            self.hide(node.place);
        }
    }

    /// Hides all scalars below: nobody knows what they are.
    pub fn hide_all(&mut self, node: &Node) {
        self.hide_below(node, self.is_telling);
    }

    /// The same for what stands under this name, or was meant to stand under the other.
    pub fn hide_under(&mut self, name: &str, meant: Option<&str>, node: &Node) {
        self.hide_below(node, self.is_telling || is_telling(name) || meant.is_some_and(is_telling));
    }

    fn hide_below(&mut self, node: &Node, telling: bool) {
        match &node.kind {
            Kind::Null => {}
            Kind::Scalar(text) if is_reference(text) => {}
            Kind::Scalar(text) if text.len() < SHORTEST_SECRET && !telling => {}
            Kind::Scalar(_) => self.hide(node.place),
            Kind::List(items) => items.iter().for_each(|item| self.hide_below(item, telling)),
            Kind::Map(entries) => {
                entries.iter().for_each(|entry| self.hide_below(&entry.value, telling || is_telling(&entry.name)));
            }
        }
    }

    /// Reads what stands under a name that is known.
    pub fn under<T>(&mut self, name: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.is_telling, is_telling(name));
        let found = read(self);
        self.is_telling = before;
        found
    }

    /// Whether anything is wrong so far.
    pub fn failed(&self) -> bool {
        !self.drafts.is_empty()
    }

    /// Adds what was noted to a report.
    pub fn finish(self, file: &str, text: &str, report: &mut Report) {
        report.add(file, text, self.drafts, &self.hidden);
    }

    /// The text of a scalar with variables and files put in.
    pub fn text(&mut self, node: &Node) -> Option<String> {
        let Kind::Scalar(raw) = &node.kind else { return self.expected(node, "a single value") };
        if self.env.is_nothing() {
            return Some(raw.clone());
        }
        let Some(path) = raw.strip_prefix("file:") else { return self.expand(raw, node.place) };
        let path = self.expand(path, node.place)?;
        let path = path.strip_prefix("//").unwrap_or(&path);
        match self.env.read(Path::new(path)) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.say(node.place, format!("cannot read the file `{path}`")).label(error.to_string());
                None
            }
        }
    }

    /// `${NAME}`, `${NAME:-default}`; `$$` is a dollar sign.
    fn expand(&mut self, raw: &str, place: Place) -> Option<String> {
        let mut out = String::with_capacity(raw.len());
        let mut rest = raw;
        let mut good = true;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some(inner) = after.strip_prefix('{') {
                let Some((inner, after)) = inner.split_once('}') else {
                    self.say(place, "`${` without `}`").label("expected `${NAME}` or `${NAME:-default}`");
                    return None;
                };
                match self.variable(inner, place) {
                    Some(value) => out.push_str(&value),
                    None => good = false,
                }
                rest = after;
            } else {
                out.push('$');
                rest = after;
            }
        }
        out.push_str(rest);
        good.then_some(out)
    }

    fn variable(&mut self, inner: &str, place: Place) -> Option<String> {
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let spelled = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !spelled {
            let draft = self.say(place, "not the name of a variable");
            draft.label("expected `${NAME}` or `${NAME:-default}`").help("write `$$` for a dollar sign");
            return None;
        }
        let value = self.env.var(name);
        if let (Some(_), Some(default)) = (value.as_ref().filter(|v| v.is_empty()), default) {
            return Some(default.to_owned());
        }
        let found = value.or_else(|| default.map(str::to_owned));
        if found.is_none() {
            let draft = self.say(place, format!("the environment variable `{name}` is not set"));
            draft.label("needed here").help(format!("set it, or give a default: `${{{name}:-...}}`"));
        }
        found
    }
}

/// Also one that is mistyped in its case, or of another software: `apiKey`, `x-api-key`.
fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    matches!(&*name, "keys" | "tokens" | "secrets") || TELLING.iter().any(|word| name.ends_with(word))
}

/// Text that only says where the value is.
fn is_reference(text: &str) -> bool {
    text.starts_with("file:") || (text.starts_with("${") && text.ends_with('}') && !text.contains(":-"))
}

/// The nearest of `names`, if it is near.
pub fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = name.to_ascii_lowercase().replace('-', "_");
    let near = |other: &str| strsim::damerau_levenshtein(&lower, &other.to_ascii_lowercase().replace('-', "_"));
    let longest = (name.len() / 3).max(1);
    if name.len() > 200 {
        return None;
    }
    let near = names.into_iter().map(|other| (near(other), other)).filter(|(far, _)| *far <= longest);
    near.min_by_key(|(far, _)| *far).map(|(_, other)| other)
}
