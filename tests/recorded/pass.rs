//! Recorded answers through the lane that leaves them alone: every byte arrives, and what is read off
//! them is what the recording says.

use weir::usage::tokens::Usage;
use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::stream::{Ending, Pipe, Progress, Translator};
use weir::wire::watch::{self, StreamWatch, Watch};
use weir::wire::{Dialect, decode_response};

use crate::corpus::Exchange;
use crate::reading::Counts;
use crate::{Score, client, exchanges, quirks, read_stream, seal};

fn run(pipe: &mut dyn Pipe, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in bytes.chunks(1_000) {
        pipe.push(chunk, &mut out);
    }
    pipe.finish(&mut out);
    out
}

fn ending(progress: &Progress) -> &'static str {
    match progress.ending {
        Some(Ending::Complete) => "complete",
        Some(Ending::Error(_)) => "error",
        Some(Ending::Cut(_)) => "cut",
        None => "none",
    }
}

/// Whether the answer holds calls of tools that the provider runs itself.
fn runs_tools(body: &str) -> bool {
    ["server_tool_use\"", "_call_code.delta", "shell_call", "apply_patch_call", "mcp_call", "program"]
        .iter()
        .any(|name| body.contains(name))
}

/// What the client has to get, byte for byte: the events as they are; those of other framings as the
/// server-sent events they stand for.
fn expected(exchange: &Exchange) -> Vec<u8> {
    let events = |line_end: &str| -> String {
        let items: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(&exchange.body).expect("a list");
        items.iter().map(|item| format!("data: {}{line_end}{line_end}", item.get().replace(['\r', '\n'], ""))).collect()
    };
    let named = |line: &str| {
        let data: serde_json::Value = serde_json::from_str(line.strip_prefix("data: ")?).ok()?;
        Some(format!("event: {}\n{line}\n\n", data["type"].as_str()?))
    };
    match exchange.framing {
        Some(Framing::JsonArray) => events("\r\n").into_bytes(),
        Some(Framing::InvokeStream) => exchange.body.lines().filter_map(named).collect::<String>().into_bytes(),
        _ => exchange.bytes.clone(),
    }
}

/// Of Responses, whether it is the same but for what was written to a cache, which the provider did not say.
fn is_told_what_was_written(exchange: &Exchange, out: &[u8]) -> bool {
    const TOLD: [&str; 3] = [
        r#""cache_write_tokens":0,"#,
        r#""cache_write_tokens":0"#,
        r#""input_tokens_details":{"cached_tokens":0,"cache_write_tokens":0},"#,
    ];
    let (out, expected) = (String::from_utf8_lossy(out), expected(exchange));
    exchange.dialect == Dialect::Responses
        && !exchange.body.contains("cache_write_tokens")
        && TOLD.iter().any(|told| out.replacen(told, "", 1).as_bytes() == expected)
}

fn counts(usage: Usage) -> Counts {
    Counts {
        input: usage.input_tokens(),
        output: usage.output_tokens(),
        cached: usage.cached_tokens,
        written: usage.cache_written_tokens(),
        reasoning: usage.reasoning_tokens,
    }
}

/// What the watch read off, against the recording. Anthropic counts thinking apart only of late.
fn same_counts(exchange: &Exchange, seen: Option<Usage>, expected: Option<Counts>) -> Result<(), String> {
    let plain = |it: Counts| match exchange.dialect {
        Dialect::Anthropic => Counts { reasoning: 0, ..it },
        _ => it,
    };
    let (seen, expected) = (seen.map(counts).map(plain), expected.map(plain));
    if seen == expected { Ok(()) } else { Err(format!("usage {seen:?}, expected {expected:?}")) }
}

/// What is wrong with the watched stream, if anything.
fn judge(exchange: &Exchange, framing: Framing, seal: &Seal) -> Result<(), String> {
    let quirks = quirks(&exchange.provider);
    let choices = exchange.request.as_ref().and_then(|body| body["n"].as_u64()).unwrap_or(1);
    let dialect = exchange.dialect;
    let how = Watch { dialect, framing, quirks: &quirks, strip_usage_chunk: false, choices, request_id: "r" };
    let mut watched = StreamWatch::new(&how);
    let out = run(&mut watched, &exchange.bytes);
    let mut decoded = Translator::new(&Bridge::plain(dialect, dialect, seal), framing, &quirks, &client(seal));
    run(&mut decoded, &exchange.bytes);

    let (seen, known) = (watched.progress(), decoded.progress());
    let complete = matches!(seen.ending, Some(Ending::Complete));
    if complete && out != expected(exchange) && !is_told_what_was_written(exchange, &out) {
        return Err("other bytes".to_owned());
    }
    let reading = read_stream(exchange);
    if complete != (reading.error.is_none() && !reading.is_cut) {
        return Err(format!("ends {}", ending(seen)));
    }
    if complete {
        same_counts(exchange, seen.usage, reading.usage)?;
    }
    let (text, exact) = (seen.output.tokens(), known.output.tokens());
    match () {
        () if ending(seen) != ending(known) => Err(format!("ends {} not {}", ending(seen), ending(known))),
        () if seen.has_content != known.has_content => {
            Err(format!("content {} not {}", seen.has_content, known.has_content))
        }
        () if text + 2 + exact / 20 < exact => Err(format!("{text} tokens of text, not {exact}")),
        // Decoding leaves out what models write for tools that their provider runs.
        () if text > exact + 2 + exact / 20 && !runs_tools(&exchange.body) => {
            Err(format!("{text} tokens of text, not {exact}"))
        }
        () => Ok(()),
    }
}

#[test]
fn streams_pass_untouched_and_are_accounted_for() {
    let Some(exchanges) = exchanges() else { return };
    let (seal, mut score) = (seal(), Score::default());
    for exchange in exchanges.filter(|e| Dialect::CLIENTS.contains(&e.dialect) && e.is_stream()) {
        let framing = exchange.framing.expect("a stream");
        score.note(&exchange, "same stream", judge(&exchange, framing, &seal));
    }
    score.settle("passed streams");
}

#[test]
fn answers_are_accounted_for_unread() {
    let Some(exchanges) = exchanges() else { return };
    let mut score = Score::default();
    for exchange in exchanges.filter(Exchange::is_whole) {
        let quirks = quirks(&exchange.provider);
        let Ok(answer) = decode_response(exchange.dialect, &exchange.body, &quirks) else { continue };
        let Some(seen) = watch::whole(exchange.dialect, &exchange.body, &quirks) else {
            score.note(&exchange, "same answer", Err("is no JSON".to_owned()));
            continue;
        };
        let has_parts = answer.choices.iter().any(|choice| !choice.parts.is_empty());
        let result = match () {
            () if seen.usage != answer.usage => Err(format!("{:?}, not {:?}", seen.usage, answer.usage)),
            () if has_parts && seen.error.is_some() => Err(format!("fails with {:?}", seen.error)),
            () => Ok(()),
        };
        score.note(&exchange, "same answer", result);
    }
    score.settle("passed answers");
}
