//! What exports need of the configuration: who is told what, and where providers are.

use std::sync::Arc;

use super::attributes::{Attributes, key};
use super::export::Head;
use super::proto::{Out, bytes};
use super::span;
use crate::config::runtime::{BaseUrl, Deployment, Runtime};
use crate::config::telemetry::{Fraction, Otlp};
use crate::telemetry;

/// Where an endpoint is, and whose it is in OpenTelemetry's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) vendor: &'static str,
    /// Where it is, as attributes of a span.
    pub(super) server: Vec<u8>,
}

impl Place {
    fn new(kind: &'static str, at: &BaseUrl) -> Self {
        let mut server = Vec::new();
        let mut all = Attributes { out: &mut Out(&mut server), tag: span::ATTRIBUTES };
        all.text(key!("server.address"), at.host.as_str()).count(key!("server.port"), u64::from(at.port));
        Self { vendor: telemetry::provider_name(kind), server }
    }
}

/// Of a `Resource`, and of an `InstrumentationScope`.
const ATTRIBUTES: u8 = bytes(1);
const NAME: u8 = bytes(1);
const VERSION: u8 = bytes(2);

/// See the module documentation.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) otlp: Option<Arc<Otlp>>,
    /// Of the records that tell of no failure.
    pub(super) records: Fraction,
    /// By the endpoint's id, in its order.
    places: Vec<(String, Place)>,
    /// Of everything that is exported.
    pub(super) head: Head,
}

impl Known {
    pub(super) fn new(runtime: &Runtime, instance: &str) -> Self {
        let otlp = runtime.telemetry.otlp.clone().map(Arc::new);
        // Nobody asks for places where nothing is exported.
        let endpoints = runtime.endpoints().filter(|_| otlp.is_some());
        let place = |it: &Arc<Deployment>| (it.id.clone(), Place::new(it.provider.kind, &it.base));
        let mut places: Vec<_> = endpoints.map(place).collect();
        places.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let head = otlp.as_ref().map(|otlp| head(otlp, instance)).unwrap_or_default();
        Self { otlp, records: runtime.telemetry.records, places, head }
    }

    pub(super) fn place(&self, endpoint: &str) -> Option<&Place> {
        let at = self.places.binary_search_by(|(id, _)| id.as_str().cmp(endpoint)).ok()?;
        self.places.get(at).map(|(_, place)| place)
    }
}

/// Which process it is, and who made what is exported.
fn head(otlp: &Otlp, instance: &str) -> Head {
    let version = env!("CARGO_PKG_VERSION");
    let resource = |out: &mut Out<'_>| {
        let mut all = Attributes { out, tag: ATTRIBUTES };
        all.text(key!("service.name"), otlp.service_name.as_str()).text(key!("service.version"), version);
        all.text(key!("service.instance.id"), instance);
        otlp.resource.iter().for_each(|(name, value)| all.named(name, value));
    };
    let scope = |out: &mut Out<'_>| {
        out.text(NAME, "weir");
        out.text(VERSION, version);
    };
    Head::new(resource, scope)
}
