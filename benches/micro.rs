//! What the translation core costs, by size of body, and what limits cost.
//!
//! `cargo bench --bench micro` prints times (the best of many rounds, one thread), with `--admissions`
//! those of limits only, with `--guards` those of guards;
//! `cargo bench --bench micro -- --instructions` runs every case under callgrind instead and prints
//! instructions, which do not depend on what else the machine does. Those that have a ceiling are counted by
//! `benches/instructions`.

use std::hint::black_box;
use std::io::Write as _;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir::config::budget::{Budget, Per, Period, Unit};
use weir::config::limits::{Limits, Share};
use weir::config::runtime::{Key, ModelPattern, Runtime, Tenant};
use weir::guard::schema::Schema;
use weir::guard::{Action, Detectors, Guard, Kind, Watch as GuardWatch, Window};
use weir::limit::clock::Clock;
use weir::limit::{Ask, KeyLimits, Limiter, Used, Want};
use weir::usage::estimate::estimate_request;
use weir::usage::price::PicoUsd;
use weir::wire::bridge::Bridge;
use weir::wire::envelope::Envelope;
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::splice::Splice;
use weir::wire::stream::{Pipe, Translator};
use weir::wire::watch::{StreamWatch, Watch};
use weir::wire::{self, Abilities, Client, Dialect, Quirks, Target, Thinking, ir};

type Failure = Box<dyn std::error::Error>;

const SIZES: [(&str, usize); 3] = [("2 KB", 2_000), ("76 KB", 76_000), ("1 MB", 1_000_000)];
const NAMES: [&str; 8] = [
    "serde_json skip (reference)",
    "envelope",
    "envelope + estimate",
    "envelope + splice",
    "request chat -> messages",
    "request messages -> chat",
    "stream watched",
    "stream chat -> messages",
];
/// What a network read brings.
const CHUNK_BYTES: usize = 4_096;

/// A conversation of an agent: prose, code with escapes, calls and results.
fn chat_body(size: usize) -> String {
    let mut body = String::from(
        r#"{"model":"openai/gpt-x","stream":true,"max_tokens":1024,"temperature":0.2,"messages":[{"role":"system","content":"You are a careful engineer."}"#,
    );
    let mut turn = 0;
    while body.len() < size.saturating_sub(600) {
        turn += 1;
        body.push_str(&format!(
            r#",{{"role":"user","content":"Please look at step {turn}: the café's totals are off by one, and the log says \"timeout\" twice.\nWhat is wrong?"}},{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_{turn}","type":"function","function":{{"name":"read_file","arguments":"{{\"path\":\"src/part_{turn}.rs\",\"lines\":[1,200]}}"}}}}]}},{{"role":"tool","tool_call_id":"call_{turn}","content":"fn total(items: &[Item]) -> u64 {{\n    let mut sum = 0;\n    for item in items {{\n        sum += item.price * item.count;\n    }}\n    sum // \"rounded\" later\n}}\n{}"}}"#,
            "    // one more line of quite ordinary source text without anything in it\\n".repeat(8)
        ));
    }
    body.push_str(r#"],"tools":[{"type":"function","function":{"name":"read_file","description":"Reads a file","parameters":{"type":"object","properties":{"path":{"type":"string"},"lines":{"type":"array","items":{"type":"integer"}}},"required":["path"]}}}],"tool_choice":"auto","user":"u-1"}"#);
    body
}

/// A streamed answer in text.
fn chat_stream(size: usize) -> Vec<u8> {
    let chunk = |delta: &str, reason: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-x\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_1\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{reason}}}],\"usage\":null}}\n\n"
        )
    };
    let mut text = chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null");
    while text.len() < size {
        text.push_str(&chunk(r#"{"content":" token"}"#, "null"));
    }
    text.push_str(&chunk("{}", "\"stop\""));
    text.push_str("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1760000000,\"model\":\"gpt-x\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}\n\ndata: [DONE]\n\n");
    text.into_bytes()
}

/// Everything the cases work on, made before any is measured.
struct Input {
    chat: String,
    messages: Vec<u8>,
    stream: Vec<u8>,
    seal: Seal,
}

impl Input {
    fn new(size: usize) -> Self {
        let chat = chat_body(size);
        let seal = Seal::new("bench", b"key");
        let messages = translate(&chat, Dialect::OpenAiChat, Dialect::Anthropic, &seal);
        Self { messages, stream: chat_stream(size), chat, seal }
    }

    fn bytes(&self, case: usize) -> usize {
        match case {
            5 => self.messages.len(),
            6 | 7 => self.stream.len(),
            _ => self.chat.len(),
        }
    }

    fn run(&self, case: usize) -> usize {
        match case {
            0 => serde_json::from_slice::<serde::de::IgnoredAny>(self.chat.as_bytes()).map_or(0, |_| 1),
            1 => Envelope::parse(self.chat.as_bytes()).map_or(0, |it| it.members().len()),
            2 => Envelope::parse(self.chat.as_bytes()).map_or(0, |it| usize::from(estimate_request(&it) > 0)),
            3 => Envelope::parse(self.chat.as_bytes()).map_or(0, |it| splice(&it)),
            4 => translate(&self.chat, Dialect::OpenAiChat, Dialect::Anthropic, &self.seal).len(),
            5 => std::str::from_utf8(&self.messages)
                .map_or(0, |body| translate(body, Dialect::Anthropic, Dialect::OpenAiChat, &self.seal).len()),
            6 => pump(self.watch(), &self.stream),
            _ => pump(self.translator(), &self.stream),
        }
    }

    fn watch(&self) -> StreamWatch {
        StreamWatch::new(&Watch {
            dialect: Dialect::OpenAiChat,
            framing: Framing::Sse,
            quirks: &Quirks::NONE,
            strip_usage_chunk: true,
            choices: 1,
            request_id: "r",
        })
    }

    fn translator(&self) -> Translator {
        let to = Client { created: 1, input_estimate_tokens: 1, ..Client::of("m", "i", &self.seal) };
        Translator::new(
            &Bridge::plain(Dialect::Anthropic, Dialect::OpenAiChat, &self.seal),
            Framing::Sse,
            &Quirks::NONE,
            &to,
        )
    }
}

fn splice(envelope: &Envelope<'_>) -> usize {
    let mut splice = Splice::new(envelope);
    splice.set_text("model", "gpt-x");
    splice.rename("max_tokens", "max_completion_tokens");
    let _ = splice.set_inside("stream_options", "include_usage", "true");
    splice.write().len()
}

fn translate(body: &str, from: Dialect, to: Dialect, seal: &Seal) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let target = Target {
        model: "m",
        quirks: &Quirks::NONE,
        max_output_tokens: Some(1),
        thinking: Thinking::Unknown,
        abilities: Abilities::UNKNOWN,
        seal,
    };
    if let Ok(request) = wire::decode_request(from, body) {
        let _ = wire::encode_request(to, &request, &target, &mut out, &mut ir::Dropped::default());
    }
    out
}

fn pump(mut pipe: impl Pipe, bytes: &[u8]) -> usize {
    let mut out = Vec::with_capacity(2 * CHUNK_BYTES);
    let mut total = 0;
    for chunk in bytes.chunks(CHUNK_BYTES) {
        pipe.push(chunk, &mut out);
        total += out.len();
        out.clear();
    }
    pipe.finish(&mut out);
    total + out.len()
}

/// The best round: what the code costs when nothing else runs.
fn best(input: &Input, case: usize) -> Duration {
    let begun = Instant::now();
    let mut best = Duration::MAX;
    while begun.elapsed() < Duration::from_millis(300) {
        let round = Instant::now();
        black_box(input.run(black_box(case)));
        best = best.min(round.elapsed());
    }
    best
}

/// Instructions of one round: of 11 rounds less those of one, so that making the input is left out.
fn instructions(case: usize, size: usize) -> Result<u64, Failure> {
    let count = |rounds: &str| -> Result<u64, Failure> {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["--rounds", rounds, &case.to_string(), &size.to_string()])
            .output()?;
        let text = String::from_utf8(output.stderr)?;
        let line = text.lines().find_map(|line| line.split_once("Collected :")).ok_or("callgrind said nothing")?;
        Ok(line.1.trim().parse()?)
    };
    Ok(count("11")?.saturating_sub(count("1")?) / 10)
}

/// Requests a second that no limit here refuses.
const PLENTY: u64 = 1_000_000_000_000;

/// What the admission of a request costs, and its end: by how much has to be looked at.
const ADMISSIONS: [&str; 4] = [
    "admission, 0 limits",
    "admission, 3 limits of a tenant",
    "admission, 8 limits of tenant and key",
    "the same, 2 budgets, a user, a tag",
];

fn key_limits(case: usize) -> Option<Arc<KeyLimits>> {
    let three = Limits {
        requests_per_minute: Some(PLENTY),
        tokens_per_minute: Some(PLENTY),
        concurrency: Some(PLENTY),
        ..Limits::default()
    };
    let five = Limits { requests_per_second: Some(PLENTY), output_tokens_per_hour: Some(PLENTY), ..three };
    let budgets = match case {
        3 => vec![Budget::hard(Unit::Usd, i128::MAX / 1_000, Period::plain(Per::Month))],
        _ => Vec::new(),
    };
    let share = match case {
        3 => Share { limits: three, budgets: Vec::new() },
        _ => Share::default(),
    };
    let [of_tenant, of_key] = match case {
        0 => [Limits::default(); 2],
        1 => [three, Limits::default()],
        _ => [three, five],
    };
    let tenant = Tenant {
        id: "acme".into(),
        limits: of_tenant,
        budgets: budgets.clone(),
        users: share.clone(),
        tags: vec![(ModelPattern("team=*".into()), share)],
        ..Tenant::default()
    };
    let key = Key { id: "dev".into(), tenant: Arc::new(tenant), limits: of_key, budgets, ..Key::default() };
    let runtime = Runtime { keys: [([0; 32], Arc::new(key))].into_iter().collect(), ..Runtime::default() };
    Limiter::new().bind(&runtime).get(&[0; 32]).map(Arc::clone)
}

/// One request, from its admission to its end.
fn admission(limits: &KeyLimits, clock: &Clock, tags: &[String]) {
    let at = clock.moment();
    let want = Want { input_tokens: 500, output_tokens: 200, most_output_tokens: 4_096, cost: PicoUsd(7_000) };
    let ask = Ask { model: "fast", target: "openai/gpt-x", user: Some("ada"), tags, want };
    if let Ok(mut admission) = limits.admit(&ask, at) {
        let used = Used { target: "openai/gpt-x", input_tokens: 480, output_tokens: 90, cost: PicoUsd(3_000) };
        black_box(admission.settle(&[used], at));
    }
}

/// The best of many rounds, for one request.
fn admissions() -> Result<(), Failure> {
    const IN_A_ROUND: u32 = 1_000;
    let mut out = std::io::stdout().lock();
    let (clock, tags) = (Clock::start(), ["team=search".to_owned()]);
    for (case, name) in ADMISSIONS.iter().enumerate() {
        let limits = key_limits(case).ok_or("no limits were bound")?;
        let (begun, mut best) = (Instant::now(), Duration::MAX);
        while begun.elapsed() < Duration::from_secs(1) {
            let round = Instant::now();
            for _ in 0..IN_A_ROUND {
                admission(black_box(&limits), &clock, &tags);
            }
            best = best.min(round.elapsed());
        }
        writeln!(out, "{name:40}{:>18.1?}", best / IN_A_ROUND)?;
    }
    Ok(())
}

fn table(cell: impl Fn(usize, usize, &Input) -> Result<String, Failure>) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    write!(out, "{:32}", "")?;
    for (label, _) in SIZES {
        write!(out, "{label:>26}")?;
    }
    writeln!(out)?;
    let inputs = SIZES.map(|(_, size)| (size, Input::new(size)));
    for (case, name) in NAMES.iter().enumerate() {
        write!(out, "{name:32}")?;
        for (size, input) in &inputs {
            write!(out, "{:>26}", cell(case, *size, input)?)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--rounds", rounds, case, size] => {
            let (case, input) = (case.parse()?, Input::new(size.parse()?));
            for _ in 0..rounds.parse::<u32>()? {
                black_box(input.run(black_box(case)));
            }
            Ok(())
        }
        ["--instructions"] => table(|case, size, input| {
            let count = instructions(case, size)?;
            let tenths = count * 10 / u64::try_from(input.bytes(case))?.max(1);
            Ok(format!("{count} ({}.{} a byte)", tenths / 10, tenths % 10))
        }),
        ["--admissions"] => admissions(),
        ["--guards"] => guards(),
        _ => {
            times()?;
            admissions()?;
            guards()
        }
    }
}

/// What it costs to look at 1 KB of prose, kind by kind, and at one delta of a stream.
fn guards() -> Result<(), Failure> {
    let prose =
        "The quick brown fox jumps over 13 lazy dogs in 2024: see https://example.com/a?b=c for more. ".repeat(800);
    let mut out = std::io::stdout();
    for kinds in Kind::NAMED.iter().map(std::slice::from_ref).chain([&Kind::NAMED[..]]) {
        let mut watch = watching(kinds)?;
        let time = (0..20).map(|_| timed(|| watch.whole(black_box(&prose)))).min().unwrap_or_default();
        let name = if let [only] = kinds { only.as_str() } else { "all of them" };
        writeln!(out, "guard {name:<13} {:.2} us a KB", time.as_secs_f64() * 1e6 * 1_024.0 / prose.len() as f64)?;
    }
    let (mut watch, mut window, mut passed) = (watching(&Kind::NAMED[..6])?, Window::default(), String::new());
    let deltas: Vec<&str> = prose.as_bytes().chunks(4).filter_map(|piece| std::str::from_utf8(piece).ok()).collect();
    let time = timed(|| deltas.iter().for_each(|delta| _ = window.push(delta, &mut watch, &mut passed)));
    writeln!(out, "guard a delta of four letters: {} ns", time.as_nanos() / deltas.len() as u128)?;
    #[cfg(feature = "proxy")]
    {
        let none = || weir::stage::guard::Guarded::of(black_box([&[], &[], &[]]), weir::stage::accept::Endpoint::Chat);
        let time = timed(|| (0..1_000_000).for_each(|_| _ = black_box(none())));
        writeln!(out, "guard off: {:.2} ns a request", time.as_nanos() as f64 / 1e6)?;
    }
    schemas(&mut out)
}

/// What it costs to read a schema, and to hold 1 KB of JSON against it.
fn schemas(out: &mut std::io::Stdout) -> Result<(), Failure> {
    let schema = r##"{"type":"object","properties":{"rows":{"type":"array","items":{"$ref":"#/$defs/row"}}},
        "required":["rows"],"additionalProperties":false,"$defs":{"row":{"type":"object","properties":{
        "id":{"type":"integer","minimum":1},"name":{"type":"string","pattern":"^[a-z ]+$"},
        "kind":{"enum":["one","other"]}},"required":["id","name","kind"],"additionalProperties":false}}}"##;
    let row = r#"{"id":17,"name":"the quick brown fox","kind":"other"}"#;
    let answer = format!("{{\"rows\":[{}]}}", vec![row; 1_500].join(","));
    let best = |work: &dyn Fn()| (0..20).map(|_| timed(work)).min().unwrap_or_default().as_secs_f64() * 1e6;
    writeln!(out, "schema {} bytes: read in {:.2} us", schema.len(), best(&|| _ = black_box(Schema::new(schema))))?;
    let schema = Schema::new(schema)?;
    let time = best(&|| _ = black_box(schema.check(&answer)));
    writeln!(out, "schema held against JSON: {:.2} us a KB", time * 1_024.0 / answer.len() as f64)?;
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let since = Instant::now();
    black_box(work());
    since.elapsed()
}

fn watching(kinds: &[Kind]) -> Result<GuardWatch, Failure> {
    let detectors = Detectors::new(kinds, &[], &[]).map_err(|unfit| format!("{unfit:?}"))?;
    let (name, message) = ("bench".to_owned(), String::new());
    let guard = Guard { name, detectors, action: Action::Flag, on_input: true, on_output: true, message };
    Ok(GuardWatch::new([Arc::new(guard)].into()))
}

fn times() -> Result<(), Failure> {
    table(|case, _, input| {
        let time = best(input, case);
        let nanos = time.as_nanos().max(1);
        let mb_per_s = u128::try_from(input.bytes(case))? * 1_000 / nanos;
        Ok(format!("{time:.1?} ({mb_per_s} MB/s)"))
    })
}
