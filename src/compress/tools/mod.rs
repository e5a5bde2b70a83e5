//! Tools that a long conversation never names are left out of what the model is told.
//!
//! Once there were so many rounds of calls and results, a tool stays only if the rest of the request names
//! it, wherever that is: calls, results, what anybody said, or the description of a tool that stays. A
//! conversation that grows names more, never less. So the list changes only where a tool is named for the
//! first time, and comes back; the beginning of what the provider sees is else the same in each turn.

use std::collections::HashMap;

use super::fold::{self, Count};
use super::{Compressed, Rules, Savings, Strategy};
use crate::wire::Dialect;
use crate::wire::leaves::{Declared, Edits, Leaves, Who, leave_out, tool_lists};

/// What tools are for shows after so many rounds.
const LEAST_ROUNDS: usize = 8;
/// Longer names are those of no vendor.
const MOST_NAME_BYTES: usize = 128;
/// Tools of which tokens are counted, for all.
const SAMPLES: usize = 8;
/// Between a server's name and its tool's.
const BETWEEN: &str = "__";

/// The body without the tools that nothing names; `None` where all stay. `stays` are those that are kept
/// whatever is said.
pub fn trim_tools(
    dialect: Dialect,
    body: &str,
    rules: &Rules,
    count: &Count<'_>,
    stays: &dyn Fn(&str) -> bool,
) -> Option<Compressed> {
    if body.len() > rules.most_bytes() || rounds(&Leaves::of_request(dialect, body).ok()?) < LEAST_ROUNDS {
        return None;
    }
    let lists = tool_lists(dialect, body)?;
    let is_named = named(body, lists.iter().flatten().filter(|tool| may_go(tool, stays)));
    let goes = |tool: &Declared<'_>| is_named.get(&tool.span.start) == Some(&false);
    let mut edits = Edits::new();
    let mut gone: Vec<&str> = Vec::new();
    for list in lists.iter().filter(|list| !list.iter().all(goes)) {
        leave_out(list, goes, &mut edits);
        gone.extend(list.iter().filter(|tool| goes(tool)).filter_map(|tool| body.get(tool.span.clone())));
    }
    if gone.iter().map(|tool| tool.len()).sum::<usize>() < rules.min_bytes.max(1) {
        return None;
    }
    let savings = Savings::of(Strategy::TrimTools, tokens(&gone, count));
    Some(Compressed { body: edits.write(body.as_bytes()), savings })
}

/// How often tools were called and gave something back.
fn rounds(found: &Leaves<'_>) -> usize {
    let is_result = |at: usize| found.leaves.get(at).is_some_and(|leaf| leaf.who == Who::ToolResult);
    (0..found.leaves.len()).filter(|at| is_result(*at) && !at.checked_sub(1).is_some_and(is_result)).count()
}

/// Names that are written in a way in which everybody would name them.
fn may_go(tool: &Declared<'_>, stays: &dyn Fn(&str) -> bool) -> bool {
    tool.name
        .as_deref()
        .is_some_and(|name| (1..=MOST_NAME_BYTES).contains(&name.len()) && name.bytes().all(is_of_word) && !stays(name))
}

fn tokens(gone: &[&str], count: &Count<'_>) -> u64 {
    let bytes = |tools: &[&str]| tools.iter().map(|tool| fold::whole(tool.len())).sum::<u64>();
    let samples = gone.get(..SAMPLES).unwrap_or(gone);
    let counted: u64 = samples.iter().map(|tool| fold::about(tool, count)).sum();
    counted.saturating_mul(bytes(gone)) / bytes(samples).max(1)
}

/// Of each of some tools, by where it begins: whether the body names it, apart from those that nobody names.
fn named<'b>(body: &str, tools: impl Iterator<Item = &'b Declared<'b>>) -> HashMap<usize, bool> {
    let tools: Vec<&Declared<'_>> = tools.collect();
    let mut by_length: HashMap<usize, Vec<(&[u8], usize)>> = HashMap::new();
    for (at, name) in tools.iter().enumerate().filter_map(|(at, tool)| Some((at, tool.name.as_deref()?))) {
        // `github__create_issue` is named by `create_issue`, too.
        let short = name.rsplit_once(BETWEEN).map(|(_, short)| short).filter(|short| !short.is_empty());
        for name in [Some(name), short].into_iter().flatten() {
            by_length.entry(name.len()).or_default().push((name.as_bytes(), at));
        }
    }
    let mut is_named = vec![false; tools.len()];
    let mut rest = Vec::with_capacity(tools.len() + 1);
    let mut from = 0;
    for tool in &tools {
        rest.push(from..tool.span.start);
        from = tool.span.end;
    }
    rest.push(from..body.len());
    while let Some(span) = rest.pop() {
        for word in words(body.as_bytes().get(span).unwrap_or_default()) {
            for (name, at) in by_length.get(&word.len()).into_iter().flatten() {
                if name.eq_ignore_ascii_case(word)
                    && let (Some(is_named @ false), Some(tool)) = (is_named.get_mut(*at), tools.get(*at))
                {
                    *is_named = true;
                    rest.push(tool.span.clone());
                }
            }
        }
    }
    tools.iter().map(|tool| tool.span.start).zip(is_named).collect()
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// The words of JSON: escapes part them. Those with `-` are given whole and in parts.
fn words(json: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = json;
    let whole = std::iter::from_fn(move || {
        loop {
            let word = rest.iter().take_while(|byte| is_of_word(**byte)).count();
            if word > 0 {
                let (word, behind) = rest.split_at_checked(word)?;
                rest = behind;
                return Some(word);
            }
            let length = match rest {
                [] => return None,
                [b'\\', b'u', ..] => 6,
                [b'\\', ..] => 2,
                _ => 1,
            };
            rest = rest.get(length..).unwrap_or_default();
        }
    });
    whole.flat_map(|word| {
        let parts = if word.contains(&b'-') { word } else { &[] };
        std::iter::once(word).chain(parts.split(|byte| *byte == b'-').filter(|part| !part.is_empty()))
    })
}

#[cfg(test)]
mod tests;
