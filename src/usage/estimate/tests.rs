use super::*;

fn request(body: &str) -> u64 {
    estimate_request(&Envelope::parse(body.as_bytes()).unwrap())
}

fn chat(content: &str) -> u64 {
    request(&format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#))
}

#[test]
fn text_counts_by_its_kind() {
    let text = |n: usize| chat(&format!("\"{}\"", "lorem ".repeat(n)));
    let (small, large) = (text(10), text(1010));
    assert_eq!(large - small, 1500);
    // The same characters, spelled out or escaped, count about the same.
    let plain = chat(&format!("\"{}\"", "\u{4f60}\u{597d}".repeat(100)));
    let escaped = chat(&format!("\"{}\"", "\\u4f60\\u597d".repeat(100)));
    assert_eq!(plain, escaped);
    assert!((150..=260).contains(&plain), "{plain}");
}

#[test]
fn media_counts_once_whatever_its_size() {
    let base64 = "iVBORw0KGgo".repeat(10_000);
    let openai = chat(&format!(r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{base64}"}}}}]"#));
    let anthropic = chat(&format!(
        r#"[{{"type":"image","source":{{"type":"base64","media_type":"image/png","data":"{base64}"}}}}]"#
    ));
    for tokens in [openai, anthropic] {
        assert!((MEDIA_TOKENS..MEDIA_TOKENS + 60).contains(&tokens), "{tokens}");
    }
    // Plain text in the same place is text.
    let text = chat(&format!(r#"[{{"source":{{"type":"text","data":"{}"}}}}]"#, "some words ".repeat(1000)));
    assert!(text > 2_000, "{text}");
    assert!(chat(&format!("\"{base64}\"")) > 20_000, "text that only looks like media is counted");
}

#[test]
fn escaped_and_plain_output_add_up() {
    let mut count = TextCount::default();
    assert!(count.is_empty());
    count.add_escaped("12345678");
    count.add_escaped("\\u00e9");
    assert_eq!(count.tokens(), 3);
    assert_eq!(request("{}"), 1);
}

#[cfg(feature = "proxy")]
#[test]
fn the_counter_is_exact_once_warm_and_fast_before() {
    let counter = Counter::new();
    let text = "The quick brown fox jumps over the lazy dog. ".repeat(200);
    assert!(!counter.ready("openai/gpt-4o"));
    assert_eq!(counter.count("openai/gpt-4o", &text), 2_250);
    counter.warm("openai/gpt-4o");
    assert!(counter.ready("gpt-4o-mini") && !counter.ready("gpt-4"));
    assert_eq!(counter.count("openai/gpt-4o", "hello world"), 2);
    let exact = bytes(tiktoken::get_encoding("o200k_base").unwrap().count(&text));
    let ours = counter.count("gpt-4o", &text);
    assert!(ours.abs_diff(exact) * 500 <= exact, "{ours} against {exact}");
    assert_eq!(counter.count("gpt-4o", ""), 0);
}

#[cfg(feature = "proxy")]
#[test]
fn text_is_cut_in_pieces_that_add_up() {
    for text in
        ["a".repeat(10_000), "\u{4f60}".repeat(5_000), "word ".repeat(3_000), "x".repeat(3000) + " " + &"y".repeat(9)]
    {
        let all: Vec<&str> = pieces(&text, 2_048).collect();
        assert_eq!(all.concat(), text);
        assert!(all.iter().all(|piece| !piece.is_empty() && piece.len() <= 2_048));
    }
    assert_eq!(pieces("", 5).count(), 0);
}
