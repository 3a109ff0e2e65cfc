//! From a unit with known inputs to its key, and from the key to *hit* or *run* with a reason.
//!
//! `plan` and `run` both come through here, so they cannot disagree.

use std::path::{Path, PathBuf};

use cache::{BlobState, Cache, Digest, Facts, FileDigests, StatedDigest, UnitRecord};
use plan::Plan;

use crate::engine::input_digests;
use crate::environment::VariableChange;
use crate::history::LastFacts;
use crate::node::{FactContext, Node, NodeError};
use crate::reason::Reason;
use crate::unit::{Part, Unit, UnitName};

/// What a plan says of a unit.
#[derive(Debug, Clone, PartialEq)]
pub enum UnitState {
    Hit,
    Run(Reason),
    /// Waits for a unit that will run; may turn out a hit.
    Maybe,
    /// Cannot be judged: what it needs cannot be had.
    Blocked(String),
}

impl UnitState {
    pub fn code(&self) -> &'static str {
        match self {
            UnitState::Hit => "hit",
            UnitState::Run(_) => "run",
            UnitState::Maybe => "maybe",
            UnitState::Blocked(_) => "blocked",
        }
    }
}

/// A unit of a plan with its state.
#[derive(Debug, Clone)]
pub struct PlannedUnit {
    pub unit: UnitName,
    pub kind: &'static str,
    pub state: UnitState,
    pub key: Option<Digest>,
    /// What the key is made of; absent while it cannot be known.
    pub facts: Option<Facts>,
    /// The record of a hit.
    pub record: Option<UnitRecord>,
    /// For a unit that may run: the units it waits for.
    pub waits_for: Vec<UnitName>,
}

/// A unit whose key is known.
#[derive(Debug)]
pub(crate) struct Keyed {
    pub key: Digest,
    pub facts: Facts,
    /// External files with the state they were digested in.
    pub files: Vec<(PathBuf, StatedDigest)>,
    pub verdict: Verdict,
}

#[derive(Debug)]
pub(crate) enum Verdict {
    Hit(UnitRecord),
    Run(Reason),
}

/// What a unit is judged with.
pub(crate) struct Judge<'a> {
    pub cache: &'a Cache,
    pub plan: &'a Plan,
    pub base_dir: &'a Path,
    pub last: &'a LastFacts,
    pub file_digests: &'a mut FileDigests,
    pub now_ns: i128,
}

impl Judge<'_> {
    /// Judges a unit; `inputs` are the logical digests of what it reads, in the order of its needs.
    pub fn judge(
        &mut self,
        unit: &Unit,
        node: &dyn Node,
        inputs: &[Digest],
        forced: bool,
    ) -> Result<Keyed, NodeError> {
        let inputs: Vec<Option<Digest>> = inputs.iter().copied().map(Some).collect();
        let (facts, files) = self.facts(unit, node, &inputs)?;
        let key = facts.key();
        let verdict = self.verdict(unit, node, &key, &facts, forced)?;
        Ok(Keyed { key, facts, files, verdict })
    }

    /// What a key is made of, and the external files among it with the state they were digested
    /// in. An input that is not known yet is null, and the facts make no key then.
    pub fn facts(
        &mut self,
        unit: &Unit,
        node: &dyn Node,
        inputs: &[Option<Digest>],
    ) -> Result<(Facts, Vec<(PathBuf, StatedDigest)>), NodeError> {
        let step = self.plan.step(unit.step);
        let mut facts = Facts::new();
        match step.matrix {
            None => facts.add("kind", format!("{} {}", step.kind, step.kind_version)),
            Some(_) => facts.add("kind", format!("matrix {}", crate::matrix::VERSION)),
        }
        let part = match unit.name.part {
            Part::Whole => "whole".to_owned(),
            Part::Choice => "choice".to_owned(),
            Part::Fold(fold) => format!("fold {fold} of {}", step.folds),
        };
        facts.add("unit", part);
        facts.add_tree("param:", &step.key_params);
        for (n, digest) in inputs.iter().enumerate() {
            let digest = digest.map(|digest| digest.to_hex());
            match step.inputs.get(n) {
                Some(input) => facts.add(format!("input:{}", input.port), digest),
                None => {
                    let part = own_part(n - step.inputs.len(), step.choice);
                    facts.add(format!("input:{}[{part}]", step.kind), digest);
                }
            }
        }
        let mut files = Vec::new();
        node.facts(&mut FactContext {
            facts: &mut facts,
            file_digests: self.file_digests,
            files: &mut files,
            now_ns: self.now_ns,
            part: unit.name.part,
            plan: self.plan,
            base_dir: self.base_dir,
        })?;
        Ok((facts, files))
    }

    /// What a plan says of a unit, given what it says of those before it.
    pub fn foresee(
        &mut self,
        unit: &Unit,
        node: &dyn Node,
        before: &[PlannedUnit],
        forced: bool,
    ) -> PlannedUnit {
        let mut planned = PlannedUnit {
            unit: unit.name.clone(),
            kind: self.plan.step(unit.step).kind,
            state: UnitState::Maybe,
            key: None,
            facts: None,
            record: None,
            waits_for: Vec::new(),
        };
        let needs = || unit.needs.iter().map(|need| &before[need.index()]);
        if let Some(need) = needs().find(|need| matches!(need.state, UnitState::Blocked(_))) {
            planned.state = UnitState::Blocked(format!("needs `{}`", need.unit));
            return planned;
        }
        let Some(records) = needs().map(|need| need.record.as_ref()).collect::<Option<Vec<_>>>()
        else {
            let open = needs().filter(|need| need.record.is_none());
            planned.waits_for = open.map(|need| need.unit.clone()).collect();
            return planned;
        };
        let inputs = input_digests(self.plan, unit, &records);
        match self.judge(unit, node, &inputs, forced) {
            Err(error) => planned.state = UnitState::Blocked(error.to_string()),
            Ok(Keyed { key, facts, verdict, .. }) => {
                (planned.key, planned.facts) = (Some(key), Some(facts));
                match verdict {
                    Verdict::Hit(record) => {
                        planned.state = UnitState::Hit;
                        planned.record = Some(record);
                    }
                    Verdict::Run(reason) => planned.state = UnitState::Run(reason),
                }
            }
        }
        planned
    }

    fn verdict(
        &self,
        unit: &Unit,
        node: &dyn Node,
        key: &Digest,
        facts: &Facts,
        forced: bool,
    ) -> Result<Verdict, NodeError> {
        if forced {
            return Ok(Verdict::Run(Reason::Forced));
        }
        if let Some(record) = self.cache.record(key) {
            match self.cache.state(&record) {
                BlobState::Missing => return Ok(Verdict::Run(Reason::OutputMissing)),
                BlobState::Damaged => return Ok(Verdict::Run(Reason::OutputCorrupt)),
                BlobState::Whole => {}
            }
            if !node.target_is_current(&record, self.base_dir)? {
                return Ok(Verdict::Run(Reason::TargetChanged));
            }
            return Ok(Verdict::Hit(record));
        }
        Ok(Verdict::Run(self.why_missing(unit, key, facts)))
    }

    fn why_missing(&self, unit: &Unit, key: &Digest, facts: &Facts) -> Reason {
        if self.cache.has_record_file(key) {
            return Reason::OutputCorrupt;
        }
        let Some(last) = self.last.get(&unit.name) else { return Reason::FirstRun };
        match Reason::of_change(&last.facts, facts) {
            Some(Reason::InputChanged { port, from }) => {
                let from = giver(self.plan, unit, &port, 0).unwrap_or(from);
                Reason::InputChanged { port, from }
            }
            Some(Reason::ParamsChanged { path, old, new }) => {
                match self.last.variable_behind(&unit.name, &path) {
                    Some(VariableChange { name, path, old, new }) => {
                        Reason::EnvChanged { name, path, old, new }
                    }
                    None => Reason::ParamsChanged { path, old, new },
                }
            }
            Some(reason) => reason,
            None if last.failed => Reason::PreviousFailed,
            None => Reason::OutputMissing,
        }
    }
}

/// The step, or the port of a step, that gives what arrives on `port`; the `nth` on a port of many.
pub(crate) fn giver(plan: &Plan, unit: &Unit, port: &str, nth: usize) -> Option<String> {
    let own = port.strip_prefix(plan.step(unit.step).kind);
    if let Some(part) = own.filter(|part| part.starts_with('[')) {
        return Some(format!("{}{part}", unit.name.node));
    }
    let inputs = &plan.step(unit.step).inputs;
    let input = inputs.iter().filter(|input| input.port == port).nth(nth)?;
    let name = &plan.step(input.step).name;
    Some(match input.from_port {
        "" => name.clone(),
        from_port => format!("{name}.{from_port}"),
    })
}

/// What a unit reads of its own step: the choice if there is one, then the folds.
fn own_part(position: usize, choice: bool) -> String {
    match (choice, position) {
        (true, 0) => "choice".to_owned(),
        (true, position) => (position - 1).to_string(),
        (false, position) => position.to_string(),
    }
}
