//! Text that cannot be printed, and the text of keys that are made here.

pub mod header;
pub mod minted;
#[cfg(feature = "proxy")]
pub mod signature;

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroize;

/// A credential. It has no `Display`, `Serialize` or `Deref`, its `Debug` says nothing, and its
/// memory is cleared when it goes.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The one way to the text: for a header that goes to its owner, or a hash.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Takes as long wherever two of a length differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
