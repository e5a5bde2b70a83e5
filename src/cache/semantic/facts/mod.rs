//! What two questions have to agree on word for word before anybody asks whether they mean the same.
//!
//! Vectors of texts are near each other where the texts are about the same thing, and "which plan is the
//! cheapest" is about the same as "which plan is the dearest". So what turns one question into another is
//! taken out of a text here and becomes a part of what it is found by: numbers, dates, units, words that say
//! no, opposites, whom or what is asked for (who, when, where, why, how many), quoted texts, code,
//! addresses, identifiers, names. Two texts that differ in any of these are never compared, nor do two that say them
//! in another order (from Paris to Rome, from Rome to Paris) or that deny something else (with no, without).
//!
//! It errs on one side: where it takes something for a name that is none, an answer is not found that could
//! have been. What it cannot see are names in small letters, and nothing is seen in scripts that it does not
//! know: there is no way to find out whether such texts agree, so there are no facts of them.

use super::words::{LINKS, NEGATIONS, SIDES, STARTERS};

/// Shorter words have no forms: `me` is not one of `men`.
const SHORTEST_VERB: usize = 3;

/// What quotes begin and end with, the longest first.
const QUOTES: [(&str, &str); 9] =
    [("```", "```"), ("`", "`"), ("\"", "\""), ("“", "”"), ("„", "“"), ("«", "»"), ("»", "«"), ("‹", "›"), ("'", "'")];

/// Of a text: what it is about in its order, then what is said of that in its order, then what it denies.
/// `None`: it is in no script whose words are known.
pub fn facts(text: &str) -> Option<Vec<String>> {
    if text.chars().any(|c| c.is_alphabetic() && !is_latin(c)) {
        return None;
    }
    let mut facts = Vec::new();
    let text = take_quoted(&text.replace(['’', '‘'], "'"), &mut facts);
    let (mut begins, mut is_counted) = (true, false);
    // A word that says no, in wait for what it denies.
    let mut denies = None;
    for piece in text.split_whitespace() {
        let word = piece.trim_matches(is_edge);
        let known = facts.len();
        if word.is_empty() {
            facts.extend(is_comparison(piece).then(|| format!("={piece}")));
        } else {
            look(word, begins, is_counted, &mut facts);
        }
        let small = word.to_lowercase();
        if facts.get(known..).is_some_and(|new| new.iter().any(|fact| fact == NO)) {
            denies = facts.len().checked_sub(1);
        } else if !small.is_empty() && !LINKS.contains(&&*small) {
            let denial = denies.take().and_then(|at| facts.get_mut::<usize>(at));
            denial.into_iter().for_each(|fact| fact.push_str(&small));
        }
        if piece.ends_with(['.', '!', '?', ':', ';']) {
            denies = None;
        }
        is_counted = word.ends_with(|c: char| c.is_ascii_digit());
        begins = piece.ends_with(['.', '!', '?', ':', ';', '-']) || (begins && word.is_empty());
    }
    let (mut denials, facts): (Vec<_>, Vec<_>) = facts.into_iter().partition(|fact| fact.starts_with(NO));
    denials.sort_unstable();
    let (mut all, said): (Vec<_>, Vec<_>) = facts.into_iter().partition(|fact| is_thing(fact));
    all.extend(said);
    all.extend(denials);
    Some(all)
}

/// What a word that says no is, before that which it denies.
const NO: &str = "!";

/// Whether a fact is one of those that a text is about: numbers, also in words, names, quotes, identifiers.
fn is_thing(fact: &str) -> bool {
    let is_number = |line: &[&str]| line.iter().any(|word| word.bytes().all(|b| b.is_ascii_digit()));
    match fact.strip_prefix('~') {
        Some(side) => side.parse::<usize>().ok().and_then(|at| SIDES.get(at)).is_some_and(|line| is_number(line)),
        None => true,
    }
}

/// A sign that stands alone between two things and says which is which.
fn is_comparison(piece: &str) -> bool {
    piece.chars().all(|c| matches!(c, '<' | '>' | '=' | '!' | '≤' | '≥' | '≠' | '*' | '×' | '÷' | '^'))
        && !piece.chars().all(|c| c == '!')
}

/// With all that Europe writes on top of its letters.
fn is_latin(c: char) -> bool {
    matches!(c, 'a'..='z' | 'A'..='Z' | 'ª' | 'º' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

/// What may stand around a word without being a part of it. Signs that are units are not.
fn is_edge(c: char) -> bool {
    !(c.is_alphanumeric() || matches!(c, '$' | '€' | '£' | '¥' | '%' | '°' | '+' | '-' | '#' | '_' | '/' | '\\' | '@'))
}

/// Takes what stands in quotes or is code, as it is, and gives back the rest.
fn take_quoted(text: &str, facts: &mut Vec<String>) -> String {
    let (mut rest, mut plain, mut before) = (text, String::with_capacity(text.len()), ' ');
    while let Some(first) = rest.chars().next() {
        let quoted = QUOTES.iter().find(|(open, _)| rest.starts_with(open)).and_then(|(open, close)| {
            let (inner, behind) = rest.strip_prefix(open)?.split_once(close)?;
            // An apostrophe inside of a word opens and closes nothing.
            let is_quote = *open != "'" || !(before.is_alphanumeric() || behind.starts_with(char::is_alphanumeric));
            is_quote.then_some((inner, behind))
        });
        match quoted {
            Some((inner, behind)) => {
                facts.push(format!("\"{}", inner.trim()));
                plain.push(' ');
                (rest, before) = (behind, ' ');
            }
            None => {
                plain.push(first);
                (rest, before) = (rest.get(first.len_utf8()..).unwrap_or_default(), first);
            }
        }
    }
    plain
}

/// One word: whether a sentence begins with it, and whether a number stands before it.
fn look(word: &str, begins: bool, is_counted: bool, facts: &mut Vec<String>) {
    let small = word.to_lowercase();
    // A letter alone is a unit behind a number only.
    let is_letter = !is_counted && word.chars().count() == 1 && small.chars().all(char::is_alphabetic);
    if let Some(side) = side(&small).filter(|_| !is_letter) {
        return facts.push(format!("~{side}"));
    }
    if is_negation(&small) {
        return facts.push(NO.to_owned());
    }
    if word.contains(|c: char| c.is_ascii_digit()) {
        return number(&small, facts);
    }
    if is_identifier(word) {
        return facts.push(format!("={word}"));
    }
    // What is joined is looked at in its parts too: `non-smoking`, `qu'il n'est`.
    let parts = || small.split(['-', '\'', '/']).filter(|part| !part.is_empty());
    if parts().nth(1).is_some() {
        for (at, part) in parts().enumerate() {
            match side(part).filter(|_| part.len() > 1) {
                Some(side) => facts.push(format!("~{side}")),
                None if is_negation(part) => facts.push(format!("{NO}{}", parts().nth(at + 1).unwrap_or_default())),
                None => {}
            }
        }
    }
    let is_name = word.chars().next().is_some_and(char::is_uppercase) || word.chars().skip(1).any(char::is_uppercase);
    let starts = |word: &str| STARTERS.contains(&word);
    let is_usual = small == "i" || small.starts_with("i'") || (begins && (starts(&small) || parts().all(starts)));
    if is_name && !is_usual {
        let bare = small.strip_suffix("'s").unwrap_or(&small);
        facts.push(format!("@{bare}"));
    }
}

/// Which line of the list it is on, in any of the forms that English makes of a word, or as a German verb without
/// its last letter.
fn side(word: &str) -> Option<usize> {
    let find = |form: &str| SIDES.iter().position(|side| side.contains(&form));
    let with_e = |stem: &str| find(stem).or_else(|| find(&format!("{stem}e")));
    find(word)
        .or_else(|| find(word.strip_suffix('s')?))
        .or_else(|| find(word.strip_suffix("es")?))
        .or_else(|| with_e(word.strip_suffix("ed")?))
        .or_else(|| with_e(word.strip_suffix("ing")?))
        .or_else(|| find(&format!("{word}n")).filter(|_| word.len() > SHORTEST_VERB))
}

fn is_negation(word: &str) -> bool {
    NEGATIONS.contains(&word) || word.ends_with("n't")
}

/// Digits with what belongs to them, and a unit that is written behind them without a space.
fn number(word: &str, facts: &mut Vec<String>) {
    let is_sign = |c: char| matches!(c, '$' | '€' | '£' | '¥' | '%' | '°');
    let end = word.rfind(|c: char| c.is_ascii_digit()).map_or(0, |last| last + 1);
    let (digits, unit) = word.split_at_checked(end).unwrap_or((word, ""));
    let (digits, sign) = match digits.strip_prefix(is_sign) {
        Some(rest) => (rest, digits.get(..digits.len() - rest.len()).unwrap_or_default()),
        None => (digits, ""),
    };
    match side(unit) {
        Some(unit) if digits.starts_with(|c: char| c.is_ascii_digit()) => {
            facts.extend([number_itself(digits), format!("~{unit}")]);
        }
        _ if unit.is_empty() => facts.push(number_itself(digits)),
        _ => facts.push(format!("#{word}")),
    }
    facts.extend(side(sign).map(|sign| format!("~{sign}")));
}

/// Small ones are the same in words.
fn number_itself(digits: &str) -> String {
    side(digits).map_or_else(|| format!("#{digits}"), |side| format!("~{side}"))
}

/// No word of any language: a path, an address, a name in a program.
fn is_identifier(word: &str) -> bool {
    let mut letters = word.chars().zip(word.chars().skip(1));
    word.contains(['_', '/', '\\', '@', '#', '=', '<', '>', '{', '}', '(', ')', '[', ']', '+'])
        || word.contains("::")
        || letters.any(|(a, b)| (a.is_lowercase() && b.is_uppercase()) || (a == '.' && b.is_alphanumeric()))
}

#[cfg(test)]
mod tests;
