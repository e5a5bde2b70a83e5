//! The `weir` binary: see [`weir::cli`].

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "proxy")]
fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    small_pages();
    weir::cli::main()
}

/// With huge pages each thread's first few bytes and each connection's buffers count for far more than they hold
/// (`benches/RESULTS.md`). The allocator's own variable keeps them.
#[cfg(all(feature = "proxy", target_os = "linux"))]
fn small_pages() {
    if std::env::var_os("MIMALLOC_ALLOW_THP").is_none_or(|value| value != "1") {
        // A kernel without them needs nothing.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
}

/// Without the gateway there is nothing to run: the library is what such a build is for.
#[cfg(not(feature = "proxy"))]
fn main() -> ExitCode {
    ExitCode::from(2)
}
