//! The engine: a plan in, a finished run out.
//!
//! It cuts the plan into units, asks the cache for each, runs what is missing on a bounded pool of
//! workers, and tells a `Reporter` what happens. It owns the traits `Node`, `Classifier` and
//! `Reporter` and knows no node kind, no plugin and no store; it prints nothing, reads no
//! environment, and gets the time from the `Clock` it is given.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod care;
pub mod classifier;
mod durability;
mod engine;
mod environment;
mod estimate;
mod event;
mod explain;
mod frame;
mod history;
mod matrix;
mod node;
mod reason;
mod resolve;
mod scheduler;
#[cfg(test)]
mod tests;
mod unit;
mod worker;

pub use cache::{
    BlobRecord, Cache, CacheError, Digest, Facts, FileDigests, Hasher, Inventory, OutputRecord,
    RunInProgress, Sweep, UnitRecord, kill, write_atomically, write_hint, write_unsynced,
};
pub use care::{
    CacheStatus, Damage, GcDone, GcOptions, GcPlan, Removal, RunRemoval, VerifyReport,
    carry_out_gc, plan_gc, remove_damaged, status, verify,
};
pub use engine::{Engine, EngineError, Rerun, RunOptions, RunReport};
pub use event::{Event, Reporter, RunSummary, UnitCounts, UnitUsage};
pub use explain::{ExplainedFact, ExplainedUnit};
pub use frame::{Float, FloatColumn, FrameError, LoadError, load_frame, logical_digest};
pub use history::{History, HistoryError, RunOutcome, RunRecord, UnitEntry};
pub use node::{
    Artifact, FactContext, Folds, Inputs, Node, NodeError, NodeFactory, Note, Outputs, RunContext,
    Tally, notes_from_json, notes_of,
};
pub use reason::Reason;
pub use resolve::{PlannedUnit, UnitState};
pub use unit::{Part, Unit, UnitId, UnitName, Units, variant_of};

/// Nanoseconds since 1970 as UTC, RFC 3339, milliseconds.
pub fn time_text(nanoseconds: i128) -> String {
    let time = jiff::Timestamp::from_nanosecond(nanoseconds).unwrap_or_default();
    format!("{time:.3}")
}

/// Seconds as people say them: `140 ms`, `1.2 s`, `8 min`, `2 h 5 min`; at least 1 ms.
pub fn duration_text(seconds: f64) -> String {
    // A tenth says something below ten, unless it is zero.
    let figures =
        |value: f64| if value < 10.0 { (value * 10.0).round() / 10.0 } else { value.round() };
    let minutes = seconds / 60.0;
    if seconds < 0.9995 {
        format!("{:.0} ms", (seconds * 1e3).max(1.0))
    } else if seconds < 90.0 {
        format!("{} s", figures(seconds))
    } else if minutes < 90.0 {
        format!("{} min", figures(minutes))
    } else {
        let minutes = minutes.round();
        format!("{:.0} h {:.0} min", (minutes / 60.0).floor(), minutes % 60.0)
    }
}

/// Where the engine gets the time from.
pub trait Clock: Send + Sync {
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    fn now_ns(&self) -> i128;

    /// UTC, RFC 3339, milliseconds.
    fn now_text(&self) -> String {
        time_text(self.now_ns())
    }

    /// What the process has used up to now, as far as somebody can tell.
    fn usage(&self) -> ProcessUsage {
        ProcessUsage::default()
    }
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessUsage {
    /// Seconds of all its threads, also those that have ended, in steps of 10 ms.
    pub cpu_seconds: Option<f64>,
    /// Most memory that was resident at once.
    pub peak_bytes: Option<u64>,
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ns(&self) -> i128 {
        jiff::Timestamp::now().as_nanosecond()
    }

    fn usage(&self) -> ProcessUsage {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        ProcessUsage {
            cpu_seconds: cpu_seconds(&read("/proc/self/stat")),
            peak_bytes: peak_bytes(&read("/proc/self/status")),
        }
    }
}

/// Fields 14 and 15 of proc(5)'s `stat`, which Linux gives in hundredths of a second.
fn cpu_seconds(stat: &str) -> Option<f64> {
    // The second field is a name in parentheses and may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<u64>().ok();
    Some((ticks(11)? + ticks(12)?) as f64 / 100.0)
}

fn peak_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
