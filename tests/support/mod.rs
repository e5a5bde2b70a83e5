//! What the tests of the whole program stand on. One file each:
//! - `gateway`: the real binary with a configuration in a directory of its own, killed when dropped;
//! - `upstream`: a provider whose every byte the test decides, and which records every byte it gets;
//! - `client`: an HTTP/1.1 client that can also misbehave, and reads event streams;
//! - `simulated`: the built-in simulator on a socket, in this process;
//! - `grammar`: what a stream in each client's format has to keep to;
//! - `sigv4`: Amazon's end of a signature;
//! - `h2`: an HTTP/2 client over TLS, and a self-signed certificate;
//! - `wait`: conditions with a deadline.
//!
//! Nothing here sleeps for luck: everything waits for a condition until [`wait::DEADLINE`], which
//! only a failing test reaches.

pub(crate) mod client;
pub(crate) mod gateway;
pub(crate) mod grammar;
pub(crate) mod h2;
pub(crate) mod sigv4;
pub(crate) mod simulated;
pub(crate) mod upstream;
pub(crate) mod wait;
