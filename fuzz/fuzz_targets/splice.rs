//! Edits keep a body JSON, without duplicates, and touch what they name only.
#![no_main]

use weir::wire::envelope::Envelope;
use weir::wire::splice::Splice;

const NAMES: [&str; 6] = ["model", "stream", "a", "b", "", "stream_options"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (ops, body) = weir_fuzz::steer(bytes);
    let Ok(envelope) = Envelope::parse(body) else { return };
    let mut splice = Splice::new(&envelope);
    let mut touched = Vec::new();
    for op in ops {
        let name = NAMES[usize::from(op / 6) % NAMES.len()];
        touched.push(name);
        match op % 6 {
            0 => splice.set(name, "1e400"),
            1 => {
                let _ = splice.remove(name);
            }
            2 => {
                let _ = splice.insert(name, "[{}]");
            }
            3 => {
                let _ = splice.replace(name, "null");
            }
            4 => {
                {
                    let _ = splice.rename(name, "c");
                };
                touched.push("c");
            }
            _ => {
                let _ = splice.set_inside(name, "u", "true");
            }
        }
    }
    let out = splice.write();
    if ops.is_empty() {
        assert!(out == body);
    }
    let after = Envelope::parse(&out).expect("an edited body is JSON without duplicates");
    for member in envelope.members().iter().filter(|m| !touched.contains(&&*m.name)) {
        assert!(envelope.value(&member.name) == after.value(&member.name), "{}", member.name);
    }
});
