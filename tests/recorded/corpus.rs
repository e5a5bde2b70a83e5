//! The recordings: `../shared/recorded` beside the project, or `$WEIR_RECORDED`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use serde_json::Value;
use weir::wire::Dialect;

/// One exchange.
pub(crate) struct Exchange {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) dialect: Dialect,
    pub(crate) request: Option<Value>,
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) body: String,
}

/// Where they are.
pub(crate) struct Recorded {
    files: Vec<(PathBuf, Dialect)>,
}

impl Recorded {
    /// None where the recordings are not at hand; in CI they have to be.
    pub(crate) fn find() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name);
        let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/recorded");
        let dir = set("WEIR_RECORDED").map_or(beside, PathBuf::from);
        let mut files: Vec<(PathBuf, Dialect)> = std::fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter_map(|path| Some((path.clone(), dialect(path.file_name()?.to_str()?)?)))
            .collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        if files.is_empty() {
            assert!(set("CI").is_none_or(|ci| ci != "true"), "no recordings in {}", dir.display());
            println!("skipped: no recordings in {}", dir.display());
            return None;
        }
        Some(Self { files })
    }

    /// All of them, one line of a file at a time.
    pub(crate) fn exchanges(self) -> impl Iterator<Item = Exchange> {
        self.files.into_iter().flat_map(|(path, dialect)| {
            let file = File::open(&path).expect("a recording can be read");
            BufReader::new(file).lines().map(move |line| exchange(&line.expect("a line"), dialect))
        })
    }
}

fn dialect(file: &str) -> Option<Dialect> {
    match file {
        _ if file.ends_with(".chat_completions.jsonl") => Some(Dialect::OpenAiChat),
        "anthropic.messages.jsonl" | "vertex.messages.jsonl" => Some(Dialect::Anthropic),
        // Compacted conversations are objects of another kind.
        _ if file.ends_with(".responses.jsonl") => Some(Dialect::Responses),
        "gemini.generate_content.jsonl" | "vertex.generate_content.jsonl" => Some(Dialect::Gemini),
        _ => None,
    }
}

/// The request; Vertex names the model in the path.
fn request(it: &Value) -> Option<Value> {
    let mut body = Some(it["request"]["body"].clone()).filter(Value::is_object)?;
    // Gemini's body has none.
    if body["model"].is_null() && body["contents"].is_null() {
        body["model"] = it["model"].clone();
    }
    Some(body)
}

fn exchange(line: &str, dialect: Dialect) -> Exchange {
    let it: Value = serde_json::from_str(line).expect("an exchange");
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let response = &it["response"];
    Exchange {
        id: text(&it["id"]),
        provider: text(&it["provider"]),
        dialect,
        request: request(&it),
        status: u16::try_from(response["status"].as_u64().unwrap_or(200)).expect("a status"),
        kind: text(&response["kind"]),
        body: text(&response["body"]),
    }
}
