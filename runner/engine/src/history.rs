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

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cache::{Digest, Facts, write_atomically};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::event::{Event, RunSummary};
use crate::unit::UnitName;

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
}

/// Facts of all units of one pipeline, by unit name.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct LastFacts(BTreeMap<String, LastUnit>);

impl LastFacts {
    pub fn get(&self, name: &UnitName) -> Option<&LastUnit> {
        self.0.get(&name.to_string())
    }

    pub fn set(&mut self, name: &UnitName, facts: Facts, failed: bool) {
        self.0.insert(name.to_string(), LastUnit { facts, failed });
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
    pub message: Option<String>,
    pub notes: Vec<Value>,
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

    fn run_folder(&self, run_id: &str) -> PathBuf {
        self.folder.join("runs-v1").join(run_id)
    }

    fn facts_path(&self, pipeline: &str) -> PathBuf {
        self.folder
            .join("facts-v1")
            .join(format!("{}.json", Digest::of(pipeline.as_bytes()).short()))
    }

    pub(crate) fn last_facts(&self, pipeline: &str) -> LastFacts {
        let bytes = std::fs::read(self.facts_path(pipeline)).unwrap_or_default();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }

    pub(crate) fn save_facts(&self, pipeline: &str, facts: &LastFacts) -> io::Result<()> {
        let bytes = serde_json::to_vec(facts)?;
        write_atomically(&self.facts_path(pipeline), |file| file.write_all(&bytes))
    }

    pub(crate) fn start(&self, run_id: &str, header: &Value) -> Result<RunLog, HistoryError> {
        let folder = self.run_folder(run_id);
        let fail = |source| HistoryError::Io { path: folder.display().to_string(), source };
        std::fs::create_dir_all(&folder).map_err(fail)?;
        let bytes = serde_json::to_vec_pretty(header).map_err(|error| fail(error.into()))?;
        write_atomically(&folder.join("run.json"), |file| file.write_all(&bytes)).map_err(fail)?;
        let file = File::create(folder.join("events.jsonl")).map_err(fail)?;
        Ok(RunLog { file })
    }

    /// Ids of all runs, oldest first: ids sort by time.
    pub fn run_ids(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join("runs-v1"));
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

    /// A run by its id, a unique start or end of it, or `last`.
    pub fn find(&self, name: &str) -> Result<RunRecord, HistoryError> {
        let ids = self.run_ids();
        if name == "last" {
            let id = ids.last().ok_or_else(|| HistoryError::Unknown("last".into()))?;
            return self.read(id);
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
        let log = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
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
    file: File,
}

impl RunLog {
    /// Appends one event; progress is not kept.
    pub fn append(&mut self, event: &Event, now: &str) -> io::Result<()> {
        let entry = match event {
            Event::RunFinished(summary) => json!({ "event": "run_finished", "summary": summary }),
            event => match unit_entry(event) {
                Some(unit) => json!({ "event": "unit", "unit": unit }),
                None => return Ok(()),
            },
        };
        let mut line = entry;
        line["at"] = json!(now);
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // One write a line: a kill leaves whole lines, but for the last at worst.
        self.file.write_all(&bytes)
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
        message: None,
        notes: Vec::new(),
    };
    match event {
        Event::UnitHit { unit, kind, key, rows, notes, .. } => {
            let notes = crate::node::notes_to_json(notes);
            Some(UnitEntry { key: Some(*key), rows: *rows, notes, ..entry(unit, kind, "hit") })
        }
        Event::UnitFinished { unit, kind, key, reason, rows, seconds, notes } => Some(UnitEntry {
            key: Some(*key),
            reason: Some(reason.to_json()),
            rows: *rows,
            seconds: Some(*seconds),
            notes: crate::node::notes_to_json(notes),
            ..entry(unit, kind, "run")
        }),
        Event::UnitFailed { unit, kind, reason, seconds, message, .. } => Some(UnitEntry {
            reason: Some(reason.to_json()),
            seconds: Some(*seconds),
            message: Some(message.clone()),
            ..entry(unit, kind, "failed")
        }),
        Event::UnitSkipped { unit, kind, because } => {
            Some(UnitEntry { message: Some(because.clone()), ..entry(unit, kind, "skipped") })
        }
        _ => None,
    }
}
