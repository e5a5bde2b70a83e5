//! Everything that is wrong with a configuration, at once, each with its line and a caret.
//!
//! A report outlives the file that it is about, is logged and shown by the admin API, so it holds
//! only the lines it shows, with every secret in them masked.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::yaml::Place;

/// Columns of a source line that are shown at most.
const WIDTH: usize = 120;
/// Problems that are shown at most.
const MOST: usize = 100;

/// One problem, while the source is at hand.
#[derive(Debug)]
pub struct Draft {
    place: Place,
    message: String,
    label: String,
    help: Option<String>,
    also: Option<(Place, &'static str)>,
    /// The tree is not known, so neither are the secrets in it: mask by looks.
    blind: bool,
}

impl Draft {
    pub(super) fn new(place: Place, message: String) -> Self {
        Self { place, message, label: String::new(), help: None, also: None, blind: false }
    }

    /// Behind the caret: what was expected.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    /// Below: what to do about it.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// `help: did you mean ...`, if anything is near.
    pub fn did_you_mean(&mut self, near: Option<&str>) -> &mut Self {
        match near {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }

    pub(super) fn also(&mut self, place: Place, what: &'static str) -> &mut Self {
        self.also = Some((place, what));
        self
    }

    pub(super) fn blind(&mut self) {
        self.blind = true;
    }
}

/// One problem, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    pub file: String,
    /// From 1; 0 where the problem has no place in a file.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line, shortened, with secrets masked.
    pub source: String,
    /// Where in `source` the caret stands, from 0, and how long it is.
    pub caret: (usize, usize),
    /// What was expected.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub expected: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Why a configuration was refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub problems: Vec<Problem>,
    /// Problems beyond those listed.
    pub more: usize,
}

impl Report {
    /// A problem that is in no line of a file.
    pub fn plain(file: &str, message: impl Into<String>, help: Option<String>) -> Self {
        Self {
            problems: vec![Problem {
                message: message.into(),
                file: file.to_owned(),
                line: 0,
                column: 0,
                source: String::new(),
                caret: (0, 0),
                expected: String::new(),
                help,
            }],
            more: 0,
        }
    }

    /// How many problems there are.
    pub fn len(&self) -> usize {
        self.problems.len() + self.more
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn add(&mut self, file: &str, text: &str, mut drafts: Vec<Draft>, hidden: &[Place]) {
        drafts.sort_by_key(|d| d.place);
        // What several endpoints of one provider have in common is wrong once.
        let mut seen = HashSet::new();
        drafts.retain(|draft| seen.insert((draft.place, draft.message.clone())));
        let lines = Lines::new(text, hidden);
        for draft in drafts {
            if self.problems.len() < MOST {
                self.problems.push(lines.problem(file, draft));
            } else {
                self.more += 1;
            }
        }
    }

    /// As text for a person, in colour or not.
    pub fn render(&self, colour: bool) -> String {
        let mut out = String::new();
        for problem in &self.problems {
            out.push_str(&problem.render(colour));
            out.push('\n');
        }
        if self.more > 0 {
            out.push_str(&format!("... and {} more\n", self.more));
        }
        out
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}

impl Problem {
    fn render(&self, colour: bool) -> String {
        let paint = |code: &str, text: &str| match colour {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        };
        let number = if self.line > 0 { self.line.to_string() } else { String::new() };
        let gutter = " ".repeat(number.len());
        let bar = paint("34", "|");
        let mut out = format!("{}: {}\n", paint("1;31", "error"), paint("1", &self.message));
        if self.line == 0 {
            out.push_str(&format!(" {} {}\n", paint("34", "-->"), self.file));
        } else {
            let arrow = paint("34", "-->");
            out.push_str(&format!("{gutter} {arrow} {}:{}:{}\n", self.file, self.line, self.column));
            out.push_str(&format!("{gutter} {bar}\n{} {bar} {}\n", paint("34", &number), self.source));
            let (at, width) = self.caret;
            let caret = paint("1;31", format!("{} {}", "^".repeat(width.max(1)), self.expected).trim_end());
            out.push_str(&format!("{gutter} {bar} {}{caret}\n", " ".repeat(at)));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{gutter} {} help: {help}\n", paint("34", "=")));
        }
        out
    }
}

/// The source, by lines, with what must not be shown.
struct Lines<'t> {
    text: &'t str,
    /// Byte offset of each line's start.
    starts: Vec<usize>,
    hidden: Vec<Place>,
}

impl<'t> Lines<'t> {
    fn new(text: &'t str, hidden: &[Place]) -> Self {
        let starts = std::iter::once(0).chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| at + 1)).collect();
        Self { text, starts, hidden: hidden.to_vec() }
    }

    /// The index of the line that holds `at`, its start and its text.
    fn line(&self, at: usize) -> (usize, usize, &'t str) {
        let index = self.starts.partition_point(|start| *start <= at).saturating_sub(1);
        let start = self.starts.get(index).copied().unwrap_or_default();
        let rest = self.text.get(start..).unwrap_or_default();
        (index, start, rest.lines().next().unwrap_or_default())
    }

    fn problem(&self, file: &str, draft: Draft) -> Problem {
        // An error at the end of the text belongs to the last line that says something.
        let end = self.text.trim_end().len();
        let at = draft.place.start.min(end);
        let (index, start, line) = self.line(at);
        let column = line.get(..at - start).map_or(line.len(), |before| before.chars().count());
        let stop = draft.place.end.max(at).min(start + line.len());
        let width = self.text.get(at..stop).map_or(1, |t| t.trim_end().chars().count());
        let shown: Vec<char> = if draft.blind { mask_by_looks(line) } else { self.mask(start, line) };
        let (source, caret) = window(&shown, column, width.max(1));
        let mut label = draft.label;
        if let Some((place, what)) = draft.also {
            label = format!("{label}{what} in line {}", self.line(place.start).0 + 1);
        }
        Problem {
            message: draft.message,
            file: file.to_owned(),
            line: index + 1,
            column: column + 1,
            source,
            caret,
            expected: label,
            help: draft.help,
        }
    }

    fn mask(&self, start: usize, line: &str) -> Vec<char> {
        let near: Vec<_> = self.hidden.iter().filter(|p| p.start < start + line.len() && start < p.end).collect();
        let covers = |at: usize| near.iter().any(|p| p.start <= at && at < p.end);
        line.char_indices().map(|(at, c)| if covers(start + at) { '*' } else { visible(c) }).collect()
    }
}

/// Control characters could drive the terminal.
fn visible(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '?',
        c => c,
    }
}

/// In a line of a file that is no YAML, what stands behind a telling name and every long token may
/// be a secret. References to variables and files are none.
fn mask_by_looks(line: &str) -> Vec<char> {
    const TELLING: [&str; 7] = ["key", "secret", "token", "password", "auth", "header", "cookie"];
    let mut shown: Vec<char> = line.chars().map(visible).collect();
    let lower = line.to_ascii_lowercase();
    let told = TELLING.iter().flat_map(|word| lower.match_indices(word));
    let values = told.filter_map(|(at, _)| lower.get(at..)?.find(':').map(|colon| at + colon + 1));
    let from = values.filter(|at| !lower.get(*at..).is_some_and(is_reference)).min();
    let from = from.map_or(usize::MAX, |at| lower.get(..at).map_or(0, |before| before.chars().count()));
    let token = |c: &char| c.is_ascii_alphanumeric() || "+/=_-".contains(*c);
    for run in shown.chunk_by_mut(|a, b| token(a) == token(b)) {
        if run.len() >= 20 && run.first().is_some_and(token) {
            run.fill('*');
        }
    }
    for c in shown.iter_mut().skip(from).filter(|c| **c != ' ') {
        *c = '*';
    }
    shown
}

fn is_reference(text: &str) -> bool {
    let text = text.trim_start().trim_start_matches(['"', '\'']);
    text.starts_with("${") || text.starts_with("file:")
}

/// At most [`WIDTH`] characters of the line with the caret among them.
fn window(line: &[char], column: usize, width: usize) -> (String, (usize, usize)) {
    if line.len() <= WIDTH {
        return (line.iter().collect::<String>().trim_end().to_owned(), (column, width));
    }
    let from = column.saturating_sub(WIDTH / 3);
    let part: String = line.iter().skip(from).take(WIDTH).collect();
    let before = if from > 0 { "..." } else { "" };
    let after = if from + WIDTH < line.len() { "..." } else { "" };
    let at = column - from + before.len();
    (format!("{before}{part}{after}"), (at, width.min(WIDTH - (column - from))))
}
