//! Recorded streams, broken in the middle, that go on with another one of whatever provider.

use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::stream::{Next, Pipe as _, Translator};
use weir::wire::{Dialect, Quirks};

use crate::corpus::Exchange;
use crate::reading::Reading;
use crate::{Score, client, exchanges, grammar, quirks, read, read_stream, seal};

/// What a broken stream goes on with.
struct Rest {
    dialect: Dialect,
    framing: Framing,
    quirks: Quirks,
    bytes: Vec<u8>,
    reading: Reading,
}

impl Rest {
    /// Of a stream that says something, and is whole.
    fn of(exchange: &Exchange) -> Option<Self> {
        let reading = read_stream(exchange);
        let [choice] = reading.choices.as_slice() else { return None };
        let is_whole = reading.error.is_none() && !reading.is_cut && !choice.text.trim().is_empty();
        is_whole.then(|| Self {
            dialect: exchange.dialect,
            framing: exchange.framing.expect("a stream"),
            quirks: quirks(&exchange.provider),
            bytes: exchange.bytes.clone(),
            reading: reading.clone(),
        })
    }
}

/// `None` where the first stream cannot be gone on from.
fn resume(exchange: &Exchange, rest: &Rest, format: Dialect, seal: &Seal) -> Option<Result<(), String>> {
    let bridge = Bridge::plain(format, exchange.dialect, seal);
    let own = quirks(&exchange.provider);
    let mut pipe = Translator::new(&bridge, exchange.framing.expect("a stream"), &own, &client(seal)).recorded();
    let mut out = Vec::new();
    pipe.push(exchange.bytes.get(..exchange.bytes.len() * 2 / 3)?, &mut out);
    pipe.finish(&mut out);
    let said = pipe.said()?;
    let bridge = Bridge::plain(format, rest.dialect, seal);
    pipe.resume(&Next { bridge: &bridge, framing: rest.framing, quirks: &rest.quirks });
    pipe.note("continued on another", &mut out);
    pipe.push(&rest.bytes, &mut out);
    pipe.finish(&mut out);
    let out = String::from_utf8(out).expect("the output is UTF-8");
    if let Err(why) = std::panic::catch_unwind(|| grammar::assemble(format, &out)) {
        return Some(Err(format!("breaks the grammar: {:?}", why.downcast_ref::<String>())));
    }
    let got = read(format, true, &out).choices.into_iter().next().unwrap_or_default();
    let new = rest.reading.choices.first().map(|choice| choice.text.as_str()).unwrap_or_default();
    let before = format!("{}{}", said.told(), said.blanks());
    let left_out = got.text.strip_prefix(&before).and_then(|told| new.strip_suffix(told));
    let is_right = left_out.is_some_and(|again| {
        again.is_empty() || said.blanks().starts_with(again) || again.chars().count() >= 20 && before.ends_with(again)
    });
    Some(if is_right { Ok(()) } else { Err(format!("{:?}, expected {before:?} and {new:?}", got.text)) })
}

#[test]
fn broken_streams_go_on_with_others() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    let mut rest: Option<Rest> = None;
    for exchange in exchanges.filter(Exchange::is_stream) {
        for format in Dialect::CLIENTS {
            let result = rest.as_ref().and_then(|rest| resume(&exchange, rest, format, &seal));
            result.into_iter().for_each(|result| score.note(&exchange, format.as_str(), result));
        }
        // The file names go by provider: every now and then, so that others follow.
        if rest.is_none() || exchange.bytes.len() % 7 == 0 {
            rest = Rest::of(&exchange).or(rest);
        }
    }
    score.settle("resumed");
}
