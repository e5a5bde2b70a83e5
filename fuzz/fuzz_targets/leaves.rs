//! Texts of any body: each is a literal, and put back where it was nothing has changed.
#![no_main]

use weir::wire::Dialect;
use weir::wire::leaves::{Edits, Leaves};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(body) = std::str::from_utf8(bytes) else { return };
    for dialect in Dialect::CLIENTS {
        for found in [Leaves::of_request(dialect, body), Leaves::of_answer(dialect, body)] {
            let Ok(found) = found else { continue };
            let (mut same, mut other) = (Edits::new(), Edits::new());
            for leaf in &found.leaves {
                let literal = leaf.literal(body);
                assert!(literal.starts_with('"') && weir::wire::scan::is_json(literal));
                let _ = leaf.text(body);
                same.replace_raw(leaf.span.clone(), literal.as_bytes().to_vec());
                other.replace(leaf, "x");
            }
            assert!(same.write(bytes) == bytes);
            let out = String::from_utf8(other.write(bytes)).expect("text stays text");
            assert!(weir::wire::scan::is_json(&out), "{out}");
        }
    }
});
