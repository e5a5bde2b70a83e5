//! What happens at each step of an exchange with a provider. Both drivers, the attempt loop
//! (`relay`) and Pingora's pipeline, go through these functions, in this order.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ALLOW, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST,
    HeaderName, HeaderValue, TRANSFER_ENCODING, USER_AGENT,
};
use http::{Method, StatusCode, request, response};

use super::attempt::Refusal;
use super::cache;
use super::context::{Attempt, Exchange};
use super::repair;
use crate::config::runtime::Deployment;
use crate::error::{Error, Kind, Result};
use crate::limit::{self, Admission};
use crate::provider::Edits;
use crate::provider::sign::Unsigned;
use crate::record::write_ms;
use crate::secret::Secret;
use crate::stage::accept::{self, Endpoint};
use crate::stage::answer::{Answer, Context};
use crate::stage::compress::COMPRESSION;
use crate::stage::passed::{self, Passed};
use crate::stage::{account, pass, respond};
use crate::wire::envelope::Envelope;
use crate::wire::frames::Framing;
use crate::wire::owned::{self, Owner};
use crate::wire::pieces::Pieces;
use crate::wire::{self, Dialect, multipart, scan, watch};

/// As many as most requests have, and more.
const USUAL_HEADERS: usize = 16;
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
/// What a translated request speaks; a client of that format says its own.
const ANTHROPIC_VERSION_SPOKEN: HeaderValue = HeaderValue::from_static("2023-06-01");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("weir/", env!("CARGO_PKG_VERSION")));

/// Writes the head of a provider's request, as HTTP/1.1 has it. It is built from nothing: of the
/// client's headers only those of the provider's own vendor pass, and only where the format stays.
pub(super) fn request_head(
    x: &Exchange,
    attempt: &Attempt,
    client: &request::Parts,
    body: &Pieces,
) -> Result<request::Parts> {
    let deployment = &attempt.target.deployment;
    let prepared = &attempt.prepared;
    let same_format = prepared.kept;
    // What an Anthropic client says beside the body, Bedrock takes in it.
    let all_in_body = prepared.edits == Edits::AnthropicBedrock;
    let beside_body = same_format && !all_in_body;
    let is_generation = x.passage.is_none();
    let query = client.uri.query().filter(|_| beside_body);
    let query = query.and_then(|query| beside(query, &prepared.path, is_generation, prepared.dialect));
    let mut head =
        bare_head(deployment, client.method.clone(), (&deployment.base.path, &prepared.path), query.as_deref(), false)?;
    if !body.is_empty() || client.method == Method::POST {
        head.headers.insert(CONTENT_TYPE, content_type(x, client));
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    let accept = match (x.parsed.as_ref().is_some_and(|p| p.stream), prepared.framing) {
        (false, _) => "application/json",
        (true, Framing::EventStream | Framing::InvokeStream) => "application/vnd.amazon.eventstream",
        (true, _) => "text/event-stream",
    };
    let asked = client.headers.get(ACCEPT).filter(|_| x.passage.is_some());
    head.headers.insert(ACCEPT, asked.cloned().unwrap_or_else(|| HeaderValue::from_static(accept)));
    if beside_body {
        vendor_headers(&mut head, client, x);
    }
    if prepared.dialect == Dialect::Anthropic && !all_in_body && !head.headers.contains_key(ANTHROPIC_VERSION) {
        head.headers.insert(ANTHROPIC_VERSION, ANTHROPIC_VERSION_SPOKEN);
    }
    trace_context(&mut head, x, attempt);
    credentials(&mut head, deployment, body, x)?;
    Ok(head)
}

/// The same head for HTTP/2, which takes scheme and authority from the URI: without them the scheme is
/// a guess.
pub(super) fn for_http2(head: &mut request::Parts, deployment: &Deployment) -> Result<()> {
    let base = &deployment.base;
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let scheme = if base.tls { "https" } else { "http" };
    let target = format!("{scheme}://{}{path}", base.authority);
    head.uri = target.parse().map_err(Error::internal)?;
    head.headers.remove(HOST);
    Ok(())
}

/// JSON, but for forms, whose boundary it names.
fn content_type(x: &Exchange, client: &request::Parts) -> HeaderValue {
    let theirs = client.headers.get(CONTENT_TYPE).filter(|_| x.passage.is_some());
    let form = theirs.filter(|value| value.to_str().is_ok_and(|text| multipart::boundary(text).is_some()));
    form.cloned().unwrap_or(respond::JSON)
}

/// The parameters that vendors document for generation; Google's others leave out of an answer what counts, or say
/// what headers do.
const PARAMETERS: [&str; 2] = ["beta", "api-version"];

/// The client's parameters that pass, without those that the path itself says. What is asked of a thing that a
/// provider keeps may be anything.
fn beside<'q>(query: &'q str, path: &str, is_generation: bool, dialect: Dialect) -> Option<Cow<'q, str>> {
    if !is_generation {
        return Some(Cow::Borrowed(query));
    }
    let own = path.split_once('?').map_or("", |(_, own)| own);
    let says = |name: &str| own.split('&').any(|pair| pair.split_once('=').is_some_and(|(said, _)| said == name));
    let passes = |pair: &&str| {
        let name = accept::percent_decode(pair.split_once('=').map_or(pair, |(name, _)| name));
        dialect != Dialect::Gemini && PARAMETERS.contains(&&*name) && !says(&name)
    };
    let kept: Vec<&str> = query.split('&').filter(passes).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
}

/// A head with nothing in it.
fn empty(method: Method) -> request::Parts {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = method;
    head.headers.reserve(USUAL_HEADERS);
    head
}

fn bare_head(
    deployment: &Deployment,
    method: Method,
    (base_path, path): (&str, &str),
    query: Option<&str>,
    http2: bool,
) -> Result<request::Parts> {
    let base = &deployment.base;
    let mut target = String::with_capacity(128);
    if http2 {
        // HTTP/2 takes scheme and authority from the URI; without them the scheme is a guess.
        target.push_str(if base.tls { "https://" } else { "http://" });
        target.push_str(&base.authority);
    }
    target.push_str(base_path);
    target.push_str(path);
    if let Some(query) = query {
        target.push(if path.contains('?') { '&' } else { '?' });
        target.push_str(query);
    }
    let mut head = empty(method);
    head.uri = target.parse().map_err(Error::internal)?;
    if !http2 {
        head.headers.insert(HOST, HeaderValue::try_from(&base.authority).map_err(Error::internal)?);
    }
    head.headers.insert(ACCEPT_ENCODING, IDENTITY);
    head.headers.insert(USER_AGENT, AGENT);
    Ok(head)
}

/// Whose account is charged: for whoever brings a credential to say.
const ACCOUNTS: [&str; 3] = ["openai-organization", "openai-project", "anthropic-workspace-id"];

/// `anthropic-*` and `openai-*`: versions, betas.
fn vendor_headers(head: &mut request::Parts, client: &request::Parts, x: &Exchange) {
    for (name, value) in &client.headers {
        let is_vendors = name.as_str().starts_with("anthropic-") || name.as_str().starts_with("openai-");
        if is_vendors && (x.forwarded.is_some() || !ACCOUNTS.contains(&name.as_str())) {
            head.headers.append(name.clone(), value.clone());
        }
    }
}

/// Which trace the request belongs to, where it belongs to one.
fn trace_context(head: &mut request::Parts, x: &Exchange, attempt: &Attempt) {
    for (name, value) in x.trace.iter().flat_map(|trace| trace.headers(x.span(attempt))) {
        head.headers.insert(name, value);
    }
}

/// What the operator adds, then the provider's credential, or the client's own where it brought one.
fn credentials(head: &mut request::Parts, deployment: &Deployment, body: &Pieces, x: &Exchange) -> Result<()> {
    operators_headers(head, deployment);
    if !x.forwarded.is_some() {
        return sign(head, deployment, body);
    }
    for (name, value) in x.forwarded.headers() {
        prove(head, deployment, HeaderName::from_static(name), value.clone());
    }
    Ok(())
}

/// The provider's own credential.
fn sign(head: &mut request::Parts, deployment: &Deployment, body: &Pieces) -> Result<()> {
    let target = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let unsigned = Unsigned {
        method: &head.method,
        authority: &deployment.base.authority,
        path_and_query: target,
        headers: &head.headers,
        body,
    };
    for (name, value) in deployment.signer.headers(&unsigned)? {
        prove(head, deployment, name, value);
    }
    Ok(())
}

/// Adds a header of a credential, unless the operator said that one.
fn prove(head: &mut request::Parts, deployment: &Deployment, name: HeaderName, value: HeaderValue) {
    if !deployment.headers.iter().any(|(said, _)| said == name.as_str()) {
        head.headers.insert(name, value);
    }
}

fn operators_headers(head: &mut request::Parts, deployment: &Deployment) {
    for (name, value) in &deployment.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value.expose())) {
            head.headers.insert(name, value);
        }
    }
}

/// The head of a request of the gateway's own.
pub(super) fn own_head(
    deployment: &Deployment,
    method: Method,
    path: (&str, &str),
    body: &Pieces,
    http2: bool,
) -> Result<request::Parts> {
    let mut head = bare_head(deployment, method, path, None, http2)?;
    if !body.is_empty() {
        head.headers.insert(CONTENT_TYPE, respond::JSON);
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    if deployment.provider.dialect() == Dialect::Anthropic {
        head.headers.insert(ANTHROPIC_VERSION, ANTHROPIC_VERSION_SPOKEN);
    }
    operators_headers(&mut head, deployment);
    sign(&mut head, deployment, body)?;
    Ok(head)
}

/// An answer that refuses: what it means, and whether another target may do better.
/// Beside the body: whether it is all there.
pub(super) fn refused(
    x: &Exchange,
    attempt: &mut Attempt,
    refusal: &Refusal,
    (body, is_whole): (&[u8], bool),
) -> Error {
    let text = String::from_utf8_lossy(body);
    let text = account::redact(&text, &secrets(x, Some(attempt)));
    let is_json = scan::is_json(&text);
    // Half a body may end within a credential, and is nobody's to read.
    let text = if is_whole || is_json { text } else { Cow::Borrowed("") };
    let mut error = match refusal.status {
        300..400 => Error::new(Kind::UpstreamFailed, "the provider answered with a redirect"),
        status => match refusal.error_type.as_ref().and_then(|name| name.to_str().ok()) {
            Some(name) => wire::converse::error::decode_named(name, status, &text),
            None => wire::decode_error(attempt.prepared.refusals(), status, &text),
        },
    };
    if error.kind() == Kind::UpstreamAuth && !x.forwarded.is_some() {
        attempt.target.deployment.signer.doubt(SystemTime::now());
    }
    if let Some(after) =
        account::retry_after(refusal.retry_after.as_ref(), refusal.retry_after_ms.as_ref(), SystemTime::now())
    {
        error = error.with_retry_after(after);
    }
    // Same format: the vendor's own words are worth more than ours, and clients match on them.
    let says_json = refusal.content_type.as_ref().is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    let theirs = match error.shown() {
        Kind::UpstreamRateLimited | Kind::UpstreamQuota | Kind::UpstreamNotFound => true,
        Kind::UpstreamAuth => x.forwarded.is_some(),
        kind => kind.is_clients_own(),
    };
    let is_theirs = attempt.prepared.kept && attempt.prepared.refusals() == attempt.prepared.dialect && theirs;
    if is_theirs && says_json && is_json && is_whole {
        attempt.verbatim = Some((refusal.status, Bytes::from(text.into_owned())));
    }
    error
}

/// The same for an error that was made of a provider's words, wherever they stood.
pub(super) fn clean_error(x: &Exchange, attempt: Option<&Attempt>, error: &Error) -> Error {
    let secrets = secrets(x, attempt);
    error.clone().map_text(|text| account::redact(text, &secrets).into_owned())
}

/// Bytes for the client that hold a provider's error: without the credential it was sent, should that be in them.
pub(super) fn redacted(x: &Exchange, bytes: Bytes) -> Bytes {
    match std::str::from_utf8(&bytes).map(|text| account::redact(text, &secrets(x, x.attempt.as_ref()))) {
        Ok(Cow::Owned(clean)) => Bytes::from(clean),
        _ => bytes,
    }
}

/// A good answer that came whole, for the client.
pub(super) fn redacted_answer(x: &Exchange, body: Bytes) -> Bytes {
    let (attempt, mut said) = (x.attempt.as_ref(), account::has_letters_escaped(&body));
    each_secret(x, attempt, |secret| said |= account::is_in_answer(secret, &body));
    if said { account::redact_answer(&body, secrets(x, attempt)) } else { body }
}

/// What a provider that is asked has got to prove who asks: ours, what the operator's headers say, or the client's own.
fn each_secret(x: &Exchange, attempt: Option<&Attempt>, mut give: impl FnMut(&Secret)) {
    if let Some(deployment) = attempt.map(|attempt| &attempt.target.deployment) {
        deployment.signer.each_secret(&mut give);
        deployment.header_secrets.iter().for_each(&mut give);
    }
    x.forwarded.secrets().iter().for_each(give);
}

/// Copies of them.
fn secrets(x: &Exchange, attempt: Option<&Attempt>) -> Vec<Secret> {
    let mut secrets = Vec::new();
    each_secret(x, attempt, |secret| secrets.push(secret.clone()));
    secrets
}

/// A good head has come: how its body will be read.
pub(super) fn answer_begins(x: &Exchange, attempt: &mut Attempt, head: &response::Parts) -> Result<()> {
    let encoded = head.headers.get(CONTENT_ENCODING).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"identity"));
    if encoded {
        return Err(Error::new(Kind::UpstreamFailed, "the provider compressed its answer though asked not to"));
    }
    let max_bytes = x.live.runtime.server.max_answer_bytes;
    let owner = owner(x, attempt);
    let parsed = x.parsed.as_ref().ok_or_else(|| Error::internal("an answer to nothing"))?;
    if let Some(passage) = &x.passage {
        let passed = Passed::new(passage, head.status.as_u16(), &head.headers, owner, max_bytes);
        attempt.answer = Answer::passed(passed.without(secrets(x, Some(attempt))));
        return Ok(());
    }
    let (request_id, id) = (x.request_id.hyphenated().to_string(), x.request_id.simple().to_string());
    let own = repair::own(x);
    let context = Context {
        target: &attempt.target,
        prepared: &attempt.prepared,
        parsed,
        body: &x.body,
        request_id: &request_id,
        id: &id,
        created: x.started_at.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()),
        max_bytes,
        earlier: &attempt.earlier,
        owner: owner.as_ref(),
        resumable: x.plan.as_ref().is_some_and(|plan| plan.attempts.continues),
        own: own.as_ref(),
        guards: x.guards.as_deref(),
    };
    attempt.answer = if parsed.stream { Answer::stream(context) } else { Answer::whole(context) };
    Ok(())
}

/// Whether a stream was asked for and a good head announces something else.
pub(super) fn is_no_stream(x: &Exchange, head: &response::Parts) -> bool {
    let is_json = head.headers.get(CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/json"));
    is_json && x.passage.is_none() && x.parsed.as_ref().is_some_and(|parsed| parsed.stream)
}

/// What such an answer is: most are errors.
pub(super) fn no_stream(attempt: &Attempt, body: &[u8]) -> Error {
    let (text, quirks) = (String::from_utf8_lossy(body), &attempt.target.deployment.quirks);
    let said = watch::whole(attempt.prepared.dialect, &text, quirks).and_then(|whole| whole.error);
    said.unwrap_or_else(|| Error::new(Kind::UpstreamFailed, "the provider answered a stream request without a stream"))
}

/// A good head has come from a target that goes on with the answer of another. What says so to the
/// client is written here, where the answer is open for sure.
pub(super) fn answer_goes_on(attempt: &mut Attempt, head: &response::Parts) -> Result<Bytes> {
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(Error::new(Kind::UpstreamFailed, "the provider compressed its answer though asked not to"));
    }
    attempt.answer.resume(&attempt.prepared, &attempt.target);
    let (provider, model) = (&attempt.target.deployment.name, &attempt.target.model);
    Ok(attempt.answer.note(&format!("continued on {provider}/{model}")))
}

/// Who may come back to the answer, where the provider keeps it.
fn owner(x: &Exchange, attempt: &Attempt) -> Option<Owner> {
    let is_kept = match &x.passage {
        Some(passage) => passage.seals,
        None => {
            x.endpoint == Some(Endpoint::Responses)
                && pass::keeps(&attempt.target)
                && owned::is_stored(&Envelope::restore(&x.body, &x.parsed.as_ref()?.outline))
        }
    };
    let tenant = || x.caller.as_ref().map(|caller| caller.key.tenant.id.clone()).unwrap_or_default();
    is_kept.then(|| Owner { seal: attempt.target.deployment.seal.clone(), tenant: tenant() })
}

/// A chunk of the answer: the upstream's in, the client's out.
pub(super) fn answer_chunk(x: &mut Exchange, chunk: &mut Option<Bytes>, end: bool) -> Result<()> {
    x.attempt_mut()?.answer.chunk(chunk, end)
}

/// The head of a whole answer.
pub(super) fn whole_head(x: &mut Exchange, length: usize) -> Result<response::Parts> {
    let passed = x.attempt_mut()?.answer.passed_head();
    let mut head = match passed {
        Some(passed) => passed_head(passed, Some(length), true),
        None => respond::whole(StatusCode::OK, respond::JSON, length),
    };
    describe(&mut head, x);
    if let Some(cost) = x.end.charge.cost() {
        respond::set(&mut head, respond::COST, cost.to_string());
    }
    if x.end.usage.is_some() {
        respond::set(&mut head, respond::USAGE_SOURCE, x.end.usage_source.as_str());
    }
    x.end.status = head.status.as_u16();
    Ok(head)
}

/// The provider's own head, as far as it is the client's.
fn passed_head(passed: &passed::Head, length: Option<usize>, http1: bool) -> response::Parts {
    let mut head = respond::bare(respond::status_of(passed.status));
    for (name, value) in [(CONTENT_TYPE, &passed.content_type), (CONTENT_DISPOSITION, &passed.disposition)] {
        if let Some(value) = value {
            respond::set(&mut head, name, value.clone());
        }
    }
    match length.map(HeaderValue::from).or_else(|| passed.length.clone()) {
        Some(_) if passed.status == 204 => {}
        Some(length) => respond::set(&mut head, CONTENT_LENGTH, length),
        None if http1 => respond::set(&mut head, TRANSFER_ENCODING, HeaderValue::from_static("chunked")),
        None => {}
    }
    head
}

/// The head of a stream.
pub(super) fn stream_head(x: &mut Exchange, http1: bool) -> Result<response::Parts> {
    let is_array = x.parsed.as_ref().is_some_and(|parsed| parsed.array);
    let mut head = match x.attempt_mut()?.answer.passed_head() {
        Some(passed) => passed_head(passed, None, http1),
        None => respond::stream(if is_array { respond::JSON } else { respond::SSE }, http1),
    };
    describe(&mut head, x);
    x.end.status = head.status.as_u16();
    Ok(head)
}

/// The head of a stream before anybody has answered: who will is not known.
pub(super) fn early_head(x: &Exchange, http1: bool) -> response::Parts {
    let is_array = x.parsed.as_ref().is_some_and(|parsed| parsed.array);
    let mut head = respond::stream(if is_array { respond::JSON } else { respond::SSE }, http1);
    identify(&mut head, x);
    head
}

/// Who answered, and what it took.
pub(super) fn describe(head: &mut response::Parts, x: &Exchange) {
    identify(head, x);
    if let Some(attempt) = &x.attempt {
        respond::set(head, respond::PROVIDER, attempt.target.deployment.name.as_str());
        if !attempt.target.model.is_empty() {
            respond::set(head, respond::MODEL, attempt.target.model.as_str());
        }
        if !attempt.prepared.dropped.is_empty() {
            respond::set(head, respond::DROPPED, attempt.prepared.dropped.header());
        }
        cache::describe(head, x, attempt);
    }
    respond::set(head, respond::ATTEMPTS, HeaderValue::from(x.attempts));
    if x.fallback_used() {
        respond::set(head, respond::FALLBACK_USED, HeaderValue::from_static("1"));
    }
    if let Some(reason) = x.plan.as_ref().and_then(|plan| plan.reason.as_deref()) {
        respond::set(head, respond::ROUTE_REASON, reason);
    }
    if let Some(names) = x.tool_calls.names() {
        respond::set(head, respond::TOOLS_EXECUTED, names);
    }
    let mut overhead_ms = Vec::new();
    write_ms(&mut overhead_ms, x.clock.spent());
    respond::set(head, respond::OVERHEAD, overhead_ms);
}

/// Ids and limits: on every answer, errors too.
pub(super) fn identify(head: &mut response::Parts, x: &Exchange) {
    let mut buffer = [0; uuid::fmt::Hyphenated::LENGTH];
    let id = x.request_id.hyphenated().encode_lower(&mut buffer);
    respond::set(head, respond::REQUEST_ID, &*id);
    if x.dialect == Dialect::Anthropic {
        respond::set(head, respond::ANTHROPIC_REQUEST_ID, &*id);
    }
    if let Some(client) = &x.client_request_id {
        respond::set(head, respond::CLIENT_REQUEST_ID, client.clone());
    }
    if let Some(done) = x.compression.as_ref().and_then(|done| done.header()) {
        respond::set(head, COMPRESSION, done);
    }
    if let Some(said) = x.guards.as_ref().and_then(|guarded| guarded.board().header()) {
        respond::set(head, respond::GUARDS, said);
    }
    let standing = x.admission.as_ref().map(Admission::standing_of_all).or(x.denied);
    if let Some(standing) = standing {
        limit::headers::write(x.dialect, &standing, x.started_at, |name, value| {
            respond::set(head, HeaderName::from_static(name), value);
        });
    }
}

/// What an error answer says beside its body.
pub(super) fn describe_error(head: &mut response::Parts, x: &Exchange, error: &Error, path: &str) {
    identify(head, x);
    if let Some(allowed) = accept::allowed(path).filter(|_| error.kind() == Kind::MethodNotAllowed) {
        respond::set(head, ALLOW, allowed);
    }
    if x.attempts > 0 {
        respond::set(head, respond::ATTEMPTS, HeaderValue::from(x.attempts));
        if let Some(attempt) = &x.attempt {
            respond::set(head, respond::PROVIDER, attempt.target.deployment.name.as_str());
            respond::set(head, respond::MODEL, attempt.target.model.as_str());
        }
    }
    respond::retry_advice(head, error);
}

/// The head of what takes the pipeline, without its framing.
pub(super) fn passing_head(
    x: &Exchange,
    client: &request::Parts,
    path: &str,
    query: Option<&str>,
) -> Result<request::Parts> {
    let attempt = x.attempt.as_ref().ok_or_else(|| Error::internal("no attempt runs"))?;
    let deployment = &attempt.target.deployment;
    let mut head = bare_head(deployment, client.method.clone(), (&deployment.base.path, path), query, false)?;
    vendor_headers(&mut head, client, x);
    trace_context(&mut head, x, attempt);
    credentials(&mut head, deployment, &Pieces::default(), x)?;
    Ok(head)
}

/// Pass-through: the provider's head becomes the client's.
pub(super) fn pass_answer_head(x: &mut Exchange, upstream: &response::Parts) -> Result<response::Parts> {
    let status = upstream.status.as_u16();
    if matches!(status, 401 | 403) && !x.forwarded.is_some() {
        return Err(Error::new(Kind::UpstreamAuth, "the provider refused the gateway's credential"));
    }
    let mut head = respond::bare(upstream.status);
    for name in [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING, CONTENT_ENCODING] {
        if let Some(value) = upstream.headers.get(&name) {
            head.headers.insert(name, value.clone());
        }
    }
    if status >= 400 {
        // Held, and cleaned of our credential: its length may change.
        head.headers.remove(CONTENT_LENGTH);
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let secrets = secrets(x, x.attempt.as_ref());
        x.attempt_mut()?.answer = Answer::refusal(secrets);
    }
    describe(&mut head, x);
    x.end.status = status;
    x.end.first_byte = Some(x.started.elapsed());
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_querys_parameters_only_known_ones_pass() {
        let of = |query, path, dialect| beside(query, path, true, dialect).map(Cow::into_owned);
        let gemini = |query| of(query, "/v1beta/models/m:generateContent", Dialect::Gemini);
        for query in [
            "fields=candidates",
            "$fields=candidates",
            "%24fields=candidates&alt=proto",
            "$httpHeaders=a&$httpMethod=GET",
            "oauth_token=x&%24key=y",
            "beta=true",
        ] {
            assert_eq!(gemini(query), None, "{query}");
        }
        let messages = |query| of(query, "/v1/messages", Dialect::Anthropic);
        assert_eq!(messages("beta=true&fields=x&b%65ta").as_deref(), Some("beta=true&b%65ta"));
        assert_eq!(messages("fields=x&&="), None);
        let azure = |query| of(query, "/responses?api-version=1", Dialect::Responses);
        assert_eq!(azure("api-version=2&%61pi-version=3"), None);
        let kept = beside("include[]=x&limit=2", "/responses/r", false, Dialect::Responses);
        assert_eq!(kept.as_deref(), Some("include[]=x&limit=2"));
    }
}
