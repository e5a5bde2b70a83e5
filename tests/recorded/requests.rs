//! Requests of every client in every provider's format.

use weir::wire::bridge::Bridge;
use weir::wire::seal::Seal;
use weir::wire::{Abilities, Dialect, Quirks, Target, Thinking, decode_request, encode_request, ir};

use crate::{Score, Written, exchanges, normal, seal};

pub(crate) fn target<'t>(quirks: &'t Quirks, seal: &'t Seal) -> Target<'t> {
    Target {
        model: "m",
        quirks,
        max_output_tokens: Some(8192),
        thinking: Thinking::Budget,
        abilities: Abilities::UNKNOWN,
        seal,
    }
}

/// Models that take the most their format has.
const fn model(upstream: Dialect) -> &'static str {
    match upstream {
        Dialect::Anthropic => "claude-sonnet-4-5",
        Dialect::Gemini => "gemini-2.5-pro",
        Dialect::Converse => "anthropic.claude-sonnet-4-5-20250929-v1:0",
        Dialect::Cohere => "command-a-reasoning-08-2025",
        Dialect::OpenAiChat | Dialect::Responses => "m",
    }
}

#[test]
fn chat_requests_keep_every_member_in_their_own_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| e.dialect == Dialect::OpenAiChat && e.request.is_some()) {
        let sent = exchange.request.as_ref().expect("filtered").to_string();
        let result = same_request(&sent, &seal);
        score.note(&exchange, "chat request", result);
    }
    score.settle("request");
}

fn same_request(sent: &str, seal: &Seal) -> Result<(), String> {
    let request = decode_request(Dialect::OpenAiChat, sent).map_err(|e| format!("{e:?}"))?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    encode_request(Dialect::OpenAiChat, &request, &target(&Quirks::NONE, seal), &mut out, &mut dropped)
        .map_err(|e| format!("{e:?}"))?;
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    if !dropped.is_empty() {
        return Err(format!("dropped {}", dropped.header()));
    }
    normal::same(sent, &out)
}

#[test]
fn requests_reach_every_other_format() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score, mut written) = (seal(), Score::default(), Written::default());
    for exchange in exchanges.filter(|e| e.request.is_some() && e.status < 400) {
        let sent = exchange.request.as_ref().expect("filtered").to_string();
        for to in Dialect::ALL.into_iter().filter(|to| *to != exchange.dialect) {
            let result = other_request(exchange.dialect, to, &sent, &seal);
            if let Ok(Some(json)) = &result {
                written.note(&format!("request.{}", to.as_str()), &exchange, json);
            }
            score.note(&exchange, to.as_str(), result.map(drop));
        }
    }
    written.settle();
    score.settle("translated request");
}

/// The request in another format; `None` where it is refused with a reason.
fn other_request(from: Dialect, to: Dialect, sent: &str, seal: &Seal) -> Result<Option<String>, String> {
    let mut request = decode_request(from, sent).map_err(|e| format!("{e:?}"))?;
    let (mut out, mut dropped) = (Vec::new(), ir::Dropped::default());
    let target = Target { model: model(to), ..target(&Quirks::NONE, seal) };
    let written = Bridge::request(&mut request, to, &target, &mut dropped)
        .and_then(|_| encode_request(to, &request, &target, &mut out, &mut dropped));
    match written {
        Ok(()) => {}
        Err(error) if error.kind().face().status == 400 && !error.public().is_empty() => return Ok(None),
        Err(error) => return Err(format!("{error:?}")),
    }
    let out = String::from_utf8(out).map_err(|e| e.to_string())?;
    normal::is_sound(sent, to, &out, dropped.paths()).map(|()| Some(out))
}
