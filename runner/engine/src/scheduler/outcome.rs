//! How units end, and what follows from it: the second half of the scheduler's loop.

use std::sync::Arc;

use cache::UnitRecord;

use super::{MAX_REPAIRS, Run, Status};
use crate::classifier::ClassifierError;
use crate::event::{Event, UnitUsage};
use crate::node::{NodeError, notes_of};
use crate::reason::Reason;
use crate::unit::{Part, UnitId};
use crate::worker::JobEnd;

impl Run<'_> {
    pub(super) fn ended(&mut self, id: UnitId, end: JobEnd, seconds: f64) {
        let (reason, _) = self.reasons[id.index()].clone().expect("a running unit has a reason");
        let (usage, timed_out) = self.note_end(id);
        match end {
            JobEnd::Done { mut record, notes, node_seconds } => {
                let unit = self.units.get(id);
                let event = Event::UnitFinished {
                    unit: unit.name.clone(),
                    kind: self.plan.step(unit.step).kind,
                    key: record.key,
                    reason,
                    rows: record.outputs.first().and_then(|output| output.rows),
                    seconds,
                    usage: UnitUsage { node_seconds: Some(node_seconds), ..usage },
                    notes,
                };
                let facts = std::mem::take(&mut record.facts);
                self.last.set(&unit.name.clone(), record.key, facts);
                self.records[id.index()] = Some(Arc::new(record));
                self.counts.run += 1;
                self.set(id, Status::Done);
                self.emit(event);
                self.done(id);
                self.tell_estimate();
            }
            JobEnd::Failed(_) if timed_out.is_some() => {
                let seconds_allowed = timed_out.unwrap_or_default();
                let error = NodeError::TimedOut { seconds: seconds_allowed };
                self.fail(id, reason, error, seconds);
            }
            JobEnd::Failed(error) if self.is_worth_a_retry(id, &error) => self.pause(id, &error),
            JobEnd::Failed(error) => self.fail(id, reason, error, seconds),
            JobEnd::InputLost { unit, what } => self.repair(id, unit, &what),
        }
    }

    /// Sends a unit back to be computed again, because what the cache had of it is no good.
    fn repair(&mut self, reader: UnitId, lost: UnitId, what: &str) {
        let name = self.units.get(lost).name.clone();
        let repairs = self.repairs.entry(lost).or_default();
        *repairs += 1;
        if *repairs > MAX_REPAIRS {
            let error = NodeError::io(format!("the result of `{name}` was found {what} again"))
                .with_hint("the disk may be failing; try another `--cache-dir`");
            return self.fail(reader, Reason::OutputCorrupt, error, 0.0);
        }
        self.emit(Event::Repaired { unit: name, what: what.to_owned() });
        if let Some(record) = self.records[lost.index()].take() {
            for blob in record.blobs() {
                if self.engine.cache.verify_blob(blob) != cache::BlobState::Whole {
                    self.engine.cache.remove_blob(&blob.blob);
                }
            }
            self.counts.hit = self.counts.hit.saturating_sub(1);
        }
        let reason = if what == "missing" { Reason::OutputMissing } else { Reason::OutputCorrupt };
        self.reasons[lost.index()] = Some((reason, None));
        self.memory.release(lost);
        self.set(reader, Status::Waiting);
        self.set(lost, Status::Waiting);
        for reader in self.units.get(lost).readers.clone() {
            if self.status[reader.index()] == Status::Ready {
                self.set(reader, Status::Waiting);
            }
        }
        self.wake(lost);
        self.wake(reader);
    }

    pub(super) fn hit(&mut self, id: UnitId, mut record: UnitRecord, facts: cache::Facts) {
        let unit = self.units.get(id);
        let event = Event::UnitHit {
            unit: unit.name.clone(),
            kind: self.plan.step(unit.step).kind,
            key: record.key,
            rows: record.outputs.first().and_then(|output| output.rows),
            saved_seconds: record.seconds,
            notes: notes_of(&record),
        };
        self.last.set(&unit.name.clone(), record.key, facts);
        // Those of the judge are kept, which say where files lie now.
        record.facts = cache::Facts::new();
        self.saved_seconds += record.seconds;
        self.records[id.index()] = Some(Arc::new(record));
        self.counts.hit += 1;
        self.set(id, Status::Done);
        self.emit(event);
        self.done(id);
    }

    pub(super) fn fail(&mut self, id: UnitId, reason: Reason, error: NodeError, seconds: f64) {
        let unit = self.units.get(id);
        let name = unit.name.clone();
        let kind = self.plan.step(unit.step).kind;
        self.set(id, Status::Failed);
        if matches!(error, NodeError::Cancelled | NodeError::Classifier(ClassifierError::Cancelled))
        {
            self.counts.skipped += 1;
            self.emit(Event::UnitSkipped { unit: name, kind, because: "interrupted".into() });
            return self.done(id);
        }
        let judged = self.reasons[id.index()].as_ref().and_then(|(_, facts)| facts.clone());
        self.last.set_failed(&name, judged);
        self.counts.failed += 1;
        self.emit(Event::UnitFailed {
            unit: name.clone(),
            kind,
            reason,
            seconds,
            message: error.to_string(),
            hint: error.hint().map(str::to_owned),
        });
        self.failures.push((name.clone(), error));
        self.done(id);
        let mut stack = self.units.get(id).readers.clone();
        while let Some(reader) = stack.pop() {
            if matches!(self.status[reader.index()], Status::Waiting | Status::Ready) {
                self.skip(reader, format!("needs `{name}`"));
                stack.extend(self.units.get(reader).readers.iter().copied());
            }
        }
    }

    fn skip(&mut self, id: UnitId, because: String) {
        let unit = self.units.get(id);
        let event = Event::UnitSkipped {
            unit: unit.name.clone(),
            kind: self.plan.step(unit.step).kind,
            because,
        };
        self.set(id, Status::Skipped);
        self.counts.skipped += 1;
        self.emit(event);
        self.done(id);
    }

    pub(super) fn skip_rest(&mut self) {
        let why = if self.options.cancel.is_cancelled() { "interrupted" } else { "the run ended" };
        for n in 0..self.units.len() {
            if matches!(self.status[n], Status::Waiting | Status::Ready) {
                self.skip(UnitId(n as u32), why.to_owned());
            }
        }
    }

    /// After a unit became final: lets go of what only it was waiting for, wakes its readers.
    fn done(&mut self, id: UnitId) {
        let mut needs = self.units.get(id).needs.clone();
        needs.sort_unstable();
        needs.dedup();
        for need in needs {
            let open = &mut self.open_readers[need.index()];
            *open = open.saturating_sub(1);
            if *open == 0 {
                self.memory.release(need);
            }
        }
        let unit = self.units.get(id);
        let step = unit.step;
        if unit.name.part == Part::Whole {
            self.shared.remove(&step);
        }
        for reader in unit.readers.clone() {
            self.wake(reader);
        }
    }

    pub(super) fn wake(&mut self, id: UnitId) {
        let done = |need: &UnitId| self.status[need.index()] == Status::Done;
        if self.status[id.index()] == Status::Waiting && self.units.get(id).needs.iter().all(done) {
            self.set(id, Status::Ready);
        }
    }

    pub(super) fn set(&mut self, id: UnitId, status: Status) {
        self.status[id.index()] = status;
        if status == Status::Ready {
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
        }
    }

    pub(super) fn emit(&mut self, event: Event) {
        let now = self.engine.clock.now_text();
        // A log that cannot be written must not stop the run.
        let _ = self.log.append(&event, &now);
        self.reporter.event(&event);
    }
}
