//! What a worker does with one unit: load its inputs, run it, publish its outputs, then its record.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cache::{
    BlobRecord, BlobState, Cache, CacheError, Digest, FileDigests, KeyLock, OutputRecord,
    UnitRecord,
};
use plan::{StepInput, Taxonomy};

use crate::classifier::Cancel;
use crate::durability::Durability;
use crate::frame::{
    KnownColumns, LoadError, Unread, load_columns, logical_digest, narrow, put_frame,
};
use crate::matrix::{COMPARE, Comparison};
use crate::node::{Artifact, Inputs, Node, NodeError, Outputs, RunContext, Tally, notes_to_json};
use crate::resolve::Keyed;
use crate::unit::{Part, Unit, UnitId};

/// What the folds of a step share, made by the first that needs it.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Option<Arc<dyn Any + Send + Sync>>>);

/// Outputs kept in memory until their last reader is done.
#[derive(Default)]
pub(crate) struct Memory(Mutex<std::collections::HashMap<UnitId, Outputs>>);

impl Memory {
    pub fn put(&self, unit: UnitId, outputs: Outputs) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(unit, outputs);
    }

    pub fn get(&self, unit: UnitId) -> Option<Outputs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&unit).cloned()
    }

    pub fn release(&self, unit: UnitId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&unit);
    }
}

/// All that a worker needs for one unit.
pub(crate) struct Job {
    pub unit: Unit,
    pub node: Arc<dyn Node>,
    pub kind: &'static str,
    pub keyed: Keyed,
    /// Held until the record is published; none for a unit that publishes nothing.
    pub lock: Option<KeyLock>,
    pub inputs: Vec<StepInput>,
    /// The step has a choice to make before its folds.
    pub choice: bool,
    /// The step compares variants in place of running its node.
    pub comparison: Option<Comparison>,
    /// Ports of the step that other steps read.
    pub read_ports: Vec<String>,
    /// The record of each unit in `unit.needs`.
    pub records: Vec<Arc<UnitRecord>>,
    pub shared: Arc<Shared>,
    pub memory: Arc<Memory>,
    pub durability: Arc<Durability>,
    pub cache: Cache,
    pub base_dir: PathBuf,
    pub taxonomy: Option<Taxonomy>,
    pub cancel: Cancel,
    pub threads: usize,
    /// Of the steps the unit comes from; empty where nobody asks.
    pub tallies: BTreeMap<String, Tally>,
    pub run_id: String,
}

pub(crate) enum JobEnd {
    Done {
        record: UnitRecord,
        notes: Vec<crate::node::Note>,
        /// Seconds in the node kind; the rest of the unit's is the engine's.
        node_seconds: f64,
    },
    Failed(NodeError),
    /// An input in the cache is gone or damaged: its unit has to run again first.
    InputLost {
        unit: UnitId,
        what: String,
    },
}

enum Stop {
    Error(NodeError),
    InputLost { unit: UnitId, what: String },
}

impl From<NodeError> for Stop {
    fn from(error: NodeError) -> Stop {
        Stop::Error(error)
    }
}

/// What a unit came to, before it is published.
#[derive(Default)]
struct Worked {
    outputs: Outputs,
    /// Artifacts of others that are handed on as they are in the cache.
    kept: Vec<OutputRecord>,
    /// Columns of the inputs, which need not be written again.
    known: KnownColumns,
    node_seconds: f64,
}

impl Job {
    /// Runs the unit. `progress` gets the finished share and the number of input rows.
    pub fn run(
        self,
        clock: &dyn crate::Clock,
        progress: &(dyn Fn(f32, u64) + Send + Sync),
    ) -> JobEnd {
        let started = std::time::Instant::now();
        let work = || self.compare_or_work(progress);
        let result = std::panic::catch_unwind(AssertUnwindSafe(work));
        let worked = match result {
            Ok(Ok(worked)) => worked,
            Ok(Err(Stop::Error(error))) => return JobEnd::Failed(error),
            Ok(Err(Stop::InputLost { unit, what })) => return JobEnd::InputLost { unit, what },
            Err(panic) => return JobEnd::Failed(NodeError::Internal(panic_text(&*panic))),
        };
        match self.publish(worked, started.elapsed().as_secs_f64(), clock) {
            Ok(end) => end,
            Err(error) => JobEnd::Failed(error),
        }
    }

    /// Runs the unit and publishes nothing; gives the logical digest of each port.
    pub fn recompute(&self) -> Result<Vec<(String, Digest)>, NodeError> {
        let work = || self.compare_or_work(&|_, _| {});
        let result = std::panic::catch_unwind(AssertUnwindSafe(work));
        let Worked { outputs, kept, .. } = match result {
            Ok(Ok(worked)) => worked,
            Ok(Err(Stop::Error(error))) => return Err(error),
            Ok(Err(Stop::InputLost { what, .. })) => {
                let error = NodeError::io(format!("what it reads from the cache is {what}"));
                return Err(error.with_hint("`relabel cache verify` says which unit it is of"));
            }
            Err(panic) => return Err(NodeError::Internal(panic_text(&*panic))),
        };
        let digest = |(port, artifact): &(String, Artifact)| {
            let digest = logical_digest_of(artifact)?;
            Ok((port.clone(), digest))
        };
        let kept = kept.iter().map(|output| Ok((output.port.clone(), output.logical)));
        kept.chain(outputs.artifacts.iter().map(digest)).collect()
    }

    fn compare_or_work(&self, progress: &(dyn Fn(f32, u64) + Send + Sync)) -> Result<Worked, Stop> {
        let Some(comparison) = &self.comparison else { return self.work(progress) };
        let records: Vec<&UnitRecord> = self.records.iter().map(AsRef::as_ref).collect();
        let compared = comparison.compare(&records)?;
        if let Some(unit) = compared.used.map(|n| self.unit.needs[n]) {
            for blob in compared.kept.iter().flat_map(|output| &output.blobs) {
                match self.cache.blob_state(blob) {
                    BlobState::Whole => {}
                    BlobState::Missing => {
                        return Err(Stop::InputLost { unit, what: "missing".into() });
                    }
                    BlobState::Damaged => {
                        return Err(Stop::InputLost { unit, what: "damaged".into() });
                    }
                }
            }
        }
        let mut outputs = Outputs::default().with(COMPARE, Artifact::Frame(compared.table));
        outputs.notes = compared.notes;
        Ok(Worked { outputs, kept: compared.kept, ..Worked::default() })
    }

    fn work(&self, progress: &(dyn Fn(f32, u64) + Send + Sync)) -> Result<Worked, Stop> {
        let inputs = self.load_inputs()?;
        let rows = inputs.rows();
        let tell = |fraction: f32| progress(fraction, rows);
        let context = RunContext {
            unit: &self.unit.name,
            key: self.keyed.key,
            facts: &self.keyed.facts,
            base_dir: &self.base_dir,
            taxonomy: self.taxonomy.as_ref(),
            progress: &tell,
            cancel: &self.cancel,
            threads: self.threads,
            tallies: &self.tallies,
        };
        let started = std::time::Instant::now();
        let outputs = self.call_node(&context, &inputs);
        let late = &inputs.late;
        let outputs = match (outputs, late.lost.get()) {
            (Err(_), Some((unit, what))) => {
                return Err(Stop::InputLost { unit: *unit, what: (*what).to_owned() });
            }
            (outputs, _) => outputs?,
        };
        let reading = late.nanoseconds.load(std::sync::atomic::Ordering::Relaxed) as f64 / 1e9;
        let node_seconds = (started.elapsed().as_secs_f64() - reading).max(0.0);
        for (path, stated) in &self.keyed.files {
            if !FileDigests::is_unchanged(path, stated) {
                return Err(NodeError::FileChanged(path.display().to_string()).into());
            }
        }
        let mut known = KnownColumns::default();
        for ((input, record), (_, artifact)) in
            self.inputs.iter().zip(&self.records).zip(&inputs.entries)
        {
            if let (Artifact::Frame(frame), Some(output)) =
                (artifact, record.output(input.from_port))
            {
                known.add(frame, output);
            }
        }
        Ok(Worked { outputs, known, node_seconds, ..Worked::default() })
    }

    fn call_node(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        match (self.unit.name.part, self.node.folds()) {
            (Part::Choice, Some(folds)) => folds.choose(context, inputs),
            (Part::Fold(fold), Some(folds)) => {
                let shared = {
                    let mut slot = self.shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                    match &*slot {
                        Some(shared) => shared.clone(),
                        None => {
                            let made: Arc<dyn Any + Send + Sync> =
                                Arc::from(folds.prepare(context, inputs)?);
                            slot.insert(made).clone()
                        }
                    }
                };
                folds.run_fold(context, inputs, &*shared, fold)
            }
            _ => self.node.run(context, inputs),
        }
    }

    fn load_inputs(&self) -> Result<Inputs, Stop> {
        let mut inputs = Inputs::default();
        for (n, (unit, record)) in self.unit.needs.iter().zip(&self.records).enumerate() {
            match self.inputs.get(n) {
                Some(input) => {
                    let wanted = self.node.reads(input.port);
                    let (artifact, unread) =
                        self.load(*unit, record, input.from_port, wanted.as_deref())?;
                    inputs.entries.push((input.port, artifact));
                    inputs.unread.push(unread.map(|unread| (*unit, unread)));
                }
                None => {
                    let mut outputs = Outputs::default();
                    for output in &record.outputs {
                        let (artifact, _) = self.load(*unit, record, &output.port, None)?;
                        outputs = outputs.with(&output.port, artifact);
                    }
                    outputs.notes = crate::node::notes_of(record);
                    if self.choice && n == self.inputs.len() {
                        inputs.choice = Some(outputs);
                    } else {
                        inputs.folds.push(outputs);
                    }
                }
            }
        }
        Ok(inputs)
    }

    fn load(
        &self,
        unit: UnitId,
        record: &UnitRecord,
        port: &str,
        wanted: Option<&[String]>,
    ) -> Result<(Artifact, Option<Unread>), Stop> {
        if let Some(artifact) = self.memory.get(unit).and_then(|outputs| outputs.get(port).cloned())
        {
            return match artifact {
                Artifact::Frame(frame) => {
                    let narrowed = narrow(frame, wanted);
                    let (frame, unread) =
                        narrowed.map_err(|error| NodeError::Internal(error.to_string()))?;
                    Ok((Artifact::Frame(frame), unread))
                }
                artifact => Ok((artifact, None)),
            };
        }
        let output = record.output(port).ok_or_else(|| {
            NodeError::Internal(format!("the cached result of `{unit:?}` has no port `{port}`"))
        })?;
        let lost = |what: &str| Stop::InputLost { unit, what: what.to_owned() };
        if output.rows.is_some() {
            let loaded = load_columns(&self.cache, output, wanted, self.threads);
            let (frame, unread) = loaded.map_err(|error| lost(error.word()))?;
            return Ok((Artifact::Frame(frame), unread));
        }
        let blob = output.blobs.first().ok_or_else(|| lost("unreadable"))?;
        if self.cache.blob_state(blob) == BlobState::Missing {
            return Err(lost("missing"));
        }
        let bytes = self.cache.read_blob(blob).map_err(|_| lost("damaged"))?;
        Ok((Artifact::Blob(Arc::new(bytes)), None))
    }

    fn publish(
        self,
        worked: Worked,
        seconds: f64,
        clock: &dyn crate::Clock,
    ) -> Result<JobEnd, NodeError> {
        let Worked { outputs, kept: mut published, mut known, node_seconds } = worked;
        for (port, artifact) in &outputs.artifacts {
            published.push(self.publish_one(port, artifact, &mut known)?);
        }
        drop(known);
        let record = UnitRecord {
            schema_version: UnitRecord::SCHEMA_VERSION,
            key: self.keyed.key,
            kind: if self.comparison.is_some() { "matrix" } else { self.kind }.to_owned(),
            outputs: published,
            notes: notes_to_json(&outputs.notes),
            facts: self.keyed.facts.clone(),
            seconds,
            run_id: self.run_id.clone(),
            finished_at: clock.now_text(),
        };
        self.cache.put_record(&record).map_err(unwritten)?;
        self.durability.published(&self.cache, seconds).map_err(unwritten)?;
        let notes = outputs.notes.clone();
        if !self.unit.readers.is_empty() {
            let mut outputs = outputs;
            // What nobody reads is in the cache and nowhere else.
            if self.unit.name.part == Part::Whole {
                outputs.artifacts.retain(|(port, _)| self.read_ports.contains(port));
            }
            self.memory.put(self.unit.id, outputs);
        }
        drop(self.lock);
        Ok(JobEnd::Done { record, notes, node_seconds })
    }

    fn publish_one(
        &self,
        port: &str,
        artifact: &Artifact,
        known: &mut KnownColumns,
    ) -> Result<OutputRecord, NodeError> {
        match artifact {
            Artifact::Frame(frame) => {
                let put = put_frame(&self.cache, port, frame, known, self.threads);
                put.map_err(|error| match error {
                    LoadError::Cache(error) => unwritten(error),
                    error => NodeError::Internal(error.to_string()),
                })
            }
            Artifact::Blob(content) => {
                let written = self.cache.put_blob(|writer| writer.write_all(content));
                let (blob, bytes) = written.map_err(unwritten)?;
                let blobs = vec![BlobRecord { blob, bytes, part: None }];
                Ok(OutputRecord { port: port.to_owned(), logical: blob, rows: None, blobs })
            }
        }
    }
}

/// A result that could not be written to the cache.
fn unwritten(error: CacheError) -> NodeError {
    NodeError::io(error.to_string()).with_hint(cache::write_hint(&error.source))
}

fn logical_digest_of(artifact: &Artifact) -> Result<Digest, NodeError> {
    match artifact {
        Artifact::Frame(frame) => {
            logical_digest(frame).map_err(|error| NodeError::Internal(error.to_string()))
        }
        Artifact::Blob(bytes) => Ok(Digest::of(bytes)),
    }
}

/// The engine's clock, carried to a worker: where it stood, and what has passed since.
pub(crate) struct FixedClock(i128, std::time::Instant);

impl FixedClock {
    pub fn new(clock: &dyn crate::Clock) -> FixedClock {
        FixedClock(clock.now_ns(), std::time::Instant::now())
    }
}

impl crate::Clock for FixedClock {
    fn now_ns(&self) -> i128 {
        self.0 + self.1.elapsed().as_nanos() as i128
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    format!("a defect in relabel stopped this unit: {text}")
}
