use super::*;

fn keep(_: &str) -> Option<String> {
    Some("abc".to_owned())
}

fn log(lines: usize) -> String {
    (0..lines).map(|n| format!("12:00:{n} request {n} served\n")).collect()
}

#[test]
fn head_tail_trouble_and_a_count_stay() {
    let mut text = log(300);
    text.insert_str(text.find("12:00:150").unwrap(), "ERROR lost \u{e9}\u{e9}\n");
    let short = shorten(&text, Kind::Log, &keep).unwrap();
    assert!(short.starts_with("12:00:0 ") && short.contains("ERROR lost \u{e9}\u{e9}\n"), "{short}");
    assert!(short.contains("12:00:299 request") && short.ends_with("kept as weir:abc]"), "{short}");
    assert!(short.contains("(140 lines left out)") && short.contains(": 231 of 302 lines are left out"), "{short}");
    assert!(is_shortened(&short) && shorten(&short, Kind::Log, &keep).is_none());
}

#[test]
fn files_unknown_outputs_and_failures_are_left() {
    let text = log(1_000);
    assert!(shorten(&text, Kind::File, &keep).is_none());
    assert!(shorten(&text, Kind::Other, &keep).is_none());
    assert!(shorten(&format!("Exit code: 1\nOutput:\n{text}"), Kind::Log, &keep).is_none());
    assert!(shorten(&format!("{text}Process exited with code 2"), Kind::Log, &keep).is_none());
    assert!(shorten(&format!("{text}test result: FAILED. 3 failed"), Kind::Checks, &keep).is_none());
    assert!(shorten(&text, Kind::Log, &|_| None).is_none(), "what is not kept is not taken away");
    assert!(shorten(&log(80), Kind::Log, &keep).is_none(), "it is short enough");
}

#[test]
fn the_state_of_an_exit_stays() {
    let text = format!("Exit code: 0\nWall time: 1 seconds\nOutput:\n{}", log(400));
    assert!(shorten(&text, Kind::Checks, &keep).unwrap().starts_with("Exit code: 0\nWall time: 1 seconds\n"));
    let text = format!("{}Process exited with code 0\n{}", log(200), log(200));
    assert!(shorten(&text, Kind::Checks, &keep).unwrap().contains("12:00:199"), "lines beside it");
}
