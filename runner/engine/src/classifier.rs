//! The classifier as the engine sees it: prepare a corpus once, fit and predict on its rows.
//! Plain data only; knows nothing of plugins, files, frames or the C boundary.
//!
//! Implemented by `plugin-host`. Calls may come from several threads at once: one corpus is shared
//! by all folds of a step, and each fold fits its own model.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

/// Parameters are judged by the same functions everywhere; see the crate `plan`.
pub use plan::{
    Isolation, Limits, PluginDescription, PluginRequest, Transport, fill_defaults,
    validate as validate_params,
};

/// Texts in the memory layout of an Arrow `LargeUtf8` array without nulls, with what else is known
/// of each record.
///
/// `offsets` has one entry more than there are texts, starts at 0, and never falls; text `i` is
/// `bytes[offsets[i]..offsets[i + 1]]` and is valid UTF-8.
#[derive(Debug, Clone)]
pub struct Texts {
    offsets: Vec<i64>,
    bytes: Vec<u8>,
    further: Vec<FurtherColumn>,
}

/// A column beside the text, for plugins with the capability `columns`.
#[derive(Debug, Clone)]
pub struct FurtherColumn {
    pub name: String,
    pub values: FurtherValues,
}

/// One value a text.
#[derive(Debug, Clone)]
pub enum FurtherValues {
    /// NaN where there is none.
    Numbers(Vec<f64>),
    /// Empty where there is none.
    Words(Texts),
}

impl FurtherValues {
    pub fn len(&self) -> usize {
        match self {
            FurtherValues::Numbers(numbers) => numbers.len(),
            FurtherValues::Words(words) => words.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Texts {
    /// Copies texts into one buffer; a missing text is an empty one.
    pub fn from_strs<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Texts {
        let mut offsets = vec![0];
        let mut bytes = Vec::new();
        for text in texts {
            bytes.extend_from_slice(text.unwrap_or_default().as_bytes());
            offsets.push(bytes.len() as i64);
        }
        Texts { offsets, bytes, further: Vec::new() }
    }

    /// Adds columns with one value a text each.
    ///
    /// # Panics
    ///
    /// If a column has another length: texts and columns come from one frame.
    pub fn with_columns(mut self, columns: Vec<FurtherColumn>) -> Texts {
        assert!(columns.iter().all(|column| column.values.len() == self.len()), "one value a text");
        self.further = columns;
        self
    }

    pub fn columns(&self) -> &[FurtherColumn] {
        &self.further
    }

    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, row: usize) -> &str {
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        std::str::from_utf8(&self.bytes[range]).expect("texts are copied from str")
    }

    pub fn offsets(&self) -> &[i64] {
        &self.offsets
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Asks a running operation to stop; shared between the scheduler and every call in flight.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The flag itself, for a signal handler.
    pub fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What comes with every call: a way to say how far it is and a way to be stopped.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// Told the finished share, 0 to 1. Cheap; may be called from any thread.
    pub progress: &'a (dyn Fn(f32) + Send + Sync),
    pub cancel: &'a Cancel,
    /// Threads the call may use, at least 1. The answer must not depend on it.
    pub threads: usize,
}

/// The end of what a plugin's process wrote to stderr, made harmless; none if it was silent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastLines(pub Vec<String>);

impl fmt::Display for LastLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("; the last it said:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// Why an operation of a classifier did not give a result.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClassifierError {
    /// The plugin said no; the message is its own.
    #[error("plugin `{plugin}` failed in {operation}: {message}")]
    Failed { plugin: String, operation: &'static str, message: String },
    /// The plugin broke the contract (shape, NaN, negative, sum, panic, null).
    #[error("plugin `{plugin}` broke its contract in {operation}: {message}")]
    Contract { plugin: String, operation: &'static str, message: String },
    /// The plugin's own process ended in the middle of a call.
    #[error("plugin `{plugin}` crashed in {operation}: {ending}{last_lines}")]
    Crashed {
        plugin: String,
        operation: &'static str,
        /// How the process ended: the name of a signal or an exit status.
        ending: String,
        last_lines: LastLines,
    },
    /// The plugin's own process was ended, because a call took longer than its limit.
    #[error(
        "plugin `{plugin}` took longer than its limit of {seconds} s in {operation}{last_lines}"
    )]
    TimedOut { plugin: String, operation: &'static str, seconds: u64, last_lines: LastLines },
    #[error("cancelled")]
    Cancelled,
}

/// The rows and labels one model is fitted on.
#[derive(Debug, Clone, Copy)]
pub struct FitRequest<'a> {
    /// Corpus rows to learn from, each below the corpus length.
    pub rows: &'a [u32],
    /// Class index of each of `rows`, each below `class_count`.
    pub labels: &'a [u32],
    /// Weight of each of `rows`, finite and above 0; all 1 when absent.
    pub weights: Option<&'a [f32]>,
    /// Number of classes, at least 2; some may have no row.
    pub class_count: u32,
    pub seed: u64,
}

/// A classifier plugin, ready to be given data.
pub trait Classifier: Send + Sync {
    fn description(&self) -> &PluginDescription;

    /// Label-free work on all texts, done once for all folds. `params` obey the plugin's schema.
    fn prepare(
        &self,
        texts: &Texts,
        params: &Value,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Corpus>, ClassifierError>;

    /// A model from bytes that `Model::save` gave; it scores texts it has never seen.
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, ClassifierError>;
}

/// Prepared texts. Whatever depends on labels or on the choice of rows is learnt in `fit`.
pub trait Corpus: Send + Sync {
    fn fit(
        &self,
        request: FitRequest<'_>,
        context: CallContext<'_>,
    ) -> Result<Box<dyn Model>, ClassifierError>;

    /// Probabilities `[rows, classes]`, row-major, checked: each finite, 0 to 1, rows sum to 1
    /// within 1e-3 (and are then renormalised).
    ///
    /// `model` comes from this plugin: from `fit` on this corpus or from `Classifier::load`.
    fn predict(
        &self,
        model: &dyn Model,
        rows: &[u32],
        context: CallContext<'_>,
    ) -> Result<Vec<f32>, ClassifierError>;
}

/// A fitted model.
pub trait Model: Send + Sync + std::any::Any {
    fn class_count(&self) -> u32;

    /// Self-contained bytes for `Classifier::load`.
    fn save(&self) -> Result<Vec<u8>, ClassifierError>;

    /// Lets the implementor recognise its own models in `Corpus::predict`.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Finds plugins by the name a pipeline uses. Implemented by `plugin-host`.
pub trait ClassifierSource: Send + Sync {
    /// Gives a plugin by name or by path; the same file asked for twice is the same plugin.
    fn classifier(
        &self,
        request: &PluginRequest<'_>,
    ) -> Result<Arc<dyn Classifier>, ClassifierSourceError>;
}

/// Why a plugin could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClassifierSourceError {
    #[error("no plugin `{name}`")]
    Unknown {
        name: String,
        /// Names that are there, for a suggestion.
        known: Vec<String>,
        /// Folders that were looked in.
        searched: Vec<String>,
    },
    /// The file is there, and is not a usable plugin: no library, wrong ABI, refused by its digest.
    #[error("plugin `{name}` at {location} was refused: {reason}")]
    Refused { name: String, location: String, reason: String },
    /// The file is not the one that was pinned; it was not opened.
    #[error("plugin `{name}` at {location} was refused: {reason}")]
    Unpinned { name: String, location: String, reason: String },
    /// The plugin may be sound, but cannot be run where the request says.
    #[error("plugin `{name}` cannot run as asked: {reason}")]
    Isolation { name: String, reason: String },
}
