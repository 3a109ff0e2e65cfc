//! When results are made to survive a power cut: as soon as losing them would cost more than a
//! moment, and then all of them at once.
//!
//! A unit is done when its record is in the cache. Against a kill that holds without any sync;
//! after a power cut a file may be short, empty or gone, which its length or digest tells, and the
//! unit runs again. So a sync buys only the time that this would take, and what costs more than
//! that time is not worth it. The disk is waited for beside the next units, and at the end of the run.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use cache::{Cache, CacheError};

/// Seconds of work that a power cut may cost, besides what is running and what is being synced.
const AT_RISK_SECONDS: f64 = 2.0;

#[derive(Debug, Default)]
pub(crate) struct Durability(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Seconds of work in results that are not synced.
    at_risk: f64,
    syncing: Option<JoinHandle<Result<(), CacheError>>>,
}

impl State {
    fn wait(&mut self) -> Result<(), CacheError> {
        match self.syncing.take() {
            Some(syncing) => syncing.join().expect("a sync does not panic"),
            None => Ok(()),
        }
    }
}

impl Durability {
    /// Counts a published unit, and begins to sync what was published up to now if that is worth it.
    /// An error is that of the sync before, which has come to its end then.
    pub fn published(&self, cache: &Cache, seconds: f64) -> Result<(), CacheError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.at_risk += seconds;
        if state.at_risk < AT_RISK_SECONDS {
            return Ok(());
        }
        state.wait()?;
        state.at_risk = 0.0;
        let own = cache.clone();
        match std::thread::Builder::new().name("sync".into()).spawn(move || own.sync()) {
            Ok(syncing) => state.syncing = Some(syncing),
            // Without a thread for it, it is done here.
            Err(_) => cache.sync()?,
        }
        Ok(())
    }

    /// Waits for what is being synced.
    pub fn finish(&self) -> Result<(), CacheError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).wait()
    }
}
