//! Sockets bound before anything else starts: an address in use is an error message instead of a
//! panic inside the framework, port 0 is known and printed, and the framework gets ready sockets.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, RawFd};

use async_trait::async_trait;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use tokio::sync::watch;

use super::handover::Inherited;
use crate::config::runtime::{Listen, TlsFiles};

/// What TLS reads from. Without it requests are read into the buffers of head and body, and a connection
/// that waits has none.
const TLS_READ_BUFFER_BYTES: usize = 16 * 1024;
/// Room for a whole answer head and small body: one write to the socket instead of two.
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// A socket that is bound.
#[derive(Debug)]
pub(crate) struct Bound {
    /// As bound: port 0 is resolved.
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<TlsFiles>,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Own(TcpListener),
    /// Another process listened on it before.
    Inherited(RawFd),
}

impl Bound {
    pub(crate) fn new(listen: &Listen, inherited: &Inherited) -> Result<Self, String> {
        let (address, tls) = (listen.address, listen.tls.clone());
        if let Some(fd) = inherited.get(&address.to_string()) {
            return Ok(Self { address, tls, socket: Socket::Inherited(fd) });
        }
        let socket =
            TcpListener::bind(listen.address).map_err(|e| format!("cannot listen on {}: {e}", listen.address))?;
        socket.set_nonblocking(true).map_err(|e| e.to_string())?;
        let address = socket.local_addr().map_err(|e| e.to_string())?;
        Ok(Self { address, tls, socket: Socket::Own(socket) })
    }

    /// Open for as long as the process listens.
    pub(crate) fn fd(&self) -> RawFd {
        match &self.socket {
            Socket::Own(socket) => socket.as_raw_fd(),
            Socket::Inherited(fd) => *fd,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// What the framework needs to know of this socket.
    pub(crate) fn config(&self) -> Result<ListenerConfig, String> {
        let read_buffer_bytes = if self.tls.is_some() { TLS_READ_BUFFER_BYTES } else { 0 };
        let config = ListenerConfig::tcp(self.address.to_string())
            .l4_buffer(L4BufferSettings::new(read_buffer_bytes, WRITE_BUFFER_BYTES));
        let Some(files) = &self.tls else { return Ok(config) };
        let text = |path: &std::path::Path| path.to_str().map(str::to_owned).ok_or("a TLS path is not UTF-8");
        let mut settings =
            TlsSettings::intermediate(&text(&files.cert)?, &text(&files.key)?).map_err(|e| e.to_string())?;
        settings.enable_h2();
        Ok(config.tls(settings))
    }
}

/// Runs a service on sockets that are bound already.
pub(crate) struct OnBound<S> {
    inner: S,
    bound: Vec<Bound>,
    /// Its own, where it is not to end with the others. Held as well: without a sender it would end.
    end: Option<watch::Sender<bool>>,
}

impl<S> std::fmt::Debug for OnBound<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OnBound({:?})", self.bound)
    }
}

impl<S> OnBound<S> {
    pub(crate) fn new(inner: S, bound: Vec<Bound>) -> Self {
        Self { inner, bound, end: None }
    }

    /// Goes on while the process drains, until this says so.
    pub(crate) fn until(self, end: watch::Sender<bool>) -> Self {
        Self { end: Some(end), ..self }
    }
}

#[async_trait]
impl<S: Service> Service for OnBound<S> {
    async fn start_service(&mut self, fds: Option<ListenFds>, shutdown: ShutdownWatch, listeners_per_fd: usize) {
        if let Some(fds) = &fds {
            let mut fds = fds.lock();
            for bound in self.bound.drain(..) {
                let fd = match bound.socket {
                    Socket::Own(socket) => socket.into_raw_fd(),
                    Socket::Inherited(fd) => fd,
                };
                fds.add(bound.address.to_string(), fd);
            }
        }
        let shutdown = self.end.as_ref().map_or(shutdown, watch::Sender::subscribe);
        self.inner.start_service(fds, shutdown, listeners_per_fd).await;
    }

    fn name(&self) -> &str {
        self.inner.name()
    }

    fn threads(&self) -> Option<usize> {
        self.inner.threads()
    }
}
