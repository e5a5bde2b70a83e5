//! A stream of this format, watched and translated, does not depend on how its bytes were cut, and
//! what comes out is events of JSON: as server-sent events and as an array.
#![no_main]

use weir::wire::Dialect;
use weir::wire::frames::Framing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (how, bytes) = bytes.split_first().unwrap_or((&0, bytes));
    let framing = if how % 2 == 0 { Framing::Sse } else { Framing::JsonArray };
    weir_fuzz::stream(Dialect::Gemini, framing, bytes);
});
