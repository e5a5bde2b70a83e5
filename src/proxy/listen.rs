//! Sockets bound before anything else starts: an address in use is an error message instead of a
//! panic inside the framework, port 0 is known and printed, and the framework gets ready sockets.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd as _, IntoRawFd as _, RawFd};
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
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
    pub(crate) tls: Option<Arc<Certificate>>,
    socket: Socket,
}

/// What a listener shows to clients: each handshake takes the one that was read last.
#[derive(Debug)]
pub(crate) struct Certificate(ArcSwap<CertifiedKey>);

impl Certificate {
    fn new(files: &TlsFiles) -> Result<Arc<Self>, String> {
        let read = certified(files).map_err(|e| e.to_string(files))?;
        Ok(Arc::new(Self(ArcSwap::from_pointee(read))))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

/// Why there is no certificate.
enum Unfit {
    Unread(pem::Error),
    Wrong(rustls::Error),
}

impl Unfit {
    fn to_string(&self, files: &TlsFiles) -> String {
        let (cert, key) = (files.cert.display(), files.key.display());
        match self {
            Self::Unread(error) => format!("cannot read the certificate `{cert}` and its key `{key}`: {error}"),
            Self::Wrong(error) => format!("the certificate `{cert}` cannot be used with the key `{key}`: {error}"),
        }
    }

    fn is_missing(&self) -> bool {
        matches!(self, Self::Unread(pem::Error::Io(error)) if error.kind() == std::io::ErrorKind::NotFound)
    }
}

fn certified(files: &TlsFiles) -> Result<CertifiedKey, Unfit> {
    let chain = CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect).map_err(Unfit::Unread)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(Unfit::Unread)?;
    CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(Unfit::Wrong)
}

/// Those of all listeners, in the order of `server.listen`.
pub(crate) struct Certificates(Vec<Option<Arc<Certificate>>>);

impl Certificates {
    pub(crate) fn of(bound: &[Bound]) -> Self {
        Self(bound.iter().map(|one| one.tls.clone()).collect())
    }

    /// Reads them again. Nothing is changed before what this gives back is put to work.
    pub(crate) fn read(&self, listen: &[Listen]) -> Result<Renewed, String> {
        let mut renewed = Vec::new();
        for (old, listen) in self.0.iter().zip(listen) {
            let (Some(old), Some(files)) = (old, &listen.tls) else { continue };
            match certified(files) {
                Ok(new) => renewed.push((Arc::clone(old), Arc::new(new))),
                // What the file names has just been looked at: this is of a listener that goes with the next start.
                Err(unfit) if unfit.is_missing() => {}
                Err(unfit) => return Err(unfit.to_string(files)),
            }
        }
        Ok(Renewed(renewed))
    }
}

/// Certificates that were read and are good.
pub(crate) struct Renewed(Vec<(Arc<Certificate>, Arc<CertifiedKey>)>);

impl Renewed {
    pub(crate) fn put_to_work(self) {
        self.0.into_iter().for_each(|(place, new)| place.0.store(new));
    }
}

#[derive(Debug)]
enum Socket {
    Own(TcpListener),
    /// Another process listened on it before.
    Inherited(RawFd),
}

impl Bound {
    pub(crate) fn new(listen: &Listen, inherited: &Inherited) -> Result<Self, String> {
        let address = listen.address;
        let tls = listen.tls.as_ref().map(Certificate::new).transpose()?;
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
        let Some(certificate) = &self.tls else { return Ok(config) };
        // Without files: the framework would read them once, and panic where it cannot.
        let mut settings = TlsSettings::intermediate("", "").map_err(|e| e.to_string())?;
        settings.set_cert_resolver(Arc::<Certificate>::clone(certificate));
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
