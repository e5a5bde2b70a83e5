//! An answer that was not the JSON that was asked for: its model is told so and asked once more, within the same
//! attempt loop as between rounds of tools. That is one attempt at the same target: where it fails, the answer
//! before it is given as the guard says.

use pingora_proxy::Session;

use super::context::{Attempt, Exchange};
use super::{Gateway, cache, relay, stream};
use crate::error::Result;
use crate::stage::answer::Answer;
use crate::usage::tokens::Usage;
use crate::wire::edge::form::Again;
use crate::wire::edge::{Extra, Own};

/// What is asked again, and what for.
#[derive(Debug)]
pub(crate) struct Repair {
    again: Again,
    /// What the client is told to have used by it.
    earlier: Usage,
    /// The attempt that gave it.
    first: Option<Attempt>,
}

impl Repair {
    /// What the provider's request has beside the client's.
    pub(super) fn extra<'e>(&'e self, tools: Extra<'e>) -> Extra<'e> {
        Extra { again: Some(&self.again), is_last: true, ..tools }
    }

    pub(super) fn keep(&mut self, first: Option<Attempt>) {
        self.first = first;
    }
}

/// What of the answer is not the client's, and what it has to be; for most there is nothing of that.
pub(super) fn own(x: &Exchange) -> Option<Own> {
    let form = x.guards.as_ref().and_then(|guarded| guarded.form());
    if x.edge.is_none() && form.is_none() {
        return None;
    }
    let own = x.edge.as_ref().map(|edge| edge.own()).unwrap_or_default();
    let mut own = Own { form, ..own };
    if let Some(repair) = &x.repair {
        own.earlier = own.earlier.plus(&repair.earlier);
        own.form.iter_mut().for_each(|form| form.be_second());
    }
    Some(own)
}

/// Gives back whether the model is to be asked again. Where a budget has nothing left for that the answer is
/// ended.
pub(super) async fn round(gateway: &Gateway, session: &mut Session, x: &mut Exchange, again: Again) -> Result<bool> {
    cache::unfit(x.attempt_mut()?);
    if gateway.overdrawn(x).is_some() {
        settle(gateway, session, x).await?;
        return Ok(false);
    }
    let earlier = gateway.round_over(x);
    x.repair = Some(Box::new(Repair { again, earlier, first: None }));
    Ok(true)
}

/// There is no better answer: the one before it is given after all.
pub(super) async fn give_up(gateway: &Gateway, session: &mut Session, x: &mut Exchange) -> Result<()> {
    if let Some(mut first) = x.repair.as_mut().and_then(|repair| repair.first.take()) {
        // A stream is the same one all the time.
        if let Some(failed) = x.attempt.as_mut().filter(|failed| failed.answer.is_stream()) {
            first.answer = std::mem::replace(&mut failed.answer, Answer::unseen());
        }
        x.attempt = Some(first);
    }
    gateway.unbook(x);
    settle(gateway, session, x).await
}

async fn settle(gateway: &Gateway, session: &mut Session, x: &mut Exchange) -> Result<()> {
    let answer = &mut x.attempt_mut()?.answer;
    let (out, is_stream) = (answer.settle()?, answer.is_stream());
    match is_stream {
        true => stream::last(gateway, session, x, out).await,
        false => relay::whole(gateway, session, x, out).await,
    }
}
