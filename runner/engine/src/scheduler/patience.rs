//! Time limits, retries and what units use: everything about a unit that a worker is busy with.

use std::time::{Duration, Instant};

use super::{Run, Started, Status};
use crate::classifier::Cancel;
use crate::event::{Event, UnitUsage};
use crate::node::NodeError;
use crate::unit::UnitId;

/// How long a unit that was told to stop may take to do so, before it is given up.
const GRACE: Duration = Duration::from_secs(5);
/// The pause before the first retry; each further one is four times as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

impl Run<'_> {
    pub(super) fn note_start(&mut self, id: UnitId, cancel: &Cancel, timeout: Option<f64>) {
        let shared = !self.started.is_empty();
        self.started.values_mut().for_each(|other| other.shared = true);
        let started = Started {
            at: Instant::now(),
            cancel: cancel.clone(),
            timeout: timeout.map(Duration::from_secs_f64),
            timed_out: false,
            cpu_seconds: self.engine.clock.usage().cpu_seconds,
            shared,
        };
        self.started.insert(id, started);
    }

    /// What the process used while the unit ran, and its time limit if it went past that.
    pub(super) fn note_end(&mut self, id: UnitId) -> (UnitUsage, Option<f64>) {
        let Some(started) = self.started.remove(&id) else { return Default::default() };
        let now = self.engine.clock.usage();
        let cpu_seconds = now.cpu_seconds.zip(started.cpu_seconds);
        let usage = UnitUsage {
            cpu_seconds: cpu_seconds.map(|(now, then)| (now - then).max(0.0)),
            cpu_shared: started.shared,
            node_seconds: None,
            peak_bytes: now.peak_bytes,
        };
        let limit = started.timeout.filter(|_| started.timed_out);
        (usage, limit.map(|limit| limit.as_secs_f64()))
    }

    /// Tells units to stop that are over their time, or all of them when the run is interrupted.
    ///
    /// A unit that does not stop when told is given up; true if there was one.
    pub(super) fn stop_late_ones(&mut self) -> bool {
        let interrupted = self.options.cancel.is_cancelled();
        let mut given_up = Vec::new();
        for (id, started) in &mut self.started {
            if interrupted {
                started.cancel.cancel();
            }
            let Some(timeout) = started.timeout else { continue };
            let elapsed = started.at.elapsed();
            if elapsed > timeout {
                started.cancel.cancel();
                started.timed_out = true;
            }
            if elapsed > timeout + GRACE {
                given_up.push(*id);
            }
        }
        given_up.sort_unstable();
        for id in &given_up {
            let seconds = self.started[id].at.elapsed().as_secs_f64();
            let (_, limit) = self.note_end(*id);
            self.running -= 1;
            let reason = self.reasons[id.index()].clone().map(|(reason, _)| reason);
            let reason = reason.expect("a running unit has a reason");
            let error = NodeError::TimedOut { seconds: limit.unwrap_or_default() };
            self.fail(*id, reason, error, seconds);
        }
        !given_up.is_empty()
    }

    pub(super) fn is_worth_a_retry(&self, id: UnitId, error: &NodeError) -> bool {
        let allowed = self.plan.step(self.units.get(id).step).retries;
        error.may_pass()
            && !self.ending()
            && self.retries.get(&id).copied().unwrap_or_default() < allowed
    }

    /// Puts a unit aside that is to be tried again in a moment.
    pub(super) fn pause(&mut self, id: UnitId, error: &NodeError) {
        let attempt = self.retries.entry(id).or_default();
        *attempt += 1;
        let attempt = *attempt;
        let pause = FIRST_PAUSE * 4u32.saturating_pow((attempt - 1).min(6));
        self.paused.push((Instant::now() + pause, id));
        self.set(id, Status::Waiting);
        let unit = self.units.get(id);
        self.emit(Event::UnitRetried {
            unit: unit.name.clone(),
            kind: self.plan.step(unit.step).kind,
            attempt,
            pause_seconds: pause.as_secs_f64(),
            message: error.to_string(),
        });
    }

    pub(super) fn resume_paused(&mut self) {
        let now = Instant::now();
        let (due, paused) = self.paused.drain(..).partition(|(at, _)| *at <= now);
        self.paused = paused;
        let due: Vec<(Instant, UnitId)> = due;
        for (_, id) in due {
            self.wake(id);
        }
    }
}
