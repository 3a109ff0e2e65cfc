//! Points at which a test can have the process killed, so that crashes are tried one by one.
//!
//! Disarmed, as it always is but in tests, a point costs one look at a number. This module reads no
//! environment: the program that wants to be killed calls `arm`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Points left to pass; 0 is disarmed.
static LEFT: AtomicU64 = AtomicU64::new(0);

/// Kills the process at the `nth` point from now, counted from 1, over all threads.
pub fn arm(nth: u64) {
    LEFT.store(nth, Ordering::SeqCst);
}

/// A place where a crash would hurt most: before or after a write, a rename, a removal.
pub fn point() {
    if LEFT.load(Ordering::Relaxed) != 0 && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        let own = rustix::process::getpid();
        // No destructor runs and no buffer is written: what a power cut leaves of a process.
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}
