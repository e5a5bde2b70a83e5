//! However a text was cut, guards find the same in it, and what is masked comes back.
#![no_main]

use std::sync::{Arc, LazyLock};

use weir::guard::{Action, Detectors, Guard, Kind, Watch, Window};

fn guard(name: &str, action: Action, detectors: Detectors) -> Arc<Guard> {
    let (name, message) = (name.to_owned(), String::new());
    Arc::new(Guard { name, detectors, action, on_input: true, on_output: true, message })
}

/// Made once: that takes longer than all they look at here.
static GUARDS: LazyLock<Arc<[Arc<Guard>]>> = LazyLock::new(|| {
    let kinds = [Kind::Secrets, Kind::Cards, Kind::Iban, Kind::Email, Kind::Phone, Kind::NationalIds];
    let words = ["blue falcon".to_owned(), "stop".to_owned()];
    let patterns = [r"PROJ-\d{1,6}\b".to_owned(), "q+z".to_owned()];
    let mask = Detectors::new(&kinds, &[], &[]).expect("they are fine");
    let own = Detectors::new(&[], &words, &patterns).expect("they are fine");
    [guard("mask", Action::Mask, mask), guard("own", Action::Mask, own)].into()
});

fn through<'p>(pieces: impl Iterator<Item = &'p str>) -> (String, Watch) {
    let (mut watch, mut window, mut out) = (Watch::new(Arc::clone(&GUARDS)), Window::default(), String::new());
    for piece in pieces {
        assert_eq!(window.push(piece, &mut watch, &mut out), None);
    }
    assert_eq!(window.finish(&mut watch, &mut out), None);
    (out, watch)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (sizes, bytes) = weir_fuzz::steer(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (whole, watch) = through([text].into_iter());
    let mut rest = text;
    let pieces = weir_fuzz::pieces(bytes, sizes).into_iter().map_while(|piece| {
        let (piece, behind) = rest.split_at_checked(rest.ceil_char_boundary(piece.len().min(rest.len())))?;
        rest = behind;
        Some(piece)
    });
    let mut pieces: Vec<&str> = pieces.collect();
    pieces.push(rest);
    assert_eq!(through(pieces.into_iter()).0, whole);
    // Placeholders that were there before would be taken for those that were made.
    if !text.contains('[') {
        let (mut answer, mut window, mut back) = (watch.restoring(), Window::default(), String::new());
        window.push(&whole, &mut answer, &mut back);
        window.finish(&mut answer, &mut back);
        assert_eq!(back, text);
    }
});
