//! What passes to a provider in its own format: images, audio, moderations, files, batches, stored
//! responses. It goes where its model, its ids or its header say, and only a few words of it change:
//! the model's name, and ids that belong to a tenant ([`crate::wire::owned`]).

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use super::accept::{self, Call, Endpoint};
use super::parse::Parsed;
use super::route::{self, Plan, Target};
use super::translate::{self, Prepared};
use super::user;
use crate::config::attempts::AttemptRules;
use crate::config::runtime::{Deployment, Key, Runtime};
use crate::error::{Error, Kind, Result};
use crate::provider::Pass;
use crate::usage::estimate::estimate_request;
use crate::wire::Dialect;
use crate::wire::envelope::{Envelope, Outline, amount};
use crate::wire::multipart::{self, Form};
use crate::wire::owned::{self, Taken};
use crate::wire::seal::Seal;
use crate::wire::splice::Splice;

/// A request that passes, beside its body.
#[derive(Debug, Default)]
pub struct Passage {
    /// Where it goes, below an address that ends in `/v1`.
    path: String,
    form: Option<Form>,
    /// The answer's ids are those of what the provider keeps.
    pub seals: bool,
    /// The answer is what was asked for (a file), and nothing of ours.
    pub is_raw: bool,
    /// The answer says what was used, for the first time.
    pub counts: bool,
    /// The answer lists images that were made.
    pub lists_images: bool,
    /// Of a text that is to be spoken: no answer says how long it was.
    pub characters: Option<u64>,
}

/// The sealed ids of a request, opened.
#[derive(Debug, Default)]
pub struct Opened {
    /// Where what they stand for is kept.
    pub owner: Option<Arc<Deployment>>,
    /// As the provider has them.
    ids: Vec<String>,
}

impl Opened {
    fn add(&mut self, id: &str, owner: &Arc<Deployment>) -> Result<()> {
        self.ids.push(id.to_owned());
        match self.owner.replace(Arc::clone(owner)) {
            Some(other) if other.id != owner.id => {
                Err(Error::new(Kind::InvalidRequest, "the ids in this request belong to different providers"))
            }
            _ => Ok(()),
        }
    }
}

/// The provider's id, and where it is kept. A foreign id, a forged one and one that never was are all
/// the same: unknown.
fn open<'i>(id: &'i str, key: &Key, runtime: &Runtime) -> Option<(&'i str, Arc<Deployment>)> {
    let tenant = &key.tenant.id;
    runtime.endpoints().find_map(|d| Some((d.seal.open_owned(id, tenant)?, Arc::clone(d))))
}

fn unknown(member: &str, id: &str) -> Error {
    let shown: String = id.chars().take(100).collect();
    match member {
        "previous_response_id" => Error::new(Kind::NotFound, format!("Previous response with id '{shown}' not found."))
            .with_code("previous_response_not_found")
            .with_param("previous_response_id"),
        _ => Error::new(Kind::NotFound, format!("there is nothing with the id '{shown}'"))
            .with_param(if member.is_empty() { "id".to_owned() } else { member.to_owned() }),
    }
}

/// Puts the providers' ids in place of the sealed ones in a JSON body; `None` where it has none.
pub fn open_body(body: &Bytes, key: &Key, runtime: &Runtime) -> Result<Option<(Bytes, Opened)>> {
    // Hardly any body has one, and every body comes by here.
    if !Seal::may_be_in(body) {
        return Ok(None);
    }
    let Ok(text) = std::str::from_utf8(body) else { return Ok(None) };
    let mut opened = Opened::default();
    let mut plain = Vec::new();
    let taken = owned::taken(text);
    for Taken { name, id, place } in &taken {
        match open(id, key, runtime) {
            Some((id, owner)) => {
                opened.add(id, &owner)?;
                plain.push((place, id));
            }
            None if *name == "id" => {}
            None => return Err(unknown(name, id)),
        }
    }
    Ok((!plain.is_empty()).then(|| (Bytes::from(owned::replaced(text, plain)), opened)))
}

/// What the request is, from its path and its body.
pub struct Asked<'a> {
    pub call: Call<'a>,
    pub method: &'a Method,
    pub content_type: Option<&'a str>,
    pub query: Option<&'a str>,
    pub body: &'a [u8],
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asked({:?})", self.call)
    }
}

impl Asked<'_> {
    /// Goes by the model that its body names.
    fn has_model(&self) -> bool {
        let kept = matches!(self.call.pass, Pass::Files | Pass::Batches | Pass::MessageBatches | Pass::Conversations);
        !kept && self.call.id.is_none()
    }

    /// The vendors take forms where files are sent, and JSON elsewhere. A form has no member that is held
    /// against what is kept for others.
    fn takes_form(&self) -> bool {
        match self.call.pass {
            Pass::Images => self.call.root != "/images/generations",
            Pass::Files | Pass::Transcriptions => self.call.id.is_none(),
            Pass::Speech
            | Pass::Moderations
            | Pass::Batches
            | Pass::MessageBatches
            | Pass::Responses
            | Pass::Conversations
            | Pass::Realtime => false,
        }
    }
}

/// Reads what routing and limits need.
pub fn parse(asked: &Asked<'_>) -> Result<(Parsed, Passage)> {
    let call = asked.call;
    if asked.method == Method::GET && call.id.is_none() {
        let text = "lists are not served: the provider's account holds what belongs to others too; keep the ids";
        return Err(Error::new(Kind::InvalidRequest, text));
    }
    let mut passage = Passage {
        path: call.root.to_owned(),
        form: None,
        seals: !asked.has_model() && matches!(call.action, "" | "/cancel"),
        is_raw: matches!(call.action, "/content" | "/results"),
        counts: asked.has_model(),
        lists_images: call.pass == Pass::Images,
        characters: None,
    };
    let mut parsed = unread(pairs(asked.query).any(|pair| pair == ("stream", "true")));
    let boundary = asked.content_type.and_then(multipart::boundary);
    if boundary.is_some() && !asked.takes_form() && !asked.body.is_empty() {
        return Err(Error::new(Kind::InvalidRequest, format!("{} takes JSON, not a form", call.root)));
    }
    if let Some(boundary) = boundary.filter(|_| asked.takes_form()) {
        if asked.has_model() {
            let form = Form::parse(asked.body, boundary)?;
            form.model(asked.body).unwrap_or_default().clone_into(&mut parsed.model);
            parsed.stream = form.stream(asked.body);
            parsed.images = if passage.lists_images { form.count(asked.body) } else { 0 };
            passage.form = Some(form);
        }
    } else if !asked.body.is_empty() {
        let envelope = Envelope::parse(asked.body)?;
        if asked.has_model() {
            parsed.model = envelope.model_if_any()?.map(|model| model.text().into_owned()).unwrap_or_default();
            parsed.stream = envelope.stream()?;
            parsed.input_estimate_tokens = estimate_request(&envelope);
            parsed.user = user::of_body(&envelope);
            parsed.images =
                if passage.lists_images { envelope.present("n").and_then(amount).unwrap_or(1).max(1) } else { 0 };
        }
        if call.pass == Pass::Speech {
            passage.characters = spoken(&envelope);
            parsed.characters = passage.characters.unwrap_or(0);
        }
        parsed.outline = envelope.outline();
    } else if asked.has_model() {
        return Err(Error::new(Kind::InvalidJson, "the request has no body: a JSON object or a form is expected"));
    }
    Ok((parsed, passage))
}

/// How many characters are to be spoken.
fn spoken(body: &Envelope<'_>) -> Option<u64> {
    u64::try_from(body.string("input")?.text().chars().count()).ok()
}

/// Of a session's parameters those that pass beside its model. Not `deployment`, which names a model too, and not
/// `call_id`, which may be the call of another tenant.
const OF_SESSIONS: [&str; 2] = ["api-version", "intent"];

/// A realtime session, from its query.
pub fn session(query: Option<&str>) -> Result<(Parsed, Passage)> {
    let mut named = pairs(query).filter(|(name, _)| accept::percent_decode(name) == "model");
    let model = named.next().map(|(_, model)| accept::percent_decode(model).into_owned()).unwrap_or_default();
    if named.next().is_some() {
        return Err(Error::invalid("model", "the parameter `model` appears more than once"));
    }
    let parsed = Parsed { model, ..unread(true) };
    Ok((parsed, Passage { path: "/realtime".to_owned(), ..Passage::default() }))
}

/// The query of a session: the provider's name of the model, and what else is known.
pub fn session_query(query: Option<&str>, model: &str) -> Option<String> {
    let model = (!model.is_empty()).then(|| format!("model={}", translate::path_segment(model)));
    let known = pairs(query).filter(|(name, _)| OF_SESSIONS.contains(name));
    let pairs: Vec<String> = model.into_iter().chain(known.map(|(name, value)| format!("{name}={value}"))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&"))
}

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    query.into_iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='))
}

/// Of a request whose body says nothing that is needed.
fn unread(stream: bool) -> Parsed {
    Parsed {
        model: String::new(),
        stream,
        stream_usage: true,
        others: Vec::new(),
        array: false,
        choices: 1,
        drafts: 1,
        input_estimate_tokens: 0,
        max_output_tokens: Some(0),
        tags: Vec::new(),
        user: None,
        service_tier: None,
        images: 0,
        characters: 0,
        outline: Outline::default(),
    }
}

/// Who asks for what where.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    pub key: &'a Key,
    pub runtime: &'a Runtime,
    /// The provider that the request names in its header.
    pub named: Option<&'a str>,
    /// The caller's format.
    pub dialect: Dialect,
    /// The gateway asks by itself, for a model that the operator has named.
    pub is_own: bool,
}

impl Ask<'_> {
    /// Where the model is.
    pub fn route(&self, model: &str) -> Result<Plan> {
        match self.is_own {
            true => route::unlisted(model, self.key, self.runtime),
            false => route::named(model, self.named, self.key, self.runtime),
        }
    }
}

/// Finds where the request goes, and completes its path.
pub fn plan(call: Call<'_>, model: &str, passage: &mut Passage, opened: &mut Opened, ask: Ask<'_>) -> Result<Plan> {
    if let Some(id) = call.id {
        let (plain, owner) = open(id, ask.key, ask.runtime).ok_or_else(|| unknown("", id))?;
        if !has(&owner, call.pass, ask.dialect) {
            return Err(unknown("", id));
        }
        passage.path = format!("{}/{}{}", call.root, translate::path_segment(plain), call.action);
        opened.add(plain, &owner)?;
        return Ok(at(&owner, ask.runtime));
    }
    if model.is_empty() {
        let owner = provider(call, opened.owner.as_ref(), ask)?;
        let plan = at(&owner, ask.runtime);
        // What the request makes use of is not read here, so only a key that may use all of it passes.
        return match route::allowed(ask.key, &plan.public) {
            true => Ok(plan),
            false => Err(Error::new(Kind::ModelNotAllowed, "this key may not use all models of that provider")),
        };
    }
    let mut plan = ask.route(model)?;
    plan.targets.retain(|target| has(&target.deployment, call.pass, ask.dialect));
    match plan.targets.is_empty() {
        false => Ok(plan),
        true => Err(Error::invalid("model", format!("no provider of this model has {}", call.root))),
    }
}

/// Whether the endpoint is there, in the caller's format. Anthropic's files are not OpenAI's.
fn has(deployment: &Deployment, pass: Pass, dialect: Dialect) -> bool {
    let provider = deployment.provider;
    let is_anthropic = provider.dialect() == Dialect::Anthropic;
    provider.paths.passes.contains(&pass) && is_anthropic == (dialect == Dialect::Anthropic)
}

/// Without a model: who keeps what the request refers to, whom it names, or the only one there is.
fn provider(call: Call<'_>, owner: Option<&Arc<Deployment>>, ask: Ask<'_>) -> Result<Arc<Deployment>> {
    let mut having = ask.runtime.deployments.iter().filter(|d| has(d, call.pass, ask.dialect));
    let wanted = owner.map(|owner| owner.name.as_str()).or(ask.named);
    let found = match wanted {
        Some(name) => having.find(|d| d.name == name),
        None => having.next().filter(|_| having.next().is_none()),
    };
    found.cloned().ok_or_else(|| {
        let text = match wanted {
            Some(_) => format!("the provider of this request has no {}", call.root),
            None => format!("{} needs a provider: name one in the header `x-weir-provider`", call.root),
        };
        Error::invalid("x-weir-provider", text)
    })
}

/// A plan of one provider, whatever its models.
fn at(deployment: &Arc<Deployment>, runtime: &Runtime) -> Plan {
    let attempts = AttemptRules { retries: 0, ..runtime.attempts };
    let target = Target {
        deployment: Arc::clone(deployment),
        model: String::new(),
        alias: None,
        info: None,
        api: None,
        place: 0,
    };
    Plan::single(format!("{}/*", deployment.name), target, attempts)
}

/// Keeps to the provider that keeps what the request refers to.
pub fn pin(plan: &mut Plan, opened: &Opened) -> Result<()> {
    let Some(owner) = &opened.owner else { return Ok(()) };
    plan.retain(|target| target.deployment.id == owner.id);
    match plan.targets.is_empty() {
        false => Ok(()),
        true => {
            let text = format!("the ids in this request belong to `{}`, which does not serve this model", owner.name);
            Err(Error::invalid("model", text))
        }
    }
}

/// Whether the provider keeps the responses it gives to this client's format.
pub fn keeps(target: &Target) -> bool {
    is_native(target) && target.deployment.provider.paths.passes.contains(&Pass::Responses)
}

fn is_native(target: &Target) -> bool {
    translate::api(Dialect::Responses, target).is_some_and(|api| api.dialect == Dialect::Responses)
}

/// Refuses what a provider would do without the gateway seeing it, and to name what is kept for nobody
/// or for another, where a provider would know it: each of these members has to have come sealed. Where
/// the request is translated, translation refuses state.
pub fn check_kept(endpoint: Endpoint, body: &[u8], outline: &Outline, plan: &Plan, opened: &Opened) -> Result<()> {
    let members: &[&'static str] = match endpoint {
        Endpoint::Responses | Endpoint::Passed(Pass::Responses) => &["previous_response_id", "conversation"],
        Endpoint::Passed(Pass::Batches) => &["input_file_id"],
        _ => return Ok(()),
    };
    let envelope = Envelope::restore(body, outline);
    if endpoint == Endpoint::Responses && envelope.present("background").is_some_and(|said| said != "false") {
        let text = "answers in the background are not served, since what they use could not be counted: ask without `background`";
        return Err(Error::invalid("background", text));
    }
    for member in members {
        let Some(json) = envelope.present(member) else { continue };
        let id = owned::id_in(json);
        if id.as_ref().is_some_and(|id| opened.ids.iter().any(|opened| opened == id)) {
            continue;
        }
        if endpoint == Endpoint::Passed(Pass::Batches) || plan.targets.iter().any(keeps) {
            return Err(unknown(member, id.as_deref().unwrap_or_default()));
        }
        if plan.targets.iter().any(is_native) {
            let text = format!("the provider of this model keeps no state: `{member}` cannot be used");
            return Err(Error::invalid(*member, text));
        }
    }
    Ok(())
}

/// Writes the request for `target`: the same bytes with the provider's name of the model.
pub fn prepare(passage: &Passage, parsed: &Parsed, body: &Bytes, target: &Target, like: Prepared) -> Result<Prepared> {
    let rename = !parsed.model.is_empty() && parsed.model != target.model;
    let body = match &passage.form {
        _ if !rename => body.clone().into(),
        Some(form) => form.with_model(body, &target.model).into(),
        None => {
            let envelope = Envelope::restore(body, &parsed.outline);
            let mut splice = Splice::new(&envelope);
            splice.set_text("model", &target.model);
            splice.write_around(body)
        }
    };
    // The version is part of the base URL where the vendor has it there.
    let version = if target.deployment.provider.dialect() == Dialect::Anthropic { "/v1" } else { "" };
    Ok(Prepared { path: Cow::Owned(format!("{version}{}", passage.path)), body, ..like })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(path: &str, content_type: &str, body: &str) -> Parsed {
        let (call, method) = (accept::call(path).unwrap(), Method::POST);
        let content_type = Some(content_type);
        parse(&Asked { call, method: &method, content_type, query: None, body: body.as_bytes() }).unwrap().0
    }

    /// What a form says is not held against what is kept for other tenants.
    #[test]
    fn forms_are_taken_where_files_are_sent_and_nowhere_else() {
        let form = "--XX\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nm\r\n--XX--\r\n";
        let asks = |path: &str, body: &str| {
            let (call, method) = (accept::call(path).unwrap(), Method::POST);
            let content_type = Some("multipart/form-data; boundary=XX");
            parse(&Asked { call, method: &method, content_type, query: None, body: body.as_bytes() }).map(|_| ())
        };
        for path in [
            "/v1/files",
            "/v1/images/edits",
            "/v1/images/variations",
            "/v1/audio/transcriptions",
            "/v1/audio/translations",
        ] {
            asks(path, form).unwrap();
        }
        for path in [
            "/v1/images/generations",
            "/v1/audio/speech",
            "/v1/moderations",
            "/v1/batches",
            "/v1/batches/b-1/cancel",
            "/v1/messages/batches",
            "/v1/responses/compact",
            "/v1/responses/input_tokens",
            "/v1/conversations",
            "/v1/conversations/c-1/items",
        ] {
            for body in [form, r#"{"model":"m","input_file_id":"file-of-another"}"#] {
                assert_eq!(asks(path, body).unwrap_err().kind(), Kind::InvalidRequest, "{path}");
            }
        }
        asks("/v1/batches/b-1/cancel", "").unwrap();
    }

    #[test]
    fn a_session_asks_for_the_model_that_was_looked_up_and_no_other() {
        let model = |query| session(Some(query)).map(|(parsed, _)| parsed.model);
        for query in ["model=openai/a", "mod%65l=openai/a", "x=1&%6Dodel=openai%2Fa&model"] {
            assert_eq!(model(query).unwrap(), "openai/a", "{query}");
            assert_eq!(session_query(Some(query), "a").as_deref(), Some("model=a"), "{query}");
        }
        for query in ["mod%65l=gpt-realtime&model=openai/a", "model=a&model=a"] {
            assert_eq!(model(query).unwrap_err().param(), Some("model"), "{query}");
        }
        let known = "deployment=b&intent=transcription&call_id=rtc_1&x=1&mod%65l=c";
        assert_eq!(session_query(Some(known), "a b").as_deref(), Some("model=a%20b&intent=transcription"));
        assert_eq!(session_query(Some("x=1"), ""), None);
    }

    /// What is billed by another unit than tokens is reserved by it.
    #[test]
    fn images_and_characters_are_reserved() {
        let reserved = |path: &str, content_type: &str, body: &str| {
            let usage = parsed(path, content_type, body).reserve_usage(None);
            (usage.images, usage.characters, usage.visible_output_tokens)
        };
        let json = |path, body| reserved(path, "application/json", body);
        assert_eq!(json("/v1/images/generations", r#"{"model":"m","prompt":"a cat","n":3}"#), (3, 0, 0));
        assert_eq!(json("/v1/images/generations", r#"{"model":"m","prompt":"a cat"}"#), (1, 0, 0));
        assert_eq!(json("/v1/audio/speech", r#"{"model":"m","input":"h\u00e9llo"}"#), (0, 5, 0));
        assert_eq!(json("/v1/audio/speech", r#"{"model":"m","\u0069nput":"hello"}"#), (0, 5, 0));
        assert_eq!(json("/v1/moderations", r#"{"model":"m","input":"x","n":3}"#), (0, 0, 0));
        let form = |n: &str| {
            let field = |name: &str, value: &str| {
                format!("--XX\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
            };
            let n = if n.is_empty() { String::new() } else { field("n", n) };
            format!("{}{n}--XX--\r\n", field("model", "m"))
        };
        for (n, images) in [("4", 4), ("", 1), ("many", 1)] {
            assert_eq!(reserved("/v1/images/edits", "multipart/form-data; boundary=XX", &form(n)), (images, 0, 0));
        }
    }
}
