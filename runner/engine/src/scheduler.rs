//! The scheduler: one loop owns all unit states and is the only one that emits events.
//!
//! Workers get a ready unit and send back how it ended. A unit walks down `Status`; every step is
//! taken in `set`. A unit becomes ready when all it needs is done; then the judge makes its key and
//! says *hit* or *run*. What has to run first takes the lock on its key: when another process
//! holds it, the unit waits and is judged again, and is then most likely a hit.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Facts, FileDigests, Hold, KeyLock, LockAttempt, UnitRecord};
use crossbeam_channel::{Receiver, Sender, unbounded};
use plan::{Plan, StepId, StepInput};

use crate::classifier::Cancel;
use crate::durability::Durability;
use crate::engine::{Engine, EngineError, RunOptions, RunReport, input_digests};
use crate::estimate::Durations;
use crate::event::{Event, Reporter, RunSummary, UnitCounts};
use crate::history::{LastFacts, RunLog};
use crate::node::{Node, NodeError, Tally};
use crate::reason::Reason;
use crate::resolve::{Keyed, Verdict};
use crate::unit::{Part, UnitId, Units};
use crate::worker::{FixedClock, Job, JobEnd, Memory, Shared};

mod foresight;
mod outcome;
mod patience;

/// How often a key that another process holds is tried again.
const LOCK_RETRY: Duration = Duration::from_millis(50);
/// Results taken into use before a gc may remove something again.
const HITS_IN_ONE_HOLD: usize = 64;
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

/// A unit that a worker is busy with.
struct Started {
    at: Instant,
    cancel: Cancel,
    timeout: Option<Duration>,
    timed_out: bool,
    cpu_seconds: Option<f64>,
    /// Some other unit ran at the same time.
    shared: bool,
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
    durability: Arc<Durability>,
    pub(crate) file_digests: FileDigests,
    pub(crate) last: LastFacts,
    told_waiting: BTreeSet<UnitId>,
    /// What each external file was when the run first looked at it.
    files: HashMap<std::path::PathBuf, cache::Digest>,
    failures: Vec<(crate::UnitName, NodeError)>,
    counts: UnitCounts,
    saved_seconds: f64,
    /// Units with a worker: since when, and how to stop them.
    started: HashMap<UnitId, Started>,
    /// How often a unit was tried again, and when those that wait for it are due.
    retries: HashMap<UnitId, u32>,
    paused: Vec<(Instant, UnitId)>,
    /// What each unit may take; worked out when the first one starts and somebody wants to know.
    expected: Vec<Option<f64>>,
    durations: Option<Durations>,
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
            durability: Arc::default(),
            file_digests: engine.file_digests(),
            last,
            told_waiting: BTreeSet::new(),
            files: HashMap::new(),
            failures: Vec::new(),
            counts: UnitCounts::default(),
            saved_seconds: 0.0,
            started: HashMap::new(),
            retries: HashMap::new(),
            paused: Vec::new(),
            expected: Vec::new(),
            durations: None,
            repairs: HashMap::new(),
            log,
            reporter,
            units,
            nodes,
        }
    }

    pub fn go(&mut self) -> Result<RunReport, EngineError> {
        let started = Instant::now();
        let mut pool: Option<rayon::ThreadPool> = None;
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
            self.resume_paused();
            let held = self.start_ready(&mut pool, &sender)?;
            if self.running == 0 && !held && (self.paused.is_empty() || self.ending()) {
                break;
            }
            self.wait(&receiver, held || !self.paused.is_empty());
            if self.stop_late_ones() {
                // A worker that does not come back is left to itself; others take its place.
                pool = None;
            }
        }
        self.skip_rest();
        self.durability.finish()?;
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
        pool: &mut Option<rayon::ThreadPool>,
        sender: &Sender<Message>,
    ) -> Result<bool, EngineError> {
        let mut held = BTreeSet::new();
        let cache = &self.engine.cache;
        // Hits come by the thousand; a gc that is on is let through now and then.
        let mut hold: Option<Hold<'_>> = None;
        let mut hits = 0_usize;
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
                hits += 1;
                if hits.is_multiple_of(HITS_IN_ONE_HOLD) {
                    hold = None;
                }
                let hold = hold.get_or_insert_with(|| cache.hold());
                // A gc may have been quicker; then the judge says so next time round.
                if cache.use_record_in(&record, hold) {
                    self.hit(id, record, keyed.facts);
                }
                continue;
            }
            hold = None;
            if self.running >= self.options.jobs.max(1) {
                break;
            }
            let holder = format!("run {} (process {})", self.options.run_id, std::process::id());
            match self.engine.cache.lock(&keyed.key, &holder)? {
                LockAttempt::Held(lock) => {
                    // Made when there is work: a run of hits needs no threads.
                    if pool.is_none() {
                        *pool = Some(self.pool()?);
                    }
                    let pool = pool.as_ref().expect("just made");
                    self.launch(id, keyed, lock, pool, sender);
                }
                LockAttempt::HeldBy(by) => {
                    held.insert(id);
                    // A unit of this run with the same key is told as it goes.
                    if by != holder && self.told_waiting.insert(id) {
                        let holder = by;
                        let unit = self.units.get(id).name.clone();
                        self.emit(Event::UnitWaiting { unit, holder });
                    }
                }
            }
        }
        Ok(!held.is_empty() && !self.ending())
    }

    fn pool(&self) -> Result<rayon::ThreadPool, EngineError> {
        rayon::ThreadPoolBuilder::new()
            .num_threads(self.options.jobs.max(1))
            .thread_name(|n| format!("worker-{n}"))
            .build()
            .map_err(|error| EngineError::Pool(error.to_string()))
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
        let mut judge = self.engine.judge(self.plan, &self.last, &mut self.file_digests);
        let mut keyed = judge.judge(unit, self.nodes[&unit.step].as_ref(), &inputs, forced)?;
        for (path, stated) in &keyed.files {
            if *self.files.entry(path.clone()).or_insert(stated.digest) != stated.digest {
                return Err(NodeError::FileChanged(path.display().to_string()));
            }
        }
        // What the judge said at first is the reason, also after a wait or a repair.
        if let (Verdict::Run(reason), Some((first, _))) =
            (&mut keyed.verdict, &self.reasons[id.index()])
        {
            *reason = first.clone();
        }
        Ok(keyed)
    }

    fn finished_elsewhere(&self, id: UnitId, keyed: &Keyed) -> Option<UnitRecord> {
        if matches!(&keyed.verdict, Verdict::Run(reason) if reason.is_of_one_unit()) {
            return None;
        }
        let cache = &self.engine.cache;
        let whole = |record: &UnitRecord| cache.is_whole(record) && cache.use_record(record);
        // What another one wrote, it may have written to another place.
        let node = &self.nodes[&self.units.get(id).step];
        let written = |record: &UnitRecord| {
            node.target_is_current(record, &self.engine.base_dir).unwrap_or(false)
        };
        cache.record(&keyed.key).filter(|record| whole(record) && written(record))
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
        let records = unit
            .needs
            .iter()
            .map(|need| self.records[need.index()].clone().expect("needs are done"))
            .collect();
        let threads = (jobs / waiting.min(jobs)).max(1);
        let node = self.nodes[&unit.step].clone();
        let mut job =
            self.engine.job(self.plan, &unit, node, keyed, records, self.options, threads);
        job.shared = self.shared.entry(unit.step).or_default().clone();
        job.memory = self.memory.clone();
        job.durability = self.durability.clone();
        job.lock = Some(lock);
        if job.node.wants_tallies() {
            self.hand_over_tallies(id, &mut job);
        }
        self.note_start(id, &job.cancel, step.timeout_seconds);
        self.set(id, Status::Running);
        self.running += 1;
        let expected_seconds = self.expected_seconds(id);
        let unit = job.unit.name.clone();
        self.emit(Event::UnitStarted { unit, kind: step.kind, reason, expected_seconds });
        self.tell_estimate();
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

    /// Adds up the units that a unit comes from by their steps, but for those under repair.
    fn hand_over_tallies(&self, id: UnitId, job: &mut Job) {
        let mut tallies: HashMap<StepId, Tally> = HashMap::new();
        let mut seen = vec![false; self.units.len()];
        let mut stack = self.units.get(id).needs.clone();
        while let Some(id) = stack.pop() {
            if std::mem::replace(&mut seen[id.index()], true) {
                continue;
            }
            let unit = self.units.get(id);
            stack.extend(&unit.needs);
            let Some(record) = &self.records[id.index()] else { continue };
            let tally = tallies.entry(unit.step).or_default();
            tally.seconds += record.seconds;
            if unit.name.part == Part::Whole {
                tally.rows = record.outputs.first().and_then(|output| output.rows);
            }
        }
        if let Some(comparison) = &mut job.comparison {
            let seconds = |input: &StepInput| tallies.get(&input.step).map_or(0.0, |t| t.seconds);
            comparison.seconds = job.inputs.iter().map(seconds).collect();
        }
        let named = |(step, tally)| (self.plan.step(step).name.clone(), tally);
        job.tallies = tallies.into_iter().map(named).collect();
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
            // A unit that was given up is no longer among the started ones.
            Message::Ended { unit, end, seconds } if self.started.contains_key(&unit) => {
                self.running -= 1;
                self.ended(unit, *end, seconds);
            }
            Message::Ended { .. } => {}
        }
    }
}
