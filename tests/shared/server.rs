//! A real store on a free port in a directory of its own, killed when dropped.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::wait::{Gate, until};

/// Runs a test on every kind of store that is installed.
pub(crate) fn on_each(test: impl Fn(&mut Server)) {
    let mut ran = false;
    for program in ["redis-server", "valkey-server"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_ok_and(|status| status.success()) {
            ran = true;
            test(&mut Server::start(program));
        }
    }
    if !ran {
        assert!(std::env::var_os("CI").is_none(), "neither redis-server nor valkey-server is installed");
        eprintln!("skipped: neither redis-server nor valkey-server is installed");
    }
}

pub(crate) struct Server {
    program: &'static str,
    dir: PathBuf,
    port: u16,
    child: Child,
}

impl Server {
    fn start(program: &'static str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("store-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&dir).unwrap();
        // Another process may take the port before the store does: then another one.
        until("a store on a free port", || {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut child = spawn(program, &dir, port);
            if answers(&mut child, port) {
                return Some(Self { program, dir: dir.clone(), port, child });
            }
            let _ = child.kill();
            let _ = child.wait();
            None
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn connection(&self) -> redis::Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    /// One command, whose answer does not matter.
    pub(crate) fn command(&self, words: &[&str]) {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        let _: redis::Value = command.query(&mut self.connection()).unwrap();
    }

    /// `STOP`, `CONT`, ...
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// On the same port, with what was written to the disk, if anything was.
    pub(crate) fn start_again(&mut self) {
        until("the store to start again", || {
            self.child = spawn(self.program, &self.dir, self.port);
            answers(&mut self.child, self.port).then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn spawn(program: &str, dir: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--enable-debug-command", "local"]);
    command.arg("--port").arg(port.to_string()).arg("--dir").arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Whether it serves. A child that ended does not.
fn answers(child: &mut Child, port: u16) -> bool {
    until("the store to answer, or to end", || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.write_all(b"PING\r\n").ok()?;
        let mut said = [0; 5];
        socket.read_exact(&mut said).ok()?;
        (said == *b"+PONG").then_some(true)
    })
}

/// Stands between a replica and the store, and can be slow, keep back what the store says, or be shut.
pub(crate) struct Between {
    address: SocketAddr,
    delay_ms: Arc<AtomicU64>,
    hold: Arc<Mutex<Option<Hold>>>,
    is_over: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Hold {
    word: &'static str,
    is_on: bool,
    begins: Gate,
    ends: Gate,
}

impl Between {
    pub(crate) fn new(store: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (hold, is_over) = (Arc::<Mutex<Option<Hold>>>::default(), Arc::new(AtomicBool::new(false)));
        let delay_ms = Arc::new(AtomicU64::new(0));
        let (delay, held, over) = (Arc::clone(&delay_ms), Arc::clone(&hold), Arc::clone(&is_over));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(store)) else { continue };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (delay, asks, says) = (Arc::clone(&delay), Arc::clone(&held), Arc::clone(&held));
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), move |said| {
                    if let Some(hold) = &mut *asks.lock().unwrap()
                        && said.windows(hold.word.len()).any(|part| part == hold.word.as_bytes())
                    {
                        hold.is_on = true;
                        hold.begins.open();
                    }
                });
                pass(server, client, move |_| {
                    std::thread::sleep(Duration::from_millis(delay.load(Ordering::SeqCst)));
                    let hold = says.lock().unwrap().clone();
                    if let Some(hold) = hold.filter(|hold| hold.is_on) {
                        hold.ends.pass();
                    }
                });
            }
        });
        Self { address, delay_ms, hold, is_over }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What the store says takes so much longer.
    pub(crate) fn delay(&self, by: Duration) {
        self.delay_ms.store(by.as_millis().try_into().unwrap(), Ordering::SeqCst);
    }

    /// Once something with that word in it is asked, what the store says waits. The first gate opens then; the
    /// second lets it go on.
    pub(crate) fn hold(&self, word: &'static str) -> (Gate, Gate) {
        let (begins, ends) = (Gate::default(), Gate::default());
        *self.hold.lock().unwrap() = Some(Hold { word, is_on: false, begins: begins.clone(), ends: ends.clone() });
        (begins, ends)
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, before: impl Fn(&[u8]) + Send + 'static) {
    std::thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            before(&bytes[..count]);
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    });
}
