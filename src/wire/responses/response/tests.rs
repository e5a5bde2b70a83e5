use super::*;
use crate::wire::ir::{Arguments, PartKind, StopReason};
use crate::wire::seal::Seal;
use crate::wire::{Client, Quirks, scan};

const ANSWER: &str = r#"{"id":"resp_1","object":"response","created_at":7,"status":"completed","model":"gpt-x","error":null,
"output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"a"},{"type":"summary_text","text":"b"}],"encrypted_content":"ENC"},
{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"output_text","text":"hi \"you\"","annotations":[]}]},
{"id":"fc_1","type":"function_call","call_id":"call_1","name":"f","arguments":"{\"x\":1}"},
{"id":"ct_1","type":"custom_tool_call","call_id":"call_2","name":"patch","input":"*** Begin"},
{"id":"ws_1","type":"web_search_call","status":"completed"}],
"usage":{"input_tokens":10,"input_tokens_details":{"cached_tokens":4},"output_tokens":6,"output_tokens_details":{"reasoning_tokens":2},"total_tokens":16}}"#;

fn written(request: &str) -> String {
    encoded(&of_another(), request)
}

/// The same answer as one that came in another format.
fn of_another() -> crate::wire::ir::Response<'static> {
    let mut it = decode(ANSWER, &Quirks::NONE).unwrap();
    let parts = &mut it.choices[0].parts;
    parts.retain(|part| !matches!(part.kind, PartKind::Other { .. }));
    parts.iter_mut().for_each(|part| part.item = None);
    it
}

fn client<'c>(request: &'c str, seal: &'c Seal) -> Client<'c> {
    Client { created: 1, request, ..Client::of("m", "0190", seal) }
}

fn encoded(answer: &crate::wire::ir::Response<'_>, request: &str) -> String {
    let seal = Seal::new("t", b"");
    let mut out = Vec::new();
    encode(answer, &client(request, &seal), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_item_has_its_meaning() {
    let it = decode(ANSWER, &Quirks::NONE).unwrap();
    let parts = &it.choices[0].parts;
    assert!(matches!(&parts[0].kind, PartKind::Reasoning { text, signature: Some(proof) }
        if text.is("a\n\nb") && proof.is(r#"{"id":"rs_1","encrypted_content":"ENC"}"#)));
    assert!(matches!(&parts[1].kind, PartKind::Text { text, .. } if text.is("hi \"you\"")));
    assert!(
        matches!(&parts[2].kind, PartKind::ToolCall { id, arguments: Arguments::Encoded(a), .. } if id.is("call_1") && a.is("{\"x\":1}"))
    );
    assert!(matches!(&parts[3].kind, PartKind::ToolCall { arguments: Arguments::Text(a), .. } if a.is("*** Begin")));
    assert!(matches!(&parts[4].kind, PartKind::Other { tag, .. } if tag.is("web_search_call")));
    assert_eq!(it.choices[0].stop.as_ref().unwrap().reason, StopReason::ToolUse);
    let usage = it.usage.unwrap();
    assert_eq!(
        (usage.input_tokens(), usage.cached_tokens, usage.output_tokens(), usage.reasoning_tokens),
        (10, 4, 6, 2)
    );
}

#[test]
fn an_answer_repeats_what_the_request_said() {
    let out = written(r#"{"tools":[{"type":"custom","name":"patch"}],"temperature":0.5,"metadata":null}"#);
    assert!(scan::is_json(&out), "{out}");
    let member = |name| scan::member(&out, name).unwrap();
    assert_eq!(member("tools"), r#"[{"type":"custom","name":"patch"}]"#);
    assert_eq!((member("temperature"), member("metadata"), member("tool_choice")), ("0.5", "{}", "\"auto\""));
    assert_eq!((member("status"), member("id")), ("\"completed\"", "\"resp_1\""));
    assert!(out.contains(
        r#""type":"custom_tool_call","status":"completed","call_id":"call_2","name":"patch","input":"*** Begin""#
    ));
    assert!(out.contains("\"cache_write_tokens\":0"));
}

#[test]
fn what_a_provider_of_the_format_said_goes_on_as_it_came() {
    let mut it = decode(ANSWER, &Quirks::NONE).unwrap();
    let of = |answer: &str| scan::member(answer, "output").unwrap().replace(",\n", ",");
    assert_eq!(of(&encoded(&it, "{}")), of(ANSWER));
    // A call whose id is another now is written anew, and so is reasoning that came in a stream.
    for part in &mut it.choices[0].parts {
        match &mut part.kind {
            PartKind::ToolCall { id, .. } => *id = crate::wire::json::Str::from_text("call_9"),
            PartKind::Reasoning { .. } => part.item = None,
            _ => {}
        }
    }
    let out = encoded(&it, "{}");
    assert_eq!(out.matches(r#""call_id":"call_9""#).count(), 2, "{out}");
    let reasoning = r#"{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"a\n\nb"}],"encrypted_content":"ENC"}"#;
    assert!(out.contains(reasoning), "{out}");
}

#[test]
fn a_custom_tool_called_as_a_function_gets_its_text_back() {
    let wrapped = Arguments::Encoded(crate::wire::json::Str::from_text(r#"{"input":"a\nb"}"#));
    assert_eq!(item::input_of(&wrapped), r#""a\nb""#);
    let other = Arguments::Encoded(crate::wire::json::Str::from_text(r#"{"patch":1}"#));
    assert_eq!(item::input_of(&other), r#""{\"patch\":1}""#);
    let cut = Arguments::Encoded(crate::wire::json::Str::from_text("{\"inp"));
    assert_eq!(item::input_of(&cut), r#""{\"inp""#);
}

#[test]
fn addresses_that_other_formats_cite_are_annotations() {
    let text = crate::wire::json::Str::from_text("né!");
    let citations = crate::wire::json::Raw::new(
        r#"[{"type":"web_search_result_location","url":"https://a"},{"type":"page_location","document_index":0},
        {"type":"url_citation","url_citation":{"url":"https://b","title":"B","start_index":1,"end_index":2}},
        {"type":"file_path","file_id":"f"}]"#,
    );
    let made = concat!(
        r#"[{"type":"url_citation","start_index":0,"end_index":3,"url":"https://a","title":""},"#,
        r#"{"type":"url_citation","start_index":1,"end_index":2,"url":"https://b","title":"B"},"#,
        r#"{"type":"file_path","file_id":"f"}]"#
    );
    assert_eq!(item::annotations(Some(&citations), &text), made);
}

#[test]
fn failed_answers_are_errors_and_incomplete_ones_are_not() {
    let failed = r#"{"id":"r","status":"failed","error":{"code":"server_error","message":"broke"},"output":[]}"#;
    assert_eq!(decode(failed, &Quirks::NONE).unwrap_err().public(), "broke");
    assert!(is_unfinished(failed) && is_unfinished(r#"{"status":"cancelled","output":[]}"#));
    let cut = r#"{"id":"r","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"output":[]}"#;
    let stop = decode(cut, &Quirks::NONE).unwrap().choices.remove(0).stop.unwrap();
    assert_eq!(stop.reason, StopReason::MaxTokens);
    assert!(!is_unfinished(cut) && !is_unfinished(r#"{"output":[{"status":"cancelled"}],"status":"completed"}"#));
}

#[test]
fn a_refusal_in_words_stops_a_chat_answer_and_a_filter_cuts_it() {
    let chat = |status: &str| {
        let answer = format!(
            r#"{{"id":"r",{status},"output":[{{"type":"message","content":[{{"type":"refusal","refusal":"no"}}]}}]}}"#
        );
        let seal = Seal::new("t", b"");
        let mut out = Vec::new();
        let answer = decode(&answer, &Quirks::NONE).unwrap();
        crate::wire::openai_chat::response::encode(&answer, &client("", &seal), &mut out);
        String::from_utf8(out).unwrap()
    };
    let out = chat(r#""status":"completed""#);
    assert!(out.contains(r#""refusal":"no""#) && out.contains(r#""finish_reason":"stop""#), "{out}");
    let out = chat(r#""status":"incomplete","incomplete_details":{"reason":"content_filter"}"#);
    assert!(out.contains(r#""finish_reason":"content_filter""#), "{out}");
}

#[test]
fn the_last_item_of_an_answer_that_a_limit_cut_is_incomplete() {
    let mut it = of_another();
    assert!(!encoded(&it, "{}").contains("incomplete\""));
    it.choices[0].stop.as_mut().unwrap().reason = StopReason::MaxTokens;
    let out = encoded(&it, "{}");
    assert_eq!(out.matches(r#""status":"incomplete""#).count(), 2, "the answer and one item: {out}");
    assert!(out.contains(r#""type":"function_call","status":"incomplete","call_id":"call_2""#), "{out}");
    assert!(out.contains(r#""type":"message","status":"completed""#), "{out}");
}

#[test]
fn log_probabilities_of_a_chat_answer_are_told_of_its_text() {
    let entry = r#"{"token":"hi","logprob":-0.1,"bytes":[104,105],"top_logprobs":[]}"#;
    let mut it = of_another();
    assert!(encoded(&it, "{}").contains(r#""logprobs":[]"#));
    let told = format!(r#"{{"content":[{entry}],"refusal":null}}"#);
    it.choices[0].logprobs = Some(crate::wire::json::Raw::owned(told));
    assert!(encoded(&it, "{}").contains(&format!(r#""logprobs":[{entry}]"#)));
    // Not everybody tells the bytes, which this format's clients expect.
    let other = r#"{"token":"\u00e9","logprob":-1,"bytes":null}"#;
    let told = format!(r#"{{"content":[{{"token":"h","logprob":-0.5,"top_logprobs":[{other}]}}]}}"#);
    it.choices[0].logprobs = Some(crate::wire::json::Raw::owned(told));
    let entry = r#"{"token":"h","logprob":-0.5,"bytes":[104],"top_logprobs":[{"token":"\u00e9","logprob":-1,"bytes":[195,169]}]}"#;
    assert!(encoded(&it, "{}").contains(&format!(r#""logprobs":[{entry}]"#)));
    // None of them is null.
    it.choices[0].logprobs = Some(crate::wire::json::Raw::new(r#"{"content":null}"#));
    assert!(encoded(&it, "{}").contains(r#""logprobs":[]"#));
}
