//! Guards of a request: what they look at themselves is looked at in [`crate::stage::guard`]; services that
//! judge texts are asked here.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};

use super::ask::round_trip;
use super::context::Exchange;
use super::inner::Inner;
use super::{Gateway, parse_body};
use crate::config::alerts::WebhookUrl;
use crate::config::guards::{Guarding, Service, Shape, Side};
use crate::error::{Error, Kind, Result};
use crate::guard::{Action, Kind as Found};
use crate::record::Purpose;
use crate::stage::accept::Endpoint;
use crate::stage::guard::{self, Done, Guarded, Judged, Looks};
use crate::stage::respond;
use crate::wire::Client;
use crate::wire::envelope::Envelope;
use crate::wire::json::Str;
use pingora_http::RequestHeader;

/// The guards that apply to a request; mostly none.
pub(super) fn of(x: &Exchange, endpoint: Endpoint) -> Option<Guarded> {
    let key = &x.caller.as_ref()?.key;
    let route = x.plan.as_ref().and_then(|plan| plan.route.as_ref());
    let of_route = route.map(|route| route.guards.as_slice()).unwrap_or_default();
    Guarded::of([&key.tenant.guards, &key.guards, of_route], endpoint)
}

impl Gateway {
    /// Has them look at the request. What they hide in it goes on hidden.
    pub(super) async fn guard(
        &self,
        head: &RequestHeader,
        x: &mut Exchange,
        endpoint: Endpoint,
        mut guarded: Guarded,
    ) -> Result<()> {
        let looked = self.look(x, endpoint, &mut guarded).await;
        x.guards = Some(Box::new(guarded));
        if let Some(body) = looked? {
            x.body = body;
            parse_body(head, x, endpoint)?;
        }
        let (Some(guarded), Some(parsed)) = (&mut x.guards, &x.parsed) else { return Ok(()) };
        guarded.open_form(&Envelope::restore(&x.body, &parsed.outline), parsed.choices)
    }

    /// What goes on of what is told to the model; `None` where that is all as it is.
    async fn pass(&self, x: &Exchange, guarded: &mut Guarded, body: &Bytes) -> Result<Option<Bytes>> {
        let mut changed = guarded.input(body)?;
        for (place, guarding) in guarded.services(Side::Input) {
            let body = changed.as_ref().unwrap_or(body).clone();
            let text = std::str::from_utf8(&body).map_err(Error::internal)?;
            match self.judge(x, guarded, (place, &guarding), Side::Input, text).await? {
                Done::Same => {}
                Done::Changed(body) => changed = Some(Bytes::from(body)),
                Done::Blocked(message) => return Err(guard::blocked(message)),
            }
        }
        Ok(changed)
    }

    /// Has them look at what a tool of the gateway's gave. `None`: the model is told nothing of it.
    pub(super) async fn guard_result(&self, x: &mut Exchange, text: String) -> Option<String> {
        let Some(mut guarded) = x.guards.take() else { return Some(text) };
        let body = Bytes::from(Str::from_text(&text).raw().to_owned());
        let looks = guarded.look_at(Looks::Strings);
        let passed = self.pass(x, &mut guarded, &body).await;
        guarded.look_at(looks);
        x.guards = Some(guarded);
        let Some(body) = passed.ok()? else { return Some(text) };
        Some(Str::from_raw(std::str::from_utf8(&body).ok()?)?.text().into_owned())
    }

    async fn look(&self, x: &Exchange, endpoint: Endpoint, guarded: &mut Guarded) -> Result<Option<Bytes>> {
        let changed = self.pass(x, guarded, &x.body).await?;
        let streams = x.parsed.as_ref().is_some_and(|parsed| parsed.stream);
        if streams && !guarded.services(Side::Output).is_empty() {
            return Err(Error::invalid("stream", "a guard looks at whole answers only: ask for one without `stream`"));
        }
        if streams && endpoint == Endpoint::Completions && guarded.of_answer().is_some() {
            return Err(Error::invalid("stream", "guards do not look at streams of this format: ask without `stream`"));
        }
        Ok(changed)
    }

    /// What follows from the word of one service.
    async fn judge(
        &self,
        x: &Exchange,
        guarded: &mut Guarded,
        (place, guarding): (usize, &Arc<Guarding>),
        side: Side,
        body: &str,
    ) -> Result<Done> {
        let Some(service) = &guarding.service else { return Ok(Done::Same) };
        let text = guarded.told(side, body)?;
        if text.trim().is_empty() {
            return Ok(Done::Same);
        }
        match self.ask_service(x, service, &text).await {
            Ok(judged) => guarded.judged(place, &judged, side, body),
            Err(why) => {
                guarded.board().failed(place, Found::External);
                tracing::warn!(guard = guarding.guard.name, %service, %why, "a guard could not be asked");
                match why.kind() {
                    _ if service.fails_open || guarding.guard.action < Action::Mask => Ok(Done::Same),
                    // The caller's own, where the gateway asks for him: he has to know.
                    Kind::RateLimited | Kind::BudgetExhausted => Err(why),
                    _ => Err(guard::unjudged(service, &why)),
                }
            }
        }
    }

    async fn ask_service(&self, x: &Exchange, service: &Service, text: &str) -> Result<Judged> {
        let body = Bytes::from(guard::service_body(service, text));
        let reply = match &service.url {
            Some(url) => match tokio::time::timeout(service.timeout, self.call_service(url, service, body)).await {
                Ok(reply) => reply?,
                Err(_) => return Err(Error::new(Kind::UpstreamTimeout, "no answer in time")),
            },
            // Never given up from here: it has a row to close.
            None => {
                let path = match service.shape {
                    Shape::OpenAi => "/v1/moderations",
                    _ => "/v1/chat/completions",
                };
                self.ask_self(x, Inner { purpose: Purpose::Guard, path, body, within: service.timeout }).await?
            }
        };
        let judged = guard::service_answer(service.shape, &reply, text);
        judged.ok_or_else(|| Error::new(Kind::UpstreamFailed, "an answer that is no judgement"))
    }

    async fn call_service(&self, url: &WebhookUrl, service: &Service, body: Bytes) -> Result<Bytes> {
        let upstream = super::connector::Upstream::plain(url.base.clone(), service.timeout);
        let whole = url.whole.expose();
        // All behind the host; the scheme's slashes are not it.
        let path = whole.splitn(4, '/').nth(3).map_or_else(|| "/".to_owned(), |rest| format!("/{rest}"));
        let mut head = http::Request::post(path)
            .header(HOST, &url.base.authority)
            .header(CONTENT_TYPE, respond::JSON)
            .header(ACCEPT, respond::JSON)
            .header(CONTENT_LENGTH, body.len());
        if let Some(key) = &service.key {
            head = head.header(AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let (head, ()) = head.body(()).map_err(Error::internal)?.into_parts();
        let mut leg = self.pools.connect(&upstream).await?;
        let reply = round_trip(&mut leg, head, body).await;
        leg.abandon();
        let reply = reply?;
        match reply.status {
            200 => Ok(reply.body),
            status => Err(Error::new(Kind::UpstreamFailed, format!("no judgement, but status {status}"))),
        }
    }

    /// Has services look at a whole answer.
    pub(super) async fn guard_answer(&self, x: &mut Exchange, body: Bytes) -> Result<Bytes> {
        let Some(mut guarded) = x.guards.take() else { return Ok(body) };
        let services = guarded.services(Side::Output);
        let answer = if services.is_empty() { Ok(body) } else { self.asked(x, &mut guarded, services, body).await };
        x.guards = Some(guarded);
        answer
    }

    async fn asked(
        &self,
        x: &Exchange,
        guarded: &mut Guarded,
        services: Vec<(usize, Arc<Guarding>)>,
        mut body: Bytes,
    ) -> Result<Bytes> {
        for (place, guarding) in services {
            let text = std::str::from_utf8(&body).map_err(Error::internal)?;
            let message = match self.judge(x, guarded, (place, &guarding), Side::Output, text).await {
                Ok(Done::Same) => continue,
                Ok(Done::Changed(changed)) => {
                    body = Bytes::from(changed);
                    continue;
                }
                Ok(Done::Blocked(message)) => message,
                // The provider has answered and will be paid: the client is told in its words.
                Err(error) => error.public().to_owned(),
            };
            let attempt = x.attempt.as_ref().ok_or_else(|| Error::internal("an answer of nobody"))?;
            let (model, seal) = (&attempt.target.model, &attempt.target.deployment.seal);
            let id = x.request_id.simple().to_string();
            let client = Client::of(model, &id, seal);
            let quirks = &attempt.target.deployment.quirks;
            return guard::refusal(guarded.looks(), text, &message, (quirks, &client)).map(Bytes::from);
        }
        Ok(body)
    }
}
