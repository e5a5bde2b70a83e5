use super::*;

type Seen = Vec<(String, Option<String>, Vec<u8>)>;

fn run(pieces: &[&[u8]]) -> Seen {
    let mut seen = Seen::new();
    let mut framer = Framer::default();
    let mut sink = |f: Frame<'_>| seen.push((f.name.to_owned(), f.data.map(str::to_owned), f.raw.to_vec()));
    for piece in pieces {
        framer.push(piece, &mut sink).unwrap();
    }
    framer.finish(&mut sink);
    seen
}

/// Names and data of the events; every way of cutting the bytes in two, and byte by byte, must give
/// the same, and the raw bytes must add up to what came in.
fn events(bytes: &[u8]) -> Vec<(String, String)> {
    let whole = run(&[bytes]);
    assert_eq!(whole.iter().flat_map(|f| f.2.clone()).collect::<Vec<u8>>(), bytes);
    for at in 0..bytes.len() {
        let (a, b) = bytes.split_at(at);
        assert_eq!(run(&[a, b]), whole, "cut at {at}");
    }
    assert_eq!(run(&bytes.chunks(1).collect::<Vec<_>>()), whole);
    whole.into_iter().filter_map(|(name, data, _)| Some((name, data?))).collect()
}

fn data(bytes: &[u8]) -> Vec<String> {
    events(bytes).into_iter().map(|(_, data)| data).collect()
}

#[test]
fn every_line_end_and_every_cut() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "event: a\ndata: {\"x\":1}\n\n: comment\n\ndata:two\ndata:  lines\n\n\n\nid: 7\nretry: 9\ndata\n\nevent:b\n\n"
            .replace('\n', end);
        let expected = [("a", "{\"x\":1}"), ("", "two\n lines"), ("", "")];
        assert_eq!(events(text.as_bytes()), expected.map(|(n, d)| (n.to_owned(), d.to_owned())), "{end:?}");
    }
    assert_eq!(data(b"data: mixed\r\n\ndata: b\r\rdata: c\n\r\n"), ["mixed", "b", "c"]);
}

#[test]
fn characters_may_come_in_pieces_and_bad_ones_are_replaced() {
    assert_eq!(
        data("\u{feff}data: caf\u{e9} \u{1f600}\n\ndata: \u{feff}x\n\n".as_bytes()),
        ["caf\u{e9} \u{1f600}", "\u{feff}x"]
    );
    assert_eq!(data(b"data: a\xffb\xc3\n\ndata: ok\n\n"), ["a\u{fffd}b\u{fffd}", "ok"]);
}

#[test]
fn the_end_of_the_stream_ends_the_event() {
    assert_eq!(data(b"data: a\n\ndata: [DONE]"), ["a", "[DONE]"]);
    assert_eq!(data(b"data: a\n\ndata: [DONE]\r\n"), ["a", "[DONE]"]);
    assert_eq!(data(b"data: a\r\r"), ["a"]);
    assert_eq!(data(b""), Vec::<String>::new());
    assert_eq!(data(b"{\"error\":\n\n1}"), Vec::<String>::new());
}

#[test]
fn fields_are_matched_whole() {
    assert_eq!(data(b"database: x\n\ndata : y\n\n data: z\n\ndata:: w\n\n"), [": w"]);
}

#[test]
fn an_event_over_the_cap_ends_the_stream_however_it_is_cut() {
    let good = b"data: 0123456789\n\n";
    let bad = b"data: 0123456789a\n\n";
    for pieces in [vec![&bad[..]], bad.chunks(1).collect(), vec![&bad[..9], &bad[9..]]] {
        let mut framer = Framer::new(good.len());
        let mut count = 0;
        let mut results = Vec::new();
        framer.push(good, &mut |_| count += 1).unwrap();
        for piece in pieces {
            results.push(framer.push(piece, &mut |_| count += 1).is_ok());
        }
        assert_eq!(results.last(), Some(&false));
        assert!(framer.push(b"", &mut |_| count += 1).is_err());
        framer.finish(&mut |_| count += 1);
        assert_eq!(count, 1);
    }
}

#[test]
fn what_is_written_is_read_back() {
    for text in ["", "a", "a\nb", "\n", "a\n", " a"] {
        let mut out = Vec::new();
        write_event(&mut out, "n", text);
        assert_eq!(events(&out), [("n".to_owned(), text.to_owned())], "{text:?}");
    }
    let mut out = Vec::new();
    write_event(&mut out, "", "{}");
    assert_eq!(out, b"data: {}\n\n");
}
