//! Which path answers what.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::app::{Answer, Body, Frame};
use super::cache::{Cache, Input};
use super::chat::{self, CREATED};
use super::cloud;
use super::failure::{Failure, Format};
use super::log::{Entry, Log, Tokens};
use super::meaning::{self, Ask};
use super::model::{Behaviour, Fault, LISTED, behaviour};
use super::prompt::{Prompt, text};
use super::reply::{Reply, compose};
use super::{completions, embeddings, invoke, messages};
use crate::wire::{self, Dialect};

/// What outlives a request.
#[derive(Debug, Default)]
pub(super) struct State {
    log: Mutex<Log>,
    cache: Mutex<Cache>,
}

/// A request, read whole.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    fn credential(&self) -> &str {
        self.header("authorization").or_else(|| self.header("x-api-key")).unwrap_or_default()
    }
}

impl State {
    pub(super) fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, and its number in the log where it has one.
    pub(super) fn answer(&self, asked: &Asked) -> (Answer, Option<u64>) {
        let path = asked.path.split('?').next().unwrap_or_default();
        if path == "/_sim/log" {
            return (self.log_request(&asked.method), None);
        }
        let entry = Entry {
            method: asked.method.clone(),
            path: asked.path.clone(),
            headers: asked.headers.clone(),
            body: asked.body.clone(),
            ..Entry::default()
        };
        let number = self.log().enter(entry);
        let path = path.strip_prefix("/v1").filter(|p| p.starts_with('/')).unwrap_or(path);
        let moved = match cloud::at_home(asked, path) {
            Some(Err(failure)) => return (refusal(&failure, Format::OpenAi), Some(number)),
            Some(Ok(moved)) => Some(moved),
            None => None,
        };
        let (asked, path) = moved.as_ref().map_or((asked, path), |moved| (moved, moved.path.as_str()));
        if let Some(ask) = meaning::asked(path).filter(|_| asked.method == "POST") {
            let answer = self.mean(asked, number, &ask).unwrap_or_else(|failure| meant_refusal(&failure, ask.dialect));
            let answer = if ask.dialect == Dialect::Converse { in_event_stream(answer) } else { answer };
            return (answer, Some(number));
        }
        if let Some(call) = invoke::asked(path).filter(|_| asked.method == "POST") {
            let messages = call.body(&asked.body).map(|body| Asked { body, ..asked.clone() });
            let answer = messages.and_then(|asked| self.generate(&asked, number, &INVOKE));
            let answer = answer.unwrap_or_else(|failure| meant_refusal(&failure, Dialect::Converse));
            return (in_event_stream(answer), Some(number));
        }
        let (format, answer) = match (asked.method.as_str(), path) {
            ("POST", "/chat/completions") => (Format::OpenAi, self.generate(asked, number, &CHAT)),
            ("POST", "/completions") => (Format::OpenAi, self.generate(asked, number, &COMPLETIONS)),
            ("POST", "/messages") => (Format::Anthropic, self.generate(asked, number, &MESSAGES)),
            ("POST", "/messages/count_tokens") => (Format::Anthropic, self.count(asked, number)),
            ("POST", path) if path.ends_with(":countTokens") => (Format::OpenAi, self.count_meaning(asked, number)),
            ("POST", "/embeddings") => (Format::OpenAi, self.embed(asked, number)),
            ("GET", path) if path == "/models" || path.starts_with("/models/") => models(asked, path),
            _ => {
                let format = if path.starts_with("/messages") { Format::Anthropic } else { Format::OpenAi };
                let message = format!("Invalid URL ({} {})", asked.method, asked.path);
                (format, Err(Failure { code: Some("unknown_url"), ..Failure::new(404, message) }))
            }
        };
        (answer.unwrap_or_else(|failure| refusal(&failure, format)), Some(number))
    }

    fn log_request(&self, method: &str) -> Answer {
        if method == "DELETE" {
            self.log().clear();
        }
        Answer::json(200, &self.log().json())
    }

    fn generate(&self, asked: &Asked, number: u64, api: &Api) -> Result<Answer, Failure> {
        let (body, behaviour) = read_body(asked)?;
        let mut prompt = (api.read)(&body)?;
        prompt.think |= behaviour.thinks && !prompt.think_off && api.thinks;
        let seed: String = hex::encode(Sha256::digest(&asked.body)).chars().take(16).collect();
        let replies: Vec<Reply> = (0..prompt.choices).map(|index| compose(&prompt, index, &seed)).collect();
        let input = (api.cached)(&mut self.cache.lock().unwrap_or_else(PoisonError::into_inner), asked, &prompt);
        self.log().count(number, tokens(&input, &replies));
        let said = Said { prompt: &prompt, replies: &replies, id: &seed, input: behaviour.usage.then_some(&input) };
        let failure = Failure { code: Some("server_error"), ..Failure::new(529, "simulated overload") };
        let mut answer = Answer { pace: behaviour.pace, fault: behaviour.fault, ..Answer::json(200, &Value::Null) };
        answer.body = match (prompt.stream, behaviour.fault) {
            (true, Fault::StreamError) => Body::Stream(vec![Frame::last((api.error_event)(&failure))]),
            (false, Fault::StreamError | Fault::MidstreamError) => Body::json(&failure.body(api.format)),
            (true, fault) => {
                let mut frames = (api.frames)(&said);
                if fault == Fault::MidstreamError {
                    cut_after(&mut frames, 3);
                    frames.push(Frame::last((api.error_event)(&failure)));
                }
                Body::Stream(if behaviour.drip { drip(&frames) } else { frames })
            }
            (false, _) => Body::json(&(api.whole)(&said)),
        };
        Ok(answer)
    }

    /// As [`generate`](Self::generate), for the formats that are read by their meaning.
    fn mean(&self, asked: &Asked, number: u64, ask: &Ask) -> Result<Answer, Failure> {
        let body = std::str::from_utf8(&asked.body).map_err(|e| Failure::new(400, e.to_string()))?;
        let mut prompt = meaning::read(ask, body)?;
        let behaviour = behaviour(&prompt.model).ok_or_else(|| Failure::unknown_model(&prompt.model))?;
        if let Fault::Status(status) = behaviour.fault {
            return Err(Failure::simulated(status));
        }
        prompt.think |= behaviour.thinks && !prompt.think_off;
        let id: String = hex::encode(Sha256::digest(&asked.body)).chars().take(16).collect();
        let reply = compose(&prompt, 0, &id);
        let input = self.cache.lock().unwrap_or_else(PoisonError::into_inner).chat(asked.credential(), &prompt);
        self.log().count(number, tokens(&input, std::slice::from_ref(&reply)));
        let input = behaviour.usage.then_some(&input);
        let said = meaning::Said { ask, body, prompt: &prompt, reply: &reply, id: &id, input };
        let failure = Failure { code: Some("server_error"), ..Failure::new(529, "simulated overload") };
        let error = meaning::error(&failure);
        let mut event = Vec::new();
        wire::encode_error_event(ask.dialect, &error, "req_sim", &mut event);
        let mut answer = Answer { pace: behaviour.pace, fault: behaviour.fault, ..Answer::json(200, &Value::Null) };
        answer.body = match (prompt.stream, behaviour.fault) {
            (true, Fault::StreamError) => Body::Stream(vec![Frame::last(event)]),
            (false, Fault::StreamError | Fault::MidstreamError) => meant_refusal(&failure, ask.dialect).body,
            (true, fault) => {
                let mut frames = meaning::frames(&said);
                if fault == Fault::MidstreamError {
                    cut_after(&mut frames, 3);
                    frames.push(Frame::last(event));
                }
                Body::Stream(if behaviour.drip { drip(&frames) } else { frames })
            }
            (false, _) => Body::Whole(meaning::whole(&said)),
        };
        Ok(answer)
    }

    fn count(&self, asked: &Asked, number: u64) -> Result<Answer, Failure> {
        let (body, _) = read_body(asked)?;
        let input = messages::read_count(&body)?.input_tokens();
        self.log().count(number, Tokens { input, ..Tokens::default() });
        Ok(Answer::json(200, &json!({"input_tokens": input})))
    }

    /// As [`count`](Self::count), in Gemini's format.
    fn count_meaning(&self, asked: &Asked, number: u64) -> Result<Answer, Failure> {
        let body = std::str::from_utf8(&asked.body).map_err(|e| Failure::new(400, e.to_string()))?;
        let ask = Ask { dialect: Dialect::Gemini, model: Some("sim-1".to_owned()), stream: Some(false) };
        let input = meaning::read(&ask, body)?.input_tokens();
        self.log().count(number, Tokens { input, ..Tokens::default() });
        Ok(Answer::json(200, &json!({"totalTokens": input})))
    }

    fn embed(&self, asked: &Asked, number: u64) -> Result<Answer, Failure> {
        let (body, _) = read_body(asked)?;
        let (answer, input) = embeddings::answer(&body)?;
        self.log().count(number, Tokens { input, ..Tokens::default() });
        Ok(Answer::json(200, &answer))
    }
}

/// One generation API.
struct Api {
    format: Format,
    thinks: bool,
    read: fn(&Value) -> Result<Prompt, Failure>,
    cached: fn(&mut Cache, &Asked, &Prompt) -> Input,
    whole: fn(&Said<'_>) -> Value,
    frames: fn(&Said<'_>) -> Vec<Frame>,
    error_event: fn(&Failure) -> Vec<u8>,
}

/// What an API writes its answer from; without `input` it keeps its usage to itself.
struct Said<'s> {
    prompt: &'s Prompt,
    replies: &'s [Reply],
    id: &'s str,
    input: Option<&'s Input>,
}

impl Said<'_> {
    fn usage(&self) -> Option<Value> {
        self.input.map(|input| chat::usage(input, self.replies))
    }
}

fn openai_error_event(failure: &Failure) -> Vec<u8> {
    chat::data(&failure.body(Format::OpenAi))
}

const CHAT: Api = Api {
    format: Format::OpenAi,
    thinks: true,
    read: chat::read,
    cached: |cache, asked, prompt| cache.chat(asked.credential(), prompt),
    whole: |said| chat::whole(said.prompt, said.replies, said.id, said.usage()),
    frames: |said| chat::frames(said.prompt, said.replies, said.id, said.usage()),
    error_event: openai_error_event,
};

const COMPLETIONS: Api = Api {
    format: Format::OpenAi,
    thinks: false,
    read: completions::read,
    cached: |_, _, prompt| Input { input: prompt.input_tokens(), ..Input::default() },
    whole: |said| completions::whole(said.prompt, said.replies, said.id, said.usage()),
    frames: |said| completions::frames(said.prompt, said.replies, said.id, said.usage()),
    error_event: openai_error_event,
};

const MESSAGES: Api = Api {
    format: Format::Anthropic,
    thinks: true,
    read: messages::read,
    cached: |cache, asked, prompt| cache.messages(asked.credential(), prompt),
    whole: |said| match said.replies.first() {
        Some(reply) => messages::whole(said.prompt, reply, said.id, said.input),
        None => Value::Null,
    },
    frames: |said| match said.replies.first() {
        Some(reply) => messages::frames(said.prompt, reply, said.id, said.input),
        None => Vec::new(),
    },
    error_event: messages::error_event,
};

const INVOKE: Api =
    Api { frames: |said| invoke::frames((MESSAGES.frames)(said)), error_event: invoke::error_event, ..MESSAGES };

/// The body as JSON and the behaviour of its model, or the failure that the model stands for.
fn read_body(asked: &Asked) -> Result<(Value, Behaviour), Failure> {
    let body: Value = serde_json::from_slice(&asked.body)
        .map_err(|e| Failure::new(400, format!("We could not parse the JSON body of your request: {e}")))?;
    let model = text(&body, "model");
    let behaviour = behaviour(model).ok_or_else(|| Failure::unknown_model(model))?;
    match behaviour.fault {
        Fault::Status(status) => Err(Failure::simulated(status)),
        _ => Ok((body, behaviour)),
    }
}

fn tokens(input: &Input, replies: &[Reply]) -> Tokens {
    Tokens {
        input: input.input,
        cached: input.read,
        cache_write: input.write_5m + input.write_1h,
        output: replies.iter().map(Reply::output_tokens).sum(),
        reasoning: replies.iter().map(Reply::reasoning_tokens).sum(),
    }
}

fn refusal(failure: &Failure, format: Format) -> Answer {
    let mut answer = Answer::json(failure.status, &failure.body(format));
    if failure.status == 429 {
        answer.headers.push(("retry-after", "1".to_owned()));
    }
    answer
}

fn meant_refusal(failure: &Failure, dialect: Dialect) -> Answer {
    let mut body = Vec::new();
    let status = wire::encode_error(dialect, &meaning::error(failure), "req_sim", &mut body);
    let mut answer = Answer { body: Body::Whole(body), ..Answer::json(failure.status, &Value::Null) };
    if dialect == Dialect::Converse {
        answer.headers.push(("x-amzn-errortype", format!("{}:http://simulated/", exception(status))));
    }
    if failure.status == 429 {
        answer.headers.push(("retry-after", "1".to_owned()));
    }
    answer
}

fn in_event_stream(mut answer: Answer) -> Answer {
    if matches!(answer.body, Body::Stream(_)) {
        answer.headers.push(("content-type", "application/vnd.amazon.eventstream".to_owned()));
    }
    answer
}

/// What Bedrock calls it.
const fn exception(status: u16) -> &'static str {
    match status {
        403 => "AccessDeniedException",
        404 => "ResourceNotFoundException",
        429 => "ThrottlingException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerException",
        _ => "ValidationException",
    }
}

/// Keeps the frames up to the content number `count`.
fn cut_after(frames: &mut Vec<Frame>, count: usize) {
    let last = frames.iter().enumerate().filter(|(_, f)| f.is_content).nth(count - 1).map(|(at, _)| at);
    frames.truncate(last.map_or(1, |at| at + 1));
}

/// The same bytes in pieces of five.
fn drip(frames: &[Frame]) -> Vec<Frame> {
    let bytes: Vec<u8> = frames.iter().flat_map(|f| f.bytes.iter().copied()).collect();
    bytes.chunks(5).map(|piece| Frame { bytes: piece.to_vec(), is_content: true }).collect()
}

fn models(asked: &Asked, path: &str) -> (Format, Result<Answer, Failure>) {
    let format = if asked.header("anthropic-version").is_some() { Format::Anthropic } else { Format::OpenAi };
    let item = |id: &str| match format {
        Format::OpenAi => json!({"id": id, "object": "model", "created": CREATED, "owned_by": "simulator"}),
        Format::Anthropic => {
            json!({"id": id, "type": "model", "display_name": id, "created_at": "2026-01-01T00:00:00Z"})
        }
    };
    if let Some(id) = path.strip_prefix("/models/") {
        let found = LISTED.contains(&id).then(|| Answer::json(200, &item(id)));
        return (format, found.ok_or_else(|| Failure::unknown_model(id)));
    }
    let data: Vec<Value> = LISTED.iter().map(|id| item(id)).collect();
    let list = match format {
        Format::OpenAi => json!({"object": "list", "data": data}),
        Format::Anthropic => {
            json!({"data": data, "has_more": false, "first_id": LISTED.first(), "last_id": LISTED.last()})
        }
    };
    (format, Ok(Answer::json(200, &list)))
}
