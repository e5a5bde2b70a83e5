use super::*;

const RULES: Rules = Rules { lossy: true, min_bytes: 64, max_micros: 100_000, ..Rules::ASKED };

fn count(text: &str) -> u64 {
    u64::try_from(text.len() / 4).unwrap()
}

fn done(dialect: Dialect, body: &str, tier: Tier) -> Option<Compressed> {
    let keep = |text: &str| Some(super::super::originals::handle(text));
    compress(dialect, body, &How { rules: &RULES, tier, count: &count, keep: &keep, until: None })
}

fn texts(dialect: Dialect, body: &str) -> Vec<String> {
    let found = Leaves::of_request(dialect, body).unwrap();
    found.leaves.iter().map(|leaf| leaf.text(body).into_owned()).collect()
}

fn literal(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A conversation of calls of `Bash` and what they gave back.
fn chat(turns: &[(&str, &str)]) -> String {
    let mut messages =
        vec![r#"{"role":"user","content":"do it, do it, do it, do it, do it, do it, do it, do it, do it"}"#.to_owned()];
    for (n, (command, output)) in turns.iter().enumerate() {
        let arguments = literal(&format!(r#"{{"command":{}}}"#, literal(command)));
        messages.push(format!(
            r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"c{n}","type":"function","function":{{"name":"Bash","arguments":{arguments}}}}}]}}"#
        ));
        messages.push(format!(r#"{{"role":"tool","tool_call_id":"c{n}","content":{}}}"#, literal(output)));
    }
    format!(r#"{{"model":"m","messages":[{}]}}"#, messages.join(","))
}

fn log(lines: usize) -> String {
    (0..lines).map(|n| format!("10:00:{n} worker {} served {}\n", n % 7, "ab".repeat(n % 5))).collect()
}

#[test]
fn only_results_of_tools_are_touched() {
    let noise = "the same line, over and over again\n".repeat(30);
    let body = format!(
        r#"{{"system":{0},"messages":[{{"role":"user","content":{0}}},{{"role":"assistant","content":[{{"type":"text","text":{0}}},{{"type":"tool_use","id":"a","name":"run","input":{{"x":{0}}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"a","content":{0}}},{{"type":"text","text":{0}}}]}}]}}"#,
        literal(&noise)
    );
    let out = String::from_utf8(done(Dialect::Anthropic, &body, Tier::Lossless).unwrap().body).unwrap();
    let after = texts(Dialect::Anthropic, &out);
    assert_eq!(after.iter().filter(|text| **text == noise).count(), 5);
    assert_eq!(after.iter().filter(|text| fold::is_folded(text)).count(), 1);
    assert_eq!(restore(Dialect::Anthropic, &out).unwrap(), body.into_bytes());
}

/// For agents that send what their tools gave back as the user's: logs, and nothing that may be a file.
#[test]
fn outputs_in_what_a_user_says_are_folded_where_that_is_asked_for() {
    let noise = "the same line, over and over again\n".repeat(30);
    let code: String = (0..60)
        .map(|n| format!("    let value_{n} = self.table.get({n}).copied().unwrap_or({n});\n{}\n", "}".repeat(n % 3)))
        .collect();
    let data =
        format!("{{\n{}\n}}", (0..60).map(|n| format!("  \"name of {n}\": {n}")).collect::<Vec<_>>().join(",\n"));
    let result = format!("[run] gave back:\n{noise}What now?");
    let texts_of = |text: &str| format!(r#"{{"role":"user","content":[{{"type":"text","text":{}}}]}}"#, literal(text));
    let said = [&*result, &code, &data, &noise].map(texts_of).join(",");
    let body = format!(r#"{{"system":{},"messages":[{said}]}}"#, literal(&noise));
    assert!(done(Dialect::Anthropic, &body, Tier::Lossy).is_none());
    let rules = Rules { user_texts: true, ..RULES };
    let how = How { rules: &rules, tier: Tier::Lossy, count: &count, keep: &|_| None, until: None };
    let it = compress(Dialect::Anthropic, &body, &how).unwrap();
    assert_eq!(it.savings.names(), "repeats");
    let out = String::from_utf8(it.body).unwrap();
    let after = texts(Dialect::Anthropic, &out);
    assert_eq!((&*after[0], &*after[2], &*after[3]), (&*noise, &*code, &*data));
    assert!(
        fold::is_folded(&after[1]) && fold::is_folded(&after[4]),
        "the last one too, or it would change in the next turn"
    );
    assert!(compress(Dialect::Anthropic, &out, &how).is_none());
    assert_eq!(restore(Dialect::Anthropic, &out).unwrap(), body.into_bytes());
}

#[test]
fn what_was_there_before_is_referred_to() {
    let file: String = (0..40).map(|n| format!("let variable_{n} = {};\n", "f(".repeat(n % 4))).collect();
    let body = chat(&[("cat a.rs", &file), ("ls", "a.rs"), ("cat a.rs", &file), ("cat a.rs", &file)]);
    let it = done(Dialect::OpenAiChat, &body, Tier::Lossless).unwrap();
    let out = String::from_utf8(it.body).unwrap();
    let after = texts(Dialect::OpenAiChat, &out);
    assert_eq!(after[2], file, "a file that was read stays what it is");
    assert_eq!(after[6], "[weir: the same as tool result 1 above, word for word]");
    assert_eq!(after[8], after[6]);
    assert_eq!(it.savings.names(), "again");
    assert_eq!(restore(Dialect::OpenAiChat, &out).unwrap(), body.into_bytes());
}

#[test]
fn a_growing_conversation_keeps_its_beginning_and_twice_is_once() {
    let (log, noise) = (log(400), "the same line, over and over again\n".repeat(30));
    let turns = [
        ("journalctl", &*log),
        ("cat a", &*noise),
        ("run", &*noise),
        ("journalctl", &*log),
        ("ls", "a"),
        ("run", &*noise),
        ("journalctl", &*log),
    ];
    for tier in [Tier::Lossless, Tier::Lossy] {
        let whole = |turns: &[(&str, &str)]| {
            let body = chat(turns);
            done(Dialect::OpenAiChat, &body, tier).map_or(body, |it| String::from_utf8(it.body).unwrap())
        };
        let mut before = String::new();
        for n in 1..=turns.len() {
            let now = whole(&turns[..n]);
            assert!(now.starts_with(before.trim_end_matches("]}")), "{tier:?} {n}");
            assert!(done(Dialect::OpenAiChat, &now, tier).is_none(), "{tier:?} {n}: twice is once");
            before = now;
        }
        assert!(before.len() < chat(&turns).len() / 2);
    }
}

#[test]
fn the_lossy_tier_is_asked_for_and_keeps_what_it_takes() {
    let (log, turns) = (log(400), 2);
    let body = chat(&[("cd app && docker logs web 2>&1", &log), ("cat app.log", &log.replace("served", "sent"))]);
    let lossless = done(Dialect::OpenAiChat, &body, Tier::Lossless);
    if let Some(it) = &lossless {
        assert_eq!(restore(Dialect::OpenAiChat, std::str::from_utf8(&it.body).unwrap()).unwrap(), body.as_bytes());
    }
    let it = done(Dialect::OpenAiChat, &body, Tier::Lossy).unwrap();
    assert!(it.savings.names().ends_with("shortened"), "{}", it.savings.names());
    let after = texts(Dialect::OpenAiChat, std::str::from_utf8(&it.body).unwrap());
    let handle = super::super::originals::handle(&log);
    assert!(after[2].ends_with(&format!("the whole is kept as weir:{handle}]")), "{}", after[2]);
    assert_eq!(after[2 * turns], log.replace("served", "sent"), "a file that was read");
}

#[test]
fn what_failed_is_not_shortened() {
    let failed = format!("Exit code: 1\nWall time: 1 seconds\nOutput:\n{}", log(400));
    let body = chat(&[("docker logs web", &failed)]);
    let out = done(Dialect::OpenAiChat, &body, Tier::Lossy)
        .map_or_else(|| body.clone(), |it| String::from_utf8(it.body).unwrap());
    assert_eq!(restore(Dialect::OpenAiChat, &out).unwrap(), body.into_bytes());
    let body = format!(
        r#"{{"messages":[{{"role":"assistant","content":[{{"type":"tool_use","id":"a","name":"Bash","input":{{"command":"docker logs web"}}}}]}},{{"role":"user","content":[{{"type":"tool_result","is_error":true,"tool_use_id":"a","content":{}}}]}}]}}"#,
        literal(&log(400))
    );
    let out = done(Dialect::Anthropic, &body, Tier::Lossy)
        .map_or_else(|| body.clone(), |it| String::from_utf8(it.body).unwrap());
    assert_eq!(restore(Dialect::Anthropic, &out).unwrap(), body.into_bytes());
}

#[test]
fn work_is_bounded_by_the_text_and_not_by_the_clock() {
    let noise = "the same line, over and over again\n".repeat(30);
    let body = chat(&[("run", &noise), ("run 2", &format!("{noise}x"))]);
    let rules = Rules { max_micros: 15, ..RULES };
    let how = How { rules: &rules, tier: Tier::Lossless, count: &count, keep: &|_| None, until: None };
    let out = String::from_utf8(compress(Dialect::OpenAiChat, &body, &how).unwrap().body).unwrap();
    let after = texts(Dialect::OpenAiChat, &out);
    assert!(fold::is_folded(&after[2]) && !fold::is_folded(&after[4]));
    let how = How { until: Some(Instant::now()), ..how };
    assert!(compress(Dialect::OpenAiChat, &body, &how).is_none());
}

#[test]
fn half_a_letter_is_left_as_it_is() {
    let body = format!(
        r#"{{"messages":[{{"role":"tool","tool_call_id":"c","content":"{}"}}]}}"#,
        "x\\ud800 and so on, always the same\\n".repeat(30)
    );
    assert!(done(Dialect::OpenAiChat, &body, Tier::Lossless).is_none());
}

#[test]
fn all_formats_are_compressed() {
    let noise = literal(&"the same line, over and over again\n".repeat(30));
    for (dialect, body) in [
        (
            Dialect::Responses,
            format!(
                r#"{{"input":[{{"type":"function_call","call_id":"c","name":"shell","arguments":"{{}}"}},{{"type":"function_call_output","call_id":"c","output":{noise}}}]}}"#
            ),
        ),
        (
            Dialect::Gemini,
            format!(
                r#"{{"contents":[{{"role":"user","parts":[{{"functionResponse":{{"name":"f","response":{{"output":{noise}}}}}}}]}}]}}"#
            ),
        ),
    ] {
        let out = String::from_utf8(done(dialect, &body, Tier::Lossless).unwrap().body).unwrap();
        assert!(out.len() < body.len() / 2);
        assert_eq!(restore(dialect, &out).unwrap(), body.into_bytes());
    }
}
