//! How long units and the whole run may take, for reporters that show it.

use super::{Run, Status};
use crate::estimate::{Asked, Durations, seconds_left};
use crate::event::Event;
use crate::unit::UnitId;

/// Earlier runs that estimates are made of.
const RUNS: usize = 10;

impl Run<'_> {
    /// What a unit may take, now that what it reads is there.
    pub(super) fn expected_seconds(&mut self, id: UnitId) -> Option<f64> {
        if !self.reporter.wants_estimates() {
            return None;
        }
        let durations = match self.durations.take() {
            Some(durations) => durations,
            None => {
                let history = crate::history::History::at(self.engine.cache.folder());
                let runs = history.last_runs(&self.plan.name, &self.engine.base_dir, RUNS);
                let durations = Durations::of(&runs);
                self.expected =
                    self.units.iter().map(|unit| self.expect(unit.id, &durations)).collect();
                durations
            }
        };
        self.expected[id.index()] = self.expect(id, &durations);
        self.durations = Some(durations);
        self.expected[id.index()]
    }

    fn expect(&self, id: UnitId, durations: &Durations) -> Option<f64> {
        let unit = self.units.get(id);
        let rows = |need: &UnitId| {
            let record = self.records[need.index()].as_ref();
            record.and_then(|record| record.outputs.first()).and_then(|output| output.rows)
        };
        let name = |need: &UnitId| self.units.get(*need).name.to_string();
        durations.expected(&Asked {
            name: unit.name.to_string(),
            kind: self.plan.step(unit.step).kind,
            needs: unit.needs.iter().map(|need| (name(need), rows(need))).collect(),
        })
    }

    /// Tells how far the run is, if anybody wants to know.
    pub(super) fn tell_estimate(&mut self) {
        if !self.reporter.wants_estimates() || self.expected.is_empty() {
            return;
        }
        let mut known = true;
        let (mut running, mut waiting, mut done) = (Vec::new(), Vec::new(), 0);
        for unit in self.units.iter() {
            let expected = self.expected[unit.id.index()];
            let started = self.started.get(&unit.id);
            match (self.status[unit.id.index()], started) {
                (Status::Running, Some(started)) => {
                    running.extend(
                        expected.map(|seconds| (seconds, started.at.elapsed().as_secs_f64())),
                    );
                    known &= expected.is_some();
                }
                (Status::Waiting | Status::Ready | Status::Running, _) => {
                    waiting.extend(expected);
                    known &= expected.is_some();
                }
                (Status::Done | Status::Failed | Status::Skipped, _) => done += 1,
            }
        }
        let left = seconds_left(&running, &waiting, self.options.jobs);
        let event = Event::RunEstimate {
            done,
            units: self.units.len(),
            seconds_left: known.then_some(left),
        };
        self.reporter.event(&event);
    }
}
