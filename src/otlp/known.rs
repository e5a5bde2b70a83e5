//! What exports need of the configuration: who is told what, and where providers are.

use std::collections::HashMap;
use std::sync::Arc;

use super::attributes::Attributes;
use super::message::{Resource, Scope};
use crate::config::runtime::Runtime;
use crate::config::telemetry::{Fraction, Otlp};
use crate::telemetry;

/// Where an endpoint is, and whose it is in OpenTelemetry's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) vendor: &'static str,
    pub(super) host: String,
    pub(super) port: u16,
}

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) otlp: Option<Arc<Otlp>>,
    /// Of the records that tell of no failure.
    pub(super) records: Fraction,
    /// By the endpoint's id.
    places: HashMap<String, Place>,
    /// Of this process.
    instance: String,
}

impl Known {
    pub(super) fn new(runtime: &Runtime, instance: &str) -> Self {
        let otlp = runtime.telemetry.otlp.clone().map(Arc::new);
        // Nobody asks for places where nothing is exported.
        let endpoints = runtime.endpoints().filter(|_| otlp.is_some());
        let places = endpoints.map(|deployment| {
            let vendor = telemetry::provider_name(deployment.provider.kind);
            let place = Place { vendor, host: deployment.base.host.clone(), port: deployment.base.port };
            (deployment.id.clone(), place)
        });
        let places = places.collect();
        Self { otlp, records: runtime.telemetry.records, places, instance: instance.to_owned() }
    }

    pub(super) fn place(&self, endpoint: &str) -> Option<&Place> {
        self.places.get(endpoint)
    }

    pub(super) fn resource(&self, otlp: &Otlp) -> Resource {
        let mut all = Attributes::default();
        all.text("service.name", otlp.service_name.as_str());
        all.text("service.version", env!("CARGO_PKG_VERSION"));
        all.text("service.instance.id", self.instance.as_str());
        for (name, value) in &otlp.resource {
            all.text(name, value.as_str());
        }
        Resource { attributes: all.into_list() }
    }
}

/// Who made what is exported.
pub(super) fn scope() -> Scope {
    Scope { name: "weir".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}
