//! The engine with its surroundings: what a plan comes to, and the start of a run.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use cache::{Cache, CacheError, Digest, FileDigests, UnitRecord};
use plan::{Plan, StepId};
use serde_json::{Value, json};

use crate::Clock;
use crate::classifier::Cancel;
use crate::event::{Reporter, RunSummary};
use crate::history::{History, HistoryError};
use crate::node::{Node, NodeError, NodeFactory};
use crate::resolve::{Judge, Keyed, PlannedUnit, UnitState, Verdict};
use crate::scheduler::Run;
use crate::unit::{Part, Unit, Units};

/// Why a run could not be carried out at all.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("node `{node}`: {source}")]
    Node { node: String, source: NodeError },
    #[error("cannot start worker threads: {0}")]
    Pool(String),
}

/// What a run is asked for.
#[derive(Debug, Clone, Default)]
pub struct RunOptions {
    pub run_id: String,
    /// Steps to run, with all they need; all steps when `None`.
    pub selected: Option<Vec<StepId>>,
    /// Steps to run although the cache has them.
    pub forced: Vec<StepId>,
    /// Units at a time, at least 1.
    pub jobs: usize,
    /// Go on with what does not depend on a unit that failed.
    pub keep_going: bool,
    pub cancel: Cancel,
}

/// How a run went.
#[derive(Debug)]
pub struct RunReport {
    pub summary: RunSummary,
    /// Failed units in the order they failed.
    pub failures: Vec<(crate::UnitName, NodeError)>,
    /// Records of finished whole steps, by step name.
    pub records: HashMap<String, Arc<UnitRecord>>,
}

/// The engine with its surroundings.
pub struct Engine<'a> {
    pub cache: Cache,
    pub factory: &'a dyn NodeFactory,
    pub clock: &'a dyn Clock,
    /// The folder that relative paths of the pipeline start from.
    pub base_dir: PathBuf,
}

impl Engine<'_> {
    fn nodes(
        &self,
        plan: &Plan,
        units: &Units,
    ) -> Result<HashMap<StepId, Arc<dyn Node>>, EngineError> {
        let mut nodes: HashMap<StepId, Arc<dyn Node>> = HashMap::new();
        for unit in units.iter() {
            if let Entry::Vacant(entry) = nodes.entry(unit.step) {
                let step = plan.step(unit.step);
                let node = self
                    .factory
                    .node(plan, step)
                    .map_err(|source| EngineError::Node { node: step.name.clone(), source })?;
                entry.insert(Arc::from(node));
            }
        }
        Ok(nodes)
    }

    pub(crate) fn file_digests(&self) -> FileDigests {
        FileDigests::open(&self.cache.folder().join("files-v1.json"))
    }

    /// The name under which facts of a pipeline are kept: its name and where its file is.
    fn facts_name(&self, plan: &Plan) -> String {
        format!("{}\n{}", plan.name, self.base_dir.display())
    }

    /// Says for each unit whether it is a hit or would run, and why. Writes nothing.
    pub fn plan(
        &self,
        plan: &Plan,
        selected: Option<&[StepId]>,
        forced: &[StepId],
    ) -> Result<Vec<PlannedUnit>, EngineError> {
        let all: Vec<StepId> = plan.steps().map(|step| step.id).collect();
        let units = Units::new(plan, selected.unwrap_or(&all));
        let nodes = self.nodes(plan, &units)?;
        let mut file_digests = self.file_digests();
        let last = History::at(self.cache.folder()).last_facts(&self.facts_name(plan));
        let mut records: Vec<Option<UnitRecord>> = Vec::with_capacity(units.len());
        let mut planned: Vec<PlannedUnit> = Vec::with_capacity(units.len());
        for unit in units.iter() {
            let step = plan.step(unit.step);
            let needed: Option<Vec<&UnitRecord>> =
                unit.needs.iter().map(|need| records[need.index()].as_ref()).collect();
            let blocked = unit
                .needs
                .iter()
                .find(|need| matches!(planned[need.index()].state, UnitState::Blocked(_)));
            let (state, key, record) = match (needed, blocked) {
                (_, Some(need)) => {
                    let name = &planned[need.index()].unit;
                    (UnitState::Blocked(format!("needs `{name}`")), None, None)
                }
                (None, None) => (UnitState::Maybe, None, None),
                (Some(needed), None) => {
                    let inputs = input_digests(plan, unit, &needed);
                    let mut judge = Judge {
                        cache: &self.cache,
                        plan,
                        base_dir: &self.base_dir,
                        last: &last,
                        file_digests: &mut file_digests,
                        now_ns: self.clock.now_ns(),
                    };
                    let node = nodes[&unit.step].as_ref();
                    match judge.judge(unit, node, &inputs, forced.contains(&unit.step)) {
                        Err(error) => (UnitState::Blocked(error.to_string()), None, None),
                        Ok(Keyed { key, verdict: Verdict::Hit(record), .. }) => {
                            (UnitState::Hit, Some(key), Some(record))
                        }
                        Ok(Keyed { key, verdict: Verdict::Run(reason), .. }) => {
                            (UnitState::Run(reason), Some(key), None)
                        }
                    }
                }
            };
            records.push(record);
            planned.push(PlannedUnit { unit: unit.name.clone(), kind: step.kind, state, key });
        }
        // A digest not kept is taken again next time, nothing worse.
        let _ = file_digests.save();
        Ok(planned)
    }

    /// Runs what is missing. Failures of units are in the report, not an error.
    pub fn run(
        &self,
        plan: &Plan,
        options: &RunOptions,
        reporter: &mut dyn Reporter,
    ) -> Result<RunReport, EngineError> {
        self.cache.prepare()?;
        let all: Vec<StepId> = plan.steps().map(|step| step.id).collect();
        let units = Units::new(plan, options.selected.as_deref().unwrap_or(&all));
        let nodes = self.nodes(plan, &units)?;
        let history = History::at(self.cache.folder());
        let log = history.start(&options.run_id, &self.header(plan, options))?;
        let facts_name = self.facts_name(plan);
        let last = history.last_facts(&facts_name);
        let mut run = Run::new(self, plan, options, units, nodes, last, log, reporter);
        let outcome = run.go();
        let Run { last, mut file_digests, .. } = run;
        // Both only save time or explain; a full disk has been reported by what matters.
        let _ = file_digests.save();
        let _ = history.save_facts(&facts_name, &last);
        outcome
    }

    fn header(&self, plan: &Plan, options: &RunOptions) -> Value {
        json!({
            "schema_version": 1,
            "run_id": options.run_id,
            "pipeline": plan.name,
            "started_at": self.clock.now_text(),
            "tool_version": env!("CARGO_PKG_VERSION"),
            "jobs": options.jobs,
            "resolved": plan.resolved,
            "origins": plan.origins,
            "plugins": plan
                .steps()
                .flat_map(|step| &step.plugins)
                .map(|plugin| json!({
                    "name": plugin.name,
                    "version": plugin.version,
                    "file_digest": plugin.file_digest,
                }))
                .collect::<Vec<_>>(),
        })
    }
}

/// Logical digests of what a unit reads, in the order of its needs.
pub(crate) fn input_digests(plan: &Plan, unit: &Unit, records: &[&UnitRecord]) -> Vec<Digest> {
    let inputs = &plan.step(unit.step).inputs;
    records
        .iter()
        .enumerate()
        .map(|(n, record)| match inputs.get(n) {
            Some(input) => match record.output(input.from_port) {
                Some(output) => output.logical,
                None => record.key,
            },
            // A fold depends on what was chosen, not on how.
            None if matches!(unit.name.part, Part::Fold(_)) => {
                record.outputs.first().map_or(record.key, |chosen| chosen.logical)
            }
            // What is put together counts with all its ports.
            None => {
                let mut hasher = cache::Hasher::new();
                record.outputs.iter().for_each(|output| {
                    hasher.field(output.port.as_bytes());
                    hasher.update(output.logical.as_bytes());
                });
                hasher.finish()
            }
        })
        .collect()
}
