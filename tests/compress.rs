//! Outputs of the tools that agents use, written for the purpose, and what compression makes of them.
//! `compress/cases` has the outputs, each behind the command that wrote it; `compress/snapshots` has what
//! they become: read the difference before it is accepted. What other compressors did to outputs like
//! these, and none may do, is below.

#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use insta::{Settings, assert_snapshot};
use weir::compress::fold::{is_folded, unfold};
use weir::compress::originals::{Originals, handle};
use weir::compress::{How, Rules, Tier, compress, restore};
use weir::usage::estimate::Counter;
use weir::wire::Dialect;
use weir::wire::leaves::{Leaves, Who};

const RULES: Rules = Rules { lossy: true, ..Rules::ASKED };
const MODEL: &str = "gpt-4o";

fn counter() -> &'static Counter {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    COUNTER.get_or_init(|| {
        let counter = Counter::new();
        counter.warm(MODEL);
        counter
    })
}

fn tokens(text: &str) -> u64 {
    counter().count(MODEL, text)
}

fn literal(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A call of a tool and what it gave back.
fn call(name: &str, arguments: &str, output: &str) -> String {
    format!(
        r#"{{"model":"m","messages":[{{"role":"assistant","tool_calls":[{{"id":"c","type":"function","function":{{"name":{},"arguments":{}}}}}]}},{{"role":"tool","tool_call_id":"c","content":{}}}]}}"#,
        literal(name),
        literal(arguments),
        literal(output)
    )
}

fn bash(command: &str, output: &str) -> String {
    call("Bash", &format!(r#"{{"command":{}}}"#, literal(command)), output)
}

fn result(body: &str) -> String {
    let found = Leaves::of_request(Dialect::OpenAiChat, body).unwrap();
    found.leaves.iter().find(|leaf| leaf.who == Who::ToolResult).unwrap().text(body).into_owned()
}

fn body_at(tier: Tier, body: &str) -> String {
    let how = How { rules: &RULES, tier, count: &tokens, keep: &|text| Some(handle(text)), until: None };
    compress(Dialect::OpenAiChat, body, &how).map_or_else(|| body.to_owned(), |it| String::from_utf8(it.body).unwrap())
}

/// What a text becomes. In either tier twice is once, and the lossless one gives everything back.
fn at(tier: Tier, body: &str) -> String {
    let out = body_at(tier, body);
    assert_eq!(body_at(tier, &out), out, "twice is once");
    if tier == Tier::Lossless {
        assert_eq!(restore(Dialect::OpenAiChat, &out).unwrap(), body.as_bytes());
    }
    result(&out)
}

/// Without loss, or not at all: whatever is asked for, all of the text is still there.
fn keeps_all(body: &str) -> String {
    let out = body_at(Tier::Lossy, body);
    assert_eq!(restore(Dialect::OpenAiChat, &out).unwrap(), body.as_bytes());
    result(&out)
}

struct Case {
    name: String,
    command: String,
    output: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compress")
}

fn cases() -> Vec<Case> {
    let mut all: Vec<Case> = fs::read_dir(folder().join("cases"))
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let (command, output) = text.split_once('\n').unwrap();
            Case {
                name: path.file_stem().unwrap().to_str().unwrap().to_owned(),
                command: command.strip_prefix("$ ").unwrap().to_owned(),
                output: output.to_owned(),
            }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

#[test]
fn outputs_become_what_is_expected() {
    let mut settings = Settings::clone_current();
    settings.set_snapshot_path("compress/snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in cases() {
            let body = bash(&case.command, &case.output);
            let lossless = at(Tier::Lossless, &body);
            let shown = |text: &str| text.replace('\u{1b}', "\u{241b}").replace('\r', "\u{240d}");
            assert_snapshot!(format!("{}.lossless", case.name), shown(&lossless));
            let lossy = at(Tier::Lossy, &body);
            if lossy != lossless {
                assert_snapshot!(format!("{}.lossy", case.name), shown(&lossy));
            }
        }
    });
}

#[test]
fn what_is_kept_saves_tokens_by_the_tokenizer() {
    for case in cases() {
        let body = bash(&case.command, &case.output);
        let how = How { rules: &RULES, tier: Tier::Lossless, count: &tokens, keep: &|_| None, until: None };
        let Some(it) = compress(Dialect::OpenAiChat, &body, &how) else { continue };
        let after = result(std::str::from_utf8(&it.body).unwrap());
        let (before, after, told) = (tokens(&case.output), tokens(&after), it.savings.total());
        assert!(after < before, "{}: {before} became {after}", case.name);
        // What is told comes of samples.
        let saved = before - after;
        assert!(told <= saved * 3 / 2 + 20 && told >= saved / 3, "{}: {told} told, {saved} saved", case.name);
    }
}

fn table() -> String {
    let mut out =
        String::from("| output of | tokens | lossless | saved | lossy | saved |\n|---|---|---|---|---|---|\n");
    let percent = |before: u64, after: u64| (before - after.min(before)) * 100 / before.max(1);
    for case in cases() {
        let body = bash(&case.command, &case.output);
        let (before, lossless) = (tokens(&case.output), tokens(&at(Tier::Lossless, &body)));
        let lossy = tokens(&at(Tier::Lossy, &body));
        let (name, one, other) = (&case.name, percent(before, lossless), percent(before, lossy));
        writeln!(out, "| {name} | {before} | {lossless} | {one} % | {lossy} | {other} % |").unwrap();
    }
    out
}

#[test]
fn the_table_of_savings_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/compression.md");
    let page = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- begin: savings -->\n", "<!-- end: savings -->");
    let (before, rest) = page.split_once(begin).unwrap();
    let (_, behind) = rest.split_once(end).unwrap();
    let now = format!("{before}{begin}{}{end}{behind}", table());
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(&path, now).unwrap();
    } else {
        assert!(page == now, "docs/compression.md is out of date: WEIR_BLESS=1 cargo test --test compress");
    }
}

/// A command line that only begins like tests, or is none of them, says nothing about its output.
#[test]
fn a_script_is_not_taken_for_a_test_run() {
    let rows: String = (0..300).map(|n| format!("row {n}: {} sold\n", n * 37 % 91)).collect();
    for (command, output) in [
        ("python report.py", rows.clone()),
        ("python manage.py migrate", format!("{rows}Applying shop.0042_prices... FAILED\n")),
    ] {
        keeps_all(&bash(command, &output));
    }
}

#[test]
fn a_build_that_failed_is_not_told_as_one_that_went_well() {
    let tail = "error[E0308]: mismatched types\nerror: could not compile `shop` (lib) due to 3 previous errors\nwarning: build failed, waiting for other jobs to finish...\n";
    assert_eq!(keeps_all(&bash("cargo build 2>&1 | tail -3", tail)), tail);
    let noise = "   Compiling one-more-crate v1.0.0\n".repeat(200);
    let panicked = format!(
        "{noise}error: failed to run custom build command for `shop v0.1.0`\n\nCaused by:\n  process didn't exit successfully: `build-script-build` (exit status: 101)\n  --- stderr\n  thread 'main' panicked at build.rs:9:5\n"
    );
    assert!(keeps_all(&bash("cargo build", &panicked)).ends_with("panicked at build.rs:9:5\n"));
}

#[test]
fn values_of_json_stay() {
    let case = cases().into_iter().find(|case| case.name == "curl_json").unwrap();
    let out = keeps_all(&bash(&case.command, &case.output));
    assert!(out.contains(r#""status":"failed""#) && out.contains("insufficient funds \u{2013} try another"), "{out}");
}

#[test]
fn a_diff_keeps_every_line() {
    let case = cases().into_iter().find(|case| case.name == "git_diff").unwrap();
    let out = keeps_all(&bash(&case.command, &case.output));
    let whole = if is_folded(&out) { unfold(&out).unwrap() } else { out };
    assert_eq!(whole.lines().filter(|line| line.starts_with('+')).count(), 81);
}

/// Comments, strings that look like the beginning of one, queries in three quotes, texts.
#[test]
fn files_that_were_read_stay_to_the_letter() {
    let rust = cases().into_iter().find(|case| case.name == "read_rust").unwrap().output;
    let python: String = (0..40)
        .map(|n| {
            format!(
                "query_{n} = \"\"\"\n    select * -- all\n    from t_{n}\n\"\"\"\nrows = run(query_{n})  # here\n\n\n"
            )
        })
        .collect();
    let text: String = (0..60).map(|n| format!("// not a comment {n}\n\n\nhttp://example.org//{n}\n")).collect();
    for (name, arguments) in [
        ("Read", r#"{"file_path":"/work/a.rs"}"#),
        ("read_file", r#"{"path":"a"}"#),
        ("Bash", r#"{"command":"cat a"}"#),
        ("Bash", r#"{"command":"cd x && sed -n '1,200p' a.py"}"#),
        ("Bash", r#"{"command":"nl -ba a"}"#),
        ("shell", r#"{"command":["bash","-lc","head -400 a"]}"#),
    ] {
        for file in [&rust, &python, &text] {
            for tier in [Tier::Lossless, Tier::Lossy] {
                assert_eq!(at(tier, &call(name, arguments, file)), **file, "{name} {arguments}");
            }
        }
    }
}

/// Letters of two bytes at the place where another compressor cut; and nothing is masked.
#[test]
fn variables_are_neither_cut_nor_masked() {
    let case = cases().into_iter().find(|case| case.name == "env").unwrap();
    for n in 1..90 {
        let value: String = std::iter::repeat_n('\u{e9}', n).collect();
        keeps_all(&bash("env", &format!("{}AUTHOR={value}\n", case.output)));
    }
    let out = keeps_all(&bash("env", &case.output));
    let whole = if is_folded(&out) { unfold(&out).unwrap() } else { out };
    assert!(whole.contains("AUTHOR_3=\u{e9}") && whole.contains("KEYBOARD_3=de-latin1"));
}

#[test]
fn short_lists_and_errors_of_find_stay_as_they_are() {
    for output in [
        "./a.rs\n./b.rs\n./c.rs\n",
        "find: '/ nope': No such file or directory\n",
        "1024 ./target/debug/weir\n2048 ./target/release/weir\n",
    ] {
        assert_eq!(at(Tier::Lossy, &bash("find . -name '*.rs'", output)), output);
    }
}

#[test]
fn the_code_of_an_exit_is_never_lost() {
    let noise: String = (0..400).map(|n| format!("checked {n} of 400 in {}\n", n * 7 % 13)).collect();
    for head in [
        "Exit code: 1\nWall time: 2.1 seconds\nOutput:\n",
        "Chunk ID: 4f\nWall time: 1 s\nProcess exited with code 101\nOutput:\n",
    ] {
        let body = call("shell", r#"{"command":["bash","-lc","cargo test"]}"#, &format!("{head}{noise}"));
        keeps_all(&body);
    }
    let fine = call("shell", r#"{"command":["bash","-lc","cargo test"]}"#, &format!("Exit code: 0\nOutput:\n{noise}"));
    assert!(at(Tier::Lossy, &fine).contains("Exit code: 0"));
}

#[test]
fn commands_as_agents_write_them_are_recognised() {
    let output = cases().into_iter().find(|case| case.name == "cargo_test").unwrap().output;
    for command in ["cd app && cargo test", "RUST_LOG=1 cargo test", "npx tsc", "timeout 600 cargo test --all 2>&1"] {
        let out = at(Tier::Lossy, &bash(command, &output));
        assert!(out.contains("lines are left out; the whole is kept as weir:"), "{command}");
    }
}

#[test]
fn what_was_left_out_can_be_had_again() {
    let case = cases().into_iter().find(|case| case.name == "docker_logs").unwrap();
    let (originals, now) = (Originals::default(), Instant::now());
    let how = How {
        rules: &RULES,
        tier: Tier::Lossy,
        count: &tokens,
        keep: &|text| originals.keep("acme", text, now),
        until: None,
    };
    let it = compress(Dialect::OpenAiChat, &bash(&case.command, &case.output), &how).unwrap();
    let out = result(std::str::from_utf8(&it.body).unwrap());
    assert!(out.contains("charge 9133 failed") && out.contains("charge 9288 failed"), "{out}");
    let name = out.rsplit("kept as ").next().unwrap().trim_end_matches(']');
    assert_eq!(originals.get("acme", name, now).as_deref(), Some(&*case.output));
    assert_eq!(originals.get("other", name, now), None);
}

/// The best of a few.
fn time(mut run: impl FnMut()) -> Duration {
    let once = |_| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    (0..4).map(once).min().unwrap()
}

/// Sixteen times the lines are about sixteen times the work; were it square, it would be 256 times.
#[test]
fn time_grows_with_the_text_and_not_with_its_square() {
    let line = |n: usize, kind: usize| match kind {
        0 => format!("src/part_{}/file_{}.rs:{n}: let x = {};\n", n % 5, n / 9, n * 7919 % 1000),
        1 => format!("{} {}\n", n * 7919 % 65_537, "ab".repeat(n % 17)),
        2 => format!("\u{1b}[3{}m{}\u{1b}[0m\n", n % 8, n * 31 % 97),
        3 => format!("\rstep {n} {}", "=".repeat(n % 50)),
        _ => format!("a{}\n", if n.is_multiple_of(3) { "b" } else { "" }),
    };
    for kind in 0..5 {
        let text = |lines: usize| (0..lines).map(|n| line(n, kind)).collect::<String>();
        let run = |lines: usize| {
            let body = bash("grep -rn x .", &text(lines));
            time(|| drop(body_at(Tier::Lossy, &body)))
        };
        let (small, large) = (run(500), run(8_000));
        assert!(large < small.max(Duration::from_micros(200)) * 80, "kind {kind}: {small:?}, {large:?}");
    }
}
