//! The same where requests are prepared and answers turned.

use bytes::Bytes;
use serde_json::Value;
use weir::config::env::Table;
use weir::config::load;
use weir::error::{Error, Kind};
use weir::stage::accept::Endpoint;
use weir::stage::answer::{Answer, Context};
use weir::stage::parse::{self, Parsed};
use weir::stage::route::{self, Target};
use weir::stage::translate::{Prepared, Source, prepare, prepare_continued};
use weir::usage::tokens::UsageSource;
use weir::wire::Dialect;
use weir::wire::owned::Owner;

use super::{FIRST, SECOND, grammar, text};

const CONFIG: &str = "
tenants:
  default:
    keys:
      - {id: default, secret: weir-test-key-0123456789}
providers:
  openai: { api_key: k }
  anthropic: { api_key: k }
  vllm: { base_url: 'http://127.0.0.1:1/v1' }
";

fn target(model: &str) -> Target {
    let runtime = load::from_text(CONFIG, "weir.yaml", &Table::of(&[])).unwrap();
    route::find(model, &runtime).unwrap()
}

struct Asked {
    body: Bytes,
    parsed: Parsed,
}

impl Asked {
    fn new(more: &str) -> Self {
        let body = Bytes::from(format!(
            r#"{{"model":"openai/gpt-5","stream":true,"messages":[{{"role":"user","content":"Tell"}}]{more}}}"#
        ));
        Self { parsed: parse::parse(Endpoint::Chat, "", None, &body).unwrap(), body }
    }

    fn source(&self) -> Source<'_> {
        Source {
            endpoint: Endpoint::Chat,
            body: &self.body,
            parsed: &self.parsed,
            strict: true,
            betas: &[],
            extra: None,
        }
    }

    fn answer(&self, prepared: &Prepared, target: &Target, resumable: bool) -> Answer {
        Answer::stream(self.context(prepared, target, resumable))
    }

    fn context<'c>(&'c self, prepared: &'c Prepared, target: &'c Target, resumable: bool) -> Context<'c> {
        Context {
            target,
            prepared,
            parsed: &self.parsed,
            body: &self.body,
            request_id: "r",
            id: "r",
            created: 1,
            max_bytes: 1000,
            earlier: &[],
            owner: None,
            resumable,
            own: None,
            guards: None,
        }
    }
}

fn read(answer: &mut Answer, chunks: &[Vec<u8>], out: &mut Vec<u8>) {
    for chunk in chunks {
        let mut chunk = Some(Bytes::from(chunk.clone()));
        answer.chunk(&mut chunk, false).unwrap();
        out.extend(chunk.unwrap_or_default());
    }
    let mut last = None;
    answer.chunk(&mut last, true).unwrap();
    out.extend(last.unwrap_or_default());
}

#[test]
fn an_answer_goes_on_at_a_target_of_another_format() {
    let (asked, first, second) = (Asked::new(""), target("openai/gpt-5"), target("anthropic/claude-sonnet-4-5"));
    let prepared = prepare(asked.source(), &first).unwrap();
    assert!(prepared.bridge.is_none(), "the request keeps its bytes");
    let (mut answer, mut out) = (asked.answer(&prepared, &first, true), Vec::new());
    assert!(!answer.keep_alive().is_empty());
    read(&mut answer, &FIRST.chunks(Dialect::OpenAiChat)[..3], &mut out);
    assert!(answer.error().is_some() && answer.is_broken());

    let said = answer.said().unwrap();
    let prepared = prepare_continued(asked.source(), &second, &said).unwrap();
    let body: Value = serde_json::from_slice(&prepared.body.whole()).unwrap();
    assert_eq!(body["messages"][1], serde_json::json!({"role": "assistant", "content": said.told()}));
    answer.resume(&prepared, &second);
    assert!(answer.error().is_none() && !answer.is_broken());
    out.extend(answer.keep_alive());
    out.extend(answer.note("continued on anthropic/claude-sonnet-4-5"));
    read(&mut answer, &SECOND.chunks(Dialect::Anthropic), &mut out);
    let told = grammar::assemble(Dialect::OpenAiChat, &String::from_utf8(out).unwrap());
    let said = format!("{}{}", said.told(), said.blanks());
    assert_eq!(text(Dialect::OpenAiChat, &told), format!("{said} was a queen."));
    assert_eq!(
        answer.usage(3).map(|(usage, source)| (usage.output_tokens(), source)),
        Some((5, UsageSource::Reported))
    );
    assert_eq!(answer.earlier().len(), 1);
}

#[test]
fn a_target_of_the_same_format_is_told_how_too() {
    let (asked, first, second) = (Asked::new(""), target("openai/gpt-5"), target("vllm/qwen"));
    let prepared = prepare(asked.source(), &first).unwrap();
    let (mut answer, mut out) = (asked.answer(&prepared, &first, true), Vec::new());
    read(&mut answer, &FIRST.chunks(Dialect::OpenAiChat)[..3], &mut out);
    let prepared = prepare_continued(asked.source(), &second, &answer.said().unwrap()).unwrap();
    let body: Value = serde_json::from_slice(&prepared.body.whole()).unwrap();
    assert_eq!((&body["model"], &body["stream"]), (&Value::from("qwen"), &Value::from(true)));
    assert_eq!(body["continue_final_message"], true);
    // Nobody was there to go on.
    assert!(String::from_utf8(answer.close().to_vec()).unwrap().contains("error"));
    assert!(answer.close().is_empty() && answer.said().is_none() && !answer.is_broken());
}

#[test]
fn unasked_or_for_several_answers_nothing_is_kept() {
    for (more, resumable) in [("", false), (r#","n":2"#, true)] {
        let (asked, first) = (Asked::new(more), target("openai/gpt-5"));
        let prepared = prepare(asked.source(), &first).unwrap();
        let (mut answer, mut out) = (asked.answer(&prepared, &first, resumable), Vec::new());
        let chunks = FIRST.chunks(Dialect::OpenAiChat);
        read(&mut answer, &chunks[..3], &mut out);
        assert!(out.starts_with(&chunks[..3].concat()), "the bytes of the same format stay");
        assert!(answer.said().is_none() && !answer.is_broken());
        assert!(answer.fail(Error::new(Kind::UpstreamTimeout, "slow")).is_empty());
    }
}

#[test]
fn what_the_provider_keeps_does_not_go_on() {
    let (asked, first) = (Asked::new(""), target("openai/gpt-5"));
    let prepared = prepare(asked.source(), &first).unwrap();
    let owner = Owner { seal: first.deployment.seal.clone(), tenant: "t".to_owned() };
    let context = Context { owner: Some(&owner), ..asked.context(&prepared, &first, true) };
    let (mut answer, mut out) = (Answer::stream(context), Vec::new());
    read(&mut answer, &FIRST.chunks(Dialect::OpenAiChat)[..3], &mut out);
    assert!(answer.error().is_some() && answer.said().is_none() && !answer.is_broken());
}

#[test]
fn what_is_no_generation_does_not_go_on() {
    let (asked, first) = (Asked::new(""), target("openai/gpt-5"));
    let source = Source { endpoint: Endpoint::Completions, ..asked.source() };
    assert!(prepare_continued(source, &first, &weir::wire::stream::Said::new("a")).is_err());
}
