//! All tools that there are, and which of them a request has.

use std::sync::Arc;

use super::Tool;
use super::builtin::BuiltIn;
use crate::config::runtime::Runtime;
use crate::config::tools::EdgeTools;

/// See the module documentation.
#[derive(Debug, Default)]
pub struct Toolbox {
    /// By name.
    tools: Vec<Arc<Tool>>,
}

impl Toolbox {
    /// What this configuration has. What an `old` one has open stays open, where it goes to the same place.
    pub fn new(_runtime: &Runtime, _old: Option<&Self>) -> Self {
        let mut tools: Vec<Arc<Tool>> = BuiltIn::ALL.iter().map(|tool| Arc::new(tool.tool())).collect();
        tools.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        Self { tools }
    }

    /// The tools that are switched on, by name: always in the same order, so that prompts are cached. Waits for
    /// a server that has not yet said what it has, but not for long.
    pub async fn offered(&self, on: &EdgeTools) -> Vec<Arc<Tool>> {
        self.tools.iter().filter(|tool| on.has(&tool.listed)).cloned().collect()
    }
}
