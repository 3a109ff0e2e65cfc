//! Progress, cancellation and threads of one call.

use std::marker::PhantomData;

use plugin_abi as abi;

use crate::error::Error;

/// What comes with every call that may take long. Shared freely between the threads of a call.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    raw: Option<&'a abi::Context>,
    threads: usize,
    _borrow: PhantomData<&'a ()>,
}

// SAFETY: `plugin.h` allows `progress` and `is_cancelled` from any thread during the call, and the
// lifetime ends with the call; `threads` is plain data.
unsafe impl Send for Context<'_> {}
// SAFETY: as above.
unsafe impl Sync for Context<'_> {}

impl<'a> Context<'a> {
    /// A context for tests: one thread, never cancelled, progress to nobody.
    pub fn quiet() -> Context<'static> {
        Context::with_threads(1)
    }

    /// The same with more threads; for tests and benchmarks.
    pub fn with_threads(threads: usize) -> Context<'static> {
        Context { raw: None, threads: threads.clamp(1, 1024), _borrow: PhantomData }
    }

    pub(crate) fn new(raw: &'a abi::Context) -> Context<'a> {
        let threads = raw.threads.clamp(1, 1024) as usize;
        Context { raw: Some(raw), threads, _borrow: PhantomData }
    }

    /// Returns the number of threads the call may use, at least 1.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Tells the finished share, 0 to 1.
    pub fn progress(&self, share: f32) {
        if let Some(raw) = self.raw
            && let Some(progress) = raw.progress
        {
            // SAFETY: the host keeps `host` and the function alive until the call returns.
            unsafe { progress(raw.host, share) }
        }
    }

    pub fn is_cancelled(&self) -> bool {
        let Some(raw) = self.raw else { return false };
        // SAFETY: as in `progress`.
        raw.is_cancelled.is_some_and(|is_cancelled| unsafe { is_cancelled(raw.host) != 0 })
    }

    /// Fails with [`Error::Cancelled`] when the host asked to stop.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
