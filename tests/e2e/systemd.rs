//! What a service manager is told, at a socket of the test's.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

use crate::ask::{CHAT, chat};
use crate::support::gateway::{Gateway, config, new_dir};
use crate::support::simulated::Simulated;
use crate::support::wait::DEADLINE;

/// A manager's end.
struct Listener {
    socket: UnixDatagram,
    /// For `NOTIFY_SOCKET`.
    name: String,
}

impl Listener {
    fn of(socket: UnixDatagram, name: String) -> Self {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { socket, name }
    }

    /// In the abstract space.
    fn abstract_one() -> Self {
        let name = format!("weir-e2e-{}", uuid::Uuid::now_v7());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        Self::of(socket, format!("@{name}"))
    }

    /// At a path, which is short enough for a socket.
    fn at_a_path() -> Self {
        let path = std::env::temp_dir().join(format!("weir-e2e-{}", uuid::Uuid::now_v7().simple()));
        let socket = UnixDatagram::bind(&path).unwrap();
        Self::of(socket, path.display().to_string())
    }

    /// The next word.
    fn told(&self) -> String {
        let mut buffer = [0; 512];
        let length = self.socket.recv(&mut buffer).expect("the manager is told something");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    /// The next word that is not of reloads: a hand-over's processes have one file, which is written anew.
    fn told_besides_reloads(&self) -> String {
        loop {
            let word = self.told();
            if !word.starts_with("RELOADING=1\n") && !word.starts_with("READY=1\n") {
                return word;
            }
        }
    }

    fn told_nothing_more(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        self.socket.recv(&mut [0; 512]).is_err()
    }

    fn start(&self, text: &str) -> Gateway {
        Gateway::start_in(new_dir(), text, &[("NOTIFY_SOCKET", &self.name)])
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}

fn micros() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[test]
fn the_manager_hears_of_readiness_reloads_and_the_end() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let manager = Listener::abstract_one();
    let mut gateway = manager.start(&text);
    assert_eq!(manager.told(), "READY=1\nSTATUS=Serving");
    assert_eq!(gateway.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200);

    let before = micros();
    gateway.signal("HUP");
    let word = manager.told();
    let at: i64 = word.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("first that it begins").parse().unwrap();
    assert!(before <= at && at <= micros(), "{before} {at}");
    assert_eq!(manager.told(), "READY=1\nSTATUS=Serving");

    // Taken up without a signal, and refused: it serves all the same.
    gateway.write_config(&(text + "\nnonsense: true\n"));
    assert!(manager.told().starts_with("RELOADING=1\n"));
    assert!(manager.told().starts_with("READY=1\nSTATUS=Serving. The configuration was not reloaded"));

    gateway.signal("TERM");
    assert_eq!(manager.told(), "STOPPING=1\nSTATUS=Draining");
    assert!(gateway.wait_exit().success());
    assert!(manager.told_nothing_more());
}

/// Each process speaks to its own unit's manager, and says ready only when it serves.
#[test]
fn after_a_hand_over_the_new_process_is_ready_and_the_old_one_stops() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let (first, second) = (Listener::at_a_path(), Listener::at_a_path());
    let mut old = first.start(&text);
    assert!(first.told().starts_with("READY=1\n"));
    let new = old.hand_over_to(&text, &[("NOTIFY_SOCKET", &second.name)]);
    assert!(second.told().starts_with("READY=1\n"));
    assert!(first.told_besides_reloads().starts_with("STOPPING=1\n"));
    assert!(old.wait_exit().success());
    assert_eq!(new.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200);
    assert!(first.told_nothing_more() && second.told_nothing_more());
}

/// The one that cannot begin never says that it is ready, and the one that goes on never that it stops.
#[test]
fn a_hand_over_that_fails_is_no_news_to_the_manager() {
    let sim = Simulated::start();
    let text = config(sim.address, sim.address, "");
    let manager = Listener::abstract_one();
    let gateway = manager.start(&text);
    assert!(manager.told().starts_with("READY=1\n"));
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("listen: [127.0.0.1:0, \"{}\"]", other.local_addr().unwrap());
    assert!(!gateway.hand_over_in_vain(&text.replacen("listen: 127.0.0.1:0", &taken, 1)).success());
    assert_eq!(gateway.post(CHAT, &chat("openai/sim-1", "hi")).status(), 200);
    gateway.signal("INT");
    assert!(manager.told_besides_reloads().starts_with("STOPPING=1\n"));
}
