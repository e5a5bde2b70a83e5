//! An upstream that costs next to nothing: answers are made once, requests are hardly looked at.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use weir::wire::Dialect;

use crate::bodies::{answer, events, events_of};

/// Where a collector takes what is exported.
const COLLECTED: [&[u8]; 3] = [b"/v1/traces", b"/v1/logs", b"/v1/metrics"];

/// Between two events of a paced stream.
const PACE: Duration = Duration::from_millis(2);

/// Events of a held stream, and the time before each.
pub(crate) const HELD_EVENTS: usize = 40;
pub(crate) const HELD_PACE: Duration = Duration::from_millis(500);
/// Marks a held stream's text; its number and the moment at which it was sent follow.
pub(crate) const STAMP: &[u8] = b"stamp";
pub(crate) const NUMBER_DIGITS: usize = 4;
/// Nanoseconds since 1970.
pub(crate) const MOMENT_DIGITS: usize = 20;

/// A body that is longer is no request for a stream, and is not searched.
const MOST_SEARCHED_BYTES: usize = 16 << 10;

struct Format {
    whole: Vec<u8>,
    burst: Vec<u8>,
    paced: Vec<Vec<u8>>,
    held: Vec<Held>,
}

/// An event of a held stream.
struct Held {
    chunk: Vec<u8>,
    /// Where the moment has to be written; none where it is no text's.
    moment: Option<usize>,
}

pub(crate) fn run(port: u16) {
    let answers: Rc<[Format; 6]> = Rc::new(Dialect::ALL.map(format_of));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async move {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            socket.set_nodelay(true).unwrap();
            let answers = answers.clone();
            tokio::task::spawn_local(async move {
                let _ = serve(socket, &answers).await;
            });
        }
    });
}

/// What in a path says that a format is spoken there.
const fn mark(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenAiChat => b"/chat/completions",
        Dialect::Anthropic => b"/messages",
        Dialect::Responses => b"/responses",
        Dialect::Gemini => b"generatecontent",
        Dialect::Converse => b"/converse",
        Dialect::Cohere => b"/v2/chat",
    }
}

fn format_of(dialect: Dialect) -> Format {
    let body = answer(dialect);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
    let whole = [head.as_bytes(), &body].concat();
    let kind = if dialect == Dialect::Converse { "application/vnd.amazon.eventstream" } else { "text/event-stream" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = |bytes: &[u8]| [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let events = events(dialect);
    let burst = [head.as_bytes(), &chunk(&events.concat()), END].concat();
    // An answer begins with its first text: who waits for that before it lets anything go is not late.
    let (opening, others) = events.split_at(2);
    let mut paced = vec![[head.as_bytes(), &chunk(&opening.concat())].concat()];
    paced.extend(others.iter().map(|e| chunk(e)));
    paced.push(END.to_vec());
    let texts: Vec<String> = (0..HELD_EVENTS)
        .map(|n| format!(" {}{n:0NUMBER_DIGITS$}{:0MOMENT_DIGITS$}", String::from_utf8_lossy(STAMP), 0))
        .collect();
    let mut held = vec![Held { chunk: head.into_bytes(), moment: None }];
    held.extend(events_of(dialect, &texts).iter().map(|event| {
        let chunk = chunk(event);
        let moment = memchr::memmem::find(&chunk, STAMP).map(|at| at + STAMP.len() + NUMBER_DIGITS);
        Held { chunk, moment }
    }));
    held.push(Held { chunk: END.to_vec(), moment: None });
    Format { whole, burst, paced, held }
}

/// Of a body in chunks.
const END: &[u8] = b"0\r\n\r\n";

/// Says in each text when it was sent.
async fn hold(socket: &mut TcpStream, held: &[Held]) -> std::io::Result<()> {
    let mut piece = Vec::with_capacity(1024);
    for event in held {
        piece.clear();
        piece.extend_from_slice(&event.chunk);
        if let Some(at) = event.moment {
            tokio::time::sleep(HELD_PACE).await;
            let moment = format!("{:0MOMENT_DIGITS$}", unix_nanos());
            piece[at..at + MOMENT_DIGITS].copy_from_slice(moment.as_bytes());
        }
        socket.write_all(&piece).await?;
    }
    Ok(())
}

/// A clock that two processes read alike.
pub(crate) fn unix_nanos() -> u128 {
    SystemTime::UNIX_EPOCH.elapsed().expect("it is later").as_nanos()
}

async fn serve(mut socket: TcpStream, answers: &[Format; 6]) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 << 10);
    loop {
        let head_bytes = loop {
            if let Some(at) = memchr::memmem::find(&buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if socket.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head = buffer[..head_bytes].to_ascii_lowercase();
        let total = if memchr::memmem::find(&head, b"\r\ntransfer-encoding:").is_some() {
            while !buffer.ends_with(b"0\r\n\r\n") {
                socket.read_buf(&mut buffer).await?;
            }
            buffer.len()
        } else {
            head_bytes + content_length(&head)
        };
        buffer.reserve(total.saturating_sub(buffer.len()));
        while buffer.len() < total {
            socket.read_buf(&mut buffer).await?;
        }
        let line = &head[..memchr::memchr(b'\n', &head).unwrap_or(head.len())];
        let says = |text: &[u8]| memchr::memmem::find(line, text).is_some();
        if COLLECTED.iter().any(|path| says(path)) {
            socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await?;
            buffer.clear();
            continue;
        }
        let format = Dialect::ALL.iter().position(|dialect| says(mark(*dialect))).expect("a path of a format");
        let format = &answers[format];
        let body = &buffer[head_bytes..total];
        let body = &body[..body.len().min(MOST_SEARCHED_BYTES)];
        let has = |text: &[u8]| memchr::memmem::find(body, text).is_some();
        if !has(br#""stream":true"#) && !says(b"stream") {
            socket.write_all(&format.whole).await?;
        } else if has(br#"held","#) {
            hold(&mut socket, &format.held).await?;
        } else if has(br#"paced","#) {
            for piece in &format.paced {
                socket.write_all(piece).await?;
                tokio::time::sleep(PACE).await;
            }
        } else {
            socket.write_all(&format.burst).await?;
        }
        buffer.clear();
    }
}

fn content_length(head: &[u8]) -> usize {
    let Some(at) = memchr::memmem::find(head, b"\r\ncontent-length:") else { return 0 };
    let rest = std::str::from_utf8(&head[at + 17..]).unwrap();
    rest.split("\r\n").next().unwrap().trim().parse().unwrap()
}
