//! The end of an exchange: usage, money, limits settled, one record.

use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::attempt::until_head;
use super::context::{Attempt, Exchange};
use super::{cache, hooks, record, thrown};
use crate::config::runtime::Deployment;
use crate::error::{Error, Kind, Retry};
use crate::limit::budget::{Crossed, Spend};
use crate::limit::clock::unix_ms;
use crate::limit::{Admission, Used};
use crate::record::{OK, Outcome, Tried, Why};
use crate::route::cause::{Cause, Failure};
use crate::stage::route;
use crate::stage::translate::Turn;
use crate::usage::price::{Charge, ModelInfo, PicoUsd, amount};
use crate::usage::tokens::{Advice, MOST_TOKENS, Usage, UsageSource};

/// The least that two moments of a record differ by.
const TICK: Duration = Duration::from_micros(1);

/// What an attempt used, as far as it is known: for one that failed, what its provider will charge.
fn used(x: &Exchange, attempt: &Attempt, error: Option<&Error>) -> Option<(Usage, UsageSource)> {
    // Refused before anything of an answer came: nobody charges for that, in whatever dress it came.
    let is_blank = x.end.first_byte.is_none() || attempt.is_unheard || !attempt.answer.has_begun();
    // One that counts itself was worked on.
    let is_counted =
        || matches!(attempt.answer.usage(0), Some((usage, UsageSource::Reported)) if usage.total_tokens() > 0);
    let is_blank = is_blank && (attempt.is_unheard || !is_counted());
    if is_blank && error.is_some_and(Error::is_unbilled) && attempt.earlier.is_empty() {
        return None;
    }
    let input_tokens = x.parsed.as_ref().map_or(0, |p| p.input_estimate_tokens);
    // A provider that was left alone with a request has read it, and one that began a good answer has worked
    // on it, whatever became of that: they will charge for it.
    let abandoned = || {
        let left =
            error.is_some_and(|e| matches!(e.kind(), Kind::ClientGone | Kind::ShuttingDown | Kind::UpstreamTimeout));
        let broke = error.is_some() && attempt.status.is_some_and(|status| (200..300).contains(&status));
        let visible_output_tokens = attempt.answer.tokens_so_far();
        let usage = Usage { fresh_input_tokens: input_tokens, visible_output_tokens, ..Usage::default() };
        let is_charged = (left && attempt.sent || broke) && !attempt.prepared.endpoint.is_count();
        (is_charged && usage.total_tokens() > 0).then_some((usage, UsageSource::Estimated))
    };
    // Where several were asked and one failed, the others are charged for.
    let partial = || {
        let Some(Turn::Embeddings(turn)) = &attempt.prepared.turn else { return None };
        let bodies: Option<Vec<&str>> = attempt.earlier.iter().map(|body| std::str::from_utf8(body).ok()).collect();
        let usage = bodies.filter(|bodies| !bodies.is_empty()).and_then(|bodies| turn.used(&bodies));
        Some((usage?, UsageSource::Partial))
    };
    // What is others' is on record as theirs.
    let answered = || attempt.answer.usage(input_tokens).filter(|_| !attempt.is_unheard);
    answered().or_else(partial).or_else(abandoned)
}

pub(super) fn price(x: &Exchange, attempt: &Attempt, usage: &Usage) -> Charge {
    let (target, answer) = (&attempt.target, &attempt.answer);
    let other = other(x, attempt);
    let info = other.as_ref().or(target.info.as_ref());
    cache::share(attempt, charged(x, &target.deployment, info, (usage, answer.service_tier())))
}

/// By what is known of a model; else by what its provider says.
fn charged(
    x: &Exchange,
    at: &Deployment,
    info: Option<&Arc<ModelInfo>>,
    (usage, tier): (&Usage, Option<&str>),
) -> Charge {
    let by_table = info.map(|info| info.charge(usage, tier, amount::day_of(x.started_at), at.region.as_deref()));
    by_table.unwrap_or_else(|| Charge::default().or_said(usage))
}

/// The price of the model that answered in place of the one that was asked: one that the request names as well, or
/// whom a provider has in place of models that are no more. What other answers call themselves changes nothing.
fn other(x: &Exchange, attempt: &Attempt) -> Option<Arc<ModelInfo>> {
    let (target, said) = (&attempt.target, attempt.answer.model()?);
    if is_form_of(said, &target.model) {
        return None;
    }
    let named = named(x, said);
    let redirects = || {
        let is_own = route::entry(&target.deployment, &target.model).is_some();
        (target.deployment.quirks.redirects && !is_own).then_some(said)
    };
    route::info(&target.deployment, named.or_else(redirects)?, &x.live.runtime)
}

/// The model that calls itself so, as the request names it beside the one that it is for.
fn named<'x>(x: &'x Exchange, said: &str) -> Option<&'x str> {
    x.parsed.iter().flat_map(|parsed| &parsed.others).map(String::as_str).find(|other| is_form_of(said, other))
}

/// Whether an answer that calls itself so is of that model: under its name, or under one with a date behind it.
fn is_form_of(said: &str, model: &str) -> bool {
    let rest = said.strip_prefix(model);
    rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(['-', '@']).is_some_and(|date| date.starts_with("20")))
}

/// Reads off the answer what was used, and prices it. May be called again as more is known.
fn count(x: &mut Exchange) {
    let Some(attempt) = x.attempt.as_ref().filter(|attempt| !attempt.booked) else { return };
    let Some((usage, source)) = used(x, attempt, x.end.error.as_ref()) else { return };
    x.end.charge = price(x, attempt, &usage);
    x.end.usage = Some(usage);
    x.end.usage_source = source;
}

/// Books what other models used that an attempt's has asked by itself: each as a step of its own, before the
/// attempt's. May be called again.
fn book_advice(x: &mut Exchange, attempt: &mut Attempt) {
    if attempt.answer.advice().is_empty() || attempt.is_advice_booked || cache::is_hit(attempt) {
        return;
    }
    attempt.is_advice_booked = true;
    for Advice { model, usage } in attempt.answer.advice().iter().cloned() {
        let deployment = Arc::clone(&attempt.target.deployment);
        let info = route::info(&deployment, named(x, &model).unwrap_or(&model), &x.live.runtime);
        let charge = charged(x, &deployment, info.as_ref(), (&usage, None));
        let (at, why) = (x.since_start(attempt), attempt.why);
        let is_own = |tried: &Tried| tried.at == at && tried.why == why;
        let place = x.timeline.iter().position(is_own).unwrap_or(x.timeline.len());
        let advice = Tried {
            deployment,
            model,
            alias: None,
            why: Why::Advice,
            // When it was asked nobody says: some time behind the attempt's beginning, and none like another one.
            at: x.timeline.get(..place).and_then(<[Tried]>::last).map_or(at, |last| last.at.max(at)) + TICK,
            duration: Duration::ZERO,
            outcome: OK,
            status: None,
            error: None,
            usage: Some((usage, UsageSource::Reported)),
            service_tier: None,
            charge,
        };
        x.timeline.insert(place, advice);
    }
}

/// Books what an attempt used that is not the one to answer, beside the latest on the timeline, which is
/// its own.
fn book(x: &mut Exchange, attempt: &mut Attempt, error: &Error) {
    attempt.booked = true;
    let used = used(x, attempt, Some(error));
    let charge = used.map(|(usage, _)| price(x, attempt, &usage)).unwrap_or_default();
    if let Some(tried) = x.timeline.last_mut() {
        (tried.usage, tried.charge) = (used, charge);
        tried.service_tier = attempt.answer.service_tier().map(str::to_owned);
    }
    book_advice(x, attempt);
}

/// Whether a client with little patience gave it less time than it has otherwise: that it was too slow
/// for that says nothing against it, or one client could take it from all others.
fn was_hurried(x: &Exchange, attempt: &Attempt, cause: Cause) -> bool {
    let own = attempt.target.deployment.timeouts;
    let is_early = x.end.first_byte.is_some() || attempt.began.elapsed() < until_head(x, own);
    cause == Cause::Timeout && is_early && x.patience.is_shorter(own)
}

/// What limits and budgets are charged with; of a cost that nobody knows, what is known of it.
fn part<'n>(target: &'n str, usage: &Usage, charge: Charge) -> Used<'n> {
    let [input_tokens, output_tokens] = [usage.input_tokens(), usage.output_tokens()].map(|n| n.min(MOST_TOKENS));
    Used { target, input_tokens, output_tokens, cost: charge.floor.within_reason() }
}

/// What was used at one target, and what of its cost is known.
type AtTarget = (String, Usage, Charge);

/// What attempts used that were lost, and the last one.
fn by_target(x: &Exchange, last: Option<(&Attempt, Usage, Charge)>, is_named: bool) -> Vec<AtTarget> {
    let named = |names: &dyn Fn() -> String| if is_named { names() } else { String::new() };
    let lost = x.timeline.iter().filter_map(|tried| {
        let (usage, _) = tried.usage?;
        let names = || route::known_as(&tried.deployment, &tried.model, tried.alias.as_deref());
        Some((named(&names), usage, tried.charge))
    });
    let last = last.map(|(it, usage, charge)| (named(&|| it.target.names()), usage, charge));
    lost.chain(last).collect()
}

fn parts(all: &[AtTarget]) -> Vec<Used<'_>> {
    all.iter().map(|(target, usage, charge)| part(target, usage, *charge)).collect()
}

/// All of that, of an answer that runs and of what was lost before it.
fn so_far(x: &Exchange, runs: Option<(Usage, Charge)>) -> Spend {
    let lost = x.timeline.iter().filter_map(|tried| Some((tried.usage?.0, tried.charge)));
    let spend = |(usage, charge): (Usage, Charge)| Spend {
        tokens: usage.total_tokens().min(MOST_TOKENS),
        cost: charge.floor.within_reason(),
    };
    let all = lost.chain(runs).map(spend);
    all.fold(Spend::default(), Spend::plus)
}

/// Whether the last answer was finished and its provider has counted it.
fn is_whole(x: &Exchange) -> bool {
    x.end.error.is_none() && x.end.usage.is_some() && x.end.usage_source == UsageSource::Reported
}

/// How much this model answers; of what has no bound on its output, nothing is to be learned.
fn learn(x: &Exchange, target: &str, usage: &Usage) {
    let (Some(caller), Some(parsed)) = (&x.caller, &x.parsed) else { return };
    if parsed.max_output_tokens != Some(0) {
        caller.limits.learn_output(target, usage.output_tokens() / parsed.choices.max(1));
    }
}

impl Gateway {
    /// Puts an attempt on record, once.
    fn put(&self, x: &mut Exchange, attempt: &mut Attempt, outcome: &'static str, error: Option<&Error>) {
        if std::mem::replace(&mut attempt.recorded, true) {
            return;
        }
        x.timeline.push(Tried {
            deployment: Arc::clone(&attempt.target.deployment),
            model: attempt.target.model.clone(),
            alias: attempt.target.alias.clone(),
            why: attempt.why,
            at: x.since_start(attempt),
            duration: attempt.began.elapsed(),
            outcome,
            status: attempt.status,
            error: error.map(|error| error.code().to_owned()),
            usage: None,
            service_tier: None,
            charge: Charge::default(),
        });
    }

    /// The attempt is over without an answer for the client, or broke in the middle of one: what that
    /// means for its target, on record.
    pub(super) fn attempt_failed(&self, x: &mut Exchange, error: &Error) -> Failure {
        let Some(mut attempt) = x.attempt.take() else { return Failure::of(error) };
        let failure = self.attempt_over(x, &mut attempt, error);
        x.attempt = Some(attempt);
        failure
    }

    fn attempt_over(&self, x: &mut Exchange, attempt: &mut Attempt, error: &Error) -> Failure {
        let error = &hooks::clean_error(x, Some(attempt), error);
        let mut failure = Failure::of(error);
        cache::let_go(attempt);
        // The client's own credential, limit or money: nothing to blame the endpoint for, and nothing
        // that another one would see otherwise.
        let is_accounts = error.shown() == Kind::UpstreamAuth
            || matches!(failure.cause, Cause::Auth | Cause::RateLimited | Cause::Quota);
        if x.forwarded.is_some() && is_accounts {
            (failure.cause, failure.retry) = (Cause::Rejected, Retry::No);
        }
        attempt.places = [None, None];
        if let Some(run) = attempt.run.take().filter(|_| !was_hurried(x, attempt, failure.cause)) {
            run.failed(&failure, self.clock.now_ms());
            let lines = x.live.lines(&attempt.target.deployment).filter(|_| failure.cause == Cause::RateLimited);
            if let Some(lines) = lines {
                lines.refused(&run, &attempt.target.model);
            }
        }
        let provider = attempt.target.deployment.name.as_str();
        let detail = error.detail().filter(|_| tracing::enabled!(tracing::Level::DEBUG));
        let detail = detail.map(|detail| thrown::without_request(detail, &x.body));
        tracing::debug!(
            request_id = %x.request_id,
            provider,
            cause = failure.cause.as_str(),
            detail = detail.as_deref(),
            "attempt failed"
        );
        self.put(x, attempt, failure.cause.as_str(), Some(error));
        failure
    }

    /// Another attempt follows: what this one used is booked beside it.
    pub(super) fn book_lost(&self, x: &mut Exchange, error: &Error) {
        let Some(mut attempt) = x.attempt.take() else { return };
        book(x, &mut attempt, error);
        x.attempt = Some(attempt);
    }

    /// The model has called tools of the gateway's, and is asked again: what this turn used is booked for
    /// itself. Gives back what the client is told of that.
    pub(super) fn round_over(&self, x: &mut Exchange) -> Usage {
        let Some(mut attempt) = x.attempt.take() else { return Usage::default() };
        let used = used(x, &attempt, None);
        let charge = used.map(|(usage, _)| price(x, &attempt, &usage)).unwrap_or_default();
        self.put(x, &mut attempt, OK, None);
        attempt.leave();
        attempt.booked = true;
        if let Some(tried) = x.timeline.last_mut() {
            (tried.usage, tried.charge) = (used, charge);
            tried.service_tier = attempt.answer.service_tier().map(str::to_owned);
        }
        book_advice(x, &mut attempt);
        x.attempt = Some(attempt);
        used.map(|(usage, _)| usage).unwrap_or_default()
    }

    /// The attempt is the one to answer after all: what it used is the row's own.
    pub(super) fn unbook(&self, x: &mut Exchange) {
        let Some((at, why)) = x.attempt.as_ref().map(|attempt| (x.since_start(attempt), attempt.why)) else { return };
        let Some(tried) = x.timeline.iter_mut().rfind(|tried| tried.at == at && tried.why == why) else { return };
        if let Some((usage, source)) = tried.usage.take() {
            (x.end.usage, x.end.usage_source) = (Some(usage), source);
            x.end.charge = std::mem::take(&mut tried.charge);
        }
    }

    /// What all attempts that are over have cost, as far as that is known.
    pub(super) fn spent(&self, x: &Exchange) -> PicoUsd {
        so_far(x, None).cost
    }

    /// Of two attempts side by side the other one answered, or failed last.
    pub(super) fn lost(&self, x: &mut Exchange, attempt: &mut Attempt, error: Option<&Error>) {
        let cancelled = Error::new(Kind::ClientGone, "another attempt was faster");
        match error {
            Some(error) => _ = self.attempt_over(x, attempt, error),
            None => {
                attempt.leave();
                self.put(x, attempt, Cause::Cancelled.as_str(), None);
            }
        }
        book(x, attempt, error.unwrap_or(&cancelled));
    }

    /// Another target is asked.
    pub(super) fn fell_back(&self, x: &Exchange, from: usize, to: usize, error: &Error) {
        let name =
            |index: usize| x.plan.as_ref().and_then(|p| p.targets.get(index)).map(|t| t.deployment.name.as_str());
        if let (Some(from), Some(to), true) = (name(from), name(to), from != to) {
            self.telemetry.fallback(from, to, Cause::of(error).as_str());
        }
    }

    /// The client has its answer, or its beginning.
    pub(super) fn attempt_answered(&self, x: &mut Exchange) {
        let Some(attempt) = x.attempt.as_ref().filter(|attempt| !cache::is_hit(attempt)) else { return };
        let now_ms = self.clock.now_ms();
        let first_token_ms = attempt.run.as_ref().map_or(0, |run| now_ms.saturating_sub(run.began_ms()));
        if let Some(run) = &attempt.run {
            run.succeeded(first_token_ms, now_ms);
            if !x.forwarded.is_some() {
                run.credential_taken();
            }
        }
        if let Some(lines) = x.live.lines(&attempt.target.deployment) {
            lines.answered(&attempt.target.model);
        }
        let route = x.plan.as_ref().and_then(|plan| plan.route.as_ref());
        let hedged = route.filter(|route| route.attempts.hedge);
        if let Some(times) = hedged.and_then(|route| x.live.board.route(&route.name)) {
            times.add(first_token_ms);
        }
    }

    /// A stream that has begun ended with an error event.
    pub(super) fn stream_failed(&self, x: &mut Exchange, error: &Error) {
        self.attempt_failed(x, error);
        x.end.error = Some(hooks::clean_error(x, x.attempt.as_ref(), error));
        x.end.outcome = Outcome::UpstreamCut;
    }

    /// The error for an answer that runs and that a budget has nothing left for.
    pub(super) fn overdrawn(&self, x: &Exchange) -> Option<Error> {
        let (admission, attempt) = (x.admission.as_ref().filter(|it| it.may_stop())?, x.attempt.as_ref()?);
        let runs = used(x, attempt, None)
            .map(|(usage, _)| (cache::share_of_tokens(attempt, usage), price(x, attempt, &usage)));
        // Names are made only where something is to be done.
        if admission.covers(so_far(x, runs)) {
            return None;
        }
        let all = by_target(x, runs.map(|(usage, cost)| (attempt, usage, cost)), true);
        let exhausted = admission.keep_up(&attempt.target.names(), &parts(&all), self.clock.moment()).err()?;
        let tenant = exhausted.scope.tenant();
        self.telemetry.throttled(tenant, &exhausted.label());
        Some(exhausted.to_stop())
    }

    /// A stream was ended by us, and not for anything that its provider did.
    pub(super) fn stream_stopped(&self, x: &mut Exchange, error: &Error) {
        if let Some(mut attempt) = x.attempt.take() {
            self.put(x, &mut attempt, Cause::Cancelled.as_str(), Some(error));
            attempt.leave();
            x.attempt = Some(attempt);
        }
        x.fail(error);
    }

    /// Counts what was used and charges it in place of what was reserved. Only the first charge
    /// counts.
    pub(super) fn settle(&self, x: &mut Exchange) {
        count(x);
        if let Some(mut attempt) = x.attempt.take() {
            book_advice(x, &mut attempt);
            x.attempt = Some(attempt);
        }
        if let Some(guarded) = &x.guards {
            x.decisions = guarded.board().lines();
        }
        if x.admission.as_ref().is_none_or(Admission::is_settled) {
            return;
        }
        // Names are for what stands on models, and for what is learned.
        let is_limited = x.caller.as_ref().is_some_and(|caller| !caller.limits.are_none());
        let last = x.attempt.as_ref().zip(x.end.usage);
        let last = last.map(|(it, usage)| (it, cache::share_of_tokens(it, usage), x.end.charge));
        let is_news = is_limited && is_whole(x) && !x.attempt.as_ref().is_some_and(cache::is_hit);
        let all = by_target(x, last, is_limited);
        let Some(admission) = x.admission.as_mut() else { return };
        let crossed = admission.settle(&parts(&all), self.clock.moment());
        crossed.iter().for_each(|crossed| self.crossed(x, crossed));
        if let (Some((target, usage, _)), true) = (all.last(), is_news) {
            learn(x, target, usage);
        }
    }

    /// Where everybody is told who is to know of a mark of a budget that was passed.
    fn crossed(&self, x: &Exchange, crossed: &Crossed) {
        let Crossed { scope, budget, percent, .. } = crossed;
        let (tenant, kind, name) = (scope.tenant(), scope.kind(), scope.name());
        tracing::warn!(request_id = %x.request_id, tenant, scope = kind, name, budget = budget.name(), percent, "{crossed}");
        self.telemetry.budget_crossed(crossed);
        self.alerts.budget_crossed(crossed, unix_ms());
    }

    /// Settles limits and writes the one record. Only the first call counts.
    pub(super) fn close(&self, x: &mut Exchange) {
        if std::mem::replace(&mut x.end.closed, true) {
            return;
        }
        x.clock.pause();
        self.settle(x);
        self.put_last(x);
        let row = self.end_row(x);
        // Before its record is anywhere: nobody is told that it runs once it has ended.
        x.runs = None;
        self.telemetry.finish(&record::of(x, x.attempt.as_ref()), row);
        if let Some(recorder) = x.capture.take() {
            self.captures.put(recorder);
        }
    }

    /// The attempt that answered, or failed last, goes on record.
    pub(super) fn put_last(&self, x: &mut Exchange) {
        let Some(mut attempt) = x.attempt.take() else { return };
        let outcome = match x.end.outcome {
            Outcome::Finished => OK,
            Outcome::ClientCut => Cause::ClientGone.as_str(),
            _ => x.end.error.as_ref().map_or(OK, |error| Cause::of(error).as_str()),
        };
        self.put(x, &mut attempt, outcome, None);
        attempt.leave();
        x.attempt = Some(attempt);
    }
}
