//! Limits and budgets of a request: first by what this process counts, then, where replicas share them, by
//! the store.

use super::Gateway;
use super::context::Exchange;
use crate::error::{Error, Result};
use crate::limit::clock::Moment;
use crate::limit::{Admission, Ask, Refusal, Want};
use crate::stage::route::Target;
use crate::usage::price::amount;

impl Gateway {
    /// Reserves what the request may use. After `route`, because limits may stand on a model.
    pub(super) async fn limit(&self, x: &mut Exchange) -> Result<()> {
        self.limit_within(x, None).await
    }

    /// The same for a request that is a part of another one.
    pub(super) async fn limit_within(&self, x: &mut Exchange, whole: Option<&Admission>) -> Result<()> {
        let (Some(caller), Some(plan)) = (&x.caller, &x.plan) else { return Err(Error::internal("nothing to limit")) };
        // Limits on a model hold for a route to it too.
        let target = plan.targets.first().filter(|_| !caller.limits.are_none());
        let names = target.map(Target::names).unwrap_or_default();
        let (user, want) = (x.user.as_deref(), want(x, target, &names));
        let ask = Ask { model: &plan.public, target: &names, user, tags: &x.tags, want };
        let at = self.clock.moment();
        let admitted = caller.limits.admit_within(&ask, whole, at);
        self.admitted(x, admitted, at).await
    }

    /// The same for a call of a tool from outside: a request of no model, without tokens.
    pub(super) async fn limit_call(&self, x: &mut Exchange) -> Result<()> {
        let caller = x.caller.as_ref().ok_or_else(|| Error::internal("nobody to limit"))?;
        let ask = Ask { model: "", target: "", user: x.user.as_deref(), tags: &x.tags, want: Want::default() };
        let at = self.clock.moment();
        let admitted = caller.limits.admit(&ask, at);
        self.admitted(x, admitted, at).await
    }

    async fn admitted(&self, x: &mut Exchange, admitted: Result<Admission, Refusal>, at: Moment) -> Result<()> {
        let admission = admitted.map_err(|refusal| self.turned_away(x, &refusal))?;
        // From here on it is settled, also if the client leaves while the store is asked.
        let admission = x.admission.insert(admission);
        if let Some(shared) = &self.shared
            && let Err(refusal) = admission.share(shared, at).await
        {
            if let Some(admission) = x.admission.take() {
                admission.undo(self.clock.moment());
            }
            return Err(self.turned_away(x, &refusal));
        }
        x.entry = self.log.as_ref().map(|log| log.entry(*x.request_id.as_bytes()));
        self.show(x);
        Ok(())
    }

    fn turned_away(&self, x: &mut Exchange, refusal: &Refusal) -> Error {
        if let Some(caller) = &x.caller {
            self.telemetry.throttled(&caller.key.tenant.id, &refusal.label());
        }
        if let Refusal::Limit(denial) = refusal {
            x.denied = Some(denial.standing);
        }
        refusal.to_error()
    }

    /// The same for another target than the first, before it is asked: what stands on its model, and its
    /// price. Where there is no room it is passed over, as one that is out.
    pub(super) async fn limit_also(&self, x: &Exchange, index: usize) -> Result<()> {
        let (Some(caller), Some(admission), 1..) = (&x.caller, &x.admission, index) else { return Ok(()) };
        let target = x.plan.as_ref().and_then(|plan| plan.targets.get(index));
        let names = target.map(Target::names).unwrap_or_default();
        let at = self.clock.moment();
        let mut also = admission.also(&caller.limits, &names, want(x, target, &names), at);
        if let (Ok(()), Some(shared)) = (&also, &self.shared) {
            also = admission.share(shared, at).await;
        }
        also.map_err(|refusal| {
            tracing::debug!(request_id = %x.request_id, target = names, limit = refusal.label(), "a target has no room");
            refusal.to_error()
        })
    }
}

/// What the request may use at a target of that name: its tokens, and what they cost where a budget asks.
fn want(x: &Exchange, target: Option<&Target>, name: &str) -> Want {
    // Nothing that would want it.
    let (Some(target), Some(parsed), Some(caller)) = (target, &x.parsed, &x.caller) else { return Want::default() };
    let expected = caller.limits.expected_output(name);
    let info = target.info.as_ref().filter(|_| caller.limits.are_bounded());
    let region = target.deployment.region.as_deref();
    let usage = parsed.reserve_usage(expected);
    let charge = |tier: Option<&str>| info.map(|info| info.charge(&usage, tier, amount::day_of(x.started_at), region));
    let cost = |tier| charge(tier).map(|charge| charge.floor);
    // It may ask for a dearer tier, and need not get a cheaper one.
    let asked = parsed.service_tier.as_deref().and_then(|tier| cost(Some(tier)));
    Want {
        input_tokens: parsed.input_estimate_tokens,
        output_tokens: parsed.likely_output_tokens(expected),
        most_output_tokens: parsed.most_output_tokens(expected),
        cost: cost(None).max(asked).unwrap_or_default(),
    }
}
