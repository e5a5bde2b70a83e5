//! The listening sockets of a process that ends go to the one that takes its place, and nobody is
//! refused in between: `weir run --upgrade` waits for them, SIGQUIT sends them. The old process serves until
//! the new one says that it is ready, and goes on where that never happens.
//!
//! Both meet at sockets in a directory of `state.dir` that only their user may enter. Whoever comes
//! first waits a while for the other.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::RawFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::server::Fds;

use super::listen::Bound;

const DIRECTORY: &str = "upgrade";
/// Where the new process waits for the sockets, and the old one for the word that it is ready.
const SOCKETS: &str = "sockets";
const READY: &str = "ready";
/// What the system allows for the path of a socket.
const MOST_PATH_BYTES: usize = 107;
/// For so long a new process waits for SIGQUIT at the old one, and that until the new one is ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// Who has the sockets says so at once.
const HELLO: Duration = Duration::from_secs(5);

/// What a process listens on, and where it meets the one that comes after it.
#[derive(Clone)]
pub(super) struct Sockets {
    fds: Arc<Fds>,
    state_dir: PathBuf,
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sockets").field("listening", &self.fds.serialize().0).finish_non_exhaustive()
    }
}

impl Sockets {
    pub(super) fn new<'b>(bound: impl Iterator<Item = &'b Bound>, state_dir: &Path) -> Self {
        let mut fds = Fds::new();
        bound.for_each(|bound| fds.add(bound.address.to_string(), bound.fd()));
        Self { fds: Arc::new(fds), state_dir: state_dir.to_owned() }
    }

    /// Gives them to the new process and waits until it is ready. Blocks, for some seconds where there is
    /// none. After an error this process listens as before.
    pub(super) fn send(&self) -> Result<(), String> {
        let ready = meeting_place(&self.state_dir, READY)?;
        let sent = listen(&ready).map_err(|error| format!("nobody can be waited for at `{ready}`: {error}")).and_then(
            |listener| {
                let sockets = meeting_place(&self.state_dir, SOCKETS)?;
                let sent = self.fds.send_to_sock(sockets.as_str());
                sent.map_err(|error| format!("no new process took the sockets: {error}"))?;
                let mut new = accept(&listener).map_err(|error| format!("the new process is not heard of: {error}"))?;
                match new.read(&mut [0]) {
                    Ok(1..) => Ok(()),
                    Ok(0) => Err("the new process ended before it was ready".to_owned()),
                    Err(error) => Err(format!("the new process does not become ready: {error}")),
                }
            },
        );
        let _ = std::fs::remove_file(ready);
        sent
    }
}

fn listen(path: &str) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Who has the sockets: what it says is waited for at most [`PATIENCE`].
fn accept(listener: &UnixListener) -> io::Result<UnixStream> {
    let until = Instant::now() + HELLO;
    loop {
        match listener.accept() {
            Ok((new, _)) => {
                new.set_nonblocking(false)?;
                new.set_read_timeout(Some(PATIENCE))?;
                return Ok(new);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(error),
        }
    }
}

/// Sockets that another process has listened on.
pub(crate) struct Inherited {
    fds: Fds,
    old: Old,
}

/// The process that handed them over, if any. Dropped without a word, that one goes on.
#[derive(Debug, Default)]
pub(super) struct Old(Option<UnixStream>);

impl Old {
    /// From here on this process answers.
    pub(super) fn ready(self) {
        if let Some(Err(error)) = self.0.map(|mut old| old.write_all(b"1")) {
            tracing::warn!("the process before could not be told to end: {error}");
        }
    }
}

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inherited({:?})", self.fds.serialize().0)
    }
}

impl Inherited {
    pub(crate) fn nothing() -> Self {
        Self { fds: Fds::new(), old: Old::default() }
    }

    /// Waits until the process that serves with this directory gets SIGQUIT.
    pub(crate) fn wait(state_dir: &Path) -> Result<Self, String> {
        let (path, until) = (meeting_place(state_dir, SOCKETS)?, Instant::now() + PATIENCE);
        loop {
            let mut fds = Fds::new();
            match fds.get_from_sock(path.as_str()) {
                Ok(()) => {
                    let old = UnixStream::connect(meeting_place(state_dir, READY)?);
                    let old = old.map_err(|error| format!("the process before is gone: {error}"))?;
                    return Ok(Self { fds, old: Old(Some(old)) });
                }
                Err(_) if Instant::now() < until => {}
                Err(_) => {
                    let patience = PATIENCE.as_secs();
                    return Err(format!(
                        "no process has handed over its sockets within {patience} s: send SIGQUIT to the one that serves with the same `state.dir`"
                    ));
                }
            }
        }
    }

    pub(super) fn get(&self, address: &str) -> Option<RawFd> {
        self.fds.get(address).copied()
    }

    /// Nobody here would take what comes in at the others. Gives who has to be told once all is ready.
    pub(super) fn close_all_but(mut self, bound: &[String]) -> Old {
        let keep = bound.iter().cloned().collect();
        for address in self.fds.close_unclaimed(&keep) {
            tracing::info!(address, "no longer listened on");
        }
        self.old
    }
}

/// The socket's path; what connects to it is believed, so others may not come near.
fn meeting_place(state_dir: &Path, name: &str) -> Result<String, String> {
    let directory = state_dir.join(DIRECTORY);
    let made = std::fs::create_dir_all(state_dir)
        .and_then(|()| match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            other => other,
        })
        .and_then(|()| std::fs::metadata(&directory));
    let mode = made.map_err(|error| format!("`{}` cannot be made: {error}", directory.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others may enter `{}`: sockets are not handed over there", directory.display()));
    }
    let path = directory.join(name);
    let text = path.to_str().filter(|path| path.len() <= MOST_PATH_BYTES).map(str::to_owned);
    text.ok_or_else(|| format!("`{}` is too long for a socket", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_others_may_enter_nothing_is_handed_over() {
        let dir = std::env::temp_dir().join(format!("weir-upgrade-{}", uuid::Uuid::now_v7()));
        assert!(meeting_place(&dir, SOCKETS).unwrap().ends_with("/upgrade/sockets"));
        assert!(meeting_place(&dir, SOCKETS).is_ok());
        std::fs::set_permissions(dir.join(DIRECTORY), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(meeting_place(&dir, SOCKETS).unwrap_err().contains("others may enter"));
        std::fs::remove_dir_all(&dir).unwrap();
        let long = dir.join("x".repeat(120));
        assert!(meeting_place(&long, SOCKETS).unwrap_err().contains("too long"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
