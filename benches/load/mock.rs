//! An upstream that costs next to nothing: answers are made once, requests are hardly looked at.

use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use crate::bodies::{answer, events};

/// Between two events of a paced stream.
const PACE: Duration = Duration::from_millis(2);

struct Format {
    whole: Vec<u8>,
    burst: Vec<u8>,
    paced: Vec<Vec<u8>>,
}

struct Answers {
    chat: Format,
    messages: Format,
}

pub(crate) fn run(port: u16) {
    let answers = Rc::new(Answers { chat: format_of("/chat/completions"), messages: format_of("/messages") });
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

fn format_of(path: &str) -> Format {
    let body = answer(path);
    let whole =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
    let events = events(path);
    let burst = [head.as_bytes(), &chunk(&events.concat()), b"0\r\n\r\n"].concat();
    let mut paced = vec![head.as_bytes().to_vec()];
    paced.extend(events.iter().map(|e| chunk(e)));
    paced.push(b"0\r\n\r\n".to_vec());
    Format { whole: whole.into_bytes(), burst, paced }
}

async fn serve(mut socket: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(256 << 10);
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
        while buffer.len() < total {
            socket.read_buf(&mut buffer).await?;
        }
        let format =
            if memchr::memmem::find(&head, b"/messages").is_some() { &answers.messages } else { &answers.chat };
        let body = &buffer[head_bytes..total];
        let has = |text: &[u8]| memchr::memmem::find(body, text).is_some();
        if !has(br#""stream":true"#) {
            socket.write_all(&format.whole).await?;
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
