//! The models of a server that is asked which it has.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::usage::price::ModelInfo;

/// The models a server said it has. Written beside the requests, read by them.
#[derive(Debug, Default)]
pub struct Discovered(ArcSwap<HashMap<String, Arc<ModelInfo>>>);

impl Discovered {
    pub fn get(&self, model: &str) -> Option<Arc<ModelInfo>> {
        self.0.load().get(model).cloned()
    }

    pub fn has(&self, model: &str) -> bool {
        self.0.load().contains_key(model)
    }

    pub fn names(&self) -> Vec<String> {
        self.0.load().keys().cloned().collect()
    }

    pub fn set(&self, models: Arc<HashMap<String, Arc<ModelInfo>>>) {
        self.0.store(models);
    }

    /// All of them, to be kept over a reload.
    pub fn all(&self) -> Arc<HashMap<String, Arc<ModelInfo>>> {
        self.0.load_full()
    }
}
