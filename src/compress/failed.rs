//! Whether an output is that of a command that failed, in the shapes that agents write it.

/// Where a state is looked for: heads and ends of outputs.
const WINDOW_BYTES: usize = 1_024;

/// A word about an exit and a number that is not 0, near the beginning or the end; or words for a call
/// that did not come through.
pub(super) fn is_failed(text: &str) -> bool {
    let head = text.get(..text.floor_char_boundary(WINDOW_BYTES)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len().saturating_sub(WINDOW_BYTES))..).unwrap_or_default();
    [head, tail].iter().any(|part| {
        let part = part.to_ascii_lowercase();
        let words = ["<tool_use_error>", "timed out", "command not found", "interrupted by user", "command failed"];
        words.iter().any(|word| part.contains(word)) || exits(&part)
    })
}

/// `exit code: 1`, `exited with code 2`, `exit status 101`, `"exit_code":1`, `Exit code 1`.
fn exits(lower: &str) -> bool {
    lower.match_indices("exit").any(|(at, _)| {
        let rest = lower.get(at + 4..).unwrap_or_default();
        let near = rest.get(..rest.floor_char_boundary(32)).unwrap_or_default();
        let near = near.split('\n').next().unwrap_or_default();
        let says = ["code", "status", "ed with", "value"].iter().any(|word| near.contains(word))
            || near.starts_with([':', '=']);
        let digits = near.find(|c: char| c.is_ascii_digit()).and_then(|from| near.get(from..)).unwrap_or_default();
        let number: String = digits.chars().take_while(char::is_ascii_digit).collect();
        says && (number.chars().any(|c| c != '0') || near.contains("signal"))
    })
}

/// Whether tests or a build say that something went wrong: all of it may matter then.
pub(super) fn says_so(text: &str) -> bool {
    const WORDS: [&str; 14] = [
        "FAIL",
        "error:",
        "error[",
        "Error:",
        "ERROR",
        "panicked at",
        "Traceback",
        "npm ERR!",
        "✗",
        "✕",
        "fatal:",
        "could not compile",
        "Failures:",
        "FAILURE",
    ];
    WORDS.iter().any(|word| text.contains(word))
        || text.match_indices("failed").any(|(at, _)| !counts_none(text.get(..at).unwrap_or_default()))
        || exits(&text.to_ascii_lowercase())
}

/// Whether a text ends with `0 `, and not with `10 `.
fn counts_none(before: &str) -> bool {
    before.strip_suffix("0 ").is_some_and(|before| !before.ends_with(|c: char| c.is_ascii_digit() || c == '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_say_it_is_known() {
        for text in [
            "Exit code: 1\nWall time: 2 seconds\nOutput:\nx",
            "Chunk ID: a\nProcess exited with code 101\nOutput:\nx",
            "x\nexit status 2",
            "Command exited with code 127",
            r#"{"output":"x","metadata":{"exit_code":1,"duration_seconds":0.1}}"#,
            "<tool_use_error>no such tool</tool_use_error>",
            "Exit code 1\nerror",
            "Command timed out after 2m",
            "Process exited with signal 9",
        ] {
            assert!(is_failed(text), "{text}");
        }
        for text in [
            "Exit code: 0\nOutput:\nfine",
            "Process exited with code 0",
            "an exit strategy of 5 steps",
            "{\"exit_code\":0}",
        ] {
            assert!(!is_failed(text), "{text}");
        }
    }

    #[test]
    fn none_failed_is_no_failure() {
        assert!(!says_so("test result: ok. 5 passed; 0 failed; 0 ignored"));
        assert!(says_so("3 failed, 5 passed"));
        assert!(says_so("10 failed, 5 passed") && says_so("test result: 100 failed"));
        assert!(says_so("error: could not compile `x`"));
    }
}
