//! The listening sockets of a process that ends go to the one that takes its place, and nobody is
//! refused in between: `weir run --upgrade` waits for them, SIGQUIT sends them.
//!
//! Both meet at a socket in a directory of `state.dir` that only their user may enter. Whoever comes
//! first waits a while for the other.

use std::fmt;
use std::os::fd::RawFd;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pingora_core::server::Fds;

use super::listen::Bound;

const DIRECTORY: &str = "upgrade";
const SOCKET: &str = "sockets";
/// What the system allows for the path of a socket.
const MOST_PATH_BYTES: usize = 107;
/// For so long a new process waits for SIGQUIT at the old one.
const PATIENCE: Duration = Duration::from_secs(60);

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

    /// Gives them to the new process. Blocks, for some seconds where there is none.
    pub(super) fn send(&self) -> Result<(), String> {
        let path = meeting_place(&self.state_dir)?;
        self.fds
            .send_to_sock(path.as_str())
            .map(drop)
            .map_err(|error| format!("no new process took the sockets: {error}"))
    }
}

/// Sockets that another process has listened on.
pub(crate) struct Inherited(Fds);

impl fmt::Debug for Inherited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Inherited({:?})", self.0.serialize().0)
    }
}

impl Inherited {
    pub(crate) fn nothing() -> Self {
        Self(Fds::new())
    }

    /// Waits until the process that serves with this directory gets SIGQUIT.
    pub(crate) fn wait(state_dir: &Path) -> Result<Self, String> {
        let (path, until) = (meeting_place(state_dir)?, Instant::now() + PATIENCE);
        loop {
            let mut fds = Fds::new();
            match fds.get_from_sock(path.as_str()) {
                Ok(()) => return Ok(Self(fds)),
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
        self.0.get(address).copied()
    }

    /// Nobody would take what comes in there.
    pub(super) fn close_all_but(mut self, bound: &[String]) {
        let keep = bound.iter().cloned().collect();
        for address in self.0.close_unclaimed(&keep) {
            tracing::info!(address, "no longer listened on");
        }
    }
}

/// The socket's path; what connects to it is believed, so others may not come near.
fn meeting_place(state_dir: &Path) -> Result<String, String> {
    let directory = state_dir.join(DIRECTORY);
    let made = std::fs::create_dir_all(state_dir)
        .and_then(|()| match std::fs::DirBuilder::new().mode(0o700).create(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other,
        })
        .and_then(|()| std::fs::metadata(&directory));
    let mode = made.map_err(|error| format!("`{}` cannot be made: {error}", directory.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("others may enter `{}`: sockets are not handed over there", directory.display()));
    }
    let path = directory.join(SOCKET);
    let text = path.to_str().filter(|path| path.len() <= MOST_PATH_BYTES).map(str::to_owned);
    text.ok_or_else(|| format!("`{}` is too long for a socket", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_others_may_enter_nothing_is_handed_over() {
        let dir = std::env::temp_dir().join(format!("weir-upgrade-{}", uuid::Uuid::now_v7()));
        assert!(meeting_place(&dir).unwrap().ends_with("/upgrade/sockets"));
        assert!(meeting_place(&dir).is_ok());
        std::fs::set_permissions(dir.join(DIRECTORY), std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(meeting_place(&dir).unwrap_err().contains("others may enter"));
        std::fs::remove_dir_all(&dir).unwrap();
        let long = dir.join("x".repeat(120));
        assert!(meeting_place(&long).unwrap_err().contains("too long"));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
