//! A stream of this format, watched and translated, does not depend on how its bytes were cut, and
//! what comes out is events of JSON.
#![no_main]

use weir::wire::Dialect;
use weir::wire::frames::Framing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::stream(Dialect::OpenAiChat, Framing::Sse, bytes));
