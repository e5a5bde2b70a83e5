//! What requests run on: the resolved configuration and what hangs on it. A reload builds a new one
//! beside the old and swaps the pointer; requests that began under the old one keep it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::connector::Upstream;
use super::line::Lines;
use crate::config::runtime::{Deployment, Runtime};
use crate::error::{Error, Result};
use crate::limit::budget::Purse;
use crate::limit::clock::Clock;
use crate::limit::{Limiter, Scope};
use crate::route::board::Board;
use crate::tenant::keys::{Keyring, Roster};
use crate::tools::Toolbox;

/// See the module documentation.
pub(crate) struct Live {
    pub(crate) runtime: Arc<Runtime>,
    /// Who may call: swapped by itself when a key changes that is not the configuration's.
    pub(crate) callers: ArcSwap<Callers>,
    pub(crate) board: Board,
    upstreams: HashMap<String, Arc<Upstream>>,
    lines: HashMap<String, Arc<Lines>>,
    /// What models may call and the gateway runs.
    pub(crate) tools: Toolbox,
}

/// Everybody who may call, and what their requests are paid from.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) keyring: Keyring,
    pub(crate) purses: BTreeMap<Scope, Arc<Purse>>,
    /// Whether a budget stands anywhere.
    has_budgets: bool,
}

impl Callers {
    pub(crate) fn new(runtime: &Runtime, roster: Roster, limiter: &Limiter) -> Self {
        let bound = limiter.bind_with(runtime, roster.keys());
        let keyring = Keyring::new(runtime, roster, &bound);
        let (has_budgets, purses) = (bound.has_budgets(), bound.into_purses());
        Self { keyring, purses, has_budgets }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Live({})", self.runtime.hash)
    }
}

impl Live {
    /// Fails where a file that the configuration names cannot be read.
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        roster: Roster,
        limiter: &Limiter,
        clock: Clock,
        old: Option<&Self>,
    ) -> Result<Self, String> {
        let mut upstreams = HashMap::with_capacity(runtime.deployments.len());
        for deployment in runtime.endpoints() {
            let old = old.and_then(|old| old.upstreams.get(&deployment.id));
            let upstream = Upstream::new(deployment, old.map(AsRef::as_ref))
                .map_err(|e| format!("provider {}: {e}", deployment.id))?;
            upstreams.insert(deployment.id.clone(), Arc::new(upstream));
        }
        let callers = ArcSwap::from_pointee(Callers::new(&runtime, roster, limiter));
        let board = Board::bind(&runtime, old.map(|old| &old.board));
        let lines = |deployment: &Arc<Deployment>| {
            // Those who run or wait keep their places.
            if let Some(known) = old.and_then(|old| old.lines.get(&deployment.id)) {
                known.set(deployment);
                return Some((deployment.id.clone(), Arc::clone(known)));
            }
            let endpoint = board.endpoint(&deployment.id)?;
            let lines = Lines::new(deployment, Arc::clone(&endpoint.endpoint), clock);
            Some((deployment.id.clone(), Arc::new(lines)))
        };
        let lines = runtime.endpoints().filter_map(lines).collect();
        let tools = Toolbox::new(&runtime, super::web::connected, old.map(|old| &old.tools));
        Ok(Self { runtime, callers, board, upstreams, lines, tools })
    }

    /// Keeps what servers said of themselves, where they are still the same servers, and credentials
    /// that were fetched.
    pub(crate) fn keep_learnt(&self, old: &Self) {
        for new in self.runtime.endpoints() {
            let Some(known) = old.runtime.endpoints().find(|d| d.id == new.id) else { continue };
            new.signer.keep(&known.signer);
            let known = Some(known).filter(|known| known.base == new.base);
            if let (Some(new), Some(known)) = (&new.discovered, known.and_then(|d| d.discovered.as_ref())) {
                new.set(known.all());
            }
        }
    }

    /// Whether a budget stands anywhere.
    pub(crate) fn has_budgets(&self) -> bool {
        self.callers.load().has_budgets
    }

    pub(crate) fn upstream(&self, deployment: &Deployment) -> Result<&Arc<Upstream>> {
        self.upstreams.get(&deployment.id).ok_or_else(|| Error::internal("a deployment without an upstream"))
    }

    /// The lines before an endpoint.
    pub(crate) fn lines(&self, deployment: &Deployment) -> Option<&Arc<Lines>> {
        self.lines.get(&deployment.id)
    }

    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (&str, &Arc<Upstream>)> {
        self.upstreams.iter().map(|(name, upstream)| (name.as_str(), upstream))
    }
}
