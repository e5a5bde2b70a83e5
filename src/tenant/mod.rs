//! Who is calling, and what may they use.
//!
//! How to wire it: [`keys::Keyring`] is built with the runtime (see [`crate::limit`]) and swapped with
//! it. Per request: `credential::extract(headers, query)` says which key was shown and whether the
//! client's own credential is for the upstream; `keyring.find(secret, SystemTime::now())` gives the
//! [`keys::Caller`]; when the model is known, `caller.may_use(&[client_name, "provider/model"])`.

#[cfg(feature = "proxy")]
pub mod credential;
pub mod keys;
