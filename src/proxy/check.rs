//! Active checks (`check`): servers of one's own are asked whether they are well, beside the requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::task::JoinSet;

use super::ask::ask_below;
use super::connector::Pools;
use super::live::Live;
use crate::config::runtime::Deployment;
use crate::error::{Error, Kind, Result};

/// How often it is looked who is due.
const TICK: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Failures in a row that take an endpoint out; one success brings it back.
const FAILURES: u32 = 2;

/// See the module documentation.
pub(super) struct Checks {
    pub(super) live: Arc<ArcSwap<Live>>,
}

/// What is known of one endpoint's checks.
#[derive(Debug)]
struct Course {
    due: Instant,
    failures: u32,
    is_running: bool,
}

/// A check that is over: of whom, and how it went.
type Checked = (Arc<Deployment>, Result<()>);

#[async_trait]
impl BackgroundService for Checks {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let pools = Arc::new(Pools::new(ConnectorOptions::new(8)));
        let mut tick = tokio::time::interval(TICK);
        let mut courses: HashMap<String, Course> = HashMap::new();
        // At most one for each endpoint; they end with this task.
        let mut running: JoinSet<Checked> = JoinSet::new();
        loop {
            tokio::select! {
                _ = tick.tick() => self.begin(&pools, &mut courses, &mut running),
                Some(Ok((deployment, found))) = running.join_next() => self.note(&deployment, found, &mut courses),
                _ = shutdown.changed() => return,
            }
        }
    }
}

impl Checks {
    /// Begins the checks that are due.
    fn begin(&self, pools: &Arc<Pools>, courses: &mut HashMap<String, Course>, running: &mut JoinSet<Checked>) {
        let (live, now) = (self.live.load_full(), Instant::now());
        courses.retain(|id, _| live.board.endpoint(id).is_some());
        for deployment in live.runtime.endpoints() {
            let Some(check) = &deployment.check else {
                forget(&live, &deployment.id, courses);
                continue;
            };
            let course =
                courses.entry(deployment.id.clone()).or_insert(Course { due: now, failures: 0, is_running: false });
            if course.is_running || course.due > now {
                continue;
            }
            (course.is_running, course.due) = (true, now + check.every);
            let (live, pools, deployment) = (Arc::clone(&live), Arc::clone(pools), Arc::clone(deployment));
            running.spawn(async move {
                let found = examine(&live, &pools, &deployment).await;
                (deployment, found)
            });
        }
    }

    fn note(&self, deployment: &Deployment, found: Result<()>, courses: &mut HashMap<String, Course>) {
        let (Some(course), live) = (courses.get_mut(&deployment.id), self.live.load()) else { return };
        course.is_running = false;
        course.failures = if found.is_ok() { 0 } else { course.failures.saturating_add(1) };
        let Some(endpoint) = live.board.endpoint(&deployment.id) else { return };
        match found {
            Ok(()) => {
                if endpoint.checked(true) {
                    tracing::info!(endpoint = %deployment.id, "the endpoint passes its check again");
                }
            }
            Err(error) if course.failures >= FAILURES => {
                if endpoint.checked(false) {
                    tracing::warn!(endpoint = %deployment.id, %error, "the endpoint fails its check: nothing is sent there");
                }
            }
            Err(_) => {}
        }
    }
}

/// Who is no longer checked is well until requests say otherwise.
fn forget(live: &Live, id: &str, courses: &mut HashMap<String, Course>) {
    if let (Some(_), Some(endpoint)) = (courses.remove(id), live.board.endpoint(id)) {
        endpoint.checked(true);
    }
}

/// Asks once.
async fn examine(live: &Live, pools: &Pools, deployment: &Deployment) -> Result<()> {
    let check = deployment.check.as_ref().ok_or_else(|| Error::internal("no check to make"))?;
    let upstream = live.upstream(deployment)?;
    let within = check.every.min(LONGEST);
    let base = deployment.base.path.as_str();
    let root = base.strip_suffix("/v1").unwrap_or(base);
    let request = (Method::GET, check.path.as_str(), Bytes::new());
    let reply = ask_below(root, pools, upstream, deployment, request, within).await?;
    match reply.status {
        200..400 => Ok(()),
        status => Err(Error::new(Kind::UpstreamFailed, format!("status {status}"))),
    }
}
