//! Puts the process together: sockets, services, signals.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use pingora_core::apps::HttpServerOptions;
use pingora_core::connectors::ConnectorOptions;
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server};
use pingora_core::services::background::{BackgroundService, background_service};
use pingora_core::services::listening::Service;
use tokio::sync::watch;

use super::Gateway;
use super::background::{Drain, HangUp, Last, Names, Tokenizer, Warm};
use super::cache::Shelving;
use super::capture::Writing;
use super::check::Checks;
use super::connector::Pools;
use super::credentials::Credentials;
use super::database::{Opener, Stored};
use super::discover::Discovery;
use super::fleet::{self, Fleet};
use super::follow::Followers;
use super::handover::{Inherited, Old, Sockets};
use super::keep::{Keep, Keeper};
use super::ledger::{self, Beat, Fold, Folding};
use super::listen::{Bound, Certificates, OnBound};
use super::live::Live;
#[cfg(feature = "otlp")]
use super::otlp::{self, Export};
use super::plane::Plane;
use super::playground::OwnListener;
use super::registry::{self, Looking, Registry};
use super::scrape::Scrape;
use super::shutdown::{InFlight, Signals};
use super::systemd::Systemd;
use super::tools::Servers;
use super::watchman::{Deliver, Watchman};
use crate::admin::Admin;
use crate::alert::Alerts;
use crate::cache::Cache;
use crate::cache::store::Task as Shelve;
use crate::capture::Captures;
use crate::config::env::Env;
use crate::config::reload::{Reloader, Status};
use crate::config::runtime::{Listen, Runtime};
use crate::ledger::Log;
use crate::limit::Limiter;
use crate::limit::clock::Clock;
use crate::limit::door::{Door, DoorLimits};
use crate::limit::shared::{Shared as Store, Task};
#[cfg(feature = "otlp")]
use crate::otlp::Otlp;
use crate::simulator;
use crate::telemetry::Telemetry;
use crate::whole;

/// Idle connections kept per worker.
const POOL_PER_THREAD: usize = 256;
/// HTTP/2 receive windows: prompts are large.
const H2_STREAM_WINDOW_BYTES: u32 = 1 << 20;
const H2_CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

/// The simulated provider's socket.
#[derive(Debug)]
pub(crate) struct Simulated(Bound);

impl Simulated {
    /// On a free loopback port.
    pub(crate) fn bind() -> Result<Self, String> {
        let listen = Listen { address: SocketAddr::from(([127, 0, 0, 1], 0)), tls: None };
        Bound::new(&listen, &Inherited::nothing()).map(Self)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }
}

/// A process that is about to serve: everything that can fail has been done.
pub(crate) struct Prepared {
    server: Server,
    signals: Signals,
    /// Told when this one serves.
    old: Old,
    systemd: Arc<Systemd>,
    last: Last,
    /// Watches the file for as long as it lives.
    _watch: Option<crate::config::reload::Watch>,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) urls: Vec<String>,
    pub(crate) admin_url: String,
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prepared({:?})", self.urls)
    }
}

/// Those who ask others what they know.
fn outward(server: &mut Server, live: &Arc<ArcSwap<Live>>) {
    beside(server, "names", Names { live: Arc::clone(live) });
    beside(server, "discovery", Discovery { live: Arc::clone(live) });
    beside(server, "tools", Servers { live: Arc::clone(live) });
    beside(server, "checks", Checks { live: Arc::clone(live) });
}

/// Binds the sockets and builds the services.
pub(crate) fn prepare(
    runtime: Runtime,
    file: Option<PathBuf>,
    env: Arc<dyn Env>,
    simulated: Option<Simulated>,
    inherited: Inherited,
) -> Result<Prepared, String> {
    let bind = |listen| Bound::new(listen, &inherited);
    let bound = runtime.server.listen.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
    let admin = Bound::new(&Listen { address: runtime.admin.listen, tls: None }, &inherited)?;
    let all = || bound.iter().chain([&admin]);
    let old = inherited.close_all_but(&all().map(|bound| bound.address.to_string()).collect::<Vec<_>>());
    let sockets = Sockets::new(all(), &runtime.state.dir);
    let addresses = bound.iter().map(|b| b.address).collect();
    let (urls, admin_url) = (bound.iter().map(Bound::url).collect(), admin.url());
    let mut server = Server::new_with_opt_and_conf(None, server_conf(&runtime));
    server.bootstrap();
    let conf = Arc::clone(&server.configuration);
    let runtime = Arc::new(runtime);
    let shared = Shared::new(runtime, file, env, Certificates::of(&bound))?;
    let watch = match shared.reloader.watch() {
        Ok(watch) => Some(watch),
        Err(error) => {
            tracing::warn!("the configuration file cannot be watched, SIGHUP still reloads: {error}");
            None
        }
    };
    let (in_flight, telemetry) = (Arc::clone(&shared.in_flight), Arc::clone(&shared.telemetry));
    let gateway = gateway_service(&conf, &shared, &bound)?;
    let playground = OwnListener::new(Pools::new(ConnectorOptions::from_server_conf(&conf)), &bound);
    let playground = playground.ok_or("there is no public listener")?;
    server.add_service(OnBound::new(gateway, bound));
    // Who watches over the process has to be told that it drains.
    let admin_end = watch::Sender::new(false);
    server.add_service(OnBound::new(admin_service(&shared, playground, &admin)?, vec![admin]).until(admin_end.clone()));
    if let Some(Simulated(socket)) = simulated {
        let mut service = simulator::service();
        service.add_listener(socket.config()?);
        service.threads = Some(1);
        server.add_service(OnBound::new(service, vec![socket]));
    }
    outward(&mut server, &shared.live);
    let (live, counted, alerts) = (Arc::clone(&shared.live), Arc::clone(&telemetry), Arc::clone(&shared.alerts));
    beside(&mut server, "credentials", Credentials { live, telemetry: counted, alerts });
    beside(&mut server, "watchman", shared.watchman());
    beside(&mut server, "alerts", Deliver(Arc::clone(&shared.alerts)));
    #[cfg(feature = "otlp")]
    beside(&mut server, "otlp", Export::new(Arc::clone(&shared.otlp), Arc::clone(&shared.scrape)));
    beside(&mut server, "capture", Writing(Arc::clone(&shared.captures)));
    beside(&mut server, "hang-up", HangUp::new(Arc::clone(&shared.reloader))?);
    beside(&mut server, "warm", Warm { tokenizer: Arc::clone(&shared.tokenizer), live: Arc::clone(&shared.live) });
    if let Some(log) = &shared.log {
        let every = shared.live.load().runtime.state.ledger.sync;
        beside(&mut server, "ledger", Beat { log: Arc::clone(log), every });
    }
    if let Some(fold) = &shared.fold {
        beside(&mut server, "fold", Folding(Arc::clone(fold)));
    } else {
        beside(&mut server, "database", Opener(Arc::clone(&shared.stored)));
    }
    let keep = Arc::clone(&shared.keep);
    beside(&mut server, "keeper", Keeper(Arc::clone(&keep)));
    if let Some(task) = shared.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
        beside(&mut server, "store", Fleet::new(task));
    }
    if let Some(task) = shared.shelve.lock().unwrap_or_else(PoisonError::into_inner).take() {
        beside(&mut server, "cache", Shelving::new(task));
    }
    beside(&mut server, "keys", Looking(Arc::clone(&shared.registry)));
    let registry = Arc::clone(&shared.registry);
    let captures = Arc::clone(&shared.captures);
    let last = Last {
        keep,
        registry,
        captures,
        fold: shared.fold,
        telemetry,
        #[cfg(feature = "otlp")]
        otlp: shared.otlp,
        scratch: Arc::default(),
    };
    let time = Duration::from_secs(server.configuration.grace_period_seconds.unwrap_or_default());
    let drain = Drain { in_flight: Arc::clone(&in_flight), time, store: shared.store, last: last.clone() };
    beside(&mut server, "drain", drain);
    let systemd = shared.systemd;
    let signals = Signals::new(in_flight, sockets, admin_end, last.clone(), Arc::clone(&systemd))?;
    Ok(Prepared { server, signals, old, systemd, last, _watch: watch, addresses, urls, admin_url })
}

impl Prepared {
    /// Adds what runs beside the services, once.
    pub(crate) fn beside(&mut self, name: &str, task: impl BackgroundService + Send + Sync + 'static) {
        beside(&mut self.server, name, task);
    }

    /// Serves until a signal ends it.
    pub(crate) fn serve(self) {
        let Self { server, signals, old, systemd, last, .. } = self;
        systemd.ready();
        old.ready();
        server.run(RunArgs { shutdown_signal: Box::new(signals) });
        last.save();
    }

    /// The same, and what it wrote in `dir` goes with it.
    pub(crate) fn serve_for_once(self, dir: PathBuf) {
        // Nobody has set another one.
        let _ = self.last.scratch.set(dir);
        self.serve();
    }
}

fn beside(server: &mut Server, name: &str, task: impl BackgroundService + Send + Sync + 'static) {
    let mut service = background_service(name, task);
    service.threads = Some(1);
    server.add_service(service);
}

/// What the listeners and background tasks have in common.
struct Shared {
    live: Arc<ArcSwap<Live>>,
    in_flight: Arc<InFlight>,
    telemetry: Arc<Telemetry>,
    tokenizer: Arc<Tokenizer>,
    log: Option<Arc<Log>>,
    stored: Arc<Stored>,
    fold: Option<Arc<Fold>>,
    keep: Arc<Keep>,
    registry: Arc<Registry>,
    reloader: Arc<Reloader>,
    alerts: Arc<Alerts>,
    scrape: Arc<Scrape>,
    #[cfg(feature = "otlp")]
    otlp: Arc<Otlp>,
    captures: Arc<Captures>,
    systemd: Arc<Systemd>,
    clock: Clock,
    /// Where limits and budgets are shared with other replicas, and what speaks to it.
    store: Option<Arc<Store>>,
    task: Mutex<Option<Task>>,
    /// Answers that are given again, and what keeps them for all replicas.
    cache: Arc<Cache>,
    shelve: Mutex<Option<Shelve>>,
}

impl Shared {
    fn watchman(&self) -> Watchman {
        Watchman {
            live: Arc::clone(&self.live),
            alerts: Arc::clone(&self.alerts),
            fold: self.fold.clone(),
            stored: Arc::clone(&self.stored),
            store: self.store.clone(),
            clock: self.clock,
        }
    }

    fn new(runtime: Arc<Runtime>, file: Option<PathBuf>, env: Arc<dyn Env>, tls: Certificates) -> Result<Self, String> {
        let (limiter, clock) = (Arc::new(Limiter::new()), Clock::start());
        let (systemd, telemetry) = (Arc::new(Systemd::new(env.as_ref())), Arc::new(Telemetry::new(&runtime)?));
        let alerts = Arc::new(Alerts::new(Arc::clone(&runtime.alerts), clock));
        let told = Arc::clone(&alerts);
        telemetry.follow(move |record, _| told.settled(record));
        #[cfg(feature = "otlp")]
        let otlp = otlp::follow(&runtime, &telemetry);
        let captures = Arc::new(Captures::new(&runtime.state.dir, Arc::clone(&runtime.telemetry.capture)));
        let (directory, accounts) = (runtime.state.dir.clone(), Arc::clone(limiter.accounts()));
        let log = ledger::begin(&runtime)?;
        let stored = Stored::new(runtime.state.clone(), Arc::clone(&alerts));
        let fold = log.clone().map(|log| Fold::new(log, Arc::clone(&stored), runtime.state.retention, accounts));
        let keep = Keep::new(directory, Arc::clone(&limiter), clock, Arc::clone(&telemetry));
        whole::sweep(&runtime.state.dir);
        keep.put_back_limits();
        keep.put_back_guests();
        let (store, task) = fleet::open(&runtime, clock, &telemetry, &alerts)?;
        let (cache, shelve) = kept_answers(&runtime)?;
        let registry =
            Registry::open(&runtime.state, Arc::clone(&stored), Arc::clone(&limiter), Arc::clone(&telemetry));
        registry.look_first();
        let first = {
            let shelf = registry.shelf();
            let roster = registry.roster(&shelf, &runtime, None)?;
            let live = Live::new(Arc::clone(&runtime), roster, &limiter, clock, None)?;
            limiter.accounts().set_bounded(live.has_budgets());
            let live = Arc::new(ArcSwap::from_pointee(live));
            registry.serve(Arc::clone(&live));
            live
        };
        if !fold.as_ref().is_some_and(|fold| fold.catch_up()) {
            keep.put_back_hosts();
        }
        let applier = Applier {
            live: Arc::clone(&first),
            telemetry: Arc::clone(&telemetry),
            registry: Arc::clone(&registry),
            alerts: Arc::clone(&alerts),
            #[cfg(feature = "otlp")]
            otlp: Arc::clone(&otlp),
            captures: Arc::clone(&captures),
            store: store.clone(),
            certificates: tls,
            clock,
        };
        let observe = observer(&telemetry, &registry, &alerts, &systemd);
        let reloader = Reloader::new(file, env, runtime, Box::new(move |next| applier.apply(next)), Box::new(observe));
        let scrape = Scrape {
            live: Arc::clone(&first),
            telemetry: Arc::clone(&telemetry),
            fold: fold.clone(),
            alerts: Arc::clone(&alerts),
            captures: Arc::clone(&captures),
            cache: Arc::clone(&cache),
            clock,
            one: Mutex::default(),
        };
        Ok(Self {
            live: first,
            scrape: Arc::new(scrape),
            #[cfg(feature = "otlp")]
            otlp,
            in_flight: Arc::default(),
            telemetry,
            tokenizer: Arc::default(),
            alerts,
            captures,
            systemd,
            log,
            stored,
            fold,
            keep,
            registry,
            reloader,
            clock,
            store,
            task: Mutex::new(task),
            cache,
            shelve: Mutex::new(shelve),
        })
    }
}

/// Where answers are kept, and what speaks to the store of them, if there is one.
fn kept_answers(runtime: &Runtime) -> Result<(Arc<Cache>, Option<Shelve>), String> {
    let url = runtime.state.shared.as_ref().filter(|_| runtime.cache.is_shared);
    let made = Cache::new((runtime.cache.memory_bytes, runtime.cache.questions_bytes), url);
    let (cache, task) = made.map_err(|expected| format!("state.shared: {expected}"))?;
    Ok((Arc::new(cache), task))
}

/// Tells whoever is to know how a reload went.
fn observer(
    telemetry: &Arc<Telemetry>,
    registry: &Arc<Registry>,
    alerts: &Arc<Alerts>,
    systemd: &Arc<Systemd>,
) -> impl Fn(Option<&Status>, &str) + use<> {
    let (telemetry, registry, alerts) = (Arc::clone(telemetry), Arc::clone(registry), Arc::clone(alerts));
    let systemd = Arc::clone(systemd);
    move |status, who| {
        let Some(status) = status else { return systemd.reloading() };
        systemd.reloaded(status.last_error.is_none());
        alerts.reloaded(status.last_error.as_deref());
        match &status.last_error {
            Some(_) => telemetry.reload_failed(),
            None => registry.record(registry::change(who, "config.reload", &status.hash, "{}".to_owned())),
        }
    }
}

/// Puts a configuration to work in the place of the one before. What is known of keys is held meanwhile.
struct Applier {
    live: Arc<ArcSwap<Live>>,
    telemetry: Arc<Telemetry>,
    registry: Arc<Registry>,
    alerts: Arc<Alerts>,
    #[cfg(feature = "otlp")]
    otlp: Arc<Otlp>,
    captures: Arc<Captures>,
    store: Option<Arc<Store>>,
    certificates: Certificates,
    clock: Clock,
}

impl Applier {
    fn apply(&self, runtime: &Arc<Runtime>) -> Result<(), String> {
        let renewed = self.certificates.read(&runtime.server.listen)?;
        let Self { live, telemetry, registry, alerts, captures, store, clock, .. } = self;
        let shelf = registry.shelf();
        let old = live.load();
        let issuers = old.callers.load().keyring.tokens().issuers().cloned();
        let roster = registry.roster(&shelf, runtime, issuers.as_ref())?;
        let next = Live::new(Arc::clone(runtime), roster, registry.limiter(), *clock, Some(&old))?;
        next.keep_learnt(&old);
        telemetry.bind(runtime)?;
        let has_budgets = next.has_budgets();
        live.store(Arc::new(next));
        renewed.put_to_work();
        if let Some(store) = store {
            store.set_on_loss(runtime.state.on_store_loss);
        }
        registry.limiter().accounts().set_bounded(has_budgets);
        telemetry.reloaded(runtime);
        alerts.bind(&runtime.alerts);
        #[cfg(feature = "otlp")]
        self.otlp.bind(runtime);
        captures.bind(&runtime.telemetry.capture);
        Ok(())
    }
}

fn gateway_service(
    conf: &Arc<ServerConf>,
    shared: &Shared,
    bound: &[Bound],
) -> Result<Service<pingora_proxy::HttpProxy<Gateway>>, String> {
    let gateway = Gateway {
        live: Arc::clone(&shared.live),
        pools: Pools::new(ConnectorOptions::from_server_conf(conf)),
        door: Door::new(DoorLimits::default()),
        clock: shared.clock,
        in_flight: Arc::clone(&shared.in_flight),
        telemetry: Arc::clone(&shared.telemetry),
        tokenizer: Arc::clone(&shared.tokenizer),
        alerts: Arc::clone(&shared.alerts),
        captures: Arc::clone(&shared.captures),
        originals: Arc::default(),
        items: super::refer::items(),
        cache: Arc::clone(&shared.cache),
        followers: Followers::default(),
        log: shared.log.clone(),
        stored: Arc::clone(&shared.stored),
        shared: shared.store.clone(),
        tickets: AtomicU64::new(0),
    };
    let mut service = pingora_proxy::http_proxy_service_with_name(conf, gateway, "gateway");
    if let Some(app) = service.app_logic_mut() {
        let mut h2 = default_h2_options();
        h2.initial_window_size(H2_STREAM_WINDOW_BYTES).initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES);
        app.h2_options = Some(h2);
        let mut options = HttpServerOptions::default();
        // Never closed by the framework's own choice.
        options.h2_idle_timeout = Some(shared.live.load().runtime.server.keepalive);
        app.server_options = Some(options);
    }
    for socket in bound {
        service.add_listener(socket.config()?);
    }
    Ok(service)
}

fn admin_service(shared: &Shared, playground: OwnListener, bound: &Bound) -> Result<Service<Admin>, String> {
    let plane = Plane {
        live: Arc::clone(&shared.live),
        in_flight: Arc::clone(&shared.in_flight),
        telemetry: Arc::clone(&shared.telemetry),
        scrape: Arc::clone(&shared.scrape),
        reloader: Arc::clone(&shared.reloader),
        registry: Arc::clone(&shared.registry),
        alerts: Arc::clone(&shared.alerts),
        captures: Arc::clone(&shared.captures),
        stored: Arc::clone(&shared.stored),
        clock: shared.clock,
        playground,
    };
    let mut service = Service::new("admin".to_owned(), Admin::new(Arc::new(plane)));
    service.threads = Some(1);
    service.add_listener(bound.config()?);
    Ok(service)
}

fn server_conf(runtime: &Runtime) -> ServerConf {
    ServerConf {
        threads: runtime.server.workers(),
        // Measured: a runtime per thread costs less per request than one that steals.
        work_stealing: false,
        grace_period_seconds: Some(runtime.server.grace_period.as_secs()),
        graceful_shutdown_timeout_seconds: Some(1),
        upstream_keepalive_pool_size: POOL_PER_THREAD,
        max_retries: 1,
        ..ServerConf::default()
    }
}
