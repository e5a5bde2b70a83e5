//! A Postgres of the test's own: a child process on a free port, in a temporary directory, gone with the
//! test. Its programs come from Debian's package and refuse to run as root.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use weir::config::database::DatabaseUrl;
use weir::config::read::Scalar as _;
use weir::config::runtime::State;
use weir::store::Database;

pub(crate) const PASSWORD: &str = "pg-canary-4d1c";
const DEADLINE: Duration = Duration::from_secs(60);

/// See the module documentation.
#[derive(Debug)]
pub(crate) struct Server {
    programs: PathBuf,
    user: Option<(u32, u32)>,
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    child: Child,
}

impl Server {
    /// `None` where there is no Postgres on this machine, which CI does not accept.
    pub(crate) fn start(name: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "there is no Postgres: scripts/setup test");
            eprintln!("skipped: there is no Postgres on this machine");
            return None;
        };
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("weir-pg-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        certificate(&dir);
        fs::write(dir.join("password"), PASSWORD).unwrap();
        let user = own(&dir);
        let made = as_user(&programs.join("initdb"), user)
            .current_dir(&dir)
            .args(["-D", "data", "-U", "weir", "--auth=scram-sha-256", "--pwfile=password", "--no-sync", "-E", "UTF8"])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = run(&programs, user, &dir, port);
        let server = Self { programs, user, dir, port, child };
        server.wait();
        Some(server)
    }

    fn run_again(&mut self) {
        self.child = run(&self.programs, self.user, &self.dir, self.port);
        self.wait();
    }

    /// As if the machine had crashed, but for its disk; `down` runs before it comes back.
    pub(crate) fn crash(&mut self, down: impl FnOnce()) {
        self.stop();
        down();
        self.run_again();
    }

    fn stop(&mut self) {
        let control = as_user(&self.programs.join("pg_ctl"), self.user)
            .current_dir(&self.dir)
            .args(["-D", "data", "-m", "immediate", "-w", "stop"])
            .output();
        if !control.is_ok_and(|done| done.status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }

    fn wait(&self) {
        let deadline = Instant::now() + DEADLINE;
        while self.connect("postgres").is_err() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(self.dir.join("log")).unwrap_or_default());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn connect(&self, database: &str) -> Result<postgres::Client, postgres::Error> {
        let url = format!("postgres://weir:{PASSWORD}@127.0.0.1:{}/{database}", self.port);
        postgres::Client::connect(&url, postgres::NoTls)
    }

    /// A client of the test's own, past everything that is tested.
    pub(crate) fn client(&self, database: &str) -> postgres::Client {
        self.connect(database).unwrap()
    }

    /// An empty database, and the configuration that names it.
    pub(crate) fn empty(&self, name: &str) -> State {
        self.client("postgres").batch_execute(&format!("CREATE DATABASE {name}")).unwrap();
        self.state(name, "")
    }

    /// The configuration of a database, with more in its URL.
    pub(crate) fn state(&self, name: &str, more: &str) -> State {
        let url = format!("postgres://weir:{PASSWORD}@127.0.0.1:{}/{name}{more}", self.port);
        State { database: Some(DatabaseUrl::parse(&url).unwrap()), ..State::default() }
    }

    pub(crate) fn database(&self, name: &str) -> Database {
        Database::open(&self.empty(name)).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut all: Vec<PathBuf> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    all.retain(|bin| bin.join("initdb").exists() && bin.join("postgres").exists());
    all.sort();
    all.pop()
}

/// Of the user `postgres`, where this is root.
fn own(dir: &Path) -> Option<(u32, u32)> {
    if !fs::read_to_string("/proc/self/status").unwrap().lines().any(|line| line.starts_with("Uid:\t0\t")) {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("the package makes a user `postgres`");
    let mut ids = line.split(':').skip(2).map(|id| id.parse::<u32>().unwrap());
    let (uid, gid) = (ids.next().unwrap(), line.split(':').nth(3).unwrap().parse().unwrap());
    for path in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).chain([dir.to_owned()]) {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).unwrap();
    }
    Some((uid, gid))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

fn run(programs: &Path, user: Option<(u32, u32)>, dir: &Path, port: u16) -> Child {
    let log = fs::OpenOptions::new().append(true).create(true).open(dir.join("log")).unwrap();
    as_user(&programs.join("postgres"), user)
        .current_dir(dir)
        .args(["-D", "data", "-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
        .args(["-c", "unix_socket_directories=", "-c", "max_connections=40", "-c", "ssl=on"])
        .args(["-c", "ssl_cert_file=../server.crt", "-c", "ssl_key_file=../server.key"])
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// The server's, by an authority of its own, for `127.0.0.1`.
fn certificate(dir: &Path) {
    let openssl = |args: &[&str]| {
        let done = Command::new("openssl").current_dir(dir).args(args).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "3", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "ca.pem"];
    openssl(&[&authority[..], &key].concat());
    openssl(&[&["req", "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"][..], &key].concat());
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "3",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]);
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(dir.join("server.key"), private).unwrap();
}
