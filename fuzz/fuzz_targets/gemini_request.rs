//! A request of this format can be written for every format, or is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| weir_fuzz::request(weir::wire::Dialect::Gemini, bytes));
