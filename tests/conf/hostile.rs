//! No text makes the loader panic, hang or eat the machine.

use proptest::prelude::*;

use crate::world::{good, load, with};

#[test]
fn alias_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let below = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [below.as_str(); 10].join(", ")));
    }
    assert!(load(&bomb).unwrap_err().to_string().contains("too many values"));
}

#[test]
fn long_texts_are_not_multiplied_by_aliases() {
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(100_000));
    assert!(load(&text).unwrap_err().to_string().contains("too many values"));
}

#[test]
fn depth_is_bounded() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        assert!(load(&format!("{}{}", open.repeat(5_000), close.repeat(5_000))).is_err());
    }
    let block: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert!(load(&block).is_err());
    let mut aliased = String::from("a0: &a0 [x]\n");
    for level in 1..200 {
        aliased.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
    }
    assert!(load(&aliased).unwrap_err().to_string().contains("too deeply nested"));
}

#[test]
fn size_is_bounded() {
    let report = load(&format!("# {}\n", "x".repeat(100 << 20))).unwrap_err();
    assert!(report.to_string().contains("16 MiB"), "{report}");
}

#[test]
fn ten_thousand_keys_load_and_ten_thousand_errors_are_reported() {
    let keys: String = (0..10_000).map(|n| format!("      - {{id: k{n}, secret: secret-{n}}}\n")).collect();
    let text = format!("providers: {{simulator: {{base_url: 'http://h'}}}}\ntenants:\n  t:\n    keys:\n{keys}");
    assert_eq!(good(&text).keys.len(), 10_000);
    let report = load(&text.replace("secret:", "secert:")).unwrap_err();
    assert!(report.problems.len() == 100 && report.more > 500);
}

#[test]
fn merges_and_aliases_mean_what_they_do_elsewhere() {
    let runtime = good(
        "providers: {simulator: {base_url: 'http://h'}}\n\
         tenants:\n  a: {keys: [{id: k, secret: kkkk}], limits: &l {concurrency: 1, requests_per_minute: 2}}\n\
         \x20 b: {keys: [{id: l, secret: llll}], limits: {<<: *l, concurrency: 3}}\n",
    );
    let limits = runtime.tenants[1].limits;
    assert_eq!((limits.concurrency, limits.requests_per_minute), (Some(3), Some(2)));
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_fine() {
    good(&format!("\u{feff}{}", with("").replace('\n', "\r\n")));
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let report = load("\"a\u{1b}[31m\u{7}\": 1\n").unwrap_err();
    assert!(!report.to_string().contains('\u{1b}'), "{report:?}");
}

fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "providers",
        "tenants",
        "server",
        "listen",
        "keys",
        "id",
        "secret",
        "models",
        "routes",
        "targets",
        "model",
        "${",
        "}",
        "$$",
        "file:",
        "&a",
        "*a",
        "<<",
        "{",
        "}",
        "[",
        "]",
        ": ",
        ",",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "\"",
        "'",
        "|",
        ">",
        "#",
        "!",
        "%",
        "---",
        "...",
        "?",
        "~",
        "null",
        "10m",
        "32MiB",
        "0.0.0.0:1",
        "openai/*",
        "\t",
        "\u{fc}",
        "\u{1f600}",
        "\0",
        "\r",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..60).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,200}") {
        let _ = load(&text).map_err(|report| report.render(true));
    }

    #[test]
    fn nothing_that_looks_like_a_configuration_panics(text in fragment()) {
        let _ = load(&text).map_err(|report| report.to_string());
    }

    #[test]
    fn a_broken_good_file_does_not_panic(at in 0usize..2000, what in fragment()) {
        let text = include_str!("../../conf/reference.yaml");
        let at = at % text.len();
        if text.is_char_boundary(at) {
            let (before, after) = text.split_at(at);
            let _ = load(&format!("{before}{what}{after}")).map_err(|report| report.to_string());
        }
    }
}
