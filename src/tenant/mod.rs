//! Who is calling, and what may they use.
//!
//! [`keys::Keyring`] is everybody who may call: the keys of the configuration, those that were made at
//! run time ([`stored`]) and the identity providers whose tokens are taken ([`jwt`]). It is built with the
//! runtime and its limits, again whenever a stored key changes, and swapped as a whole: a request reads
//! it without a lock.
//!
//! Per request: `credential::extract(headers, query)` says which key was shown and whether the client's
//! own credential is for the upstream; `keyring.find(secret, now)` gives the [`keys::Caller`], whom
//! `caller.admit(now, address)` lets in or not; when the model is known, `caller.may_use(...)`.
//!
//! [`audit`] is how changes are chained to each other, so that nobody takes one out unseen.

#[cfg(feature = "proxy")]
pub mod address;
pub mod audit;
#[cfg(feature = "proxy")]
pub mod credential;
#[cfg(feature = "proxy")]
pub mod jwt;
pub mod keys;
pub mod stored;
