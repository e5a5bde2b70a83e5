//! WebSocket frames, both ways: as few of them as tests need.

/// A frame that is the whole of a message. Clients mask, servers do not.
pub(crate) fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let flag = if mask.is_some() { 0x80 } else { 0 };
    let mut out = vec![0x80 | opcode];
    match u8::try_from(payload.len()) {
        Ok(short) if short < 126 => out.push(flag | short),
        _ => {
            out.push(flag | 126);
            out.extend(u16::try_from(payload.len()).expect("tests send short messages").to_be_bytes());
        }
    }
    out.extend(mask.into_iter().flatten());
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask.map_or(0, |mask| mask[at % 4])));
    out
}

/// A client's text message.
pub(crate) fn asked(text: &str) -> Vec<u8> {
    frame(1, text.as_bytes(), Some([1, 2, 3, 4]))
}

/// A server's text message.
pub(crate) fn said(text: &str) -> Vec<u8> {
    frame(1, text.as_bytes(), None)
}

/// Reads one frame: its opcode and what it holds. `None` where the other side has closed.
pub(crate) fn read(mut take: impl FnMut(usize) -> Option<Vec<u8>>) -> Option<(u8, Vec<u8>)> {
    let head = take(2)?;
    let length = match head[1] & 0x7f {
        126 => take(2)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        short => usize::from(short),
    };
    let mask = if head[1] & 0x80 != 0 { take(4)? } else { vec![0; 4] };
    let payload = if length > 0 { take(length)? } else { Vec::new() };
    Some((head[0] & 0x0f, payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect()))
}
