//! What kind of output a call gives, by the tool's name or by the command that it runs.

use super::shell;
use crate::wire::json::Str;
use crate::wire::leaves::Call;
use crate::wire::scan;

/// Kinds of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// What an editor has to match to the letter.
    File,
    Listing,
    Search,
    Log,
    /// Tests and builds.
    Checks,
    /// Anything else, or nobody knows.
    Other,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Listing => "listing",
            Self::Search => "search",
            Self::Log => "log",
            Self::Checks => "output",
            Self::Other => "text",
        }
    }
}

/// The kind of a call's output.
pub(super) fn kind(call: &Call<'_>) -> Kind {
    let name = call.name.rsplit("__").next().unwrap_or_default().to_ascii_lowercase();
    let is = |words: &[&str]| words.contains(&&*name);
    if is(&[
        "read",
        "read_file",
        "readfile",
        "view",
        "view_file",
        "open_file",
        "cat",
        "get_file_contents",
        "read_many_files",
        "notebookread",
        "apply_patch",
        "edit",
        "str_replace_based_edit_tool",
        "str_replace_editor",
        "read_text_file",
    ]) {
        return Kind::File;
    }
    if is(&["grep", "search", "ripgrep", "search_files", "grep_search", "search_file_content", "codebase_search"]) {
        return Kind::Search;
    }
    if is(&["glob", "ls", "list", "list_dir", "list_directory", "list_files", "find_files", "directory_tree"]) {
        return Kind::Listing;
    }
    if is(&[
        "bash",
        "shell",
        "exec_command",
        "shell_command",
        "local_shell",
        "run_terminal_cmd",
        "execute_command",
        "run_command",
        "run_shell_command",
        "terminal",
        "exec",
        "unified_exec",
    ]) {
        return command(call).and_then(|stages| of_pipeline(&stages)).unwrap_or(Kind::Other);
    }
    Kind::Other
}

/// The pipeline that a call runs.
fn command(call: &Call<'_>) -> Option<shell::Stages> {
    let arguments = call.arguments_text();
    let [command, cmd, commands] = scan::several(&arguments, ["command", "cmd", "commands"]);
    let raw = command.or(cmd).or(commands)?;
    if let Some(line) = Str::from_raw(raw) {
        return shell::pipeline(&line.text());
    }
    let words: Vec<String> = serde_json::from_str(raw).ok()?;
    match words.as_slice() {
        [line] => shell::pipeline(line),
        [shell, option, line] if is_shell(shell) && matches!(&**option, "-c" | "-lc" | "-ic") => shell::pipeline(line),
        _ => Some(vec![words]),
    }
}

fn is_shell(word: &str) -> bool {
    matches!(program(word), "bash" | "sh" | "zsh" | "dash")
}

/// `/usr/bin/git` is `git`.
fn program(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

/// By the last stage, where those before it only hand on what they list or find.
fn of_pipeline(stages: &shell::Stages) -> Option<Kind> {
    let (last, before) = stages.split_last()?;
    let kinds: Vec<Kind> = before.iter().map(|stage| of_stage(shell::plain(stage))).collect();
    let hands_on = kinds.iter().all(|kind| matches!(kind, Kind::Listing | Kind::Search | Kind::Log));
    let words = shell::plain(last);
    match (program(words.first()?), kinds.last()) {
        // The same lines in another order.
        ("sort" | "uniq", Some(kind)) => hands_on.then_some(*kind),
        (_, Some(_)) if !hands_on => None,
        _ => Some(of_stage(words)),
    }
}

fn of_stage(words: &[String]) -> Kind {
    let Some((first, rest)) = words.split_first() else { return Kind::Other };
    // Options that stand before the word that tells are passed over.
    let word = asked(rest).next().unwrap_or_default();
    match (program(first), word) {
        ("cat" | "head" | "tail" | "sed" | "awk" | "nl" | "less" | "more" | "bat" | "od" | "xxd" | "jq", _) => {
            Kind::File
        }
        ("ls" | "find" | "tree" | "fd" | "du" | "ps", _) => Kind::Listing,
        ("kubectl" | "docker" | "podman", "get" | "ps" | "images") if !wants_whole(rest) => Kind::Listing,
        ("git", "ls-files") => Kind::Listing,
        ("grep" | "rg" | "ag" | "ack" | "egrep" | "fgrep", _) | ("git", "grep") => Kind::Search,
        ("kubectl" | "docker" | "podman" | "docker-compose", "logs") | ("journalctl" | "dmesg", _) => Kind::Log,
        ("git", "log") if !rest.iter().any(|word| matches!(&**word, "-p" | "--patch" | "-u" | "--cc")) => Kind::Log,
        ("cargo", "test" | "nextest" | "build" | "check" | "clippy" | "bench") => Kind::Checks,
        ("go", "test" | "build" | "vet") | ("npm" | "pnpm" | "yarn", "test" | "install" | "ci" | "build") => {
            Kind::Checks
        }
        ("npm" | "pnpm" | "yarn", "run") if checks(asked(rest).skip(1).take(1)) => Kind::Checks,
        ("bazel" | "dotnet", _) if checks(asked(rest).take(1)) => Kind::Checks,
        (
            "pytest" | "jest" | "vitest" | "mocha" | "tox" | "tsc" | "eslint" | "mypy" | "ruff" | "ctest" | "rspec"
            | "phpunit",
            _,
        ) => Kind::Checks,
        ("mvn" | "gradle" | "gradlew" | "make" | "ninja", _) if checks(asked(rest)) => Kind::Checks,
        ("make" | "ninja", "") | ("cmake", _) => Kind::Checks,
        ("pip" | "pip3" | "apt-get" | "docker", "install" | "build" | "pull") => Kind::Checks,
        _ => Kind::Other,
    }
}

/// The words that are no options.
fn asked(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().map(String::as_str).filter(|word| !word.starts_with('-'))
}

/// Whether a runner is asked to build or to test, and nothing else: it may run any program of the project's.
fn checks<'w>(asked: impl Iterator<Item = &'w str>) -> bool {
    const ASKED: [&str; 14] = [
        "all",
        "assemble",
        "build",
        "check",
        "ci",
        "clean",
        "compile",
        "install",
        "lint",
        "package",
        "restore",
        "test",
        "typecheck",
        "verify",
    ];
    let mut asked = asked.filter(|word| !word.contains('=')).peekable();
    asked.peek().is_some() && asked.all(|word| word.split([':', '-', '_']).any(|part| ASKED.contains(&part)))
}

/// `kubectl get -o yaml` shows objects, not a list of them.
fn wants_whole(words: &[String]) -> bool {
    words.iter().any(|word| word.starts_with("-o") || word.starts_with("--output"))
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    fn of(name: &'static str, arguments: &str) -> Kind {
        kind(&Call { id: Cow::Borrowed(""), name: Cow::Borrowed(name), arguments })
    }

    fn of_command(line: &str) -> Kind {
        of("Bash", &format!(r#"{{"command":"{line}"}}"#))
    }

    #[test]
    fn files_are_known_in_every_shape() {
        for line in ["cat src/a.rs", "sed -n 1,20p a", "head -50 a", "nl -ba a", "cd x && tail -n 5 a", "awk 1 a"] {
            assert_eq!(of_command(line), Kind::File, "{line}");
        }
        for name in ["Read", "read_file", "mcp__fs__read_file", "view"] {
            assert_eq!(of(name, "{}"), Kind::File, "{name}");
        }
        assert_eq!(of("shell", r#"{"command":["bash","-lc","cat a"]}"#), Kind::File);
        assert_eq!(of("local_shell", r#"{"command":["cat","a"]}"#), Kind::File);
    }

    #[test]
    fn commands_are_known_behind_what_stands_before_them() {
        assert_eq!(of_command("cd app && RUST_LOG=1 cargo test 2>&1"), Kind::Checks);
        assert_eq!(of_command("npx tsc --noEmit"), Kind::Checks);
        for line in [
            "make",
            "make -j8 test",
            "npm run test:unit",
            "mvn -q clean verify",
            "bazel test //:all",
            "npm run -s build",
        ] {
            assert_eq!(of_command(line), Kind::Checks, "{line}");
        }
        assert_eq!(of_command("find . -type f | sort"), Kind::Listing);
        assert_eq!(of_command("git log --oneline"), Kind::Log);
        assert_eq!(of_command("git --no-pager grep foo"), Kind::Search);
        assert_eq!(of("shell", r#""{\"command\":[\"bash\",\"-lc\",\"rg foo\"]}""#), Kind::Search);
        assert_eq!(of("exec_command", r#""{\"cmd\":\"kubectl logs pod\"}""#), Kind::Log);
    }

    #[test]
    fn what_wrote_it_is_not_guessed() {
        for line in [
            "python report.py",
            "python manage.py migrate",
            "cargo build 2>&1 | tail -3",
            "cargo test | grep -v ok",
            "git diff",
            "git show",
            "curl -s http://x",
            "env",
            "git log -p",
            "kubectl get pods -o yaml",
            "cat a | grep b",
            "./run.sh",
            "cargo run",
            "npm run report",
            "make report",
            "dotnet run",
            "bazel run //:report",
        ] {
            assert!(matches!(of_command(line), Kind::Other | Kind::File), "{line} {:?}", of_command(line));
        }
        assert_eq!(of("query_database", r#"{"command":"ls"}"#), Kind::Other);
        assert_eq!(of("", ""), Kind::Other);
    }
}
