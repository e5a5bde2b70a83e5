//! A file that changes while the gateway runs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use weir::config::env::System;
use weir::config::load;
use weir::config::reload::{Reloader, Status};

/// A directory of its own for each test, gone afterwards.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("weir-reload-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn text(retries: u32) -> String {
    format!(
        "providers: {{simulator: {{base_url: 'http://127.0.0.1:9'}}}}\n\
         defaults: {{retries: {retries}}}\n\
         tenants: {{t: {{keys: [{{id: k, secret: kkkk}}]}}}}\n"
    )
}

/// A reloader, and every status it told.
fn reloader(path: &Path) -> (Arc<Reloader>, Arc<Mutex<Vec<Status>>>) {
    let runtime = Arc::new(load::from_file(path, &System).unwrap());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let apply = Box::new(|runtime: &Arc<_>| -> Result<(), String> {
        let runtime: &Arc<weir::config::runtime::Runtime> = runtime;
        if runtime.attempts.retries == 9 { Err("nine is too many".to_owned()) } else { Ok(()) }
    });
    let observe = Box::new(move |status: Option<&Status>, _: &str| tell.lock().unwrap().extend(status.cloned()));
    (Reloader::new(Some(path.to_owned()), Arc::new(System), runtime, apply, observe), told)
}

/// Waits for a condition; the time only bounds a failure.
fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_good_file_is_taken_over_and_a_bad_one_changes_nothing() {
    let directory = Directory::new();
    let path = directory.write("weir.yaml", &text(1));
    let (reloader, told) = reloader(&path);
    let first = reloader.status().hash;
    directory.write("weir.yaml", &text(3));
    let status = reloader.reload("test").unwrap();
    assert!(status.hash != first && status.last_error.is_none());
    assert_eq!((reloader.current().attempts.retries, status.reloads, status.failures), (3, 1, 0));

    directory.write("weir.yaml", "providers: {simulator: {api_kye: sk-very-secret}}\n");
    let report = reloader.reload("test").unwrap_err();
    assert!(report.len() >= 2, "{report}");
    let after = reloader.status();
    assert_eq!(
        (reloader.current().attempts.retries, after.hash.as_str(), after.failures),
        (3, status.hash.as_str(), 1)
    );
    let error = after.last_error.unwrap();
    assert!(error.contains("weir.yaml:1:25") && !error.contains("sk-very"), "{error}");

    std::fs::remove_file(&path).unwrap();
    assert!(reloader.reload("test").is_err());
    directory.write("weir.yaml", &text(9));
    assert!(reloader.reload("test").unwrap_err().to_string().contains("nine is too many"));
    assert_eq!((reloader.current().attempts.retries, reloader.status().failures), (3, 3));
    directory.write("weir.yaml", &text(4));
    assert_eq!(reloader.reload("test").unwrap().last_error, None);
    assert_eq!(told.lock().unwrap().len(), 5);
}

#[test]
fn what_needs_a_restart_keeps_its_value_and_is_told() {
    let directory = Directory::new();
    let path = directory.write("weir.yaml", &text(1));
    let (reloader, _) = reloader(&path);
    let before = reloader.current();
    let changed = "server: {listen: 127.0.0.1:1, threads: 7, max_body: 5KB}\nadmin: {listen: 127.0.0.1:2}\nstate: {dir: x, shared: 'redis://127.0.0.1:3'}\n";
    directory.write("weir.yaml", &format!("{changed}{}", text(2)));
    let status = reloader.reload("test").unwrap();
    assert_eq!(status.warnings.len(), 5, "{:?}", status.warnings);
    let after = reloader.current();
    assert!(after.state.shared.is_none(), "limits are where they were");
    assert_eq!(after.server.listen[0].address, before.server.listen[0].address);
    assert_eq!((after.server.threads, after.admin.listen), (before.server.threads, before.admin.listen));
    assert_eq!((after.attempts.retries, after.server.max_body_bytes), (2, 5000));
}

#[test]
fn a_changed_file_is_seen_however_it_was_written() {
    let directory = Directory::new();
    let path = directory.write("weir.yaml", &text(1));
    let (reloader, told) = reloader(&path);
    let _watch = reloader.watch().unwrap();
    let retries = |n: u32| until(&format!("retries {n}"), || reloader.current().attempts.retries == n);
    directory.write("weir.yaml", &text(2));
    retries(2);
    // As editors do it.
    std::fs::rename(directory.write("weir.yaml.new", &text(3)), &path).unwrap();
    retries(3);
    directory.write("weir.yaml", "nonsense");
    until("a failure", || reloader.status().failures > 0);
    assert_eq!(reloader.current().attempts.retries, 3);
    directory.write("weir.yaml", &text(4));
    retries(4);
    // What else happens in the directory is no reason to reload.
    let reloads = told.lock().unwrap().len();
    directory.write("other", "x");
    std::fs::rename(directory.write("weir.yaml.new", &text(5)), &path).unwrap();
    retries(5);
    assert_eq!(told.lock().unwrap().len(), reloads + 1);
}

#[cfg(unix)]
#[test]
fn a_config_map_is_seen() {
    let directory = Directory::new();
    let version = |name: &str, retries: u32| {
        std::fs::create_dir(directory.0.join(name)).unwrap();
        directory.write(&format!("{name}/weir.yaml"), &text(retries));
        std::os::unix::fs::symlink(name, directory.0.join("..data_tmp")).unwrap();
        std::fs::rename(directory.0.join("..data_tmp"), directory.0.join("..data")).unwrap();
    };
    version("..1", 1);
    let path = directory.0.join("weir.yaml");
    std::os::unix::fs::symlink("..data/weir.yaml", &path).unwrap();
    let (reloader, _) = reloader(&path);
    let _watch = reloader.watch().unwrap();
    version("..2", 2);
    until("the second version", || reloader.current().attempts.retries == 2);
}

#[test]
fn a_changed_secret_is_a_change() {
    let directory = Directory::new();
    let secret = directory.write("secret", "one\n");
    let text = text(1).replace("kkkk", &format!("'file:{}'", secret.display()));
    let path = directory.write("weir.yaml", &text);
    let (reloader, _) = reloader(&path);
    let before: Vec<_> = reloader.current().keys.keys().copied().collect();
    let _watch = reloader.watch().unwrap();
    directory.write("secret", "two\n");
    until("the new secret", || reloader.current().keys.keys().all(|hash| !before.contains(hash)));
}

#[test]
fn without_a_file_there_is_nothing_to_reload() {
    let directory = Directory::new();
    let path = directory.write("weir.yaml", &text(1));
    let runtime = Arc::new(load::from_file(&path, &System).unwrap());
    let reloader = Reloader::new(None, Arc::new(System), runtime, Box::new(|_| Ok(())), Box::new(|_, _| {}));
    assert!(reloader.reload("test").unwrap_err().to_string().contains("without a file"));
}
