use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::uri::PathAndQuery;
use http::{Method, Request, request};
use pingora_core::ErrorType;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::head::{end as head_end, framing, read};
use super::{Http1, LITTLE_BYTES, MALFORMED, READ_BYTES};
use crate::wire::pieces::Pieces;

fn connection() -> (Http1, DuplexStream) {
    let (own, theirs) = duplex(1024 * 1024);
    (Http1::new(Box::new(own), Some(Duration::from_secs(5))), theirs)
}

fn request(method: Method, path: &str) -> request::Parts {
    let head = Request::builder().method(method).uri(path).header(HOST, "provider.example");
    head.body(()).unwrap().into_parts().0
}

/// What comes of those bytes, cut at any place: status, body, and whether the connection may be used again.
async fn answer(method: Method, wire: &[u8], cut: usize, closes: bool) -> Result<(u16, Vec<u8>, bool), ErrorType> {
    let (mut http1, mut theirs) = connection();
    http1.send(&request(method, "/"), &Pieces::default()).await.unwrap();
    let (first, second) = wire.split_at(cut);
    theirs.write_all(first).await.unwrap();
    let reading = async {
        let error = |e: Box<pingora_core::Error>| e.etype().clone();
        http1.read_head().await.map_err(error)?;
        let mut body = Vec::new();
        while let Some(piece) = http1.read_body().await.map_err(error)? {
            assert!(!piece.is_empty());
            body.extend_from_slice(&piece);
        }
        Ok((http1.head().unwrap().status.as_u16(), body, http1.rest()))
    };
    let writing = async {
        tokio::task::yield_now().await;
        theirs.write_all(second).await.unwrap();
        (!closes).then_some(theirs)
    };
    tokio::join!(reading, writing).0
}

async fn everywhere(method: Method, wire: &str, closes: bool) -> Result<(u16, String, bool), ErrorType> {
    let whole = answer(method.clone(), wire.as_bytes(), wire.len(), closes).await;
    for cut in 0..wire.len() {
        assert_eq!(answer(method.clone(), wire.as_bytes(), cut, closes).await, whole, "cut at {cut}");
    }
    whole.map(|(status, body, rests)| (status, String::from_utf8(body).unwrap(), rests))
}

#[tokio::test]
async fn head_and_body_go_out_together() {
    let (mut http1, mut theirs) = connection();
    let mut head = request(Method::POST, "/v1/chat?x=1");
    head.headers.insert(CONTENT_LENGTH, 5.into());
    http1.send(&head, &Bytes::from_static(b"hello").into()).await.unwrap();
    let mut seen = vec![0; 4096];
    let read = theirs.read(&mut seen).await.unwrap();
    let text = std::str::from_utf8(&seen[..read]).unwrap();
    assert_eq!(text, "POST /v1/chat?x=1 HTTP/1.1\r\nhost: provider.example\r\ncontent-length: 5\r\n\r\nhello");
}

#[tokio::test]
async fn a_large_body_goes_out_whole() {
    let (mut http1, mut theirs) = connection();
    // As an edit leaves it: in three pieces.
    let body = Pieces::around(vec![b'a'; 100_000], Bytes::from(vec![b'b'; 100_000]), vec![b'c'; 100_000]);
    let head = request(Method::POST, "/");
    let sending = http1.send(&head, &body);
    let reading = async {
        let mut seen = Vec::new();
        while head_end(&seen, 0).is_none_or(|end| seen.len() < end + 300_000) {
            theirs.read_buf(&mut seen).await.unwrap();
        }
        seen
    };
    let (sent, seen) = tokio::join!(sending, reading);
    sent.unwrap();
    let end = head_end(&seen, 0).unwrap();
    assert!(std::str::from_utf8(&seen[..end]).unwrap().contains("content-length: 300000\r\n"));
    assert_eq!(seen[end..], body.whole());
}

proptest::proptest! {
    #[test]
    fn whatever_comes_is_a_head_or_none(mut wire in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        wire.splice(0..0, *b"HTTP/1.1 200 OK\r\n");
        wire.extend_from_slice(b"\r\n\r\n");
        let end = head_end(&wire, 0).unwrap();
        // At whatever byte one looks first, the end is the same.
        let found = (0..wire.len()).find_map(|seen| head_end(&wire[..seen], 0).map(|_| head_end(&wire, seen - 1)));
        proptest::prop_assert!(found.is_none_or(|found| found == Some(end)));
        if let Ok(head) = read(&Bytes::from(wire).slice(..end)) {
            let _ = framing(&head, false);
        }
    }
}

#[test]
fn a_path_cannot_smuggle_a_head() {
    for path in ["/a b", "/a\r\nx: y", "/\x7f"] {
        assert!(PathAndQuery::try_from(path).is_err(), "{path:?}");
    }
}

#[tokio::test]
async fn bodies_end_where_their_heads_say() {
    let ok = |text: &str, rests| Ok((200, text.to_owned(), rests));
    let post = || Method::POST;
    let wire = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(everywhere(post(), wire, false).await, ok("hello", true));
    let wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
    assert_eq!(everywhere(post(), wire, false).await, ok("hello!", true));
    let wire = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    assert_eq!(everywhere(post(), wire, true).await, ok("until the end", false));
    let wire = "HTTP/1.1 200\nContent-Length: 2\n\nok";
    assert_eq!(everywhere(post(), wire, false).await, ok("ok", true), "bare line ends");
    let wire = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(everywhere(post(), wire, false).await, ok("", true));
    let wire = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
    assert_eq!(everywhere(Method::HEAD, wire, false).await, ok("", true), "an answer to HEAD");
    let wire = "HTTP/1.1 204 No Content\r\n\r\n";
    assert_eq!(everywhere(post(), wire, false).await, Ok((204, String::new(), true)));
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    assert_eq!(everywhere(post(), wire, false).await, ok("ok", true));
}

#[tokio::test]
async fn a_connection_is_used_again_only_where_that_is_safe() {
    let rests = async |wire: &str| everywhere(Method::POST, wire, false).await.map(|(_, _, rests)| rests);
    assert_eq!(rests("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n").await, Ok(false));
    assert_eq!(rests("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n").await, Ok(false));
    assert_eq!(rests("HTTP/1.0 200 OK\r\nConnection: x, keep-alive\r\nContent-Length: 0\r\n\r\n").await, Ok(true));
    let both = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n!\r\n0\r\n\r\n";
    assert_eq!(everywhere(Method::POST, both, false).await, Ok((200, "!".to_owned(), false)));
    let (_, body, rests) =
        answer(Method::POST, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok, and more", 44, false).await.unwrap();
    assert_eq!((body.as_slice(), rests), (&b"ok"[..], false), "what comes behind an answer belongs to nobody");
}

#[tokio::test]
async fn what_is_cut_or_malformed_is_an_error() {
    let error = async |wire: &str| everywhere(Method::POST, wire, true).await.unwrap_err();
    assert_eq!(error("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nhalf").await, ErrorType::ConnectionClosed);
    assert_eq!(
        error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n").await,
        ErrorType::ConnectionClosed
    );
    assert_eq!(error("HTTP/1.1 200 OK\r\nContent-").await, ErrorType::ConnectionClosed);
    assert_eq!(error("").await, ErrorType::ConnectionClosed);
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    assert_eq!(error(chunked).await, MALFORMED);
    for head in [
        "Content-Length: 2\r\nContent-Length: 3",
        "Content-Length: 2, 3",
        "Content-Length: -1",
        "Content-Length: +1",
        "Content-Length: many",
        "Folded: a\r\n b",
        "Zero: \0",
        "No colon",
    ] {
        let wire = format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\nok");
        assert_eq!(error(&wire).await, ErrorType::InvalidHTTPHeader, "{head}");
    }
    assert_eq!(error("SSH-2.0-OpenSSH\r\n\r\n").await, ErrorType::InvalidHTTPHeader);
}

#[tokio::test]
async fn a_head_is_not_without_end() {
    let (mut http1, mut theirs) = connection();
    http1.send(&request(Method::GET, "/"), &Pieces::default()).await.unwrap();
    let flood = async {
        theirs.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        while theirs.write_all(b"x: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").await.is_ok() {}
    };
    tokio::select! {
        read = http1.read_head() => assert_eq!(*read.unwrap_err().etype(), ErrorType::InvalidHTTPHeader),
        () = flood => unreachable!("nobody hung up"),
    }
}

#[tokio::test]
async fn what_waits_is_silent_until_the_provider_says_something() {
    let (mut http1, mut theirs) = connection();
    assert!(http1.is_silent());
    theirs.write_all(b"?").await.unwrap();
    assert!(!http1.is_silent());
    let (mut http1, theirs) = connection();
    drop(theirs);
    assert!(!http1.is_silent());
}

#[tokio::test]
async fn a_provider_that_takes_nothing_is_given_up_and_a_slow_one_is_not() {
    let body = Pieces::from(vec![b'x'; 4_000]);
    let (own, theirs) = duplex(64);
    let mut http1 = Http1::new(Box::new(own), Some(Duration::from_millis(20)));
    let sent = http1.send(&request(Method::POST, "/"), &body).await;
    assert_eq!(*sent.unwrap_err().etype(), ErrorType::WriteTimedout);
    drop(theirs);
    // All of it takes longer than any write may.
    let (own, mut theirs) = duplex(64);
    let mut http1 = Http1::new(Box::new(own), Some(Duration::from_secs(3)));
    let head = request(Method::POST, "/");
    let taking = async {
        let mut taken = [0; 1_000];
        let mut left = 4_000_usize;
        while left > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            left = left.saturating_sub(theirs.read(&mut taken).await.unwrap());
        }
        theirs
    };
    let (sent, _theirs) = tokio::join!(http1.send(&head, &body), taking);
    sent.unwrap();
}

/// Nobody reads the body, and nobody closes.
#[tokio::test]
async fn a_refusal_counts_while_the_body_is_still_going_out() {
    let refusal = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno";
    for cut in 0..refusal.len() {
        let (own, mut theirs) = duplex(64);
        let mut http1 = Http1::new(Box::new(own), None);
        let body = Pieces::from(vec![b'x'; 40_000]);
        let head = request(Method::POST, "/");
        let refusing = async {
            for part in <[&str; 2]>::from(refusal.split_at(cut)) {
                theirs.write_all(part.as_bytes()).await.unwrap();
                tokio::task::yield_now().await;
            }
            theirs
        };
        let (sent, _theirs) = tokio::join!(http1.send(&head, &body), refusing);
        assert_eq!(*sent.unwrap_err().etype(), ErrorType::WriteError);
        http1.read_head().await.unwrap();
        assert_eq!(http1.head().unwrap().status, 413);
        assert_eq!(http1.read_body().await.unwrap().unwrap(), "no");
        assert!(!http1.rest(), "half a request stands on that connection");
    }
}

/// An answer that is no refusal is read when the request is out.
#[tokio::test]
async fn who_answers_early_and_reads_on_gets_all_of_it() {
    let (own, mut theirs) = duplex(64);
    let mut http1 = Http1::new(Box::new(own), None);
    let (head, body) = (request(Method::POST, "/"), Pieces::from(vec![b'x'; 40_000]));
    let answering = async {
        theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await.unwrap();
        let mut taken = Vec::new();
        while !taken.ends_with(&[b'x'; 40_000]) {
            theirs.read_buf(&mut taken).await.unwrap();
        }
        theirs.write_all(b"ok").await.unwrap();
    };
    let (sent, ()) = tokio::join!(http1.send(&head, &body), answering);
    sent.unwrap();
    http1.read_head().await.unwrap();
    assert_eq!(http1.read_body().await.unwrap().unwrap(), "ok");
}

#[tokio::test]
async fn each_read_of_a_body_has_its_time() {
    let (mut http1, mut theirs) = connection();
    http1.send(&request(Method::GET, "/"), &Pieces::default()).await.unwrap();
    theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    http1.read_head().await.unwrap();
    http1.set_read_patience(Duration::from_millis(20));
    assert_eq!(http1.read_body().await.unwrap().unwrap(), "half");
    assert_eq!(*http1.read_body().await.unwrap_err().etype(), ErrorType::ReadTimedout);
}

#[tokio::test]
async fn what_comes_in_small_pieces_is_waited_for_with_little_room() {
    let (mut http1, mut theirs) = connection();
    http1.send(&request(Method::GET, "/"), &Pieces::default()).await.unwrap();
    theirs.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n").await.unwrap();
    http1.read_head().await.unwrap();
    assert!(http1.buf.capacity() > 2 * LITTLE_BYTES, "much may come with the head");
    for _ in 0..100 {
        theirs.write_all(&[b'x'; 200]).await.unwrap();
        assert_eq!(http1.read_body().await.unwrap().unwrap().len(), 200);
        assert!(http1.buf.capacity() <= LITTLE_BYTES, "{}", http1.buf.capacity());
    }
    theirs.write_all(&[b'x'; 60_000]).await.unwrap();
    let mut pieces = Vec::new();
    while pieces.iter().sum::<usize>() < 60_000 {
        pieces.push(http1.read_body().await.unwrap().unwrap().len());
    }
    assert!(pieces.len() <= 2 + 60_000 / READ_BYTES, "{pieces:?}");
}

/// Of an answer that has said all it has to say, the end may still be on its way.
#[tokio::test]
async fn the_end_of_an_answer_may_come_while_its_connection_waits() {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nall\r\n";
    for (late, may_be_used) in [("0\r\n\r\n", true), ("1\r\n!\r\n0\r\n\r\n", true), ("0\r\n\r\nmore", false)] {
        let (mut http1, mut theirs) = connection();
        http1.send(&request(Method::GET, "/"), &Pieces::default()).await.unwrap();
        theirs.write_all(ANSWER).await.unwrap();
        http1.read_head().await.unwrap();
        assert_eq!(http1.read_body().await.unwrap(), Some(Bytes::from_static(b"all")));
        assert!(http1.rest() && !http1.is_done() && !http1.has_ended());
        theirs.write_all(late.as_bytes()).await.unwrap();
        assert_eq!(http1.has_ended() && http1.is_silent(), may_be_used, "{late}");
    }
    let (mut http1, mut theirs) = connection();
    http1.send(&request(Method::GET, "/"), &Pieces::default()).await.unwrap();
    theirs.write_all(ANSWER).await.unwrap();
    http1.read_head().await.unwrap();
    drop(theirs);
    assert!(!http1.has_ended());
}

/// Nobody here asks for another protocol.
#[tokio::test]
async fn an_upgrade_is_no_answer() {
    let wire = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    assert_eq!(everywhere(Method::POST, wire, false).await, Err(ErrorType::InvalidHTTPHeader));
}
