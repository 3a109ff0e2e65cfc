//! The scheduler: one loop owns all unit states and is the only one that emits events.
//!
//! Workers get a ready unit and send back how it ended. A unit walks down `Status`; every step is
//! taken in `set`. A unit becomes ready when all it needs is done; then the judge makes its key and
//! says *hit* or *run*. What has to run first takes the lock on its key: when another process
//! holds it, the unit waits and is judged again, and is then most likely a hit.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Cache, CacheError, Digest, FileDigests, KeyLock, LockAttempt, UnitRecord};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use plan::{Plan, StepId};
use serde_json::{Value, json};

use crate::classifier::Cancel;
use crate::event::{Event, Reporter, RunSummary, UnitCounts};
use crate::history::{History, HistoryError, LastFacts, RunLog};
use crate::node::{Node, NodeError, NodeFactory, notes_of};
use crate::reason::Reason;
use crate::resolve::{Judge, Keyed, PlannedUnit, UnitState, Verdict};
use crate::unit::{Unit, UnitId, Units};
use crate::worker::{Job, JobEnd, Memory, Shared};
use crate::{Clock, classifier::ClassifierError};

/// How often a key that another process holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// Times an input may be found lost in one run before the disk is taken to be at fault.
const MAX_REPAIRS: usize = 8;

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

/// A unit walks down this list; the last three are final.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Something it needs is not done yet.
    Waiting,
    /// Everything it needs is done; to be judged, or its key is held by another process.
    Ready,
    /// With a worker.
    Running,
    /// The result is in the cache, found there or just written.
    Done,
    Failed,
    /// Never to run, because of a failure or the end of the run.
    Skipped,
}

enum Message {
    Progress { unit: UnitId, fraction: f32, rows: u64 },
    Ended { unit: UnitId, end: Box<JobEnd>, seconds: f64 },
}

struct Run<'a> {
    engine: &'a Engine<'a>,
    plan: &'a Plan,
    options: &'a RunOptions,
    units: Units,
    nodes: HashMap<StepId, Arc<dyn Node>>,
    status: Vec<Status>,
    ready: BTreeSet<UnitId>,
    running: usize,
    records: Vec<Option<Arc<UnitRecord>>>,
    reasons: Vec<Option<(Reason, Digest)>>,
    /// Readers that are not final yet.
    open_readers: Vec<usize>,
    shared: HashMap<StepId, Arc<Shared>>,
    memory: Arc<Memory>,
    file_digests: FileDigests,
    last: LastFacts,
    told_waiting: BTreeSet<UnitId>,
    failures: Vec<(crate::UnitName, NodeError)>,
    counts: UnitCounts,
    saved_seconds: f64,
    repairs: usize,
    log: RunLog,
    reporter: &'a mut dyn Reporter,
}

impl Engine<'_> {
    fn nodes(
        &self,
        plan: &Plan,
        units: &Units,
    ) -> Result<HashMap<StepId, Arc<dyn Node>>, EngineError> {
        let mut nodes: HashMap<StepId, Arc<dyn Node>> = HashMap::new();
        for unit in units.iter() {
            if !nodes.contains_key(&unit.step) {
                let step = plan.step(unit.step);
                let node = self
                    .factory
                    .node(plan, step)
                    .map_err(|source| EngineError::Node { node: step.name.clone(), source })?;
                nodes.insert(unit.step, Arc::from(node));
            }
        }
        Ok(nodes)
    }

    fn file_digests(&self) -> FileDigests {
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
        let mut run = Run {
            engine: self,
            plan,
            options,
            status: vec![Status::Waiting; units.len()],
            ready: BTreeSet::new(),
            running: 0,
            records: vec![None; units.len()],
            reasons: vec![None; units.len()],
            open_readers: units.iter().map(|unit| unit.readers.len()).collect(),
            shared: HashMap::new(),
            memory: Arc::default(),
            file_digests: self.file_digests(),
            last: history.last_facts(&facts_name),
            told_waiting: BTreeSet::new(),
            failures: Vec::new(),
            counts: UnitCounts::default(),
            saved_seconds: 0.0,
            repairs: 0,
            log,
            reporter,
            units,
            nodes,
        };
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
                .filter_map(|step| step.plugin.as_ref())
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
fn input_digests(plan: &Plan, unit: &Unit, records: &[&UnitRecord]) -> Vec<Digest> {
    let inputs = &plan.step(unit.step).inputs;
    records
        .iter()
        .enumerate()
        .map(|(n, record)| match inputs.get(n) {
            Some(input) => match record.output(input.from_port) {
                Some(output) => output.logical,
                None => record.key,
            },
            // A piece counts with all its ports.
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

impl Run<'_> {
    fn go(&mut self) -> Result<RunReport, EngineError> {
        let started = Instant::now();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.jobs.max(1))
            .thread_name(|n| format!("worker-{n}"))
            .build()
            .map_err(|error| EngineError::Pool(error.to_string()))?;
        let (sender, receiver) = unbounded();
        self.emit(Event::RunStarted {
            run_id: self.options.run_id.clone(),
            pipeline: self.plan.name.clone(),
            units: self.units.len(),
        });
        for n in 0..self.units.len() {
            self.wake(UnitId(n as u32));
        }
        loop {
            let held = self.start_ready(&pool, &sender)?;
            if self.running == 0 && !held {
                break;
            }
            self.wait(&receiver, held);
        }
        self.skip_rest();
        let units = self.counts;
        let summary = RunSummary {
            run_id: self.options.run_id.clone(),
            seconds: started.elapsed().as_secs_f64(),
            saved_seconds: self.saved_seconds,
            units,
            interrupted: self.options.cancel.is_cancelled(),
        };
        self.emit(Event::RunFinished(summary.clone()));
        let mut records = HashMap::new();
        for unit in self.units.iter().filter(|unit| unit.name.fold.is_none()) {
            if let Some(record) = &self.records[unit.id.index()] {
                records.insert(unit.name.node.clone(), record.clone());
            }
        }
        Ok(RunReport { summary, failures: std::mem::take(&mut self.failures), records })
    }

    fn ending(&self) -> bool {
        self.options.cancel.is_cancelled()
            || (!self.options.keep_going && !self.failures.is_empty())
    }

    /// Judges and starts ready units while there is room; true if some wait for another process.
    fn start_ready(
        &mut self,
        pool: &rayon::ThreadPool,
        sender: &Sender<Message>,
    ) -> Result<bool, EngineError> {
        let mut held = BTreeSet::new();
        while !self.ending() {
            let Some(id) = self.ready.iter().copied().find(|id| !held.contains(id)) else { break };
            let keyed = match self.judge(id) {
                Ok(keyed) => keyed,
                Err(error) => {
                    self.fail(id, Reason::FirstRun, error, 0.0);
                    continue;
                }
            };
            if let Verdict::Hit(record) = keyed.verdict {
                self.hit(id, record, keyed.facts);
                continue;
            }
            if self.running >= self.options.jobs.max(1) {
                break;
            }
            let holder = format!("run {} (process {})", self.options.run_id, std::process::id());
            match self.engine.cache.lock(&keyed.key, &holder)? {
                LockAttempt::Held(lock) => self.launch(id, keyed, lock, pool, sender),
                LockAttempt::HeldBy(holder) => {
                    held.insert(id);
                    if self.told_waiting.insert(id) {
                        let unit = self.units.get(id).name.clone();
                        self.emit(Event::UnitWaiting { unit, holder });
                    }
                }
            }
        }
        Ok(!held.is_empty() && !self.ending())
    }

    fn judge(&mut self, id: UnitId) -> Result<Keyed, NodeError> {
        let unit = self.units.get(id);
        let records: Vec<&UnitRecord> = unit
            .needs
            .iter()
            .map(|need| {
                self.records[need.index()].as_deref().expect("a ready unit's needs are done")
            })
            .collect();
        let inputs = input_digests(self.plan, unit, &records);
        let forced = self.options.forced.contains(&unit.step);
        let mut judge = Judge {
            cache: &self.engine.cache,
            plan: self.plan,
            base_dir: &self.engine.base_dir,
            last: &self.last,
            file_digests: &mut self.file_digests,
            now_ns: self.engine.clock.now_ns(),
        };
        let mut keyed = judge.judge(unit, self.nodes[&unit.step].as_ref(), &inputs, forced)?;
        // What the judge said at first is the reason, also after a wait or a repair.
        if let (Verdict::Run(reason), Some((first, _))) =
            (&mut keyed.verdict, &self.reasons[id.index()])
        {
            *reason = first.clone();
        }
        Ok(keyed)
    }

    fn launch(
        &mut self,
        id: UnitId,
        keyed: Keyed,
        lock: KeyLock,
        pool: &rayon::ThreadPool,
        sender: &Sender<Message>,
    ) {
        // Another process may have finished between the verdict and the lock.
        let forced = self.options.forced.contains(&self.units.get(id).step);
        if !forced
            && matches!(&keyed.verdict, Verdict::Run(reason) if *reason != Reason::TargetChanged)
        {
            if let Some(record) = self.engine.cache.record(&keyed.key) {
                let whole =
                    |output| self.engine.cache.blob_state(output) == cache::BlobState::Whole;
                if record.outputs.iter().all(whole) {
                    drop(lock);
                    return self.hit(id, record, keyed.facts);
                }
            }
        }
        let Verdict::Run(reason) = &keyed.verdict else { return };
        let reason = reason.clone();
        self.reasons[id.index()] = Some((reason.clone(), keyed.key));
        let unit = self.units.get(id).clone();
        let step = self.plan.step(unit.step);
        let waiting = self.ready.len().max(1) + self.running;
        let jobs = self.options.jobs.max(1);
        let job = Job {
            node: self.nodes[&unit.step].clone(),
            kind: step.kind,
            inputs: step.inputs.clone(),
            records: unit
                .needs
                .iter()
                .map(|need| self.records[need.index()].clone().expect("needs are done"))
                .collect(),
            shared: self.shared.entry(unit.step).or_default().clone(),
            memory: self.memory.clone(),
            cache: self.engine.cache.clone(),
            base_dir: self.engine.base_dir.clone(),
            taxonomy: self.plan.taxonomy.clone(),
            cancel: self.options.cancel.clone(),
            threads: (jobs / waiting.min(jobs)).max(1),
            run_id: self.options.run_id.clone(),
            lock,
            keyed,
            unit,
        };
        let kind = step.kind;
        self.set(id, Status::Running);
        self.running += 1;
        self.emit(Event::UnitStarted { unit: job.unit.name.clone(), kind, reason });
        let sender = sender.clone();
        let now_text = FixedClock(self.engine.clock.now_ns(), Instant::now());
        pool.spawn(move || {
            let started = Instant::now();
            let told = std::sync::atomic::AtomicU32::new(0);
            let progress = |fraction: f32, rows: u64| {
                let percent = (fraction.clamp(0.0, 1.0) * 100.0) as u32;
                if told.fetch_max(percent, std::sync::atomic::Ordering::Relaxed) < percent {
                    let _ = sender.send(Message::Progress { unit: id, fraction, rows });
                }
            };
            let end = Box::new(job.run(&now_text, &progress));
            let seconds = started.elapsed().as_secs_f64();
            // The loop outlives its workers; a send can only fail after a panic there.
            let _ = sender.send(Message::Ended { unit: id, end, seconds });
        });
    }

    fn wait(&mut self, receiver: &Receiver<Message>, held: bool) {
        // A short tick also notices Ctrl-C, which arrives as a flag.
        let timeout = if held { LOCK_RETRY } else { Duration::from_millis(100) };
        let message = match receiver.recv_timeout(timeout) {
            Ok(message) => message,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        };
        match message {
            Message::Progress { unit, fraction, rows } => {
                let unit = self.units.get(unit).name.clone();
                self.reporter.event(&Event::UnitProgress { unit, fraction, rows });
            }
            Message::Ended { unit, end, seconds } => {
                self.running -= 1;
                self.ended(unit, *end, seconds);
            }
        }
    }

    fn ended(&mut self, id: UnitId, end: JobEnd, seconds: f64) {
        let (reason, _) = self.reasons[id.index()].clone().expect("a running unit has a reason");
        match end {
            JobEnd::Done { record, notes } => {
                let unit = self.units.get(id);
                let event = Event::UnitFinished {
                    unit: unit.name.clone(),
                    kind: self.plan.step(unit.step).kind,
                    key: record.key,
                    reason,
                    rows: record.outputs.first().and_then(|output| output.rows),
                    seconds,
                    notes,
                };
                self.last.set(&unit.name.clone(), record.facts.clone(), false);
                self.records[id.index()] = Some(Arc::new(record));
                self.counts.run += 1;
                self.set(id, Status::Done);
                self.emit(event);
                self.done(id);
            }
            JobEnd::Failed(error) => self.fail(id, reason, error, seconds),
            JobEnd::InputLost { unit, what } => self.repair(id, unit, &what),
        }
    }

    /// Sends a unit back to be computed again, because what the cache had of it is no good.
    fn repair(&mut self, reader: UnitId, lost: UnitId, what: &str) {
        self.repairs += 1;
        if self.repairs > MAX_REPAIRS {
            let error = NodeError::io(format!(
                "inputs in the cache were found {what} {} times in this run",
                self.repairs
            ))
            .with_hint("the disk may be failing; try another `--cache-dir`");
            return self.fail(reader, Reason::OutputCorrupt, error, 0.0);
        }
        let name = self.units.get(lost).name.clone();
        self.emit(Event::Repaired { unit: name, what: what.to_owned() });
        if let Some(record) = self.records[lost.index()].take() {
            for output in &record.outputs {
                if self.engine.cache.verify_blob(output) != cache::BlobState::Whole {
                    self.engine.cache.remove_blob(&output.blob);
                }
            }
            self.counts.hit = self.counts.hit.saturating_sub(1);
        }
        let reason = if what == "missing" { Reason::OutputMissing } else { Reason::OutputCorrupt };
        self.reasons[lost.index()] = Some((reason, Digest::of(b"")));
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

    fn hit(&mut self, id: UnitId, record: UnitRecord, facts: cache::Facts) {
        let unit = self.units.get(id);
        let event = Event::UnitHit {
            unit: unit.name.clone(),
            kind: self.plan.step(unit.step).kind,
            key: record.key,
            rows: record.outputs.first().and_then(|output| output.rows),
            saved_seconds: record.seconds,
            notes: notes_of(&record),
        };
        self.last.set(&unit.name.clone(), facts, false);
        self.saved_seconds += record.seconds;
        self.records[id.index()] = Some(Arc::new(record));
        self.counts.hit += 1;
        self.set(id, Status::Done);
        self.emit(event);
        self.done(id);
    }

    fn fail(&mut self, id: UnitId, reason: Reason, error: NodeError, seconds: f64) {
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
        if let Some(last) = self.last.get(&name) {
            let facts = last.facts.clone();
            self.last.set(&name, facts, true);
        }
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

    fn skip_rest(&mut self) {
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
        if unit.name.fold.is_none() {
            self.shared.remove(&step);
        }
        for reader in unit.readers.clone() {
            self.wake(reader);
        }
    }

    fn wake(&mut self, id: UnitId) {
        let done = |need: &UnitId| self.status[need.index()] == Status::Done;
        if self.status[id.index()] == Status::Waiting && self.units.get(id).needs.iter().all(done) {
            self.set(id, Status::Ready);
        }
    }

    fn set(&mut self, id: UnitId, status: Status) {
        self.status[id.index()] = status;
        if status == Status::Ready {
            self.ready.insert(id);
        } else {
            self.ready.remove(&id);
        }
    }

    fn emit(&mut self, event: Event) {
        let now = self.engine.clock.now_text();
        // A log that cannot be written must not stop the run; the record of each unit counts.
        let _ = self.log.append(&event, &now);
        self.reporter.event(&event);
    }
}

/// The engine's clock, carried to a worker: where it stood, and what has passed since.
struct FixedClock(i128, Instant);

impl Clock for FixedClock {
    fn now_ns(&self) -> i128 {
        self.0 + self.1.elapsed().as_nanos() as i128
    }
}
