//! Conversations that go on: what an upstream needs back on the next turn comes back byte for byte, in
//! its place, whichever format the client holds the conversation in.
//!
//! An answer is made in the upstream's format, translated, kept by a client as its SDK keeps it
//! (`echo.rs`), sent in the client's next request, and translated again.

#![expect(clippy::disallowed_types, reason = "clients and upstreams are played with JSON trees")]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

mod echo;
#[cfg(test)]
#[path = "../support/grammar.rs"]
mod grammar;
mod upstream;

use echo::Echo;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use upstream::Piece;
use weir::wire::bridge::Bridge;
use weir::wire::ir::Dropped;
use weir::wire::seal::Seal;
use weir::wire::stream::{Pipe, Translator};
use weir::wire::{
    Abilities, Client, Dialect, Quirks, Target, Thinking, decode_request, decode_response, encode_request,
    encode_response,
};

fn seal() -> Seal {
    Seal::new("deployment", b"key")
}

/// The target of a request. Names of models say whose signatures hold.
fn target<'t>(upstream: Dialect, seal: &'t Seal) -> Target<'t> {
    Target {
        model: upstream::model(upstream),
        quirks: &Quirks { reasoning_echo: Some("reasoning_content"), ..Quirks::NONE },
        max_output_tokens: None,
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

/// What the upstream gets of the client's request.
fn sent(client: Dialect, upstream: Dialect, request: &Value, seal: &Seal) -> (Value, Bridge) {
    let text = request.to_string();
    let mut request = decode_request(client, &text).unwrap();
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    let target = target(upstream, seal);
    let bridge = Bridge::request(&mut request, upstream, &target, &mut dropped).unwrap();
    encode_request(upstream, &request, &target, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), bridge)
}

fn written_for<'c>(request: &'c str, seal: &'c Seal) -> Client<'c> {
    Client { created: 1, input_estimate_tokens: 1, request, ..Client::of("m", "0190", seal) }
}

/// What the client gets of a whole answer.
fn whole(bridge: &Bridge, request: &Value, body: &Value, seal: &Seal) -> Value {
    let (request, body) = (request.to_string(), body.to_string());
    let mut answer = decode_response(bridge.upstream, &body, &Quirks::NONE).unwrap();
    bridge.response(&mut answer);
    let mut out = Vec::new();
    encode_response(bridge.client, &answer, &written_for(&request, seal), &mut out);
    serde_json::from_slice(&out).unwrap()
}

/// The same of a stream.
fn streamed(bridge: &Bridge, request: &Value, body: &[u8], seal: &Seal) -> String {
    let request = request.to_string();
    let framing = upstream::framing(bridge.upstream);
    let mut translator = Translator::new(bridge, framing, &Quirks::NONE, &written_for(&request, seal));
    let mut out = Vec::new();
    translator.push(body, &mut out);
    translator.finish(&mut out);
    let stream = String::from_utf8(out).unwrap();
    grammar::assemble(bridge.client, &stream);
    stream
}

/// One turn of a conversation.
#[derive(Debug, Clone)]
struct Turn {
    answer: Vec<Piece>,
    is_streamed: bool,
}

/// Holds a conversation, and gives the last request as the upstream gets it.
fn converse(echo: Echo, upstream: Dialect, turns: &[Turn], seal: &Seal) -> Value {
    let client = echo.client();
    let mut history = echo.begin();
    for turn in turns {
        let request = echo.request(&history);
        let (_, bridge) = sent(client, upstream, &request, seal);
        let kept = if turn.is_streamed {
            let stream = streamed(&bridge, &request, &upstream::stream(upstream, &turn.answer), seal);
            echo.assembled(&stream)
        } else {
            echo.message(&whole(&bridge, &request, &upstream::whole(upstream, &turn.answer), seal))
        };
        echo.keep(&mut history, kept);
    }
    sent(client, upstream, &echo.request(&history), seal).0
}

/// All pieces that the upstream gets back, in their order.
fn expected(echo: Echo, upstream: Dialect, turns: &[Turn]) -> Vec<String> {
    turns.iter().flat_map(|turn| upstream::told(upstream, &turn.answer, echo)).collect()
}

fn check(echo: Echo, upstream: Dialect, turns: &[Turn]) {
    let seal = seal();
    let body = converse(echo, upstream, turns, &seal);
    assert_eq!(upstream::read(upstream, &body), expected(echo, upstream, turns), "{echo:?} to {upstream:?}:\n{body:#}");
    assert!(!body.to_string().contains("weirseal"), "{body:#}");
}

fn proof() -> impl Strategy<Value = String> {
    // Base64, and what a vendor might make of it one day.
    prop_oneof!["[A-Za-z0-9+/]{4,40}={0,2}", "[ -~\u{e9}\u{1F600}]{1,20}"]
}

fn thought() -> impl Strategy<Value = Piece> {
    prop_oneof![
        4 => ("[a-z\\n\"\\\\\u{e9}]{1,12}", proof()).prop_map(|(text, proof)| Piece::Thought { text, proof }),
        1 => proof().prop_map(|proof| Piece::Thought { text: String::new(), proof }),
        1 => proof().prop_map(|data| Piece::Redacted { data }),
    ]
}

/// An answer as models give them: thinking, text with thinking in it, calls with or without thinking
/// before them.
fn answer(has_calls: bool) -> impl Strategy<Value = Vec<Piece>> {
    let calls = vec(vec(thought(), 0..2), usize::from(has_calls)..=if has_calls { 3 } else { 0 });
    let texts = (any::<bool>(), vec(thought(), 0..2));
    (vec(thought(), 0..3), texts, calls).prop_map(move |(thoughts, (has_text, between), calls)| {
        let mut pieces = thoughts;
        if has_text || !has_calls {
            pieces.push(Piece::Text("said \u{e9}".to_owned()));
            pieces.extend(between);
            pieces.push(Piece::Text("and more".to_owned()));
        }
        for (number, thoughts) in calls.into_iter().enumerate() {
            pieces.extend(thoughts);
            pieces.push(Piece::Call { number });
        }
        pieces
    })
}

fn turns(has_calls: bool) -> impl Strategy<Value = Vec<Turn>> {
    vec((answer(has_calls), any::<bool>()).prop_map(|(answer, is_streamed)| Turn { answer, is_streamed }), 1..4)
        .prop_map(|mut turns| {
            for (turn, one) in turns.iter_mut().enumerate() {
                one.answer = upstream::numbered(turn, std::mem::take(&mut one.answer));
            }
            turns
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Peers rows 3 and 14, and the opaque state of every other format.
    #[test]
    fn every_signature_is_byte_exact_on_the_next_turn(turns in turns(true)) {
        for upstream in upstream::ALL {
            let turns: Vec<Turn> = turns.iter().map(|turn| Turn { answer: upstream::fitting(upstream, &turn.answer), ..turn.clone() }).collect();
            for echo in Echo::ALL.into_iter().filter(|echo| echo.client() != upstream) {
                check(echo, upstream, &turns);
            }
        }
    }

    /// Without a call there is nothing for a plain chat client to carry it in.
    #[test]
    fn without_calls_too_where_the_client_has_a_slot(turns in turns(false)) {
        for upstream in upstream::ALL {
            let turns: Vec<Turn> = turns.iter().map(|turn| Turn { answer: upstream::fitting(upstream, &turn.answer), ..turn.clone() }).collect();
            for echo in Echo::ALL.into_iter().filter(|echo| echo.client() != upstream && *echo != Echo::ChatPlain) {
                check(echo, upstream, &turns);
            }
        }
    }
}

fn one_turn() -> Vec<Turn> {
    let answer = vec![
        Piece::Thought { text: "why".to_owned(), proof: "PROOF1==".to_owned() },
        Piece::Text("said".to_owned()),
        Piece::Thought { text: String::new(), proof: "PROOF2==".to_owned() },
        Piece::Call { number: 0 },
    ];
    vec![Turn { answer, is_streamed: false }]
}

/// The history a client keeps of one answer, and its next request.
fn next_request(echo: Echo, upstream: Dialect, seal: &Seal) -> Value {
    let mut history = echo.begin();
    let request = echo.request(&history);
    let (_, bridge) = sent(echo.client(), upstream, &request, seal);
    let answer = upstream::fitting(upstream, &one_turn()[0].answer);
    let body = whole(&bridge, &request, &upstream::whole(upstream, &answer), seal);
    echo.keep(&mut history, echo.message(&body));
    echo.request(&history)
}

/// Peers row 19: what one provider or account proved is sent to no other, and no request fails by it.
#[test]
fn row_19_state_of_another_owner_is_left_out() {
    let mut seals = [seal(), Seal::new("another", b"key")];
    Seal::acquaint(&mut seals);
    let [own, another] = &seals;
    for upstream in upstream::ALL {
        for echo in Echo::ALL.into_iter().filter(|echo| echo.client() != upstream) {
            let request = next_request(echo, upstream, own);
            for other in upstream::ALL {
                let (body, _) = sent(echo.client(), other, &request, another);
                let portable =
                    upstream::model(upstream).contains("claude") && upstream::model(other).contains("claude");
                let text = body.to_string();
                assert_eq!(text.contains("PROOF"), portable, "{echo:?}, {upstream:?} to {other:?}: {body:#}");
                assert!(!text.contains("weirseal"), "{echo:?}, {upstream:?} to {other:?}: {body:#}");
                assert!(text.contains("said") && text.contains("result"), "{body:#}");
            }
        }
    }
}

/// A seal that was changed on its way opens to nothing and is no error.
#[test]
fn a_forged_seal_is_left_out() {
    let seal = seal();
    for upstream in upstream::ALL {
        for echo in Echo::ALL.into_iter().filter(|echo| echo.client() != upstream) {
            let request = next_request(echo, upstream, &seal);
            let forged: Value = serde_json::from_str(&forge(&request.to_string())).unwrap();
            let (body, _) = sent(echo.client(), upstream, &forged, &seal);
            let text = body.to_string();
            assert!(!text.contains("PROOF") && !text.contains("weirseal"), "{echo:?} to {upstream:?}: {body:#}");
        }
    }
}

/// Changes a letter in every seal. Gemini's are base64 once more, and told by their first letters.
fn forge(request: &str) -> String {
    let mut text = request.to_owned();
    for mark in ["weirseal1-", "d2VpcnNlYWwxL"] {
        let places: Vec<usize> = text.match_indices(mark).map(|(at, _)| at + mark.len() + 20).collect();
        for at in places {
            let other = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
            text.replace_range(at..=at, other);
        }
    }
    text
}

/// Peers row 8: an agent that speaks Responses only, on an upstream of another format: reasoning is
/// carried, and what refers to stored answers is refused in clear words.
#[test]
fn row_8_responses_in_carries_reasoning_and_refuses_stored_state() {
    for upstream in upstream::ALL.into_iter().filter(|upstream| *upstream != Dialect::Responses) {
        check(
            Echo::Responses,
            upstream,
            &one_turn()
                .into_iter()
                .map(|turn| Turn { answer: upstream::fitting(upstream, &turn.answer), ..turn })
                .collect::<Vec<_>>(),
        );
        let text = json!({"model": "m", "input": "hi", "previous_response_id": "resp_1"}).to_string();
        let mut request = decode_request(Dialect::Responses, &text).unwrap();
        let seal = seal();
        let refused = Bridge::request(&mut request, upstream, &target(upstream, &seal), &mut Dropped::default());
        let error = refused.unwrap_err();
        assert_eq!((error.status(), error.param()), (400, Some("previous_response_id")));
    }
}

/// Pieces of a thought that read alike are pieces all the same.
#[test]
fn a_thought_may_repeat_itself() {
    let thought = Piece::Thought { text: "éé".to_owned(), proof: "A+0a".to_owned() };
    let turns = [Turn { answer: vec![thought, Piece::Text("said".to_owned())], is_streamed: true }];
    for upstream in upstream::ALL {
        for echo in Echo::ALL.into_iter().filter(|echo| echo.client() != upstream && *echo != Echo::ChatPlain) {
            let turns: Vec<Turn> = turns
                .iter()
                .map(|turn| Turn { answer: upstream::fitting(upstream, &turn.answer), ..turn.clone() })
                .collect();
            check(echo, upstream, &turns);
        }
    }
}
