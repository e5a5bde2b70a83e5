//! A stream of this format, watched and translated, does not depend on how its bytes were cut, and
//! what comes out is events of JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::stream(weir::wire::Dialect::OpenAiChat, bytes));
