//! A configuration file of any bytes is loaded or refused with a report that can be printed.
#![no_main]

use weir::config::env::Table;
use weir::config::load;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let env = Table::of(&[("KEY", "sk-of-sixteen-letters")]).with_file("prices.yaml", "");
    if let Err(report) = load::from_text(text, "weir.yaml", &env) {
        assert!(!report.to_string().is_empty());
    }
});
