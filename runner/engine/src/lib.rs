//! The engine: a plan in, a finished run out.
//!
//! It cuts the plan into units, asks the cache for each, runs what is missing on a bounded pool of
//! workers, and tells a `Reporter` what happens. It owns the traits `Node`, `Classifier` and
//! `Reporter` and knows no node kind, no plugin and no store; it prints nothing, reads no
//! environment, and gets the time from the `Clock` it is given.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod classifier;
mod engine;
mod event;
mod frame;
mod history;
mod node;
mod reason;
mod resolve;
mod scheduler;
#[cfg(test)]
mod tests;
mod unit;
mod worker;

pub use cache::{Cache, CacheError, Digest, Facts, FileDigests, UnitRecord, write_atomically};
pub use engine::{Engine, EngineError, RunOptions, RunReport};
pub use event::{Event, Reporter, RunSummary, UnitCounts};
pub use frame::{FrameError, logical_digest, read_frame, write_frame};
pub use history::{History, HistoryError, RunOutcome, RunRecord, UnitEntry};
pub use node::{
    Artifact, FactContext, Folds, Inputs, Node, NodeError, NodeFactory, Note, Outputs, RunContext,
    notes_of,
};
pub use reason::Reason;
pub use resolve::{PlannedUnit, UnitState};
pub use unit::{Part, Unit, UnitId, UnitName, Units};

/// Where the engine gets the time from.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    fn now_ns(&self) -> i128;

    /// UTC, RFC 3339, milliseconds.
    fn now_text(&self) -> String {
        let now = jiff::Timestamp::from_nanosecond(self.now_ns()).unwrap_or_default();
        format!("{now:.3}")
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> i128 {
        jiff::Timestamp::now().as_nanosecond()
    }
}
