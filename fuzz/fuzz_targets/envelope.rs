//! The scanner says of every text what serde_json says, and the envelope finds members where they
//! are.
#![no_main]

use serde_json::value::RawValue;
use weir::wire::envelope::Envelope;
use weir::wire::scan;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(Envelope::parse(bytes).is_err());
        return;
    };
    let theirs = weir_fuzz::is_json(text);
    let too_deep = scan::value(scan::blank(bytes), b"", 0, &mut ()).is_err_and(|fault| fault.too_deep);
    assert!(scan::is_json(text) == theirs || too_deep, "{text}");
    if let Ok(envelope) = Envelope::parse(bytes) {
        assert!(theirs);
        for member in envelope.members() {
            let value = text.get(member.value_span.clone()).expect("a span within the body");
            assert!(serde_json::from_str::<&RawValue>(value).is_ok_and(|raw| raw.get() == value), "{value}");
            let name = text.get(member.name_span.clone()).expect("a span within the body");
            assert!(serde_json::from_str::<String>(name).is_ok_and(|n| n == member.name) || name.contains("\\u"));
        }
    }
});
