//! A stream of this format, translated, does not depend on how its bytes were cut, and
//! what comes out is events of JSON. InvokeModel's holds another format's events in the same frames.
#![no_main]

use weir::wire::Dialect;
use weir::wire::frames::Framing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (how, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    match how % 2 {
        0 => weir_fuzz::event_stream(Dialect::Converse, Framing::EventStream, bytes),
        _ => weir_fuzz::event_stream(Dialect::Anthropic, Framing::InvokeStream, bytes),
    }
});
