//! Answers of every provider in every client's format.

use weir::error::Kind;
use weir::wire::bridge::Bridge;
use weir::wire::frames::Frames;
use weir::wire::seal::Seal;
use weir::wire::sse::Frame;
use weir::wire::stream::{Ending, Pipe as _, Translator};
use weir::wire::{Dialect, decode_error, decode_response, encode_error, encode_response};

use crate::corpus::Exchange;
use crate::reading::{self, Reading};
use crate::{Score, Written, client, events, exchanges, grammar, quirks, read, read_stream, seal};

#[test]
fn whole_answers_say_the_same_in_every_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score, mut written) = (seal(), Score::default(), Written::default());
    for exchange in exchanges.filter(Exchange::is_whole) {
        let expected = read(exchange.dialect, false, &exchange.body);
        for format in Dialect::CLIENTS {
            let result = whole(&exchange, format, &expected, &seal);
            if let Ok(Some(json)) = &result {
                written.note(&format!("answer.{}", format.as_str()), &exchange, json);
            }
            score.note(&exchange, format.as_str(), result.map(drop));
        }
    }
    written.settle();
    score.settle("whole");
}

/// The answer in a client's format; `None` where it is an error.
fn whole(exchange: &Exchange, format: Dialect, expected: &Reading, seal: &Seal) -> Result<Option<String>, String> {
    let mut answer = match decode_response(exchange.dialect, &exchange.body, &quirks(&exchange.provider)) {
        Ok(answer) if expected.error.is_none() => answer,
        Ok(_) => return Err("an error passed for an answer".to_owned()),
        Err(error) => return expected.same_error(error.public()).map(|()| None),
    };
    Bridge::plain(format, exchange.dialect, seal).response(&mut answer);
    let mut out = Vec::new();
    encode_response(format, &answer, &client(seal), &mut out);
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    expected.compare(&read(format, false, &out), exchange.dialect, format).map(|()| Some(out))
}

#[test]
fn streams_say_the_same_in_every_format_however_they_are_cut() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score, mut written) = (seal(), Score::default(), Written::default());
    for exchange in exchanges.filter(Exchange::is_stream) {
        let expected = read_stream(&exchange);
        for format in Dialect::CLIENTS {
            let result = stream(&exchange, format, &expected, &seal);
            if let Ok(Some(events)) = &result {
                written.note(&format!("stream.{}", format.as_str()), &exchange, events);
            }
            score.note(&exchange, format.as_str(), result.map(drop));
        }
    }
    written.settle();
    score.settle("stream");
}

/// The events in a client's format as a list; `None` where they end with an error.
fn stream(exchange: &Exchange, format: Dialect, expected: &Reading, seal: &Seal) -> Result<Option<String>, String> {
    let bytes = exchange.bytes.as_slice();
    let (out, ending) = translate(exchange, format, seal, std::iter::once(bytes));
    let mut others = Vec::new();
    // Single bytes are slow work; what a long stream has in its frames, shorter ones have too. Where
    // only the output is asked for, none is needed.
    let single_below_bytes = 48 * 1024;
    if !Written::is_asked_for() {
        others.push(translate(exchange, format, seal, cuts(bytes)).0);
        if bytes.len() < single_below_bytes {
            others.push(translate(exchange, format, seal, bytes.chunks(1)).0);
        }
    }
    if others.iter().any(|other| *other != out) {
        return Err("the output depends on how the input was cut".to_owned());
    }
    if !out.is_empty() {
        let panicked = std::panic::catch_unwind(|| grammar::assemble(format, &out)).err();
        if let Some(why) = panicked {
            return Err(format!("breaks the grammar: {:?}", why.downcast_ref::<String>()));
        }
    }
    match (&ending, &expected.error) {
        (Ending::Error(error), Some(_)) => return expected.same_error(error.public()).map(|()| None),
        (Ending::Complete, None) => {}
        (Ending::Cut(_), None) if expected.is_cut => {}
        other => return Err(format!("ended as {:?}, expected an error: {:?}", other.0, other.1)),
    }
    expected.compare(&read(format, true, &out), exchange.dialect, format)?;
    let data: Vec<&str> = reading::events(&out).filter(|data| *data != "[DONE]").collect();
    Ok(expected.error.is_none().then(|| format!("[{}]", data.join(","))))
}

fn translate<'c>(
    exchange: &Exchange,
    format: Dialect,
    seal: &Seal,
    chunks: impl Iterator<Item = &'c [u8]>,
) -> (String, Ending) {
    let mut translator = Translator::new(
        &Bridge::plain(format, exchange.dialect, seal),
        exchange.framing.expect("a stream"),
        &quirks(&exchange.provider),
        &client(seal),
    );
    let mut out = Vec::new();
    chunks.for_each(|chunk| translator.push(chunk, &mut out));
    translator.finish(&mut out);
    let ending = translator.progress().ending.clone().expect("a finished stream has an ending");
    (String::from_utf8(out).expect("the output is UTF-8"), ending)
}

/// Pieces of 1 to 97 bytes, the same ones every time.
fn cuts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, 0x9e37_79b9_7f4a_7c15_u64);
    std::iter::from_fn(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let size = usize::try_from(state % 97 + 1).expect("fits").min(rest.len());
        let (piece, tail) = rest.split_at(size);
        rest = tail;
        (!piece.is_empty()).then_some(piece)
    })
}

#[test]
fn error_answers_keep_their_message_and_have_the_right_kind() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges.filter(|e| e.status >= 400) {
        // Bedrock refuses in its own words, whatever it was asked in.
        let shape = if exchange.api == "invoke_model" { Dialect::Converse } else { exchange.dialect };
        let error = decode_error(shape, exchange.status, &exchange.body);
        let expected = reading::message(&exchange.body).unwrap_or_default();
        for format in Dialect::CLIENTS {
            let mut out = Vec::new();
            encode_error(format, &error, "r1", &mut out);
            let told = reading::message(&String::from_utf8(out).expect("UTF-8")).unwrap_or_default();
            // The words about our own credential are the log's.
            let hidden = error.kind() == Kind::UpstreamAuth && error.to_string().contains(&expected);
            let result = match () {
                () if !kinds(exchange.status, &exchange.body).contains(&error.kind()) => {
                    Err(format!("kind {:?}", error.kind()))
                }
                () if !hidden && !told.contains(&expected) => Err(format!("says {told:?} for {expected:?}")),
                () if told.is_empty() => Err("says nothing".to_owned()),
                () => Ok(()),
            };
            score.note(&exchange, format.as_str(), result);
        }
    }
    score.settle("error");
}

/// The kinds a status may mean; the body decides among them.
fn kinds(status: u16, body: &str) -> &'static [Kind] {
    match status {
        _ if body.contains("Incorrect API key") || body.contains("API_KEY_INVALID") => &[Kind::UpstreamAuth],
        403 if body.contains("the model") || body.contains("this model") => &[Kind::UpstreamNotFound],
        401 | 403 => &[Kind::UpstreamAuth],
        404 => &[Kind::UpstreamNotFound],
        429 => &[Kind::UpstreamRateLimited],
        500.. => &[Kind::UpstreamFailed, Kind::UpstreamOverloaded],
        _ => &[Kind::UpstreamRejected, Kind::UpstreamNotFound, Kind::UpstreamContextTooLong],
    }
}

#[test]
fn events_keep_their_grammar() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges.filter(Exchange::is_stream) {
        let mut grammar = events::Grammar::default();
        let mut decoder = weir::wire::stream_decoder(exchange.dialect, &quirks(&exchange.provider));
        let mut framer = Frames::new(exchange.framing.expect("a stream"));
        let mut feed = |frame: Frame<'_>| {
            if let Some(data) = frame.data {
                decoder.event(frame.name, data, &mut |event| grammar.note(event));
            }
        };
        framer.push(&exchange.bytes, &mut feed).expect("no event is too long");
        framer.finish(&mut feed);
        decoder.finish(&mut |event| grammar.note(event));
        score.note(&exchange, "events", grammar.verdict());
    }
    score.settle("grammar");
}
