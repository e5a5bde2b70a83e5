//! A provider whose every byte the test decides. It listens on a port of its own, one thread per
//! connection, records every request byte for byte, and lets the test's function answer.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which request it was on its connection, from 0. Pingora does not promise that a connection is
    /// used again: one that its watcher still holds is dropped for a fresh one.
    pub(crate) nth: usize,
    /// Which request it was of all, from 0.
    pub(crate) number: usize,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Without the framing.
    pub(crate) body: Vec<u8>,
    /// The head, byte for byte.
    pub(crate) raw_head: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.body)))
    }
}

type Script = dyn Fn(&Request, &mut Conn) + Send + Sync;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    connections: Arc<AtomicUsize>,
}

impl Upstream {
    /// Every request is handed to `script`, which answers on the connection. The connection stays
    /// open for the next one unless the script closes it.
    pub(crate) fn start(script: impl Fn(&Request, &mut Conn) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream =
            Self { address: listener.local_addr().unwrap(), seen: Arc::default(), connections: Arc::default() };
        let (seen, connections) = (upstream.seen.clone(), upstream.connections.clone());
        let script: Arc<Script> = Arc::new(script);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                connections.fetch_add(1, Ordering::SeqCst);
                let (seen, script) = (seen.clone(), script.clone());
                std::thread::spawn(move || {
                    stream.set_nodelay(true).unwrap();
                    let mut conn = Conn { stream: Some(stream), buffer: Vec::new() };
                    serve(&mut conn, &seen, &*script);
                });
            }
        });
        upstream
    }

    /// Answers everything with this status and JSON.
    pub(crate) fn json(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        Self::start(move |_, conn| conn.json(status, &body))
    }

    /// Answers everything with this stream, whole.
    pub(crate) fn sse(body: impl Into<String>) -> Self {
        let body = body.into();
        Self::start(move |_, conn| {
            conn.sse_head();
            conn.chunk(body.as_bytes());
            conn.end();
        })
    }

    /// An address where nobody listens.
    pub(crate) fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The only request so far.
    pub(crate) fn request(&self) -> Request {
        let mut all = self.requests();
        assert_eq!(all.len(), 1, "one request was expected");
        all.remove(0)
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(conn: &mut Conn, seen: &Mutex<Vec<Request>>, script: &Script) {
    for nth in 0.. {
        let Some(mut request) = conn.read_request(nth) else { return };
        {
            let mut seen = seen.lock().unwrap();
            request.number = seen.len();
            seen.push(request.clone());
        }
        script(&request, conn);
        if conn.stream.is_none() {
            return;
        }
    }
}

/// The provider's end of a connection.
#[derive(Debug)]
pub(crate) struct Conn {
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Conn {
    /// Writes bytes as they are; a gateway that has left is no error.
    pub(crate) fn raw(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.as_mut().is_some_and(|s| s.write_all(bytes.as_ref()).and_then(|()| s.flush()).is_ok())
    }

    pub(crate) fn json(&mut self, status: u16, body: &str) {
        self.json_with(status, &[], body);
    }

    pub(crate) fn json_with(&mut self, status: u16, headers: &[(&str, &str)], body: &str) {
        let mut head =
            format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        self.raw(head + "\r\n" + body);
    }

    /// The head of a stream.
    pub(crate) fn sse_head(&mut self) {
        self.raw("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
    }

    /// One chunk, in one write.
    pub(crate) fn chunk(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.raw(chunk)
    }

    /// An event without a name.
    pub(crate) fn data(&mut self, data: impl std::fmt::Display) -> bool {
        self.chunk(format!("data: {data}\n\n"))
    }

    /// The end of a chunked body.
    pub(crate) fn end(&mut self) {
        self.raw("0\r\n\r\n");
    }

    /// Closes properly.
    pub(crate) fn close(&mut self) {
        self.stream = None;
    }

    /// Closes with a reset.
    pub(crate) fn reset(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        stream.set_nonblocking(true).unwrap();
        tokio::net::TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
    }

    fn fill(&mut self) -> Option<()> {
        let mut piece = vec![0; 1 << 18];
        let n = self.stream.as_mut()?.read(&mut piece).ok().filter(|n| *n > 0)?;
        self.buffer.extend_from_slice(&piece[..n]);
        Some(())
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < count {
            self.fill()?;
        }
        Some(self.buffer.drain(..count).collect())
    }

    fn take_past(&mut self, mark: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, mark) {
                return self.take(at + mark.len());
            }
            self.fill()?;
        }
    }

    fn read_request(&mut self, nth: usize) -> Option<Request> {
        let raw_head = self.take_past(b"\r\n\r\n")?;
        let text = String::from_utf8(raw_head.clone()).expect("the gateway's head is text");
        let mut lines = text.trim_end().split("\r\n");
        let mut first = lines.next()?.split(' ').map(str::to_owned);
        let headers: Vec<(String, String)> = lines
            .map(|l| l.split_once(':').expect("a header line has a colon"))
            .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            .collect();
        let mut request =
            Request { nth, number: 0, method: first.next()?, path: first.next()?, headers, body: Vec::new(), raw_head };
        request.body = match request.header("content-length").map(|l| l.parse().expect("a length")) {
            Some(length) => self.take(length)?,
            None if request.header("transfer-encoding").is_some() => self.take_chunks()?,
            None => Vec::new(),
        };
        Some(request)
    }

    fn take_chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = String::from_utf8(self.take_past(b"\r\n")?).expect("a size is text");
            let size = usize::from_str_radix(line.trim(), 16).expect("a size is a number");
            body.extend(self.take(size + 2)?.into_iter().take(size));
            if size == 0 {
                return Some(body);
            }
        }
    }
}
