//! The `weir` binary: see [`weir::cli`].

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "proxy")]
fn main() -> ExitCode {
    weir::cli::main()
}

/// Without the gateway there is nothing to run: the library is what such a build is for.
#[cfg(not(feature = "proxy"))]
fn main() -> ExitCode {
    ExitCode::from(2)
}
