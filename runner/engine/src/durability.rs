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

/// Seconds of finished work that a power cut may cost.
const AT_RISK_SECONDS: f64 = 2.0;
/// Seconds of work that a sync is begun for: there is little to wait for then, when it matters.
const BEGIN_SECONDS: f64 = 0.5;

#[derive(Debug, Default)]
pub(crate) struct Durability(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Seconds of work in results that no sync was begun for.
    open: f64,
    syncing: Option<Syncing>,
}

#[derive(Debug)]
struct Syncing {
    seconds: f64,
    thread: JoinHandle<Result<(), CacheError>>,
}

impl State {
    fn at_risk(&self) -> f64 {
        self.open + self.syncing.as_ref().map_or(0.0, |syncing| syncing.seconds)
    }

    /// Waits for the sync that is on.
    fn wait(&mut self) -> Result<(), CacheError> {
        match self.syncing.take() {
            Some(syncing) => syncing.thread.join().expect("a sync does not panic"),
            None => Ok(()),
        }
    }

    fn begin(&mut self, cache: &Cache) -> Result<(), CacheError> {
        let seconds = std::mem::take(&mut self.open);
        let own = cache.clone();
        match std::thread::Builder::new().name("sync".into()).spawn(move || own.sync()) {
            Ok(thread) => self.syncing = Some(Syncing { seconds, thread }),
            // Without a thread for it, it is done here.
            Err(_) => cache.sync()?,
        }
        Ok(())
    }
}

impl Durability {
    /// Counts a published unit, and has what was published up to now synced if that is worth it.
    /// An error may be that of a sync begun before.
    pub fn published(&self, cache: &Cache, seconds: f64) -> Result<(), CacheError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open += seconds;
        let ended = state.syncing.as_ref().is_some_and(|syncing| syncing.thread.is_finished());
        if ended || state.at_risk() >= AT_RISK_SECONDS {
            state.wait()?;
        }
        if state.syncing.is_none() && state.open >= BEGIN_SECONDS {
            state.begin(cache)?;
        }
        Ok(())
    }

    /// Waits for what is being synced, if more than a moment's work is at risk.
    pub fn finish(&self) -> Result<(), CacheError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.at_risk() >= AT_RISK_SECONDS { state.wait() } else { Ok(()) }
    }
}
