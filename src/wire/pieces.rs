//! A request body on its way out: what an edit leaves alone is shared with the body it was read from.

use bytes::{Bytes, BytesMut};

/// Bytes in three pieces, one behind the other, of which any may be empty: what was written before the part
/// that is shared, that part, what was written behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pieces([Bytes; 3]);

impl Pieces {
    /// `shared` is a part of the body that was edited.
    pub fn around(before: Vec<u8>, shared: Bytes, behind: Vec<u8>) -> Self {
        Self([before.into(), shared, behind.into()])
    }

    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(Bytes::is_empty)
    }

    /// Those that are not empty, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter().filter(|piece| !piece.is_empty())
    }

    pub fn slices(&self) -> [&[u8]; 3] {
        self.0.each_ref().map(AsRef::as_ref)
    }

    /// All in one: copied only where there are several.
    pub fn whole(&self) -> Bytes {
        let mut pieces = self.iter();
        match (pieces.next(), pieces.next()) {
            (None, _) => Bytes::new(),
            (Some(only), None) => only.clone(),
            (Some(_), Some(_)) => {
                let mut all = BytesMut::with_capacity(self.len());
                self.iter().for_each(|piece| all.extend_from_slice(piece));
                all.freeze()
            }
        }
    }
}

impl From<Bytes> for Pieces {
    fn from(whole: Bytes) -> Self {
        Self([Bytes::new(), whole, Bytes::new()])
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(whole: Vec<u8>) -> Self {
        Self::from(Bytes::from(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied_and_several_are_joined_in_their_order() {
        let body = Bytes::from_static(b"{\"a\":1,\"b\":2}");
        for only in [Pieces::from(body.clone()), Pieces::around(Vec::new(), body.clone(), Vec::new())] {
            assert_eq!((only.len(), only.whole().as_ptr()), (body.len(), body.as_ptr()));
        }
        let edited = Pieces::around(b"{\"c\":3,".to_vec(), body.slice(1..12), b",\"d\":4}".to_vec());
        assert_eq!((edited.len(), edited.is_empty(), edited.iter().count()), (25, false, 3));
        assert_eq!(edited.whole(), "{\"c\":3,\"a\":1,\"b\":2,\"d\":4}");
        let none = Pieces::default();
        assert_eq!((none.len(), none.is_empty(), none.iter().count(), none.whole().len()), (0, true, 0, 0));
    }
}
