//! The node as the engine sees it: facts that decide the result, and artifacts in, artifacts out.

use std::any::Any;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use plan::{Plan, Step, Taxonomy};
use polars::prelude::{DataFrame, IdxCa, IdxSize};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::classifier::{CallContext, Cancel, ClassifierError};
use crate::frame::{FloatColumn, LoadError, Unread};
use crate::unit::{Part, UnitId};
use cache::{Digest, Facts, FileDigests, FileError, StatedDigest, UnitRecord};

/// What flows along an edge.
#[derive(Debug, Clone)]
pub enum Artifact {
    Frame(DataFrame),
    Blob(Arc<Vec<u8>>),
}

impl Artifact {
    pub fn rows(&self) -> Option<u64> {
        match self {
            Artifact::Frame(frame) => Some(frame.height() as u64),
            Artifact::Blob(_) => None,
        }
    }
}

/// What a unit has to say besides its outputs. Kept with the result, so a rerun that finds the
/// result in the cache can say it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// A count worth showing, such as what one condition of a filter let through.
    Count { text: String, count: u64, of: Option<u64> },
    /// A measured value, such as the out-of-fold accuracy.
    Metric { name: String, value: f64 },
    /// What a sink wrote, by the digest it can be recognised with.
    Target { name: String, digest: String },
    /// One variant of a matrix, to be read beside the others.
    Variant {
        name: String,
        rows: Option<u64>,
        /// What all its units took when they ran.
        seconds: Option<f64>,
        metrics: BTreeMap<String, f64>,
        /// It is the one that is handed on.
        used: bool,
    },
    /// Something the user should look at; `hint` says what to do.
    Warning { text: String, hint: Option<String> },
}

/// Why a node did not give a result. The engine adds which unit it was.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The data, a file or a parameter is at fault; the text says what, where and what to do.
    #[error("{message}")]
    Input { message: String, hint: Option<String> },
    /// A check of the data or a gate said no (exit code 6).
    #[error("{message}")]
    Gate { message: String, hint: Option<String> },
    #[error("{message}")]
    Io { message: String, hint: Option<String> },
    /// A plugin was refused (exit code 7).
    #[error("{message}")]
    Refused { message: String, hint: Option<String> },
    #[error(transparent)]
    Classifier(#[from] ClassifierError),
    /// A file changed while the run was on; mixing old and new is worse than stopping.
    #[error("`{0}` changed while the run was on; run again")]
    FileChanged(String),
    #[error("cancelled")]
    Cancelled,
    #[error("it took longer than its `timeout_seconds: {seconds}`")]
    TimedOut { seconds: f64 },
    #[error("{0}")]
    Internal(String),
}

impl NodeError {
    pub fn input(message: impl Into<String>) -> NodeError {
        NodeError::Input { message: message.into(), hint: None }
    }

    pub fn io(message: impl Into<String>) -> NodeError {
        NodeError::Io { message: message.into(), hint: None }
    }

    #[must_use]
    pub fn with_hint(mut self, text: impl Into<String>) -> NodeError {
        if let NodeError::Input { hint, .. }
        | NodeError::Gate { hint, .. }
        | NodeError::Io { hint, .. }
        | NodeError::Refused { hint, .. } = &mut self
        {
            *hint = Some(text.into());
        }
        self
    }

    /// Whether the same unit may well succeed when it is tried again.
    pub fn may_pass(&self) -> bool {
        matches!(self, NodeError::Io { .. })
    }

    pub fn hint(&self) -> Option<&str> {
        match self {
            NodeError::TimedOut { .. } => {
                Some("give it more time, or find out what it waits for; what is done is kept")
            }
            NodeError::Input { hint, .. }
            | NodeError::Gate { hint, .. }
            | NodeError::Io { hint, .. }
            | NodeError::Refused { hint, .. } => hint.as_deref(),
            _ => None,
        }
    }
}

impl From<polars::prelude::PolarsError> for NodeError {
    fn from(error: polars::prelude::PolarsError) -> NodeError {
        NodeError::Internal(error.to_string())
    }
}

impl From<FileError> for NodeError {
    fn from(error: FileError) -> NodeError {
        NodeError::io(format!("cannot read {error}"))
    }
}

/// Where a node states what else decides its result: files, the ledger, a plugin, the taxonomy.
pub struct FactContext<'a> {
    pub facts: &'a mut Facts,
    pub(crate) file_digests: &'a mut FileDigests,
    pub(crate) files: &'a mut Vec<(PathBuf, StatedDigest)>,
    pub(crate) now_ns: i128,
    /// The part of the step whose facts are asked for.
    pub part: Part,
    pub plan: &'a Plan,
    pub base_dir: &'a Path,
}

impl FactContext<'_> {
    /// An external file: its content counts, its path does not.
    pub fn file(&mut self, path: &Path) -> Result<Digest, NodeError> {
        let stated = self.file_digests.digest(path, self.now_ns)?;
        let shown = path.strip_prefix(self.base_dir).unwrap_or(path).display();
        self.facts.add_unnamed(format!("file:{shown}"), stated.digest.to_hex());
        let digest = stated.digest;
        self.files.push((path.to_owned(), stated));
        Ok(digest)
    }

    /// The taxonomy's content.
    pub fn taxonomy(&mut self) {
        let digest = self
            .plan
            .taxonomy
            .as_ref()
            .map(|taxonomy| Digest::of(taxonomy.canonical().to_string().as_bytes()).to_hex());
        self.facts.add("taxonomy", digest);
    }
}

/// Artifacts on the input ports of a step, in the order of the file for a port that takes many.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    pub(crate) entries: Vec<(&'static str, Artifact)>,
    /// What was chosen before the folds.
    pub(crate) choice: Option<Outputs>,
    /// Outputs of the folds, for the unit that puts them together.
    pub(crate) folds: Vec<Outputs>,
    /// Of each entry, the columns that are still in the cache, and whose unit's result it is.
    pub(crate) unread: Vec<Option<(UnitId, Unread)>>,
    pub(crate) late: Arc<LateReads>,
}

/// What came of reading columns while the node was at work.
#[derive(Debug, Default)]
pub(crate) struct LateReads {
    /// The result that was found to be no good, and what is wrong with it.
    pub lost: OnceLock<(UnitId, &'static str)>,
    pub nanoseconds: AtomicU64,
}

impl Inputs {
    pub fn new(entries: Vec<(&'static str, Artifact)>) -> Inputs {
        Inputs { entries, ..Inputs::default() }
    }

    pub fn try_frame(&self, port: &str) -> Option<&DataFrame> {
        self.frames(port).next()
    }

    /// The frame on a port that the plan guarantees.
    pub fn frame(&self, port: &str) -> Result<&DataFrame, NodeError> {
        self.try_frame(port)
            .ok_or_else(|| NodeError::Internal(format!("no frame arrived on port `{port}`")))
    }

    /// The records of a port's frame for which `chosen` is true, with all columns of it, also those
    /// that the node does not read (`Node::reads`).
    pub fn choose(&self, port: &str, chosen: &[bool]) -> Result<DataFrame, NodeError> {
        let frame = self.frame(port)?;
        let rows = (0..frame.height()).filter(|row| chosen[*row]).map(|row| row as IdxSize);
        let rows: Vec<IdxSize> = rows.collect();
        match self.read_late(port, |unread| unread.rows(frame, &rows)) {
            Some(read) => read,
            None => Ok(frame.take(&IdxCa::from_vec("rows".into(), rows))?),
        }
    }

    /// The columns of a port's frame that the node does not read (`Node::reads`), by name, to be read
    /// a piece at a time; `None` for one that has nulls or no floats. Those in the cache stay there.
    pub fn floats(&self, port: &str) -> Result<Vec<(String, Option<FloatColumn>)>, NodeError> {
        let frame = self.frame(port)?;
        self.read_late(port, |unread| unread.floats(frame)).unwrap_or_else(|| Ok(Vec::new()))
    }

    /// Reads of what the node was not given; `None` when it has all of the port's frame.
    fn read_late<T>(
        &self,
        port: &str,
        read: impl FnOnce(&Unread) -> Result<T, LoadError>,
    ) -> Option<Result<T, NodeError>> {
        let place = self.entries.iter().position(|(name, _)| *name == port)?;
        let (unit, unread) = self.unread.get(place)?.as_ref()?;
        let started = std::time::Instant::now();
        let read = read(unread);
        let spent = started.elapsed().as_nanos() as u64;
        self.late.nanoseconds.fetch_add(spent, std::sync::atomic::Ordering::Relaxed);
        Some(read.map_err(|error| {
            let _ = self.late.lost.set((*unit, error.word()));
            NodeError::io(error.to_string())
        }))
    }

    pub fn frames(&self, port: &str) -> impl Iterator<Item = &DataFrame> {
        self.entries.iter().filter_map(move |(name, artifact)| match artifact {
            Artifact::Frame(frame) if *name == port => Some(frame),
            _ => None,
        })
    }

    pub fn blobs(&self, port: &str) -> impl Iterator<Item = &Arc<Vec<u8>>> {
        self.entries.iter().filter_map(move |(name, artifact)| match artifact {
            Artifact::Blob(bytes) if *name == port => Some(bytes),
            _ => None,
        })
    }

    pub fn choice(&self) -> Option<&Outputs> {
        self.choice.as_ref()
    }

    pub fn folds(&self) -> &[Outputs] {
        &self.folds
    }

    pub(crate) fn rows(&self) -> u64 {
        self.entries.iter().filter_map(|(_, artifact)| artifact.rows()).max().unwrap_or(0)
    }
}

/// Artifacts on the output ports of a unit, with its notes.
#[derive(Debug, Clone, Default)]
pub struct Outputs {
    pub artifacts: Vec<(String, Artifact)>,
    pub notes: Vec<Note>,
}

impl Outputs {
    /// One frame on the default port.
    pub fn frame(frame: DataFrame) -> Outputs {
        Outputs::default().with("", Artifact::Frame(frame))
    }

    #[must_use]
    pub fn with(mut self, port: &str, artifact: Artifact) -> Outputs {
        self.artifacts.push((port.to_owned(), artifact));
        self
    }

    pub fn count(&mut self, text: impl Into<String>, count: usize, of: Option<usize>) {
        let of = of.map(|of| of as u64);
        self.notes.push(Note::Count { text: text.into(), count: count as u64, of });
    }

    pub fn metric(&mut self, name: impl Into<String>, value: f64) {
        self.notes.push(Note::Metric { name: name.into(), value });
    }

    pub fn target(&mut self, name: impl Into<String>, digest: impl Into<String>) {
        self.notes.push(Note::Target { name: name.into(), digest: digest.into() });
    }

    pub fn warn(&mut self, text: impl Into<String>, hint: Option<&str>) {
        self.notes.push(Note::Warning { text: text.into(), hint: hint.map(str::to_owned) });
    }

    pub fn get(&self, port: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|(name, _)| name == port).map(|(_, artifact)| artifact)
    }
}

/// What a step took when it was computed, and what it gave.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Of all its units added up, whether they were computed in this run or found in the cache.
    pub seconds: f64,
    /// Rows on its first port, if that has a frame.
    pub rows: Option<u64>,
}

/// What a unit may know and use while it runs.
pub struct RunContext<'a> {
    pub unit: &'a crate::UnitName,
    /// The unit's key, for ids that are derived from content.
    pub key: Digest,
    /// What the key is made of.
    pub facts: &'a Facts,
    pub base_dir: &'a Path,
    pub taxonomy: Option<&'a Taxonomy>,
    pub progress: &'a (dyn Fn(f32) + Send + Sync),
    pub cancel: &'a Cancel,
    /// Threads this unit may use; its result must not depend on them.
    pub threads: usize,
    /// The steps this one comes from, by name, for a node that asks (`Node::wants_tallies`). Not in
    /// the key: they differ from run to run, so no artifact may depend on them.
    pub tallies: &'a BTreeMap<String, Tally>,
}

impl RunContext<'_> {
    pub fn call(&self) -> CallContext<'_> {
        CallContext { progress: self.progress, cancel: self.cancel, threads: self.threads }
    }
}

/// A step, ready to be run. Pure but for sinks: the same facts and inputs give the same outputs.
pub trait Node: Send + Sync {
    /// States facts beyond kind, parameters and inputs. Called on the scheduler's thread.
    fn facts(&self, context: &mut FactContext<'_>) -> Result<(), NodeError> {
        let _ = context;
        Ok(())
    }

    /// Runs the unit; for a step in folds, puts `inputs.folds()` together.
    fn run(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError>;

    /// The columns of the frame on `port` that the node reads; all of them when `None`.
    ///
    /// A frame from the cache may come with these alone (those of them that it has); whole records
    /// can be had with `Inputs::choose`.
    fn reads(&self, port: &str) -> Option<Vec<String>> {
        let _ = port;
        None
    }

    /// The folds of a step that has any (`Checked::folds`).
    fn folds(&self) -> Option<&dyn Folds> {
        None
    }

    /// Whether it wants `RunContext::tallies`, to tell of them outside its artifacts.
    fn wants_tallies(&self) -> bool {
        false
    }

    /// For a sink: whether its target still is what the run behind `record` wrote.
    fn target_is_current(&self, record: &UnitRecord, base_dir: &Path) -> Result<bool, NodeError> {
        let _ = (record, base_dir);
        Ok(true)
    }
}

/// The folds of a step: what is chosen before them, work shared by all of them, and each one.
pub trait Folds: Send + Sync {
    /// What all folds use, for a step that has a choice to make (`Checked::choice`).
    ///
    /// The first artifact is what folds depend on; others may tell how it was found. When the first
    /// comes out the same as before, the folds are up to date.
    fn choose(&self, context: &RunContext<'_>, inputs: &Inputs) -> Result<Outputs, NodeError> {
        let _ = (context, inputs);
        Err(NodeError::Internal("this node kind has nothing to choose".into()))
    }

    /// What all folds share; done once in a run, and only if a fold has to run.
    fn prepare(
        &self,
        context: &RunContext<'_>,
        inputs: &Inputs,
    ) -> Result<Box<dyn Any + Send + Sync>, NodeError>;

    fn run_fold(
        &self,
        context: &RunContext<'_>,
        inputs: &Inputs,
        shared: &(dyn Any + Send + Sync),
        fold: u32,
    ) -> Result<Outputs, NodeError>;
}

/// Makes the node of a step.
pub trait NodeFactory: Send + Sync {
    fn node(&self, plan: &Plan, step: &Step) -> Result<Box<dyn Node>, NodeError>;
}

/// The notes of a record, as they were.
pub fn notes_of(record: &UnitRecord) -> Vec<Note> {
    notes_from_json(&record.notes)
}

/// Notes as a record or an event log has them; what is none is left out.
pub fn notes_from_json(notes: &[Value]) -> Vec<Note> {
    notes.iter().filter_map(|note| Note::deserialize(note).ok()).collect()
}

/// Notes as plain data for a record.
pub(crate) fn notes_to_json(notes: &[Note]) -> Vec<Value> {
    notes.iter().map(|note| serde_json::to_value(note).unwrap_or_default()).collect()
}
