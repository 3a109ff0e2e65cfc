//! What a run tells the outside, in order, from one thread.

use cache::Digest;
use serde::{Deserialize, Serialize};

use crate::node::Note;
use crate::reason::Reason;
use crate::unit::UnitName;

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    RunStarted {
        run_id: String,
        pipeline: String,
        units: usize,
    },
    /// A unit's result was in the cache.
    UnitHit {
        unit: UnitName,
        kind: &'static str,
        key: Digest,
        rows: Option<u64>,
        saved_seconds: f64,
        notes: Vec<Note>,
    },
    UnitStarted {
        unit: UnitName,
        kind: &'static str,
        reason: Reason,
        /// What it may take, by earlier runs, for reporters that want to know.
        expected_seconds: Option<f64>,
    },
    /// `fraction` of a unit over `rows` rows is done.
    UnitProgress {
        unit: UnitName,
        fraction: f32,
        rows: u64,
    },
    UnitFinished {
        unit: UnitName,
        kind: &'static str,
        key: Digest,
        reason: Reason,
        rows: Option<u64>,
        seconds: f64,
        usage: UnitUsage,
        notes: Vec<Note>,
    },
    UnitFailed {
        unit: UnitName,
        kind: &'static str,
        reason: Reason,
        seconds: f64,
        message: String,
        hint: Option<String>,
    },
    /// Failed for a reason that may pass; tried again after `pause_seconds`.
    UnitRetried {
        unit: UnitName,
        kind: &'static str,
        /// Counted from 1.
        attempt: u32,
        pause_seconds: f64,
        message: String,
    },
    /// Not run, because something it needs failed or the run is ending.
    UnitSkipped {
        unit: UnitName,
        kind: &'static str,
        because: String,
    },
    /// Another process is computing the same key.
    UnitWaiting {
        unit: UnitName,
        holder: String,
    },
    /// An artifact in the cache was missing or damaged and is computed again.
    Repaired {
        unit: UnitName,
        what: String,
    },
    /// How far the run is, for reporters that want to know.
    RunEstimate {
        /// Units that are final, of `units`.
        done: usize,
        units: usize,
        /// By how long units took in earlier runs; absent if nothing is known of one.
        seconds_left: Option<f64>,
    },
    RunFinished(RunSummary),
}

/// What the process used while a unit ran.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct UnitUsage {
    /// CPU seconds of the whole process from the unit's start to its end, in steps of 10 ms.
    pub cpu_seconds: Option<f64>,
    /// Other units ran at the same time, and their seconds are in it.
    pub cpu_shared: bool,
    /// Seconds of the unit's that its node kind took; the rest is reading and writing artifacts.
    pub node_seconds: Option<f64>,
    /// Most memory the process has had resident up to the unit's end.
    pub peak_bytes: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitCounts {
    pub hit: usize,
    pub run: usize,
    pub failed: usize,
    pub skipped: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    pub run_id: String,
    pub seconds: f64,
    /// Seconds that hits took when they ran.
    pub saved_seconds: f64,
    pub units: UnitCounts,
    pub interrupted: bool,
}

/// Shows events to somebody. Called from the scheduler's thread only.
pub trait Reporter {
    fn event(&mut self, event: &Event);

    /// Whether to work out how long units and the run may take; that reads earlier runs.
    fn wants_estimates(&self) -> bool {
        false
    }
}
