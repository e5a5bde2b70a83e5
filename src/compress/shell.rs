//! What a command line runs, as far as that is plain: whoever is not sure what wrote an output leaves
//! it alone.

/// A pipeline: the words of each of its stages.
pub(super) type Stages = Vec<Vec<String>>;

/// The pipeline whose output a command line's is. `None` where that is not clear: several commands that
/// write, substitutions, loops, files that the output goes to.
pub(super) fn pipeline(line: &str) -> Option<Stages> {
    let mut reader = Reader { rest: line.trim(), chain: vec![vec![Vec::new()]] };
    while reader.step()? {}
    let mut chain = reader.chain;
    let last = chain.pop()?;
    let is_silent = |stages: &Stages| match stages.as_slice() {
        [one] => plain(one).first().is_none_or(|program| {
            matches!(&**program, "cd" | "pushd" | "export" | "set" | "true" | "mkdir" | "source" | ".")
        }),
        _ => false,
    };
    let is_whole = !last.is_empty() && last.iter().all(|stage| !plain(stage).is_empty());
    (chain.iter().all(is_silent) && is_whole).then_some(last)
}

/// The words without what stands before the program: variables, `sudo`, `timeout 60`, `npx`.
pub(super) fn plain(words: &[String]) -> &[String] {
    let mut rest = words;
    loop {
        let [first, tail @ ..] = rest else { return rest };
        rest = match (&**first, tail) {
            (word, _) if is_assignment(word) => tail,
            ("env" | "sudo" | "time" | "command" | "nohup" | "npx" | "bunx" | "exec", _) => tail,
            ("nice", [option, _, tail @ ..]) if option == "-n" => tail,
            ("nice", _) => tail,
            ("timeout", [_, tail @ ..]) => tail,
            ("uv" | "poetry" | "pipenv" | "pdm", [run, tail @ ..]) if run == "run" => tail,
            ("bundle" | "pnpm" | "npm", [exec, tail @ ..]) if exec == "exec" => tail,
            ("python" | "python3" | "py", [option, tail @ ..]) if option == "-m" => tail,
            _ => return rest,
        };
    }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

struct Reader<'s> {
    rest: &'s str,
    /// Pipelines that follow each other by `&&`.
    chain: Vec<Stages>,
}

impl Reader<'_> {
    fn words(&mut self) -> Option<&mut Vec<String>> {
        self.chain.last_mut()?.last_mut()
    }

    /// Reads one word or operator; `Some(false)` at the end, `None` where it gets unclear.
    fn step(&mut self) -> Option<bool> {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
        if self.rest.is_empty() {
            return Some(false);
        }
        if let Some(behind) = self.rest.strip_prefix("&&") {
            (self.rest, _) = (behind, self.chain.push(vec![Vec::new()]));
            return Some(true);
        }
        if self.rest.starts_with("||") || self.rest.starts_with("|&") {
            return None;
        }
        if let Some(behind) = self.rest.strip_prefix('|') {
            self.rest = behind;
            self.chain.last_mut()?.push(Vec::new());
            return Some(true);
        }
        // What only errors are sent away by, or are joined with the rest.
        for harmless in ["2>&1", "2>/dev/null", "2> /dev/null", "</dev/null", "< /dev/null"] {
            if let Some(behind) = self.rest.strip_prefix(harmless)
                && behind.starts_with([' ', '\t', '|', '&', ';']) | behind.is_empty()
            {
                self.rest = behind;
                return Some(true);
            }
        }
        let word = self.word()?;
        self.words()?.push(word);
        Some(true)
    }

    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        let mut chars = self.rest.chars();
        let mut quote = None;
        loop {
            let before = chars.as_str();
            let Some(c) = chars.next() else { break };
            match (quote, c) {
                (Some('\''), '\'') | (Some('"'), '"') => quote = None,
                (Some('\''), _) => word.push(c),
                (_, '\\') => word.push(chars.next()?),
                (_, '`') => return None,
                (_, '$') if chars.as_str().starts_with('(') => return None,
                (Some(_), _) => word.push(c),
                (None, '\'' | '"') => quote = Some(c),
                (None, ' ' | '\t' | '|' | '&') => {
                    self.rest = before;
                    // A single `&` sends it to the background.
                    let is_background = c == '&' && !before.starts_with("&&");
                    return (!is_background).then_some(word);
                }
                (None, ';' | '\n' | '\r' | '<' | '>' | '(' | ')' | '{' | '}' | '#') if c != '#' || word.is_empty() => {
                    return None;
                }
                (None, _) => word.push(c),
            }
        }
        self.rest = "";
        quote.is_none().then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Option<Vec<String>> {
        let stages = pipeline(line)?;
        Some(stages.iter().map(|stage| plain(stage).join(" ")).collect())
    }

    #[test]
    fn the_real_command_is_found() {
        for (line, wanted) in [
            ("cargo test", vec!["cargo test"]),
            ("cd app && RUST_LOG=1 cargo test --lib 2>&1", vec!["cargo test --lib"]),
            ("cd 'my app' && export A=b && timeout 60 npx tsc -p .", vec!["tsc -p ."]),
            ("find . -name \"*.rs\" 2>/dev/null | sort", vec!["find . -name *.rs", "sort"]),
            ("python3 -m pytest -q", vec!["pytest -q"]),
            ("env X=1 nice -n 10 make", vec!["make"]),
        ] {
            assert_eq!(
                words(line).as_deref(),
                Some(&wanted.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()[..]),
                "{line}"
            );
        }
    }

    #[test]
    fn what_is_unclear_is_left() {
        for line in [
            "",
            "cargo build; cargo test",
            "cargo build && cargo test",
            "a || b",
            "ls $(pwd)",
            "ls `pwd`",
            "make > log",
            "make &",
            "cat <<EOF",
            "for f in *; do cat $f; done",
            "(cd a; ls)",
            "ls 'open",
            "cd a && ",
            "ls |",
            "ls\nrm x",
            "make 2>&1 >log",
            "FOO=bar",
        ] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
