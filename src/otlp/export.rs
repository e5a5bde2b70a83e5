//! An export of one signal, as it grows: `Export{Traces,Logs,Metrics}ServiceRequest`, of one resource and one
//! scope. Their numbers are the same.

use bytes::Bytes;

use super::proto::{Out, bytes};
use crate::record::varint;

/// Of the request: `ResourceSpans` and so on.
const OF_RESOURCE: u8 = bytes(1);
/// Of that: whose it is, and `ScopeSpans` and so on.
const RESOURCE: u8 = bytes(1);
const OF_SCOPE: u8 = bytes(2);
/// Of that: who made it, and the spans, log records or metrics.
const SCOPE: u8 = bytes(1);
pub(super) const ITEM: u8 = bytes(2);
/// A tag and the longest length.
const MOST_HEAD_BYTES: usize = 11;

/// What stands before all items: a resource and a scope, as members.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Head {
    pub(super) fn new(resource: impl FnOnce(&mut Out<'_>), scope: impl FnOnce(&mut Out<'_>)) -> Self {
        let mut head = Self::default();
        Out(&mut head.resource).message(RESOURCE, resource);
        Out(&mut head.scope).message(SCOPE, scope);
        head
    }

    fn most_bytes(&self) -> usize {
        self.resource.len() + self.scope.len() + 2 * MOST_HEAD_BYTES
    }

    /// The export of the items that `write` writes, about that many bytes.
    pub(super) fn export(&self, about: usize, write: impl FnOnce(&mut Out<'_>)) -> Bytes {
        let room = self.most_bytes();
        let mut body = Vec::with_capacity(room + about);
        body.resize(room, 0);
        write(&mut Out(&mut body));
        // How long all of it is, is known by now: what stands before it is put right before it.
        let of_scope = self.scope.len() + body.len() - room;
        let of_resource = self.resource.len() + 1 + varint::length(of_scope as u64) + of_scope;
        let mut head = Vec::with_capacity(room);
        let mut out = Out(&mut head);
        out.length(OF_RESOURCE, of_resource);
        out.raw(&self.resource);
        out.length(OF_SCOPE, of_scope);
        out.raw(&self.scope);
        let from = room - head.len();
        if let Some(place) = body.get_mut(from..room) {
            place.copy_from_slice(&head);
        }
        Bytes::from(body).slice(from..)
    }
}
