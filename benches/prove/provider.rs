//! The providers, in this process: they answer as the prompt says, and write down what each request
//! that reached them was told it had used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::plan::{self, Usage};

/// Longer than any first token takes otherwise: a hedge begins.
const LATE: Duration = Duration::from_millis(300);
/// Of one that is left by its client.
const WAIT: Duration = Duration::from_millis(150);
const PACE: Duration = Duration::from_millis(2);
/// Some seconds for an answer: progress is on record every second.
const CRAWL: Duration = Duration::from_millis(150);
/// Events of a paced stream that come together.
const PIECE: usize = 6;

/// A request that reached a provider.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) provider: &'static str,
    /// It was told what it had used, and all before that, as far as the system took it.
    pub(crate) told_usage: bool,
}

/// The truth: by number, every call.
pub(crate) type Truth = Arc<Mutex<HashMap<u32, Vec<Call>>>>;

/// On a thread of its own, until the process ends.
#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) port: u16,
    pub(crate) truth: Truth,
}

impl Providers {
    pub(crate) fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let truth = Truth::default();
        let own = Arc::clone(&truth);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let listener = TcpListener::from_std(listener).unwrap();
                loop {
                    let Ok((socket, _)) = listener.accept().await else { continue };
                    let truth = Arc::clone(&own);
                    tokio::task::spawn_local(async move {
                        // A gateway that is killed is no error.
                        let _ = serve(socket, &truth).await;
                    });
                }
            });
        });
        Self { port, truth }
    }
}

async fn serve(mut socket: TcpStream, truth: &Truth) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = Vec::with_capacity(8 << 10);
    while let Some(asked) = read(&mut socket, &mut buffer).await? {
        let place = {
            let mut truth = truth.lock().unwrap();
            let calls = truth.entry(asked.number).or_default();
            calls.push(Call { provider: asked.provider, told_usage: false });
            calls.len() - 1
        };
        let told = |_: ()| truth.lock().unwrap().get_mut(&asked.number).unwrap()[place].told_usage = true;
        match asked.deed.as_str() {
            "fail" if asked.provider == "bad" => {
                socket.write_all(refusal(asked.number).as_bytes()).await?;
                continue;
            }
            "break" => return socket.write_all(&asked.half()).await,
            "late" if asked.provider == "slow" => tokio::time::sleep(LATE).await,
            "wait" => tokio::time::sleep(WAIT).await,
            _ => {}
        }
        if !asked.stream {
            socket.write_all(&whole(&asked.answer())).await.map(told)?;
            continue;
        }
        let events = asked.events();
        let pause = match asked.deed.as_str() {
            "pace" => Some(PACE),
            "crawl" => Some(CRAWL),
            _ => None,
        };
        let size = if pause.is_some() { PIECE } else { events.len() };
        socket.write_all(STREAM.as_bytes()).await?;
        for piece in events.chunks(size) {
            socket.write_all(&chunk(&piece.concat())).await?;
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
        }
        socket.write_all(b"0\r\n\r\n").await.map(told)?;
    }
    Ok(())
}

const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn refusal(number: u32) -> String {
    let status = ["500 Internal Server Error", "503 Service Unavailable"][usize::from(number.is_multiple_of(2))];
    let body = r#"{"error":{"message":"no","type":"server_error"}}"#;
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn whole(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

/// What there is to know of a request.
struct Asked {
    number: u32,
    provider: &'static str,
    stream: bool,
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
        let number = body.split("tag-").nth(1).and_then(|rest| rest.get(..8)).expect("a number");
        let deed = body.split("do:").nth(1).and_then(|rest| rest.split('.').next());
        let path = head.lines().next().unwrap_or_default();
        let provider = plan::PROVIDERS.iter().find(|p| path.contains(&format!(" /{}/", p.name)));
        return Ok(Some(Asked {
            number: number.parse().expect("a number"),
            provider: provider.expect("a provider's path").name,
            stream: body.contains(r#""stream":true"#),
            deed: deed.unwrap_or_default().to_owned(),
        }));
    }
}

impl Asked {
    fn words(&self) -> impl Iterator<Item = String> {
        let number = self.number;
        std::iter::once(format!("tag-{number:08}")).chain((0..plan::words(number)).map(|n| format!(" word{n}")))
    }

    fn usage(&self) -> String {
        let Usage { fresh, cached, written, written_1h, visible, reasoning } = plan::usage(self.number, self.provider);
        if self.provider == "an" {
            let all = written + written_1h;
            return format!(
                r#"{{"input_tokens":{fresh},"cache_read_input_tokens":{cached},"cache_creation_input_tokens":{all},"cache_creation":{{"ephemeral_5m_input_tokens":{written},"ephemeral_1h_input_tokens":{written_1h}}},"output_tokens":{visible}}}"#
            );
        }
        let (input, output) = (fresh + cached, visible + reasoning);
        format!(
            r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{cached}}},"completion_tokens_details":{{"reasoning_tokens":{reasoning}}}}}"#,
            input + output
        )
    }

    fn answer(&self) -> String {
        let (text, usage): (String, String) = (self.words().collect(), self.usage());
        if self.provider == "an" {
            return format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{usage}}}"#
            );
        }
        format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{usage}}}"#
        )
    }

    /// Half an answer, and no end.
    fn half(&self) -> Vec<u8> {
        if !self.stream {
            let answer = whole(&self.answer());
            return answer[..answer.len() / 2].to_vec();
        }
        let events = self.events();
        [STREAM.as_bytes(), &chunk(&events[..events.len() / 2].concat())].concat()
    }

    fn events(&self) -> Vec<Vec<u8>> {
        let events = if self.provider == "an" { self.messages_events() } else { self.chat_events() };
        events.into_iter().map(|event| (event + "\n\n").into_bytes()).collect()
    }

    fn chat_events(&self) -> Vec<String> {
        let event = |delta: &str, finish: &str| {
            format!(
                r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
            )
        };
        let mut events = vec![event(r#"{"role":"assistant","content":""}"#, "null")];
        events.extend(self.words().map(|word| event(&format!(r#"{{"content":"{word}"}}"#), "null")));
        events.push(event("{}", r#""stop""#));
        let usage = self.usage();
        events.push(format!(
            r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[],"usage":{usage}}}"#
        ));
        events.push("data: [DONE]".to_owned());
        events
    }

    fn messages_events(&self) -> Vec<String> {
        let event = |name: &str, rest: &str| format!("event: {name}\ndata: {{\"type\":\"{name}\"{rest}}}");
        let said = |text: &str| {
            event("content_block_delta", &format!(r#","index":0,"delta":{{"type":"text_delta","text":"{text}"}}"#))
        };
        let visible = plan::usage(self.number, self.provider).visible;
        // The output is known at the end only.
        let opened = self.usage().replace(&format!("\"output_tokens\":{visible}"), "\"output_tokens\":1");
        let start = format!(
            r#","message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{opened}}}"#
        );
        let mut events = vec![
            event("message_start", &start),
            event("content_block_start", r#","index":0,"content_block":{"type":"text","text":""}"#),
        ];
        events.extend(self.words().map(|word| said(&word)));
        events.push(event("content_block_stop", r#","index":0"#));
        let end = format!(
            r#","delta":{{"stop_reason":"end_turn","stop_sequence":null}},"usage":{{"output_tokens":{visible}}}"#
        );
        events.extend([event("message_delta", &end), event("message_stop", "")]);
        events
    }
}
