//! A chunked body is the same however its bytes were cut, and what stands behind it is left alone.
#![no_main]

use weir::wire::chunked::Chunked;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (sizes, bytes) = weir_fuzz::steer(bytes);
    let read = |pieces: &[&[u8]]| {
        let (mut chunked, mut buf, mut body) = (Chunked::default(), bytes::BytesMut::new(), Vec::new());
        for piece in pieces {
            buf.extend_from_slice(piece);
            body.extend_from_slice(&chunked.take(&mut buf).ok()?);
        }
        Some((body, chunked.is_done(), buf.to_vec()))
    };
    assert_eq!(read(&[bytes]), read(&weir_fuzz::pieces(bytes, sizes)));
});
