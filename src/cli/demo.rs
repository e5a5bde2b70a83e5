//! `weir demo`: the gateway in front of the simulated provider. Sends itself one request per format
//! and direction over real sockets, prints what came back, then keeps serving.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use serde::Deserialize;

use super::{print, run};
use crate::config::env::{Env as _, System};
use crate::config::load::{self, Unfiled};
use crate::proxy::handover::Inherited;
use crate::proxy::probe::{Answer, Probe};
use crate::proxy::serve::{self, Simulated};
use crate::telemetry::log;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address of the gateway
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Address of metrics, health and the admin API
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081")]
    admin: SocketAddr,
}

pub(super) fn demo(args: &Args) -> ExitCode {
    // A demonstration shows answers; what goes on behind them is for those who ask.
    let filter = System.var("WEIR_LOG").unwrap_or_else(|| "warn".to_owned());
    if let Err(error) = log::init(Some(&filter)) {
        return run::failed(&error);
    }
    let simulated = match Simulated::bind() {
        Ok(simulated) => simulated,
        Err(error) => return run::failed(&error),
    };
    // Its ledger lives as long as it does.
    let dir = std::env::temp_dir().join(format!("weir-demo-{}", std::process::id()));
    let Unfiled { runtime, key, generated, .. } =
        match load::for_demo(simulated.address(), args.listen, args.admin, &dir, &System) {
            Ok(unfiled) => unfiled,
            Err(report) => return run::refused(&report),
        };
    match serve::prepare(runtime, None, Arc::new(System), Some(simulated), Inherited::nothing()) {
        Ok(mut prepared) => {
            run::announce(&prepared);
            let Some(address) = prepared.addresses.first().copied() else { return run::failed("no address") };
            let tour = Probe::new(address, key.clone());
            let (urls, admin_url) = (prepared.urls.clone(), prepared.admin_url.clone());
            prepared.beside(
                "tour",
                Guided { tour, farewell: run::welcome(&urls, &admin_url, &key, generated, "simulator/sim-1") },
            );
            prepared.serve_for_once(dir);
            ExitCode::SUCCESS
        }
        Err(error) => run::failed(&format!("{error} (choose another address with --listen and --admin)")),
    }
}

/// The tour, then the lines to go on with.
struct Guided {
    tour: Probe,
    farewell: String,
}

#[async_trait]
impl BackgroundService for Guided {
    async fn start(&self, _shutdown: ShutdownWatch) {
        for stop in STOPS {
            visit(&self.tour, stop).await;
        }
        print::note(&self.farewell);
        print::note("  serving until Ctrl-C");
    }
}

/// One request and what is looked for in its answer.
struct Stop {
    title: &'static str,
    path: &'static str,
    body: &'static str,
}

const STOPS: &[Stop] = &[
    Stop {
        title: "OpenAI chat -> OpenAI chat",
        path: "/v1/chat/completions",
        body: r#"{"model":"simulator/sim-1","messages":[{"role":"user","content":"reply with: same format, bytes untouched"}]}"#,
    },
    Stop {
        title: "OpenAI chat -> Anthropic",
        path: "/v1/chat/completions",
        body: r#"{"model":"simulator-anthropic/sim-1","messages":[{"role":"user","content":"reply with: translated both ways"}]}"#,
    },
    Stop {
        title: "Anthropic -> Anthropic",
        path: "/v1/messages",
        body: r#"{"model":"simulator-anthropic/sim-1","max_tokens":100,"messages":[{"role":"user","content":"reply with: same format, bytes untouched"}]}"#,
    },
    Stop {
        title: "Anthropic -> OpenAI chat",
        path: "/v1/messages",
        body: r#"{"model":"simulator/sim-1","max_tokens":100,"messages":[{"role":"user","content":"reply with: translated both ways"}]}"#,
    },
    Stop {
        title: "OpenAI Responses -> Gemini",
        path: "/v1/responses",
        body: r#"{"model":"simulator-gemini/sim-1","input":"reply with: translated both ways"}"#,
    },
    Stop {
        title: "Gemini -> Bedrock",
        path: "/v1beta/models/simulator-bedrock/sim-1:generateContent",
        body: r#"{"contents":[{"parts":[{"text":"reply with: translated both ways"}]}]}"#,
    },
    Stop {
        title: "a stream, OpenAI chat -> Anthropic",
        path: "/v1/chat/completions",
        body: r#"{"model":"simulator-anthropic/sim-1","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"count to 5"}]}"#,
    },
    Stop {
        title: "a stream, Anthropic -> OpenAI chat",
        path: "/v1/messages",
        body: r#"{"model":"simulator/sim-1","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"count to 5"}]}"#,
    },
    Stop {
        title: "a tool call, OpenAI chat -> Anthropic",
        path: "/v1/chat/completions",
        body: r#"{"model":"simulator-anthropic/sim-1","messages":[{"role":"user","content":"use the tool"}],"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]}"#,
    },
    Stop {
        title: "an unknown model",
        path: "/v1/chat/completions",
        body: r#"{"model":"simulator-anthropc/sim-1","messages":[{"role":"user","content":"hello"}]}"#,
    },
];

async fn visit(tour: &Probe, stop: &Stop) {
    print::note(&format!("\n{}  (POST {})", stop.title, stop.path));
    match tour.post(stop.path, stop.body).await {
        Ok(answer) => describe(&answer),
        Err(error) => print::note(&format!("  failed: {error}")),
    }
}

fn describe(answer: &Answer) {
    let seen = Seen::of(&answer.body);
    let cost = answer.header("x-weir-cost-usd").map(|usd| format!(", {usd} USD")).unwrap_or_default();
    let provider = answer.header("x-weir-provider").unwrap_or("-");
    print::note(&format!("  {}  provider {provider}", answer.status));
    if !seen.text.is_empty() {
        print::note(&format!("  answer  {}", seen.text));
    }
    if let Some((input, output)) = seen.usage {
        print::note(&format!("  usage   {input} tokens in, {output} out{cost}"));
    }
}

/// What an answer of any format says, whole or streamed.
#[derive(Default)]
struct Seen {
    text: String,
    usage: Option<(u64, u64)>,
}

/// The few members the demonstration shows, of every format at once.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Piece {
    choices: Vec<Choice>,
    content: Vec<Block>,
    delta: Block,
    /// Responses
    output: Vec<Item>,
    /// Gemini
    candidates: Vec<Candidate>,
    #[serde(alias = "usageMetadata")]
    usage: Option<Usage>,
    error: Option<Failure>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Item {
    content: Vec<Block>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Candidate {
    content: Parts,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Parts {
    parts: Vec<Block>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Choice {
    message: Message,
    delta: Message,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Message {
    content: Option<String>,
    tool_calls: Vec<Call>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Call {
    function: Function,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Function {
    name: String,
    arguments: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Block {
    text: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Usage {
    #[serde(alias = "prompt_tokens", alias = "promptTokenCount")]
    input_tokens: u64,
    #[serde(alias = "completion_tokens", alias = "candidatesTokenCount")]
    output_tokens: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Failure {
    message: String,
}

impl Seen {
    fn of(body: &str) -> Self {
        let mut seen = Self::default();
        let streamed = body.lines().filter_map(|line| line.strip_prefix("data: "));
        let whole = body.starts_with('{').then_some(body);
        for json in streamed.chain(whole) {
            if let Ok(piece) = serde_json::from_str::<Piece>(json) {
                seen.add(piece);
            }
        }
        seen
    }

    fn add(&mut self, piece: Piece) {
        for choice in &piece.choices {
            for message in [&choice.message, &choice.delta] {
                self.text.push_str(message.content.as_deref().unwrap_or_default());
                for call in &message.tool_calls {
                    self.text.push_str(&format!("{}({})", call.function.name, call.function.arguments));
                }
            }
        }
        let items = piece.output.iter().flat_map(|item| &item.content);
        let parts = piece.candidates.iter().flat_map(|candidate| &candidate.content.parts);
        for block in piece.content.iter().chain([&piece.delta]).chain(items).chain(parts) {
            self.text.push_str(&block.text);
        }
        if let Some(usage) = piece.usage {
            self.usage = Some((usage.input_tokens, usage.output_tokens));
        }
        if let Some(error) = piece.error {
            self.text.push_str(&error.message);
        }
    }
}
