//! Configuration: every file in `conf/` loads, every file in `tests/conf/bad/` fails with the report
//! at its end, schema and reference are current. `WEIR_BLESS=1` rewrites what is compared.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "conf/bad.rs"]
mod bad;
#[path = "conf/files.rs"]
mod files;
#[path = "conf/hostile.rs"]
mod hostile;
#[path = "conf/meaning.rs"]
mod meaning;
#[cfg(feature = "proxy")]
#[path = "conf/reload.rs"]
mod reload;
#[path = "conf/world.rs"]
mod world;
