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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    No,
    Burst,
    Paced,
}

/// Ways to the same upstream: each is a route, or a provider of several endpoints.
pub(crate) const ROUTES: [&str; 5] = ["pool", "fallback", "weighted", "latency", "auto"];

/// All cells of the table.
pub(crate) fn cells() -> Vec<Cell> {
    let cell = |client, upstream, body_kib, stream| Cell {
        client,
        upstream,
        provider: upstream_name(upstream),
        body_kib,
        stream,
    };
    let mut cells = Vec::new();
    for body_kib in [2, 76] {
        for client in Dialect::CLIENTS {
            cells.extend(Dialect::ALL.map(|upstream| cell(client, upstream, body_kib, Stream::No)));
        }
    }
    let (chat, messages) = (Dialect::OpenAiChat, Dialect::Anthropic);
    cells.push(Cell { provider: "signed", ..cell(chat, Dialect::Converse, 2, Stream::No) });
    // The same as chat -> chat, by the routes of `driver.rs`.
    cells.extend(ROUTES.map(|provider| Cell { provider, ..cell(chat, chat, 2, Stream::No) }));
    cells.extend([(chat, chat), (chat, messages)].map(|(client, upstream)| cell(client, upstream, 100, Stream::No)));
    for dialect in Dialect::CLIENTS {
        cells.push(cell(dialect, dialect, 2, Stream::Burst));
        cells.extend((dialect != chat).then(|| cell(dialect, chat, 2, Stream::Burst)));
    }
    for upstream in [messages, Dialect::Gemini, Dialect::Converse, Dialect::Cohere] {
        cells.push(cell(chat, upstream, 2, Stream::Burst));
    }
    cells.extend([(chat, chat), (messages, chat)].map(|(client, upstream)| cell(client, upstream, 2, Stream::Paced)));
    cells
}

/// Its name in the gateway's configuration, see `driver.rs`.
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
            Stream::No => format!("{} KB", self.body_kib),
            Stream::Burst => format!("{EVENTS} events, burst"),
            Stream::Paced => format!("{EVENTS} events, paced"),
        };
        let how = match self.provider {
            "signed" => " (SigV4)".to_owned(),
            provider if ROUTES.contains(&provider) => format!(" by {provider}"),
            _ => String::new(),
        };
        format!("{} -> {}{how}, {what}", self.client.as_str(), self.upstream.as_str())
    }

    fn model(&self) -> String {
        format!("{}/{}", self.provider, if self.stream == Stream::Paced { "paced" } else { "burst" })
    }

    pub(crate) fn path(&self) -> String {
        match (self.client, self.stream) {
            (Dialect::OpenAiChat, _) => "/v1/chat/completions".to_owned(),
            (Dialect::Anthropic, _) => "/v1/messages".to_owned(),
            (Dialect::Responses, _) => "/v1/responses".to_owned(),
            (_, Stream::No) => format!("/v1beta/models/{}:generateContent", self.model()),
            _ => format!("/v1beta/models/{}:streamGenerateContent?alt=sse", self.model()),
        }
    }

    /// The body, of about the wanted size: a conversation of several turns.
    pub(crate) fn body(&self) -> String {
        let model = self.model();
        let chat = chat(&model, self.body_kib << 10, self.stream != Stream::No);
        if self.client == Dialect::OpenAiChat { chat } else { request(self.client, &model, &chat) }
    }
}
