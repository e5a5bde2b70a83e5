//! Frames do not depend on how the bytes were cut, and add up to them.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (sizes, bytes) = weir_fuzz::steer(bytes);
    let cut = weir_fuzz::pieces(bytes, sizes);
    for limit in [24, usize::MAX] {
        let (whole, fits) = weir_fuzz::frames(&[bytes], limit);
        let (in_pieces, fits_in_pieces) = weir_fuzz::frames(&cut, limit);
        assert!(whole == in_pieces && fits == fits_in_pieces);
        let raw: Vec<u8> = whole.into_iter().flat_map(|frame| frame.2).collect();
        assert!(if fits { raw == bytes } else { bytes.starts_with(&raw) });
    }
});
