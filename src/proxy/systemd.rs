//! Tells the service manager how the process stands: ready, reloading, stopping.
//!
//! systemd's protocol (sd_notify(3), seen 2026-11-29): datagrams with lines `NAME=value` to the socket that the variable
//! `NOTIFY_SOCKET` names, a path or, with `@` before it, a name in Linux's abstract space. Without that variable
//! nobody is told. Whoever cannot be reached changes nothing for requests.
//!
//! After a hand-over the new process is another unit's, whose manager hears of it from that process itself: no
//! `MAINPID` is ever sent.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::config::env::Env;

/// A manager that does not read is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// See the module documentation.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: Option<(UnixDatagram, SocketAddr)>,
    stands: Mutex<Stands>,
}

/// What the manager was told last. Reloads are news only between ready and stopping: the word that one is over
/// is the same as that the process is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stands {
    Starting,
    Ready,
    Stopping,
}

impl Systemd {
    pub(super) fn new(env: &dyn Env) -> Self {
        let named = env.var("NOTIFY_SOCKET").filter(|name| !name.is_empty());
        let socket = named.and_then(|name| match open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!("the service manager cannot be told anything at `{name}`: {error}");
                None
            }
        });
        Self { socket, stands: Mutex::new(Stands::Starting) }
    }

    /// From here on this process answers.
    pub(super) fn ready(&self) {
        self.move_on(Stands::Starting, Stands::Ready, "READY=1\nSTATUS=Serving");
    }

    /// Nothing new is accepted.
    pub(super) fn stopping(&self) {
        self.move_on(Stands::Ready, Stands::Stopping, "STOPPING=1\nSTATUS=Draining");
    }

    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.move_on(Stands::Ready, Stands::Ready, &format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// It serves as before, with the new configuration or, after an error, the old one.
    pub(super) fn reloaded(&self, is_new: bool) {
        let status = if is_new { "Serving" } else { "Serving. The configuration was not reloaded: see the log" };
        self.move_on(Stands::Ready, Stands::Ready, &format!("READY=1\nSTATUS={status}"));
    }

    /// Says it in the state where it is news. One at a time, so that nothing overtakes.
    fn move_on(&self, from: Stands, to: Stands, text: &str) {
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        if *stands != from {
            return;
        }
        *stands = to;
        let Some((socket, manager)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), manager) {
            tracing::warn!("the service manager could not be told: {error}");
        }
    }
}

fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok((socket, address(name)?))
}

fn address(name: &str) -> io::Result<SocketAddr> {
    match name.strip_prefix('@') {
        Some(name) => in_abstract_space(name),
        None if name.starts_with('/') => SocketAddr::from_pathname(name),
        None => Err(io::Error::new(io::ErrorKind::Unsupported, "neither a path nor an abstract name")),
    }
}

#[cfg(target_os = "linux")]
fn in_abstract_space(name: &str) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt as _;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn in_abstract_space(_name: &str) -> io::Result<SocketAddr> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "abstract names are Linux's"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::env::Table;

    fn told(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 200];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn each_word_comes_in_its_time() {
        let name = format!("weir-test-{}", uuid::Uuid::now_v7());
        let manager = UnixDatagram::bind_addr(&in_abstract_space(&name).unwrap()).unwrap();
        manager.set_nonblocking(true).unwrap();
        let systemd = Systemd::new(&Table::of(&[("NOTIFY_SOCKET", &format!("@{name}"))]));
        systemd.reloading();
        systemd.reloaded(true);
        systemd.stopping();
        assert!(manager.recv(&mut [0]).is_err(), "who is not ready has nothing to say");
        systemd.ready();
        assert_eq!(told(&manager), "READY=1\nSTATUS=Serving");
        systemd.ready();
        systemd.reloading();
        let word = told(&manager);
        let micros: i128 = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(micros > 0);
        systemd.reloaded(false);
        assert!(told(&manager).starts_with("READY=1\nSTATUS=Serving. The configuration was not"));
        systemd.stopping();
        assert!(told(&manager).starts_with("STOPPING=1\n"));
        systemd.reloading();
        systemd.reloaded(true);
        systemd.ready();
        assert!(manager.recv(&mut [0]).is_err(), "who stops does not come back");
    }

    #[test]
    fn without_a_manager_nobody_is_told() {
        for name in ["", "vsock:2:1234", "relative", "/no/such/socket"] {
            let systemd = Systemd::new(&Table::of(&[("NOTIFY_SOCKET", name)]));
            systemd.ready();
            systemd.stopping();
            assert_eq!(*systemd.stands.lock().unwrap(), Stands::Stopping, "{name}");
        }
    }
}
