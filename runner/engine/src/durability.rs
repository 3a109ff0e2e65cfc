//! When results are made to survive a power cut: as soon as losing them would cost more than a
//! moment, and then all of them at once.
//!
//! A unit is done when its record is in the cache. Against a kill that holds without any sync;
//! after a power cut a file may be short, empty or gone, which its length or digest tells, and the
//! unit runs again. So a sync buys only the time that this would take, and what costs more than
//! that time is not worth it.

use std::sync::{Mutex, PoisonError};

use cache::{Cache, CacheError};

/// Seconds of work that a power cut may cost, besides what is running.
const AT_RISK_SECONDS: f64 = 2.0;

/// Seconds of work in results that are not synced.
#[derive(Debug, Default)]
pub(crate) struct Durability(Mutex<f64>);

impl Durability {
    /// Counts a published unit, and syncs what was published up to now if that is worth it.
    pub fn published(&self, cache: &Cache, seconds: f64) -> Result<(), CacheError> {
        let due = {
            let mut at_risk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *at_risk += seconds;
            let due = *at_risk >= AT_RISK_SECONDS;
            if due {
                *at_risk = 0.0;
            }
            due
        };
        if due { cache.sync() } else { Ok(()) }
    }
}
