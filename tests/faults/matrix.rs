//! The matrix: every fault, from upstreams of every format, to clients of every format, streamed and
//! not, with another target behind and without.

use super::fault::{ANSWERS, BODIES, CONNECTIONS, ERROR_EVENTS, Fault, LIMITS, TIMES};
use super::format::{FORMATS, Format};
use super::table::{cases, check};
use super::voice::{FOUR, VOICES, Voice};

const BOTH: [bool; 2] = [true, false];

#[test]
fn connections_that_break() {
    check(&cases(CONNECTIONS, &VOICES, &FORMATS, &BOTH));
}

#[test]
fn upstreams_that_take_their_time() {
    check(&cases(TIMES, &VOICES, &FORMATS, &BOTH));
}

#[test]
fn answers_that_refuse() {
    check(&cases(ANSWERS, &VOICES, &FORMATS, &BOTH));
}

/// Row 20: an error in a stream that answered 200 is a failed attempt until the answer has begun, and
/// row 21: a limit that is told only there too.
#[test]
fn row_20_an_error_inside_a_200_stream_falls_over() {
    check(&cases(ERROR_EVENTS, &VOICES, &FORMATS, &BOTH));
}

/// Row 22: a 200 whose body says that it failed, in JSON or in words, is never the client's 200.
#[test]
fn row_22_a_200_that_failed_is_never_a_200() {
    check(&cases(BODIES, &VOICES, &FORMATS, &BOTH));
}

#[test]
fn limits_that_say_when_to_come_back() {
    check(&cases(LIMITS, &[Voice::Chat, Voice::Messages, Voice::Gemini], &[Format::Chat, Format::Messages], &BOTH));
}

#[test]
fn one_giant_event() {
    check(&cases(&[Fault::Giant], &FOUR, &[Format::Chat, Format::Gemini], &[false]));
}
