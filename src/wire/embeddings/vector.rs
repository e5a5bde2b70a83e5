//! One vector: digits, or base64 of them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::json::Str;
use super::{Encoding, unreadable};
use crate::error::Result;

/// As a vendor gave it.
#[derive(Debug, Clone)]
pub(super) enum Vector<'a> {
    /// A list of numbers.
    Numbers(&'a str),
    /// Little-endian 32-bit floats, in base64.
    Base64(Str<'a>),
    /// Signed bytes, in base64.
    Bytes(Str<'a>),
}

impl<'a> Vector<'a> {
    /// A list, or a string.
    pub(super) fn of(json: &'a str) -> Result<Self> {
        match Str::from_raw(json) {
            Some(text) => Ok(Self::Base64(text)),
            None if json.starts_with('[') => Ok(Self::Numbers(json)),
            None => Err(unreadable("a vector is neither a list nor a string")),
        }
    }

    /// Writes it as the client wants it.
    pub(super) fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<()> {
        match (self, encoding) {
            (Self::Numbers(json), Encoding::Floats | Encoding::Own) => out.extend_from_slice(json.as_bytes()),
            (Self::Base64(text), Encoding::Base64 | Encoding::Own) | (Self::Bytes(text), Encoding::Own) => {
                out.extend_from_slice(text.raw().as_bytes());
            }
            (_, Encoding::Base64) => {
                let bytes: Vec<u8> = self.floats()?.into_iter().flat_map(f32::to_le_bytes).collect();
                out.push(b'"');
                out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                out.push(b'"');
            }
            (_, Encoding::Floats) => {
                out.push(b'[');
                for (at, float) in self.floats()?.into_iter().enumerate() {
                    if !float.is_finite() {
                        return Err(unreadable("a vector has what is no number in JSON"));
                    }
                    // The shortest digits that read back as the same 32 bits.
                    let _ = write!(out, "{}{float}", if at == 0 { "" } else { "," });
                }
                out.push(b']');
            }
        }
        Ok(())
    }

    fn floats(&self) -> Result<Vec<f32>> {
        match self {
            Self::Numbers(json) => {
                let digits = json.trim_matches(['[', ']', ' ', '\n', '\r', '\t']);
                let items = digits.split(',').filter(|_| !digits.is_empty());
                items.map(|number| number.trim().parse().map_err(unreadable)).collect()
            }
            Self::Base64(text) => {
                let bytes = STANDARD.decode(&*text.text()).map_err(unreadable)?;
                let (floats, rest) = bytes.as_chunks::<4>();
                match rest {
                    [] => Ok(floats.iter().copied().map(f32::from_le_bytes).collect()),
                    _ => Err(unreadable("a vector in base64 is not made of 32-bit floats")),
                }
            }
            Self::Bytes(text) => {
                let bytes = STANDARD.decode(&*text.text()).map_err(unreadable)?;
                Ok(bytes.into_iter().map(|byte| f32::from(byte.cast_signed())).collect())
            }
        }
    }
}
