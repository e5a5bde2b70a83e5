//! Recorded streams through the lane that leaves them alone: every byte arrives, and what is read
//! off them is what full decoding finds.

#![expect(clippy::disallowed_types, reason = "the recordings are read as a plain tree")]

#[cfg(test)]
#[path = "recorded/corpus.rs"]
mod corpus;

use corpus::{Exchange, Recorded};
use weir::wire::bridge::Bridge;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::stream::{Ending, Pipe, Progress, Translator};
use weir::wire::watch::{self, StreamWatch, Watch};
use weir::wire::{Client, Quirks, decode_response};

fn quirks(provider: &str) -> Quirks {
    Quirks { reasoning_outside_completion: matches!(provider, "xai" | "gemini"), ..Quirks::NONE }
}

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

/// What is wrong with the watched stream, if anything.
fn judge(exchange: &Exchange, seal: &Seal) -> Option<String> {
    let quirks = quirks(&exchange.provider);
    let choices = exchange.request.as_ref().and_then(|body| body["n"].as_u64()).unwrap_or(1);
    let dialect = exchange.dialect;
    let how =
        Watch { dialect, framing: Framing::Sse, quirks: &quirks, strip_usage_chunk: false, choices, request_id: "r" };
    let mut watched = StreamWatch::new(&how);
    let out = run(&mut watched, exchange.body.as_bytes());
    let to =
        Client { model: "m", id: "i", created: 1, stream_usage: true, input_estimate_tokens: 1, request: "", seal };
    let mut decoded = Translator::new(&Bridge::plain(dialect, dialect, seal), Framing::Sse, &quirks, &to);
    run(&mut decoded, exchange.body.as_bytes());

    let (seen, known) = (watched.progress(), decoded.progress());
    let complete = matches!(seen.ending, Some(Ending::Complete));
    let (text, exact) = (seen.output.tokens(), known.output.tokens());
    match () {
        () if ending(seen) != ending(known) => Some(format!("ends {} not {}", ending(seen), ending(known))),
        () if complete && out != exchange.body.as_bytes() => Some("other bytes".to_owned()),
        () if complete && seen.usage != known.usage => Some(format!("{:?} not {:?}", seen.usage, known.usage)),
        () if seen.has_content != known.has_content => {
            Some(format!("content {} not {}", seen.has_content, known.has_content))
        }
        () if text + 2 + exact / 20 < exact => Some(format!("{text} tokens of text, not {exact}")),
        // Decoding leaves out what models write for tools that their provider runs.
        () if text > exact + 2 + exact / 20 && !runs_tools(&exchange.body) => {
            Some(format!("{text} tokens of text, not {exact}"))
        }
        () => None,
    }
}

#[test]
fn recorded_streams_pass_untouched_and_are_accounted_for() {
    let Some(recorded) = Recorded::find() else { return };
    let seal = Seal::new("test", b"key");
    let mut total = 0;
    let mut wrong = Vec::new();
    for exchange in recorded.exchanges().filter(|e| e.kind == "sse" && e.status == 200) {
        total += 1;
        if let Some(why) = judge(&exchange, &seal) {
            wrong.push(format!("{}: {why}", exchange.id));
        }
    }
    println!("{total} streams, {} wrong", wrong.len());
    assert!(total > 600 && wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn recorded_answers_are_accounted_for_unread() {
    let Some(recorded) = Recorded::find() else { return };
    let mut total = 0;
    for exchange in recorded.exchanges().filter(|e| e.kind == "json" && e.status == 200) {
        let quirks = quirks(&exchange.provider);
        let Ok(answer) = decode_response(exchange.dialect, &exchange.body, &quirks) else { continue };
        let seen = watch::whole(exchange.dialect, &exchange.body, &quirks);
        assert_eq!(seen.usage, answer.usage, "{}", exchange.id);
        let has_parts = answer.choices.iter().any(|choice| !choice.parts.is_empty());
        assert!(!has_parts || seen.error.is_none(), "{}", exchange.id);
        total += 1;
    }
    println!("{total} answers");
    assert!(total > 500, "{total}");
}
