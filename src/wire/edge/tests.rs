#![expect(clippy::disallowed_types, reason = "tests look at JSON as a tree")]

use serde_json::{Value, json};

use super::*;
use crate::guard::schema::Schema;
use crate::guard::{Action, FormRules, Watch};
use crate::wire::bridge::Bridge;
use crate::wire::frames::Framing;
use crate::wire::ir::Dropped;
use crate::wire::stream::{Ending, Next, Pipe, Translator};
use crate::wire::{
    Abilities, Client, Dialect, Quirks, Target, Thinking, decode_request, decode_response, encode_request,
    encode_response,
};

const NOW: u64 = 1_800_000_000;
/// What the model calls: one of the gateway's, in every client's format.
const CLOCK: &str = "weir_current_time";

fn seal() -> Seal {
    Seal::new("edge", b"key")
}

fn target(seal: &Seal) -> Target<'_> {
    Target {
        model: "m",
        quirks: &Quirks::NONE,
        max_output_tokens: Some(1000),
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

fn client(seal: &Seal) -> Client<'_> {
    Client { created: 1, input_estimate_tokens: 1, ..Client::of("m", "0a", seal) }
}

fn offers() -> Vec<Offer> {
    let schema = r#"{"type":"object","properties":{}}"#.to_owned();
    vec![Offer { name: CLOCK.to_owned(), description: "Tells the time.".to_owned(), schema }]
}

fn extra<'e>(offers: &'e [Offer], rounds: &'e [Round], is_last: bool) -> Extra<'e> {
    Extra { offers, rounds, again: None, is_last, tenant: "acme", unix_seconds: NOW }
}

/// The upstream's request for a client's.
fn asked(from: Dialect, to: Dialect, body: &str, extra: &Extra<'_>, seal: &Seal) -> Value {
    let mut request = decode_request(from, body).unwrap();
    super::request(&mut request, extra, seal);
    let (mut dropped, mut out) = (Dropped::default(), Vec::new());
    Bridge::request(&mut request, to, &target(seal), &mut dropped).unwrap();
    encode_request(to, &request, &target(seal), &mut out, &mut dropped).unwrap();
    assert!(dropped.is_empty(), "{dropped:?}");
    serde_json::from_slice(&out).unwrap()
}

fn hello(dialect: Dialect) -> String {
    match dialect {
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "When?"}]}]}),
        Dialect::Responses => json!({"model": "m", "input": "When?"}),
        _ => json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "When?"}]}),
    }
    .to_string()
}

/// The way an answer takes, and what of it is the gateway's.
fn bridged(from: Dialect, to: Dialect, seal: &Seal) -> Bridge {
    let body = hello(to);
    let mut request = decode_request(to, &body).unwrap();
    let offers = offers();
    super::request(&mut request, &extra(&offers, &[], false), seal);
    Bridge::request(&mut request, from, &target(seal), &mut Dropped::default()).unwrap()
}

/// Of a round.
const MOST_BYTES: usize = 1 << 20;

fn own() -> Own {
    Own { names: Arc::new([CLOCK.to_owned()]), earlier: Usage::default(), said: Arc::new([]), form: None }
}

fn waiting(pipe: &Translator) -> Option<Pending> {
    match pipe.waits_for()? {
        Waits::Tools(pending) => Some(pending),
        Waits::Repair(again) => panic!("{again:?}"),
    }
}

/// Claude's answer as a stream: text, then calls.
fn claude(text: &str, calls: &[(&str, &str, &str)]) -> String {
    let event = |data: Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let mut out =
        event(json!({"type": "message_start", "message": {"id": "msg", "model": "m", "usage": {"input_tokens": 7}}}));
    let mut block = |start: Value, delta: Value| {
        let index = out.matches("content_block_start").count() / 2;
        out += &event(json!({"type": "content_block_start", "index": index, "content_block": start}));
        out += &event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        out += &event(json!({"type": "content_block_stop", "index": index}));
    };
    block(json!({"type": "text", "text": ""}), json!({"type": "text_delta", "text": text}));
    for (id, name, arguments) in calls {
        block(
            json!({"type": "tool_use", "id": id, "name": name, "input": {}}),
            json!({"type": "input_json_delta", "partial_json": arguments}),
        );
    }
    let reason = if calls.is_empty() { "end_turn" } else { "tool_use" };
    out += &event(json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}}));
    out + &event(json!({"type": "message_stop"}))
}

fn push(pipe: &mut Translator, stream: &str) -> String {
    let mut out = Vec::new();
    pipe.push(stream.as_bytes(), &mut out);
    pipe.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_upstream_is_offered_the_tools_and_told_what_they_gave() {
    let seal = seal();
    let call =
        Call { id: Str::from_text("call_1"), name: CLOCK.to_owned(), arguments: "{\"timezone\":\"UTC\"}".to_owned() };
    let round = Round {
        said: vec![super::call(&call)],
        done: vec![Done { call, text: "It is \"noon\".".to_owned(), is_error: false }],
    };
    for from in Dialect::CLIENTS {
        for to in Dialect::ALL {
            let first = asked(from, to, &hello(from), &extra(&offers(), &[], false), &seal).to_string();
            assert!(first.contains(CLOCK) && first.contains("Tells the time."), "{from:?} to {to:?}: {first}");
            let second = asked(from, to, &hello(from), &extra(&offers(), std::slice::from_ref(&round), false), &seal);
            let second = second.to_string();
            assert!(second.contains("timezone") && second.contains("It is "), "{from:?} to {to:?}: {second}");
        }
    }
}

#[test]
fn a_model_that_had_to_call_may_answer_and_one_that_has_called_enough_must() {
    let (seal, offers) = (seal(), offers());
    let call = Call { id: Str::from_text("call_1"), name: CLOCK.to_owned(), arguments: String::new() };
    let rounds = [Round { said: vec![super::call(&call)], done: Vec::new() }];
    let mut body: Value = serde_json::from_str(&hello(Dialect::OpenAiChat)).unwrap();
    body["tool_choice"] = json!("required");
    let choice = |rounds: &[Round], is_last| {
        let extra = extra(&offers, rounds, is_last);
        asked(Dialect::OpenAiChat, Dialect::OpenAiChat, &body.to_string(), &extra, &seal)["tool_choice"].clone()
    };
    assert_eq!(choice(&[], false), "required");
    assert_eq!(choice(&rounds, false), "auto");
    assert_eq!(choice(&rounds, true), "none");
}

#[test]
fn a_stream_in_two_rounds_is_one_answer() {
    let seal = seal();
    for to in Dialect::CLIENTS {
        let bridge = bridged(Dialect::Anthropic, to, &seal);
        let mut pipe =
            Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)).in_rounds(own(), MOST_BYTES);
        let mut out = push(&mut pipe, &claude("Let me see. ", &[("toolu_1", CLOCK, "{\"timezone\":\"UTC\"}")]));
        let pending = waiting(&pipe).unwrap();
        assert!(pipe.is_open() && !pending.is_mixed, "{to:?}");
        assert_eq!(pending.calls.len(), 1);
        assert_eq!(
            (pending.calls[0].name.as_str(), pending.calls[0].arguments.as_str()),
            (CLOCK, "{\"timezone\":\"UTC\"}")
        );
        assert_eq!(pending.said.len(), 2);
        pipe.next_round(&Next { bridge: &bridge, framing: Framing::Sse, quirks: &Quirks::NONE }, None);
        assert!(waiting(&pipe).is_none());
        out += &push(&mut pipe, &claude("It is noon.", &[]));
        assert!(waiting(&pipe).is_none() && !pipe.is_open());
        assert!(!out.contains(CLOCK) && !out.contains("toolu_1"), "{to:?}: {out}");
        let text = out.find("Let me see. ").zip(out.find("It is noon.")).unwrap();
        assert!(text.0 < text.1, "{to:?}: {out}");
        // 7 and 5 of each round.
        let counts = match to {
            Dialect::OpenAiChat => "\"total_tokens\":24",
            Dialect::Anthropic => "\"output_tokens\":10",
            Dialect::Responses => "\"total_tokens\":24",
            _ => "\"totalTokenCount\":24",
        };
        assert!(out.contains(counts), "{to:?}: {out}");
    }
}

#[test]
fn a_stream_with_calls_of_both_comes_back_whole() {
    let seal = seal();
    let calls = [("toolu_c", "client_tool", "{\"a\":1}"), ("toolu_e", CLOCK, "{}")];
    for to in Dialect::CLIENTS {
        let bridge = bridged(Dialect::Anthropic, to, &seal);
        let mut pipe =
            Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)).in_rounds(own(), MOST_BYTES);
        let mut out = push(&mut pipe, &claude("Both. ", &calls)).into_bytes();
        let pending = waiting(&pipe).unwrap();
        assert!(pending.is_mixed && pending.calls.len() == 1, "{to:?}");
        let done = [Done { call: pending.calls[0].clone(), text: "noon".to_owned(), is_error: false }];
        pipe.release(&done, Keeper { seal: &seal, tenant: "acme", unix_seconds: NOW }, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("client_tool") && !out.contains(CLOCK), "{to:?}: {out}");
        assert!(out.contains("weirtool1-"), "{to:?}: {out}");
        assert!(waiting(&pipe).is_none() && !pipe.is_open());
    }
}

/// A chat client's next turn, with the id it was given.
fn next_turn(id: &str) -> String {
    json!({"model": "m", "messages": [
        {"role": "user", "content": "When?"},
        {"role": "assistant", "content": "Both.", "tool_calls": [
            {"id": id, "type": "function", "function": {"name": "client_tool", "arguments": "{\"a\":1}"}}]},
        {"role": "tool", "tool_call_id": id, "content": "one"},
        {"role": "user", "content": "Go on."},
    ]})
    .to_string()
}

fn kept_id(seal: &Seal, tenant: &str) -> String {
    let call = Call { id: Str::from_text("call_e"), name: CLOCK.to_owned(), arguments: "{}".to_owned() };
    let done = [Done { call, text: "It is noon.".to_owned(), is_error: false }];
    let keeper = Keeper { seal, tenant, unix_seconds: NOW };
    keeper.close(&Str::from_text("call_c"), &done).text().into_owned()
}

#[test]
fn a_turn_of_which_the_client_has_its_part_is_put_together_again() {
    let seal = seal();
    let body = next_turn(&kept_id(&seal, "acme"));
    assert!(kept::may_be_in(body.as_bytes()));
    let got = asked(Dialect::OpenAiChat, Dialect::Anthropic, &body, &extra(&offers(), &[], false), &seal);
    let blocks = |turn: usize| -> Vec<(String, String)> {
        let list = got["messages"][turn]["content"].as_array().unwrap().iter();
        let text = |block: &Value| {
            let id = [&block["id"], &block["tool_use_id"]].iter().find_map(|id| id.as_str()).unwrap_or_default();
            (block["type"].as_str().unwrap().to_owned(), id.to_owned())
        };
        list.map(text).collect()
    };
    let block = |kind: &str, id: &str| (kind.to_owned(), id.to_owned());
    assert_eq!(blocks(1), [block("text", ""), block("tool_use", "call_c"), block("tool_use", "call_e")]);
    let results = blocks(2);
    assert!(results.contains(&block("tool_result", "call_c")) && results.contains(&block("tool_result", "call_e")));
    assert!(got.to_string().contains("It is noon."));
}

#[test]
fn what_was_kept_is_for_one_tenant_and_a_day_and_cannot_be_forged() {
    let (seal, other) = (seal(), Seal::new("edge", b"another key"));
    let late = Extra { unix_seconds: NOW + 100_000, ..extra(&[], &[], false) };
    for (id, extra) in [
        (kept_id(&seal, "globex"), extra(&[], &[], false)),
        (kept_id(&other, "acme"), extra(&[], &[], false)),
        (kept_id(&seal, "acme"), late),
        ("call_c-weirtool1-AAAA".to_owned(), extra(&[], &[], false)),
    ] {
        let got = asked(Dialect::OpenAiChat, Dialect::OpenAiChat, &next_turn(&id), &extra, &seal);
        let calls = got["messages"][1]["tool_calls"].as_array().unwrap();
        assert_eq!((calls.len(), &calls[0]["id"]), (1, &json!("call_c")), "{id}");
        assert_eq!(got["messages"][2]["tool_call_id"], "call_c");
    }
}

#[test]
fn a_whole_answer_waits_or_is_told_with_what_was_said_before() {
    let seal = seal();
    let body = |content: Value, reason: &str| {
        json!({"id": "msg", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": reason,
            "usage": {"input_tokens": 7, "output_tokens": 5}})
        .to_string()
    };
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": CLOCK, "input": {}});
    let first = body(json!([{"type": "text", "text": "Let me see. "}, call]), "tool_use");
    for to in Dialect::CLIENTS {
        let bridge = bridged(Dialect::Anthropic, to, &seal);
        let mut answer = decode_response(Dialect::Anthropic, &first, &Quirks::NONE).unwrap();
        bridge.response(&mut answer);
        let Told::Waits(Waits::Tools(pending)) = response(&mut answer, &own()) else { panic!() };
        assert!(!pending.is_mixed && pending.calls[0].name == CLOCK, "{to:?}");
        let earlier = answer.usage.unwrap();
        let own = Own { earlier, said: pending.said.into(), ..own() };
        let last = body(json!([{"type": "text", "text": "It is noon."}]), "end_turn");
        let mut answer = decode_response(Dialect::Anthropic, &last, &Quirks::NONE).unwrap();
        bridge.response(&mut answer);
        assert!(matches!(response(&mut answer, &own), Told::Same));
        let mut out = Vec::new();
        encode_response(to, &answer, &client(&seal), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("Let me see. ") && out.contains("It is noon.") && !out.contains(CLOCK), "{to:?}: {out}");
        assert_eq!(answer.usage.unwrap().total_tokens(), 24);
    }
}

#[test]
fn a_call_that_was_cut_off_is_nobodys() {
    let seal = seal();
    let bridge = bridged(Dialect::Anthropic, Dialect::OpenAiChat, &seal);
    let mut pipe = Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)).in_rounds(own(), MOST_BYTES);
    let cut = claude("Well. ", &[("toolu_1", CLOCK, "{\"timez")]).replace("\"tool_use\"}", "\"max_tokens\"}");
    let out = push(&mut pipe, &cut);
    assert!(waiting(&pipe).is_none() && !pipe.is_open());
    assert!(out.contains("\"finish_reason\":\"length\"") && !out.contains(CLOCK), "{out}");
}

fn formed(action: Action) -> Own {
    let schema = Schema::new(r#"{"type":"object","required":["x"]}"#).unwrap();
    let rules = FormRules { guards: Vec::new(), action, message: "no".to_owned(), repairs: true, fails_open: false };
    Own { form: Some(Form::new(schema, rules, &Watch::new(Arc::new([])))), ..Own::default() }
}

#[test]
fn a_stream_that_is_mended_shows_the_second_answer_alone() {
    let seal = seal();
    for to in Dialect::CLIENTS {
        let bridge = bridged(Dialect::Anthropic, to, &seal);
        let translator = || Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal));
        let pipe = || translator().in_rounds(formed(Action::Block), MOST_BYTES);
        let next = Next { bridge: &bridge, framing: Framing::Sse, quirks: &Quirks::NONE };
        let mut first = pipe();
        let mut out = push(&mut first, &claude("{}", &[]));
        let Some(Waits::Repair(again)) = first.waits_for() else { panic!("{to:?}: {out}") };
        assert_eq!(again.said, "{}");
        assert!(again.complaint.contains("`x` is missing"), "{}", again.complaint);
        first.next_round(&next, None);
        out += &push(&mut first, &claude("{\"x\":\"\\ud83d\\ude00\"}", &[]));
        assert!(!first.waits() && !first.is_open(), "{to:?}: {out}");
        assert!(out.contains("\\\"x\\\"") && !out.contains("{}\""), "{to:?}: {out}");
        // Where that breaks, what came before it holds.
        let mut broken = pipe();
        let mut out = push(&mut broken, &claude("{}", &[])).into_bytes();
        broken.next_round(&next, None);
        broken.fail(crate::error::Error::new(crate::error::Kind::UpstreamBroken, "gone"), &mut out);
        assert!(broken.is_open());
        broken.settle(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("no") && !broken.is_open() && !out.contains("gone"), "{to:?}: {out}");
        // And where nobody asks again.
        let mut alone = pipe();
        let mut out = push(&mut alone, &claude("{}", &[])).into_bytes();
        alone.settle(&mut out);
        assert!(!alone.is_open() && String::from_utf8(out).unwrap().contains("no"), "{to:?}");
    }
}

#[test]
fn a_round_may_be_so_long_and_the_next_one_again() {
    let seal = seal();
    let bridge = bridged(Dialect::Anthropic, Dialect::OpenAiChat, &seal);
    let round = claude("{}", &[]);
    let pipe = |most_bytes| {
        let translator = Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal));
        translator.in_rounds(formed(Action::Block), most_bytes)
    };
    let mut just_so = pipe(round.len());
    push(&mut just_so, &round);
    just_so.next_round(&Next { bridge: &bridge, framing: Framing::Sse, quirks: &Quirks::NONE }, None);
    push(&mut just_so, &claude("{}", &[]));
    assert!(just_so.progress().ending.as_ref().and_then(Ending::error).is_none());
    let mut too_long = pipe(round.len() - 1);
    assert_eq!(push(&mut too_long, &round), "");
    let error = too_long.progress().ending.as_ref().and_then(Ending::error).unwrap();
    assert!(error.to_string().contains("`server.max_answer`"), "{error:?}");
}
