//! The house rules that no lint knows: what may use what, how long a file may be, what nothing is
//! called, and that nothing is left to be done.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use weir::provider::PROVIDERS;

/// The longest a file may be, without its tests.
const MOST_LINES: usize = 600;

/// What each module of the crate may use of the others. Dependencies point one way: nobody stands in
/// two lines that lead to each other, but for `wire` and the three parts of `usage` named here, which
/// are its leaves (decimals, token classes, and the estimate that the envelope sums up in the same pass).
const MAY_USE: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("secret", &[]),
    ("whole", &[]),
    ("guard", &[]),
    ("wire", &["error", "guard", "usage::decimal", "usage::tokens", "usage::estimate"]),
    ("usage", &["error", "wire"]),
    ("record", &["config", "limit", "usage", "wire"]),
    ("ledger", &["error", "limit", "record", "usage", "wire"]),
    ("provider", &["error", "secret", "wire"]),
    ("compress", &["wire"]),
    ("config", &["compress", "guard", "provider", "secret", "usage", "wire"]),
    ("store", &["config", "ledger", "limit", "record", "secret", "tenant", "usage", "wire"]),
    ("limit", &["config", "error", "secret", "usage", "wire"]),
    ("tenant", &["config", "error", "limit", "provider", "secret", "whole", "wire"]),
    ("otlp", &["config", "error", "record", "secret", "telemetry", "usage"]),
    ("telemetry", &["config", "error", "limit", "record", "tenant", "usage", "wire"]),
    ("cache", &["limit", "secret", "wire"]),
    ("alert", &["config", "limit", "provider", "record", "secret", "wire"]),
    ("capture", &["config", "limit", "secret", "whole", "wire"]),
    ("admin", &["capture", "config", "error", "ledger", "limit", "secret", "store", "telemetry", "tenant", "wire"]),
    ("tools", &["config", "secret", "wire"]),
    ("simulator", &["error", "usage::tokens", "wire"]),
    ("route", &["config", "error", "limit", "provider", "usage", "wire"]),
    (
        "stage",
        &[
            "compress", "config", "error", "guard", "limit", "provider", "route", "secret", "tenant", "tools", "usage",
            "wire",
        ],
    ),
    (
        "proxy",
        &[
            "admin",
            "alert",
            "cache",
            "capture",
            "compress",
            "config",
            "error",
            "guard",
            "ledger",
            "limit",
            "otlp",
            "provider",
            "record",
            "route",
            "secret",
            "simulator",
            "stage",
            "store",
            "telemetry",
            "tenant",
            "tools",
            "usage",
            "whole",
            "wire",
        ],
    ),
    (
        "cli",
        &[
            "config",
            "error",
            "ledger",
            "limit",
            "provider",
            "proxy",
            "route",
            "secret",
            "stage",
            "store",
            "telemetry",
            "tenant",
            "usage",
            "wire",
        ],
    ),
    ("main", &["cli"]),
];

/// Where Pingora is known, and why. Everything else builds, tests and could run without it.
const KNOWS_PINGORA: &[(&str, &str)] = &[
    ("src/proxy/", "what it is for: hooks, attempts, connections, sockets, shutdown"),
    ("src/admin/mod.rs", "its HTTP application is served by the same framework"),
    ("src/admin/follow.rs", "and writes a stream to its session"),
    ("src/admin/playground.rs", "and passes an answer on to it"),
    ("src/simulator/app.rs", "so is the simulated provider's"),
    ("src/simulator/serve.rs", "and its service"),
    ("src/limit/door.rs", "counts addresses with pingora-limits"),
    ("src/cli/demo.rs", "the tour is a service beside the others"),
];

/// Names that say nothing about what a thing does.
const EMPTY_NAMES: [&str; 10] =
    ["utils", "util", "helpers", "helper", "common", "manager", "managers", "misc", "stuff", "base"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A source file: its path from the root, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

fn sources(directories: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    directories.iter().for_each(|directory| walk(&root().join(directory), &mut paths));
    paths.sort();
    let source = |path: PathBuf| Source {
        text: fs::read_to_string(&path).unwrap(),
        path: path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"),
    };
    paths.into_iter().map(source).collect()
}

impl Source {
    fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs")
    }

    /// The text without tests and comments. Tests stand at the end of a file.
    fn code(&self) -> String {
        let without_tests = self.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        without_tests.lines().filter(is_code).collect::<Vec<_>>().join("\n")
    }

    /// `src/wire/sse/mod.rs` is `["wire", "sse"]`.
    fn module(&self) -> Vec<&str> {
        let path = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let path = path.strip_suffix("/mod.rs").or_else(|| path.strip_suffix(".rs")).unwrap_or(path);
        path.split('/').collect()
    }
}

/// What of the crate a file names: the first two words of every path from the crate's root, those
/// that climb there with `super` too.
fn uses(source: &Source) -> BTreeSet<String> {
    let code = source.code();
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_none_or(|c| !c.is_alphanumeric() && c != '_') {
            paths(&code[at + "crate::".len()..], &mut found);
        }
    }
    let depth = source.module().len();
    let climb = "super::".repeat(depth);
    for (at, _) in code.match_indices(&climb) {
        paths(&code[at + climb.len()..], &mut found);
    }
    found
}

/// The first two words of a path, or of each in a list in braces.
fn paths(text: &str, found: &mut BTreeSet<String>) {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(list) = text.strip_prefix('{') else {
        let first = word(text);
        let second = text[first.len()..].strip_prefix("::").map(word).filter(|w| !w.is_empty());
        match second {
            Some(second) => found.insert(format!("{first}::{second}")),
            None => found.insert(first),
        };
        return;
    };
    let mut depth = 0;
    let mut item = String::new();
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => paths(std::mem::take(&mut item).trim_start(), found),
            _ => item.push(c),
        }
        depth += i32::from(c == '{') - i32::from(c == '}');
    }
    if !item.trim().is_empty() {
        paths(item.trim_start(), found);
    }
}

/// Macros stand at the crate's root wherever they are declared.
fn is_macro(path: &str) -> bool {
    path.starts_with("wire_")
}

#[test]
fn dependencies_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources(&["src"]).iter().filter(|s| !s.is_tests() && s.path != "src/lib.rs") {
        let own = source.module()[0];
        let Some((_, allowed)) = MAY_USE.iter().find(|(module, _)| *module == own) else {
            wrong.push(format!("{}: the module `{own}` is not in MAY_USE", source.path));
            continue;
        };
        for used in uses(source).iter().filter(|path| !is_macro(path)) {
            let module = used.split("::").next().unwrap_or_default();
            let fits = |a: &&str| **a == *module || *used == **a || used.starts_with(&format!("{a}::"));
            if module != own && !allowed.iter().any(fits) {
                wrong.push(format!("{}: `{own}` may not use `{used}`", source.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rule_itself_has_no_circles() {
    let may = |from: &str| MAY_USE.iter().find(|(module, _)| *module == from).map_or(&[][..], |(_, uses)| uses);
    for (module, _) in MAY_USE {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut next: Vec<&str> = may(module).to_vec();
        while let Some(used) = next.pop() {
            // `usage::tokens` is less than `usage`: it uses nothing.
            if reached.insert(used) && !used.contains("::") {
                next.extend(may(used));
            }
        }
        assert!(!reached.contains(module), "`{module}` may use itself by way of others");
    }
}

/// The three parts of `usage` that `wire` may use have to be leaves, or nearly: what they use of `wire`
/// is what reads JSON.
#[test]
fn what_wire_uses_of_usage_uses_little() {
    for source in sources(&["src/usage"]).iter().filter(|s| !s.is_tests()) {
        let found = uses(source);
        let used: Vec<&str> = found.iter().map(String::as_str).filter(|path| !is_macro(path)).collect();
        match source.module().get(1) {
            Some(part @ (&"tokens" | &"decimal")) => assert!(used.is_empty(), "usage::{part} uses {used:?}"),
            Some(&"estimate") => {
                let is_reader =
                    |path: &&str| ["wire::envelope", "wire::json", "wire::scan"].iter().any(|p| path.starts_with(p));
                assert!(used.iter().all(is_reader), "usage::estimate uses {used:?}");
            }
            _ => {}
        }
    }
}

#[test]
fn the_reader_of_paths_sees_them() {
    let of = |path: &str, text: &str| uses(&Source { path: path.to_owned(), text: text.to_owned() });
    let set = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(of("src/a.rs", "use crate::wire::ir::{A, B};\n// crate::no\n"), set(&["wire::ir"]));
    let list = "use crate::{limit, stage::{x, y}, usage::tokens::U};";
    assert_eq!(of("src/a.rs", list), set(&["limit", "stage", "usage::tokens"]));
    assert_eq!(of("src/a/b.rs", "use super::c; use super::super::proxy::D;"), set(&["proxy::D"]));
    assert_eq!(of("src/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n use crate::proxy;\n}"), set(&[]));
    assert_eq!(of("src/a.rs", "notcrate::x::y"), set(&[]));
}

#[test]
fn pingora_is_known_where_it_has_to_be() {
    let sources = sources(&["src"]);
    let knows = |source: &&Source| {
        let code = source.code();
        code.match_indices("pingora").any(|(at, _)| {
            let word: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            code[at + word.len()..].starts_with("::")
        })
    };
    let knowing: Vec<&Source> = sources.iter().filter(|s| !s.is_tests()).filter(knows).collect();
    for source in &knowing {
        let known = KNOWS_PINGORA.iter().any(|(place, _)| source.path.starts_with(place));
        assert!(known, "{} uses Pingora: keep it in src/proxy, or say in KNOWS_PINGORA why not", source.path);
    }
    for (place, _) in KNOWS_PINGORA {
        assert!(
            knowing.iter().any(|s| s.path.starts_with(place)),
            "{place} uses Pingora no more: take it off the list"
        );
    }
}

#[test]
fn files_are_short() {
    for source in sources(&["src"]).iter().filter(|s| !s.is_tests()) {
        let text = source.text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines without its tests; at most {MOST_LINES}", source.path);
    }
}

/// Nothing complains of a file that belongs to no test: its tests just never run.
#[test]
fn every_test_file_is_of_a_test() {
    for directory in ["e2e", "faults", "postgres", "recorded", "routing", "shared", "support"] {
        let files = sources(&[&format!("tests/{directory}")]);
        let belongs = |name: &str| {
            let (named, at) = (format!("mod {name};"), format!("{directory}/{name}.rs\""));
            let beside = |of: &Source| of.path.starts_with(&format!("tests/{directory}/"));
            sources(&["tests"]).iter().any(|of| (beside(of) && of.text.contains(&named)) || of.text.contains(&at))
        };
        for file in &files {
            let name = Path::new(&file.path).file_stem().and_then(|stem| stem.to_str()).unwrap();
            assert!(["main", "mod", "tests"].contains(&name) || belongs(name), "{} is of no test", file.path);
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    for source in sources(&["src"]).iter().filter(|s| !s.is_tests()) {
        assert!(source.text.starts_with("//! "), "{} does not begin with its documentation", source.path);
    }
}

#[test]
fn lints_are_expected_not_allowed() {
    let [open, inner] = [["#", "[allow("].concat(), ["#", "![allow("].concat()];
    for source in sources(&["src", "tests", "benches", "fuzz/fuzz_targets"]) {
        let found = [&open, &inner].into_iter().any(|attribute| source.text.contains(attribute.as_str()));
        assert!(!found, "{} allows a lint: use #[expect(lint, reason = \"...\")]", source.path);
    }
}

#[test]
fn nothing_is_left_to_be_done() {
    let marks = ["TO", "FIX", "XX"].map(|first| format!("{first}{}", if first == "TO" { "DO" } else { "ME" }));
    let macros = ["to", "unimple"].map(|first| format!("{first}{}", if first == "to" { "do!(" } else { "mented!(" }));
    for source in sources(&["src", "benches", "fuzz/fuzz_targets"]) {
        for mark in marks.iter().take(2).chain(&macros) {
            assert!(!source.text.contains(mark.as_str()), "{} holds a {mark}", source.path);
        }
    }
}

/// `ConnectionManager` is `["connection", "manager"]`, and so is `connection_manager`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if c == '_' || c == '-' || c.is_uppercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn names_say_something() {
    for source in sources(&["src", "tests", "benches"]) {
        for part in source.path.trim_end_matches(".rs").split('/') {
            assert!(!EMPTY_NAMES.contains(&part), "{}: `{part}` says nothing", source.path);
        }
        for line in source.code().lines() {
            let mut tokens = line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|t| !t.is_empty());
            while let Some(token) = tokens.next() {
                if ["struct", "enum", "trait", "mod"].contains(&token) {
                    let name = tokens.next().unwrap_or_default();
                    let empty = words(name).into_iter().find(|w| w != "base" && EMPTY_NAMES.contains(&w.as_str()));
                    assert!(empty.is_none(), "{}: `{name}` has a word that says nothing", source.path);
                }
            }
        }
    }
}

#[test]
fn names_are_taken_apart() {
    assert_eq!(words("ConnectionManager"), ["connection", "manager"]);
    assert_eq!(words("io_utils"), ["io", "utils"]);
}

#[test]
fn every_provider_file_is_on_the_list() {
    let listed: BTreeSet<String> = PROVIDERS.iter().map(|p| p.kind.replace('-', "_")).collect();
    let files: BTreeSet<String> =
        sources(&["src/provider"]).iter().filter_map(|s| s.module().get(1).map(|name| (*name).to_owned())).collect();
    // How requests are signed is no vendor.
    let files = &files - &BTreeSet::from(["sign".to_owned()]);
    assert_eq!(files, listed);
}

/// Who knows one dialect finds its way in the other.
#[test]
fn dialects_hold_the_same_files() {
    for dialect in ["openai_chat", "anthropic"] {
        let folder = root().join("src/wire").join(dialect);
        for part in ["request", "response", "stream", "error", "usage"] {
            let there = folder.join(format!("{part}.rs")).is_file() || folder.join(part).join("mod.rs").is_file();
            assert!(there, "src/wire/{dialect} has no `{part}`");
        }
    }
}
