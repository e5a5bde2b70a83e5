//! The recordings: `../shared/recorded` beside the project, or `$WEIR_RECORDED`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use weir::wire::Dialect;
use weir::wire::frames::Framing;

use crate::{exceptions, messages};

/// One exchange.
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) api: String,
    pub(crate) dialect: Dialect,
    pub(crate) request: Option<Value>,
    pub(crate) status: u16,
    /// How a streamed answer is framed.
    pub(crate) framing: Option<Framing>,
    /// As it was sent.
    pub(crate) bytes: Vec<u8>,
    /// The same as text; of binary frames, what they hold as lines of `data:`.
    pub(crate) body: String,
}

impl Exchange {
    /// A whole answer, and not an error.
    pub(crate) fn is_whole(&self) -> bool {
        self.status < 400 && self.framing.is_none()
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.status < 400 && self.framing.is_some()
    }

    /// The row it counts in.
    pub(crate) fn row(&self) -> String {
        format!("{}.{}", self.provider, self.api)
    }
}

/// Where they are.
pub(crate) struct Recorded {
    files: Vec<PathBuf>,
}

impl Recorded {
    /// None where the recordings are not at hand; in CI they have to be.
    pub(crate) fn find() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name);
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
        let dir = set("WEIR_RECORDED").map_or(beside, PathBuf::from);
        let mut files: Vec<PathBuf> = std::fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
            .collect();
        files.sort();
        if files.is_empty() {
            assert!(set("CI").is_none_or(|ci| ci != "true"), "no recordings in {}", dir.display());
            println!("skipped: no recordings in {}", dir.display());
            return None;
        }
        Some(Self { files })
    }

    /// Every line there is, one at a time: provider, API and the rest.
    pub(crate) fn lines(self) -> impl Iterator<Item = Value> {
        self.files.into_iter().flat_map(|path| {
            let file = File::open(&path).expect("a recording can be read");
            let lines = BufReader::new(file).lines();
            lines.map(|line| serde_json::from_str(&line.expect("a line")).expect("an exchange"))
        })
    }

    /// All generation that no exception names.
    pub(crate) fn exchanges(self) -> impl Iterator<Item = Exchange> {
        self.lines().filter(|it| exceptions::reason(it).is_none()).filter_map(|it| exchange(&it))
    }
}

/// The format of an API, if it generates text.
fn dialect(api: &str) -> Option<Dialect> {
    Some(match api {
        "chat_completions" => Dialect::OpenAiChat,
        // Of the bodies that InvokeModel takes, only Claude's are left: see the exceptions.
        "messages" | "invoke_model" => Dialect::Anthropic,
        "responses" => Dialect::Responses,
        "generate_content" => Dialect::Gemini,
        "converse" | "converse_stream" => Dialect::Converse,
        "cohere_chat" => Dialect::Cohere,
        _ => return None,
    })
}

/// The request; Vertex and Bedrock name the model in the path, and leave it and the wish for a stream
/// out of the body.
fn request(it: &Value, dialect: Dialect) -> Option<Value> {
    let mut body = Some(it["request"]["body"].clone()).filter(Value::is_object)?;
    if body["model"].is_null() && !matches!(dialect, Dialect::Gemini | Dialect::Converse) {
        body["model"] = it["model"].clone();
    }
    Some(body)
}

fn exchange(it: &Value) -> Option<Exchange> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let api = text(&it["api"]);
    let dialect = dialect(&api)?;
    let response = &it["response"];
    let (body, is_binary) = (text(&response["body"]), response["encoding"] == "base64");
    let bytes = if is_binary { STANDARD.decode(&body).expect("base64") } else { body.clone().into_bytes() };
    let framing = match text(&response["kind"]).as_str() {
        "sse" => Some(Framing::Sse),
        "json_array" => Some(Framing::JsonArray),
        "eventstream" if api == "invoke_model" => Some(Framing::InvokeStream),
        "eventstream" => Some(Framing::EventStream),
        _ => None,
    };
    let body = match framing {
        Some(Framing::InvokeStream) => messages::unwrapped(&messages_of(&bytes)),
        Some(Framing::EventStream) => messages_of(&bytes).into_iter().map(|line| format!("data: {line}\n\n")).collect(),
        _ => body,
    };
    Some(Exchange {
        id: text(&it["id"]),
        provider: text(&it["provider"]),
        dialect,
        request: request(it, dialect),
        status: u16::try_from(response["status"].as_u64().unwrap_or(200)).expect("a status"),
        framing,
        bytes,
        body,
        api,
    })
}

/// The payloads of Amazon's binary messages, each in an object under the type of its event. Lengths
/// and headers are read here, checksums are not.
fn messages_of(mut bytes: &[u8]) -> Vec<Value> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (message, rest) = bytes.split_at(number(&bytes[..4]));
        let (mut headers, payload) = message[12..message.len() - 4].split_at(number(&message[4..8]));
        let mut kind = String::new();
        while !headers.is_empty() {
            let (name, tail) = headers[1..].split_at(usize::from(headers[0]));
            let (value, tail) = tail[3..].split_at(number(&tail[1..3]));
            if name == b":event-type" || name == b":exception-type" {
                kind = String::from_utf8_lossy(value).into_owned();
            }
            headers = tail;
        }
        let payload: Value = serde_json::from_slice(payload).expect("a payload is JSON");
        all.push(serde_json::json!({ kind: payload }));
        bytes = rest;
    }
    all
}
