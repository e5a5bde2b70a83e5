//! What is measured: a client's format, a provider's, a size, and whether it streams.

use weir::wire::Dialect;

use crate::bodies::{EVENTS, chat, request};

/// A kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) client: Dialect,
    pub(crate) upstream: Dialect,
    /// The name in the gateway's configuration; not always the upstream's own.
    pub(crate) provider: &'static str,
    pub(crate) body_kib: usize,
    pub(crate) stream: Stream,
    pub(crate) shown: Shown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    No,
    Burst,
    /// An event now and again; see `mock.rs`.
    Paced,
    /// The same, of seconds; see `hold.rs`.
    Held,
}

/// Where a cell is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// In the table.
    Always,
    /// Where its name is asked for.
    Asked,
}

/// Ways to the same upstream: each is a route, or a provider of several endpoints.
pub(crate) const ROUTES: [&str; 5] = ["pool", "fallback", "weighted", "latency", "auto"];
/// A route whose answers are kept, and what is answered without any upstream.
const KEPT: &str = "kept";
const COUNTED: &str = "counted";

const CHAT: Dialect = Dialect::OpenAiChat;
const MESSAGES: Dialect = Dialect::Anthropic;
const RESPONSES: Dialect = Dialect::Responses;

/// All cells, those of the table first. A place in here is how processes tell each other of one.
pub(crate) fn cells() -> Vec<Cell> {
    let whole = |(client, upstream), body_kib| cell(client, upstream, body_kib, Stream::No);
    let pairs = [
        (CHAT, CHAT),
        (CHAT, MESSAGES),
        (MESSAGES, MESSAGES),
        (MESSAGES, CHAT),
        (RESPONSES, RESPONSES),
        (RESPONSES, MESSAGES),
    ];
    let mut cells: Vec<Cell> = pairs.map(|pair| whole(pair, 2)).to_vec();
    for body_kib in [76, 100, 1024] {
        cells.extend([(CHAT, CHAT), (CHAT, MESSAGES)].map(|pair| whole(pair, body_kib)));
    }
    for stream in [Stream::Burst, Stream::Paced] {
        cells.extend([(CHAT, CHAT), (CHAT, MESSAGES)].map(|(client, upstream)| cell(client, upstream, 2, stream)));
    }
    for others in others() {
        if !cells.iter().any(|cell| cell.name() == others.name()) {
            cells.push(Cell { shown: Shown::Asked, ..others });
        }
    }
    cells
}

/// Every pair of formats and every way to a target.
fn others() -> Vec<Cell> {
    let mut cells = Vec::new();
    for body_kib in [2, 76] {
        for client in Dialect::CLIENTS {
            cells.extend(Dialect::ALL.map(|upstream| cell(client, upstream, body_kib, Stream::No)));
        }
    }
    cells.push(Cell { provider: "signed", ..cell(CHAT, Dialect::Converse, 2, Stream::No) });
    // The same as chat -> chat, by the routes of `gateway.rs`.
    cells.extend(ROUTES.map(|provider| Cell { provider, ..cell(CHAT, CHAT, 2, Stream::No) }));
    cells.push(Cell { provider: KEPT, ..cell(CHAT, CHAT, 2, Stream::No) });
    cells.push(Cell { provider: COUNTED, ..cell(MESSAGES, CHAT, 2, Stream::No) });
    for dialect in Dialect::CLIENTS {
        cells.push(cell(dialect, dialect, 2, Stream::Burst));
        cells.push(cell(dialect, CHAT, 2, Stream::Burst));
    }
    for upstream in [Dialect::Gemini, Dialect::Converse, Dialect::Cohere] {
        cells.push(cell(CHAT, upstream, 2, Stream::Burst));
    }
    cells.push(cell(MESSAGES, CHAT, 2, Stream::Paced));
    cells
}

/// One of the table, until somebody says otherwise.
pub(crate) const fn cell(client: Dialect, upstream: Dialect, body_kib: usize, stream: Stream) -> Cell {
    Cell { client, upstream, provider: upstream_name(upstream), body_kib, stream, shown: Shown::Always }
}

/// Its name in the gateway's configuration, see `gateway.rs`.
const fn upstream_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "openai",
        Dialect::Anthropic => "anthropic",
        Dialect::Responses => "responses",
        Dialect::Gemini => "gemini",
        Dialect::Converse => "bedrock",
        Dialect::Cohere => "cohere",
    }
}

impl Cell {
    /// As the table names it.
    pub(crate) fn name(&self) -> String {
        let what = match self.stream {
            Stream::No if self.body_kib >= 1024 => format!("{} MB", self.body_kib / 1024),
            Stream::No => format!("{} KB", self.body_kib),
            Stream::Burst => format!("{EVENTS} events, burst"),
            Stream::Paced => format!("{EVENTS} events, paced"),
            Stream::Held => "held".to_owned(),
        };
        let how = match self.provider {
            "signed" => " (SigV4)".to_owned(),
            KEPT => " (kept, no upstream)".to_owned(),
            COUNTED => " (counted, no upstream)".to_owned(),
            provider if ROUTES.contains(&provider) => format!(" by {provider}"),
            _ => String::new(),
        };
        format!("{} -> {}{how}, {what}", self.client.as_str(), self.upstream.as_str())
    }

    /// Connections of the closed loop.
    pub(crate) const fn connections(&self) -> usize {
        match self.stream {
            Stream::No | Stream::Burst => 8,
            Stream::Paced | Stream::Held => 64,
        }
    }

    /// Requests a second where latencies are measured: what keeps a core of the slowest row less than half busy.
    pub(crate) const fn rate(&self) -> u64 {
        match (self.stream, self.body_kib) {
            (Stream::No, ..64) => 500,
            (Stream::No, ..512) => 150,
            (Stream::No, _) => 30,
            (Stream::Burst, _) => 200,
            (Stream::Paced | Stream::Held, _) => 50,
        }
    }

    fn model(&self) -> String {
        let model = match self.stream {
            Stream::No | Stream::Burst => "burst",
            Stream::Paced => "paced",
            Stream::Held => "held",
        };
        let provider = if self.provider == COUNTED { upstream_name(self.upstream) } else { self.provider };
        format!("{provider}/{model}")
    }

    fn path(&self) -> String {
        match (self.client, self.stream) {
            (Dialect::OpenAiChat, _) => "/v1/chat/completions".to_owned(),
            (Dialect::Anthropic, _) if self.provider == COUNTED => "/v1/messages/count_tokens".to_owned(),
            (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
            (Dialect::Responses, _) => "/v1/responses".to_owned(),
            (_, Stream::No) => format!("/v1beta/models/{}:generateContent", self.model()),
            _ => format!("/v1beta/models/{}:streamGenerateContent?alt=sse", self.model()),
        }
    }

    /// Head and body, the body of about the wanted size.
    pub(crate) fn request(&self) -> Vec<u8> {
        let model = self.model();
        let chat = chat(&model, self.body_kib << 10, self.stream != Stream::No);
        let body = if self.client == CHAT { chat } else { request(self.client, &model, &chat) };
        let request = format!(
            "POST {} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer bench-key\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.path(),
            body.len()
        );
        request.into_bytes()
    }
}
