//! The engine with its surroundings: what a plan comes to, and the start of a run.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use cache::{Cache, CacheError, Digest, FileDigests, OutputRecord, UnitRecord};
use plan::{Origin, Plan, StepId};
use serde::Serialize;
use serde_json::{Value, json};

use crate::Clock;
use crate::classifier::Cancel;
use crate::event::{Reporter, RunSummary};
use crate::history::{History, HistoryError, LastFacts};
use crate::matrix::{self, Comparison, MatrixNode};
use crate::node::{Node, NodeError, NodeFactory, Note, notes_of};
use crate::resolve::{Judge, Keyed, PlannedUnit, UnitState};
use crate::scheduler::Run;
use crate::unit::{Part, Unit, UnitName, Units};
use crate::worker::Job;

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
    /// Records of finished whole steps, by step name; without their facts.
    pub records: HashMap<String, Arc<UnitRecord>>,
}

/// A cached unit that was run once more.
#[derive(Debug)]
pub struct Rerun {
    pub unit: crate::UnitName,
    /// Ports whose content differs: port, logical digest in the cache, logical digest now.
    pub differences: Vec<(String, Option<Digest>, Option<Digest>)>,
    /// Why it could not be run, if so.
    pub error: Option<NodeError>,
}

impl Rerun {
    fn new(
        unit: crate::UnitName,
        expected: &[OutputRecord],
        found: Result<Vec<(String, Digest)>, NodeError>,
    ) -> Rerun {
        let found = match found {
            Ok(found) => found,
            Err(error) => return Rerun { unit, differences: Vec::new(), error: Some(error) },
        };
        let mut differences = Vec::new();
        for output in expected {
            let now =
                found.iter().find(|(port, _)| *port == output.port).map(|(_, digest)| *digest);
            if now != Some(output.logical) {
                differences.push((output.port.clone(), Some(output.logical), now));
            }
        }
        for (port, digest) in &found {
            if !expected.iter().any(|output| output.port == *port) {
                differences.push((port.clone(), None, Some(*digest)));
            }
        }
        Rerun { unit, differences, error: None }
    }
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
    pub(crate) fn judge<'a>(
        &'a self,
        plan: &'a Plan,
        last: &'a LastFacts,
        file_digests: &'a mut FileDigests,
    ) -> Judge<'a> {
        let now_ns = self.clock.now_ns();
        Judge { cache: &self.cache, plan, base_dir: &self.base_dir, last, file_digests, now_ns }
    }

    pub(crate) fn nodes(
        &self,
        plan: &Plan,
        units: &Units,
    ) -> Result<HashMap<StepId, Arc<dyn Node>>, EngineError> {
        let mut nodes: HashMap<StepId, Arc<dyn Node>> = HashMap::new();
        for unit in units.iter() {
            if let Entry::Vacant(entry) = nodes.entry(unit.step) {
                let step = plan.step(unit.step);
                if step.matrix.is_some() {
                    entry.insert(Arc::new(MatrixNode));
                    continue;
                }
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
        let units = units_of(plan, selected);
        let nodes = self.nodes(plan, &units)?;
        let mut file_digests = self.file_digests();
        let last = self.last_facts(plan);
        let mut planned: Vec<PlannedUnit> = Vec::with_capacity(units.len());
        let mut first_of_key: HashMap<Digest, UnitName> = HashMap::new();
        for unit in units.iter() {
            let mut judge = self.judge(plan, &last, &mut file_digests);
            let node = nodes[&unit.step].as_ref();
            let mut now = judge.foresee(unit, node, &planned, forced.contains(&unit.step));
            if let (UnitState::Run(reason), Some(key)) = (&now.state, now.key) {
                // The first of two alike runs, and the other finds its result.
                match first_of_key.entry(key) {
                    Entry::Vacant(first) => {
                        first.insert(now.unit.clone());
                    }
                    Entry::Occupied(first) if !reason.is_of_one_unit() => {
                        now.waits_for = vec![first.get().clone()];
                        now.state = UnitState::Maybe;
                    }
                    Entry::Occupied(_) => {}
                }
            }
            planned.push(now);
        }
        // A digest not kept is taken again next time, nothing worse.
        let _ = file_digests.save();
        Ok(planned)
    }

    pub(crate) fn last_facts(&self, plan: &Plan) -> LastFacts {
        let environment = crate::environment::of_plan(plan);
        History::at(self.cache.folder()).last_facts(&self.facts_name(plan), environment)
    }

    /// Runs units that are in the cache once more, publishes nothing, and compares what they give
    /// with what the cache has.
    ///
    /// At most `count` of the hits are taken, spread evenly over their keys, so that the same cache
    /// gives the same choice. What writes to the outside is left out.
    pub fn rerun(
        &self,
        plan: &Plan,
        count: usize,
        threads: usize,
    ) -> Result<Vec<Rerun>, EngineError> {
        let units = units_of(plan, None);
        let nodes = self.nodes(plan, &units)?;
        let planned = self.plan(plan, None, &[])?;
        let writes = |record: &UnitRecord| {
            notes_of(record).iter().any(|note| matches!(note, Note::Target { .. }))
        };
        let mut hits: Vec<(Digest, &Unit)> = units
            .iter()
            .filter_map(|unit| {
                let record = planned[unit.id.index()].record.as_ref()?;
                (!writes(record)).then_some((record.key, unit))
            })
            .collect();
        hits.sort_unstable_by_key(|(key, _)| *key);
        let chosen = count.min(hits.len());
        let mut file_digests = self.file_digests();
        let last = LastFacts::default();
        let mut reruns = Vec::with_capacity(chosen);
        for n in 0..chosen {
            let (_, unit) = hits[n * hits.len() / chosen];
            let needs: Vec<&UnitRecord> = unit
                .needs
                .iter()
                .filter_map(|need| planned[need.index()].record.as_ref())
                .collect();
            let inputs = input_digests(plan, unit, &needs);
            let mut judge = self.judge(plan, &last, &mut file_digests);
            let node = &nodes[&unit.step];
            let judged = judge.judge(unit, node.as_ref(), &inputs, false);
            let node_error = |source| EngineError::Node { node: unit.name.to_string(), source };
            let keyed = judged.map_err(node_error)?;
            let records = needs.into_iter().cloned().map(Arc::new).collect();
            let options = RunOptions::default();
            let job = self.job(plan, unit, node.clone(), keyed, records, &options, threads);
            let record = planned[unit.id.index()].record.as_ref();
            let expected = record.map(|record| record.outputs.clone()).unwrap_or_default();
            let found = job.recompute();
            reruns.push(Rerun::new(unit.name.clone(), &expected, found));
        }
        Ok(reruns)
    }

    /// All that a worker needs for a unit, without a lock.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn job(
        &self,
        plan: &Plan,
        unit: &Unit,
        node: Arc<dyn Node>,
        keyed: Keyed,
        records: Vec<Arc<UnitRecord>>,
        options: &RunOptions,
        threads: usize,
    ) -> Job {
        let step = plan.step(unit.step);
        let readers = plan.readers(step.id);
        let read = readers.iter().flat_map(|reader| &plan.step(*reader).inputs);
        let read = read.filter(|input| input.step == step.id);
        Job {
            read_ports: read.map(|input| input.from_port.to_owned()).collect(),
            node,
            kind: step.kind,
            inputs: step.inputs.clone(),
            choice: step.choice,
            records,
            shared: Arc::default(),
            memory: Arc::default(),
            durability: Arc::default(),
            cache: self.cache.clone(),
            base_dir: self.base_dir.clone(),
            taxonomy: plan.taxonomy.clone(),
            cancel: Cancel::default(),
            threads,
            tallies: BTreeMap::new(),
            run_id: options.run_id.clone(),
            lock: None,
            keyed,
            unit: unit.clone(),
            comparison: step.matrix.as_ref().map(|matrix| Comparison {
                matrix: matrix.clone(),
                ports: step.outputs.iter().map(|(port, _)| (*port).to_owned()).collect(),
                seconds: Vec::new(),
            }),
        }
    }

    /// Runs what is missing. Failures of units are in the report, not an error.
    pub fn run(
        &self,
        plan: &Plan,
        options: &RunOptions,
        reporter: &mut dyn Reporter,
    ) -> Result<RunReport, EngineError> {
        self.cache.prepare()?;
        let holder = format!("process {}", std::process::id());
        // Held to the end: gc leaves alone what this run uses.
        let on = self.cache.lock_run(&options.run_id, &holder)?;
        let units = units_of(plan, options.selected.as_deref());
        let nodes = self.nodes(plan, &units)?;
        let history = History::at(self.cache.folder());
        let log = history.start(&options.run_id, &self.header(plan, options))?;
        let last = self.last_facts(plan);
        let mut run = Run::new(self, plan, options, units, nodes, last, log, reporter);
        let outcome = run.go();
        let Run { last, mut file_digests, .. } = run;
        // Both only save time or explain; a full disk has been reported by what matters.
        let _ = file_digests.save();
        let _ = last.save();
        drop(on);
        outcome
    }

    fn header<'b>(&'b self, plan: &'b Plan, options: &'b RunOptions) -> Header<'b> {
        let plugins = plan.steps().flat_map(|step| &step.plugins);
        let described = plugins.map(|plugin| {
            json!({
                "name": plugin.name,
                "version": plugin.version,
                "file_digest": plugin.file_digest,
            })
        });
        Header {
            schema_version: 1,
            run_id: &options.run_id,
            pipeline: &plan.name,
            base_dir: self.base_dir.display().to_string(),
            started_at: self.clock.now_text(),
            tool_version: env!("CARGO_PKG_VERSION"),
            jobs: options.jobs,
            resolved: &plan.resolved,
            origins: &plan.origins,
            plugins: described.collect(),
        }
    }
}

/// What a run writes down when it starts; it borrows what may be thousands of nodes.
#[derive(Serialize)]
struct Header<'a> {
    schema_version: u32,
    run_id: &'a str,
    pipeline: &'a str,
    base_dir: String,
    started_at: String,
    tool_version: &'a str,
    jobs: usize,
    resolved: &'a Value,
    origins: &'a BTreeMap<String, Origin>,
    plugins: Vec<Value>,
}

/// The units of the selected steps and of all they need; of all steps when `None`.
pub(crate) fn units_of(plan: &Plan, selected: Option<&[StepId]>) -> Units {
    match selected {
        Some(selected) => Units::new(plan, selected),
        None => Units::new(plan, &plan.steps().map(|step| step.id).collect::<Vec<_>>()),
    }
}

/// Logical digests of what a unit reads, in the order of its needs.
pub(crate) fn input_digests(plan: &Plan, unit: &Unit, records: &[&UnitRecord]) -> Vec<Digest> {
    let records = records.iter().enumerate();
    records.map(|(n, record)| input_digest(plan, unit, n, record)).collect()
}

/// The logical digest of what a unit reads from its `n`-th need.
pub(crate) fn input_digest(plan: &Plan, unit: &Unit, n: usize, record: &UnitRecord) -> Digest {
    let step = plan.step(unit.step);
    if let Some(matrix) = &step.matrix {
        return matrix::digest_of(matrix, record);
    }
    match step.inputs.get(n) {
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
    }
}
