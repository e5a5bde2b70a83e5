//! Puts the process together: sockets, services, signals.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use pingora_core::services::background::background_service;

use super::Gateway;
use super::connector::Pools;
use super::listen::{Bound, OnBound};
use super::live::Live;
use super::shutdown::{InFlight, Signals};
use crate::config::runtime::Runtime;
use crate::limit::Limiter;
use crate::limit::clock::Clock;
use crate::limit::door::{Door, DoorLimits};
use crate::telemetry::Telemetry;

/// Idle connections kept per worker.
const POOL_PER_THREAD: usize = 256;
/// HTTP/2 receive windows: prompts are large.
const H2_STREAM_WINDOW: u32 = 1 << 20;
const H2_CONNECTION_WINDOW: u32 = 4 << 20;

/// Serves until a signal ends it.
pub(crate) fn run(runtime: Runtime) -> Result<(), String> {
    let bound = runtime.server.listen.iter().map(Bound::new).collect::<Result<Vec<_>, _>>()?;
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&runtime));
    server.bootstrap();
    let conf = Arc::clone(&server.configuration);
    let limiter = Arc::new(Limiter::new());
    let live = Arc::new(ArcSwap::from_pointee(Live::new(Arc::new(runtime), &limiter)?));
    let in_flight = Arc::new(InFlight::default());
    let telemetry = Arc::new(Telemetry::new(&live.load().runtime)?);
    let gateway = Gateway {
        live,
        pools: Pools::new(ConnectorOptions::from_server_conf(&conf)),
        limiter,
        door: Door::new(DoorLimits::default()),
        clock: Clock::start(),
        in_flight: Arc::clone(&in_flight),
        telemetry,
        tickets: std::sync::atomic::AtomicU64::new(0),
    };
    let mut service = pingora_proxy::http_proxy_service_with_name(&conf, gateway, "gateway");
    if let Some(app) = service.app_logic_mut() {
        let mut h2 = default_h2_options();
        h2.initial_window_size(H2_STREAM_WINDOW).initial_connection_window_size(H2_CONNECTION_WINDOW);
        app.h2_options = Some(h2);
    }
    for socket in &bound {
        service.add_listener(socket.config()?);
    }
    server.add_service(OnBound::new(service, bound));
    let _ = (background_service::<()>, HttpServerOptions::default());
    server.run(RunArgs { shutdown_signal: Box::new(Signals { in_flight }) });
    Ok(())
}

fn server_conf(runtime: &Runtime) -> ServerConf {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    ServerConf {
        threads: if runtime.server.threads == 0 { cores } else { runtime.server.threads },
        work_stealing: false,
        grace_period_seconds: Some(runtime.server.grace_period.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: POOL_PER_THREAD,
        max_retries: 1,
        ..ServerConf::default()
    }
}
