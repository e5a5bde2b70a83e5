//! `finish_reason`, both ways.

use crate::wire::ir::{Stop, StopReason};
use crate::wire::json::Str;

/// What a vendor's word means. A call is a call whatever the word says (OpenAI answers a forced
/// function with `stop`), except that a cut stays a cut.
pub(super) fn decode<'a>(word: Option<Str<'a>>, sequence: Option<Str<'a>>, calls: bool, refused: bool) -> Stop<'a> {
    let word = word.filter(|w| !w.is_empty());
    let mut reason = word.as_ref().map_or(StopReason::EndTurn, |w| meaning(&w.text()));
    if reason == StopReason::EndTurn {
        if calls {
            reason = StopReason::ToolUse;
        } else if refused {
            reason = StopReason::Refusal;
        }
    }
    let sequence = sequence.filter(|s| reason == StopReason::EndTurn && meaning(&s.text()) == StopReason::Other);
    if sequence.is_some() {
        reason = StopReason::StopSequence;
    }
    Stop { reason, sequence, native: word }
}

fn meaning(word: &str) -> StopReason {
    match word.to_ascii_lowercase().as_str() {
        "stop" | "eos" | "eos_token" | "end_turn" | "completed" | "complete" | "finish" => StopReason::EndTurn,
        "stop_sequence" => StopReason::StopSequence,
        "length" | "max_tokens" | "max_output_tokens" => StopReason::MaxTokens,
        "model_length" | "model_context_window_exceeded" => StopReason::ContextFull,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => StopReason::ToolUse,
        "content_filter" | "refusal" | "safety" | "guardrail_intervened" => StopReason::Refusal,
        _ => StopReason::Other,
    }
}

/// One of the five words the official models know.
pub(super) fn encode(stop: &Stop<'_>, calls: bool) -> &'static str {
    match stop.reason {
        StopReason::MaxTokens | StopReason::ContextFull => "length",
        // A refusal in words ends with `stop`; only a filter says otherwise.
        StopReason::Refusal if stop.native.as_ref().is_some_and(|n| meaning(&n.text()) == StopReason::EndTurn) => {
            "stop"
        }
        StopReason::Refusal => "content_filter",
        StopReason::ToolUse => "tool_calls",
        StopReason::EndTurn | StopReason::StopSequence | StopReason::Pause | StopReason::Other => {
            if calls {
                "tool_calls"
            } else {
                "stop"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_seen_has_a_meaning_and_goes_back_as_a_known_one() {
        for (word, calls, reason, back) in [
            ("stop", false, StopReason::EndTurn, "stop"),
            ("stop", true, StopReason::ToolUse, "tool_calls"),
            ("", true, StopReason::ToolUse, "tool_calls"),
            ("", false, StopReason::EndTurn, "stop"),
            ("eos", false, StopReason::EndTurn, "stop"),
            ("length", true, StopReason::MaxTokens, "length"),
            ("function_call", true, StopReason::ToolUse, "tool_calls"),
            ("content_filter", false, StopReason::Refusal, "content_filter"),
            ("insufficient_system_resource", false, StopReason::Other, "stop"),
        ] {
            let stop = decode(Some(Str::from_text(word)), None, calls, false);
            assert_eq!(stop.reason, reason, "{word}");
            assert_eq!(encode(&stop, calls), back, "{word}");
        }
    }

    #[test]
    fn a_refusal_in_words_and_a_matched_sequence_are_told_apart() {
        let refused = decode(Some(Str::from_text("stop")), None, false, true);
        assert_eq!((refused.reason, encode(&refused, false)), (StopReason::Refusal, "stop"));
        for (native, word) in
            [("completed", "stop"), ("content_filter", "content_filter"), ("refusal", "content_filter")]
        {
            let stop = Stop { native: Some(Str::from_text(native)), ..Stop::of(StopReason::Refusal) };
            assert_eq!(encode(&stop, false), word, "{native}");
        }
        let matched = decode(Some(Str::from_text("stop")), Some(Str::from_text("ZEBRA")), false, false);
        assert_eq!(matched.reason, StopReason::StopSequence);
        assert_eq!(matched.sequence.unwrap().text(), "ZEBRA");
        assert_eq!(
            decode(Some(Str::from_text("stop")), Some(Str::from_text("end_turn")), false, false).reason,
            StopReason::EndTurn
        );
    }
}
