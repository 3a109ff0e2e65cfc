//! What runs leave behind: a record each, with an append-only event log, and the facts of the
//! units as they were last seen, which reasons are told from.
//!
//! Below the cache folder:
//!
//! | path | what |
//! | --- | --- |
//! | `runs-v1/RUN_ID/run.json` | the pipeline as it was resolved; written when the run starts |
//! | `runs-v1/RUN_ID/events.jsonl` | one JSON object a line, appended as things happen |
//! | `facts-v1/PIPELINE.json` | facts of each unit of a pipeline when it was last judged |
//! | `facts-v1/PIPELINE.seen` | digest of the names and keys of the last run, which wrote these facts |

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use cache::{Digest, Facts, kill, write_unsynced};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::environment::{self, StepEnvironment, VariableChange};
use crate::event::{Event, RunSummary};
use crate::unit::UnitName;

/// Bytes of a log that is read for an estimate only.
const MAX_LOG_IN_PASSING: u64 = 1 << 20;
/// Runs that are looked at for an estimate.
const MAX_RUNS_IN_PASSING: usize = 50;

#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("cannot read or write `{path}`: {source}")]
    Io { path: String, source: io::Error },
    #[error("no run `{0}`")]
    Unknown(String),
    #[error("`{prefix}` stands for {count} runs; give more of the id")]
    Ambiguous { prefix: String, count: usize },
}

/// The facts of a unit when it was last judged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LastUnit {
    pub facts: Facts,
    pub failed: bool,
    /// What its parameters took from the environment.
    #[serde(default, skip_serializing_if = "StepEnvironment::is_empty")]
    pub environment: StepEnvironment,
}

/// Facts of all units of one pipeline, by unit name; read when the first of them is asked for.
#[derive(Debug, Default)]
pub(crate) struct LastFacts {
    path: Option<PathBuf>,
    before: OnceCell<BTreeMap<String, LastUnit>>,
    now: BTreeMap<String, (Digest, LastUnit)>,
    /// What each step takes from the environment now, if anything.
    environment: BTreeMap<String, StepEnvironment>,
}

impl LastFacts {
    fn before(&self) -> &BTreeMap<String, LastUnit> {
        self.before.get_or_init(|| {
            let bytes = self.path.as_ref().and_then(|path| std::fs::read(path).ok());
            serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default()
        })
    }

    pub fn get(&self, name: &UnitName) -> Option<&LastUnit> {
        let name = name.to_string();
        self.now.get(&name).map(|(_, unit)| unit).or_else(|| self.before().get(&name))
    }

    /// `key` is that of the facts.
    pub fn set(&mut self, name: &UnitName, key: Digest, facts: Facts) {
        let environment = self.environment.get(&name.node).cloned().unwrap_or_default();
        self.now.insert(name.to_string(), (key, LastUnit { facts, failed: false, environment }));
    }

    /// The unit failed; `facts` are those it was judged by, if it came to that.
    pub fn set_failed(&mut self, name: &UnitName, facts: Option<Facts>) {
        if let Some(facts) = facts {
            self.set(name, facts.key(), facts);
        }
        let Some(unit) = self.get(name).cloned() else { return };
        let unit = LastUnit { failed: true, ..unit };
        self.now.insert(name.to_string(), (unit.facts.key(), unit));
    }

    /// The environment variable behind a parameter's change, if it is one that changed.
    pub fn variable_behind(&self, name: &UnitName, path: &str) -> Option<VariableChange> {
        let now = self.environment.get(&name.node)?;
        environment::change_at(path, &self.get(name)?.environment, now)
    }

    /// Writes what is new. A run that found all as it was before reads and writes next to nothing:
    /// a digest of all keys beside the file says so.
    pub fn save(self) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut hasher = cache::Hasher::new();
        for (name, (key, unit)) in &self.now {
            hasher.field(name.as_bytes());
            hasher.update(key.as_bytes());
            hasher.update(&[u8::from(unit.failed)]);
            if !unit.environment.is_empty() {
                hasher.field(&serde_json::to_vec(&unit.environment)?);
            }
        }
        let digest = hasher.finish().to_hex();
        let seen = path.with_extension("seen");
        if std::fs::read_to_string(&seen).is_ok_and(|there| there == digest) && path.exists() {
            return Ok(());
        }
        let mut all = self.before().clone();
        all.extend(self.now.into_iter().map(|(name, (_, unit))| (name, unit)));
        // The digest goes before the facts change and comes after: alone it never says too much.
        match std::fs::remove_file(&seen) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        write_unsynced(path, &serde_json::to_vec(&all)?)?;
        write_unsynced(&seen, digest.as_bytes())
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    Done,
    Failed,
    Interrupted,
    /// Its log has no end: it was killed, or it is still going on.
    Unfinished,
}

impl RunOutcome {
    pub fn word(self) -> &'static str {
        match self {
            RunOutcome::Done => "done",
            RunOutcome::Failed => "failed",
            RunOutcome::Interrupted => "interrupted",
            RunOutcome::Unfinished => "unfinished",
        }
    }
}

/// One unit of a run, as its log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitEntry {
    pub node: String,
    pub fold: Option<u32>,
    /// `whole`, `choice` or `fold`; absent in logs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    pub kind: String,
    pub state: String,
    pub reason: Option<Value>,
    pub key: Option<Digest>,
    pub rows: Option<u64>,
    pub seconds: Option<f64>,
    /// Seconds in the node kind; see `UnitUsage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_seconds: Option<f64>,
    /// CPU seconds of the process while the unit ran; see `UnitUsage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds: Option<f64>,
    /// Other units ran at the same time: their CPU seconds are in `cpu_seconds` too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cpu_shared: bool,
    /// Most memory the process had had when the unit ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Seconds a hit took when it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_seconds: Option<f64>,
    pub message: Option<String>,
    pub notes: Vec<Value>,
}

impl UnitEntry {
    /// `oof`, `oof[choice]` or `oof[2]`.
    pub fn name(&self) -> String {
        match (self.fold, self.part.as_deref()) {
            (Some(fold), _) => format!("{}[{fold}]", self.node),
            (None, Some("choice")) => format!("{}[choice]", self.node),
            _ => self.node.clone(),
        }
    }
}

/// A run, read back from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRecord {
    pub run_id: String,
    pub pipeline: String,
    pub started_at: String,
    pub outcome: RunOutcome,
    pub summary: Option<RunSummary>,
    pub units: Vec<UnitEntry>,
    /// The contents of `run.json`.
    pub header: Value,
}

/// The folder of all runs.
#[derive(Debug, Clone)]
pub struct History {
    folder: PathBuf,
}

impl History {
    pub fn at(cache_folder: &Path) -> History {
        History { folder: cache_folder.to_owned() }
    }

    /// All runs that can be read, oldest first.
    pub fn runs(&self) -> Vec<RunRecord> {
        self.run_ids().iter().filter_map(|id| self.read(id).ok()).collect()
    }

    /// The last `count` runs of a pipeline in a folder, newest first; logs too long to be read in
    /// passing are left out.
    pub(crate) fn last_runs(
        &self,
        pipeline: &str,
        base_dir: &Path,
        count: usize,
    ) -> Vec<RunRecord> {
        let place = base_dir.display().to_string();
        let is_short = |id: &&String| {
            let log = self.run_folder(id).join("events.jsonl");
            std::fs::metadata(log).is_ok_and(|log| log.len() <= MAX_LOG_IN_PASSING)
        };
        let ids = self.run_ids();
        let runs = ids.iter().rev().take(MAX_RUNS_IN_PASSING).filter(is_short);
        runs.filter_map(|id| self.read(id).ok())
            .filter(|run| run.pipeline == pipeline && run.header["base_dir"] == place.as_str())
            .take(count)
            .collect()
    }

    pub(crate) fn runs_folder(&self) -> PathBuf {
        self.folder.join("runs-v1")
    }

    pub(crate) fn run_folder(&self, run_id: &str) -> PathBuf {
        self.runs_folder().join(run_id)
    }

    /// What a run wrote down when it started; `None` if that cannot be read.
    pub(crate) fn header(&self, run_id: &str) -> Option<Value> {
        let bytes = std::fs::read(self.run_folder(run_id).join("run.json")).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn facts_path(&self, pipeline: &str) -> PathBuf {
        self.folder
            .join("facts-v1")
            .join(format!("{}.json", Digest::of(pipeline.as_bytes()).short()))
    }

    pub(crate) fn last_facts(
        &self,
        pipeline: &str,
        environment: BTreeMap<String, StepEnvironment>,
    ) -> LastFacts {
        let path = Some(self.facts_path(pipeline));
        LastFacts { path, environment, ..LastFacts::default() }
    }

    pub(crate) fn start(
        &self,
        run_id: &str,
        header: &impl Serialize,
    ) -> Result<RunLog, HistoryError> {
        let folder = self.run_folder(run_id);
        let fail = |source| HistoryError::Io { path: folder.display().to_string(), source };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let bytes = serde_json::to_vec(header).map_err(|error| fail(error.into()))?;
        write_unsynced(&folder.join("run.json"), &bytes).map_err(fail)?;
        let file = File::create(folder.join("events.jsonl")).map_err(fail)?;
        Ok(RunLog { file: BufWriter::new(file) })
    }

    /// Ids of all runs, oldest first: ids sort by time.
    pub fn run_ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.runs_folder());
        let mut ids: Vec<String> = entries
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| entry.path().join("run.json").exists())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        ids.sort_unstable();
        ids
    }

    /// A run by its id, a unique start or end of it, `last`, or `last~N` for the N-th before it; of
    /// the last ones those that cannot be read are passed over.
    pub fn find(&self, name: &str) -> Result<RunRecord, HistoryError> {
        let ids = self.run_ids();
        let before_last = match name {
            "last" => Some(0),
            _ => name.strip_prefix("last~").and_then(|n| n.parse::<usize>().ok()),
        };
        if let Some(n) = before_last {
            let readable = ids.iter().rev().filter_map(|id| self.read(id).ok()).nth(n);
            return readable.ok_or_else(|| HistoryError::Unknown(name.to_owned()));
        }
        let found: Vec<&String> =
            ids.iter().filter(|id| id.starts_with(name) || id.ends_with(name)).collect();
        match found.as_slice() {
            [] => Err(HistoryError::Unknown(name.to_owned())),
            [id] => self.read(id),
            more => Err(HistoryError::Ambiguous { prefix: name.to_owned(), count: more.len() }),
        }
    }

    /// Reads a run; a log that breaks off, as after a kill, is read up to there.
    pub fn read(&self, run_id: &str) -> Result<RunRecord, HistoryError> {
        let folder = self.run_folder(run_id);
        let fail = |source| HistoryError::Io { path: folder.display().to_string(), source };
        let header = std::fs::read(folder.join("run.json")).map_err(fail)?;
        let header: Value = serde_json::from_slice(&header).map_err(|error| fail(error.into()))?;
        let log = std::fs::read(folder.join("events.jsonl")).unwrap_or_default();
        // It may break off within a letter.
        let log = String::from_utf8_lossy(&log);
        let mut units = Vec::new();
        let mut summary: Option<RunSummary> = None;
        for line in log.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            if event["event"] == "run_finished" {
                summary = serde_json::from_value(event["summary"].clone()).ok();
            } else if let Ok(entry) = serde_json::from_value::<UnitEntry>(event["unit"].clone()) {
                units.push(entry);
            }
        }
        let outcome = match &summary {
            None => RunOutcome::Unfinished,
            Some(summary) if summary.interrupted => RunOutcome::Interrupted,
            Some(summary) if summary.units.failed > 0 => RunOutcome::Failed,
            Some(_) => RunOutcome::Done,
        };
        let text = |name: &str| header[name].as_str().unwrap_or_default().to_owned();
        Ok(RunRecord {
            run_id: run_id.to_owned(),
            pipeline: text("pipeline"),
            started_at: text("started_at"),
            outcome,
            summary,
            units,
            header,
        })
    }
}

/// The event log of a run in progress.
#[derive(Debug)]
pub(crate) struct RunLog {
    file: BufWriter<File>,
}

#[derive(Serialize)]
struct RunLine<'a> {
    event: &'static str,
    summary: &'a RunSummary,
    at: &'a str,
}

#[derive(Serialize)]
struct UnitLine<'a> {
    event: &'static str,
    unit: &'a UnitEntry,
    at: &'a str,
}

impl RunLog {
    /// Appends one event; progress is not kept.
    pub fn append(&mut self, event: &Event, now: &str) -> io::Result<()> {
        let mut bytes = match (event, unit_entry(event)) {
            (Event::RunFinished(summary), _) => {
                serde_json::to_vec(&RunLine { event: "run_finished", summary, at: now })?
            }
            (_, Some(unit)) => {
                serde_json::to_vec(&UnitLine { event: "unit", unit: &unit, at: now })?
            }
            // Hits that wait are told before the first unit that takes its time.
            (Event::UnitStarted { .. }, None) => return self.file.flush(),
            _ => return Ok(()),
        };
        bytes.push(b'\n');
        self.file.write_all(&bytes)?;
        // Hits come by the thousand and cost nothing to find again: they may wait for the rest.
        if !matches!(event, Event::UnitHit { .. }) {
            kill::point();
            self.file.flush()?;
            kill::point();
        }
        Ok(())
    }
}

fn unit_entry(event: &Event) -> Option<UnitEntry> {
    let entry = |unit: &UnitName, kind: &str, state: &str| UnitEntry {
        node: unit.node.clone(),
        fold: unit.fold(),
        part: Some(unit.part.word().to_owned()),
        kind: kind.to_owned(),
        state: state.to_owned(),
        reason: None,
        key: None,
        rows: None,
        seconds: None,
        node_seconds: None,
        cpu_seconds: None,
        cpu_shared: false,
        peak_bytes: None,
        saved_seconds: None,
        message: None,
        notes: Vec::new(),
    };
    match event {
        Event::UnitHit { unit, kind, key, rows, notes, saved_seconds } => Some(UnitEntry {
            key: Some(*key),
            rows: *rows,
            saved_seconds: Some(*saved_seconds),
            notes: crate::node::notes_to_json(notes),
            ..entry(unit, kind, "hit")
        }),
        Event::UnitFinished { unit, kind, key, reason, rows, seconds, usage, notes } => {
            Some(UnitEntry {
                key: Some(*key),
                reason: Some(reason.to_json()),
                rows: *rows,
                seconds: Some(*seconds),
                node_seconds: usage.node_seconds,
                cpu_seconds: usage.cpu_seconds,
                cpu_shared: usage.cpu_shared,
                peak_bytes: usage.peak_bytes,
                notes: crate::node::notes_to_json(notes),
                ..entry(unit, kind, "run")
            })
        }
        Event::UnitFailed { unit, kind, reason, seconds, message, .. } => Some(UnitEntry {
            reason: Some(reason.to_json()),
            seconds: Some(*seconds),
            message: Some(message.clone()),
            ..entry(unit, kind, "failed")
        }),
        Event::UnitRetried { unit, kind, message, .. } => {
            Some(UnitEntry { message: Some(message.clone()), ..entry(unit, kind, "retried") })
        }
        Event::UnitSkipped { unit, kind, because } => {
            Some(UnitEntry { message: Some(because.clone()), ..entry(unit, kind, "skipped") })
        }
        _ => None,
    }
}
