//! The providers: chat completions and messages, whole and as streams, with faults that the question
//! asks for ("do:reset."). Those of a kind other than `delay` and `pace` happen below `/bad` only.
//!
//! An answer has the question's tag in it, so that one that reaches somebody else is known.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use crate::mix::ALL;

/// Words of an answer, an event each.
const WORDS: usize = 98;
/// The last one; an answer without it is not whole.
pub(crate) const LAST_WORD: &str = "word97";
/// Longer than the gateway waits for `bad`, shorter than for the others.
const DELAY: Duration = Duration::from_millis(700);
const PACE: Duration = Duration::from_millis(20);
/// Events of a paced stream that come together.
const PIECE: usize = 10;

/// On a thread of its own; dropped, it closes all its connections.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) port: u16,
    _stop: oneshot::Sender<()>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    () = listen(&listener) => (),
                    _ = stopped => (),
                }
            });
        });
        Self { port, _stop: stop }
    }
}

async fn listen(listener: &TcpListener) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        socket.set_nodelay(true).unwrap();
        tokio::task::spawn_local(async move {
            let _ = serve(socket).await;
        });
    }
}

/// One connection, until either side has enough of it.
async fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(8 << 10);
    while let Some(asked) = read(&mut socket, &mut buffer).await? {
        if asked.does("delay") {
            tokio::time::sleep(DELAY).await;
        }
        if let Some(fault) = ALL.iter().find(|fault| asked.is_bad && asked.does(fault)) {
            fail(&mut socket, &asked, fault).await?;
            if fault.starts_with(['4', '5']) {
                continue;
            }
            return Ok(());
        }
        if !asked.streams {
            socket.write_all(&whole(&asked.answer())).await?;
            continue;
        }
        let events = asked.events();
        let pieces = if asked.does("pace") { events.chunks(PIECE) } else { events.chunks(events.len()) };
        socket.write_all(STREAM.as_bytes()).await?;
        for piece in pieces {
            socket.write_all(&chunk(&piece.concat())).await?;
            if asked.does("pace") {
                tokio::time::sleep(PACE).await;
            }
        }
        socket.write_all(b"0\r\n\r\n").await?;
    }
    Ok(())
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// What goes wrong. After most of it the connection is of no use.
async fn fail(socket: &mut TcpStream, asked: &Asked, fault: &str) -> std::io::Result<()> {
    let status = |line: &str, more: &str| {
        let body = r#"{"error":{"message":"no","type":"server_error"}}"#;
        format!(
            "HTTP/1.1 {line}\r\ncontent-type: application/json\r\n{more}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let half = || {
        let events = asked.events();
        [STREAM.as_bytes(), &chunk(&events[..events.len() / 2].concat())].concat()
    };
    match fault {
        "reset" => socket.set_zero_linger(),
        "stall" => silent(socket).await,
        "429" => socket.write_all(status("429 Too Many Requests", "retry-after: 1\r\n").as_bytes()).await,
        "500" => socket.write_all(status("500 Internal Server Error", "").as_bytes()).await,
        "503" => socket.write_all(status("503 Service Unavailable", "").as_bytes()).await,
        // Of a stream, the other faults; of a whole answer there is but one.
        "error" if asked.streams => {
            socket.write_all(&half()).await?;
            let event = b"data: {\"error\":{\"message\":\"broken\",\"type\":\"server_error\"}}\n\n";
            socket.write_all(&[&chunk(event)[..], b"0\r\n\r\n"].concat()).await
        }
        "hang" if asked.streams => {
            socket.write_all(&half()).await?;
            silent(socket).await
        }
        _ if asked.streams => socket.write_all(&half()).await,
        _ => {
            let answer = whole(&asked.answer());
            socket.write_all(&answer[..answer.len() / 2]).await
        }
    }
}

/// Says nothing more until the other side closes.
async fn silent(socket: &mut TcpStream) -> std::io::Result<()> {
    let mut rest = [0; 64];
    while socket.read(&mut rest).await? > 0 {}
    Ok(())
}

/// What there is to know of a request.
struct Asked {
    is_messages: bool,
    is_bad: bool,
    streams: bool,
    has_tools: bool,
    tag: String,
    /// What it is told to do.
    deed: String,
}

/// The next request; `None` where the connection ends.
async fn read(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<Asked>> {
    buffer.clear();
    loop {
        if socket.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
        let Some(at) = memchr::memmem::find(buffer, b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&buffer[..at]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.expect("a length").trim().parse().expect("a number");
        if buffer.len() < at + 4 + length {
            continue;
        }
        let body = String::from_utf8_lossy(&buffer[at + 4..]);
        let tag = body.find("tag-").and_then(|at| body.get(at..at + 12)).unwrap_or("tag-none");
        let deed = body.split("do:").nth(1).and_then(|rest| rest.split('.').next());
        let path = head.lines().next().unwrap_or_default();
        return Ok(Some(Asked {
            is_messages: path.contains("/messages"),
            is_bad: path.contains(" /bad"),
            streams: body.contains(r#""stream":true"#),
            has_tools: body.contains(r#""tools":"#),
            tag: tag.to_owned(),
            deed: deed.unwrap_or_default().to_owned(),
        }));
    }
}

fn whole(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

impl Asked {
    fn does(&self, deed: &str) -> bool {
        self.deed == deed
    }

    fn words(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.tag.clone()).chain((0..WORDS).map(|n| format!(" word{n}")))
    }

    fn arguments(&self) -> String {
        format!(r#"{{\"tag\":\"{}\"}}"#, self.tag)
    }

    fn answer(&self) -> String {
        let text: String = self.words().collect();
        let Self { tag, is_messages, has_tools, .. } = self;
        if *is_messages {
            return format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":512,"output_tokens":99}}}}"#
            );
        }
        let (message, finish) = if *has_tools {
            let arguments = self.arguments();
            let call = format!(
                r#"{{"id":"call_{tag}","type":"function","function":{{"name":"look","arguments":"{arguments}"}}}}"#
            );
            (format!(r#""content":"{LAST_WORD}","tool_calls":[{call}]"#), "tool_calls")
        } else {
            (format!(r#""content":"{text}""#), "stop")
        };
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",{message}}},"finish_reason":"{finish}"}}],"usage":{USAGE}}}"#
        )
    }

    /// With line ends.
    fn events(&self) -> Vec<Vec<u8>> {
        let events = if self.is_messages { self.messages_events() } else { self.chat_events() };
        events.into_iter().map(|event| (event + "\n\n").into_bytes()).collect()
    }

    fn chat_events(&self) -> Vec<String> {
        let event = |delta: &str, finish: &str| {
            format!(
                r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
            )
        };
        let said = |text: &str| event(&format!(r#"{{"content":"{text}"}}"#), "null");
        let mut events = vec![event(r#"{"role":"assistant","content":""}"#, "null")];
        if self.has_tools {
            let (tag, arguments) = (&self.tag, self.arguments());
            let call = format!(
                r#"{{"tool_calls":[{{"index":0,"id":"call_{tag}","type":"function","function":{{"name":"look","arguments":"{arguments}"}}}}]}}"#
            );
            events.extend([said(LAST_WORD), event(&call, "null"), event("{}", r#""tool_calls""#)]);
        } else {
            events.extend(self.words().map(|word| said(&word)));
            events.push(event("{}", r#""stop""#));
        }
        events.push(format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"usage":{USAGE}}}"#
        ));
        events.push("data: [DONE]".to_owned());
        events
    }

    fn messages_events(&self) -> Vec<String> {
        let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}");
        let said = |text: &str| {
            event("content_block_delta", &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#))
        };
        let start = r#","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":512,"output_tokens":1}}"#;
        let mut events = vec![
            event("message_start", start),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
        ];
        events.extend(self.words().map(|word| said(&word)));
        events.push(event("content_block_stop", r#","index":0"#));
        let end = r#","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":99}"#;
        events.extend([event("message_delta", end), event("message_stop", "")]);
        events
    }
}

const USAGE: &str = r#"{"prompt_tokens":512,"completion_tokens":99,"total_tokens":611}"#;
