//! A place in every writing transaction at which a test can have the process killed.

use std::sync::OnceLock;

static CHECKPOINT: OnceLock<fn()> = OnceLock::new();

/// Has `checkpoint` called around every writing transaction from now on; the first one counts.
pub fn set_checkpoint(checkpoint: fn()) {
    // A second call finds the first one in place, which is as good.
    let _ = CHECKPOINT.set(checkpoint);
}

pub(crate) fn pass() {
    if let Some(checkpoint) = CHECKPOINT.get() {
        checkpoint();
    }
}
