//! What a session used does not depend on how its bytes were cut.
#![no_main]

use weir::wire::websocket::Reader;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (sizes, bytes) = weir_fuzz::steer(bytes);
    let read = |pieces: &[&[u8]]| {
        let mut reader = Reader::default();
        pieces.iter().for_each(|piece| reader.push(piece));
        reader.usage()
    };
    assert_eq!(read(&[bytes]), read(&weir_fuzz::pieces(bytes, sizes)));
});
