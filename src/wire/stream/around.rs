//! A stream that writes what another one gives out in another way.

use std::fmt;

use super::{Next, Pipe, Progress, Said};
use crate::error::Error;
use crate::guard::Watch;
use crate::wire::edge::kept::Keeper;
use crate::wire::edge::{Done, Waits};

/// How events are written that another pipe gave out.
pub trait Rewrite: Send + Sync + fmt::Debug {
    /// Appends what the client gets of these bytes; `inner` is the pipe that gave them.
    fn write(&mut self, events: &[u8], inner: &dyn Pipe, out: &mut Vec<u8>);

    /// Nothing more may come, whatever the other pipe gives.
    fn is_closed(&self) -> bool {
        false
    }

    fn note(&mut self, text: &str, inner: &mut dyn Pipe, out: &mut Vec<u8>) {
        inner.note(text, out);
    }

    fn keep_alive(&mut self, inner: &mut dyn Pipe, out: &mut Vec<u8>) {
        inner.keep_alive(out);
    }
}

/// A pipe and how its events are written.
#[derive(Debug)]
pub struct Around<R> {
    inner: Box<dyn Pipe>,
    rewrite: R,
}

impl<R: Rewrite> Around<R> {
    pub fn new(inner: Box<dyn Pipe>, rewrite: R) -> Self {
        Self { inner, rewrite }
    }

    fn rewritten(&mut self, out: &mut Vec<u8>, usual_bytes: usize, give: impl FnOnce(&mut dyn Pipe, &mut Vec<u8>)) {
        let mut events = Vec::with_capacity(usual_bytes);
        give(self.inner.as_mut(), &mut events);
        self.rewrite.write(&events, self.inner.as_ref(), out);
    }
}

impl<R: Rewrite> Pipe for Around<R> {
    fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.rewritten(out, chunk.len(), |inner, events| inner.push(chunk, events));
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.finish(events));
    }

    fn fail(&mut self, error: Error, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.fail(error, events));
    }

    fn commit(&mut self, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.commit(events));
    }

    fn is_committed(&self) -> bool {
        self.inner.is_committed()
    }

    fn progress(&self) -> &Progress {
        self.inner.progress()
    }

    fn is_open(&self) -> bool {
        !self.rewrite.is_closed() && self.inner.is_open()
    }

    fn said(&self) -> Option<Said> {
        self.inner.said()
    }

    fn resume(&mut self, next: &Next<'_>) {
        self.inner.resume(next);
    }

    fn waits(&self) -> bool {
        self.inner.waits()
    }

    fn waits_for(&self) -> Option<Waits> {
        self.inner.waits_for()
    }

    fn next_round(&mut self, next: &Next<'_>, guards: Option<&Watch>) {
        self.inner.next_round(next, guards);
    }

    fn executed(&mut self, tools: &str) {
        self.inner.executed(tools);
    }

    fn release(&mut self, done: &[Done], keeper: Keeper<'_>, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.release(done, keeper, events));
    }

    fn settle(&mut self, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.settle(events));
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        self.rewritten(out, 0, |inner, events| inner.close(events));
    }

    fn note(&mut self, text: &str, out: &mut Vec<u8>) {
        self.rewrite.note(text, self.inner.as_mut(), out);
    }

    fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.is_open() {
            self.rewrite.keep_alive(self.inner.as_mut(), out);
        }
    }
}
