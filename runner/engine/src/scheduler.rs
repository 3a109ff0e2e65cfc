//! The scheduler: one loop owns all unit states and is the only one that emits events.
//!
//! Workers get a ready unit and send back how it ended. A unit walks down `Status`; every step is
//! taken in `set`. A unit becomes ready when all it needs is done; then the judge makes its key and
//! says *hit* or *run*. What has to run first takes the lock on its key: when another process
//! holds it, the unit waits and is judged again, and is then most likely a hit.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Facts, FileDigests, KeyLock, LockAttempt, UnitRecord};
use crossbeam_channel::{Receiver, Sender, unbounded};
use plan::{Plan, StepId};

use crate::classifier::ClassifierError;
use crate::engine::{Engine, EngineError, RunOptions, RunReport, input_digests};
use crate::event::{Event, Reporter, RunSummary, UnitCounts};
use crate::history::{LastFacts, RunLog};
use crate::node::{Node, NodeError, notes_of};
use crate::reason::Reason;
use crate::resolve::{Judge, Keyed, Verdict};
use crate::unit::{Part, UnitId, Units};
use crate::worker::{FixedClock, Job, JobEnd, Memory, Shared};

/// How often a key that another process holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// Times the result of one unit may be found lost in a run before the disk is taken to be at fault.
const MAX_REPAIRS: usize = 2;

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

pub(crate) struct Run<'a> {
    engine: &'a Engine<'a>,
    plan: &'a Plan,
    options: &'a RunOptions,
    units: Units,
    nodes: HashMap<StepId, Arc<dyn Node>>,
    status: Vec<Status>,
    ready: BTreeSet<UnitId>,
    running: usize,
    records: Vec<Option<Arc<UnitRecord>>>,
    /// Why each unit runs, and the facts it was judged by.
    reasons: Vec<Option<(Reason, Option<Facts>)>>,
    /// Readers that are not final yet.
    open_readers: Vec<usize>,
    shared: HashMap<StepId, Arc<Shared>>,
    memory: Arc<Memory>,
    pub(crate) file_digests: FileDigests,
    pub(crate) last: LastFacts,
    told_waiting: BTreeSet<UnitId>,
    failures: Vec<(crate::UnitName, NodeError)>,
    counts: UnitCounts,
    saved_seconds: f64,
    /// How often the result of a unit was found lost.
    repairs: HashMap<UnitId, usize>,
    log: RunLog,
    reporter: &'a mut dyn Reporter,
}

impl<'a> Run<'a> {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        engine: &'a Engine<'a>,
        plan: &'a Plan,
        options: &'a RunOptions,
        units: Units,
        nodes: HashMap<StepId, Arc<dyn Node>>,
        last: LastFacts,
        log: RunLog,
        reporter: &'a mut dyn Reporter,
    ) -> Run<'a> {
        Run {
            engine,
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
            file_digests: engine.file_digests(),
            last,
            told_waiting: BTreeSet::new(),
            failures: Vec::new(),
            counts: UnitCounts::default(),
            saved_seconds: 0.0,
            repairs: HashMap::new(),
            log,
            reporter,
            units,
            nodes,
        }
    }

    pub fn go(&mut self) -> Result<RunReport, EngineError> {
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
        let summary = RunSummary {
            run_id: self.options.run_id.clone(),
            seconds: started.elapsed().as_secs_f64(),
            saved_seconds: self.saved_seconds,
            units: self.counts,
            interrupted: self.options.cancel.is_cancelled(),
        };
        self.emit(Event::RunFinished(summary.clone()));
        let mut records = HashMap::new();
        for unit in self.units.iter().filter(|unit| unit.name.part == Part::Whole) {
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

    fn finished_elsewhere(&self, id: UnitId, keyed: &Keyed) -> Option<UnitRecord> {
        let forced = self.options.forced.contains(&self.units.get(id).step);
        let rewrite = matches!(&keyed.verdict, Verdict::Run(Reason::TargetChanged));
        if forced || rewrite {
            return None;
        }
        let cache = &self.engine.cache;
        cache.record(&keyed.key).filter(|record| cache.is_whole(record))
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
        if let Some(record) = self.finished_elsewhere(id, &keyed) {
            drop(lock);
            return self.hit(id, record, keyed.facts);
        }
        let Verdict::Run(reason) = &keyed.verdict else { return };
        let reason = reason.clone();
        self.reasons[id.index()] = Some((reason.clone(), Some(keyed.facts.clone())));
        let unit = self.units.get(id).clone();
        let step = self.plan.step(unit.step);
        let waiting = self.ready.len().max(1) + self.running;
        let jobs = self.options.jobs.max(1);
        let job = Job {
            node: self.nodes[&unit.step].clone(),
            kind: step.kind,
            inputs: step.inputs.clone(),
            choice: step.choice,
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
        self.set(id, Status::Running);
        self.running += 1;
        self.emit(Event::UnitStarted { unit: job.unit.name.clone(), kind: step.kind, reason });
        let sender = sender.clone();
        let clock = FixedClock::new(self.engine.clock);
        pool.spawn(move || {
            let started = Instant::now();
            let told = std::sync::atomic::AtomicU32::new(0);
            let progress = |fraction: f32, rows: u64| {
                let percent = (fraction.clamp(0.0, 1.0) * 100.0) as u32;
                if told.fetch_max(percent, std::sync::atomic::Ordering::Relaxed) < percent {
                    let _ = sender.send(Message::Progress { unit: id, fraction, rows });
                }
            };
            let end = Box::new(job.run(&clock, &progress));
            let seconds = started.elapsed().as_secs_f64();
            let _ = sender.send(Message::Ended { unit: id, end, seconds });
        });
    }

    fn wait(&mut self, receiver: &Receiver<Message>, held: bool) {
        // A short tick also notices Ctrl-C, which arrives as a flag.
        let timeout = if held { LOCK_RETRY } else { Duration::from_millis(100) };
        let Ok(message) = receiver.recv_timeout(timeout) else { return };
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
            for output in &record.outputs {
                if self.engine.cache.verify_blob(output) != cache::BlobState::Whole {
                    self.engine.cache.remove_blob(&output.blob);
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
        let judged = self.reasons[id.index()].as_ref().and_then(|(_, facts)| facts.clone());
        if let Some(facts) = judged.or_else(|| Some(self.last.get(&name)?.facts.clone())) {
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
        if unit.name.part == Part::Whole {
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
        // A log that cannot be written must not stop the run.
        let _ = self.log.append(&event, &now);
        self.reporter.event(&event);
    }
}
