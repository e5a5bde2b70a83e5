use super::*;

/// Bytes in place of tokens: whatever is shorter is folded, which is the most that can go wrong.
fn bytes(text: &str) -> u64 {
    whole(text.len())
}

fn folded(text: &str) -> String {
    let it = fold(text, &bytes).unwrap_or_else(|| panic!("{text:?} is not folded"));
    assert_eq!(unfold(&it.text).as_deref(), Some(text));
    assert!(it.text.len() < text.len() && it.savings.total() > 0);
    assert!(fold(&it.text, &bytes).is_none(), "it is folded already");
    it.text
}

#[test]
fn lines_that_come_again_are_counted() {
    let text = format!("start\n{}end\n", "warning: the field `x` is never read\n".repeat(40));
    let out = folded(&text);
    assert!(out.ends_with("\nstart\nwarning: the field `x` is never read\n§ x40\nend\n"), "{out}");
    let text = format!("{}end", "GET /health from the load balancer\nanswered with 200 and no body\n".repeat(30));
    let out = folded(&text);
    assert!(
        out.ends_with("\nGET /health from the load balancer\nanswered with 200 and no body\n§ x30 of 2\nend"),
        "{out}"
    );
    // Without an end of its own the last line is one more.
    folded(&"the same line, over and over again\n".repeat(20));
    folded("the same line, over and over again\n".repeat(20).trim_end());
}

#[test]
fn lines_that_begin_alike_share_their_beginning() {
    let name = |n: u8| format!("{}{}", char::from(b'a' + n % 23), "xy".repeat(usize::from(n * 7 % 5)));
    let files: String = (0..30).map(|n| format!("/home/me/project/src/components/{}.tsx\n", name(n))).collect();
    let out = folded(&files);
    assert!(out.contains("\n§ 30 begin /home/me/project/src/components/\na.tsx\n"), "{out}");
}

#[test]
fn progress_is_a_template_and_its_values() {
    let text: String = (1..=60).map(|n| format!("Compiling step {n} of 60\n")).collect();
    let out = folded(&text);
    assert!(out.ends_with("\n§ 60 like [1..60] Compiling step ¶ of 60\n"), "{out}");
    let bar: String = (0..=40).map(|n| format!("\r{:3}% [{}>{}]", n * 2, "=".repeat(n), " ".repeat(40 - n))).collect();
    let out = folded(&format!("Downloading\n{bar}\ndone\n"));
    assert!(out.contains("\n§ r 42\n"), "{out}");
    assert!(out.len() < 900, "{}", out.len());
}

#[test]
fn codes_of_terminals_are_letters() {
    let text: String =
        (0..20).map(|n| format!("\u{1b}[1m\u{1b}[32m{}\u{1b}[0m crate{}\n", "Compiling", "x".repeat(n))).collect();
    let out = folded(&text);
    assert!(out.contains("§=α\u{1b}[1m\u{1b}[32m"), "{out}");
    assert_eq!(out.matches('\u{1b}').count(), 3, "{out}");
}

#[test]
fn json_is_small_where_its_layout_is_a_rule() {
    let item = "  {\n    \"name\": \"a: b, {c}\",\n    \"empty\": {},\n    \"list\": [\n      1e400,\n      \"\\\"\"\n    ]\n  }";
    for end in ["", "\n"] {
        let text = format!("[\n{}\n]{end}", [item; 20].join(",\n"));
        let out = folded(&text);
        assert!(
            out.starts_with(
                "§ weir folded this text, nothing is lost: it was JSON indented by 2\n[{\"name\":\"a: b, {c}\""
            ),
            "{out}"
        );
    }
    // One blank that the rule does not know, and all of it is left.
    let odd = format!("[\n{}\n]", [item; 20].join(", \n"));
    assert!(fold(&odd, &bytes).is_none());
}

#[test]
fn a_text_with_signs_has_others_or_none() {
    let lines = "§ x3 ¶ a line that comes again and again\n".repeat(30);
    let out = folded(&lines);
    assert!(out.starts_with("† weir folded") && out.ends_with("\n† x30\n"), "{out}");
    assert!(fold(&format!("§¶†‡¤¦{lines}"), &bytes).is_none());
}

#[test]
fn what_only_looks_folded_is_left_and_read_as_it_is() {
    let header = "§ weir folded this text, nothing is lost";
    for text in [
        header.to_owned(),
        format!("{header}\n§ x3"),
        format!("{header}\n§ 3 begin a\nb"),
        format!("{header}\na\n§ x99999999999999999999"),
        format!("{header}\n§ 99999999999 like [1..99999999999] ¶"),
        format!("{header}\na\n§ x9999999999"),
        format!("{header}\n§ r 2\na"),
        format!("{header}\n§=xa\nb"),
        format!("{header}\n§ 2 like [=*99999999 99999999] ¶"),
        format!("{header}\na\n§ x0"),
        format!("{header}\na\n§ x2 of 0"),
        format!("{header}\na\n§ x2 of 2"),
        // Of so many lines of a bar there is no memory.
        format!("{header}\n§ 9999999 like [=*500..500/0] ¶"),
        format!("{header}\n§ 2 like [=*600 600] ¶"),
    ] {
        assert_eq!(unfold(&text), None, "{text}");
        assert!(is_folded(&text) && fold(&text.repeat(9), &bytes).is_none());
    }
}

#[test]
fn letters_of_several_bytes_are_never_cut() {
    let text = "\u{e9}\u{e9}\u{1f600} \u{4e2d}\u{6587} und \u{e4}\u{f6}\u{fc} noch einmal\n".repeat(50);
    folded(&text);
    let values: String = (0..60).map(|n| format!("AUTHOR{n}={}\n", "\u{e9}".repeat(60))).collect();
    folded(&values);
}

/// A generator of its own, so that a million takes seconds and each can be had again by its number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(most).unwrap()).unwrap()
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn text(&mut self) -> String {
        const PIECES: [&str; 44] = [
            "\n",
            "\n",
            "\n",
            "\r",
            "\r\n",
            " ",
            "  ",
            "a",
            "abc/def/",
            "src/main.rs:",
            "12",
            "0",
            "007",
            "99999999999999999999",
            "%",
            "=",
            "====",
            "§",
            "¶",
            "§ x3",
            "§ x2 of 2",
            "\n§ 2 begin a",
            "§ 2 like [1..2] ¶",
            "§ r 3",
            "α",
            "§=α",
            "\u{1b}[31m",
            "\u{1b}[0m",
            "\u{1b}[",
            "\u{1b}",
            "é",
            "\u{1f600}",
            "{",
            "}",
            "[",
            "]",
            "\"",
            ": ",
            ",",
            "{\n  \"a\": 1\n}",
            "-",
            "\\",
            "\u{0}",
            "§ weir folded this text, nothing is lost\n",
        ];
        let mut out = String::new();
        for _ in 0..self.below(12) {
            let mut block = String::new();
            for _ in 0..=self.below(6) {
                block.push_str(self.pick(&PIECES));
            }
            match self.below(4) {
                // The same again and again, or with a number that counts.
                0 => (0..self.below(40)).for_each(|_| out.push_str(&block)),
                1 => (0..self.below(40)).for_each(|n| out.push_str(&format!("{block}{n}\n"))),
                2 => (0..self.below(40)).for_each(|n| out.push_str(&format!("\r{n}{block}{}", "=".repeat(n)))),
                _ => out.push_str(&block),
            }
        }
        out
    }
}

/// Every text that is not of the notation comes back as it was; what is folded is not folded again.
/// `WEIR_CASES` says how many, `make compress` a million.
#[test]
fn what_is_folded_unfolds_to_itself() {
    let cases = std::env::var_os("WEIR_CASES").map_or(2_000, |n| n.to_str().unwrap().parse::<u64>().unwrap());
    let (mut tried, mut shorter) = (0, 0);
    for case in 1..=cases {
        let mut dice = Dice(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let text = dice.text();
        if is_folded(&text) {
            assert!(fold(&text, &bytes).is_none());
            let _ = unfold(&text);
            continue;
        }
        tried += 1;
        assert_eq!(unfold(&text), None, "case {case}: it was never folded");
        if let Some(it) = fold(&text, &bytes) {
            shorter += 1;
            assert_eq!(unfold(&it.text).as_deref(), Some(&*text), "case {case}");
            assert_eq!(fold(&it.text, &bytes), None, "case {case}: twice is once");
            assert_eq!(fold(&text, &bytes).as_ref(), Some(&it), "case {case}: the same each time");
        }
    }
    assert!(tried > cases / 2 && shorter > cases / 20, "{shorter} of {tried} of {cases}");
}

/// The check at the end of [`fold`] never has to throw anything away: what is written is right.
#[test]
fn nothing_is_written_that_does_not_unfold() {
    for case in 1..1_000_u64 {
        let text = Dice(case.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).text();
        let Some(signs) = Signs::free_in(&text).filter(|_| !is_folded(&text)) else { continue };
        let eager = |unit: &str| whole(unit.len()) + 1;
        let mut writer = Writer {
            judge: Judge::new(&eager, usize::MAX),
            signs: &signs,
            saved: Savings::default(),
            used: Used::default(),
        };
        let body = writer.lines(&text, '\n', 1);
        let out = format!("{}\n{}", writer.used.header(&signs), body.join("\n"));
        assert_eq!(unfold(&out).as_deref(), Some(&*text), "case {case}: {out}");
    }
}
