//! One exchange: everything known of a request between its head and its ledger row.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use uuid::{NoContext, Timestamp, Uuid};

use super::cache::{Cached, Rules};
use super::edge::Edge;
use super::line::Place;
use super::live::Live;
use super::repair::Repair;
use super::shutdown::Ticket;
use super::tools::Calls;
use crate::capture::{self, Recorder};
use crate::config::attempts::Patience;
use crate::config::runtime::{Strategy, Timeouts};
use crate::error::{Error, Kind};
use crate::ledger::Entry;
use crate::limit::door::Visit;
use crate::limit::{Admission, Standing};
use crate::record::trace::SpanId;
use crate::record::{Outcome, Purpose, Tried, Why};
use crate::route::vital::Run;
use crate::stage::accept::Endpoint;
use crate::stage::answer::Answer;
use crate::stage::authenticate::Origin;
use crate::stage::compress::Done;
use crate::stage::guard::Guarded;
use crate::stage::parse::Parsed;
use crate::stage::pass::{self, Opened, Passage};
use crate::stage::route::{Plan, Target};
use crate::stage::translate::{self, Prepared, Source};
use crate::telemetry;
use crate::telemetry::running::Runs;
use crate::telemetry::trace::Trace;
use crate::tenant::credential::Forwarded;
use crate::tenant::keys::Caller;
use crate::usage::price::Charge;
use crate::usage::tokens::{Usage, UsageSource};
use crate::wire::Dialect;
use crate::wire::stream::Said;

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) live: Arc<Live>,
    pub(crate) started: Instant,
    /// Time spent here, not waiting for the client or the provider.
    pub(crate) clock: Clock,
    pub(crate) started_at: SystemTime,
    pub(crate) request_id: Uuid,
    pub(crate) client_request_id: Option<HeaderValue>,
    /// What the gateway asks it for, where it is no client's.
    pub(crate) purpose: Option<Purpose>,
    pub(crate) trace: Option<Trace>,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) gauge: Option<telemetry::InFlight>,
    /// Its place at the door.
    pub(crate) visit: Option<Visit>,
    pub(crate) endpoint: Option<Endpoint>,
    /// The caller's format: of errors, and of answers.
    pub(crate) dialect: Dialect,
    pub(crate) caller: Option<Arc<Caller>>,
    pub(crate) origin: Origin,
    /// The client's own credential, which goes upstream in place of the provider's.
    pub(crate) forwarded: Forwarded,
    pub(crate) body: Bytes,
    pub(crate) parsed: Option<Parsed>,
    /// Of what passes in its own format.
    pub(crate) passage: Option<Passage>,
    /// The sealed ids that the request came with.
    pub(crate) opened: Opened,
    pub(crate) plan: Option<Plan>,
    /// What compression did to the body, where it was to do something.
    pub(crate) compression: Option<Box<Done>>,
    /// Those that look at what it says, where any do.
    pub(crate) guards: Option<Box<Guarded>>,
    /// What they decided, as its record has it.
    pub(crate) decisions: Vec<String>,
    pub(crate) admission: Option<Admission>,
    /// Its place in the ledger's log, once it is admitted.
    pub(crate) entry: Option<Entry>,
    /// The key's limits as they stood when one of them refused.
    pub(crate) denied: Option<Standing>,
    /// Refuse what a target cannot express.
    pub(crate) strict: bool,
    /// What an Anthropic client asks for in its head.
    pub(crate) betas: Vec<HeaderValue>,
    /// What the client calls the request, for records and rules.
    pub(crate) tags: Vec<String>,
    /// Whom the client says it is for, for records and limits.
    pub(crate) user: Option<String>,
    /// How long the client has patience, where it says so.
    pub(crate) patience: Patience,
    pub(crate) attempt: Option<Attempt>,
    pub(crate) attempts: u32,
    /// The attempts that are over.
    pub(crate) timeline: Vec<Tried>,
    /// The client has the head of a stream, so that its connection is not taken for dead: and nothing
    /// else yet, as long as there is no first byte.
    pub(crate) head_is_out: bool,
    /// What it has of the gateway's own tools.
    pub(crate) edge: Option<Box<Edge>>,
    /// Those that were run for it.
    pub(crate) tool_calls: Calls,
    /// Once its answer was not what was asked for, and the model is asked again.
    pub(crate) repair: Option<Box<Repair>>,
    /// Where answers are kept for it.
    pub(crate) cache: Option<Box<Rules>>,
    /// Where somebody wants to see it.
    pub(crate) capture: Option<Arc<Recorder>>,
    /// Where somebody looks at what runs.
    pub(crate) runs: Option<Runs>,
    /// Why passing was stopped.
    pub(crate) stopped: Option<Error>,
    pub(crate) end: End,
}

/// The attempt that runs, or ran last.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) target: Target,
    pub(crate) prepared: Prepared,
    pub(crate) answer: Answer,
    /// The answer is one that others have begun, and nothing of it is this one's yet.
    pub(crate) is_unheard: bool,
    /// Answers to the bodies that were asked before the last one.
    pub(crate) earlier: Vec<Bytes>,
    pub(crate) why: Why,
    pub(crate) began: Instant,
    pub(crate) timeouts: Timeouts,
    /// For all of it.
    pub(crate) deadline: Deadline,
    /// Counted at the target as long as it runs.
    pub(crate) run: Option<Run>,
    /// At the endpoint, where they are scarce.
    pub(crate) places: [Option<Place>; 2],
    /// The request went out whole.
    pub(crate) sent: bool,
    /// Time spent here on its answer before it proved good.
    pub(crate) work: Duration,
    /// What it used is booked beside it, on the timeline: no later count may see it.
    pub(crate) booked: bool,
    /// What other models used that its model asked is.
    pub(crate) is_advice_booked: bool,
    /// On record: what happens to it now is another's.
    pub(crate) recorded: bool,
    /// Its part of what is captured.
    pub(crate) capture: Option<capture::Leg>,
    /// Where answers are kept.
    pub(crate) cached: Option<Cached>,
    /// What the provider said.
    pub(crate) status: Option<u16>,
    /// The provider's own error answer, for a caller of its format.
    pub(crate) verbatim: Option<(u16, Bytes)>,
}

impl Attempt {
    /// It counts nowhere any more.
    pub(crate) fn leave(&mut self) {
        (self.run, self.places) = (None, [None, None]);
    }

    pub(crate) fn new(target: Target, prepared: Prepared, why: Why) -> Self {
        let (began, timeouts) = (Instant::now(), target.deployment.timeouts);
        Self {
            target,
            prepared,
            answer: Answer::unseen(),
            is_unheard: false,
            earlier: Vec::new(),
            why,
            began,
            timeouts,
            deadline: Deadline { at: began + timeouts.total, is_clients: false },
            run: None,
            places: [None, None],
            sent: false,
            work: Duration::ZERO,
            booked: false,
            is_advice_booked: false,
            recorded: false,
            capture: None,
            cached: None,
            status: None,
            verbatim: None,
        }
    }
}

/// When all has to be over, and whose wish that is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    pub(crate) at: Instant,
    /// The client said so (`x-weir-timeout`).
    pub(crate) is_clients: bool,
}

/// What the ledger row says of the end.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
    pub(crate) error: Option<Error>,
    pub(crate) usage: Option<Usage>,
    pub(crate) usage_source: UsageSource,
    pub(crate) charge: Charge,
    /// To the first byte for the client.
    pub(crate) first_byte: Option<Duration>,
    /// The provider's own error answer, for a caller of its format.
    pub(crate) verbatim: Option<(u16, Bytes)>,
    /// The row, as it was when the answer was complete.
    pub(crate) sealed: Option<Sealed>,
    /// The row is written.
    pub(crate) closed: bool,
}

/// A row that stands in the ledger's log, packed, with what may turn out otherwise.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) row: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) outcome: Outcome,
}

/// A stopwatch.
#[derive(Debug)]
pub(crate) struct Clock {
    spent: Duration,
    running: Option<Instant>,
}

impl Clock {
    fn started(at: Instant) -> Self {
        Self { spent: Duration::ZERO, running: Some(at) }
    }

    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.running.take() {
            self.spent += since.elapsed();
        }
    }

    pub(crate) fn go(&mut self) {
        self.running.get_or_insert_with(Instant::now);
    }

    /// Adds what was spent beside it.
    pub(crate) fn spend(&mut self, work: Duration) {
        self.spent += work;
    }

    pub(crate) fn spent(&self) -> Duration {
        self.spent + self.running.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// An id of that millisecond (UUIDv7). The library's own of the present moment counts up behind a lock that all
/// requests would share.
fn id_at(started_at: SystemTime) -> Uuid {
    let since = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, since.as_secs(), since.subsec_nanos()))
}

impl Exchange {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        let (started, started_at) = (Instant::now(), SystemTime::now());
        Self {
            live,
            started,
            clock: Clock::started(started),
            started_at,
            request_id: id_at(started_at),
            client_request_id: None,
            purpose: None,
            trace: None,
            ticket: None,
            gauge: None,
            visit: None,
            endpoint: None,
            dialect: Dialect::OpenAiChat,
            caller: None,
            origin: Origin { peer: None, caller: None },
            forwarded: Forwarded::default(),
            body: Bytes::new(),
            parsed: None,
            passage: None,
            opened: Opened::default(),
            plan: None,
            compression: None,
            guards: None,
            decisions: Vec::new(),
            admission: None,
            entry: None,
            denied: None,
            strict: false,
            betas: Vec::new(),
            tags: Vec::new(),
            user: None,
            patience: Patience::default(),
            attempt: None,
            attempts: 0,
            timeline: Vec::new(),
            head_is_out: false,
            edge: None,
            tool_calls: Calls::default(),
            repair: None,
            cache: None,
            capture: None,
            runs: None,
            stopped: None,
            end: End {
                status: 0,
                outcome: Outcome::Failed,
                error: None,
                usage: None,
                usage_source: UsageSource::Estimated,
                charge: Charge::default(),
                first_byte: None,
                verbatim: None,
                sealed: None,
                closed: false,
            },
        }
    }

    /// The provider's request, from the client's untouched bytes.
    pub(crate) fn prepare(&self, target: &Target) -> Result<Prepared, Error> {
        match (&self.passage, &self.parsed, self.endpoint) {
            (Some(passage), Some(parsed), Some(endpoint)) => {
                let like = Prepared::passed(self.dialect, endpoint);
                pass::prepare(passage, parsed, &self.body, target, like)
            }
            _ => translate::prepare(self.source()?, target),
        }
    }

    /// What the client has got of a stream that broke and is open for another target to go on with.
    pub(crate) fn said(&self) -> Option<Said> {
        self.end.first_byte?;
        self.attempt.as_ref()?.answer.said()
    }

    /// The provider's request to go on with that.
    pub(crate) fn prepare_continued(&self, target: &Target, said: &Said) -> Result<Prepared, Error> {
        translate::prepare_continued(self.source()?, target, said)
    }

    /// What is translated, the same for every attempt.
    fn source(&self) -> Result<Source<'_>, Error> {
        match (self.endpoint, &self.parsed) {
            (Some(endpoint), Some(parsed)) => {
                let extra = self.edge.as_ref().map(|edge| edge.extra());
                let extra = match &self.repair {
                    Some(repair) => Some(repair.extra(extra.unwrap_or_default())),
                    None => extra,
                };
                Ok(Source { endpoint, body: &self.body, parsed, strict: self.strict, betas: &self.betas, extra })
            }
            _ => Err(Error::internal("nothing was parsed")),
        }
    }

    /// The attempt, or the defect of asking for it too early.
    pub(crate) fn attempt_mut(&mut self) -> Result<&mut Attempt, Error> {
        self.attempt.as_mut().ok_or_else(|| Error::internal("no attempt runs"))
    }

    /// When the attempt began, as its record has it.
    pub(crate) fn since_start(&self, attempt: &Attempt) -> Duration {
        attempt.began.saturating_duration_since(self.started)
    }

    /// How the attempt is called in the request's trace.
    pub(crate) fn span(&self, attempt: &Attempt) -> SpanId {
        SpanId::of_attempt(self.request_id, self.since_start(attempt))
    }

    /// Another target than the first one answered.
    pub(crate) fn fallback_used(&self) -> bool {
        let (Some(plan), Some(attempt)) = (&self.plan, &self.attempt) else { return false };
        let ordered = plan.route.as_ref().is_some_and(|route| route.group.strategy == Strategy::Fallback);
        match (ordered, plan.targets.first()) {
            // Also where the first was known to be out, and was not even asked.
            (true, _) => plan.targets.iter().any(|target| target.place < attempt.target.place),
            // Another endpoint of the same is none.
            (false, Some(first)) => {
                let answered = &attempt.target;
                (&first.deployment.name, &first.model) != (&answered.deployment.name, &answered.model)
            }
            (false, None) => false,
        }
    }

    /// The client has the head of a stream and signs of life, and nothing of an answer.
    pub(crate) fn is_silent_so_far(&self) -> bool {
        self.head_is_out && self.end.first_byte.is_none()
    }

    /// A WebSocket is open, or was.
    pub(crate) fn is_session(&self) -> bool {
        self.end.status == 101
    }

    /// Stops Pingora's pipeline; `fail_to_proxy` answers with this error.
    pub(crate) fn stop_passing(&mut self, error: Error) -> Box<pingora_core::Error> {
        let told = pingora_core::Error::explain(pingora_core::ErrorType::HTTPStatus(error.status()), error.to_string());
        self.stopped = Some(error);
        told
    }

    /// Remembers why the request failed.
    pub(crate) fn fail(&mut self, error: &Error) {
        self.end.outcome = match error.kind() {
            Kind::ClientGone => Outcome::ClientCut,
            _ => Outcome::Failed,
        };
        self.end.error = Some(error.clone());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_of_their_moment_and_no_two_are_the_same() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_764_500_000_123);
        let ids: HashSet<Uuid> = (0..10_000).map(|_| id_at(at)).collect();
        assert_eq!(ids.len(), 10_000);
        for id in ids {
            let since = id.get_timestamp().map(|time| time.to_unix());
            assert_eq!((id.get_version_num(), since), (7, Some((1_764_500_000, 123_000_000))), "{id}");
        }
    }
}
