//! The table: each case has a provider and a route of its own, so that none meets the cooldown of
//! another, and all of a group run side by side against one gateway.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::fault::{self, Fate, Fault};
use super::format::Format;
use super::voice::{PIECES, Voice};
use crate::support::client::Answer;
use crate::support::gateway::{Gateway, KEY};
use crate::support::upstream::{Conn, Request, Upstream};

/// Attempts after the first.
pub(crate) const RETRIES: usize = 2;
/// Cases that are under way at once.
const SIDE_BY_SIDE: usize = 48;
/// A bound that only a gateway without deadlines reaches: three targets' patience, on a busy machine.
const LONGEST: Duration = Duration::from_secs(20);

/// Patience with providers, and no cap on second attempts: nearly every request of a table has one.
pub(crate) const DEFAULTS: &str = "timeouts: {connect: 1s, first_token: 700ms, idle: 700ms, total: 3s}, retries: 2, backoff: 20ms, \
     max_wait: 2s, retry_budget: {percent: 100, floor: 1000000}";

/// One line of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) fault: Fault,
    pub(crate) voice: Voice,
    pub(crate) format: Format,
    pub(crate) stream: bool,
    pub(crate) fallback: bool,
}

/// Every case there is of these.
pub(crate) fn cases(faults: &[Fault], voices: &[Voice], formats: &[Format], fallbacks: &[bool]) -> Vec<Case> {
    let mut all = Vec::new();
    for &fault in faults {
        for &voice in voices {
            for &format in formats {
                for stream in [false, true].into_iter().filter(|stream| fault.fits(voice, *stream)) {
                    all.extend(fallbacks.iter().map(|&fallback| Case { fault, voice, format, stream, fallback }));
                }
            }
        }
    }
    all
}

/// What came of a case.
pub(crate) struct Seen {
    pub(crate) answer: Answer,
    took: Duration,
}

/// Runs a table; fails with every case that went wrong.
pub(crate) fn check(cases: &[Case]) {
    let upstream = play(cases.to_vec());
    let gateway = Gateway::start(&config(cases, &upstream, DEFAULTS));
    let seen = ask_all(&gateway, cases);
    let records = records(&gateway, cases.len());
    let asked = Asked::of(&upstream);
    let metrics = Counts::of_gateway(&gateway);
    let mut wrong = String::new();
    for (n, (case, seen)) in cases.iter().zip(&seen).enumerate() {
        let record = records.get(&case.model(n)).unwrap_or(&Value::Null);
        let checked = case
            .check_answer(seen)
            .and_then(|()| case.check_attempts(asked.counts(n), &seen.answer))
            .and_then(|()| case.check_record(record))
            .and_then(|()| case.check_metrics(n, record, &metrics));
        if let Err(what) = checked {
            let head = &seen.answer.head;
            let body: String = String::from_utf8_lossy(&seen.answer.body).chars().take(1500).collect();
            let _ = writeln!(
                wrong,
                "p{n} {case:?}: {what}\n  asked {:?}, {:?}, status {}, attempts {:?}: {body}\n  {record}",
                asked.counts(n),
                seen.took,
                head.status,
                head.find("x-weir-attempts"),
            );
        }
    }
    let count = wrong.matches(" Case {").count();
    assert!(wrong.is_empty(), "{count} of {} cases:\n{wrong}", cases.len());
}

/// The record of each case, by its route.
pub(crate) fn records(gateway: &Gateway, count: usize) -> HashMap<String, Value> {
    let all = gateway.wait_records(count).into_iter();
    all.map(|record| (record["model"].as_str().unwrap_or_default().to_owned(), record)).collect()
}

/// One upstream for all: the path names the case.
pub(crate) fn play(cases: Vec<Case>) -> Upstream {
    Upstream::start(move |request, conn| match target(&request.path) {
        Some(n) => {
            let case = &cases[n];
            case.fault.play(case.voice, is_stream(case.voice, request), conn);
        }
        None => spare(request, conn),
    })
}

/// The other target, which always answers well.
fn spare(request: &Request, conn: &mut Conn) {
    fault::good(Voice::Chat, is_stream(Voice::Chat, request), conn);
}

pub(crate) fn is_stream(voice: Voice, request: &Request) -> bool {
    voice.wants_stream(&request.path, &request.json())
}

/// `/p17/v1/...` is asked for the case 17.
pub(crate) fn target(path: &str) -> Option<usize> {
    path.strip_prefix("/p")?.split('/').next()?.parse().ok()
}

/// A provider and a route for each case.
pub(crate) fn config(cases: &[Case], upstream: &Upstream, defaults: &str) -> String {
    let (here, nobody) = (upstream.address, Upstream::nobody());
    let (mut providers, mut routes) = (String::new(), String::new());
    for (n, case) in cases.iter().enumerate() {
        let address = if case.fault == Fault::Refuse { nobody } else { here };
        let patience = case.fault.patience().map_or(String::new(), |times| format!(", timeouts: {{{times}}}"));
        let members = case.voice.provider(&format!("http://{address}/p{n}"));
        let _ = writeln!(providers, "  p{n}: {{{members}{patience}}}");
        let spare = if case.fallback { ", {model: spare/m}" } else { "" };
        let _ = writeln!(routes, "  r{n}: {{targets: [{{model: p{n}/m}}{spare}]}}");
    }
    let spare = Voice::Chat.provider(&format!("http://{here}/spare"));
    whole_config(&format!("  spare: {{{spare}}}\n{providers}"), &format!("routes:\n{routes}"), defaults)
}

fn whole_config(providers: &str, routes: &str, defaults: &str) -> String {
    format!(
        "server: {{listen: \"127.0.0.1:0\", threads: 2}}\nadmin: {{listen: \"127.0.0.1:0\"}}\nstate: {{dir: \"@DIR@/data\"}}\n\
         providers:\n{providers}{routes}defaults: {{{defaults}}}\n\
         tenants: {{acme: {{keys: [{{id: dev, secret: \"{KEY}\"}}]}}}}\ntelemetry: {{access_log: stdout}}\n"
    )
}

/// A configuration with one provider, `it`.
pub(crate) fn one_provider(voice: Voice, at: SocketAddr, defaults: &str) -> String {
    whole_config(&format!("  it: {{{}}}\n", voice.provider(&format!("http://{at}"))), "", defaults)
}

/// What came of each case, in their order.
pub(crate) fn ask_all(gateway: &Gateway, cases: &[Case]) -> Vec<Seen> {
    let next = AtomicUsize::new(0);
    let ask = || {
        let mut seen = Vec::new();
        loop {
            let n = next.fetch_add(1, Ordering::SeqCst);
            let Some(case) = cases.get(n) else { return seen };
            seen.push((n, case.ask(gateway, n)));
        }
    };
    let mut all: Vec<(usize, Seen)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(ask)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("the client got an answer")).collect()
    });
    all.sort_by_key(|(n, _)| *n);
    all.into_iter().map(|(_, seen)| seen).collect()
}

/// How often each target was asked, by what stands in the prompts.
struct Asked(HashMap<usize, [usize; 2]>);

impl Asked {
    fn of(upstream: &Upstream) -> Self {
        let mut counts: HashMap<usize, [usize; 2]> = HashMap::new();
        for request in upstream.requests() {
            let body = String::from_utf8_lossy(&request.body);
            let case = body.split("case ").nth(1).and_then(|rest| rest.split('.').next()?.parse().ok());
            let counts = counts.entry(case.expect("the prompt came through")).or_default();
            counts[usize::from(target(&request.path).is_none())] += 1;
        }
        Self(counts)
    }

    /// Of the case's own target, and of the spare one.
    fn counts(&self, n: usize) -> [usize; 2] {
        self.0.get(&n).copied().unwrap_or_default()
    }
}

pub(crate) type Checked = Result<(), String>;

fn ensure(is_right: bool, what: impl FnOnce() -> String) -> Checked {
    if is_right { Ok(()) } else { Err(what()) }
}

impl Case {
    pub(crate) fn model(&self, n: usize) -> String {
        format!("r{n}")
    }

    pub(crate) fn fate(&self) -> Fate {
        self.fault.fate(self.voice, self.stream)
    }

    /// The spare target answers.
    fn falls_over(&self) -> bool {
        self.fallback && matches!(self.fate(), Fate::MayRepeat | Fate::Spent)
    }

    fn is_answered(&self) -> bool {
        self.fate() == Fate::Whole || self.falls_over()
    }

    fn ask(&self, gateway: &Gateway, n: usize) -> Seen {
        let model = self.model(n);
        let body = self.format.body(&model, &format!("case {n}."), self.stream);
        let began = Instant::now();
        let answer = gateway.post(&self.format.path(&model, self.stream), &body);
        Seen { answer, took: began.elapsed() }
    }

    fn check_answer(&self, seen: &Seen) -> Checked {
        let answer = &seen.answer;
        ensure(seen.took < LONGEST, || "took too long".to_owned())?;
        if self.is_answered() {
            ensure(answer.status() == 200, || "no answer".to_owned())?;
            return self.check_text(answer);
        }
        if self.fate() != Fate::Begun {
            let allowed = self.fault.statuses(self.voice, self.stream);
            ensure(allowed.contains(&answer.status()), || format!("the status is none of {allowed:?}"))?;
            self.check_deadline(answer)?;
            return self.format.flaw_of_error(answer).map_or(Ok(()), Err);
        }
        ensure(answer.status() == 200, || "the answer had begun".to_owned())?;
        self.check_deadline(answer)?;
        let told = self.format.read(answer)?;
        let expected = match self.fault {
            Fault::DripForever => PIECES[0].to_owned() + &fault::AND_ON.repeat(1000),
            _ => PIECES.concat(),
        };
        ensure(!told.is_whole && told.errors.len() == 1, || format!("not one error event: {told:?}"))?;
        let is_beginning = !told.text.is_empty() && expected.starts_with(&told.text);
        ensure(is_beginning, || format!("not the beginning of the answer: {:?}", told.text))
    }

    fn check_deadline(&self, answer: &Answer) -> Checked {
        let named = self.fault.deadline(self.voice, self.stream).unwrap_or_default();
        ensure(answer.text().contains(named), || format!("does not name the {named}"))
    }

    pub(crate) fn check_text(&self, answer: &Answer) -> Checked {
        let expected = match self.fault {
            Fault::Giant => "x".repeat(fault::GIANT_BYTES),
            _ => PIECES.concat(),
        };
        let text = if self.stream {
            let told = self.format.read(answer)?;
            ensure(told.is_whole && told.errors.is_empty(), || "the stream is not whole".to_owned())?;
            told.text
        } else {
            self.format.text(&answer.json())
        };
        ensure(text == expected, || format!("another text, of {} bytes", text.len()))
    }

    /// Who was asked how often, and what the headers say of it.
    fn check_attempts(&self, [own, spare]: [usize; 2], answer: &Answer) -> Checked {
        let most = match self.fate() {
            Fate::MayRepeat if !self.fallback => 1 + RETRIES,
            _ => 1,
        };
        let told: usize = answer.header("x-weir-attempts").parse().unwrap_or_default();
        // Where nobody listens, nobody counts either.
        let made = if self.fault == Fault::Refuse { told.saturating_sub(spare) } else { own };
        ensure((1..=most).contains(&made), || format!("asked {made} times, not 1 to {most}"))?;
        let wanted = usize::from(self.falls_over());
        ensure(spare == wanted, || format!("the other target was asked {spare} times"))?;
        ensure(told == made + spare, || format!("x-weir-attempts says {told}"))?;
        if self.falls_over() {
            ensure(told == 2, || format!("{told} attempts"))?;
        }
        let used = answer.header("x-weir-fallback-used");
        ensure(used == if self.falls_over() { "1" } else { "" }, || format!("x-weir-fallback-used says {used:?}"))
    }

    fn check_record(&self, record: &Value) -> Checked {
        let outcome = match self.fate() {
            Fate::Begun => "upstream_cut",
            _ if self.is_answered() => "finished",
            _ => "failed",
        };
        ensure(record["outcome"] == outcome, || format!("the record does not say {outcome}"))?;
        ensure(record["fallback"] == self.falls_over(), || "the record is wrong about the fallback".to_owned())?;
        let (source, output) = (record["usage_source"].as_str(), record["output_tokens"].as_u64());
        if self.is_answered() {
            let counts = (source, record["input_tokens"].as_u64(), output);
            ensure(counts == (Some("reported"), Some(11), Some(7)), || format!("used {counts:?}"))?;
        } else if self.fate() == Fate::Begun {
            let is_counted = matches!(source, Some("partial" | "estimated")) && output.is_some_and(|n| n > 0);
            ensure(is_counted, || format!("used {source:?} {output:?}"))?;
        } else if self.fault.deadline(self.voice, self.stream).is_some() {
            // It was left alone with the request, and has read it.
            let is_counted = record["input_tokens"].as_u64().is_some_and(|n| n > 0);
            ensure(is_counted, || "what the provider has read is not counted".to_owned())?;
        }
        self.check_timeline(record)
    }

    fn check_timeline(&self, record: &Value) -> Checked {
        let timeline = record["timeline"].as_array().ok_or("the record has no timeline")?;
        ensure(record["attempts"] == timeline.len(), || "the timeline has other attempts".to_owned())?;
        let words = self.fault.words(self.voice, self.stream);
        for (at, attempt) in timeline.iter().enumerate() {
            let word = attempt["outcome"].as_str().unwrap_or_default();
            let is_spare = attempt["provider"] == "spare";
            let fits = if is_spare { word == "ok" } else { words.contains(&word) };
            ensure(fits, || format!("attempt {at} was {word:?}, not one of {words:?}"))?;
            let kind = match (at, is_spare) {
                (0, _) => "first",
                (_, false) => "retry",
                (_, true) => "fallback",
            };
            ensure(attempt["kind"] == kind, || format!("attempt {at} is no {kind}"))?;
            // What was left alone with the request, or broke in its answer, has used something.
            let has_used = self.falls_over() && !is_spare && self.fault.deadline(self.voice, self.stream).is_some();
            let is_booked = attempt["input_tokens"].as_u64().is_some_and(|n| n > 0)
                && matches!(attempt["usage_source"].as_str(), Some("estimated" | "partial"));
            ensure(!has_used || is_booked, || format!("attempt {at} used nothing"))?;
            let times = attempt["at_ms"].is_number() && attempt["duration_ms"].is_number();
            ensure(times, || format!("attempt {at} has no times"))?;
        }
        Ok(())
    }

    fn check_metrics(&self, n: usize, record: &Value, counts: &Counts) -> Checked {
        let name = format!("p{n}");
        let own = record["attempts"].as_u64().unwrap_or_default() - u64::from(self.falls_over());
        let counted = counts.of("weir_attempts_total", &name);
        let sum: u64 = counted.values().sum();
        ensure(sum == own, || format!("weir_attempts_total counts {counted:?}"))?;
        let words = self.fault.words(self.voice, self.stream);
        ensure(counted.keys().all(|word| words.contains(&word.as_str())), || {
            format!("weir_attempts_total counts {counted:?}, not {words:?}")
        })?;
        let fallbacks = counts.of("weir_fallbacks_total", &name);
        let wanted = if self.falls_over() { HashMap::from([("spare".to_owned(), 1)]) } else { HashMap::new() };
        ensure(fallbacks == wanted, || format!("weir_fallbacks_total counts {fallbacks:?}"))
    }
}

/// What the metrics count: by name and provider, then by outcome, or by the provider asked next.
struct Counts(HashMap<(String, String), HashMap<String, u64>>);

impl Counts {
    fn of_gateway(gateway: &Gateway) -> Self {
        let mut all: HashMap<_, HashMap<_, _>> = HashMap::new();
        for line in gateway.metrics().lines() {
            let Some((name, rest)) = line.split_once('{') else { continue };
            let Some((labels, count)) = rest.split_once("} ") else { continue };
            let label = |wanted: &str| {
                let found =
                    labels.split(',').filter_map(|label| label.split_once('=')).find(|(name, _)| *name == wanted);
                found.map(|(_, value)| value.trim_matches('"').to_owned())
            };
            let pair = match name {
                "weir_attempts_total" => label("provider").zip(label("outcome")),
                "weir_fallbacks_total" => label("from").zip(label("to")),
                _ => None,
            };
            if let Some((provider, what)) = pair {
                let count: u64 = count.parse().expect("a count is whole");
                *all.entry((name.to_owned(), provider)).or_default().entry(what).or_default() += count;
            }
        }
        Self(all)
    }

    fn of(&self, metric: &str, provider: &str) -> HashMap<String, u64> {
        self.0.get(&(metric.to_owned(), provider.to_owned())).cloned().unwrap_or_default()
    }
}
