//! What is folded unfolds to itself and is not folded again; nothing unfolds that was not folded.
#![no_main]

use weir::compress::fold::{fold, is_folded, unfold};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    // Bytes in place of tokens: whatever is shorter is folded.
    let count = |text: &str| text.len() as u64;
    let once = fold(&text, &count);
    if is_folded(&text) {
        assert!(once.is_none());
        let _ = unfold(&text);
        return;
    }
    assert!(unfold(&text).is_none());
    if let Some(once) = once {
        assert!(unfold(&once.text).as_deref() == Some(&*text));
        assert!(fold(&once.text, &count).is_none());
    }
});
