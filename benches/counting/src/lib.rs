//! The allocator that the gateway ships with, and a counter in front of it that benches turn on. A process that
//! is to be as it would come without that allocator has the system's ([`SYSTEM`]).
//!
//! An executable that counts is not the one that ships. Its allocations are the same, though: what asks
//! for memory does not see who gives it. Until [`start`] a call costs one read of a flag more.
//!
//! A call that makes a block longer is one allocation, of as many bytes as the block has grown.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::CStr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use mimalloc::MiMalloc;

/// In the environment of a process it is the system's allocator that it has.
pub const SYSTEM: &CStr = c"WEIR_BENCH_SYSTEM_ALLOCATOR";

static WHOSE: AtomicU8 = AtomicU8::new(UNKNOWN);
const UNKNOWN: u8 = 0;
const OURS: u8 = 1;
const THE_SYSTEMS: u8 = 2;

static IS_ON: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);

/// To be the `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

/// What was asked for since [`start`], by all threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub allocations: u64,
    pub bytes: u64,
}

/// Counts from now on.
pub fn start() {
    IS_ON.store(true, Ordering::Relaxed);
}

pub fn counts() -> Counts {
    Counts { allocations: ALLOCATIONS.load(Ordering::Relaxed), bytes: BYTES.load(Ordering::Relaxed) }
}

fn count(bytes: usize) {
    if IS_ON.load(Ordering::Relaxed) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The first who asks is alone: threads need memory themselves.
fn is_the_systems() -> bool {
    match WHOSE.load(Ordering::Relaxed) {
        UNKNOWN => {
            // SAFETY: the name ends with a zero, and nobody changes the environment of a process that has just begun.
            let is_set = !unsafe { libc::getenv(SYSTEM.as_ptr()) }.is_null();
            WHOSE.store(if is_set { THE_SYSTEMS } else { OURS }, Ordering::Relaxed);
            is_set
        }
        whose => whose == THE_SYSTEMS,
    }
}

// SAFETY: all is done by the allocator behind it, which is the same from the first block to the last; counting and
// choosing ask for no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: what the caller has to see to is the same.
        unsafe { if is_the_systems() { System.alloc(layout) } else { MiMalloc.alloc(layout) } }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the same.
        unsafe { if is_the_systems() { System.alloc_zeroed(layout) } else { MiMalloc.alloc_zeroed(layout) } }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the same.
        unsafe { if is_the_systems() { System.dealloc(block, layout) } else { MiMalloc.dealloc(block, layout) } }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size > layout.size() {
            count(size - layout.size());
        }
        // SAFETY: the same.
        unsafe {
            if is_the_systems() { System.realloc(block, layout, size) } else { MiMalloc.realloc(block, layout, size) }
        }
    }
}
