//! The parts of a request's way, each on inputs that are always the same.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use weir::config::budget::{Budget, Per, Period, Unit};
use weir::config::limits::Limits;
use weir::config::runtime::{Key, Runtime, Tenant};
use weir::limit::clock::Clock;
use weir::limit::{Ask, Limiter, Used, Want};
use weir::record::{Outcome, Record};
use weir::tenant::keys::{Keyring, Roster};
use weir::usage::estimate::estimate_request;
use weir::usage::price::{Charge, PicoUsd, PriceTable};
use weir::usage::tokens::{Usage, UsageSource};
use weir::wire::bridge::Bridge;
use weir::wire::envelope::{Envelope, amount};
use weir::wire::frames::Framing;
use weir::wire::seal::Seal;
use weir::wire::splice::Splice;
use weir::wire::stream::{Pipe, Translator};
use weir::wire::watch::{self, StreamWatch, Watch};
use weir::wire::{self, Abilities, Client, Dialect, Quirks, Target, Thinking, ir};

use crate::bodies;

/// One round of a case; what comes back is not 0.
type Round = Box<dyn FnMut() -> usize>;

/// One line of the table.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Enough that what differs from process to process is lost in them.
    pub(crate) rounds: u32,
    pub(crate) make: fn() -> Round,
}

const CHAT: Dialect = Dialect::OpenAiChat;
const MESSAGES: Dialect = Dialect::Anthropic;
const RESPONSES: Dialect = Dialect::Responses;

const fn case(name: &'static str, rounds: u32, make: fn() -> Round) -> Case {
    Case { name, rounds, make }
}

/// By the order of a request's way.
pub(crate) const CASES: [Case; 24] = [
    case("key: found among 100", 5_000, key),
    case("request of 2 KB: parsed and estimated", 100, || parsed(2)),
    case("request of 76 KB: parsed and estimated", 10, || parsed(76)),
    case("limits: of tenant and key, two budgets, admitted, settled", 500, admission),
    case("request of 2 KB: restored and spliced", 100, || spliced(2)),
    case("request of 76 KB: restored and spliced", 10, || spliced(76)),
    case("request of 2 KB: chat to messages", 100, || translated(CHAT, MESSAGES, 2)),
    case("request of 76 KB: chat to messages", 5, || translated(CHAT, MESSAGES, 76)),
    case("request of 2 KB: messages to chat", 100, || translated(MESSAGES, CHAT, 2)),
    case("request of 2 KB: responses to messages", 100, || translated(RESPONSES, MESSAGES, 2)),
    case("answer: watched, chat", 200, || watched(CHAT)),
    case("answer: watched, messages", 200, || watched(MESSAGES)),
    case("answer: messages to chat", 100, || answered(MESSAGES, CHAT)),
    case("answer: chat to messages", 100, || answered(CHAT, MESSAGES)),
    case("stream of 100 events at once: watched, chat", 10, || watched_stream(CHAT, true)),
    case("stream of 100 events one by one: watched, chat", 10, || watched_stream(CHAT, false)),
    case("stream of 100 events one by one: watched, messages", 10, || watched_stream(MESSAGES, false)),
    case("stream of 100 events one by one: watched, responses", 10, || watched_stream(RESPONSES, false)),
    case("stream of 100 events at once: messages to chat", 10, || translated_stream(MESSAGES, CHAT, true)),
    case("stream of 100 events one by one: messages to chat", 10, || translated_stream(MESSAGES, CHAT, false)),
    case("stream of 100 events one by one: chat to messages", 10, || translated_stream(CHAT, MESSAGES, false)),
    case("stream of 100 events one by one: responses to chat", 10, || translated_stream(RESPONSES, CHAT, false)),
    case("price: looked up and multiplied", 1_000, price),
    case("record: packed", 1_000, packed),
];

fn request(dialect: Dialect, kib: usize) -> String {
    let chat = bodies::chat("openai/gpt-4o-mini", kib << 10, false);
    if dialect == CHAT { chat } else { bodies::request(dialect, "openai/gpt-4o-mini", &chat) }
}

fn seal() -> Seal {
    Seal::new("bench", b"key")
}

fn client(seal: &Seal) -> Client<'_> {
    Client {
        created: 1_760_000_000,
        input_estimate_tokens: 512,
        ..Client::of("gpt-4o-mini", "0197f0c0d0e07000800000000000000a", seal)
    }
}

fn key() -> Round {
    let tenant = Arc::new(Tenant { id: "acme".into(), ..Tenant::default() });
    let secret = |n: u32| format!("bench-key-{n:04}");
    let key = |n: u32| {
        let key = Key { id: format!("key-{n}"), tenant: Arc::clone(&tenant), ..Key::default() };
        (Sha256::digest(secret(n)).into(), Arc::new(key))
    };
    let runtime = Runtime { keys: (0..100).map(key).collect(), ..Runtime::default() };
    let ring = Keyring::new(&runtime, Roster::default(), &Limiter::new().bind(&runtime));
    let (secret, now) = (secret(77), SystemTime::UNIX_EPOCH + Duration::from_secs(1_760_000_000));
    Box::new(move || {
        let found = ring.find(black_box(secret.as_bytes()), now, || Ok(()));
        found.and_then(|caller| caller.admit(now, None)).map_or(0, |()| 1)
    })
}

fn parsed(kib: usize) -> Round {
    let body = request(CHAT, kib);
    Box::new(move || {
        let Ok(envelope) = Envelope::parse(black_box(body.as_bytes())) else { return 0 };
        let is_read = envelope.model().is_ok() && envelope.stream().is_ok_and(|stream| !stream);
        let tokens = estimate_request(&envelope) + envelope.present("max_tokens").and_then(amount).unwrap_or(0);
        black_box(envelope.outline());
        if is_read { usize::from(tokens > 0) } else { 0 }
    })
}

fn spliced(kib: usize) -> Round {
    let body = Bytes::from(request(CHAT, kib));
    let outline = Envelope::parse(&body).expect("a request").outline();
    Box::new(move || {
        let envelope = Envelope::restore(black_box(&body), &outline);
        let mut splice = Splice::new(&envelope);
        splice.set_text("model", "gpt-4o-mini");
        let is_set = splice.set_inside("stream_options", "include_usage", "true").is_ok();
        // Whether any of it has to be looked at deeper is asked of each body whose format stays.
        let is_plain = !Bridge::may_change(&body, Abilities::UNKNOWN, &Quirks::NONE);
        if is_set && is_plain { splice.write_around(&body).len() } else { 0 }
    })
}

fn translated(from: Dialect, to: Dialect, kib: usize) -> Round {
    let (body, seal) = (request(from, kib), seal());
    Box::new(move || {
        let target = Target {
            model: "gpt-4o-mini",
            quirks: &Quirks::NONE,
            max_output_tokens: Some(8_192),
            thinking: Thinking::Unknown,
            abilities: Abilities::UNKNOWN,
            seal: &seal,
        };
        let Ok(mut request) = wire::decode_request(from, black_box(&body)) else { return 0 };
        let mut dropped = ir::Dropped::default();
        let bridge = Bridge::request(&mut request, to, &target, &mut dropped);
        let mut out = Vec::with_capacity(body.len() + body.len() / 8 + 256);
        let written = wire::encode_request(to, &request, &target, &mut out, &mut dropped);
        if bridge.is_ok() && written.is_ok() { out.len() } else { 0 }
    })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("JSON is text")
}

fn watched(dialect: Dialect) -> Round {
    let answer = text(bodies::answer(dialect));
    Box::new(move || {
        let seen = watch::whole(dialect, black_box(&answer), &Quirks::NONE);
        seen.and_then(|seen| seen.usage).map_or(0, |_| 1)
    })
}

fn answered(from: Dialect, to: Dialect) -> Round {
    let (answer, seal) = (text(bodies::answer(from)), seal());
    let bridge = Bridge::plain(to, from, &seal);
    Box::new(move || {
        let Ok(mut response) = wire::decode_response(from, black_box(&answer), &Quirks::NONE) else { return 0 };
        bridge.response(&mut response);
        let mut out = Vec::with_capacity(answer.len() + 512);
        wire::encode_response(to, &response, &client(&seal), &mut out);
        out.len()
    })
}

/// A stream's bytes as they are read: all of them, or an event at a time.
fn pieces(dialect: Dialect, at_once: bool) -> Vec<Vec<u8>> {
    let events = bodies::events(dialect);
    if at_once { vec![events.concat()] } else { events }
}

fn pumped(mut pipe: impl Pipe, pieces: &[Vec<u8>]) -> usize {
    let mut total = 0;
    for piece in pieces {
        let mut out = Vec::with_capacity(piece.len());
        pipe.push(black_box(piece), &mut out);
        total += out.len();
    }
    let mut out = Vec::new();
    pipe.finish(&mut out);
    let is_whole =
        pipe.progress().usage.is_some() && pipe.progress().ending.as_ref().is_some_and(|it| it.error().is_none());
    if is_whole { total + out.len() } else { 0 }
}

fn watched_stream(dialect: Dialect, at_once: bool) -> Round {
    let pieces = pieces(dialect, at_once);
    Box::new(move || {
        let watch = StreamWatch::new(&Watch {
            dialect,
            framing: Framing::Sse,
            quirks: &Quirks::NONE,
            strip_usage_chunk: true,
            choices: 1,
            request_id: "0197f0c0-d0e0-7000-8000-00000000000a",
        });
        pumped(watch, &pieces)
    })
}

fn translated_stream(from: Dialect, to: Dialect, at_once: bool) -> Round {
    let (pieces, seal) = (pieces(from, at_once), seal());
    let bridge = Bridge::plain(to, from, &seal);
    Box::new(move || pumped(Translator::new(&bridge, Framing::Sse, &Quirks::NONE, &client(&seal)), &pieces))
}

/// Requests that no limit here refuses.
const PLENTY: u64 = 1_000_000_000_000;

fn admission() -> Round {
    let limits = Limits {
        requests_per_minute: Some(PLENTY),
        tokens_per_minute: Some(PLENTY),
        concurrency: Some(PLENTY),
        ..Limits::default()
    };
    let budgets = || vec![Budget::hard(Unit::Usd, i128::MAX / 1_000, Period::plain(Per::Month))];
    let tenant = Tenant { id: "acme".into(), limits, budgets: budgets(), ..Tenant::default() };
    let key = Key { id: "dev".into(), tenant: Arc::new(tenant), limits, budgets: budgets(), ..Key::default() };
    let runtime = Runtime { keys: [([0; 32], Arc::new(key))].into_iter().collect(), ..Runtime::default() };
    let limits = Limiter::new().bind(&runtime).get(&[0; 32]).map(Arc::clone).expect("its limits");
    // One moment for all: what a window drops as time goes by is not the same twice.
    let at = Clock::start().moment();
    Box::new(move || {
        let want = Want { input_tokens: 500, output_tokens: 200, most_output_tokens: 4_096, cost: PicoUsd(7_000) };
        let ask = Ask { model: "fast", target: "openai/gpt-4o-mini", user: None, tags: &[], want };
        let Ok(mut admission) = limits.admit(&ask, black_box(at)) else { return 0 };
        let used = Used { target: "openai/gpt-4o-mini", input_tokens: 480, output_tokens: 90, cost: PicoUsd(3_000) };
        admission.settle(&[used], at).len() + 1
    })
}

fn usage() -> Usage {
    Usage { fresh_input_tokens: 384, cached_tokens: 128, visible_output_tokens: 64, ..Usage::default() }
}

fn price() -> Round {
    let (prices, usage) = (PriceTable::builtin(), usage());
    Box::new(move || {
        let info = prices.find("openai", black_box("gpt-4o-mini"));
        info.and_then(|info| info.cost(black_box(&usage), Some("default"), 20_500, None)).map_or(0, |_| 1)
    })
}

fn packed() -> Round {
    let started_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_760_000_000_123);
    let id = "0197f0c0-d0e0-7000-8000-00000000000a".parse().expect("an id");
    Box::new(move || {
        let record = Record {
            tenant: Some("acme"),
            key_id: Some("acme-prod"),
            model: Some("openai/gpt-4o-mini"),
            provider: Some("openai"),
            upstream_model: Some("gpt-4o-mini"),
            response_model: Some("gpt-4o-mini-2024-07-18"),
            status: 200,
            outcome: Outcome::Finished,
            attempts: 1,
            usage: Some(usage()),
            usage_source: Some(UsageSource::Reported),
            service_tier: Some("default"),
            charge: Charge::whole(PicoUsd(115_200_000)),
            price_version: Some("2026-11-20-0123456789ab"),
            duration: Duration::from_micros(812_345),
            overhead: Duration::from_micros(210),
            ..Record::new(id, started_at, "chat")
        };
        black_box(record).pack().len()
    })
}
