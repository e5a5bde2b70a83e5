//! JSON written over many lines, whose layout is a rule: the rule and the JSON without its white space
//! are all of it.

use crate::wire::scan;

/// How it was laid out: by so many blanks, or by tabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Blanks(usize),
    Tabs,
}

/// What the header says of it.
pub(super) const NAMES: [(&str, Layout); 4] = [
    (": it was JSON indented by 2", Layout::Blanks(2)),
    (": it was JSON indented by 4", Layout::Blanks(4)),
    (": it was JSON indented by 1", Layout::Blanks(1)),
    (": it was JSON indented by tabs", Layout::Tabs),
];

/// The layout that a text seems to have, by its second line.
pub(super) fn of(text: &str) -> Option<Layout> {
    let second = text.strip_prefix(['{', '['])?.strip_prefix('\n')?;
    let indent = second.len() - second.trim_start_matches([' ', '\t']).len();
    match second.as_bytes().first()? {
        b'\t' if indent == 1 => Some(Layout::Tabs),
        b' ' => NAMES.iter().map(|(_, layout)| *layout).find(|layout| *layout == Layout::Blanks(indent)),
        _ => None,
    }
}

/// The text without white space between its parts; ends where it stops being JSON.
pub(super) fn small(text: &str) -> String {
    let mut out = String::with_capacity(text.len() / 2);
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            ' ' | '\n' | '\r' | '\t' => {
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            '"' => string_length(rest),
            _ => c.len_utf8(),
        };
        let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
        out.push_str(part);
        rest = behind;
    }
    out
}

/// The literal that a text begins with, quotes included; all of it where it does not end.
fn string_length(text: &str) -> usize {
    let inner = text.as_bytes().get(1..).unwrap_or_default();
    scan::string(inner).map_or(text.len(), |(behind, _)| text.len() - behind.len())
}

/// Small JSON laid out by the rule. `None` where it is nested deeper than any.
pub(super) fn large(small: &str, layout: Layout) -> Option<String> {
    let mut out = String::with_capacity(small.len() * 2);
    let (mut depth, mut rest) = (0_usize, small);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        match layout {
            Layout::Blanks(blanks) => out.extend(std::iter::repeat_n(' ', depth * blanks)),
            Layout::Tabs => out.extend(std::iter::repeat_n('\t', depth)),
        }
    };
    while let Some(c) = rest.chars().next() {
        let length = if c == '"' { string_length(rest) } else { c.len_utf8() };
        let (part, behind) = rest.split_at_checked(length)?;
        match c {
            '{' | '[' => {
                out.push(c);
                depth += 1;
                if depth > 128 {
                    return None;
                }
                if let Some(closing @ ('}' | ']')) = behind.chars().next() {
                    out.push(closing);
                    depth -= 1;
                    rest = behind.get(1..)?;
                    continue;
                }
                line(&mut out, depth);
            }
            '}' | ']' => {
                depth = depth.checked_sub(1)?;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => out.push_str(part),
        }
        rest = behind;
    }
    Some(out)
}
