//! What Pingora costs by itself: a proxy without a thought. Pools and keep-alive are the gateway's.

use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

/// Seconds for which an idle client's connection stays open.
const KEEPALIVE: u64 = 75;

/// How it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SetUp {
    /// As the gateway is: with its allocator and no huge pages, and threads that take no work from each other.
    Gateways,
    /// As whoever takes the framework gets it.
    Own,
}

impl SetUp {
    /// As an argument.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gateways => "gateways",
            Self::Own => "own",
        }
    }
}

struct Bare {
    upstream: HttpPeer,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, (): &mut ()) -> pingora_core::Result<bool> {
        session.set_keepalive(Some(KEEPALIVE));
        Ok(false)
    }

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> pingora_core::Result<Box<HttpPeer>> {
        Ok(Box::new(self.upstream.clone()))
    }
}

pub(crate) fn run(port: u16, upstream: u16, set_up: &str) {
    let is_own = set_up == SetUp::Own.as_str();
    if is_own {
        // It has it from the driver.
        rustix::thread::disable_transparent_huge_pages(false).expect("a kernel that has them");
    }
    let conf =
        ServerConf { threads: 1, work_stealing: is_own, upstream_keepalive_pool_size: 256, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    #[expect(clippy::disallowed_methods, reason = "an address needs no look-up")]
    let mut upstream = HttpPeer::new(("127.0.0.1", upstream), false, String::new());
    upstream.options.idle_timeout = Some(Duration::from_secs(45));
    upstream.options.tcp_keepalive = Some(TcpKeepalive {
        idle: Duration::from_secs(30),
        interval: Duration::from_secs(15),
        count: 3,
        #[cfg(target_os = "linux")]
        user_timeout: Duration::ZERO,
    });
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&format!("127.0.0.1:{port}"));
    server.add_service(service);
    server.run_forever();
}
