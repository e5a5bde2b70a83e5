//! An HTTP/1.1 client on a plain socket. It can do what client libraries forbid: send half
//! a request, two at once, wrong heads; leave in the middle.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};

use serde_json::Value;

use super::wait::DEADLINE;

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    /// Of the `host` header: where it is connected to.
    host: SocketAddr,
    /// Received and not read yet.
    buffer: Vec<u8>,
    framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Done,
    Length(usize),
    Chunked,
    UntilEnd,
}

/// The head of an answer.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
}

/// A whole answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) data: String,
}

impl Head {
    /// A header's value; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.status
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.header(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is UTF-8")
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }

    /// The events of a stream that was read whole.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.text().split_inclusive("\n\n").filter_map(|block| parse_event(block.trim_end_matches('\n'))).collect()
    }
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {:?}", self.data))
    }
}

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&to, DEADLINE).expect("the server accepts");
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, host: to, buffer: Vec::new(), framing: Framing::Done }
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).expect("the server reads");
        self
    }

    /// Sends bytes as they are, to a server that may have closed.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a whole request with a content-length where there is a body.
    pub(crate) fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> &mut Self {
        let mut head = self.head_of(method, path, headers);
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send(head + "\r\n");
        if !body.is_empty() {
            self.send(body);
        }
        self
    }

    /// Sends a request whose body comes in chunks of `chunk_bytes`.
    pub(crate) fn request_chunked(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        chunk_bytes: usize,
    ) -> &mut Self {
        self.send(self.head_of("POST", path, headers) + "transfer-encoding: chunked\r\n\r\n");
        for chunk in body.chunks(chunk_bytes) {
            let mut piece = format!("{:x}\r\n", chunk.len()).into_bytes();
            piece.extend_from_slice(chunk);
            piece.extend_from_slice(b"\r\n");
            self.send(piece);
        }
        self.send("0\r\n\r\n")
    }

    fn head_of(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> String {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.host);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head
    }

    /// No more from this side; the other may still speak.
    pub(crate) fn half_close(&mut self) -> &mut Self {
        self.stream.shutdown(Shutdown::Write).unwrap();
        self
    }

    /// The head of the next answer that is not an interim one.
    pub(crate) fn head(&mut self) -> Head {
        let head = self.any_head();
        if head.status < 200 { self.head() } else { head }
    }

    /// The next head, interim ones too.
    pub(crate) fn any_head(&mut self) -> Head {
        let end = self.fill_until("an answer's head", |b| memchr::memmem::find(b, b"\r\n\r\n"));
        let raw: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let text = String::from_utf8(raw).expect("the head is text");
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().and_then(|l| l.split(' ').nth(1)).and_then(|s| s.parse().ok());
        let headers: Vec<(String, String)> = lines
            .map(|l| l.split_once(':').expect("a header line has a colon"))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        let head = Head { status: status.expect("a status line"), headers };
        self.framing = framing(&head);
        head
    }

    /// That many bytes of what is no body; `None` where the connection ends before.
    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            if !self.fill() {
                return None;
            }
        }
        Some(self.buffer.drain(..count).collect())
    }

    /// A whole answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let head = self.head();
        Answer { head, body: self.body() }
    }

    /// The answer to a HEAD request.
    pub(crate) fn answer_without_body(&mut self) -> Head {
        let head = self.head();
        self.framing = Framing::Done;
        head
    }

    /// The rest of the body.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece() {
            body.extend(piece);
        }
        body
    }

    /// The next piece of the body as it was written; `None` at its proper end.
    pub(crate) fn piece(&mut self) -> Option<Vec<u8>> {
        match self.framing {
            Framing::Done => None,
            Framing::Length(0) => {
                self.framing = Framing::Done;
                None
            }
            Framing::Length(left) => {
                self.fill_until("a body", |b| (!b.is_empty()).then_some(0));
                let piece: Vec<u8> = self.buffer.drain(..left.min(self.buffer.len())).collect();
                self.framing = Framing::Length(left - piece.len());
                Some(piece)
            }
            Framing::UntilEnd => {
                if self.buffer.is_empty() && !self.fill() {
                    self.framing = Framing::Done;
                    return None;
                }
                Some(std::mem::take(&mut self.buffer))
            }
            Framing::Chunked => self.chunk(),
        }
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let end = self.fill_until("a chunk's size", |b| memchr::memmem::find(b, b"\r\n"));
        let line = String::from_utf8(self.buffer.drain(..end + 2).collect()).expect("a size is text");
        let size = usize::from_str_radix(line.trim(), 16).expect("a size is a number");
        self.fill_until("a chunk", |b| (b.len() >= size + 2).then_some(0));
        let mut chunk: Vec<u8> = self.buffer.drain(..size + 2).collect();
        chunk.truncate(size);
        if size > 0 {
            return Some(chunk);
        }
        self.framing = Framing::Done;
        None
    }

    /// The events of the stream, each as soon as it is there, until the body's proper end. Comments
    /// are passed over.
    pub(crate) fn events(&mut self) -> EventReader<'_> {
        EventReader { client: self, text: Vec::new() }
    }

    /// Waits for the server to close; everything that still came.
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Reads more; `false` at the end, also where the server reset the connection.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                true
            }
            Err(e) if matches!(e.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(e) => panic!("no answer: {e}; so far: {:?}", String::from_utf8_lossy(&self.buffer)),
        }
    }

    fn fill_until(&mut self, what: &str, mut check: impl FnMut(&[u8]) -> Option<usize>) -> usize {
        loop {
            if let Some(found) = check(&self.buffer) {
                return found;
            }
            let so_far = self.buffer.len();
            assert!(self.fill(), "the connection ended before {what}, after {so_far} bytes");
        }
    }
}

/// See [`Client::events`].
#[derive(Debug)]
pub(crate) struct EventReader<'c> {
    client: &'c mut Client,
    text: Vec<u8>,
}

impl Iterator for EventReader<'_> {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.text, b"\n\n") {
                let block: Vec<u8> = self.text.drain(..end + 2).collect();
                let block = String::from_utf8(block).expect("an event is UTF-8");
                if let Some(event) = parse_event(block.trim_end_matches('\n')) {
                    return Some(event);
                }
                continue;
            }
            match self.client.piece() {
                Some(piece) => self.text.extend(piece),
                None => {
                    assert!(self.text.is_empty(), "half an event: {:?}", String::from_utf8_lossy(&self.text));
                    return None;
                }
            }
        }
    }
}

fn parse_event(block: &str) -> Option<Event> {
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    for line in block.lines() {
        if let Some(name) = line.strip_prefix("event:") {
            event.name = name.trim_start().to_owned();
        } else if let Some(text) = line.strip_prefix("data:") {
            data.push(text.strip_prefix(' ').unwrap_or(text));
        }
    }
    event.data = data.join("\n");
    (!data.is_empty() || !event.name.is_empty()).then_some(event)
}

fn framing(head: &Head) -> Framing {
    if head.status < 200 || head.status == 204 || head.status == 304 {
        return Framing::Done;
    }
    if head.header("transfer-encoding").contains("chunked") {
        return Framing::Chunked;
    }
    head.find("content-length").map_or(Framing::UntilEnd, |l| Framing::Length(l.parse().expect("a length")))
}
